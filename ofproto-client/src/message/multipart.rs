//! Multipart requests and replies (OpenFlow 1.5.1, 7.3.5): [`MultipartRequest`], [`MultipartReply`], and [`Reassembly`]
//! for those who want a reply in one piece. A reply of many megabytes, such as all flows, is better taken part by part.

use bytes::{BufMut, Bytes, BytesMut};

use super::flow::{FlowStats, FlowStatsRequest, RejectedFlow};
use super::group::{
    GroupStats, Rejected, decode_group_descs, decode_meter_configs, encode_group_desc, encode_meter_config,
};
use super::header::Xid;
use super::port::PortDesc;
use super::wire::{DecodeError, Problem, Reader, put_string, read_string};
use crate::group::Group;
use crate::meter::Meter;

const DESC: u16 = 0;
const FLOW_DESC: u16 = 1;
const GROUP_STATS: u16 = 6;
const GROUP_DESC: u16 = 7;
const GROUP_FEATURES: u16 = 8;
const METER_CONFIG: u16 = 10;
const METER_FEATURES: u16 = 11;
const PORT_DESC: u16 = 13;

const MORE: u16 = 1;

/// `OFPT_MULTIPART_REQUEST`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MultipartRequest {
    /// Who made the switch.
    Desc,
    /// Flows and their statistics.
    Flows(FlowStatsRequest),
    /// A group, or all of them with [`crate::group::GROUP_ALL`].
    GroupDesc(u32),
    /// The size of a group, or of all of them with [`crate::group::GROUP_ALL`].
    GroupStats(u32),
    /// A meter, or all of them with [`crate::meter::METER_ALL`].
    MeterConfig(u32),
    /// What groups can do.
    GroupFeatures,
    /// What meters can do.
    MeterFeatures,
    /// A port, or all of them with 0xffffffff.
    PortDesc(u32),
    /// Any other request.
    Unknown {
        /// `ofp_multipart_type`.
        multipart_type: u16,
        /// The request's body.
        body: Bytes,
    },
}

impl MultipartRequest {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MultipartRequest, DecodeError> {
        let multipart_type = r.u16()?;
        r.skip(6)?;
        Ok(match multipart_type {
            DESC => MultipartRequest::Desc,
            FLOW_DESC => MultipartRequest::Flows(FlowStatsRequest::decode(r)?),
            GROUP_DESC => MultipartRequest::GroupDesc(r.u32()?),
            GROUP_STATS => {
                let id = r.u32()?;
                r.skip(4)?;
                MultipartRequest::GroupStats(id)
            }
            METER_CONFIG => MultipartRequest::MeterConfig(r.u32()?),
            GROUP_FEATURES => MultipartRequest::GroupFeatures,
            METER_FEATURES => MultipartRequest::MeterFeatures,
            PORT_DESC => MultipartRequest::PortDesc(r.u32()?),
            _ => MultipartRequest::Unknown { multipart_type, body: Bytes::copy_from_slice(r.rest()) },
        })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        put_head(self.multipart_type(), false, out);
        match self {
            MultipartRequest::Flows(request) => request.encode(out),
            MultipartRequest::GroupDesc(id)
            | MultipartRequest::GroupStats(id)
            | MultipartRequest::MeterConfig(id)
            | MultipartRequest::PortDesc(id) => {
                out.put_u32(*id);
                out.put_u32(0);
            }
            MultipartRequest::Unknown { body, .. } => out.put_slice(body),
            MultipartRequest::Desc | MultipartRequest::GroupFeatures | MultipartRequest::MeterFeatures => {}
        }
    }

    fn multipart_type(&self) -> u16 {
        match self {
            MultipartRequest::Desc => DESC,
            MultipartRequest::Flows(_) => FLOW_DESC,
            MultipartRequest::GroupDesc(_) => GROUP_DESC,
            MultipartRequest::GroupStats(_) => GROUP_STATS,
            MultipartRequest::MeterConfig(_) => METER_CONFIG,
            MultipartRequest::GroupFeatures => GROUP_FEATURES,
            MultipartRequest::MeterFeatures => METER_FEATURES,
            MultipartRequest::PortDesc(_) => PORT_DESC,
            MultipartRequest::Unknown { multipart_type, .. } => *multipart_type,
        }
    }
}

/// `OFPT_MULTIPART_REPLY`: one part of a reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MultipartReply {
    /// True if more parts follow with the same xid.
    pub more: bool,
    /// The part.
    pub body: MultipartReplyBody,
}

