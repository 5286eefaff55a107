//! Members of multicast groups: how each port gets its copy of a packet.

use ovsdb::{Str, Uuid};
use std::sync::Arc;

use crate::facts::{ChassisByName, IsZoneUser, PatchOfport, PortByName, PortKind, ThisChassis, VifInterface, Zone};
use crate::reader::Reader;
use crate::rows::{Chassis, PortBinding};
use crate::view::ports::PortKind as Kind;
use crate::view::tunnels::{TunnelKind, any_tunnel};

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
    Elsewhere(Arc<[Away]>),
}

/// A chassis that a copy goes to. It is looked up here rather than for each group, since a group has as many members as there are chassis
/// and one of them changes at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Away {
    /// Its name.
    pub chassis: Str,
    /// It is a VTEP gateway.
    pub is_vtep: bool,
    /// Encapsulation and OpenFlow port of a tunnel to it.
    pub tunnel: Option<(TunnelKind, u16)>,
}

impl Away {
    fn at(r: &Reader<'_>, chassis: Str) -> Self {
        let is_vtep = r.fact(ChassisByName(chassis.clone())).is_vtep;
        let tunnel = any_tunnel(r, &chassis).map(|tunnel| (tunnel.kind, tunnel.ofport));
        Self { chassis, is_vtep, tunnel }
    }
}

/// See [`crate::facts::GroupMember`].
pub fn group_member(r: &Reader<'_>, port: ovsdb::RowId) -> GroupMember {
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
    let away = |uuid: &Uuid| r.find::<Chassis>(uuid).map(|chassis| Away::at(r, chassis.name().clone()));
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
            let chassis: Arc<[Away]> =
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
