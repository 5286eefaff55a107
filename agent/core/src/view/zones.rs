//! Conntrack zones by user name: those persisted in Bridge.external_ids stay, new users get the lowest free ones.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::datapaths::of_type;
use super::flag;
use super::ports::{HaRole, PortKind, ha_role_of, has_interface};
use crate::facts::{
    BoundHere, BoundPorts, Datapath, DatapathZoneUsers, DatapathZones, GatewayPorts, HaGroups, HaPorts,
    HaRole as HaRoleFact, IfaceIds, IntegrationBridge, IsGateway, IsLocal, IsZoneUser, LocalDatapaths, LocalnetPorts,
    LocalportOf, PersistedZones, Placement, PortKind as PortKindFact, PortZoneUsers, RequestedZones, Setting, Zone,
    ZoneKeys, ZoneRange, ZoneUsers, Zones,
};
use crate::reader::Reader;
use crate::rows::{Bridge, DatapathBinding, PortBinding};

/// What the keys of zones in Bridge.external_ids begin with.
pub const KEY_PREFIX: &str = "ct-zone-";

/// The zones of a port binding; 0 is none. physical.c `get_zone_ids`, OVN 26.03.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PortZones {
    /// Zone of the logical port itself.
    pub ct: u16,
    /// The datapath's DNAT zone.
    pub dnat: u16,
    /// The datapath's SNAT zone.
    pub snat: u16,
}

/// Zones: a bit for each number.
struct ZoneSet(Box<[u64]>);

impl Default for ZoneSet {
    fn default() -> Self {
        Self(vec![0; 1 << 10].into())
    }
}

impl ZoneSet {
    /// Says whether it was not there.
    fn insert(&mut self, zone: u16) -> bool {
        let is_new = !self.contains(zone);
        self.0[usize::from(zone >> 6)] |= 1 << (zone & 63);
        is_new
    }

    fn contains(&self, zone: u16) -> bool {
        self.0[usize::from(zone >> 6)] & 1 << (zone & 63) != 0
    }
}

/// See [`crate::facts::Zones`]. ct-zone.c `ct_zones_update`, OVN 26.03, with a fixed order among new users. A zone whose former user is
/// still persisted is not free: its tracked connections are still to be flushed.
pub fn zones(r: &Reader<'_>) -> Arc<[(Str, u16)]> {
    let users = r.fact(ZoneUsers);
    let requested = r.fact(RequestedZones);
    let (min, max) = r.fact(ZoneRange);
    let mut assigned: BTreeMap<Str, u16> = BTreeMap::new();
    let mut taken = ZoneSet::default();
    for (_, zone) in requested.iter() {
        taken.insert(*zone);
    }
    let persisted = r.fact(PersistedZones);
    let mut given = ZoneSet::default();
    for (name, zone) in r.zones_in_use().iter().chain(persisted.iter()) {
        let is_requested = requested.iter().any(|(other, wanted)| other == name || wanted == zone);
        let keeps = !is_requested && (min..=max).contains(zone) && users.binary_search(name).is_ok();
        // One that two have, by whatever hand, is the first one's.
        if keeps && !assigned.contains_key(name) && given.insert(*zone) {
            assigned.insert(name.clone(), *zone);
        }
        taken.insert(*zone);
    }
    assigned.extend(requested.iter().cloned());
    let mut free = (min..=max).filter(|zone| !taken.contains(*zone));
    for user in users.iter() {
        if !assigned.contains_key(user) {
            // All zones are taken: the user gets none, which is zone 0 for its flows.
            let Some(zone) = free.next() else { break };
            assigned.insert(user.clone(), zone);
        }
    }
    assigned.into_iter().collect()
}

/// See [`ZoneUsers`]. There may be thousands of local datapaths, which stay the same when a port comes.
pub fn zone_users(r: &Reader<'_>) -> Arc<[Str]> {
    let mut users = r.fact(DatapathZoneUsers).to_vec();
    users.extend(r.fact(PortZoneUsers).iter().map(|(name, _)| name.clone()));
    // What is sorted already costs one look at each.
    users.sort();
    users.dedup();
    users.into()
}

/// See [`DatapathZoneUsers`].
pub fn datapath_zone_users(r: &Reader<'_>) -> Arc<[Str]> {
    let local = r.fact(LocalDatapaths);
    let named = local.iter().filter_map(|&datapath| r.fact(Datapath(datapath))).filter(|dp| !dp.name.is_empty());
    let users = named.flat_map(|datapath| ["dnat", "snat"].map(|half| nat_zone(&datapath.name, half)));
    users.collect::<BTreeSet<Str>>().into_iter().collect()
}

/// See [`crate::facts::LimitedDatapaths`].
pub fn limited_datapaths(r: &Reader<'_>) -> Arc<[RowId]> {
    let is_limited = |row: &RowId| {
        r.row::<DatapathBinding>(*row).is_some_and(|datapath| datapath.external_ids().contains_key("ct-zone-limit"))
    };
    r.fact(LocalDatapaths).iter().copied().filter(is_limited).collect()
}

/// See [`LocalnetPorts`].
pub fn localnet_ports(r: &Reader<'_>) -> Arc<[RowId]> {
    r.fact(LocalDatapaths).iter().flat_map(|&datapath| of_type(r, datapath, "localnet")).collect()
}

