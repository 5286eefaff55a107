//! Conntrack zones by user name: those persisted in Bridge.external_ids stay, new users get the lowest free ones.

use ovsdb::{Map, RowId, Str, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::{
    AllZoneKeys, Datapath, DatapathZones, HeldZones, IntegrationBridge, IsLocal, IsZoneUser, LocalDatapaths,
    PersistedZones, RequestedZones, Setting, Zone, ZoneKeys, ZoneRange, ZoneUsers, Zones, ZonesOf,
};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Bridge, DatapathBinding, PortBinding};
use crate::zones::{ByKind, UserZone, UserZones, ZoneKind, ZoneSet};
use ovsdb::differences::differing;

/// What the keys of zones in Bridge.external_ids begin with.
pub const KEY_PREFIX: &str = "ct-zone-";

/// So many pairs of external_ids have never been in blocks that changed, unless all of them have: the database was fetched anew.
const MANY_PAIRS: usize = 1024;

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

/// See [`HeldZones`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Who has which, sorted by user.
    pub zones: List<UserZone>,
    /// The same zones.
    pub set: ZoneSet,
    /// The users that have none yet, sorted.
    pub without: Vec<Str>,
}

/// See [`HeldZones`]. Of several that have one zone, by whatever hand, it is the first one's.
pub fn held_zones(r: &Reader<'_>, kind: ZoneKind) -> Arc<Held> {
    let users = r.fact(ZoneUsers(kind));
    let requested = r.fact(RequestedZones);
    let (min, max) = r.fact(ZoneRange);
    let mut set = ZoneSet::default();
    set.extend(requested.iter().map(|(_, zone)| *zone));
    let mut zones: Vec<Option<u16>> = vec![None; users.len()];
    // What flows are made with stays, whatever the database says.
    let in_use = r.zones_in_use(kind);
    for claims in [in_use, &r.fact(PersistedZones(kind))] {
        for (at, zone) in claims_of(&users, claims) {
            let is_free = zones[at].is_none() && !is_requested(&requested, &users[at]);
            if is_free && (min..=max).contains(&zone) && set.insert(zone) {
                zones[at] = Some(zone);
            }
        }
    }
    if kind == ZoneKind::Nat {
        for (at, zone) in claims_of(&users, &requested) {
            zones[at] = Some(zone);
        }
    }
    let without = users.iter().zip(&zones).filter(|(_, zone)| zone.is_none()).map(|(user, _)| user.clone()).collect();
    let held = users.iter().zip(zones).filter_map(|(user, zone)| Some((user.clone(), zone?)));
    let held: Vec<UserZone> = held.collect();
    // Mostly it is the list that there was, which whoever has it need not look through.
    let zones = if *held == **in_use { in_use.clone() } else { held.into() };
    Arc::new(Held { zones, set, without })
}

fn is_requested(requested: &[UserZone], user: &Str) -> bool {
    requested.binary_search_by(|(other, _)| other.cmp(user)).is_ok()
}

/// The places of users, and the zones that they have in a list; both are sorted by user.
fn claims_of<'a>(users: &'a [Str], claims: &'a [UserZone]) -> impl Iterator<Item = (usize, u16)> + 'a {
    let mut claims = claims.iter().peekable();
    users.iter().enumerate().filter_map(move |(at, user)| {
        while claims.next_if(|(other, _)| other < user).is_some() {}
        Some((at, claims.next_if(|(other, _)| other == user)?.1))
    })
}

/// See [`crate::facts::Zones`]. ct-zone.c `ct_zones_update`, OVN 26.03, with a fixed order among new users. A zone whose former user is
/// still persisted is not free: its tracked connections are still to be flushed.
pub fn zones(r: &Reader<'_>) -> UserZones {
    let (nat, ports) = (r.fact(HeldZones(ZoneKind::Nat)), r.fact(HeldZones(ZoneKind::Port)));
    let is_taken = |(_, zone): &&UserZone| nat.set.contains(*zone);
    let losers: Vec<Str> = ports.zones.iter().filter(is_taken).map(|(user, _)| user.clone()).collect();
    let mut new: Vec<&Str> = nat.without.iter().chain(&ports.without).chain(&losers).collect();
    if new.is_empty() {
        return UserZones { nat: nat.zones.clone(), ports: ports.zones.clone() };
    }
    new.sort();
    let mut taken = nat.set.clone();
    for kind in ZoneKind::ALL {
        taken.extend(r.zones_in_use(kind).iter().map(|(_, zone)| *zone));
        taken.extend(r.fact(PersistedZones(kind)).iter().map(|(_, zone)| *zone));
    }
    let (min, max) = r.fact(ZoneRange);
    let free = (min..=max).filter(|zone| !taken.contains(*zone));
    // When all zones are taken a user gets none, which is zone 0 for its flows.
    let given: UserZones = new.into_iter().cloned().zip(free).collect();
    let kept: List<UserZone> = ports.zones.iter().filter(|pair| !is_taken(pair)).cloned().collect();
    UserZones { nat: with(&nat.zones, &given.nat), ports: with(&kept, &given.ports) }
}

