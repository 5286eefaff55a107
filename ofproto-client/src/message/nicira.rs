//! Open vSwitch's own messages (vendor 0x2320): the Geneve option table ([`TlvTableMod`], [`TlvTable`]) and flushing of
//! connection tracking ([`CtFlush`]).

use std::net::Ipv6Addr;

use bytes::{BufMut, BytesMut};

use super::wire::{DecodeError, Reader, put_nested_property, put_property, put_u16_property};

/// Vendor number of Nicira, Open vSwitch's extensions.
pub const NICIRA_VENDOR: u32 = 0x2320;

pub(crate) const NXT_SET_PACKET_IN_FORMAT: u32 = 16;
pub(crate) const NXT_SET_CONTROLLER_ID: u32 = 20;
pub(crate) const NXT_TLV_TABLE_MOD: u32 = 24;
pub(crate) const NXT_TLV_TABLE_REQUEST: u32 = 25;
pub(crate) const NXT_TLV_TABLE_REPLY: u32 = 26;
pub(crate) const NXT_RESUME: u32 = 28;
pub(crate) const NXT_CT_FLUSH_ZONE: u32 = 29;
pub(crate) const NXT_PACKET_IN2: u32 = 30;
pub(crate) const NXT_CT_FLUSH: u32 = 32;

/// One Geneve option and the `tun_metadata` field that shows it.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TlvMap {
    /// Geneve option class; OVN's is 0x0102.
    pub option_class: u16,
    /// Geneve option type; OVN's is 0x80.
    pub option_type: u8,
    /// Option length in bytes, a multiple of 4.
    pub option_len: u8,
    /// n of `tun_metadata<n>`.
    pub index: u16,
}

impl TlvMap {
    fn decode(r: &mut Reader<'_>) -> Result<TlvMap, DecodeError> {
        let map = TlvMap { option_class: r.u16()?, option_type: r.u8()?, option_len: r.u8()?, index: r.u16()? };
        r.skip(2)?;
        Ok(map)
    }

    fn decode_all(r: &mut Reader<'_>) -> Result<Vec<TlvMap>, DecodeError> {
        let mut maps = Vec::with_capacity(r.len() / 8);
        while !r.is_empty() {
            maps.push(TlvMap::decode(r)?);
        }
        Ok(maps)
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.option_class);
        out.put_u8(self.option_type);
        out.put_u8(self.option_len);
        out.put_u16(self.index);
        out.put_u16(0);
    }
}

/// What a [`TlvTableMod`] does.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum TlvTableCommand {
    /// Adds mappings.
    Add,
    /// Deletes mappings.
    Delete,
    /// Deletes all mappings.
    Clear,
}

/// `NXT_TLV_TABLE_MOD`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlvTableMod {
    /// What to do.
    pub command: TlvTableCommand,
    /// With which mappings.
    pub maps: Vec<TlvMap>,
}

impl TlvTableMod {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<TlvTableMod, DecodeError> {
        let command = match r.u16()? {
            0 => TlvTableCommand::Add,
            1 => TlvTableCommand::Delete,
            2 => TlvTableCommand::Clear,
            other => return Err(r.bad_value("command", other)),
        };
        r.skip(6)?;
        Ok(TlvTableMod { command, maps: TlvMap::decode_all(r)? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u16(match self.command {
            TlvTableCommand::Add => 0,
            TlvTableCommand::Delete => 1,
            TlvTableCommand::Clear => 2,
        });
        out.put_bytes(0, 6);
        self.maps.iter().for_each(|map| map.encode(out));
    }
}

/// `NXT_TLV_TABLE_REPLY`: the switch's Geneve option table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlvTable {
    /// Bytes that all options together may take.
    pub max_option_space: u32,
    /// Number of `tun_metadata` fields.
    pub max_fields: u16,
    /// The mappings there are.
    pub maps: Vec<TlvMap>,
}

impl TlvTable {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<TlvTable, DecodeError> {
        let (max_option_space, max_fields) = (r.u32()?, r.u16()?);
        r.skip(10)?;
        Ok(TlvTable { max_option_space, max_fields, maps: TlvMap::decode_all(r)? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u32(self.max_option_space);
        out.put_u16(self.max_fields);
        out.put_bytes(0, 10);
        self.maps.iter().for_each(|map| map.encode(out));
    }
}

/// One direction of a tracked connection. What is `None` matches anything.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct CtTuple {
    /// Source address; IPv4 as `::ffff:a.b.c.d`.
    pub src: Option<Ipv6Addr>,
    /// Destination address; IPv4 as `::ffff:a.b.c.d`.
    pub dst: Option<Ipv6Addr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// ICMP identifier.
    pub icmp_id: Option<u16>,
    /// ICMP type.
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
}

impl CtTuple {
    fn decode(mut r: Reader<'_>) -> Result<CtTuple, DecodeError> {
        let mut tuple = CtTuple::default();
        while !r.is_empty() {
            let mut p = r.property()?;
            match p.kind {
                0 => tuple.src = Some(p.payload.array::<16>()?.into()),
                1 => tuple.dst = Some(p.payload.array::<16>()?.into()),
                2 => tuple.src_port = Some(p.payload.u16()?),
                3 => tuple.dst_port = Some(p.payload.u16()?),
                4 => tuple.icmp_id = Some(p.payload.u16()?),
                5 => tuple.icmp_type = Some(p.payload.u8()?),
                6 => tuple.icmp_code = Some(p.payload.u8()?),
                other => return Err(r.bad_value("tuple property", other)),
            }
        }
        Ok(tuple)
    }

