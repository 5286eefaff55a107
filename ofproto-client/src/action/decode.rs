//! Actions from OpenFlow 1.5 bytes. Entry: [`decode_actions`].
//!
//! Reads every form Open vSwitch may send; what [`encode_actions`](super::encode_actions) would write differently comes out
//! as the same value.

use nom::bytes::complete::take;
use nom::error::context;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::encode::{RECIRC_NONE, VENDOR_NICIRA, nxast, ofpat};
use super::{
    Action, Bundle, Controller, Ct, CtZone, Learn, LearnDst, LearnSpec, LearnSrc, Nat, NatAddr, NatRange, PORT_NONE,
    REASON_ACTION, Sample, SampleId,
};
use crate::error::Error;
use crate::field::Subfield;
use crate::flow_match::number;
use crate::wire::{ParseComplete, Read, bare_field, cut, finish, invalid, ofs_nbits, oxm, part, property, subfield};

/// Deepest nesting of `clone` and `ct` that is read; Open vSwitch stops at about 100.
const MAX_DEPTH: usize = 64;

/// The actions in `bytes`, which must hold nothing else.
pub fn decode_actions(bytes: &[u8]) -> Result<Vec<Action>, Error> {
    finish(bytes, actions(bytes, 0)).map(|(_, actions)| actions)
}

fn actions(mut input: &[u8], depth: usize) -> Read<'_, Vec<Action>> {
    let mut out = Vec::new();
    while !input.is_empty() {
        let (rest, action) = action(input, depth)?;
        out.push(action);
        input = rest;
    }
    Ok((input, out))
}

fn action(input: &[u8], depth: usize) -> Read<'_, Action> {
    let (rest, kind) = context("action", be_u16).parse_complete(input)?;
    let (_, length) = context("action", be_u16).parse_complete(rest)?;
    let length = usize::from(length);
    if length < 8 || length % 8 != 0 {
        return invalid(input, "action", format!("length {length}"));
    }
    let (rest, whole) = part(input, "action", length)?;
    let (body, _) = take(4_usize)(whole)?;
    let (_, action) = if kind == ofpat::EXPERIMENTER {
        let (body, vendor) = be_u32(body)?;
        let (body, subtype) = context("action subtype", be_u16).parse_complete(body)?;
        if vendor != VENDOR_NICIRA {
            return invalid(input, "action", format!("unknown experimenter {vendor:#x}"));
        }
        context("Nicira action", |body| nicira(input, body, subtype, depth)).parse_complete(body)?
    } else {
        context("action", |body| standard(input, body, kind)).parse_complete(body)?
    };
    Ok((rest, action))
}

fn standard<'a>(start: &'a [u8], body: &'a [u8], kind: u16) -> Read<'a, Action> {
    let word = be_u32::<&[u8], _>;
    match kind {
        ofpat::OUTPUT => {
            let (body, port) = be_u32(body)?;
            let (body, max_len) = be_u16(body)?;
            Ok((body, Action::Output { port, max_len }))
        }
        ofpat::PUSH_VLAN => be_u16(body).map(|(rest, tpid)| (rest, Action::PushVlan(tpid))),
        ofpat::POP_VLAN => Ok((body, Action::PopVlan)),
        ofpat::SET_QUEUE => word(body).map(|(rest, queue)| (rest, Action::SetQueue(queue))),
        ofpat::GROUP => word(body).map(|(rest, id)| (rest, Action::Group(id))),
        ofpat::SET_NW_TTL => be_u8(body).map(|(rest, ttl)| (rest, Action::SetTtl(ttl))),
        ofpat::DEC_NW_TTL => Ok((body, Action::DecTtl(vec![0]))),
        ofpat::SET_FIELD => {
            let (rest, (field, value, mask)) = oxm(body)?;
            Ok((rest, Action::SetField { field, value, mask }))
        }
        ofpat::COPY_FIELD => {
            let (body, n_bits) = be_u16(body)?;
            let (body, src_ofs) = be_u16(body)?;
            let (body, dst_ofs) = be_u16(body)?;
            let (body, _) = be_u16(body)?;
            move_(body, n_bits, src_ofs, dst_ofs)
        }
        ofpat::METER => word(body).map(|(rest, id)| (rest, Action::Meter(id))),
        _ => invalid(start, "action", format!("unknown type {kind}")),
    }
}

