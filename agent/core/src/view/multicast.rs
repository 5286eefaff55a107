//! Members of multicast groups: how each port gets its copy of a packet ([`GroupMember`]). A large group, which has a member for each of
//! a thousand chassis, is in parts ([`GroupPart`]), so that of a member that comes, goes or moves one part is looked at again.

use ovsdb::{RowId, Set, Str, Uuid};
use std::sync::Arc;

use crate::facts::{
    ChassisByName, FlowBasedTunnels, GroupMember as GroupMemberFact, GroupPorts, IsZoneUser, PatchOfport, PortByName,
    PortKind, ThisChassis, VifInterface, Zone,
};
use crate::flows::ovs_order::hash_string;
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Chassis, MulticastGroup, PortBinding};
use crate::view::ports::PortKind as Kind;
use crate::view::tunnels::{FlowBasedEnd, TunnelKind, any_tunnel, flow_based_end};

/// From this many members on a group is in parts.
pub const LARGE: usize = 64;
/// So many parts: the root of a thousand.
pub const PARTS: u8 = 32;

/// A member of multicast groups, as far as its port alone decides. physical.c `consider_mc_group`, OVN 26.03.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMember {
    /// Datapath that the port is on.
    pub datapath: Uuid,
    /// Key of the port to deliver to.
    pub key: u32,
    /// Conntrack zone of the port; 0 is none.
    pub zone: u16,
    /// How it is reached.
    pub reach: Reach,
}

/// How a member of a multicast group is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It is not.
    #[default]
    Nothing,
    /// Delivered on this chassis, for packets from anywhere.
    Local,
    /// A patch port: crossed on the chassis where the packet starts, or on a transit switch where it ends.
    Patch,
    /// A localport: delivered on the chassis where the packet starts.
    Localport,
    /// A port of another availability zone: has a tunnel of its own.
    Remote(Away),
    /// On these chassis, through tunnels unless the datapath has a localnet port.
    Elsewhere(List<Away>),
}

/// A chassis that a copy goes to. It is looked up here rather than for each group, since a group has as many members as there are chassis
/// and one of them changes at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Away {
    /// Its name.
    pub chassis: Str,
    /// The name's hash, for the order in which the copies are made.
    pub hash: u32,
    /// It is a VTEP gateway.
    pub is_vtep: bool,
    /// Encapsulation and OpenFlow port of a tunnel to it.
    pub tunnel: Option<(TunnelKind, u16)>,
    /// The far end, if tunnels are flow-based.
    pub end: Option<FlowBasedEnd>,
}

impl Away {
    fn at(r: &Reader<'_>, uuid: &Uuid) -> Option<Self> {
        let chassis = r.find::<Chassis>(uuid)?.name().clone();
        let is_vtep = r.fact(ChassisByName(chassis.clone())).is_vtep;
        let tunnel = any_tunnel(r, &chassis).map(|tunnel| (tunnel.kind, tunnel.ofport));
        let end = r.fact(FlowBasedTunnels).and_then(|shared| flow_based_end(r, *uuid, None, &shared));
        Some(Self { hash: hash_string(&chassis), chassis, is_vtep, tunnel, end })
    }
}

/// The members of a group, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupPart {
    /// Those that get a copy of their own, in the order of their UUIDs.
    pub members: Vec<GroupMember>,
    /// Where the others are: chassis with members, likewise; one that has several comes several times.
    pub away: Vec<Away>,
    /// Ports that are on another datapath than the group.
    pub strangers: Vec<Uuid>,
}

impl GroupPart {
    /// Of these ports of a group on that datapath.
    pub fn of<'a>(r: &Reader<'_>, ports: impl ExactSizeIterator<Item = &'a Uuid>, datapath: &Uuid) -> Self {
        let mut part = Self { away: Vec::with_capacity(ports.len()), ..Self::default() };
        for uuid in ports {
            let Some(port) = r.find_id::<PortBinding>(uuid) else { continue };
            let member = r.fact(GroupMemberFact(port));
            match &member.reach {
                _ if member.datapath != *datapath => part.strangers.push(*uuid),
                Reach::Nothing => {}
                Reach::Elsewhere(chassis) => part.away.extend(chassis.iter().cloned()),
                Reach::Local | Reach::Patch | Reach::Localport | Reach::Remote(_) => part.members.push(member),
            }
        }
        part
    }
}

