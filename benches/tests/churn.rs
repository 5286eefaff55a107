//! A day of churn, accelerated: pods come and go under new names, chassis are made anew, sets, ACLs and neighbours change, and what there is
//! at one time stays as much. So must the memory: bytes are counted by an allocator, so the figures are the same on every machine.
//!
//! `OVN_TEST_CHURN_RATE=n` makes n changes in each of the 24 hours instead of 250; a busy cluster has 36,000 (ten a second).
//!
//!     OVN_TEST_CHURN_RATE=36000 cargo test --profile fast -p ovn-benches --test churn -- --nocapture

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]
#![allow(clippy::print_stdout, reason = "figures of a test")]

#[path = "../shared/counting.rs"]
mod counting;

use ovn_benches::{Deployment, unsettled};
use ovn_core::Agent;
use ovn_core::switch::Change;
use ovsdb::tables::local::{Bridge, Interface, Port};
use ovsdb::tables::southbound::{AddressSet, Chassis, LogicalFlow, MacBinding, PortBinding};
use ovsdb::tables::{ColumnSet, Row, RowUpdate, Table, local, southbound};
use ovsdb::{Str, Uuid};

const HOURS: usize = 24;
const WARM_UP: usize = 4;

/// A port with what belongs to it.
struct Pod {
    node: usize,
    binding: Uuid,
    lflows: Vec<Uuid>,
    /// On our own node: the Port and the Interface.
    local: Option<(Uuid, Uuid)>,
}

/// The cluster as it is at one time.
struct Cluster {
    agent: Agent,
    random: u64,
    /// Of the last thing made; no name is ever used again.
    number: u64,
    pods: Vec<Pod>,
    chassis: Vec<(Uuid, Uuid)>,
    datapaths: Vec<Uuid>,
    addresses: Vec<Str>,
    neighbours: Vec<Uuid>,
    acls: Vec<Uuid>,
    flow_mods: usize,
}

/// The whole row anew.
fn made<R>(uuid: Uuid, row: R) -> (Uuid, RowUpdate<R>) {
    (uuid, RowUpdate::Insert(row))
}

fn gone<R>(uuid: Uuid) -> (Uuid, RowUpdate<R>) {
    (uuid, RowUpdate::Delete)
}

/// Members added to or taken from the sets of a row: whichever they are not in is what happens.
fn toggled<R>(uuid: Uuid, column: u8, row: R) -> (Uuid, RowUpdate<R>) {
    let columns = ColumnSet::EMPTY.with(column);
    (uuid, RowUpdate::Modify { row, columns, differences: columns })
}

/// The identities of the rows, in the order in which the deployment makes them.
fn uuids<R: Row>(table: &Table<R>) -> Vec<Uuid> {
    table.iter().map(|(id, _)| table.uuid(id)).collect()
}

/// What the changes made so far come to in each hour.
struct Sample {
    bytes: u64,
    sizes: (usize, usize, usize),
    flows: usize,
}

impl Cluster {
    /// `pods` on each node beside the ports of the deployment, 200 neighbours and 40 ACLs.
    fn new(deployment: Deployment, pods: usize) -> Cluster {
        let mut agent = unsettled(&deployment);
        agent.set_external(|external| external.config.read_only = false);
        let sb = &agent.model().sb;
        let chassis = uuids(&sb.chassis).into_iter().zip(uuids(&sb.encap)).collect();
        let mut cluster = Cluster {
            random: 1,
            number: 0,
            pods: Vec::new(),
            chassis,
            datapaths: uuids(&sb.datapath_binding),
            addresses: Vec::new(),
            neighbours: Vec::new(),
            acls: Vec::new(),
            flow_mods: 0,
            agent,
        };
        for node in 0..deployment.nodes as usize {
            (0..pods).for_each(|_| cluster.pod_comes(node));
        }
        (0..30).for_each(|_| cluster.address_comes());
        (0..200).for_each(|_| cluster.neighbour_comes());
        (0..40).for_each(|_| cluster.acl_comes());
        cluster
    }

