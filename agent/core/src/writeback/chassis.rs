//! Our registration in the Southbound: Chassis, its Encap rows, Chassis_Private. `chassis_run` of controller/chassis.c, OVN 26.03;
//! sheet 01 section 4.

use ovsdb::Str;
use ovsdb::datum::{Datum, Value};
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::Mutator;
use std::collections::BTreeMap;

use super::operations::set_entries;
use crate::facts::{ChassisName, EncapIps, IntegrationBridge, Setting, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Bridge, Chassis, ChassisPrivate, Encap, OpenVSwitch};
use crate::units::Output;
use crate::view::is_true;
use crate::view::tunnels::TunnelKind;

/// Keys that are copied from external_ids as they are, with their defaults.
const COPIED: [(&str, &str); 12] = [
    ("ovn-bridge-mappings", ""),
    ("ovn-cms-options", ""),
    ("ovn-chassis-mac-mappings", ""),
    ("ovn-monitor-all", "false"),
    ("ovn-enable-lflow-cache", "true"),
    ("ovn-limit-lflow-cache", ""),
    ("ovn-memlimit-lflow-cache-kb", ""),
    ("ovn-trim-limit-lflow-cache", ""),
    ("ovn-trim-wmark-perc-lflow-cache", ""),
    ("ovn-trim-timeout-ms", ""),
    ("ovn-evpn-vxlan-ports", ""),
    ("ovn-evpn-local-ip", ""),
];

/// What northd may rely on; it uses a feature only if every chassis says so.
const FEATURES: [&str; 10] = [
    "port-up-notif",
    "ct-no-masked-label",
    "mac-binding-timestamp",
    "ovn-ct-lb-related",
    "fdb-timestamp",
    "ls-dpg-column",
    "ct-commit-nat-v2",
    "ct-commit-to-zone",
    "ct-next-zone",
    "ct-state-save",
];

/// Keys that others write into our row.
const FOREIGN: [&str; 2] = ["is-vtep", "is-remote"];

/// See [`super::WriteKey::Chassis`].
pub fn chassis(r: &Reader<'_>, out: &mut Output) {
    let Some(name) = r.fact(ChassisName) else { return };
    let types = encap_types(r);
    let ips = r.fact(EncapIps);
    if types.is_empty() || ips.is_empty() {
        out.diagnostics.push("Need to specify an encap type and ip".to_owned());
        return;
    }
    if !r.features().known {
        return;
    }
    let ours = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row));
    complain_about_settings(r, &ips, out);
    // In one transaction, so that others see one chassis with another name.
    let former = given_up(r);
    former.iter().for_each(|former| unregister(r, former, out));
    let encaps = wanted_encaps(r, &name, former.as_ref(), &types, &ips, out);
    if encaps.is_empty() {
        // Nobody can reach us at the addresses that our row would have, and others have those that we want.
        unregister(r, &name, out);
        return;
    }
    let chassis = match &ours {
        Some(row) => {
            update(r, row, &encaps, out);
            Datum::from(row.uuid())
        }
        None => {
            register(r, &name, &encaps, out);
            Datum::named("chassis")
        }
    };
    let private =
        r.lookup_one(|t: &Table<ChassisPrivate>| t.by_name(&name)).and_then(|row| r.row::<ChassisPrivate>(row));
    match private {
        None => {
            out.southbound.insert("Chassis_Private", vec![("name", name.into()), ("chassis", chassis)]);
        }
        Some(private) if ours.is_none() || private.chassis() != ours.map(|row| row.uuid()) => {
            out.southbound.update("Chassis_Private", private.uuid(), vec![("chassis", chassis)]);
        }
        Some(_) => {}
    }
}

/// ovn-encap-type, without what is no type.
fn encap_types(r: &Reader<'_>) -> Vec<Str> {
    let text = r.fact(Setting("ovn-encap-type")).unwrap_or_default();
    let mut types: Vec<Str> =
        text.split(',').filter(|kind| TunnelKind::from_type(kind).is_some()).map(Str::from).collect();
    types.sort();
    types.dedup();
    types
}

