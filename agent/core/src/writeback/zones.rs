//! Conntrack zones, persisted as Bridge.external_ids:ct-zone-NAME so that they are the same after a restart. Sheet 01
//! section 7.5.

use ovsdb::Str;
use ovsdb::datum::Datum;
use ovsdb::transaction::Mutator;
use std::collections::BTreeMap;

use crate::facts::{IntegrationBridge, ThisChassis, Zones};
use crate::reader::Reader;
use crate::rows::Bridge;
use crate::units::Output;

/// What the keys begin with.
const PREFIX: &str = "ct-zone-";

/// See [`super::WriteKey::Zones`].
pub fn zones(r: &Reader<'_>, out: &mut Output) {
    // Before our Chassis row is known nothing is local, and no zone may be given up for that.
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let wanted: BTreeMap<Str, String> =
        r.fact(Zones).iter().map(|(name, zone)| (Str::from(format!("{PREFIX}{name}")), zone.to_string())).collect();
    let have = bridge.external_ids();
    let missing = wanted.iter().filter(|(key, zone)| have.get(key.as_str()).is_none_or(|held| held.as_str() != *zone));
    let missing: Vec<(Str, String)> = missing.map(|(key, zone)| (key.clone(), zone.clone())).collect();
    let stale = have.iter().map(|(key, _)| key).filter(|key| key.starts_with(PREFIX) && !wanted.contains_key(*key));
    let delete: Vec<Str> = stale.chain(missing.iter().map(|(key, _)| key)).cloned().collect();
    if delete.is_empty() {
        return;
    }
    let mutations = vec![
        ("external_ids", Mutator::Delete, delete.into_iter().collect::<Datum>()),
        ("external_ids", Mutator::Insert, missing.into_iter().collect::<Datum>()),
    ];
    out.local.mutate("Bridge", bridge.uuid(), mutations);
}
