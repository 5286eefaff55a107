//! OpenFlow 1.5 messages as values. [`Message`] is every message that the agent sends or receives, with
//! [`Message::encode`] and [`Message::decode`]; bytes are cut into messages by [`crate::connection::Connection`].
//!
//! A message this crate does not know decodes to [`Message::Unknown`]; one that is malformed to a [`DecodeError`] that
//! names the structure and the place. Nothing panics.

mod bundle;
mod error;
mod error_names;
mod flow;
mod group;
mod header;
mod multipart;
mod nicira;
mod packet;
mod port;
mod session;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use bytes::{BufMut, Bytes, BytesMut};

pub use bundle::{BundleCommand, BundleControl, BundleFlags};
pub use error::{ErrorCode, SwitchError};
pub use flow::{FlowStats, FlowStatsRequest, RejectedFlow};
pub use group::{GroupStats, Rejected};
pub use header::{Header, MessageType, OFP15_VERSION, Versions, Xid};
pub use multipart::{
    GroupFeatures, MeterFeatures, MultipartReply, MultipartReplyBody, MultipartRequest, Reassembly, SwitchDesc,
};
pub use nicira::{CtFlush, CtTuple, NICIRA_VENDOR, TlvMap, TlvTable, TlvTableCommand, TlvTableMod};
pub use packet::{PacketIn2, PacketOut};
pub use port::{PortDesc, PortStatus};
pub use session::{Features, Hello, Role, RoleBody, SwitchConfig};
pub use wire::{DecodeError, EncodeError, Problem};

pub(crate) use bundle::put_add_header as put_bundle_add_header;
pub(crate) use flow::encode_flow_mod;
pub(crate) use group::encode_group_mod;
use wire::{Reader, patch_u16};

use crate::flow::FlowMod;
use crate::group::GroupMod;
use crate::meter::MeterMod;

/// An OpenFlow 1.5 message without its xid.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each variant is the message of that name; its content documents itself")]
pub enum Message {
    Hello(Hello),
    Error(SwitchError),
    EchoRequest(Bytes),
    EchoReply(Bytes),
    FeaturesRequest,
    FeaturesReply(Features),
    GetConfigRequest,
    GetConfigReply(SwitchConfig),
    SetConfig(SwitchConfig),
    PortStatus(Box<PortStatus>),
    PacketOut(Box<PacketOut>),
    FlowMod(Box<FlowMod>),
    GroupMod(Box<GroupMod>),
    MeterMod(MeterMod),
    MultipartRequest(Box<MultipartRequest>),
    MultipartReply(Box<MultipartReply>),
    BarrierRequest,
    BarrierReply,
    RoleRequest(RoleBody),
    RoleReply(RoleBody),
    BundleControl(BundleControl),
    /// `OFPT_BUNDLE_ADD_MESSAGE`: a message of a bundle; inner and outer message have the same xid, as Open vSwitch
    /// demands.
    BundleAdd {
        /// The bundle.
        bundle_id: u32,
        /// The bundle's flags.
        flags: BundleFlags,
        /// The message.
        message: Box<Message>,
    },
    /// `NXT_SET_PACKET_IN_FORMAT`: 2 for `NXT_PACKET_IN2`, see [`Message::PACKET_IN2_FORMAT`].
    SetPacketInFormat(u32),
    /// `NXT_SET_CONTROLLER_ID`: packets of controller actions with this id come to this connection.
    SetControllerId(u16),
    TlvTableMod(TlvTableMod),
    TlvTableRequest,
    TlvTableReply(TlvTable),
    /// `NXT_CT_FLUSH_ZONE`: forget all tracked connections of a zone.
    CtFlushZone(u16),
    CtFlush(Box<CtFlush>),
    PacketIn2(Box<PacketIn2>),
    /// `NXT_RESUME`: a packet-in with a continuation goes back.
    Resume(Box<PacketIn2>),
    /// Any other message.
    Unknown {
        /// Its type.
        message_type: MessageType,
        /// Everything after the header.
        body: Bytes,
    },
}

impl Message {
    /// Value of [`Message::SetPacketInFormat`] for `NXT_PACKET_IN2`.
    pub const PACKET_IN2_FORMAT: u32 = 2;