fn complain_about_settings(r: &Reader<'_>, ips: &[Str], out: &mut Output) {
    let text = r.fact(Setting("ovn-encap-type")).unwrap_or_default();
    for kind in text.split(',').filter(|kind| TunnelKind::from_type(kind).is_none()) {
        out.diagnostics.push(format!("ovn-encap-type: {kind:?} is no encapsulation type"));
    }
    if let Some(default) = r.fact(Setting("ovn-encap-ip-default")).filter(|default| !ips.contains(default)) {
        out.diagnostics.push(format!("ovn-encap-ip-default {default} is not in ovn-encap-ip: ignored"));
    }
}

/// See [`super::WriteKey::Hostname`]. By itself, because the role `ovn-controller` may not change it in a row that exists: a refusal
/// must not keep anything else from being written.
pub fn hostname_changed(r: &Reader<'_>, out: &mut Output) {
    let Some(row) = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)) else { return };
    let wanted = hostname(r);
    if r.features().known && *row.hostname() != wanted {
        out.southbound.comment(format!("ovn-agent: updating chassis '{}'", row.name()));
        out.southbound.update("Chassis", row.uuid(), vec![("hostname", wanted.into())]);
    }
}

/// The name that we had before, if its rows are to go: nobody else removes them, and they have the addresses that are to be the new
/// name's (ovn-controller 26.03 waits for an operator). A row with an address that is not ours is another hypervisor's by now.
fn given_up(r: &Reader<'_>) -> Option<Str> {
    let former = r.former_name()?;
    let ips = r.fact(EncapIps);
    let row = r.lookup_one(|t: &Table<Chassis>| t.by_name(former)).and_then(|row| r.row::<Chassis>(row));
    let mut encaps = row.iter().flat_map(|row| row.encaps().iter()).filter_map(|uuid| r.find::<Encap>(uuid));
    let gone = r.fact(ChassisName).is_some_and(|name| name != *former) && encaps.all(|encap| ips.contains(encap.ip()));
    gone.then(|| former.clone())
}

/// The rows of that name go.
fn unregister(r: &Reader<'_>, name: &Str, out: &mut Output) {
    let private =
        r.lookup_one(|t: &Table<ChassisPrivate>| t.by_name(name)).and_then(|row| r.row::<ChassisPrivate>(row));
    if let Some(row) = private {
        out.southbound.delete("Chassis_Private", row.uuid());
    }
    if let Some(row) = r.lookup_one(|t: &Table<Chassis>| t.by_name(name)).and_then(|row| r.row::<Chassis>(row)) {
        out.southbound.delete("Chassis", row.uuid());
    }
    if !out.southbound.is_empty() {
        out.southbound.comment(format!("ovn-agent: unregistering chassis '{name}'"));
    }
}

/// An Encap row that we should have.
struct WantedEncap<'r, 'a> {
    kind: Str,
    ip: Str,
    options: BTreeMap<Str, Str>,
    /// The row, if we have it.
    row: Option<Tracked<'r, Encap, Reader<'a>>>,
}

fn wanted_encaps<'r, 'a>(
    r: &'r Reader<'a>,
    name: &Str,
    former: Option<&Str>,
    types: &[Str],
    ips: &[Str],
    out: &mut Output,
) -> Vec<WantedEncap<'r, 'a>> {
    let csum = r.fact(Setting("ovn-encap-csum")).unwrap_or_else(|| "true".into());
    let default_ip = r.fact(Setting("ovn-encap-ip-default"));
    let mut wanted = Vec::new();
    for kind in types {
        for ip in ips {
            let row = r.lookup_one(|t: &Table<Encap>| t.by_type_and_ip(kind, ip)).and_then(|row| r.row::<Encap>(row));
            // A row of the former name goes with its Chassis.
            let row = row.filter(|row| former != Some(row.chassis_name()));
            if let Some(other) = row.filter(|row| row.chassis_name() != name) {
                out.diagnostics.push(format!(
                    "'{}' already has encap ip '{ip}' and type '{kind}', cannot duplicate on '{name}'",
                    other.chassis_name()
                ));
                continue;
            }
            let mut options = BTreeMap::from([(Str::from("csum"), csum.clone())]);
            if default_ip.as_ref() == Some(ip) {
                options.insert("is_default".into(), "true".into());
            }
            wanted.push(WantedEncap { kind: kind.clone(), ip: ip.clone(), options, row });
        }
    }
    wanted
}

