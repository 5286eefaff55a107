//! Group mods, group descriptions, meter mods and meter configurations on the wire (OpenFlow 1.5.1, 7.3.4.2, 7.3.4.4,
//! 7.3.5.11 and 7.3.5.14; the selection method is the ONF's experimenter property 0x154d/1).

use bytes::{BufMut, BytesMut};

use super::flow::canonical_actions;
use super::wire::{DecodeError, Problem, Reader, patch_u16, put_property, put_string, put_u16_property, read_string};
use crate::field::Field;
use crate::flow::{GROUP_ANY, PORT_ANY};
use crate::group::{Bucket, Group, GroupMod, GroupModCommand, GroupType, SelectionMethod};
use crate::meter::{Meter, MeterBand, MeterMod, MeterModCommand};

const GROUP_TYPES: [GroupType; 4] = [GroupType::All, GroupType::Select, GroupType::Indirect, GroupType::FastFailover];
/// `OFPG_BUCKET_ALL`: the commands that do not touch single buckets demand it.
const BUCKET_ALL: u32 = 0xffff_ffff;

const WEIGHT: u16 = 0;
const WATCH_PORT: u16 = 1;
const WATCH_GROUP: u16 = 2;
const EXPERIMENTER: u16 = 0xffff;
const NETRONOME_VENDOR: u32 = 0x154d;
const SELECTION_METHOD: u32 = 1;

pub(super) fn decode_group_mod(r: &mut Reader<'_>) -> Result<GroupMod, DecodeError> {
    let command = match r.u16()? {
        0 => GroupModCommand::Add,
        1 => GroupModCommand::Modify,
        2 => GroupModCommand::Delete,
        other => return Err(r.bad_value("command", other)),
    };
    let group_type = take_group_type(r)?;
    r.skip(1)?;
    let id = r.u32()?;
    let buckets_length = r.u16()?;
    r.skip(6)?;
    Ok(GroupMod { command, group: take_group(r, id, group_type, buckets_length)? })
}

pub(crate) fn encode_group_mod(group_mod: &GroupMod, out: &mut BytesMut) {
    let group = &group_mod.group;
    let start = out.len();
    out.put_u16(match group_mod.command {
        GroupModCommand::Add => 0,
        GroupModCommand::Modify => 1,
        GroupModCommand::Delete => 2,
    });
    out.put_u8(group_type_number(group.group_type));
    out.put_u8(0);
    out.put_u32(group.id);
    out.put_u32(0);
    out.put_u32(BUCKET_ALL);
    if group_mod.command != GroupModCommand::Delete {
        put_buckets_and_properties(group, start + 8, out);
    }
}

pub(super) fn decode_group_desc(r: &mut Reader<'_>) -> Result<Group, DecodeError> {
    let length = usize::from(r.u16()?);
    let Some(rest) = length.checked_sub(2) else { return Err(r.error(Problem::Length(length))) };
    let r = &mut r.sub("ofp_group_desc", rest)?;
    let group_type = take_group_type(r)?;
    r.skip(1)?;
    let id = r.u32()?;
    let buckets_length = r.u16()?;
    r.skip(6)?;
    take_group(r, id, group_type, buckets_length)
}

pub(super) fn encode_group_desc(group: &Group, out: &mut BytesMut) {
    let start = out.len();
    out.put_u16(0);
    out.put_u8(group_type_number(group.group_type));
    out.put_u8(0);
    out.put_u32(group.id);
    out.put_u64(0);
    put_buckets_and_properties(group, start + 8, out);
    let length = out.len() - start;
    patch_u16(out, start, length);
}

fn take_group_type(r: &mut Reader<'_>) -> Result<GroupType, DecodeError> {
    let number = r.u8()?;
    GROUP_TYPES.get(usize::from(number)).copied().ok_or_else(|| r.bad_value("group type", number))
}

fn group_type_number(group_type: GroupType) -> u8 {
    GROUP_TYPES.iter().position(|&t| t == group_type).unwrap_or(0) as u8
}

fn take_group(r: &mut Reader<'_>, id: u32, group_type: GroupType, buckets: u16) -> Result<Group, DecodeError> {
    let mut buckets_reader = r.sub("group buckets", buckets.into())?;
    let mut group = Group { id, group_type, buckets: Vec::new(), selection_method: None };
    while !buckets_reader.is_empty() {
        group.buckets.push(take_bucket(&mut buckets_reader, group_type)?);
    }
    while !r.is_empty() {
        let mut property = r.property()?;
        let p = &mut property.payload;
        if property.kind != EXPERIMENTER {
            return Err(r.bad_value("group property", property.kind));
        }
        let (vendor, exp_type) = (p.u32()?, p.u32()?);
        if (vendor, exp_type) != (NETRONOME_VENDOR, SELECTION_METHOD) {
            return Err(r.bad_value("group property of vendor", vendor));
        }
        group.selection_method = Some(take_selection_method(p)?);
    }
    Ok(group)
}

