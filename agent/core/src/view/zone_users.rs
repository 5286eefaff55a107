//! Who has a conntrack zone here: ports in use, and two of each local datapath.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str};
use std::collections::BTreeSet;

use super::datapaths::of_type;
use super::flag;
use super::ports::{HaRole, PortKind, ha_role_of, has_interface};
use super::zones::nat_zone;
use crate::facts::{
    BoundHere, BoundPorts, Datapath, DatapathZoneUsers, GatewayPorts, HaGroups, HaPorts, HaRole as HaRoleFact,
    IfaceIds, IsGateway, IsLocal, IsZoneUser, LocalDatapaths, LocalnetPorts, LocalportOf, Placement,
    PortKind as PortKindFact, PortZoneNames, PortZoneUsers,
};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{DatapathBinding, PortBinding};
use crate::zones::ZoneKind;

/// See [`crate::facts::ZoneUsers`].
pub fn zone_users(r: &Reader<'_>, kind: ZoneKind) -> List<Str> {
    let ports = r.fact(PortZoneNames(kind));
    match kind {
        ZoneKind::Port => ports,
        ZoneKind::Nat if ports.is_empty() => r.fact(DatapathZoneUsers),
        ZoneKind::Nat => {
            let names: BTreeSet<Str> = r.fact(DatapathZoneUsers).iter().chain(ports.iter()).cloned().collect();
            names.into_iter().collect()
        }
    }
}

/// See [`PortZoneNames`].
pub fn port_zone_names(r: &Reader<'_>, kind: ZoneKind) -> List<Str> {
    let users = r.fact(PortZoneUsers);
    users.iter().map(|(name, _)| name).filter(|name| ZoneKind::of(name) == kind).cloned().collect()
}

/// See [`DatapathZoneUsers`].
pub fn datapath_zone_users(r: &Reader<'_>) -> List<Str> {
    let local = r.fact(LocalDatapaths);
    let named = local.iter().filter_map(|&datapath| r.fact(Datapath(datapath))).filter(|dp| !dp.name.is_empty());
    let users = named.flat_map(|datapath| ["dnat", "snat"].map(|half| nat_zone(&datapath.name, half)));
    users.collect::<BTreeSet<Str>>().into_iter().collect()
}

/// See [`crate::facts::LimitedDatapaths`].
pub fn limited_datapaths(r: &Reader<'_>) -> List<RowId> {
    let is_limited = |row: &RowId| {
        r.row::<DatapathBinding>(*row).is_some_and(|datapath| datapath.external_ids().contains_key("ct-zone-limit"))
    };
    r.fact(LocalDatapaths).iter().copied().filter(is_limited).collect()
}

/// See [`LocalnetPorts`].
pub fn localnet_ports(r: &Reader<'_>) -> List<RowId> {
    r.fact(LocalDatapaths).iter().flat_map(|&datapath| of_type(r, datapath, "localnet")).collect()
}

/// See [`PortZoneUsers`].
pub fn port_zone_users(r: &Reader<'_>) -> List<(Str, RowId)> {
    // What is bound has a zone.
    let bound = r.fact(BoundPorts);
    let mut users: Vec<(Str, RowId)> = bound.iter().map(|&port| (r.fact(Placement(port)).lport, port)).collect();
    let mut ports: Vec<RowId> = r.fact(GatewayPorts).to_vec();
    for &group in r.fact(HaGroups).iter() {
        if r.fact(HaRoleFact(group)) == HaRole::Active {
            ports.extend(r.fact(HaPorts(group)).iter());
        }
    }
    ports.extend(r.fact(IfaceIds).iter().filter_map(|id| r.fact(LocalportOf(id.clone()))));
    ports.extend(r.lookup(|table: &Table<PortBinding>| table.by_router_port_acl(true)));
    ports.extend(r.fact(LocalnetPorts).iter());
    ports.sort_unstable();
    ports.dedup();
    let names = ports.into_iter().filter(|&port| r.fact(IsZoneUser(port)));
    users.extend(names.filter_map(|port| Some((r.row::<PortBinding>(port)?.logical_port().clone(), port))));
    users.sort_by(|(a, _), (b, _)| a.cmp(b));
    users.dedup_by(|(next, _), (kept, _)| next == kept);
    users.into()
}

/// See [`IsZoneUser`].
pub fn is_zone_user(r: &Reader<'_>, port: RowId) -> bool {
    match r.fact(PortKindFact(port)) {
        PortKind::Vif | PortKind::Container | PortKind::Mirror | PortKind::Virtual => r.fact(BoundHere(port)).is_here(),
        PortKind::Localport => has_interface(r, port),
        PortKind::Localnet => super::datapaths::datapath_of(r, port).is_some_and(|datapath| r.fact(IsLocal(datapath))),
        PortKind::L2Gateway | PortKind::L3Gateway => r.fact(IsGateway(port)),
        PortKind::ChassisRedirect | PortKind::External => ha_role_of(r, port) == HaRole::Active,
        PortKind::Patch => r.row::<PortBinding>(port).is_some_and(|pb| flag(pb.options(), "enable_router_port_acl")),
        PortKind::Remote | PortKind::Vtep | PortKind::Unknown => false,
    }
}