    /// Decodes one whole OpenFlow 1.5 message, header included.
    pub fn decode(bytes: &[u8]) -> Result<(Xid, Message), DecodeError> {
        let mut r = Reader::new("ofp_header", bytes);
        let header = r.take(Header::SIZE)?;
        let Some(header) = Header::peek(header) else { return Err(r.error(Problem::Length(bytes.len()))) };
        let length = usize::from(header.length.get());
        if length != bytes.len() {
            return Err(r.error(Problem::Length(length)));
        }
        let message_type = MessageType(header.message_type);
        let message = decode_body(message_type, Reader::new(message_type.name(), r.rest()))?;
        Ok((Xid(header.xid.get()), message))
    }

    /// Appends the message to `out`. If it is too big `out` stays as it was.
    pub fn encode(&self, xid: Xid, out: &mut BytesMut) -> Result<(), EncodeError> {
        framed(self.message_type(), self.name(), xid, out, |out| self.encode_body(xid, out))
    }

    /// The type number in the header.
    pub fn message_type(&self) -> MessageType {
        match self {
            Message::Hello(_) => MessageType::HELLO,
            Message::Error(_) => MessageType::ERROR,
            Message::EchoRequest(_) => MessageType::ECHO_REQUEST,
            Message::EchoReply(_) => MessageType::ECHO_REPLY,
            Message::FeaturesRequest => MessageType::FEATURES_REQUEST,
            Message::FeaturesReply(_) => MessageType::FEATURES_REPLY,
            Message::GetConfigRequest => MessageType::GET_CONFIG_REQUEST,
            Message::GetConfigReply(_) => MessageType::GET_CONFIG_REPLY,
            Message::SetConfig(_) => MessageType::SET_CONFIG,
            Message::PortStatus(_) => MessageType::PORT_STATUS,
            Message::PacketOut(_) => MessageType::PACKET_OUT,
            Message::FlowMod(_) => MessageType::FLOW_MOD,
            Message::GroupMod(_) => MessageType::GROUP_MOD,
            Message::MeterMod(_) => MessageType::METER_MOD,
            Message::MultipartRequest(_) => MessageType::MULTIPART_REQUEST,
            Message::MultipartReply(_) => MessageType::MULTIPART_REPLY,
            Message::BarrierRequest => MessageType::BARRIER_REQUEST,
            Message::BarrierReply => MessageType::BARRIER_REPLY,
            Message::RoleRequest(_) => MessageType::ROLE_REQUEST,
            Message::RoleReply(_) => MessageType::ROLE_REPLY,
            Message::BundleControl(_) => MessageType::BUNDLE_CONTROL,
            Message::BundleAdd { .. } => MessageType::BUNDLE_ADD,
            Message::SetPacketInFormat(_)
            | Message::SetControllerId(_)
            | Message::TlvTableMod(_)
            | Message::TlvTableRequest
            | Message::TlvTableReply(_)
            | Message::CtFlushZone(_)
            | Message::CtFlush(_)
            | Message::PacketIn2(_)
            | Message::Resume(_) => MessageType::EXPERIMENTER,
            Message::Unknown { message_type, .. } => *message_type,
        }
    }

