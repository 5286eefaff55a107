//! VXLAN ports for EVPN: one for each UDP port of Chassis.other_config:ovn-evpn-vxlan-ports. `create_evpn_tunnels` of
//! controller/encaps.c, OVN 26.03; sheet 01 section 5.5.
//!
//! A port whose interface is not as it should be is corrected in place, so that it keeps its OpenFlow port where Open vSwitch can do
//! that; ovn-controller puts a new interface in.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::operations::NewPort;
use crate::facts::{ChassisName, IntegrationBridge, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Bridge, Chassis, Interface, Port};
use crate::units::Output;
use crate::view::flag;
use crate::view::peers::name_prefix;

/// Port.external_ids key that marks our ports.
pub const MARK: &str = "ovn-evpn-tunnel";

type PortRow<'r, 'a> = Tracked<'r, Port, Reader<'a>>;

/// See [`super::WriteKey::EvpnPorts`].
pub fn evpn_ports(r: &Reader<'_>, out: &mut Output) {
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let Some(chassis) = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)) else { return };
    let udp_ports = udp_ports(chassis.other_config().get("ovn-evpn-vxlan-ports"), out);
    let prefix = name_prefix(r);
    let mut missing: BTreeMap<Str, u16> =
        udp_ports.into_iter().map(|port| (Str::from(format!("{prefix}-evpn-{port}")), port)).collect();
    let mut local = Transaction::new();
    let mut stale: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for row in r.lookup(|table: &Table<Port>| table.by_evpn_tunnel(true)) {
        let Some(port) = r.row::<Port>(row).filter(|port| flag(port.external_ids(), MARK)) else { continue };
        let here = bridge.ports().contains(&port.uuid());
        match missing.get(port.name()).copied() {
            Some(udp_port) if here => {
                correct(r, &port, udp_port, &mut local);
                missing.remove(port.name());
            }
            // Of a bridge that was the integration bridge. The name is free once it is gone.
            Some(_) => {
                missing.remove(port.name());
                let bridges = r.lookup(|table: &Table<Bridge>| table.by_port(port.uuid()));
                for bridge in bridges.into_iter().filter_map(|row| r.row::<Bridge>(row)) {
                    stale.entry(bridge.uuid()).or_default().push(port.uuid());
                }
            }
            None if here => stale.entry(bridge.uuid()).or_default().push(port.uuid()),
            None => {}
        }
    }
    for (bridge, ports) in stale {
        let ports: Datum = ports.into_iter().collect();
        local.mutate("Bridge", bridge, vec![("ports", Mutator::Delete, ports)]);
    }
    for (name, udp_port) in missing {
        if r.lookup_one(|table: &Table<Port>| table.by_name(&name)).is_some() {
            out.diagnostics
                .push(format!("port {name} exists and is not ours: no EVPN tunnels with UDP port {udp_port}"));
            continue;
        }
        create(&name, udp_port, bridge.uuid(), &mut local);
    }
    if !local.is_empty() {
        let name = r.fact(ChassisName).unwrap_or_default();
        out.local.comment(format!("ovn-agent: modifying EVPN tunnels '{name}'"));
        out.local.operations.append(&mut local.operations);
    }
}

/// The UDP ports in a comma-separated list.
fn udp_ports(list: Option<&Str>, out: &mut Output) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for item in list.map_or("", |list| list.as_str()).split(',').map(str::trim).filter(|item| !item.is_empty()) {
        match item.parse::<u16>() {
            Ok(port) if port != 0 => drop(ports.insert(port)),
            _ => out.diagnostics.push(format!("Invalid VXLAN port number '{item}' in ovn-evpn-vxlan-ports")),
        }
    }
    ports
}

fn options(udp_port: u16) -> [(&'static str, String); 4] {
    let flow = || "flow".to_owned();
    [("local_ip", flow()), ("remote_ip", flow()), ("key", flow()), ("dst_port", udp_port.to_string())]
}

/// Brings the only interface of the port to what it should be; options beyond ours are left alone.
fn correct(r: &Reader<'_>, port: &PortRow<'_, '_>, udp_port: u16, local: &mut Transaction) {
    let Some(interface) = port.interfaces().iter().find_map(|uuid| r.find::<Interface>(uuid)) else { return };
    if port.interfaces().len() != 1 {
        local.update("Port", port.uuid(), vec![("interfaces", interface.uuid().into())]);
    }
    let wanted = options(udp_port);
    let right =
        wanted.iter().all(|(key, value)| interface.options().get(*key).is_some_and(|has| has == value.as_str()));
    if interface.r#type() != "vxlan" || !right {
        let options: Datum = wanted.into_iter().collect();
        local.update("Interface", interface.uuid(), vec![("type", "vxlan".into()), ("options", options)]);
    }
}

