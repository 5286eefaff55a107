//! EVPN for the tests: databases in which switches have VNIs, and random changes of the kernel's neighbour tables ([`Tables`]).

use ovn_core::Agent;
use ovn_core::kernel::{Neighbour, NeighbourTable};
use ovsdb::tables::local::{Interface, Port};
use ovsdb::tables::{Database, RowUpdate, local, southbound};
use ovsdb::{Map, Str, Uuid};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Random, Start};

/// Devices with the table that is read of each.
const TABLES: [(&str, NeighbourTable); 4] = [
    ("vx0", NeighbourTable::Fdb),
    ("vx1", NeighbourTable::Fdb),
    ("br0", NeighbourTable::Ip),
    ("br1", NeighbourTable::Ip),
];

/// The same databases, each logical switch with a VNI (two of them with one device), two VXLAN ports, and tunnel addresses.
pub fn with_evpn(mut start: Start) -> Start {
    fn with(map: &Map<Str, Str>, pairs: &[(&str, &str)]) -> Map<Str, Str> {
        let more = pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value)));
        let kept = map.iter().filter(|(key, _)| !pairs.iter().any(|(other, _)| *key == other));
        kept.map(|(key, value)| (key.clone(), value.clone())).chain(more).collect()
    }
    let mut updates = southbound::Updates::default();
    for (number, (row, datapath)) in start.sb.datapath_binding.iter().enumerate() {
        let (vni, vxlan, bridge) = ((number + 1).to_string(), format!("vx{}", number % 2), format!("br{}", number % 2));
        let more = [
            ("dynamic-routing-vni", vni.as_str()),
            ("dynamic-routing-vxlan-ifname", if number == 0 { "vx0,vx1" } else { &vxlan }),
            ("dynamic-routing-bridge-ifname", &bridge),
        ];
        let mut datapath = datapath.clone();
        datapath.external_ids = with(&datapath.external_ids, &more);
        updates.datapath_binding.push((start.sb.datapath_binding.uuid(row), RowUpdate::Insert(datapath)));
    }
    for (row, chassis) in start.sb.chassis.iter() {
        let mut chassis = chassis.clone();
        chassis.other_config = with(&chassis.other_config, &[("ovn-evpn-local-ip", "192.0.2.1,2-192.0.2.2,fd00::1")]);
        updates.chassis.push((start.sb.chassis.uuid(row), RowUpdate::Insert(chassis)));
    }
    start.sb.apply(updates);
    let mut updates = local::Updates::default();
    for (row, ovs) in start.local.open_vswitch.iter() {
        let mut ovs = ovs.clone();
        ovs.external_ids = with(&ovs.external_ids, &[("ovn-evpn-vxlan-ports", "4789,4790")]);
        updates.open_vswitch.push((start.local.open_vswitch.uuid(row), RowUpdate::Insert(ovs)));
    }
    let (row, bridge) = start.local.bridge.iter().find(|(_, bridge)| bridge.name == "br-int").unwrap();
    let (row, mut bridge) = (start.local.bridge.uuid(row), bridge.clone());
    for (number, udp_port) in ["4789", "4790"].into_iter().enumerate() {
        let (port, interface) = (Uuid([0xe0 + number as u8; 16]), Uuid([0xe8 + number as u8; 16]));
        let options = [("local_ip", "flow"), ("remote_ip", "flow"), ("key", "flow"), ("dst_port", udp_port)];
        let name = Str::from(format!("ovn-evpn-{udp_port}"));
        let interface_row = Interface {
            name: name.clone(),
            r#type: Str::from("vxlan"),
            options: with(&Map::default(), &options),
            ofport: Some(3000 + number as i64),
            ..Default::default()
        };
        let external_ids = with(&Map::default(), &[("ovn-evpn-tunnel", "true")]);
        let port_row = Port { name, interfaces: [interface].into_iter().collect(), external_ids, ..Default::default() };
        updates.interface.push((interface, RowUpdate::Insert(interface_row)));
        updates.port.push((port, RowUpdate::Insert(port_row)));
        bridge.ports = bridge.ports.iter().copied().chain([port]).collect();
    }
    updates.bridge.push((row, RowUpdate::Insert(bridge)));
    start.local.apply(updates);
    start.name.push_str(" with EVPN");
    start
}

/// The kernel's tables as they are now.
#[derive(Default)]
pub struct Tables(BTreeMap<(Str, NeighbourTable), Vec<Neighbour>>);

impl Tables {
    /// Changes an entry of a table, adds or removes one, or empties the table. Says what it did.
    pub fn edit(&mut self, random: &mut Random) -> String {
        let (device, table) = *random.pick(&TABLES).unwrap();
        let entries = self.0.entry((Str::from(device), table)).or_default();
        let at = random.below(entries.len());
        match random.below(10) {
            0 => entries.clear(),
            1..=3 if !entries.is_empty() => drop(entries.swap_remove(at)),
            4 if !entries.is_empty() => entries[at] = neighbour(random),
            _ => entries.push(neighbour(random)),
        }
        format!("table {table:?} of {device} is {entries:?}")
    }

    /// Empties all tables.
    pub fn clear(&mut self) {
        self.0.values_mut().for_each(Vec::clear);
    }

    /// Shows all tables to an agent.
    pub fn show(&self, agent: &mut Agent) {
        for ((device, table), entries) in &self.0 {
            agent.neighbours(device, *table, entries);
        }
    }
}

/// From few values, so that entries have much to do with each other.
fn neighbour(random: &mut Random) -> Neighbour {
    let ip = match random.below(8) {
        0 => None,
        1 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        2 | 3 => Some(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 10 + random.below(3) as u16))),
        _ => Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, random.below(4) as u8))),
    };
    Neighbour {
        mac: random.below(5) as u64,
        ip,
        port: *random.pick(&[0, 0, 4789, 4790, 9]).unwrap(),
        vlan: u16::from(random.once_in(8)),
        noarp: !random.once_in(4),
        permanent: random.once_in(3),
        extern_learned: !random.once_in(3),
    }
}