/// What a part of a multipart reply holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MultipartReplyBody {
    /// Who made the switch.
    Desc(Box<SwitchDesc>),
    /// Flows.
    Flows {
        /// Those that this crate can express.
        flows: Vec<FlowStats>,
        /// The others.
        rejected: Vec<RejectedFlow>,
    },
    /// Groups.
    Groups {
        /// Those that this crate can express.
        groups: Vec<Group>,
        /// The others.
        rejected: Vec<Rejected>,
    },
    /// Meters.
    Meters {
        /// Those that this crate can express.
        meters: Vec<Meter>,
        /// The others.
        rejected: Vec<Rejected>,
    },
    /// Sizes of groups.
    GroupStats(Vec<GroupStats>),
    /// What groups can do.
    GroupFeatures(GroupFeatures),
    /// What meters can do.
    MeterFeatures(MeterFeatures),
    /// Ports.
    Ports(Vec<PortDesc>),
    /// Any other reply.
    Unknown {
        /// `ofp_multipart_type`.
        multipart_type: u16,
        /// The part's body.
        body: Bytes,
    },
}

/// `ofp_desc`: strings about the switch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SwitchDesc {
    /// Manufacturer.
    pub manufacturer: String,
    /// Hardware.
    pub hardware: String,
    /// Software version, such as `3.1.0`.
    pub software: String,
    /// Serial number.
    pub serial: String,
    /// The datapath as its owner calls it.
    pub datapath: String,
}

/// `ofp_group_features`; arrays are indexed by group type (all, select, indirect, fast failover).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupFeatures {
    /// Bit per group type.
    pub types: u32,
    /// `OFPGFC_*` bits.
    pub capabilities: u32,
    /// Number of groups possible.
    pub max_groups: [u32; 4],
    /// Bit per action type.
    pub actions: [u32; 4],
}

/// `ofp_meter_features`.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct MeterFeatures {
    /// Number of meters possible; 0: the datapath has none.
    pub max_meters: u32,
    /// Bit per band type.
    pub band_types: u32,
    /// `OFPMF_*` bits.
    pub capabilities: u32,
    /// Bands per meter.
    pub max_bands: u8,
    /// Highest colour.
    pub max_color: u8,
}

impl MultipartReply {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MultipartReply, DecodeError> {
        let multipart_type = r.u16()?;
        let more = r.u16()? & MORE != 0;
        r.skip(4)?;
        let body = match multipart_type {
            DESC => MultipartReplyBody::Desc(Box::new(SwitchDesc {
                manufacturer: read_string(r.take(256)?),
                hardware: read_string(r.take(256)?),
                software: read_string(r.take(256)?),
                serial: read_string(r.take(32)?),
                datapath: read_string(r.take(256)?),
            })),
            FLOW_DESC => {
                let (flows, rejected) = FlowStats::decode_all(r)?;
                MultipartReplyBody::Flows { flows, rejected }
            }
            GROUP_DESC => {
                let (groups, rejected) = decode_group_descs(r)?;
                MultipartReplyBody::Groups { groups, rejected }
            }
            GROUP_STATS => MultipartReplyBody::GroupStats(all(r, GroupStats::decode)?),
            METER_CONFIG => {
                let (meters, rejected) = decode_meter_configs(r)?;
                MultipartReplyBody::Meters { meters, rejected }
            }
            GROUP_FEATURES => MultipartReplyBody::GroupFeatures(GroupFeatures {
                types: r.u32()?,
                capabilities: r.u32()?,
                max_groups: four(r)?,
                actions: four(r)?,
            }),
            METER_FEATURES => MultipartReplyBody::MeterFeatures(MeterFeatures {
                max_meters: r.u32()?,
                band_types: r.u32()?,
                capabilities: r.u32()?,
                max_bands: r.u8()?,
                max_color: r.u8()?,
            }),
            PORT_DESC => MultipartReplyBody::Ports(all(r, PortDesc::decode)?),
            _ => MultipartReplyBody::Unknown { multipart_type, body: Bytes::copy_from_slice(r.rest()) },
        };
        Ok(MultipartReply { more, body })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        put_head(self.body.multipart_type(), self.more, out);
        match &self.body {
            MultipartReplyBody::Desc(desc) => {
                put_string(out, &desc.manufacturer, 256);
                put_string(out, &desc.hardware, 256);
                put_string(out, &desc.software, 256);
                put_string(out, &desc.serial, 32);
                put_string(out, &desc.datapath, 256);
            }
            // What was rejected has no wire form any more.
            MultipartReplyBody::Flows { flows, .. } => flows.iter().for_each(|flow| flow.encode(out)),
            MultipartReplyBody::Groups { groups, .. } => groups.iter().for_each(|group| encode_group_desc(group, out)),
            MultipartReplyBody::Meters { meters, .. } => {
                meters.iter().for_each(|meter| encode_meter_config(meter, out))
            }
            MultipartReplyBody::GroupStats(all) => all.iter().for_each(|stats| stats.encode(out)),
            MultipartReplyBody::GroupFeatures(f) => {
                out.put_u32(f.types);
                out.put_u32(f.capabilities);
                f.max_groups.iter().chain(&f.actions).for_each(|&word| out.put_u32(word));
            }
            MultipartReplyBody::MeterFeatures(f) => {
                out.put_u32(f.max_meters);
                out.put_u32(f.band_types);
                out.put_u32(f.capabilities);
                out.put_u8(f.max_bands);
                out.put_u8(f.max_color);
                out.put_u16(0);
            }
            MultipartReplyBody::Ports(ports) => ports.iter().for_each(|port| port.encode(out)),
            MultipartReplyBody::Unknown { body, .. } => out.put_slice(body),
        }
    }
}