fn create(name: &Str, udp_port: u16, bridge: Uuid, local: &mut Transaction) {
    let (interface, port) = (format!("evpn_if{udp_port}"), format!("evpn{udp_port}"));
    let options = options(udp_port).into_iter().collect();
    let external_ids = [(MARK, "true")].into_iter().collect();
    NewPort { bridge, name, kind: "vxlan", options, external_ids }.create(&interface, &port, local);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testbed::{HV1, Testbed, map};

    fn bed(udp_ports: &str) -> Testbed {
        let mut bed = Testbed::new();
        bed.agent.set_external(|external| external.features.known = true);
        let other_config = map(&[("ovn-evpn-vxlan-ports", udp_ports)]);
        bed.put(|u| &mut u.chassis, HV1, Chassis { name: Str::from("hv1"), other_config, ..Default::default() });
        bed
    }

    fn existing(bed: &mut Testbed, name: &str, kind: &str, dst_port: &str) -> (Uuid, Uuid) {
        bed.bridge_port(name, |port, interface| {
            port.external_ids = map(&[(MARK, "true")]);
            interface.r#type = Str::from(kind);
            let options = [("local_ip", "flow"), ("remote_ip", "flow"), ("key", "flow"), ("dst_port", dst_port)];
            interface.options = map(&options);
        })
    }

    /// The operations of our transaction as text, one a line, without the comment.
    fn operations(bed: &Testbed) -> Vec<String> {
        let (_, local) = bed.agent.writes();
        let ours = local.into_iter().map(|(_, part)| part).find(|part| part.to_string().contains("EVPN"));
        ours.map(|transaction| {
            transaction.operations.iter().skip(1).map(|operation| format!("{operation:?}")).collect()
        })
        .unwrap_or_default()
    }

    fn complaints(bed: &Testbed) -> Vec<String> {
        bed.agent.diagnostics().into_iter().map(|(_, text)| text).filter(|text| text.contains("port ")).collect()
    }

    #[test]
    fn ports_are_made_once_and_bad_numbers_are_named() {
        let mut bed = bed("4789,x,0,65536, 4790,4789");
        let made = operations(&bed);
        assert_eq!(made.len(), 6, "{made:#?}");
        for text in ["ovn-evpn-4789", "ovn-evpn-4790"] {
            assert_eq!(made.iter().filter(|operation| operation.contains(text)).count(), 2, "{text}: {made:#?}");
        }
        assert_eq!(complaints(&bed).len(), 3);
        existing(&mut bed, "ovn-evpn-4789", "vxlan", "4789");
        existing(&mut bed, "ovn-evpn-4790", "vxlan", "4790");
        assert!(operations(&bed).is_empty());
    }

    #[test]
    fn wrong_contents_are_corrected_and_stale_ports_go() {
        let mut bed = bed("4789,4790");
        existing(&mut bed, "ovn-evpn-4789", "geneve", "4789");
        let (_, interface) = existing(&mut bed, "ovn-evpn-4790", "vxlan", "1");
        let (stale, _) = existing(&mut bed, "ovn-evpn-4791", "vxlan", "4791");
        let done = operations(&bed);
        assert_eq!(done.len(), 3, "{done:#?}");
        assert_eq!(done.iter().filter(|operation| operation.contains("Interface")).count(), 2, "{done:#?}");
        let deleted = &done[2];
        assert!(deleted.contains("Delete") && deleted.contains(&format!("{stale:?}")), "{deleted}");
        bed.change_interface(interface, |row| {
            let options =
                [("local_ip", "flow"), ("remote_ip", "flow"), ("key", "flow"), ("dst_port", "4790"), ("csum", "true")];
            row.options = map(&options);
        });
        assert_eq!(operations(&bed).len(), 2, "an option that is not ours is left alone");
    }

    #[test]
    fn a_port_of_somebody_else_is_not_touched() {
        let mut bed = bed("4789");
        bed.bridge_port("ovn-evpn-4789", |_, _| {});
        assert!(operations(&bed).is_empty());
        assert_eq!(complaints(&bed).len(), 1);
    }

    #[test]
    fn the_port_moves_with_the_integration_bridge() {
        let mut bed = bed("4789");
        existing(&mut bed, "ovn-evpn-4789", "vxlan", "4789");
        let uuid = bed.uuid();
        bed.put_local(|u| &mut u.bridge, uuid, Bridge { name: Str::from("br-new"), ..Default::default() });
        bed.setting("ovn-bridge", "br-new");
        let done = operations(&bed);
        assert_eq!(done.len(), 1, "{done:#?}");
        assert!(done[0].contains("Delete"));
        bed.bridge.ports = [].into_iter().collect();
        bed.bridge_changed();
        let port =
            bed.agent.model().local.port.iter().map(|(row, _)| bed.agent.model().local.port.uuid(row)).next().unwrap();
        let updates = ovsdb::tables::local::Updates {
            port: vec![(port, ovsdb::tables::RowUpdate::Delete)],
            ..Default::default()
        };
        bed.agent.local(updates);
        bed.agent.settle();
        assert_eq!(operations(&bed).len(), 3);
    }
}
