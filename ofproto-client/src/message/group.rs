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
/// `OFPG_BUCKET_LAST`.
const BUCKET_LAST: u32 = 0xffff_fffe;

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
        3 => GroupModCommand::InsertBuckets,
        other => return Err(r.bad_value("command", other)),
    };
    let number = r.u8()?;
    let group_type = group_type_of(r, number)?;
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
        GroupModCommand::InsertBuckets => 3,
    });
    out.put_u8(group_type_number(group.group_type));
    out.put_u8(0);
    out.put_u32(group.id);
    out.put_u32(0);
    out.put_u32(if group_mod.command == GroupModCommand::InsertBuckets { BUCKET_LAST } else { BUCKET_ALL });
    if group_mod.command != GroupModCommand::Delete {
        put_buckets_and_properties(group, start + 8, out);
    }
}

/// How large a group is. Of the statistics the counters are left out.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupStats {
    /// Its number.
    pub id: u32,
    /// How many flows and groups refer to it.
    pub references: u32,
    /// How many buckets it has.
    pub n_buckets: u16,
}

impl GroupStats {
    /// Counters of the group after its length, number and references, and of each bucket.
    const COUNTERS: usize = 28;
    const BUCKET: usize = 16;

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<GroupStats, DecodeError> {
        let mut entry = take_entry("ofp_group_stats", r)?;
        entry.skip(2)?;
        let (id, references) = (entry.u32()?, entry.u32()?);
        entry.skip(Self::COUNTERS)?;
        let n_buckets = (entry.rest().len() / Self::BUCKET) as u16;
        Ok(GroupStats { id, references, n_buckets })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(0);
        out.put_u32(self.id);
        out.put_u32(self.references);
        out.put_bytes(0, Self::COUNTERS + Self::BUCKET * usize::from(self.n_buckets));
        let length = out.len() - start;
        patch_u16(out, start, length);
    }
}

/// A group or meter of the switch that this crate cannot express.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// Its number.
    pub id: u32,
    /// What is wrong with the rest.
    pub error: DecodeError,
}

/// Decodes all entries of one reply part. An entry that cannot be expressed costs only itself.
pub(super) fn decode_group_descs(r: &mut Reader<'_>) -> Result<(Vec<Group>, Vec<Rejected>), DecodeError> {
    let (mut groups, mut rejected) = (Vec::new(), Vec::new());
    while !r.is_empty() {
        let mut entry = take_entry("ofp_group_desc", r)?;
        let head = entry.array::<6>()?;
        let [group_type, _, id @ ..] = head;
        let id = u32::from_be_bytes(id);
        match take_group_desc(&mut entry, group_type, id) {
            Ok(group) => groups.push(group),
            Err(error) => rejected.push(Rejected { id, error }),
        }
    }
    Ok((groups, rejected))
}

fn take_group_desc(r: &mut Reader<'_>, group_type: u8, id: u32) -> Result<Group, DecodeError> {
    let group_type = group_type_of(r, group_type)?;
    let buckets_length = r.u16()?;
    r.skip(6)?;
    take_group(r, id, group_type, buckets_length)
}

/// The next of several entries that start with their length, without it.
fn take_entry<'a>(what: &'static str, r: &mut Reader<'a>) -> Result<Reader<'a>, DecodeError> {
    let length = usize::from(r.u16()?);
    match length.checked_sub(2) {
        Some(rest) => r.sub(what, rest),
        None => Err(r.error(Problem::Length(length))),
    }
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

fn group_type_of(r: &Reader<'_>, number: u8) -> Result<GroupType, DecodeError> {
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
    let mut r = take_entry("ofp_bucket", r)?;
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

/// What a group mod has besides its buckets at most: headers, also those of a bundle, and the selection method with every
/// field there is.
const GROUP_MOD_OVERHEAD: usize = 4096;

impl GroupMod {
    /// The same as several group mods of which each fits into a message: the first buckets, then insertions of the rest.
    /// Usually that is one (`ofctrl_put`, OVN 26.03; a load balancer of more than about 1,000 backends
    /// needs it).
    pub fn split(self) -> Vec<GroupMod> {
        let room = usize::from(u16::MAX) - GROUP_MOD_OVERHEAD;
        let GroupMod { command, group: Group { id, group_type, buckets, selection_method } } = self;
        let mut parts =
            vec![GroupMod { command, group: Group { id, group_type, buckets: Vec::new(), selection_method } }];
        let mut used = 0;
        for bucket in buckets {
            let size = bucket.actions.as_bytes().len() + BUCKET_OVERHEAD;
            if used > 0 && used + size > room {
                let group = Group { id, group_type, buckets: Vec::new(), selection_method: None };
                parts.push(GroupMod { command: GroupModCommand::InsertBuckets, group });
                used = 0;
            }
            used += size;
            if let Some(part) = parts.last_mut() {
                part.group.buckets.push(bucket);
            }
        }
        parts
    }
}

/// Header and all properties of a bucket.
const BUCKET_OVERHEAD: usize = 8 + 3 * 8;

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
    // Open vSwitch has an order of its own; in ours, equal methods are equal values.
    fields.sort_unstable();
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

/// Decodes all entries of one reply part. An entry that cannot be expressed costs only itself.
pub(super) fn decode_meter_configs(r: &mut Reader<'_>) -> Result<(Vec<Meter>, Vec<Rejected>), DecodeError> {
    let (mut meters, mut rejected) = (Vec::new(), Vec::new());
    while !r.is_empty() {
        let mut entry = take_entry("ofp_meter_config", r)?;
        let [_, _, id @ ..] = entry.clone().array::<6>()?;
        match take_meter(&mut entry) {
            Ok(meter) => meters.push(meter),
            Err(error) => rejected.push(Rejected { id: u32::from_be_bytes(id), error }),
        }
    }
    Ok((meters, rejected))
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
        let (rate, burst_size) = (r.u32()?, r.u32()?);
        // Without the flag the switch says what it has chosen itself, which is no part of the configuration.
        let burst_size = if meter.flags & Meter::BURST != 0 { burst_size } else { 0 };
        meter.bands.push(MeterBand { rate, burst_size });
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
