//! Conntrack zones, persisted as Bridge.external_ids:ct-zone-NAME so that they are the same after a restart, and the limits of
//! connections in them. Sheet 01 section 7.5.

use ovsdb::datum::Datum;
use ovsdb::tables::Tracked;
use ovsdb::transaction::Mutator;
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::operations::exchange_entries;
use crate::facts::{
    Datapath, IntegrationBridge, LimitedDatapaths, PersistedZones, PortZoneUsers, ThisChassis, UnsettledZones,
    ZoneKeys, ZoneUsers, Zones, ZonesOf,
};
use crate::reader::Reader;
use crate::rows::{Bridge, CtZone, DatapathBinding, PortBinding};
use crate::units::Output;
use crate::view::chassis::datapath_row;
use crate::view::zones::{KEY_PREFIX, nat_zone, user_of_key};
use crate::zones::{UserZone, ZoneKind};

/// See [`super::WriteKey::Zones`]. A change is written once the switch has forgotten the zone's tracked connections.
pub fn zones(r: &Reader<'_>, out: &mut Output) {
    // Before our Chassis row is known nothing is local, and no zone may be given up for that.
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let zones = r.fact(Zones);
    let users: usize = ZoneKind::ALL.into_iter().map(|kind| r.fact(ZoneUsers(kind)).len()).sum();
    if users > zones.len() {
        let without = users - zones.len();
        out.diagnostics.push(format!("exhausted all ct zones: {without} ports and datapaths have none"));
    }
    let (mut insert, mut delete) = (Vec::new(), Vec::new());
    for kind in ZoneKind::ALL {
        settle(r, kind, &mut insert, &mut delete);
    }
    if delete.is_empty() {
        return;
    }
    let mutations = vec![
        ("external_ids", Mutator::Delete, delete.into_iter().collect::<Datum>()),
        ("external_ids", Mutator::Insert, insert.into_iter().collect::<Datum>()),
    ];
    out.local.mutate("Bridge", bridge.uuid(), mutations);
}

/// The entries of external_ids to make and to remove for one kind of zones.
fn settle(r: &Reader<'_>, kind: ZoneKind, insert: &mut Vec<(Str, String)>, delete: &mut Vec<Str>) {
    let differing = r.fact(UnsettledZones(kind));
    if differing.is_empty() {
        return;
    }
    let (zones, have) = (r.fact(Zones), r.fact(ZoneKeys(kind)));
    let persisted = r.fact(PersistedZones(kind));
    let is_persisted = |pair: &UserZone| persisted.binary_search(pair).is_ok();
    let flushed = r.flushed_zones();
    for pair in &differing.zones {
        let (user, zone) = pair;
        let key = Str::from(format!("{KEY_PREFIX}{user}"));
        let at = have.binary_search_by(|(known, _)| known.cmp(&key)).ok();
        let held = at.and_then(|at| have.get(at)).map(|(_, held)| held.parse::<u16>());
        let may_go = match held {
            Some(Ok(held)) if held == *zone => continue,
            Some(Ok(held)) => flushed.contains(&(user.clone(), held)),
            Some(Err(_)) | None => true,
        };
        // Persisted under a name of the older form it is only renamed.
        if may_go && (flushed.contains(pair) || is_persisted(pair)) {
            delete.push(key.clone());
            insert.push((key, zone.to_string()));
        }
    }
    for (key, value) in &differing.keys {
        let user = user_of_key(r, key).unwrap_or_default();
        if key.strip_prefix(KEY_PREFIX) == Some(&user) && zones.zone_of(&user).is_some() {
            continue;
        }
        let waits = value.parse::<u16>().is_ok_and(|zone| {
            let pair = (user.clone(), zone);
            !zones.holds(&pair) && is_persisted(&pair) && !flushed.contains(&pair)
        });
        if !waits {
            delete.push(key.clone());
        }
    }
}

/// See [`UnsettledZones`]: of thousands mostly none or one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// The zones that are not persisted as they are.
    zones: Vec<UserZone>,
    /// The entries that do not say the zone of a user under its name of today.
    keys: Vec<(Str, Str)>,
}

impl Unsettled {
    fn is_empty(&self) -> bool {
        self.zones.is_empty() && self.keys.is_empty()
    }
}

/// See [`UnsettledZones`]. Both lists are sorted.
pub fn unsettled(r: &Reader<'_>, kind: ZoneKind) -> Arc<Unsettled> {
    let (zones, keys) = (r.fact(ZonesOf(kind)), r.fact(ZoneKeys(kind)));
    fn name(key: &str) -> &str {
        key.strip_prefix(KEY_PREFIX).unwrap_or_default()
    }
    // A name of the older form is another one today.
    let is_older = |name: &str| name.get(..36).is_some_and(|uuid| Uuid::parse(uuid).is_some());
    let mut unsettled = Unsettled::default();
    let mut keys = keys.iter().peekable();
    for pair in zones.iter() {
        let (user, zone) = pair;
        while let Some(before) = keys.next_if(|(key, _)| name(key) < user.as_str()) {
            unsettled.keys.push(before.clone());
        }
        let key = keys.next_if(|(key, _)| name(key) == user.as_str());
        if key.is_some_and(|(_, value)| value.parse() == Ok(*zone)) && !is_older(user) {
            continue;
        }
        unsettled.zones.push(pair.clone());
        unsettled.keys.extend(key.cloned());
    }
    unsettled.keys.extend(keys.cloned());
    Arc::new(unsettled)
}

