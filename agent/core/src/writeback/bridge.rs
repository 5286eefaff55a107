//! The integration bridge: made when it is missing, and kept as it has to be. Sheet 01 section 2.5.

use ovsdb::datum::{Datum, Value};
use ovsdb::tables::Tracked;
use ovsdb::transaction::Mutator;

use super::operations::set_entries;
use crate::facts::{ChassisName, IntegrationBridge, Setting};
use crate::pools::fnv1a;
use crate::reader::Reader;
use crate::rows::{Bridge, FlowTable, OpenVSwitch};
use crate::units::Output;
use crate::view::chassis::DEFAULT_DATAPATH;

/// Bridge.external_ids: when the agent started, milliseconds since 1970.
const STARTED: &str = "ovn-startup-ts";
/// Tables that Bridge.flow_tables can describe.
const FLOW_TABLES: u8 = 255;
/// Flow_Table.prefixes, most important first.
const PREFIXES: [&str; 4] = ["ip_src", "ip_dst", "ipv6_src", "ipv6_dst"];

/// See [`super::WriteKey::IntegrationBridge`].
pub fn integration_bridge(r: &Reader<'_>, out: &mut Output) {
    let Some(ovs) = r.only::<OpenVSwitch>() else { return };
    let wanted_type = r.fact(Setting("ovn-bridge-datapath-type"));
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else {
        let name = r.fact(Setting("ovn-bridge")).unwrap_or_else(|| "br-int".into());
        // Any local unicast address will do, so long as it stays: the datapath id is made from it.
        let seed = r.fact(ChassisName).unwrap_or_default();
        let datapath_type = wanted_type.as_deref().unwrap_or(DEFAULT_DATAPATH);
        create(&name, &hardware_address(&seed), datapath_type, ovs.uuid(), out);
        return;
    };
    let mut fix = Vec::new();
    if bridge.fail_mode().map(|mode| mode.as_str()) != Some("secure") {
        fix.push(("fail_mode", Datum::from("secure")));
        out.diagnostics.push("Integration bridge fail-mode changed to 'secure'.".to_owned());
    }
    // The setting, else what the bridge has, else the default by its name (`process_br_int`, OVN 26.03): others read it from
    // the Chassis row.
    let default = bridge.datapath_type().is_empty().then(|| DEFAULT_DATAPATH.into());
    if let Some(wanted) = wanted_type.or(default).filter(|wanted| wanted != bridge.datapath_type()) {
        fix.push(("datapath_type", Datum::from(wanted)));
    }
    if let Some(tables) = flow_tables(r, &bridge, out) {
        fix.push(("flow_tables", tables));
    }
    if !fix.is_empty() {
        out.local.update("Bridge", bridge.uuid(), fix);
    }
    let started = r.config().started_ms.to_string();
    if r.config().started_ms > 0 && bridge.external_ids().get(STARTED).map(|have| have.as_str()) != Some(&started) {
        out.local.mutate("Bridge", bridge.uuid(), set_entries("external_ids", vec![(STARTED, started)]));
    }
}

/// Bridge.flow_tables, unless it is as it should be: all tables classify by prefixes of addresses, as far as the server's schema has
/// room for them. `update_flow_table_prefixes` of controller/ovn-controller.c, OVN 26.03.
fn flow_tables(r: &Reader<'_>, bridge: &Tracked<'_, Bridge, Reader<'_>>, out: &mut Output) -> Option<Datum> {
    let room = usize::try_from(r.local_schema().flow_table_prefixes).unwrap_or(usize::MAX);
    let prefixes = PREFIXES.get(..room).unwrap_or(&PREFIXES);
    if prefixes.is_empty() {
        return None;
    }
    let tables = bridge.flow_tables();
    let first = tables.get(&0).and_then(|uuid| r.find::<FlowTable>(uuid));
    if tables.len() == usize::from(FLOW_TABLES) && first.is_some_and(|row| row.prefixes().len() == prefixes.len()) {
        return None;
    }
    out.local.insert_named("Flow_Table", "flow_table", vec![("prefixes", prefixes.iter().copied().collect())]);
    let table = |number: u8| (Value::Integer(i64::from(number)), Value::NamedUuid("flow_table".into()));
    Some(Datum::Map((0..FLOW_TABLES).map(table).collect()))
}

fn create(name: &str, hwaddr: &str, datapath_type: &str, ovs: ovsdb::Uuid, out: &mut Output) {
    let local = &mut out.local;
    local.comment(format!("ovn-agent: creating integration bridge '{name}'"));
    local.insert_named("Interface", "br_interface", vec![("name", name.into()), ("type", "internal".into())]);
    local.insert_named("Port", "br_port", vec![("name", name.into()), ("interfaces", Datum::named("br_interface"))]);
    let other_config = [("disable-in-band", "true"), ("hwaddr", hwaddr)].into_iter().collect();
    let row = vec![
        ("name", name.into()),
        ("ports", Datum::named("br_port")),
        ("fail_mode", "secure".into()),
        ("other_config", other_config),
        ("datapath_type", datapath_type.into()),
    ];
    local.insert_named("Bridge", "br_bridge", row);
    let bridge = Datum::named("br_bridge");
    local.mutate("Open_vSwitch", ovs, vec![("bridges", Mutator::Insert, bridge)]);
}

/// A locally administered unicast Ethernet address made from a text.
fn hardware_address(seed: &str) -> String {
    let [_, _, a, b, c, d, e, f] = fnv1a(seed).to_be_bytes();
    format!("{:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}", (a & 0xfc) | 0x02)
}

#[cfg(test)]
mod tests {
    #[test]
    fn hardware_addresses_are_local_unicast_and_stay() {
        let first = super::hardware_address("hv1");
        assert_eq!(first, super::hardware_address("hv1"));
        assert_ne!(first, super::hardware_address("hv2"));
        assert_eq!(u8::from_str_radix(&first[..2], 16).unwrap() & 3, 2);
    }
}
