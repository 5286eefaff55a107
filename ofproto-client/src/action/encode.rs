//! Actions to OpenFlow 1.5 bytes, straight into the buffer; lengths are patched afterwards. Entry: [`encode_actions`].
//!
//! Source: the `encode_*` functions of `lib/ofp-actions.c`, Open vSwitch 3.7.

use bytes::{BufMut, BytesMut};
use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes, Unaligned};

use super::{
    Action, Bundle, Controller, Ct, CtZone, Learn, LearnDst, LearnSrc, Nat, NatAddr, PORT_NONE, REASON_ACTION, Sample,
    SampleId,
};
use crate::field::{Field, Subfield, ones};
use crate::message::wire::{pad8, patch_u16, put_property};

/// Nicira's experimenter id.
pub(super) const VENDOR_NICIRA: u32 = 0x2320;

/// Action types of OpenFlow 1.5.
pub(super) mod ofpat {
    pub(crate) const OUTPUT: u16 = 0;
    pub(crate) const PUSH_VLAN: u16 = 17;
    pub(crate) const POP_VLAN: u16 = 18;
    pub(crate) const SET_QUEUE: u16 = 21;
    pub(crate) const GROUP: u16 = 22;
    pub(crate) const SET_NW_TTL: u16 = 23;
    pub(crate) const DEC_NW_TTL: u16 = 24;
    pub(crate) const SET_FIELD: u16 = 25;
    pub(crate) const COPY_FIELD: u16 = 28;
    pub(crate) const METER: u16 = 29;
    pub(crate) const EXPERIMENTER: u16 = 0xffff;
}

/// Subtypes of Nicira's actions.
pub(super) mod nxast {
    pub(crate) const RESUBMIT: u16 = 1;
    pub(crate) const REG_MOVE: u16 = 6;
    pub(crate) const REG_LOAD: u16 = 7;
    pub(crate) const NOTE: u16 = 8;
    pub(crate) const BUNDLE: u16 = 12;
    pub(crate) const BUNDLE_LOAD: u16 = 13;
    pub(crate) const RESUBMIT_TABLE: u16 = 14;
    pub(crate) const OUTPUT_REG: u16 = 15;
    pub(crate) const LEARN: u16 = 16;
    pub(crate) const DEC_TTL: u16 = 18;
    pub(crate) const CONTROLLER: u16 = 20;
    pub(crate) const DEC_TTL_CNT_IDS: u16 = 21;
    pub(crate) const STACK_PUSH: u16 = 27;
    pub(crate) const STACK_POP: u16 = 28;
    pub(crate) const SAMPLE: u16 = 29;
    pub(crate) const REG_LOAD2: u16 = 33;
    pub(crate) const CONJUNCTION: u16 = 34;
    pub(crate) const CT: u16 = 35;
    pub(crate) const NAT: u16 = 36;
    pub(crate) const CONTROLLER2: u16 = 37;
    pub(crate) const SAMPLE2: u16 = 38;
    pub(crate) const SAMPLE3: u16 = 41;
    pub(crate) const CLONE: u16 = 42;
    pub(crate) const CT_CLEAR: u16 = 43;
    pub(crate) const RESUBMIT_TABLE_CT: u16 = 44;
    pub(crate) const LEARN2: u16 = 45;
    pub(crate) const CHECK_PKT_LARGER: u16 = 49;
    pub(crate) const SAMPLE4: u16 = 51;
}

/// Header field of a bundle's members: `NXM_OF_IN_PORT`, the only kind there is.
const BUNDLE_MEMBER_TYPE: u32 = 0x0000_0002;
/// `NX_CT_RECIRC_NONE`.
pub(super) const RECIRC_NONE: u8 = 0xff;

/// Appends the actions in the form Open vSwitch itself would send them in OpenFlow 1.5.
///
/// An action longer than 65,535 bytes (only possible with that much userdata or nesting) gets the length 65,528, which Open
/// vSwitch refuses.
pub fn encode_actions(actions: &[Action], out: &mut BytesMut) {
    for action in actions {
        encode(action, out);
    }
}

/// `struct ofp_action_output` of OpenFlow 1.5. In one piece, since a flow may have one for each of thousands of chassis.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Output {
    kind: U16,
    length: U16,
    port: U32,
    max_len: U16,
    pad: [u8; 6],
}

/// Bytes of an output.
pub(super) const OUTPUT_LEN: usize = size_of::<Output>();

