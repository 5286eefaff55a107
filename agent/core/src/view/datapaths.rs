//! Local datapaths: which are, and what is special about each.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str, Uuid};
use smallvec::SmallVec;
use std::collections::BTreeSet;

use super::flag;
use crate::facts::{
    BoundByDatapath, BridgeMappings, GatewayPorts, HaContains, HaDatapaths, HaGroups, IsLocal, LocalDatapaths,
    PeerDatapath, PeerDatapaths, PeerPort, PeerTarget, SeedDatapaths, ThisChassis,
};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Chassis, DatapathBinding, LogicalDpGroup, PortBinding};

/// What a Datapath_Binding is, from its own row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datapath {
    /// tunnel_key.
    pub key: u32,
    /// A logical switch, not a router (type, or else external_ids).
    pub is_switch: bool,
    /// external_ids:interconn-ts is present.
    pub is_transit_switch: bool,
    /// external_ids:name; empty when missing.
    pub name: Str,
    /// external_ids:snat-ct-zone is present, with this value if it is a zone number.
    pub snat_ct_zone: Option<Option<u16>>,
    /// First 32 bits of the UUID.
    pub cookie: u32,
}

/// See [`LocalDatapaths`]. ovn-controller stops at a depth of 100 routers in a row; there is no limit here.
pub fn local_datapaths(r: &Reader<'_>) -> List<RowId> {
    let mut todo: Vec<RowId> = r.fact(SeedDatapaths).to_vec();
    let mut local: BTreeSet<RowId> = todo.iter().copied().collect();
    while let Some(datapath) = todo.pop().filter(|_| !r.interrupt()) {
        todo.extend(r.fact(PeerDatapaths(datapath)).iter().filter(|&&peer| local.insert(peer)));
    }
    local.into_iter().collect()
}

/// See [`SeedDatapaths`].
pub fn seed_datapaths(r: &Reader<'_>) -> List<RowId> {
    let mut seeds: BTreeSet<RowId> = BTreeSet::new();
    seeds.extend(r.fact(BoundByDatapath).iter().map(|(datapath, _)| *datapath));
    seeds.extend(r.fact(GatewayPorts).iter().filter_map(|&port| datapath_of(r, port)));
    for &group in r.fact(HaGroups).iter() {
        seeds.extend(r.fact(HaDatapaths(group)).iter());
    }
    seeds.into_iter().collect()
}

/// See [`IsLocal`].
pub fn is_local(r: &Reader<'_>, datapath: RowId) -> bool {
    r.fact(LocalDatapaths).binary_search(&datapath).is_ok()
}

/// See [`PeerDatapaths`].
pub fn peer_datapaths(r: &Reader<'_>, datapath: RowId) -> List<RowId> {
    let ports = routed_ports(r, datapath).into_iter().take_while(|_| !r.interrupt());
    let peers = ports.filter_map(|port| r.fact(PeerDatapath(port)));
    peers.collect::<BTreeSet<RowId>>().into_iter().collect()
}

/// See [`PeerDatapath`].
pub fn peer_datapath(r: &Reader<'_>, port: RowId) -> Option<RowId> {
    r.find_id::<DatapathBinding>(&r.fact(PeerTarget(port))?)
}

/// See [`PeerTarget`]. local_data.c `need_add_peer_to_local`, OVN 26.03.
pub fn peer_target(r: &Reader<'_>, port: RowId) -> Option<Uuid> {
    let pb = r.row::<PortBinding>(port)?;
    let peer = r.row::<PortBinding>(r.fact(PeerPort(port))?)?;
    let target = Some(peer.datapath());
    if pb.r#type() == "l3gateway" {
        let us = r.row::<Chassis>(r.fact(ThisChassis)?)?.uuid();
        return target.filter(|_| pb.chassis() == Some(us) && peer.chassis() == Some(us));
    }
    let redirect_port = |pb: &Uuid| -> (bool, Option<RowId>) {
        let name = r.find::<PortBinding>(pb).and_then(|pb| pb.options().get("chassis-redirect-port").cloned());
        let row = name.as_ref().and_then(|name| r.lookup_one(|table: &Table<PortBinding>| table.by_logical_port(name)));
        (name.is_some(), row)
    };
    let (own_named, own) = redirect_port(&pb.uuid());
    let (peer_named, other) = redirect_port(&peer.uuid());
    if !own_named && !peer_named {
        return target;
    }
    let is_member = |redirect: RowId| {
        let group = r.row::<PortBinding>(redirect).and_then(|pb| pb.ha_chassis_group());
        group.map(|group| r.fact(HaContains(group)))
    };
    if let Some(other) = other
        && is_switch(r, pb.datapath())
        && !is_switch(r, peer.datapath())
    {
        return target.filter(|_| is_member(other) == Some(true));
    }
    let own = own?;
    let always = r.row::<PortBinding>(own).is_some_and(|pb| flag(pb.options(), "always-redirect"));
    target.filter(|_| !always || is_member(own) == Some(true))
}