fn take_bucket(r: &mut Reader<'_>, group_type: GroupType) -> Result<Bucket, DecodeError> {
    let length = usize::from(r.u16()?);
    let Some(rest) = length.checked_sub(2) else { return Err(r.error(Problem::Length(length))) };
    let mut r = r.sub("ofp_bucket", rest)?;
    let actions_length = r.u16()?;
    let id = r.u32()?;
    let actions = canonical_actions(&mut r.sub("bucket actions", actions_length.into())?)?;
    let weight = if group_type == GroupType::Select { 1 } else { 0 };
    let mut bucket = Bucket { id, weight, watch_port: PORT_ANY, watch_group: GROUP_ANY, actions };
    while !r.is_empty() {
        let mut property = r.property()?;
        match property.kind {
            WEIGHT => bucket.weight = property.payload.u16()?,
            WATCH_PORT => bucket.watch_port = property.payload.u32()?,
            WATCH_GROUP => bucket.watch_group = property.payload.u32()?,
            other => return Err(r.bad_value("bucket property", other)),
        }
    }
    Ok(bucket)
}

fn put_buckets_and_properties(group: &Group, length_at: usize, out: &mut BytesMut) {
    let start = out.len();
    for bucket in &group.buckets {
        put_bucket(bucket, group.group_type, out);
    }
    let length = out.len() - start;
    patch_u16(out, length_at, length);
    if let Some(method) = &group.selection_method {
        put_selection_method(method, out);
    }
}

fn put_bucket(bucket: &Bucket, group_type: GroupType, out: &mut BytesMut) {
    let start = out.len();
    let Bucket { id, weight, watch_port, watch_group, actions } = bucket;
    let actions = actions.as_bytes();
    out.put_u16(0);
    out.put_u16(actions.len() as u16);
    out.put_u32(*id);
    out.put_slice(actions);
    if group_type == GroupType::Select || *weight != 0 {
        put_u16_property(out, WEIGHT, *weight);
    }
    if *watch_port != PORT_ANY {
        put_property(out, WATCH_PORT, |out| out.put_u32(*watch_port));
    }
    if *watch_group != GROUP_ANY {
        put_property(out, WATCH_GROUP, |out| out.put_u32(*watch_group));
    }
    let length = out.len() - start;
    patch_u16(out, start, length);
}

fn take_selection_method(r: &mut Reader<'_>) -> Result<SelectionMethod, DecodeError> {
    r.skip(4)?;
    let name = read_string(r.take(16)?);
    let param = r.u64()?;
    let mut fields = Vec::new();
    while !r.is_empty() {
        let header = r.u32()?;
        let Some((field, false)) = Field::from_oxm(header) else { return Err(r.bad_value("field to hash", header)) };
        let mask = r.take(usize::from(header as u8))?;
        fields.push((field, mask.iter().fold(0, |value, &byte| value << 8 | u128::from(byte))));
    }
    Ok(SelectionMethod { name, param, fields })
}

/// What is the value of a field elsewhere is the mask here: which of its bits are hashed.
fn put_selection_method(method: &SelectionMethod, out: &mut BytesMut) {
    put_property(out, EXPERIMENTER, |out| {
        out.put_u32(NETRONOME_VENDOR);
        out.put_u32(SELECTION_METHOD);
        out.put_u32(0);
        put_string(out, &method.name, 16);
        out.put_u64(method.param);
        for (field, mask) in &method.fields {
            out.put_u32(field.oxm_header(false));
            let bytes = mask.to_be_bytes();
            out.put_slice(bytes.get(bytes.len() - field.n_bytes()..).unwrap_or(&bytes));
        }
    });
}

const BAND_DROP: u16 = 1;

pub(super) fn decode_meter_mod(r: &mut Reader<'_>) -> Result<MeterMod, DecodeError> {
    let command = match r.u16()? {
        0 => MeterModCommand::Add,
        1 => MeterModCommand::Modify,
        2 => MeterModCommand::Delete,
        other => return Err(r.bad_value("command", other)),
    };
    Ok(MeterMod { command, meter: take_meter(r)? })
}

pub(crate) fn encode_meter_mod(meter_mod: &MeterMod, out: &mut BytesMut) {
    out.put_u16(match meter_mod.command {
        MeterModCommand::Add => 0,
        MeterModCommand::Modify => 1,
        MeterModCommand::Delete => 2,
    });
    put_meter(&meter_mod.meter, out);
}

pub(super) fn decode_meter_config(r: &mut Reader<'_>) -> Result<Meter, DecodeError> {
    let length = usize::from(r.u16()?);
    let Some(rest) = length.checked_sub(2) else { return Err(r.error(Problem::Length(length))) };
    take_meter(&mut r.sub("ofp_meter_config", rest)?)
}

pub(super) fn encode_meter_config(meter: &Meter, out: &mut BytesMut) {
    let start = out.len();
    out.put_u16(0);
    put_meter(meter, out);
    let length = out.len() - start;
    patch_u16(out, start, length);
}

fn take_meter(r: &mut Reader<'_>) -> Result<Meter, DecodeError> {
    let mut meter = Meter { flags: r.u16()?, id: r.u32()?, bands: Vec::new() };
    while !r.is_empty() {
        let (kind, length) = (r.u16()?, r.u16()?);
        if kind != BAND_DROP {
            return Err(r.bad_value("meter band", kind));
        }
        if length != 16 {
            return Err(r.error(Problem::Length(length.into())));
        }
        meter.bands.push(MeterBand { rate: r.u32()?, burst_size: r.u32()? });
        r.skip(4)?;
    }
    Ok(meter)
}

fn put_meter(meter: &Meter, out: &mut BytesMut) {
    out.put_u16(meter.flags);
    out.put_u32(meter.id);
    for band in &meter.bands {
        out.put_u16(BAND_DROP);
        out.put_u16(16);
        out.put_u32(band.rate);
        out.put_u32(band.burst_size);
        out.put_u32(0);
    }
}
