//! nb_cfg: once the switch has acknowledged the flows of a configuration, both databases are told. Sheet 01 section 4.6.

use ovsdb::datum::Datum;
use ovsdb::tables::Table;

use super::operations::set_entries;
use crate::facts::{ChassisName, IntegrationBridge, NorthdOption};
use crate::reader::Reader;
use crate::rows::{Bridge, ChassisPrivate};
use crate::units::Output;

/// See [`super::WriteKey::NbCfg`].
pub fn nb_cfg(r: &Reader<'_>, out: &mut Output) {
    let acknowledged = r.acknowledged_nb_cfg();
    if acknowledged <= 0 {
        return;
    }
    let now = r.wall_clock_ms();
    let enabled =
        !r.fact(NorthdOption("enable_chassis_nb_cfg_update")).is_some_and(|v| v.eq_ignore_ascii_case("false"));
    let private = r
        .fact(ChassisName)
        .and_then(|name| r.lookup_one(|t: &Table<ChassisPrivate>| t.by_name(&name)))
        .and_then(|row| r.row::<ChassisPrivate>(row))
        .filter(|private| enabled && private.nb_cfg() != acknowledged);
    if let Some(private) = private {
        let values = vec![("nb_cfg", Datum::from(acknowledged)), ("nb_cfg_timestamp", Datum::from(now))];
        out.southbound.update("Chassis_Private", private.uuid(), values);
    }
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let text = acknowledged.to_string();
    if bridge.external_ids().get("ovn-nb-cfg").map(|have| have.as_str()) != Some(text.as_str()) {
        let entries = vec![("ovn-nb-cfg", text), ("ovn-nb-cfg-ts", now.to_string())];
        out.local.mutate("Bridge", bridge.uuid(), set_entries("external_ids", entries));
    }
}