/// Appends one output.
pub(super) fn encode_output(port: u32, max_len: u16, out: &mut BytesMut) {
    let output = Output {
        kind: ofpat::OUTPUT.into(),
        length: (OUTPUT_LEN as u16).into(),
        port: port.into(),
        max_len: max_len.into(),
        pad: [0; 6],
    };
    out.put_slice(output.as_bytes());
}

fn encode(action: &Action, out: &mut BytesMut) {
    match action {
        Action::Output { port, max_len } => encode_output(*port, *max_len, out),
        Action::Group(id) => standard(out, ofpat::GROUP, |out| out.put_u32(*id)),
        Action::PushVlan(tpid) => standard(out, ofpat::PUSH_VLAN, |out| out.put_u16(*tpid)),
        Action::PopVlan => standard(out, ofpat::POP_VLAN, |_| ()),
        Action::SetQueue(queue) => standard(out, ofpat::SET_QUEUE, |out| out.put_u32(*queue)),
        Action::SetTtl(ttl) => standard(out, ofpat::SET_NW_TTL, |out| out.put_u8(*ttl)),
        Action::DecTtl(ids) if ids.as_slice() == [0] => standard(out, ofpat::DEC_NW_TTL, |_| ()),
        Action::DecTtl(ids) => nicira(out, nxast::DEC_TTL_CNT_IDS, |out| {
            out.put_u16(ids.len() as u16);
            out.put_u32(0);
            ids.iter().for_each(|id| out.put_u16(*id));
        }),
        Action::SetField { field, value, mask } => {
            standard(out, ofpat::SET_FIELD, |out| put_oxm(out, *field, *value, *mask));
        }
        Action::Move { src, dst } => standard(out, ofpat::COPY_FIELD, |out| {
            out.put_u16(dst.n_bits);
            out.put_u16(src.ofs);
            out.put_u16(dst.ofs);
            out.put_u16(0);
            out.put_u32(src.field.oxm_header(false));
            out.put_u32(dst.field.oxm_header(false));
        }),
        Action::Meter(id) => standard(out, ofpat::METER, |out| out.put_u32(*id)),
        Action::Note(bytes) => nicira(out, nxast::NOTE, |out| out.put_slice(bytes)),
        Action::StackPush(subfield) => stack(out, nxast::STACK_PUSH, *subfield),
        Action::StackPop(subfield) => stack(out, nxast::STACK_POP, *subfield),
        _ => encode_extension(action, out),
    }
}

/// The actions that only Open vSwitch has.
fn encode_extension(action: &Action, out: &mut BytesMut) {
    match action {
        Action::OutputReg { src, max_len } => nicira(out, nxast::OUTPUT_REG, |out| {
            out.put_u16(src.ofs_nbits());
            out.put_u32(src.field.nxm_header(false));
            out.put_u16(*max_len);
            out.put_bytes(0, 6);
        }),
        Action::Resubmit { in_port, table, with_ct } => {
            let subtype = if *with_ct { nxast::RESUBMIT_TABLE_CT } else { nxast::RESUBMIT_TABLE };
            nicira(out, subtype, |out| {
                out.put_u16(*in_port);
                out.put_u8(*table);
            });
        }
        Action::Conjunction { clause, n_clauses, id } => nicira(out, nxast::CONJUNCTION, |out| {
            out.put_u8(*clause);
            out.put_u8(*n_clauses);
            out.put_u32(*id);
        }),
        Action::Clone(actions) => nicira(out, nxast::CLONE, |out| {
            out.put_bytes(0, 6);
            encode_actions(actions, out);
        }),
        Action::CtClear => nicira(out, nxast::CT_CLEAR, |_| ()),
        Action::CheckPktLarger { pkt_len, dst } => nicira(out, nxast::CHECK_PKT_LARGER, |out| {
            out.put_u16(*pkt_len);
            out.put_u16(dst.ofs);
            out.put_u32(dst.field.nxm_header(false));
        }),
        Action::Bundle(it) => bundle(it, out),
        Action::Learn(it) => learn(it, out),
        Action::Sample(it) => sample(it, out),
        Action::Ct(it) => ct(it, out),
        Action::Nat(it) => nat(it, out),
        Action::Controller(it) => controller(it, out),
        // `encode` takes the rest.
        _ => (),
    }
}

fn stack(out: &mut BytesMut, subtype: u16, subfield: Subfield) {
    nicira(out, subtype, |out| {
        out.put_u16(subfield.ofs);
        out.put_u32(subfield.field.nxm_header(false));
        out.put_u16(subfield.n_bits);
    });
}