fn nicira<'a>(start: &'a [u8], body: &'a [u8], subtype: u16, depth: usize) -> Read<'a, Action> {
    if depth >= MAX_DEPTH {
        return invalid(start, "action", "nested too deeply");
    }
    match subtype {
        nxast::RESUBMIT => {
            let (body, in_port) = be_u16(body)?;
            Ok((body, Action::Resubmit { in_port, table: 255, with_ct: false }))
        }
        nxast::RESUBMIT_TABLE | nxast::RESUBMIT_TABLE_CT => {
            let (body, in_port) = be_u16(body)?;
            let (body, table) = be_u8(body)?;
            Ok((body, Action::Resubmit { in_port, table, with_ct: subtype == nxast::RESUBMIT_TABLE_CT }))
        }
        nxast::REG_MOVE => {
            let (body, n_bits) = be_u16(body)?;
            let (body, src_ofs) = be_u16(body)?;
            let (body, dst_ofs) = be_u16(body)?;
            move_(body, n_bits, src_ofs, dst_ofs)
        }
        nxast::REG_LOAD => reg_load(body),
        nxast::REG_LOAD2 => {
            let (body, _) = take(6_usize)(body)?;
            let (body, (field, value, mask)) = oxm(body)?;
            Ok((body, Action::SetField { field, value, mask }))
        }
        nxast::NOTE => Ok((&body[body.len()..], Action::Note(body.into()))),
        nxast::BUNDLE | nxast::BUNDLE_LOAD => bundle(body, subtype == nxast::BUNDLE_LOAD),
        nxast::OUTPUT_REG => {
            let (body, bits) = be_u16(body)?;
            let (body, src) = packed(body, bits)?;
            let (body, max_len) = be_u16(body)?;
            Ok((body, Action::OutputReg { src, max_len }))
        }
        nxast::DEC_TTL => Ok((body, Action::DecTtl(vec![0]))),
        nxast::DEC_TTL_CNT_IDS => {
            let (body, n) = be_u16(body)?;
            let (body, _) = take(4_usize)(body)?;
            let (body, ids) = ports(body, n)?;
            Ok((body, Action::DecTtl(ids)))
        }
        nxast::STACK_PUSH => stack(body).map(|(rest, subfield)| (rest, Action::StackPush(subfield))),
        nxast::STACK_POP => stack(body).map(|(rest, subfield)| (rest, Action::StackPop(subfield))),
        nxast::CONJUNCTION => {
            let (body, clause) = be_u8(body)?;
            let (body, n_clauses) = be_u8(body)?;
            let (body, id) = be_u32(body)?;
            Ok((body, Action::Conjunction { clause, n_clauses, id }))
        }
        nxast::CLONE => {
            let (body, _) = take(6_usize)(body)?;
            let (body, nested) = actions(body, depth + 1)?;
            Ok((body, Action::Clone(nested)))
        }
        nxast::CT_CLEAR => Ok((body, Action::CtClear)),
        nxast::CHECK_PKT_LARGER => {
            let (body, pkt_len) = be_u16(body)?;
            let (body, ofs) = be_u16(body)?;
            let (body, field) = bare_field(body)?;
            let (body, dst) = subfield(body, field, ofs, 1)?;
            Ok((body, Action::CheckPktLarger { pkt_len, dst }))
        }
        nxast::LEARN | nxast::LEARN2 => learn(start, body, subtype == nxast::LEARN2),
        nxast::SAMPLE | nxast::SAMPLE2 | nxast::SAMPLE3 | nxast::SAMPLE4 => sample(body, subtype),
        nxast::CT => ct(body, depth),
        nxast::NAT => nat(body),
        nxast::CONTROLLER => {
            let (body, max_len) = be_u16(body)?;
            let (body, controller_id) = be_u16(body)?;
            let (body, reason) = be_u8(body)?;
            let controller = Controller { max_len, controller_id, reason, ..Controller::new([]) };
            Ok((body, Action::Controller(Box::new(controller))))
        }
        nxast::CONTROLLER2 => controller2(body),
        _ => invalid(start, "Nicira action", format!("unknown subtype {subtype}")),
    }
}

fn move_(body: &[u8], n_bits: u16, src_ofs: u16, dst_ofs: u16) -> Read<'_, Action> {
    let (body, src) = bare_field(body)?;
    let (body, dst) = bare_field(body)?;
    let (body, src) = subfield(body, src, src_ofs, n_bits)?;
    let (body, dst) = subfield(body, dst, dst_ofs, n_bits)?;
    Ok((body, Action::Move { src, dst }))
}

/// What OpenFlow 1.0 uses for a set-field of some bits.
fn reg_load(body: &[u8]) -> Read<'_, Action> {
    let (body, bits) = be_u16(body)?;
    let (body, dst) = packed(body, bits)?;
    let (body, value) = be_u64(body)?;
    match Action::load(dst, u128::from(value)) {
        Action::SetField { field, value, mask } => {
            let mask = mask & field.all_ones();
            Ok((body, Action::SetField { field, value: value & mask, mask }))
        }
        other => Ok((body, other)),
    }
}