/// The encaps column of our row; rows that are missing are inserted.
fn encaps_column(name: &str, encaps: &[WantedEncap<'_, '_>], out: &mut Output) -> Datum {
    let values = encaps.iter().enumerate().map(|(at, encap)| match &encap.row {
        Some(row) => Value::from(row.uuid()),
        None => {
            let uuid_name = format!("encap{at}");
            let options = encap.options.iter().collect();
            let row = vec![
                ("type", encap.kind.clone().into()),
                ("ip", encap.ip.clone().into()),
                ("chassis_name", name.into()),
                ("options", options),
            ];
            out.southbound.insert_named("Encap", &uuid_name, row);
            Value::NamedUuid(uuid_name.as_str().into())
        }
    });
    Datum::Set(values.collect())
}

fn register(r: &Reader<'_>, name: &Str, encaps: &[WantedEncap<'_, '_>], out: &mut Output) {
    out.southbound.comment(format!("ovn-agent: registering chassis '{name}'"));
    let encaps = encaps_column(name, encaps, out);
    let row = vec![
        ("name", name.into()),
        ("hostname", hostname(r).into()),
        ("encaps", encaps),
        ("other_config", other_config(r).iter().map(|(k, v)| (*k, v.clone())).collect()),
        ("transport_zones", transport_zones(r).into_iter().collect()),
    ];
    out.southbound.insert_named("Chassis", "chassis", row);
}

fn update(r: &Reader<'_>, row: &Tracked<'_, Chassis, Reader<'_>>, encaps: &[WantedEncap<'_, '_>], out: &mut Output) {
    let mut fix = Vec::new();
    let zones = transport_zones(r);
    if !row.transport_zones().iter().eq(zones.iter()) {
        fix.push(("transport_zones", zones.into_iter().collect()));
    }
    let mutations = other_config_changes(r, row, out);
    let same_encaps = encaps.len() == row.encaps().len()
        && encaps.iter().all(|encap| encap.row.is_some_and(|have| row.encaps().contains(&have.uuid())));
    if !same_encaps {
        fix.push(("encaps", encaps_column(row.name(), encaps, out)));
    }
    for encap in encaps {
        if let Some(have) = &encap.row {
            adjust_encap(have, &encap.options, out);
        }
    }
    if !fix.is_empty() {
        out.southbound.update("Chassis", row.uuid(), fix);
    }
    if !mutations.is_empty() {
        out.southbound.mutate("Chassis", row.uuid(), mutations);
    }
    if !out.southbound.is_empty() {
        out.southbound.comment(format!("ovn-agent: updating chassis '{}'", row.name()));
    }
}