/// See [`crate::facts::Datapath`].
pub fn datapath(r: &Reader<'_>, row: RowId) -> Option<Datapath> {
    let binding = r.row::<DatapathBinding>(row)?;
    let ids = binding.external_ids();
    Some(Datapath {
        key: u32::try_from(binding.tunnel_key()).unwrap_or(0),
        is_switch: is_switch(r, binding.uuid()),
        is_transit_switch: ids.contains_key("interconn-ts"),
        name: ids.get("name").cloned().unwrap_or_default(),
        snat_ct_zone: ids.get("snat-ct-zone").map(|text| text.trim_start().parse().ok()),
        cookie: binding.uuid().short(),
    })
}

/// See [`crate::facts::PeerPorts`]. In the order of the ports' UUIDs.
pub fn peer_ports(r: &Reader<'_>, datapath: RowId) -> List<(RowId, RowId)> {
    let pair = |port: RowId| {
        let peer = r.fact(PeerPort(port))?;
        let leads_back = || {
            let beyond = datapath_of(r, peer)?;
            let back = r.fact(IsLocal(beyond)) && r.fact(PeerPort(peer)) == Some(port);
            (back && r.fact(PeerDatapath(peer)).is_some()).then_some(())
        };
        (r.fact(PeerDatapath(port)).is_some() || leads_back().is_some()).then_some((port, peer))
    };
    routed_ports(r, datapath).into_iter().filter_map(pair).collect()
}

/// See [`crate::facts::LocalnetPort`]. Of several the one with the lowest UUID.
pub fn localnet_port(r: &Reader<'_>, datapath: RowId) -> Option<RowId> {
    let mappings = r.fact(BridgeMappings);
    of_type(r, datapath, "localnet").into_iter().find(|&port| {
        let network = r.row::<PortBinding>(port).and_then(|pb| pb.options().get("network_name").cloned());
        network.is_some_and(|network| mappings.iter().any(|(mapped, _)| *mapped == network))
    })
}

/// See [`crate::facts::VtepPort`]. Of several the one with the lowest UUID.
pub fn vtep_port(r: &Reader<'_>, datapath: RowId) -> Option<RowId> {
    of_type(r, datapath, "vtep").first().copied()
}

/// See [`crate::facts::ExternalPorts`].
pub fn external_ports(r: &Reader<'_>, datapath: RowId) -> List<RowId> {
    of_type(r, datapath, "external").into_vec().into()
}

/// See [`crate::facts::MultichassisPorts`].
pub fn multichassis_ports(r: &Reader<'_>, datapath: RowId) -> List<RowId> {
    let Some(binding) = r.row::<DatapathBinding>(datapath) else { return List::default() };
    let is_vif = |port: &RowId| {
        r.row::<PortBinding>(*port)
            .is_some_and(|pb| pb.r#type().is_empty() && pb.parent_port().is_none_or(|p| p.is_empty()))
    };
    r.lookup(|table: &Table<PortBinding>| table.by_multichassis(binding.uuid(), true))
        .into_iter()
        .filter(is_vif)
        .collect()
}

/// See [`crate::facts::LocalMembers`]. The local datapaths are few, the members of a group may be many.
pub fn local_members(r: &Reader<'_>, group: RowId) -> List<RowId> {
    let Some(group) = r.row::<LogicalDpGroup>(group) else { return List::default() };
    let members = group.datapaths();
    let is_member = |row: &RowId| r.row::<DatapathBinding>(*row).is_some_and(|dp| members.contains(&dp.uuid()));
    r.fact(LocalDatapaths).iter().copied().filter(is_member).collect()
}

/// The ports of one type on a datapath, in the order of their UUIDs.
pub fn of_type(r: &Reader<'_>, datapath: RowId, port_type: &str) -> SmallVec<[RowId; 4]> {
    let Some(binding) = r.row::<DatapathBinding>(datapath) else { return SmallVec::new() };
    r.lookup(|table: &Table<PortBinding>| table.by_datapath_and_type(binding.uuid(), port_type))
}

/// The Datapath_Binding row that a port is on.
pub fn datapath_of(r: &Reader<'_>, port: RowId) -> Option<RowId> {
    r.find_id::<DatapathBinding>(&r.row::<PortBinding>(port)?.datapath())
}

/// The ports that may have peers, in the order of their UUIDs.
pub(super) fn routed_ports(r: &Reader<'_>, datapath: RowId) -> SmallVec<[RowId; 4]> {
    let mut ports = of_type(r, datapath, "patch");
    ports.extend(of_type(r, datapath, "l3gateway"));
    ports
}

/// Whether a datapath, by UUID, is a logical switch: by its type, or the older external_ids
/// (ovn-util.c `datapath_get_nb_uuid_and_type`, OVN 26.03).
fn is_switch(r: &Reader<'_>, datapath: Uuid) -> bool {
    let Some(binding) = r.find::<DatapathBinding>(&datapath) else { return false };
    match binding.r#type().filter(|text| !text.is_empty() && binding.nb_uuid().is_some()) {
        Some(text) => text == "logical-switch",
        None => binding.external_ids().get("logical-switch").is_some_and(|text| Uuid::parse(text).is_some()),
    }
}