fn bundle(bundle: &Bundle, out: &mut BytesMut) {
    let subtype = if bundle.dst.is_some() { nxast::BUNDLE_LOAD } else { nxast::BUNDLE };
    nicira(out, subtype, |out| {
        out.put_u16(bundle.algorithm);
        out.put_u16(bundle.fields);
        out.put_u16(bundle.basis);
        out.put_u32(BUNDLE_MEMBER_TYPE);
        out.put_u16(bundle.members.len() as u16);
        out.put_u16(bundle.dst.map_or(0, Subfield::ofs_nbits));
        out.put_u32(bundle.dst.map_or(0, |dst| dst.field.nxm_header(false)));
        out.put_u32(0);
        bundle.members.iter().for_each(|port| out.put_u16(*port));
    });
}

fn learn(learn: &Learn, out: &mut BytesMut) {
    let subtype = if learn.limit != 0 { nxast::LEARN2 } else { nxast::LEARN };
    nicira(out, subtype, |out| {
        out.put_u16(learn.idle_timeout);
        out.put_u16(learn.hard_timeout);
        out.put_u16(learn.priority);
        out.put_u64(learn.cookie);
        out.put_u16(learn.flags);
        out.put_u8(learn.table);
        out.put_u8(0);
        out.put_u16(learn.fin_idle);
        out.put_u16(learn.fin_hard);
        if learn.limit != 0 {
            out.put_u32(learn.limit);
            out.put_u32(0);
        }
        for spec in &learn.specs {
            let src = if matches!(spec.src, LearnSrc::Imm(_)) { 1 << 13 } else { 0 };
            let dst = match spec.dst {
                LearnDst::Match(_) => 0,
                LearnDst::Load(_) => 1 << 11,
                LearnDst::Output => 2 << 11,
            };
            out.put_u16(spec.n_bits | src | dst);
            match spec.src {
                LearnSrc::Field(src) => {
                    out.put_u32(src.field.nxm_header(false));
                    out.put_u16(src.ofs);
                }
                LearnSrc::Imm(value) => {
                    let n = 2 * usize::from(spec.n_bits.div_ceil(16)).min(8);
                    out.put_slice(&(value & ones(spec.n_bits)).to_be_bytes()[16 - n..]);
                }
            }
            if let LearnDst::Match(dst) | LearnDst::Load(dst) = spec.dst {
                out.put_u32(dst.field.nxm_header(false));
                out.put_u16(dst.ofs);
            }
        }
    });
}

fn sample(sample: &Sample, out: &mut BytesMut) {
    if let (SampleId::Imm(domain), SampleId::Imm(point)) = (sample.obs_domain, sample.obs_point) {
        let plain = sample.sampling_port == PORT_NONE && sample.direction == 0;
        let subtype = match (plain, sample.direction) {
            (true, _) => nxast::SAMPLE,
            (false, 0) => nxast::SAMPLE2,
            (false, _) => nxast::SAMPLE3,
        };
        nicira(out, subtype, |out| {
            out.put_u16(sample.probability);
            out.put_u32(sample.collector_set_id);
            out.put_u32(domain);
            out.put_u32(point);
            if !plain {
                out.put_u16(sample.sampling_port);
                out.put_u8(sample.direction);
            }
        });
        return;
    }
    nicira(out, nxast::SAMPLE4, |out| {
        out.put_u16(sample.probability);
        out.put_u32(sample.collector_set_id);
        for id in [sample.obs_domain, sample.obs_point] {
            match id {
                SampleId::Imm(value) => {
                    out.put_u32(0);
                    out.put_u32(value);
                }
                SampleId::Field(src) => {
                    out.put_u32(src.field.nxm_header(false));
                    out.put_u16(src.ofs_nbits());
                    out.put_u16(0);
                }
            }
        }
        out.put_u16(sample.sampling_port);
        out.put_u8(sample.direction);
    });
}

fn ct(ct: &Ct, out: &mut BytesMut) {
    nicira(out, nxast::CT, |out| {
        out.put_u16(u16::from(ct.commit) | u16::from(ct.force) << 1);
        match ct.zone {
            CtZone::Imm(zone) => {
                out.put_u32(0);
                out.put_u16(zone);
            }
            CtZone::Field(src) => {
                out.put_u32(src.field.nxm_header(false));
                out.put_u16(src.ofs_nbits());
            }
        }
        out.put_u8(ct.recirc_table.unwrap_or(RECIRC_NONE));
        out.put_bytes(0, 3);
        out.put_u16(ct.alg);
        encode_actions(&ct.actions, out);
    });
}