/// See [`PortZoneUsers`].
pub fn port_zone_users(r: &Reader<'_>) -> Arc<[(Str, RowId)]> {
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

/// See [`RequestedZones`].
pub fn requested_zones(r: &Reader<'_>) -> Arc<[(Str, u16)]> {
    let local = r.fact(LocalDatapaths);
    let datapaths = local.iter().filter_map(|&datapath| r.fact(Datapath(datapath)));
    let requested = datapaths
        .filter(|datapath| !datapath.name.is_empty())
        .filter_map(|datapath| Some((nat_zone(&datapath.name, "snat"), datapath.snat_ct_zone??)));
    requested.collect::<BTreeMap<Str, u16>>().into_iter().collect()
}

/// See [`ZoneRange`]. ct-zone.c `ct_zones_parse_range`, OVN 26.03.
pub fn zone_range(r: &Reader<'_>) -> (u16, u16) {
    let text = r.fact(Setting("ct-zone-range")).unwrap_or_default();
    let mut numbers = text.split('-').filter(|number| !number.is_empty()).map(|number| number.trim().parse::<u16>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(min)), Some(Ok(max))) if min > 0 => (min, max),
        (Some(Ok(min)), _) if min > 0 => (min, u16::MAX),
        _ => (1, u16::MAX),
    }
}

/// See [`ZoneKeys`]. What else is in external_ids, the acknowledged nb_cfg above all, changes all the time.
pub fn zone_keys(r: &Reader<'_>) -> Arc<[(Str, Str)]> {
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return Arc::default() };
    let ours = bridge.external_ids().iter().filter(|(key, _)| key.starts_with(KEY_PREFIX));
    let mut keys: Vec<(Str, Str)> = ours.map(|(key, value)| (key.clone(), value.clone())).collect();
    keys.sort();
    keys.into()
}

/// See [`PersistedZones`].
pub fn persisted_zones(r: &Reader<'_>) -> Arc<[(Str, u16)]> {
    let mut zones: BTreeMap<Str, u16> = BTreeMap::new();
    for (key, value) in r.fact(ZoneKeys).iter() {
        let Some(user) = user_of_key(r, key) else { continue };
        let Ok(zone) = value.parse::<u16>() else { continue };
        // A name written today wins over one in the older form for the same datapath.
        if key.strip_prefix(KEY_PREFIX) == Some(&user) {
            zones.insert(user, zone);
        } else {
            zones.entry(user).or_insert(zone);
        }
    }
    zones.into_iter().collect()
}

/// Whose zone a key of Bridge.external_ids holds, by the name of today.
pub fn user_of_key(r: &Reader<'_>, key: &str) -> Option<Str> {
    let user = key.strip_prefix(KEY_PREFIX).filter(|user| !user.is_empty())?;
    Some(name_from_uuid(r, user).unwrap_or_else(|| Str::from(user)))
}

/// The zone of a user in a list sorted by user.
pub fn zone_of(pairs: &[(Str, u16)], user: &Str) -> Option<u16> {
    let at = pairs.binary_search_by(|(other, _)| other.cmp(user)).ok()?;
    pairs.get(at).map(|(_, zone)| *zone)
}

/// Whether a user has that zone, in a list sorted by user.
pub fn holds(pairs: &[(Str, u16)], user: &Str, zone: u16) -> bool {
    zone_of(pairs, user) == Some(zone)
}

/// See [`Zone`].
pub fn zone(r: &Reader<'_>, name: Str) -> u16 {
    r.entry(Zones, &name)
}

/// See [`DatapathZones`]. Only local datapaths have zones, and the others, which may be many, need not be looked at when zones
/// change.
pub fn datapath_zones(r: &Reader<'_>, datapath: RowId) -> (u16, u16) {
    if !r.fact(IsLocal(datapath)) {
        return (0, 0);
    }
    let Some(datapath) = r.fact(Datapath(datapath)).filter(|datapath| !datapath.name.is_empty()) else { return (0, 0) };
    (r.fact(Zone(nat_zone(&datapath.name, "dnat"))), r.fact(Zone(nat_zone(&datapath.name, "snat"))))
}

/// See [`crate::facts::PortZones`]. Whether a port has a zone at all is asked first: most ports are elsewhere, and need not be
/// looked at when zones change.
pub fn port_zones(r: &Reader<'_>, port: RowId) -> PortZones {
    let Some(pb) = r.row::<PortBinding>(port) else { return PortZones::default() };
    let ct = if r.fact(IsZoneUser(port)) { r.fact(Zone(pb.logical_port().clone())) } else { 0 };
    let datapath = r.find_id::<DatapathBinding>(&pb.datapath());
    let (dnat, snat) = datapath.map_or((0, 0), |datapath| r.fact(DatapathZones(datapath)));
    PortZones { ct, dnat, snat }
}

/// The zone user for one half of a datapath's address translation.
pub fn nat_zone(datapath: &str, half: &str) -> Str {
    Str::from(format!("{datapath}_{half}"))
}

/// `<Datapath_Binding UUID>_dnat`, as written before OVN 24.03, in the form of today.
fn name_from_uuid(r: &Reader<'_>, user: &str) -> Option<Str> {
    let (uuid, half) = user.split_at_checked(36)?;
    let datapath = r.find::<DatapathBinding>(&Uuid::parse(uuid)?)?;
    let name = datapath.external_ids().get("name")?;
    Some(Str::from(format!("{name}{half}")))
}