/// A list with what comes to it; the same one if nothing does.
fn with(held: &List<UserZone>, given: &[UserZone]) -> List<UserZone> {
    if given.is_empty() {
        return held.clone();
    }
    let mut all: Vec<UserZone> = held.iter().chain(given).cloned().collect();
    all.sort();
    all.into()
}

/// See [`ZonesOf`].
pub fn zones_of(r: &Reader<'_>, kind: ZoneKind) -> List<UserZone> {
    r.fact(Zones).of(kind).clone()
}

/// See [`RequestedZones`].
pub fn requested_zones(r: &Reader<'_>) -> List<UserZone> {
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

/// Key and value of external_ids.
pub type Entry = (Str, Str);

/// See [`AllZoneKeys`].
#[derive(Clone, Debug, Default)]
pub struct ZoneEntries {
    entries: ByKind<Entry>,
    /// The external_ids that they were found in, or others that have the same zones and most of the same blocks.
    of: Map<Str, Str>,
    /// How often they were looked through because few blocks were the same.
    walks: u32,
}

impl ZoneEntries {
    /// The entries that hold zones, sorted by key.
    pub fn entries(&self) -> &ByKind<Entry> {
        &self.entries
    }

    /// The external_ids that the next ones are compared with.
    pub fn external_ids(&self) -> &Map<Str, Str> {
        &self.of
    }
}

impl PartialEq for ZoneEntries {
    fn eq(&self, other: &Self) -> bool {
        // After another walk it is another value, or the next look would be a walk as well.
        (self.walks, &self.entries) == (other.walks, &other.entries)
    }
}

impl Eq for ZoneEntries {}

/// See [`AllZoneKeys`]. There are two entries for each of thousands of datapaths, and the acknowledged nb_cfg among them changes all the time: what is in the
/// same blocks as before is not looked at.
pub fn all_zone_keys(r: &Reader<'_>) -> Arc<ZoneEntries> {
    let bridge = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row));
    let of = bridge.map(|bridge| bridge.external_ids().clone()).unwrap_or_default();
    let former = r.former::<AllZoneKeys>().unwrap_or_default();
    let [before, now] = of.beside(&former.of);
    let (mut nat, mut ports): (Vec<&Str>, Vec<&Str>) = Default::default();
    let mut looked_at = 0;
    differing(before, now.inspect(|_| looked_at += 1), |key, _, _| {
        match key.strip_prefix(KEY_PREFIX).map(ZoneKind::of) {
            Some(ZoneKind::Nat) => nat.push(key),
            Some(ZoneKind::Port) => ports.push(key),
            None => {}
        }
    });
    let is_walk = looked_at > MANY_PAIRS;
    if nat.is_empty() && ports.is_empty() && !is_walk {
        return former;
    }
    let entries = &former.entries;
    let entries = ByKind { nat: replaced(&entries.nat, &nat, &of), ports: replaced(&entries.ports, &ports, &of) };
    Arc::new(ZoneEntries { entries, of, walks: former.walks + u32::from(is_walk) })
}

/// A list whose entries with these keys are now as in `of`; the same one if there are no keys. All are sorted.
fn replaced(former: &List<Entry>, keys: &[&Str], of: &Map<Str, Str>) -> List<Entry> {
    if keys.is_empty() {
        return former.clone();
    }
    let mut list = Vec::with_capacity(former.len() + keys.len());
    let mut former = former.iter().peekable();
    for &key in keys {
        list.extend(std::iter::from_fn(|| former.next_if(|(other, _)| other < key)).cloned());
        former.next_if(|(other, _)| other == key);
        list.extend(of.get(key).map(|value| (key.clone(), value.clone())));
    }
    list.extend(former.cloned());
    list.into()
}

/// See [`ZoneKeys`].
pub fn zone_keys(r: &Reader<'_>, kind: ZoneKind) -> List<Entry> {
    r.fact(AllZoneKeys).entries().of(kind).clone()
}

/// See [`PersistedZones`].
pub fn persisted_zones(r: &Reader<'_>, kind: ZoneKind) -> List<UserZone> {
    let mut zones: BTreeMap<Str, u16> = BTreeMap::new();
    for (key, value) in r.fact(ZoneKeys(kind)).iter() {
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

/// See [`Zone`].
pub fn zone(r: &Reader<'_>, name: Str) -> u16 {
    r.entry(ZonesOf(ZoneKind::of(&name)), &name)
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
    let (uuid, half) = user.split_at_checked(36).filter(|(_, half)| matches!(*half, "_dnat" | "_snat"))?;
    let datapath = r.find::<DatapathBinding>(&Uuid::parse(uuid)?)?;
    let name = datapath.external_ids().get("name")?;
    Some(Str::from(format!("{name}{half}")))
}