    /// The message's name in the OpenFlow or Nicira headers.
    pub fn name(&self) -> &'static str {
        match self {
            Message::SetPacketInFormat(_) => "NXT_SET_PACKET_IN_FORMAT",
            Message::SetControllerId(_) => "NXT_SET_CONTROLLER_ID",
            Message::TlvTableMod(_) => "NXT_TLV_TABLE_MOD",
            Message::TlvTableRequest => "NXT_TLV_TABLE_REQUEST",
            Message::TlvTableReply(_) => "NXT_TLV_TABLE_REPLY",
            Message::CtFlushZone(_) => "NXT_CT_FLUSH_ZONE",
            Message::CtFlush(_) => "NXT_CT_FLUSH",
            Message::PacketIn2(_) => "NXT_PACKET_IN2",
            Message::Resume(_) => "NXT_RESUME",
            other => other.message_type().name(),
        }
    }

    fn encode_body(&self, xid: Xid, out: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Message::Hello(hello) => hello.encode(out),
            Message::Error(error) => error.encode(out),
            Message::EchoRequest(data) | Message::EchoReply(data) => out.put_slice(data),
            Message::FeaturesReply(features) => features.encode(out),
            Message::GetConfigReply(config) | Message::SetConfig(config) => config.encode(out),
            Message::PortStatus(status) => status.encode(out),
            Message::PacketOut(packet_out) => packet_out.encode(out),
            Message::FlowMod(flow_mod) => encode_flow_mod(flow_mod, out),
            Message::GroupMod(group_mod) => encode_group_mod(group_mod, out),
            Message::MeterMod(meter_mod) => group::encode_meter_mod(meter_mod, out),
            Message::MultipartRequest(request) => request.encode(out),
            Message::MultipartReply(reply) => reply.encode(out),
            Message::RoleRequest(role) | Message::RoleReply(role) => role.encode(out),
            Message::BundleControl(control) => control.encode(out),
            Message::BundleAdd { bundle_id, flags, message } => {
                put_bundle_add_header(*bundle_id, *flags, out);
                return message.encode(xid, out);
            }
            Message::SetPacketInFormat(format) => {
                put_nicira(nicira::NXT_SET_PACKET_IN_FORMAT, out);
                out.put_u32(*format);
            }
            Message::SetControllerId(id) => {
                put_nicira(nicira::NXT_SET_CONTROLLER_ID, out);
                out.put_bytes(0, 6);
                out.put_u16(*id);
            }
            Message::TlvTableMod(table_mod) => {
                put_nicira(nicira::NXT_TLV_TABLE_MOD, out);
                table_mod.encode(out);
            }
            Message::TlvTableRequest => put_nicira(nicira::NXT_TLV_TABLE_REQUEST, out),
            Message::TlvTableReply(table) => {
                put_nicira(nicira::NXT_TLV_TABLE_REPLY, out);
                table.encode(out);
            }
            Message::CtFlushZone(zone) => {
                put_nicira(nicira::NXT_CT_FLUSH_ZONE, out);
                out.put_bytes(0, 6);
                out.put_u16(*zone);
            }
            Message::CtFlush(flush) => {
                put_nicira(nicira::NXT_CT_FLUSH, out);
                flush.encode(out);
            }
            Message::PacketIn2(packet_in) => {
                put_nicira(nicira::NXT_PACKET_IN2, out);
                packet_in.encode(out);
            }
            Message::Resume(packet_in) => {
                put_nicira(nicira::NXT_RESUME, out);
                packet_in.encode(out);
            }
            Message::Unknown { body, .. } => out.put_slice(body),
            Message::FeaturesRequest | Message::GetConfigRequest | Message::BarrierRequest | Message::BarrierReply => {}
        }
        Ok(())
    }
}