    fn encode(&self, out: &mut BytesMut) {
        for (kind, address) in [(0, self.src), (1, self.dst)] {
            if let Some(address) = address {
                put_property(out, kind, |out| out.put_slice(&address.octets()));
            }
        }
        for (kind, value) in [(2, self.src_port), (3, self.dst_port), (4, self.icmp_id)] {
            if let Some(value) = value {
                put_u16_property(out, kind, value);
            }
        }
        for (kind, value) in [(5, self.icmp_type), (6, self.icmp_code)] {
            if let Some(value) = value {
                put_property(out, kind, |out| out.put_u8(value));
            }
        }
    }
}

/// `NXT_CT_FLUSH`: forget the tracked connections that match. What is `None` matches anything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CtFlush {
    /// IP protocol, 0 for any.
    pub ip_proto: u8,
    /// Tuple of the original direction.
    pub original: Option<CtTuple>,
    /// Tuple of the reply direction.
    pub reply: Option<CtTuple>,
    /// Conntrack zone.
    pub zone: Option<u16>,
    /// Conntrack mark, and its mask if it has one.
    pub mark: Option<(u32, Option<u32>)>,
    /// Conntrack label, and its mask if it has one.
    pub label: Option<(u128, Option<u128>)>,
}

impl CtFlush {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<CtFlush, DecodeError> {
        let mut flush = CtFlush { ip_proto: r.u8()?, ..CtFlush::default() };
        r.skip(7)?;
        let (mut mark_mask, mut label_mask) = (None, None);
        while !r.is_empty() {
            let mut p = r.property()?;
            match p.kind {
                0 => flush.original = Some(CtTuple::decode(p.nested()?)?),
                1 => flush.reply = Some(CtTuple::decode(p.nested()?)?),
                2 => flush.zone = Some(p.payload.u16()?),
                3 => flush.mark = Some((p.payload.u32()?, None)),
                4 => mark_mask = Some(p.payload.u32()?),
                5 => flush.label = Some((u128::from_be_bytes(p.payload.array()?), None)),
                6 => label_mask = Some(u128::from_be_bytes(p.payload.array()?)),
                other => return Err(r.bad_value("property", other)),
            }
        }
        flush.mark = flush.mark.map(|(mark, _)| (mark, mark_mask));
        flush.label = flush.label.map(|(label, _)| (label, label_mask));
        Ok(flush)
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.ip_proto);
        out.put_bytes(0, 7);
        for (kind, tuple) in [(0, &self.original), (1, &self.reply)] {
            if let Some(tuple) = tuple {
                put_nested_property(out, kind, |out| tuple.encode(out));
            }
        }
        if let Some(zone) = self.zone {
            put_u16_property(out, 2, zone);
        }
        if let Some((mark, mask)) = self.mark {
            put_property(out, 3, |out| out.put_u32(mark));
            if let Some(mask) = mask {
                put_property(out, 4, |out| out.put_u32(mask));
            }
        }
        if let Some((label, mask)) = self.label {
            put_property(out, 5, |out| out.put_u128(label));
            if let Some(mask) = mask {
                put_property(out, 6, |out| out.put_u128(mask));
            }
        }
    }
}