fn nat(nat: &Nat, out: &mut BytesMut) {
    nicira(out, nxast::NAT, |out| {
        let range = nat.range.canonical();
        let (v4, v6) = match range.addr {
            NatAddr::None => (None, None),
            NatAddr::V4(min, max) => (Some((min, max)), None),
            NatAddr::V6(min, max) => (None, Some((min, max))),
        };
        let bits = |bit: u16, min: bool, max: bool| (u16::from(min) * bit) | (u16::from(max) * bit * 2);
        let present = bits(1, v4.is_some(), v4.is_some_and(|v4| v4.1.is_some()))
            | bits(4, v6.is_some(), v6.is_some_and(|v6| v6.1.is_some()))
            | bits(16, range.proto.is_some(), range.proto.is_some_and(|proto| proto.1.is_some()));
        out.put_u16(0);
        out.put_u16(nat.flags);
        out.put_u16(present);
        if let Some((min, max)) = v4 {
            out.put_u32(min);
            max.into_iter().for_each(|max| out.put_u32(max));
        }
        if let Some((min, max)) = v6 {
            out.put_u128(min);
            max.into_iter().for_each(|max| out.put_u128(max));
        }
        if let Some((min, max)) = range.proto {
            out.put_u16(min);
            max.into_iter().for_each(|max| out.put_u16(max));
        }
    });
}

fn controller(controller: &Controller, out: &mut BytesMut) {
    if controller.userdata.is_empty() && !controller.pause && controller.meter_id == 0 {
        nicira(out, nxast::CONTROLLER, |out| {
            out.put_u16(controller.max_len);
            out.put_u16(controller.controller_id);
            out.put_u8(controller.reason);
        });
        return;
    }
    nicira(out, nxast::CONTROLLER2, |out| {
        out.put_bytes(0, 6);
        if controller.max_len != 0xffff {
            put_property(out, 0, |out| out.put_u16(controller.max_len));
        }
        if controller.controller_id != 0 {
            put_property(out, 1, |out| out.put_u16(controller.controller_id));
        }
        if controller.reason != REASON_ACTION {
            put_property(out, 2, |out| out.put_u8(controller.reason));
        }
        if !controller.userdata.is_empty() {
            put_property(out, 3, |out| out.put_slice(&controller.userdata));
        }
        if controller.pause {
            put_property(out, 4, |_| ());
        }
        if controller.meter_id != 0 {
            put_property(out, 5, |out| out.put_u32(controller.meter_id));
        }
    });
}

/// OXM header, value and, if it has to be, mask. A tunnel option takes as many bytes as its highest bit needs.
pub(crate) fn put_oxm(out: &mut BytesMut, field: Field, value: u128, mask: u128) {
    let all = field.all_ones();
    let masked = mask & all != all;
    let value = value & mask & all;
    let mut n = field.n_bytes();
    if field.is_tun_metadata() {
        let widest = if masked { mask } else { value };
        n = (16 - widest.leading_zeros() as usize / 8).max(1);
        out.put_u32(field.oxm_header_with_length(masked, n));
    } else {
        out.put_u32(field.oxm_header(masked));
    }
    out.put_slice(&value.to_be_bytes()[16 - n..]);
    if masked {
        out.put_slice(&mask.to_be_bytes()[16 - n..]);
    }
}

/// An action of OpenFlow itself.
fn standard(out: &mut BytesMut, kind: u16, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u16(kind);
    out.put_u16(0);
    body(out);
    finish(out, start);
}

/// An action of Nicira's.
fn nicira(out: &mut BytesMut, subtype: u16, body: impl FnOnce(&mut BytesMut)) {
    standard(out, ofpat::EXPERIMENTER, |out| {
        out.put_u32(VENDOR_NICIRA);
        out.put_u16(subtype);
        body(out);
    });
}

/// Pads what started at `start` to a multiple of 8 and writes its length, padding included.
fn finish(out: &mut BytesMut, start: usize) {
    out.put_bytes(0, pad8(out.len() - start));
    let length = out.len() - start;
    patch_u16(out, start + 2, if length > usize::from(u16::MAX) { 0xfff8 } else { length });
}