/// Our keys of Encap.options; those that an operator has set, such as dst_port, stay.
fn adjust_encap(have: &Tracked<'_, Encap, Reader<'_>>, wanted: &BTreeMap<Str, Str>, out: &mut Output) {
    let ours = ["csum", "is_default"];
    let stale: Vec<&str> =
        ours.into_iter().filter(|key| have.options().get(*key).is_some() && !wanted.contains_key(*key)).collect();
    let new: Vec<(Str, Str)> = wanted
        .iter()
        .filter(|&(key, value)| have.options().get(key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut mutations = Vec::new();
    if !stale.is_empty() {
        mutations.push(("options", Mutator::Delete, stale.into_iter().collect::<Datum>()));
    }
    if !new.is_empty() {
        mutations.extend(set_entries("options", new));
    }
    if !mutations.is_empty() {
        out.southbound.mutate("Encap", have.uuid(), mutations);
    }
}

/// What differs in Chassis.other_config, key by key: others write theirs at the same time.
fn other_config_changes(
    r: &Reader<'_>,
    row: &Tracked<'_, Chassis, Reader<'_>>,
    out: &mut Output,
) -> Vec<(&'static str, Mutator, Datum)> {
    let wanted = other_config(r);
    let theirs = row.other_config();
    let mut mutations = Vec::new();
    let known = |key: &str| wanted.contains_key(key) || FOREIGN.contains(&key);
    let stale: Vec<&Str> = theirs.iter().map(|(key, _)| key).filter(|key| !known(key.as_str())).collect();
    for key in &stale {
        out.diagnostics.push(format!("Removing unsupported key \"{key}\" from chassis record."));
    }
    if !stale.is_empty() {
        mutations.push(("other_config", Mutator::Delete, stale.into_iter().cloned().collect::<Datum>()));
    }
    let new = wanted.into_iter().filter(|(key, value)| theirs.get(*key) != Some(value));
    let new: Vec<(Str, Str)> = new.map(|(key, value)| (Str::from(key), value)).collect();
    if !new.is_empty() {
        mutations.extend(set_entries("other_config", new));
    }
    mutations
}

fn hostname(r: &Reader<'_>) -> Str {
    r.fact(Setting("hostname")).filter(|name| !name.is_empty()).unwrap_or_else(|| r.config().hostname.clone())
}

fn transport_zones(r: &Reader<'_>) -> Vec<Str> {
    let text = r.fact(Setting("ovn-transport-zones")).unwrap_or_default();
    let mut zones: Vec<Str> = text.split(',').filter(|zone| !zone.is_empty()).map(Str::from).collect();
    zones.sort();
    zones.dedup();
    zones
}

/// Our keys of Chassis.other_config. Sheet 01 section 4.2.
fn other_config(r: &Reader<'_>) -> BTreeMap<&'static str, Str> {
    let mut config: BTreeMap<&'static str, Str> = BTreeMap::new();
    for (key, default) in COPIED {
        config.insert(key, r.fact(Setting(key)).unwrap_or_else(|| default.into()));
    }
    for feature in FEATURES {
        config.insert(feature, "true".into());
    }
    let bool = |value: bool| Str::from(if value { "true" } else { "false" });
    let interconn = is_true(r.fact(Setting("ovn-is-interconn")).as_ref());
    config.insert("is-interconn", bool(interconn));
    config.insert("ovn-sample-with-registers", bool(r.features().sample_with_registers));
    config.insert("ct-label-flush", bool(r.features().ct_label_flush));
    let bridge = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row));
    config.insert("datapath-type", bridge.map(|bridge| bridge.datapath_type().clone()).unwrap_or_default());
    let ovs = r.only::<OpenVSwitch>();
    let types: Vec<&str> = ovs.iter().flat_map(|ovs| ovs.iface_types().iter()).map(|kind| kind.as_str()).collect();
    config.insert("iface-types", types.join(",").into());
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testbed::{HV1, Testbed, map, set};
    use crate::writeback::WriteKey;
    use ovsdb::Uuid;
    use ovsdb::transaction::Operation;

    fn bed(settings: &[(&str, &str)]) -> Testbed {
        let mut bed = Testbed::new();
        bed.agent.set_external(|external| {
            external.features.known = true;
            external.config.hostname = "host".into();
        });
        bed.delete(|u| &mut u.chassis, HV1);
        for (key, value) in [("ovn-encap-type", "geneve"), ("ovn-encap-ip", "1.0.0.1")].iter().chain(settings) {
            bed.setting(key, value);
        }
        bed
    }

    /// What a unit wants done to the Southbound.
    fn wanted(bed: &Testbed, key: &WriteKey) -> String {
        bed.agent.write(key).southbound.to_string()
    }

    /// The columns of the row that is inserted into this table.
    fn inserted(bed: &Testbed, of: &str) -> Vec<Vec<(&'static str, Datum)>> {
        let operations = bed.agent.write(&WriteKey::Chassis).southbound.operations;
        let rows = operations.into_iter().filter_map(|operation| match operation {
            Operation::Insert { table, row, .. } if table == of => Some(row),
            _ => None,
        });
        rows.collect()
    }

    fn column(row: &[(&'static str, Datum)], name: &str) -> BTreeMap<String, String> {
        let Some((_, Datum::Map(pairs))) = row.iter().find(|(column, _)| *column == name) else { panic!("no {name}") };
        let text = |value: &Value| match value {
            Value::String(text) => text.to_string(),
            other => panic!("{other:?}"),
        };
        pairs.iter().map(|(key, value)| (text(key), text(value))).collect()
    }

    /// Our rows as they would be after registration, with other_config changed by `change`.
    fn registered(bed: &mut Testbed, change: impl FnOnce(&mut BTreeMap<String, String>)) -> (Uuid, Uuid) {
        let (chassis, encap) = (inserted(bed, "Chassis"), inserted(bed, "Encap"));
        let mut other_config = column(&chassis[0], "other_config");
        change(&mut other_config);
        let options = column(&encap[0], "options");
        let of = |all: &BTreeMap<String, String>| {
            all.iter().map(|(key, value)| (Str::from(key.as_str()), Str::from(value.as_str()))).collect()
        };
        let row =
            Encap { r#type: "geneve".into(), ip: "1.0.0.1".into(), chassis_name: "hv1".into(), options: of(&options) };
        let encap = bed.uuid();
        bed.put(|u| &mut u.encap, encap, row);
        let row = Chassis {
            name: "hv1".into(),
            hostname: "host".into(),
            encaps: set(&[encap]),
            other_config: of(&other_config),
            ..Default::default()
        };
        bed.put(|u| &mut u.chassis, HV1, row);
        let private = bed.uuid();
        let row = ChassisPrivate { name: "hv1".into(), chassis: Some(HV1), ..Default::default() };
        bed.put(|u| &mut u.chassis_private, private, row);
        (encap, private)
    }

    #[test]
    fn every_key_of_other_config_and_its_default() {
        let mut bed = bed(&[]);
        bed.bridge.datapath_type = "netdev".into();
        bed.bridge_changed();
        bed.open_vswitch.iface_types = set(&["vxlan".into(), "geneve".into()]);
        bed.setting("any", "");
        let rows = inserted(&bed, "Chassis");
        let config = column(&rows[0], "other_config");
        let config: Vec<(&str, &str)> = config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("ct-commit-nat-v2", "true"),
            ("ct-commit-to-zone", "true"),
            ("ct-label-flush", "false"),
            ("ct-next-zone", "true"),
            ("ct-no-masked-label", "true"),
            ("ct-state-save", "true"),
            ("datapath-type", "netdev"),
            ("fdb-timestamp", "true"),
            ("iface-types", "geneve,vxlan"),
            ("is-interconn", "false"),
            ("ls-dpg-column", "true"),
            ("mac-binding-timestamp", "true"),
            ("ovn-bridge-mappings", ""),
            ("ovn-chassis-mac-mappings", ""),
            ("ovn-cms-options", ""),
            ("ovn-ct-lb-related", "true"),
            ("ovn-enable-lflow-cache", "true"),
            ("ovn-evpn-local-ip", ""),
            ("ovn-evpn-vxlan-ports", ""),
            ("ovn-limit-lflow-cache", ""),
            ("ovn-memlimit-lflow-cache-kb", ""),
            ("ovn-monitor-all", "false"),
            ("ovn-sample-with-registers", "false"),
            ("ovn-trim-limit-lflow-cache", ""),
            ("ovn-trim-timeout-ms", ""),
            ("ovn-trim-wmark-perc-lflow-cache", ""),
            ("port-up-notif", "true"),
        ];
        assert_eq!(config, expected);
    }

    #[test]
    fn settings_reach_the_row_and_ours_win_over_those_of_all() {
        let cases = [
            ("ovn-bridge-mappings", "ovn-bridge-mappings", "a:br-a"),
            ("ovn-cms-options", "ovn-cms-options", "enable-chassis-as-gw"),
            ("ovn-chassis-mac-mappings", "ovn-chassis-mac-mappings", "a:02:00:00:00:00:01"),
            ("ovn-monitor-all", "ovn-monitor-all", "true"),
            ("ovn-enable-lflow-cache", "ovn-enable-lflow-cache", "false"),
            ("ovn-limit-lflow-cache", "ovn-limit-lflow-cache", "5"),
            ("ovn-memlimit-lflow-cache-kb", "ovn-memlimit-lflow-cache-kb", "5"),
            ("ovn-trim-limit-lflow-cache", "ovn-trim-limit-lflow-cache", "5"),
            ("ovn-trim-wmark-perc-lflow-cache", "ovn-trim-wmark-perc-lflow-cache", "5"),
            ("ovn-trim-timeout-ms", "ovn-trim-timeout-ms", "5"),
            ("ovn-evpn-vxlan-ports", "ovn-evpn-vxlan-ports", "4789"),
            ("ovn-evpn-local-ip", "ovn-evpn-local-ip", "1.0.0.1"),
            ("ovn-is-interconn", "is-interconn", "true"),
        ];
        for (setting, key, value) in cases {
            let mut bed = bed(&[(setting, "x")]);
            bed.setting(&format!("{setting}-hv1"), value);
            assert_eq!(column(&inserted(&bed, "Chassis")[0], "other_config")[key], value, "{setting}");
        }
        let mut bed = bed(&[("hostname", "h.example"), ("ovn-transport-zones", "b,a,,a")]);
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(text.contains(r#""hostname":"h.example""#), "{text}");
        assert!(text.contains(r#""transport_zones":["set",["a","b"]]"#), "{text}");
        bed.setting("ovn-transport-zones-hv1", "");
        assert!(wanted(&bed, &WriteKey::Chassis).contains(r#""transport_zones":["set",[]]"#));
    }

    #[test]
    fn an_encap_row_for_each_type_and_address() {
        let settings = [
            ("ovn-encap-type", "vxlan,geneve,stt"),
            ("ovn-encap-ip", "1.0.0.2,1.0.0.1"),
            ("ovn-encap-ip-default", "1.0.0.2"),
            ("ovn-encap-csum", "false"),
        ];
        let bed = bed(&settings);
        let rows: Vec<String> = inserted(&bed, "Encap")
            .iter()
            .map(|row| format!("{:?} {:?} {:?}", row[0].1, row[1].1, column(row, "options")))
            .collect();
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().filter(|row| row.contains("1.0.0.2")).all(|row| row.contains(r#""is_default": "true""#)));
        assert!(rows.iter().filter(|row| row.contains("1.0.0.1")).all(|row| !row.contains("is_default")));
        assert!(rows.iter().all(|row| row.contains(r#""csum": "false""#)));
        let said = bed.agent.write(&WriteKey::Chassis).diagnostics;
        assert_eq!(said, ["ovn-encap-type: \"stt\" is no encapsulation type"]);
        let mut bed = self::bed(&[("ovn-encap-ip-default", "1.0.0.9")]);
        let said = bed.agent.write(&WriteKey::Chassis).diagnostics;
        assert_eq!(said, ["ovn-encap-ip-default 1.0.0.9 is not in ovn-encap-ip: ignored"]);
        bed.setting("ovn-encap-ip", "");
        assert_eq!(wanted(&bed, &WriteKey::Chassis), "[]");
        assert_eq!(bed.agent.write(&WriteKey::Chassis).diagnostics, ["Need to specify an encap type and ip"]);
    }

    #[test]
    fn only_what_differs_is_written() {
        let mut bed = bed(&[]);
        let (encap, _) = registered(&mut bed, |_| {});
        assert_eq!(wanted(&bed, &WriteKey::Chassis), "[]");
        bed.setting("ovn-cms-options", "x");
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(text.contains(r#"["other_config","insert",["map",[["ovn-cms-options","x"]]]]"#), "{text}");
        bed.setting("ovn-cms-options", "");
        bed.setting("ovn-encap-csum", "false");
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(text.contains(r#"["options","insert",["map",[["csum","false"]]]]"#), "{text}");
        // What an operator has written there stays.
        let mut row = bed.agent.model().sb.encap.row_by_uuid(&encap).unwrap().clone();
        row.options = map(&[("csum", "false"), ("dst_port", "7000")]);
        bed.put(|u| &mut u.encap, encap, row);
        assert_eq!(wanted(&bed, &WriteKey::Chassis), "[]");
    }

    #[test]
    fn keys_that_nobody_knows_go_and_those_of_others_stay() {
        let mut bed = bed(&[]);
        registered(&mut bed, |config| {
            for key in ["is-vtep", "is-remote", "old-key"] {
                config.insert(key.to_owned(), "true".to_owned());
            }
        });
        let out = bed.agent.write(&WriteKey::Chassis);
        assert_eq!(out.diagnostics, ["Removing unsupported key \"old-key\" from chassis record."]);
        let text = out.southbound.to_string();
        assert!(text.contains(r#""mutations":[["other_config","delete",["set",["old-key"]]]]"#), "{text}");
    }

    #[test]
    fn the_hostname_is_written_by_itself() {
        let mut bed = bed(&[]);
        registered(&mut bed, |_| {});
        bed.setting("hostname", "other");
        assert_eq!(wanted(&bed, &WriteKey::Chassis), "[]", "a refusal keeps nothing else back");
        assert!(wanted(&bed, &WriteKey::Hostname).contains(r#""row":{"hostname":"other"}"#));
    }

    #[test]
    fn addresses_of_others_are_named_and_without_any_of_our_own_we_unregister() {
        let mut bed = bed(&[("ovn-encap-ip", "1.0.0.1,1.0.0.7")]);
        let other = bed.uuid();
        let row =
            Encap { r#type: "geneve".into(), ip: "1.0.0.7".into(), chassis_name: "other".into(), ..Default::default() };
        bed.put(|u| &mut u.encap, other, row);
        registered(&mut bed, |_| {});
        let out = bed.agent.write(&WriteKey::Chassis);
        let line = "'other' already has encap ip '1.0.0.7' and type 'geneve', cannot duplicate on 'hv1'";
        assert_eq!(
            (out.southbound.to_string().as_str(), out.diagnostics),
            ("[]", vec![line.to_owned()]),
            "with fewer rows"
        );
        bed.setting("ovn-encap-ip", "1.0.0.7");
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(text.contains(r#""op":"delete","table":"Chassis_Private""#), "{text}");
        assert!(text.contains(r#""op":"delete","table":"Chassis","#), "{text}");
        bed.delete(|u| &mut u.chassis, HV1);
        let private = bed.agent.model().sb.chassis_private.by_name("hv1").next().unwrap();
        let private = bed.agent.model().sb.chassis_private.uuid(private);
        bed.delete(|u| &mut u.chassis_private, private);
        assert_eq!(wanted(&bed, &WriteKey::Chassis), "[]", "nothing is tried again and again");
        bed.delete(|u| &mut u.encap, other);
        assert_eq!(inserted(&bed, "Encap").len(), 1, "once the address is free");
    }

    #[test]
    fn another_system_id_waits_for_the_old_row_to_go() {
        let mut bed = bed(&[]);
        let (encap, private) = registered(&mut bed, |_| {});
        bed.setting("system-id", "new");
        let out = bed.agent.write(&WriteKey::Chassis);
        let line = "'hv1' already has encap ip '1.0.0.1' and type 'geneve', cannot duplicate on 'new'";
        assert_eq!((out.southbound.to_string().as_str(), out.diagnostics), ("[]", vec![line.to_owned()]));
        bed.delete(|u| &mut u.chassis, HV1);
        bed.delete(|u| &mut u.encap, encap);
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(text.contains(r#""name":"new""#), "{text}");
        let _ = private;
    }

    #[test]
    fn the_rows_of_a_former_name_go_unless_they_are_somebody_elses() {
        let mut bed = bed(&[]);
        let (encap, private) = registered(&mut bed, |_| {});
        bed.agent.set_external(|external| external.former_name = Some("hv1".into()));
        bed.agent.settle();
        assert_eq!(wanted(&bed, &WriteKey::Chassis), "[]", "it is our name still");
        bed.setting("system-id", "new");
        let deleted = [("Chassis_Private", private), ("Chassis", HV1)].map(|(table, row)| {
            format!(r#"{{"op":"delete","table":"{table}","where":[["_uuid","==",["uuid","{row}"]]]}}"#)
        });
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(deleted.iter().all(|row| text.contains(row)), "{text}");
        assert_eq!(
            (inserted(&bed, "Chassis").len(), inserted(&bed, "Encap").len()),
            (1, 1),
            "together with the new ones"
        );
        let theirs = Encap { r#type: "geneve".into(), ip: "1.0.0.9".into(), ..Encap::default() };
        bed.put(|u| &mut u.encap, encap, theirs);
        assert!(!wanted(&bed, &WriteKey::Chassis).contains("delete"), "an address that is not ours");
    }

    #[test]
    fn a_row_that_somebody_deleted_is_made_again() {
        let mut bed = bed(&[]);
        let (encap, private) = registered(&mut bed, |_| {});
        bed.delete(|u| &mut u.chassis, HV1);
        bed.delete(|u| &mut u.encap, encap);
        let text = wanted(&bed, &WriteKey::Chassis);
        assert!(text.contains(r#""op":"insert","table":"Chassis""#), "{text}");
        let private = format!(r#"[["_uuid","==",["uuid","{private}"]]],"row":{{"chassis":["named-uuid","chassis"]}}"#);
        assert!(text.contains(&private), "{text}");
    }
}
