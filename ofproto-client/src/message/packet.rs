//! Packets from and to the switch: [`PacketOut`] (OpenFlow 1.5.1, 7.3.6) and [`PacketIn2`] (`NXT_PACKET_IN2`, and
//! `NXT_RESUME`, which sends it back).

use bytes::{BufMut, Bytes, BytesMut};

use super::flow::{canonical_actions, put_match, put_oxm_fields, take_match, take_oxm};
use super::wire::{DecodeError, Reader, patch_u16, put_nested_property, put_property};
use crate::action::ActionList;
use crate::flow::NO_BUFFER;
use crate::flow_match::Match;

/// `OFPT_PACKET_OUT`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PacketOut {
    /// Ingress port and metadata; needs an in_port, [`PacketOut::IN_PORT_CONTROLLER`] if there is none.
    pub match_: Match,
    /// What to do with the packet.
    pub actions: ActionList,
    /// The packet, from its Ethernet header on.
    pub packet: Bytes,
}

impl PacketOut {
    /// `OFPP_CONTROLLER`, the ingress port of packets that the controller makes.
    pub const IN_PORT_CONTROLLER: u32 = 0xffff_fffd;

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<PacketOut, DecodeError> {
        let buffer_id = r.u32()?;
        if buffer_id != NO_BUFFER {
            return Err(r.bad_value("buffer id", buffer_id));
        }
        let actions_length = r.u16()?;
        r.skip(2)?;
        let match_ = take_match(r)?;
        let actions = canonical_actions(&mut r.sub("packet-out actions", actions_length.into())?)?;
        Ok(PacketOut { match_, actions, packet: Bytes::copy_from_slice(r.rest()) })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(NO_BUFFER);
        out.put_u32(0);
        put_match(&self.match_, out);
        patch_u16(out, start + 4, self.actions.as_bytes().len());
        out.put_slice(self.actions.as_bytes());
        out.put_slice(&self.packet);
    }
}

/// `NXT_PACKET_IN2`: a packet for the controller. Sent back, with changes, as `NXT_RESUME` if it has a continuation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PacketIn2 {
    /// The packet, from its Ethernet header on; the start of it if `full_len` is set.
    pub packet: Bytes,
    /// Length of the whole packet in bytes, if the switch cut it.
    pub full_len: Option<u32>,
    /// Buffer, if the switch buffered the packet.
    pub buffer_id: Option<u32>,
    /// Table of the flow that sent it.
    pub table: u8,
    /// Cookie of that flow.
    pub cookie: Option<u64>,
    /// `OFPR_*`.
    pub reason: u8,
    /// Registers, metadata, tunnel and conntrack fields at that point.
    pub metadata: Match,
    /// Fields of the metadata that this crate does not know, in OXM form; they go back as they came.
    pub unknown_metadata: Bytes,
    /// The `userdata` of the controller action.
    pub userdata: Bytes,
    /// How the switch goes on when the packet comes back, in its own format.
    pub continuation: Bytes,
}

const PACKET: u16 = 0;
const FULL_LEN: u16 = 1;
const BUFFER_ID: u16 = 2;
const TABLE_ID: u16 = 3;
const COOKIE: u16 = 4;
const REASON: u16 = 5;
const METADATA: u16 = 6;
const USERDATA: u16 = 7;
const CONTINUATION: u16 = 8;

impl PacketIn2 {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<PacketIn2, DecodeError> {
        let mut packet_in = PacketIn2::default();
        while !r.is_empty() {
            let mut property = r.property()?;
            let p = &mut property.payload;
            match property.kind {
                PACKET => packet_in.packet = Bytes::copy_from_slice(p.rest()),
                FULL_LEN => packet_in.full_len = Some(p.u32()?),
                BUFFER_ID => packet_in.buffer_id = Some(p.u32()?),
                TABLE_ID => packet_in.table = p.u8()?,
                COOKIE => packet_in.cookie = Some(property.u64()?),
                REASON => packet_in.reason = p.u8()?,
                METADATA => (packet_in.metadata, packet_in.unknown_metadata) = take_metadata(p)?,
                USERDATA => packet_in.userdata = Bytes::copy_from_slice(p.rest()),
                CONTINUATION => packet_in.continuation = Bytes::copy_from_slice(property.nested()?.rest()),
                // Later releases may add properties, which are not needed to handle the packet.
                _ => {}
            }
        }
        Ok(packet_in)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_property(out, PACKET, |out| out.put_slice(&self.packet));
        for (kind, value) in [(FULL_LEN, self.full_len), (BUFFER_ID, self.buffer_id)] {
            if let Some(value) = value {
                put_property(out, kind, |out| out.put_u32(value));
            }
        }
        put_property(out, TABLE_ID, |out| out.put_u8(self.table));
        if let Some(cookie) = self.cookie {
            put_nested_property(out, COOKIE, |out| out.put_u64(cookie));
        }
        put_property(out, REASON, |out| out.put_u8(self.reason));
        put_property(out, METADATA, |out| {
            put_oxm_fields(&self.metadata, out);
            out.put_slice(&self.unknown_metadata);
        });
        if !self.userdata.is_empty() {
            put_property(out, USERDATA, |out| out.put_slice(&self.userdata));
        }
        if !self.continuation.is_empty() {
            put_nested_property(out, CONTINUATION, |out| out.put_slice(&self.continuation));
        }
    }
}

/// The known fields, and the unknown ones as they are. A later Open vSwitch may have more fields than this crate, and a
/// packet must not be lost for that.
fn take_metadata(r: &mut Reader<'_>) -> Result<(Match, Bytes), DecodeError> {
    if let Ok(all) = take_oxm(&mut r.clone()) {
        r.rest();
        return Ok((all, Bytes::new()));
    }
    let (mut known, mut unknown) = (Match::new(), BytesMut::new());
    while !r.is_empty() {
        let [.., length] = r.clone().array::<4>()?;
        let field = r.take(4 + usize::from(length))?;
        match take_oxm(&mut Reader::new("OXM field", field)) {
            Ok(one) => one.iter().for_each(|(field, value, mask)| {
                known.set_masked(field, value, mask);
            }),
            Err(_) => unknown.put_slice(field),
        }
    }
    Ok((known, unknown.freeze()))
}