/// See [`super::WriteKey::ZoneLimits`]. Only the zones that we give out are ours.
pub fn limits(r: &Reader<'_>, out: &mut Output) {
    if !r.local_schema().zone_limits || r.fact(ThisChassis).is_none() {
        return;
    }
    let Some(datapath) = datapath_row(r) else { return };
    let zones = r.fact(Zones);
    let by_user = wanted_limits(r, out);
    let wanted: BTreeMap<u16, i64> =
        by_user.iter().filter_map(|(user, limit)| Some((zones.zone_of(user)?, *limit))).collect();
    let mut ours: BTreeSet<u16> = wanted.keys().copied().collect();
    if !datapath.ct_zones().is_empty() {
        ours.extend(zones.iter().map(|(_, zone)| *zone));
        for kind in ZoneKind::ALL {
            ours.extend(r.fact(PersistedZones(kind)).iter().map(|(_, zone)| *zone));
        }
    }
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for zone in ours {
        let row = datapath.ct_zones().get(&i64::from(zone)).and_then(|uuid| r.find::<CtZone>(uuid));
        match (wanted.get(&zone), row) {
            (Some(limit), None) => {
                let name = format!("ct_zone{zone}");
                out.local.insert_named("CT_Zone", &name, vec![("limit", Datum::from(*limit))]);
                new.push((i64::from(zone), name));
            }
            (Some(limit), Some(row)) if row.limit() != Some(*limit) => {
                out.local.update("CT_Zone", row.uuid(), vec![("limit", Datum::from(*limit))]);
            }
            // A row may have a timeout policy of somebody else's.
            (None, Some(row)) if row.limit().is_some() && row.timeout_policy().is_some() => {
                out.local.update("CT_Zone", row.uuid(), vec![("limit", Datum::EMPTY)]);
            }
            (None, Some(row)) if row.limit().is_some() => gone.push(i64::from(zone)),
            _ => {}
        }
    }
    exchange_entries(("Datapath", datapath.uuid(), "ct_zones"), gone, new, &mut out.local);
}

/// Limits by zone user: those of local datapaths, and of ports, which have that of their switch unless they have their own.
fn wanted_limits(r: &Reader<'_>, out: &mut Output) -> BTreeMap<Str, i64> {
    let mut limits: BTreeMap<Str, i64> = BTreeMap::new();
    let mut of_datapath: BTreeMap<Uuid, i64> = BTreeMap::new();
    for &row in r.fact(LimitedDatapaths).iter() {
        let Some(datapath) = r.row::<DatapathBinding>(row) else { continue };
        let Some(name) = datapath.external_ids().get("name") else { continue };
        if let Some(limit) = limit(datapath.external_ids().get("ct-zone-limit"), name, out) {
            limits.insert(nat_zone(name, "dnat"), limit);
            limits.insert(nat_zone(name, "snat"), limit);
            of_datapath.insert(datapath.uuid(), limit);
        }
    }
    for (user, port) in r.fact(PortZoneUsers).iter() {
        let Some(port) = r.row::<PortBinding>(*port) else { continue };
        let own = port.options().get("ct-zone-limit");
        let wanted = match own {
            Some(_) => limit(own, user, out),
            None => of_datapath.get(&port.datapath()).copied().filter(|_| is_on_switch(r, &port)),
        };
        limits.extend(wanted.map(|limit| (user.clone(), limit)));
    }
    limits
}

fn is_on_switch(r: &Reader<'_>, port: &Tracked<'_, PortBinding, Reader<'_>>) -> bool {
    let datapath = r.find_id::<DatapathBinding>(&port.datapath()).and_then(|row| r.fact(Datapath(row)));
    datapath.is_some_and(|datapath| datapath.is_switch)
}

/// 0 to 2^32 - 1; anything else is none.
fn limit(text: Option<&Str>, whose: &str, out: &mut Output) -> Option<i64> {
    let text = text?;
    match text.parse::<u32>() {
        Ok(limit) => Some(i64::from(limit)),
        Err(_) => {
            // -1 is how "no limit" is spelled.
            if text.as_str() != "-1" {
                out.diagnostics.push(format!("ct-zone-limit \"{text}\" of {whose} is not a number up to 4294967295"));
            }
            None
        }
    }
}