/// A field header after its packed bit range.
fn packed(body: &[u8], bits: u16) -> Read<'_, Subfield> {
    let (body, field) = bare_field(body)?;
    let (ofs, n_bits) = ofs_nbits(bits);
    subfield(body, field, ofs, n_bits)
}

fn stack(body: &[u8]) -> Read<'_, Subfield> {
    let (body, ofs) = be_u16(body)?;
    let (body, field) = bare_field(body)?;
    let (body, n_bits) = be_u16(body)?;
    subfield(body, field, ofs, n_bits)
}

fn ports(mut body: &[u8], n: u16) -> Read<'_, Vec<u16>> {
    // Grows with the bytes that are there, not with what the count claims.
    let mut out = Vec::new();
    for _ in 0..n {
        let (rest, port) = be_u16(body)?;
        out.push(port);
        body = rest;
    }
    Ok((body, out))
}

fn bundle(body: &[u8], load: bool) -> Read<'_, Action> {
    let (body, algorithm) = be_u16(body)?;
    let (body, fields) = be_u16(body)?;
    let (body, basis) = be_u16(body)?;
    let (body, _) = be_u32(body)?;
    let (body, n) = be_u16(body)?;
    let (body, bits) = be_u16(body)?;
    let (body, dst) = if load {
        let (body, dst) = packed(body, bits)?;
        (body, Some(dst))
    } else {
        (take(4_usize)(body)?.0, None)
    };
    let (body, _) = be_u32(body)?;
    let (body, members) = ports(body, n)?;
    Ok((body, Action::Bundle(Box::new(Bundle { algorithm, fields, basis, members, dst }))))
}

fn learn<'a>(start: &'a [u8], body: &'a [u8], second: bool) -> Read<'a, Action> {
    let (body, idle_timeout) = be_u16(body)?;
    let (body, hard_timeout) = be_u16(body)?;
    let (body, priority) = be_u16(body)?;
    let (body, cookie) = be_u64(body)?;
    let (body, flags) = be_u16(body)?;
    let (body, table) = be_u8(body)?;
    let (body, _) = be_u8(body)?;
    let (body, fin_idle) = be_u16(body)?;
    let (mut body, fin_hard) = be_u16(body)?;
    let mut limit = 0;
    if second {
        let (rest, value) = be_u32(body)?;
        let (rest, _) = be_u32(rest)?;
        (body, limit) = (rest, value);
    }
    if flags & !3 != 0 {
        return invalid(start, "learn action", format!("unknown flags {flags:#x}"));
    }
    let mut specs = Vec::new();
    while body.len() >= 2 {
        let (rest, header) = be_u16(body)?;
        if header == 0 {
            break;
        }
        let (rest, spec) = learn_spec(rest, header)?;
        specs.push(spec);
        body = rest;
    }
    let learn = Learn { idle_timeout, hard_timeout, priority, cookie, flags, table, fin_idle, fin_hard, limit, specs };
    Ok((body, Action::Learn(Box::new(learn))))
}

fn learn_spec(body: &[u8], header: u16) -> Read<'_, LearnSpec> {
    let n_bits = header & 0x3ff;
    let at = body;
    let (body, src) = if header & (1 << 13) != 0 {
        if n_bits == 0 || n_bits > 128 {
            return invalid(at, "learn specification", format!("{n_bits} immediate bits"));
        }
        let (body, bytes) = part(body, "learn immediate", 2 * usize::from(n_bits.div_ceil(16)))?;
        (body, LearnSrc::Imm(cut(number(bytes), n_bits)))
    } else {
        let (body, src) = learn_field(body, n_bits)?;
        (body, LearnSrc::Field(src))
    };
    let (body, dst) = match header >> 11 & 3 {
        0 => learn_field(body, n_bits).map(|(body, dst)| (body, LearnDst::Match(dst)))?,
        1 => learn_field(body, n_bits).map(|(body, dst)| (body, LearnDst::Load(dst)))?,
        2 if matches!(src, LearnSrc::Field(_)) => (body, LearnDst::Output),
        other => return invalid(at, "learn specification", format!("destination kind {other}")),
    };
    Ok((body, LearnSpec { src, dst, n_bits }))
}

fn learn_field(body: &[u8], n_bits: u16) -> Read<'_, Subfield> {
    let (body, field) = bare_field(body)?;
    let (body, ofs) = be_u16(body)?;
    subfield(body, field, ofs, n_bits)
}