    fn fresh(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn fresh_uuid(&mut self) -> Uuid {
        ovn_core::pools::uuid_of(&format!("row {}", self.fresh()))
    }

    /// A number below `limit` (splitmix64).
    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 16) as usize % limit
    }

    fn bridge(&self) -> Uuid {
        uuids(&self.agent.model().local.bridge)[0]
    }

    fn pod_comes(&mut self, node: usize) {
        let number = self.fresh();
        let (name, datapath) = (Str::from(format!("pod{number}")), self.datapaths[node]);
        let [b, c, d] = [number >> 16, number >> 8, number].map(|part| part & 255);
        let mac = format!("0a:01:00:{b:02x}:{c:02x}:{d:02x}");
        let address = Str::from(format!("{mac} 10.{b}.{c}.{d}"));
        let row = PortBinding {
            logical_port: name.clone(),
            datapath,
            tunnel_key: 100 + (number % 30_000) as i64,
            mac: [address.clone()].into_iter().collect(),
            port_security: [address].into_iter().collect(),
            chassis: Some(self.chassis[node].0),
            ..Default::default()
        };
        let binding = self.fresh_uuid();
        let texts = [
            (
                "ingress",
                26,
                format!("arp.tpa == 10.{b}.{c}.{d} && arp.op == 1"),
                "eth.dst = eth.src; output;".to_owned(),
            ),
            ("ingress", 29, format!("eth.dst == {mac}"), format!("outport = \"{name}\"; output;")),
            (
                "egress",
                4,
                format!("outport == \"{name}\" && ip4.src == $as1 && tcp.dst == {{22, 443}}"),
                "next;".to_owned(),
            ),
        ];
        let rows = texts.map(|(pipeline, table_id, r#match, actions)| LogicalFlow {
            logical_datapath: Some(datapath),
            pipeline: Str::from(pipeline),
            table_id,
            priority: 1001,
            r#match: Str::from(r#match),
            actions: Str::from(actions),
            ..Default::default()
        });
        let lflows: Vec<_> = rows.into_iter().map(|row| made(self.fresh_uuid(), row)).collect();
        let kept = lflows.iter().map(|(uuid, _)| *uuid).collect();
        self.agent.southbound(southbound::Updates {
            port_binding: vec![made(binding, row)],
            logical_flow: lflows,
            ..Default::default()
        });
        let local = (node == 0).then(|| self.interface_comes(&name, number));
        self.pods.push(Pod { node, binding, lflows: kept, local });
    }

    fn interface_comes(&mut self, iface_id: &Str, number: u64) -> (Uuid, Uuid) {
        let (port, interface) = (self.fresh_uuid(), self.fresh_uuid());
        let name = Str::from(format!("veth{number}"));
        let row = Interface {
            name: name.clone(),
            ofport: Some(10_000 + (number % 20_000) as i64),
            external_ids: [(Str::from("iface-id"), iface_id.clone())].into_iter().collect(),
            ..Default::default()
        };
        let port_row = Port { name, interfaces: [interface].into_iter().collect(), ..Default::default() };
        let bridge = Bridge { ports: [port].into_iter().collect(), ..Default::default() };
        self.agent.local(local::Updates {
            interface: vec![made(interface, row)],
            port: vec![made(port, port_row)],
            bridge: vec![toggled(self.bridge(), local::bridge::ports, bridge)],
            ..Default::default()
        });
        (port, interface)
    }

    /// A random one; returns its node.
    fn pod_goes(&mut self) -> usize {
        let at = self.below(self.pods.len());
        let pod = self.pods.swap_remove(at);
        if let Some((port, interface)) = pod.local {
            let bridge = Bridge { ports: [port].into_iter().collect(), ..Default::default() };
            self.agent.local(local::Updates {
                interface: vec![gone(interface)],
                port: vec![gone(port)],
                bridge: vec![toggled(self.bridge(), local::bridge::ports, bridge)],
                ..Default::default()
            });
        }
        self.agent.southbound(southbound::Updates {
            port_binding: vec![gone(pod.binding)],
            logical_flow: pod.lflows.into_iter().map(gone).collect(),
            ..Default::default()
        });
        pod.node
    }

    fn address_toggles(&mut self, address: Str) {
        let uuid = uuids(&self.agent.model().sb.address_set)[0];
        let row = AddressSet { addresses: [address].into_iter().collect(), ..Default::default() };
        let address_set = vec![toggled(uuid, southbound::address_set::addresses, row)];
        self.agent.southbound(southbound::Updates { address_set, ..Default::default() });
    }

    fn address_comes(&mut self) {
        let number = self.fresh();
        let address = Str::from(format!("172.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255));
        self.addresses.push(address.clone());
        self.address_toggles(address);
    }

    fn neighbour_comes(&mut self) {
        let (number, uuid) = (self.fresh(), self.fresh_uuid());
        let node = self.below(self.datapaths.len());
        let row = MacBinding {
            logical_port: Str::from(format!("p{node}-0")),
            ip: Str::from(format!("192.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)),
            mac: Str::from("0a:02:00:00:00:01"),
            datapath: self.datapaths[node],
            ..Default::default()
        };
        self.neighbours.push(uuid);
        self.agent.southbound(southbound::Updates { mac_binding: vec![made(uuid, row)], ..Default::default() });
    }

    fn acl_comes(&mut self) {
        let (number, uuid) = (self.fresh(), self.fresh_uuid());
        let row = LogicalFlow {
            logical_datapath: Some(self.datapaths[0]),
            pipeline: Str::from("ingress"),
            table_id: 8,
            priority: 1000 + (number % 500) as i64,
            r#match: Str::from(format!(
                "ip4.dst == $as1 && reg3 == {number} && tcp.dst == {{1, 2, {}}}",
                number % 60_000
            )),
            actions: Str::from(format!("reg4 = {number}; next;")),
            ..Default::default()
        };
        self.acls.push(uuid);
        self.agent.southbound(southbound::Updates { logical_flow: vec![made(uuid, row)], ..Default::default() });
    }

    /// A hypervisor installed anew: other rows under the same name, to which its ports move.
    fn chassis_made_anew(&mut self) {
        let node = 1 + self.below(self.chassis.len() - 1);
        let (chassis, encap) = (self.fresh_uuid(), self.fresh_uuid());
        let sb = &self.agent.model().sb;
        let (old, old_encap) = std::mem::replace(&mut self.chassis[node], (chassis, encap));
        let row = Chassis { encaps: [encap].into_iter().collect(), ..sb.chassis.row_by_uuid(&old).unwrap().clone() };
        let encap_row = sb.encap.row_by_uuid(&old_encap).unwrap().clone();
        let bindings = sb.port_binding.iter().filter(|(_, row)| row.chassis == Some(old));
        let moved = bindings
            .map(|(id, row)| made(sb.port_binding.uuid(id), PortBinding { chassis: Some(chassis), ..row.clone() }));
        let updates = southbound::Updates {
            port_binding: moved.collect(),
            chassis: vec![gone(old), made(chassis, row)],
            encap: vec![gone(old_encap), made(encap, encap_row)],
            ..Default::default()
        };
        self.agent.southbound(updates);
    }

    /// Something goes and something like it comes.
    fn change(&mut self) {
        match self.below(20) {
            0..10 => {
                let node = self.pod_goes();
                self.pod_comes(node);
            }
            10..13 => {
                let at = self.below(self.addresses.len());
                let address = self.addresses.swap_remove(at);
                self.address_toggles(address);
                self.address_comes();
            }
            13..16 => {
                let at = self.below(self.neighbours.len());
                let mac_binding = vec![gone(self.neighbours.swap_remove(at))];
                self.agent.southbound(southbound::Updates { mac_binding, ..Default::default() });
                self.neighbour_comes();
            }
            16..19 => {
                let at = self.below(self.acls.len());
                let logical_flow = vec![gone(self.acls.swap_remove(at))];
                self.agent.southbound(southbound::Updates { logical_flow, ..Default::default() });
                self.acl_comes();
            }
            _ => self.chassis_made_anew(),
        }
        self.settle();
    }

    /// The agent works, and its switch does what it is told.
    fn settle(&mut self) {
        self.agent.settle();
        let (table, pools, _) = self.agent.switch_side();
        for id in table.take_changed() {
            let Some(change) = table.change(id) else { continue };
            self.flow_mods += 1;
            let installed = match change {
                Change::Add(flow) | Change::Modify(flow) => Some(flow),
                Change::Delete => None,
            };
            table.set_installed(id, installed);
        }
        pools.groups.take_changed();
        pools.meters.take_changed();
    }

    fn sample(&self) -> Sample {
        Sample { bytes: counting::held(), sizes: self.agent.sizes(), flows: self.agent.flows().desired_len() }
    }
}

#[test]
fn memory_stays_flat_over_a_day() {
    let rate = std::env::var("OVN_TEST_CHURN_RATE").map_or(250, |text| text.parse().expect("a number of changes"));
    let mut cluster = Cluster::new(Deployment { nodes: 50, ports: 2, addresses: 20 }, 10);
    cluster.settle();
    let mut samples = Vec::new();
    for hour in 0..=HOURS {
        if hour > 0 {
            (0..rate).for_each(|_| cluster.change());
        }
        let sample = cluster.sample();
        println!(
            "hour {hour}: {:.2} MB, {} flows, (nodes, keys, edges) {:?}, {} flow mods so far",
            sample.bytes as f64 / 1e6,
            sample.flows,
            sample.sizes,
            cluster.flow_mods
        );
        samples.push(sample);
    }
    assert!(cluster.flow_mods > HOURS * rate, "otherwise this tests nothing");
    let after = &samples[WARM_UP..];
    let bytes = |pick: fn(u64, u64) -> u64| after.iter().map(|sample| sample.bytes).reduce(pick).unwrap();
    let (least, most) = (bytes(u64::min), bytes(u64::max));
    println!("after {WARM_UP} hours: {:.2} to {:.2} MB", least as f64 / 1e6, most as f64 / 1e6);
    assert!(most * 100 <= least * 105, "{least} to {most} bytes");
}
