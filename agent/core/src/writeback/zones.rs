//! Conntrack zones, persisted as Bridge.external_ids:ct-zone-NAME so that they are the same after a restart, and the limits of
//! connections in them. Sheet 01 section 7.5.

use ovsdb::datum::Datum;
use ovsdb::tables::Tracked;
use ovsdb::transaction::Mutator;
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::operations::exchange_entries;
use crate::facts::{
    Datapath, IntegrationBridge, LimitedDatapaths, PersistedZones, PortZoneUsers, ThisChassis, ZoneKeys, ZoneUsers,
    Zones,
};
use crate::reader::Reader;
use crate::rows::{Bridge, CtZone, DatapathBinding, PortBinding};
use crate::units::Output;
use crate::view::chassis::datapath_row;
use crate::view::zones::{KEY_PREFIX, holds, nat_zone, user_of_key, zone_of};

/// See [`super::WriteKey::Zones`]. A change is written once the switch has forgotten the zone's tracked connections.
pub fn zones(r: &Reader<'_>, out: &mut Output) {
    // Before our Chassis row is known nothing is local, and no zone may be given up for that.
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let (zones, persisted) = (r.fact(Zones), r.fact(PersistedZones));
    let without = r.fact(ZoneUsers).len().saturating_sub(zones.len());
    if without > 0 {
        out.diagnostics.push(format!("exhausted all ct zones: {without} ports and datapaths have none"));
    }
    let flushed = r.flushed_zones();
    let have = r.fact(ZoneKeys);
    let mut insert: Vec<(Str, String)> = Vec::new();
    let mut delete: Vec<Str> = Vec::new();
    let (users, keys) = unsettled(&zones, &have);
    for (user, zone) in users {
        let key = Str::from(format!("{KEY_PREFIX}{user}"));
        let at = have.binary_search_by(|(known, _)| known.cmp(&key)).ok();
        let held = at.and_then(|at| have.get(at)).map(|(_, held)| held.parse::<u16>());
        let may_go = match held {
            Some(Ok(held)) if held == *zone => continue,
            Some(Ok(held)) => flushed.contains(&(user.clone(), held)),
            Some(Err(_)) | None => true,
        };
        // Persisted under a name of the older form it is only renamed.
        if may_go && (flushed.contains(&(user.clone(), *zone)) || holds(&persisted, user, *zone)) {
            delete.push(key.clone());
            insert.push((key, zone.to_string()));
        }
    }
    for (key, value) in keys {
        let user = user_of_key(r, key).unwrap_or_default();
        if key.strip_prefix(KEY_PREFIX) == Some(&user) && zone_of(&zones, &user).is_some() {
            continue;
        }
        let waits = value.parse::<u16>().is_ok_and(|zone| {
            let wanted = holds(&zones, &user, zone);
            let pair = (user.clone(), zone);
            !wanted && holds(&persisted, &user, zone) && !flushed.contains(&pair)
        });
        if !waits {
            delete.push(key.clone());
        }
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

/// A user and its zone.
type UserZone = (Str, u16);
/// Key and value of external_ids.
type Entry = (Str, Str);

/// The zones that are not persisted as they are, and the keys that do not say the zone of a user under its name of today: of thousands
/// mostly none or one. Both lists are sorted.
fn unsettled<'a>(zones: &'a [UserZone], keys: &'a [Entry]) -> (Vec<&'a UserZone>, Vec<&'a Entry>) {
    let name = |key: &'a Str| key.strip_prefix(KEY_PREFIX).unwrap_or_default();
    // A name of the older form is another one today.
    let is_older = |name: &str| name.get(..36).is_some_and(|uuid| Uuid::parse(uuid).is_some());
    let (mut odd_zones, mut odd_keys) = (Vec::new(), Vec::new());
    let mut keys = keys.iter().peekable();
    for pair in zones {
        let (user, zone) = pair;
        while let Some(before) = keys.next_if(|(key, _)| name(key) < user.as_str()) {
            odd_keys.push(before);
        }
        let key = keys.next_if(|(key, _)| name(key) == user.as_str());
        if key.is_some_and(|(_, value)| value.parse() == Ok(*zone)) && !is_older(user) {
            continue;
        }
        odd_zones.push(pair);
        odd_keys.extend(key);
    }
    odd_keys.extend(keys);
    (odd_zones, odd_keys)
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
        by_user.iter().filter_map(|(user, limit)| Some((zone_of(&zones, user)?, *limit))).collect();
    let mut ours: BTreeSet<u16> = wanted.keys().copied().collect();
    if !datapath.ct_zones().is_empty() {
        ours.extend(zones.iter().chain(r.fact(PersistedZones).iter()).map(|(_, zone)| *zone));
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