/// Writes a header, lets `body` write the rest, and fills in the length. Leaves `out` as it was if that fails.
pub(crate) fn framed(
    message_type: MessageType,
    name: &'static str,
    xid: Xid,
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let [a, b, c, d] = xid.0.to_be_bytes();
    out.put_slice(&[OFP15_VERSION, message_type.0, 0, 0, a, b, c, d]);
    let result = body(out).and_then(|()| match out.len() - start {
        length if length > usize::from(u16::MAX) => Err(EncodeError::TooBig { what: name, length }),
        length => {
            patch_u16(out, start + 2, length);
            Ok(())
        }
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn put_nicira(subtype: u32, out: &mut BytesMut) {
    out.put_u32(NICIRA_VENDOR);
    out.put_u32(subtype);
}

fn decode_body(message_type: MessageType, mut r: Reader<'_>) -> Result<Message, DecodeError> {
    let r = &mut r;
    Ok(match message_type {
        MessageType::HELLO => Message::Hello(Hello::decode(r)?),
        MessageType::ERROR => Message::Error(SwitchError::decode(r)?),
        MessageType::ECHO_REQUEST => Message::EchoRequest(Bytes::copy_from_slice(r.rest())),
        MessageType::ECHO_REPLY => Message::EchoReply(Bytes::copy_from_slice(r.rest())),
        MessageType::EXPERIMENTER => decode_experimenter(r)?,
        MessageType::FEATURES_REQUEST => Message::FeaturesRequest,
        MessageType::FEATURES_REPLY => Message::FeaturesReply(Features::decode(r)?),
        MessageType::GET_CONFIG_REQUEST => Message::GetConfigRequest,
        MessageType::GET_CONFIG_REPLY => Message::GetConfigReply(SwitchConfig::decode(r)?),
        MessageType::SET_CONFIG => Message::SetConfig(SwitchConfig::decode(r)?),
        MessageType::PORT_STATUS => Message::PortStatus(Box::new(PortStatus::decode(r)?)),
        MessageType::PACKET_OUT => Message::PacketOut(Box::new(PacketOut::decode(r)?)),
        MessageType::FLOW_MOD => Message::FlowMod(Box::new(flow::decode_flow_mod(r)?)),
        MessageType::GROUP_MOD => Message::GroupMod(Box::new(group::decode_group_mod(r)?)),
        MessageType::METER_MOD => Message::MeterMod(group::decode_meter_mod(r)?),
        MessageType::MULTIPART_REQUEST => Message::MultipartRequest(Box::new(MultipartRequest::decode(r)?)),
        MessageType::MULTIPART_REPLY => Message::MultipartReply(Box::new(MultipartReply::decode(r)?)),
        MessageType::BARRIER_REQUEST => Message::BarrierRequest,
        MessageType::BARRIER_REPLY => Message::BarrierReply,
        MessageType::ROLE_REQUEST => Message::RoleRequest(RoleBody::decode(r)?),
        MessageType::ROLE_REPLY => Message::RoleReply(RoleBody::decode(r)?),
        MessageType::BUNDLE_CONTROL => Message::BundleControl(BundleControl::decode(r)?),
        MessageType::BUNDLE_ADD => decode_bundle_add(r)?,
        _ => Message::Unknown { message_type, body: Bytes::copy_from_slice(r.rest()) },
    })
}

fn decode_bundle_add(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let bundle_id = r.u32()?;
    r.skip(2)?;
    let flags = BundleFlags(r.u16()?);
    // A bundle in a bundle is not allowed, and refusing it keeps the recursion flat.
    let inner = r.rest();
    let Some(header) = Header::peek(inner) else { return Err(r.error(Problem::Length(inner.len()))) };
    if header.message_type == MessageType::BUNDLE_ADD.0 {
        return Err(r.bad_value("message in a bundle", header.message_type));
    }
    // Padding may follow the inner message.
    let inner = inner.get(..usize::from(header.length.get())).unwrap_or(inner);
    let (_, message) = Message::decode(inner)?;
    Ok(Message::BundleAdd { bundle_id, flags, message: Box::new(message) })
}

fn decode_experimenter(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let whole = r.clone();
    let vendor = r.u32()?;
    let subtype = r.u32()?;
    let mut body = Reader::new("Nicira message", r.rest());
    let r = &mut body;
    Ok(match (vendor, subtype) {
        (NICIRA_VENDOR, nicira::NXT_SET_PACKET_IN_FORMAT) => Message::SetPacketInFormat(r.u32()?),
        (NICIRA_VENDOR, nicira::NXT_SET_CONTROLLER_ID) => {
            r.skip(6)?;
            Message::SetControllerId(r.u16()?)
        }
        (NICIRA_VENDOR, nicira::NXT_TLV_TABLE_MOD) => Message::TlvTableMod(TlvTableMod::decode(r)?),
        (NICIRA_VENDOR, nicira::NXT_TLV_TABLE_REQUEST) => Message::TlvTableRequest,
        (NICIRA_VENDOR, nicira::NXT_TLV_TABLE_REPLY) => Message::TlvTableReply(TlvTable::decode(r)?),
        (NICIRA_VENDOR, nicira::NXT_CT_FLUSH_ZONE) => {
            r.skip(6)?;
            Message::CtFlushZone(r.u16()?)
        }
        (NICIRA_VENDOR, nicira::NXT_PACKET_IN2) => Message::PacketIn2(Box::new(PacketIn2::decode(r)?)),
        (NICIRA_VENDOR, nicira::NXT_RESUME) => Message::Resume(Box::new(PacketIn2::decode(r)?)),
        (NICIRA_VENDOR, nicira::NXT_CT_FLUSH) => Message::CtFlush(Box::new(CtFlush::decode(r)?)),
        _ => {
            let body = Bytes::copy_from_slice(whole.clone().rest());
            Message::Unknown { message_type: MessageType::EXPERIMENTER, body }
        }
    })
}