impl MultipartReplyBody {
    fn multipart_type(&self) -> u16 {
        match self {
            MultipartReplyBody::Desc(_) => DESC,
            MultipartReplyBody::Flows { .. } => FLOW_DESC,
            MultipartReplyBody::Groups { .. } => GROUP_DESC,
            MultipartReplyBody::Meters { .. } => METER_CONFIG,
            MultipartReplyBody::GroupStats(_) => GROUP_STATS,
            MultipartReplyBody::GroupFeatures(_) => GROUP_FEATURES,
            MultipartReplyBody::MeterFeatures(_) => METER_FEATURES,
            MultipartReplyBody::Ports(_) => PORT_DESC,
            MultipartReplyBody::Unknown { multipart_type, .. } => *multipart_type,
        }
    }

    /// Appends a later part of the same reply; false if it is of another kind.
    fn append(&mut self, part: MultipartReplyBody) -> bool {
        match (self, part) {
            (
                MultipartReplyBody::Flows { flows, rejected },
                MultipartReplyBody::Flows { flows: more, rejected: more_rejected },
            ) => {
                flows.extend(more);
                rejected.extend(more_rejected);
            }
            (
                MultipartReplyBody::Groups { groups, rejected },
                MultipartReplyBody::Groups { groups: more, rejected: more_rejected },
            ) => {
                groups.extend(more);
                rejected.extend(more_rejected);
            }
            (MultipartReplyBody::GroupStats(all), MultipartReplyBody::GroupStats(more)) => all.extend(more),
            (
                MultipartReplyBody::Meters { meters, rejected },
                MultipartReplyBody::Meters { meters: more, rejected: more_rejected },
            ) => {
                meters.extend(more);
                rejected.extend(more_rejected);
            }
            (MultipartReplyBody::Ports(all), MultipartReplyBody::Ports(more)) => all.extend(more),
            _ => return false,
        }
        true
    }
}

/// Puts the parts of one multipart reply together.
#[derive(Clone, Debug)]
pub struct Reassembly {
    xid: Xid,
    body: Option<MultipartReplyBody>,
}

impl Reassembly {
    /// For the reply to the request that was sent with `xid`.
    pub fn new(xid: Xid) -> Reassembly {
        Reassembly { xid, body: None }
    }

    /// The request's xid.
    pub fn xid(&self) -> Xid {
        self.xid
    }

    /// Takes a part; the whole reply once the last part is there. A part of another kind than the first is an error.
    pub fn push(&mut self, part: MultipartReply) -> Result<Option<MultipartReplyBody>, DecodeError> {
        match &mut self.body {
            None => self.body = Some(part.body),
            Some(body) => {
                let multipart_type = part.body.multipart_type();
                if !body.append(part.body) {
                    let problem = Problem::Value { field: "type of a later part", value: multipart_type.into() };
                    return Err(DecodeError { what: "OFPT_MULTIPART_REPLY", offset: 0, problem });
                }
            }
        }
        Ok(if part.more { None } else { self.body.take() })
    }
}

fn put_head(multipart_type: u16, more: bool, out: &mut BytesMut) {
    out.put_u16(multipart_type);
    out.put_u16(if more { MORE } else { 0 });
    out.put_u32(0);
}

fn four(r: &mut Reader<'_>) -> Result<[u32; 4], DecodeError> {
    Ok([r.u32()?, r.u32()?, r.u32()?, r.u32()?])
}

fn all<'a, T>(
    r: &mut Reader<'a>,
    one: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    while !r.is_empty() {
        items.push(one(r)?);
    }
    Ok(items)
}
