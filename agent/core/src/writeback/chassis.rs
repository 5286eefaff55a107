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
    let encaps = wanted_encaps(r, &name, &types, &ips, out);
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

/// Our rows go.
fn unregister(r: &Reader<'_>, name: &Str, out: &mut Output) {
    let private =
        r.lookup_one(|t: &Table<ChassisPrivate>| t.by_name(name)).and_then(|row| r.row::<ChassisPrivate>(row));
    if let Some(row) = private {
        out.southbound.delete("Chassis_Private", row.uuid());
    }
    if let Some(row) = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)) {
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