/// The part that a member is in: parts one after the other are in the order of the UUIDs.
pub fn part_of(port: &Uuid) -> u8 {
    let [first, ..] = port.0;
    first / (u8::MAX / PARTS + 1)
}

/// See [`GroupPorts`].
pub fn group_ports(r: &Reader<'_>, group: RowId) -> Set<Uuid> {
    r.row::<MulticastGroup>(group).map(|group| group.ports().clone()).unwrap_or_default()
}

/// See [`crate::facts::GroupPart`].
pub fn group_part(r: &Reader<'_>, group: RowId, part: u8) -> Arc<GroupPart> {
    let ports = r.entry(GroupPorts(group), &part);
    let Some(datapath) = r.row::<MulticastGroup>(group).map(|group| group.datapath()) else { return Arc::default() };
    Arc::new(GroupPart::of(r, ports.iter(), &datapath))
}

/// See [`crate::facts::GroupMember`].
pub fn group_member(r: &Reader<'_>, port: RowId) -> GroupMember {
    let Some(pb) = r.row::<PortBinding>(port) else { return GroupMember::default() };
    let Ok(key) = u32::try_from(pb.tunnel_key()) else { return GroupMember::default() };
    let name = pb.logical_port();
    let kind = r.fact(PortKind(port));
    let member = |key: u32, reach: Reach| {
        let zone = match reach {
            // The few that have a zone are asked for it; most need not be looked at when zones change.
            Reach::Local | Reach::Patch if r.fact(IsZoneUser(port)) => r.fact(Zone(name.clone())),
            _ => 0,
        };
        GroupMember { datapath: pb.datapath(), key, zone, reach }
    };
    let ours = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)).map(|chassis| chassis.uuid());
    let is_ours = |chassis: Option<Uuid>| chassis.is_some() && chassis == ours;
    let away = |uuid: &Uuid| Away::at(r, uuid);
    match kind {
        Kind::Patch => return member(key, Reach::Patch),
        Kind::Localport => return member(key, Reach::Localport),
        Kind::Remote => {
            let chassis = pb.chassis().and_then(|uuid| away(&uuid));
            return member(key, chassis.map_or(Reach::Nothing, Reach::Remote));
        }
        _ => {}
    }
    let here = is_ours(pb.chassis()) || ours.is_some_and(|ours| pb.additional_chassis().contains(&ours));
    if here
        && (kind == Kind::L3Gateway || is_plugged(r, pb.parent_port().filter(|name| !name.is_empty()).unwrap_or(name)))
    {
        return member(key, Reach::Local);
    }
    match kind {
        Kind::Localnet | Kind::L2Gateway if r.fact(PatchOfport(name.clone())).is_some() => member(key, Reach::Local),
        Kind::ChassisRedirect if is_ours(pb.chassis()) => {
            let distributed = pb.options().get("distributed-port").and_then(|name| r.fact(PortByName(name.clone())));
            let distributed = distributed.and_then(|row| r.row::<PortBinding>(row));
            match distributed
                .filter(|port| port.datapath() == pb.datapath())
                .map(|port| u32::try_from(port.tunnel_key()))
            {
                Some(Ok(key)) => member(key, Reach::Local),
                _ => member(key, Reach::Nothing),
            }
        }
        _ => {
            let chassis: List<Away> =
                pb.chassis().iter().chain(pb.additional_chassis().iter()).filter_map(away).collect();
            member(key, if chassis.is_empty() { Reach::Nothing } else { Reach::Elsewhere(chassis) })
        }
    }
}

/// Whether an interface of ours carries this VIF, or, for a child, its parent.
fn is_plugged(r: &Reader<'_>, name: &Str) -> bool {
    r.fact(VifInterface(name.clone())).is_some()
        && r.fact(PortByName(name.clone())).is_some_and(|port| r.fact(PortKind(port)) == Kind::Vif)
}