fn sample(body: &[u8], subtype: u16) -> Read<'_, Action> {
    let (body, probability) = be_u16(body)?;
    let (body, collector_set_id) = be_u32(body)?;
    let (body, obs_domain) = sample_id(body, subtype)?;
    let (body, obs_point) = sample_id(body, subtype)?;
    let (body, sampling_port, direction) = if subtype == nxast::SAMPLE {
        (body, PORT_NONE, 0)
    } else {
        let (body, port) = be_u16(body)?;
        let (body, direction) = be_u8(body)?;
        (body, port, if subtype == nxast::SAMPLE2 { 0 } else { direction })
    };
    let sample = Sample { probability, collector_set_id, obs_domain, obs_point, sampling_port, direction };
    Ok((body, Action::Sample(Box::new(sample))))
}

fn sample_id(body: &[u8], subtype: u16) -> Read<'_, SampleId> {
    if subtype != nxast::SAMPLE4 {
        return be_u32(body).map(|(body, value)| (body, SampleId::Imm(value)));
    }
    let (after, header) = be_u32(body)?;
    if header == 0 {
        return be_u32(after).map(|(body, value)| (body, SampleId::Imm(value)));
    }
    let (body, field) = bare_field(body)?;
    let (body, bits) = be_u16(body)?;
    let (body, _) = be_u16(body)?;
    let (ofs, n_bits) = ofs_nbits(bits);
    let (body, src) = subfield(body, field, ofs, n_bits)?;
    Ok((body, SampleId::Field(src)))
}

fn ct(body: &[u8], depth: usize) -> Read<'_, Action> {
    let (body, flags) = be_u16(body)?;
    let (after, header) = be_u32(body)?;
    let (body, zone) = if header == 0 {
        let (body, zone) = be_u16(after)?;
        (body, CtZone::Imm(zone))
    } else {
        let (body, field) = bare_field(body)?;
        let (body, bits) = be_u16(body)?;
        let (ofs, n_bits) = ofs_nbits(bits);
        let (body, src) = subfield(body, field, ofs, n_bits)?;
        (body, CtZone::Field(src))
    };
    let (body, recirc) = be_u8(body)?;
    let (body, _) = take(3_usize)(body)?;
    let (body, alg) = be_u16(body)?;
    let (body, nested) = actions(body, depth + 1)?;
    let ct = Ct {
        commit: flags & 1 != 0,
        force: flags & 2 != 0,
        zone,
        recirc_table: (recirc != RECIRC_NONE).then_some(recirc),
        alg,
        actions: nested,
    };
    Ok((body, Action::Ct(Box::new(ct))))
}

fn nat(body: &[u8]) -> Read<'_, Action> {
    let (body, _) = be_u16(body)?;
    let (body, flags) = be_u16(body)?;
    let (mut body, present) = be_u16(body)?;
    let mut value = |bit: u16, n: usize| {
        if present & bit == 0 {
            return Ok(None);
        }
        let (rest, bytes) = part(body, "nat range", n)?;
        body = rest;
        Ok(Some(number(bytes)))
    };
    let (v4_min, v4_max) = (value(1, 4)?, value(2, 4)?);
    let (v6_min, v6_max) = (value(4, 16)?, value(8, 16)?);
    let (proto_min, proto_max) = (value(16, 2)?, value(32, 2)?);
    let addr = match (v4_min, v6_min) {
        (Some(min), _) => NatAddr::V4(min as u32, v4_max.map(|max| max as u32)),
        (None, Some(min)) => NatAddr::V6(min, v6_max),
        (None, None) => NatAddr::None,
    };
    let proto = proto_min.map(|min| (min as u16, proto_max.map(|max| max as u16)));
    let range = NatRange { addr, proto }.canonical();
    Ok((body, Action::Nat(Box::new(Nat { flags, range }))))
}

fn controller2(body: &[u8]) -> Read<'_, Action> {
    let (mut body, _) = take(6_usize)(body)?;
    let mut controller = Controller::new([]);
    controller.reason = REASON_ACTION;
    while body.len() >= 4 {
        let at = body;
        let (rest, (kind, value)) = property(body)?;
        match kind {
            0 => controller.max_len = be_u16(value)?.1,
            1 => controller.controller_id = be_u16(value)?.1,
            2 => controller.reason = be_u8(value)?.1,
            3 => controller.userdata = value.into(),
            4 => controller.pause = true,
            5 => controller.meter_id = be_u32(value)?.1,
            _ => return invalid(at, "controller property", format!("unknown type {kind}")),
        }
        body = rest;
    }
    Ok((body, Action::Controller(Box::new(controller))))
}
