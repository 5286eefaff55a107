//! The work done for a change: how many facts were derived, how many units ran and how many flow mods followed. The same with
//! 10 and with 1000 other hypervisors, each with a port; that is what the engine is for.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]
#![allow(clippy::print_stdout, reason = "figures and notices of a test")]

mod common;

use common::monitoring::Conditional;
use common::state::{State, Switch};
use common::{Random, Start, external};
use ovn_core::facts::Zones;
use ovn_core::{Agent, Progress};
use ovsdb::tables::local::{Bridge, Interface, Port};
use ovsdb::tables::southbound::{
    Chassis, DatapathBinding, Encap, HaChassis, HaChassisGroup, LogicalFlow, MacBinding, MulticastGroup, PortBinding,
};
use ovsdb::tables::{ColumnSet, Database, Row, RowUpdate, Table, local, southbound};
use ovsdb::{Map, Set, Str, Uuid};

/// What a change cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    /// Facts derived.
    facts: u64,
    /// Units run.
    units: u64,
    /// What both asked for.
    reads: u64,
    /// Flow mods that the switch got.
    flow_mods: usize,
}

const fn work(facts: u64, units: u64, reads: u64, flow_mods: usize) -> Work {
    Work { facts, units, reads, flow_mods }
}

fn uuid(kind: u8, number: usize) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[..4].copy_from_slice(&(number as u32).wrapping_mul(0x9e37_79b1).to_be_bytes());
    bytes[8..12].copy_from_slice(&(number as u32).to_be_bytes());
    Uuid(bytes)
}

fn map(pairs: &[(&str, &str)]) -> Map<Str, Str> {
    pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect()
}

/// The first row that has what is asked for, by UUID.
fn first<R: Row>(table: &Table<R>, test: impl Fn(&R) -> bool) -> (Uuid, R) {
    let found = table.iter().filter(|(_, row)| test(row)).map(|(id, row)| (table.uuid(id), row.clone()));
    found.min_by_key(|(uuid, _)| *uuid).unwrap()
}

fn datapath(start: &Start, name: &str) -> Uuid {
    first(&start.sb.datapath_binding, |row| row.external_ids.get("name").is_some_and(|text| text == name)).0
}

fn encap(number: usize) -> String {
    format!("198.51.{}.{}", number / 250, number % 250 + 1)
}

fn chassis(number: usize) -> (southbound::Updates, Uuid) {
    let (chassis, encap_row) = (uuid(0xc1, number), uuid(0xe1, number));
    let name = Str::from(format!("far{number}"));
    let encap = Encap {
        r#type: Str::from("geneve"),
        ip: Str::from(encap(number)),
        chassis_name: name.clone(),
        ..Default::default()
    };
    let row = Chassis { name, encaps: [encap_row].into_iter().collect(), ..Default::default() };
    let updates = southbound::Updates {
        chassis: vec![(chassis, RowUpdate::Insert(row))],
        encap: vec![(encap_row, RowUpdate::Insert(encap))],
        ..Default::default()
    };
    (updates, chassis)
}

fn far_port(start: &Start, number: usize, chassis: Option<Uuid>) -> (Uuid, PortBinding) {
    let row = PortBinding {
        logical_port: Str::from(format!("far-port{number}")),
        datapath: datapath(start, "sw1"),
        tunnel_key: 1000 + number as i64,
        mac: [Str::from(format!("02:00:00:00:{:02x}:{:02x} 10.0.9.1", number >> 8, number & 255))]
            .into_iter()
            .collect(),
        chassis,
        ..Default::default()
    };
    (uuid(0xb1, number), row)
}

/// The rows of the tunnel port to a chassis.
fn tunnel(number: usize, ofport: Option<i64>) -> (Port, Interface) {
    let (name, ip) = (Str::from(format!("ovn-far{number}")), encap(number));
    let interface = Interface {
        name: name.clone(),
        r#type: Str::from("geneve"),
        options: map(&[("remote_ip", &ip), ("key", "flow"), ("local_ip", "192.0.2.1")]),
        ofport,
        ..Default::default()
    };
    let port = Port {
        name,
        interfaces: [uuid(0x11, number)].into_iter().collect(),
        external_ids: map(&[("ovn-chassis-id", &format!("far{number}@{ip}%192.0.2.1"))]),
        ..Default::default()
    };
    (port, interface)
}

/// The case "everything" with `n` more hypervisors: tunnels to all, a port of sw1 on each.
fn deployment(n: usize) -> Start {
    let mut start = Start::own("everything", "hv1");
    let mut bridge = first(&start.local.bridge, |row| row.name == "br-int");
    let mut flood =
        first(&start.sb.multicast_group, |row| row.name == "_MC_flood" && row.datapath == datapath(&start, "sw1"));
    let mut locals = local::Updates::default();
    let [mut ports, mut members] = [&bridge.1.ports, &flood.1.ports].map(|all| all.iter().copied().collect::<Vec<_>>());
    for number in 0..n {
        let (mut updates, chassis) = chassis(number);
        let (port, row) = far_port(&start, number, Some(chassis));
        updates.port_binding.push((port, RowUpdate::Insert(row)));
        start.sb.apply(updates);
        members.push(port);
        let (port, interface) = tunnel(number, Some(2000 + number as i64));
        locals.interface.push((uuid(0x11, number), RowUpdate::Insert(interface)));
        locals.port.push((uuid(0x71, number), RowUpdate::Insert(port)));
        ports.push(uuid(0x71, number));
    }
    bridge.1.ports = ports.into();
    locals.bridge.push((bridge.0, RowUpdate::Insert(bridge.1)));
    start.local.apply(locals);
    flood.1.ports = members.into();
    let multicast_group = vec![(flood.0, RowUpdate::Insert(flood.1))];
    start.sb.apply(southbound::Updates { multicast_group, ..Default::default() });
    start
}

/// A change of either database.
enum Change {
    Southbound(Box<southbound::Updates>),
    Local(Box<local::Updates>),
}

/// The life of a chassis without ports: its row comes, the tunnel port is made, the switch has it, the row goes, the port goes.
fn chassis_comes_and_goes(start: &Start) -> Vec<(&'static str, Change)> {
    let number = 5000;
    let (added, row) = chassis(number);
    let (bridge, _) = first(&start.local.bridge, |row| row.name == "br-int");
    let (port_row, interface_row) = (uuid(0x71, number), uuid(0x11, number));
    let on_bridge = || {
        let row = Bridge { ports: [port_row].into_iter().collect(), ..Default::default() };
        let columns = ColumnSet::EMPTY.with(local::bridge::ports);
        vec![(bridge, RowUpdate::Modify { row, columns, differences: columns })]
    };
    let (port, interface) = tunnel(number, None);
    let made = local::Updates {
        port: vec![(port_row, RowUpdate::Insert(port))],
        interface: vec![(interface_row, RowUpdate::Insert(interface))],
        bridge: on_bridge(),
        ..Default::default()
    };
    let (_, interface) = tunnel(number, Some(7000));
    let numbered =
        local::Updates { interface: vec![(interface_row, RowUpdate::Insert(interface))], ..Default::default() };
    let gone = southbound::Updates { chassis: vec![(row, RowUpdate::Delete)], ..Default::default() };
    let removed = local::Updates {
        port: vec![(port_row, RowUpdate::Delete)],
        interface: vec![(interface_row, RowUpdate::Delete)],
        bridge: on_bridge(),
        ..Default::default()
    };
    vec![
        ("a chassis without ports is added", Change::Southbound(Box::new(added))),
        ("the tunnel port to it is made", Change::Local(Box::new(made))),
        ("the switch has the tunnel port", Change::Local(Box::new(numbered))),
        ("the chassis is deleted", Change::Southbound(Box::new(gone))),
        ("the tunnel port is gone", Change::Local(Box::new(removed))),
    ]
}

/// The changes, each with what it is.
fn changes(start: &Start) -> Vec<(&'static str, Change)> {
    let none = southbound::Updates::default;
    let mut changes = Vec::new();
    let (uuid_, mut global) = first(&start.sb.sb_global, |_| true);
    global.nb_cfg += 1;
    changes.push((
        "nb_cfg goes up",
        southbound::Updates { sb_global: vec![(uuid_, RowUpdate::Insert(global))], ..none() },
    ));
    let (uuid_, mut set) = first(&start.sb.address_set, |row| row.name == "as1");
    set.addresses = set.addresses.iter().cloned().chain([Str::from("203.0.113.7")]).collect::<Set<Str>>();
    let address_set = vec![(uuid_, RowUpdate::Insert(set))];
    changes.push(("an address is added to a set", southbound::Updates { address_set, ..none() }));
    let (uuid_, row) = far_port(start, 6000, None);
    let port_binding = vec![(uuid_, RowUpdate::Insert(row))];
    changes.push(("a port is added", southbound::Updates { port_binding, ..none() }));
    let (uuid_, row) = far_port(start, 6000, Some(uuid(0xc1, 3)));
    let port_binding = vec![(uuid_, RowUpdate::Insert(row))];
    changes.push(("it is bound elsewhere", southbound::Updates { port_binding, ..none() }));
    let row = LogicalFlow {
        logical_datapath: Some(datapath(start, "sw1")),
        pipeline: Str::from("ingress"),
        table_id: 3,
        priority: 77,
        r#match: Str::from("ip4.src == 203.0.113.9"),
        actions: Str::from("drop;"),
        ..Default::default()
    };
    let logical_flow = vec![(uuid(0xf1, 1), RowUpdate::Insert(row))];
    changes.push(("a logical flow is added", southbound::Updates { logical_flow, ..none() }));
    let row = MacBinding {
        logical_port: Str::from("lr0-sw1"),
        ip: Str::from("10.0.1.99"),
        mac: Str::from("02:00:00:00:00:99"),
        datapath: datapath(start, "lr0"),
        ..Default::default()
    };
    let mac_binding = vec![(uuid(0xa1, 1), RowUpdate::Insert(row))];
    changes.push(("a neighbour is learned", southbound::Updates { mac_binding, ..none() }));
    changes.extend(gateway_groups(start));
    let changes = changes.into_iter().map(|(name, updates)| (name, Change::Southbound(Box::new(updates))));
    chassis_comes_and_goes(start).into_iter().chain(changes).collect()
}

/// Groups of gateways: of others, with us as a reference, and one more member and reference of that.
fn gateway_groups(start: &Start) -> Vec<(&'static str, southbound::Updates)> {
    let us = first_chassis(start);
    let far = |number: usize| uuid(0xc1, number);
    let group = |number: usize, members: &[usize], references: &[Uuid]| southbound::Updates {
        ha_chassis: members
            .iter()
            .map(|&member| {
                let row = HaChassis { chassis: Some(far(member)), priority: member as i64, ..Default::default() };
                (uuid(0x8a, 10 * number + member), RowUpdate::Insert(row))
            })
            .collect(),
        ha_chassis_group: vec![(
            uuid(0x89, number),
            RowUpdate::Insert(HaChassisGroup {
                ha_chassis: members.iter().map(|member| uuid(0x8a, 10 * number + member)).collect(),
                ref_chassis: references.iter().copied().collect(),
                ..Default::default()
            }),
        )],
        ..Default::default()
    };
    vec![
        ("a gateway group of others is added", group(1, &[3], &[])),
        ("a gateway group that we refer to is added", group(2, &[3, 4], &[us])),
        ("it gets another member", group(2, &[3, 4, 5], &[us])),
        ("it gets another reference", group(2, &[3, 4, 5], &[us, far(6)])),
    ]
}

fn measure(n: usize) -> Vec<(&'static str, Work)> {
    let start = deployment(n);
    let mut agent: Agent = start.agent();
    let mut switch = Switch::default();
    switch.update(&mut agent);
    agent.take_work();
    let mut measured = Vec::new();
    for (name, updates) in changes(&start) {
        match updates {
            Change::Southbound(updates) => agent.southbound(*updates),
            Change::Local(updates) => agent.local(*updates),
        }
        agent.settle();
        let flow_mods = switch.update(&mut agent);
        let done = agent.take_work();
        measured.push((name, work(done.facts, done.units, done.reads, flow_mods)));
    }
    assert!(switch.agrees(&State::of(&agent)));
    measured
}

/// What each change costs: facts derived, units run, flow mods sent. Someone who makes it cheaper lowers the numbers; someone
/// who raises them has a reason.
const EXPECTED: &[(&str, [u64; 3])] = &[
    ("a chassis without ports is added", [4, 2, 0]),
    ("the tunnel port to it is made", [5, 4, 0]),
    ("the switch has the tunnel port", [3, 2, 3]),
    ("the chassis is deleted", [4, 1, 0]),
    ("the tunnel port is gone", [2, 0, 3]),
    ("nb_cfg goes up", [0, 0, 0]),
    ("an address is added to a set", [1, 2, 2]),
    ("a port is added", [5, 3, 1]),
    ("it is bound elsewhere", [0, 2, 1]),
    ("a logical flow is added", [0, 1, 1]),
    ("a neighbour is learned", [0, 1, 4]),
    ("a gateway group of others is added", [2, 0, 0]),
    ("a gateway group that we refer to is added", [4, 2, 0]),
    ("it gets another member", [3, 1, 0]),
    ("it gets another reference", [1, 0, 0]),
];

#[test]
fn work_follows_the_change_and_not_the_deployment() {
    let (few, many) = (measure(10), measure(1000));
    let mut done = Vec::new();
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        println!("{name}: {few:?} with 10 other hypervisors, {many:?} with 1000");
        assert_eq!(few, many, "{name}");
        done.push((*name, [few.facts, few.units, few.flow_mods as u64]));
    }
    assert_eq!(done, EXPECTED);
}

/// A member of the flood group of sw1, which has one for each of `n` hypervisors, goes, comes back, and moves.
fn change_a_member(n: usize) -> Vec<Work> {
    let start = deployment(n);
    let mut agent: Agent = start.agent();
    let mut switch = Switch::default();
    switch.update(&mut agent);
    agent.take_work();
    let (group, _) =
        first(&start.sb.multicast_group, |row| row.name == "_MC_flood" && row.datapath == datapath(&start, "sw1"));
    let (member, row) = far_port(&start, 7, Some(uuid(0xc1, 7)));
    let toggle = || {
        let row = MulticastGroup { ports: [member].into_iter().collect(), ..Default::default() };
        let columns = ColumnSet::EMPTY.with(southbound::multicast_group::ports);
        let multicast_group = vec![(group, RowUpdate::Modify { row, columns, differences: columns })];
        southbound::Updates { multicast_group, ..Default::default() }
    };
    let moved = PortBinding { chassis: Some(uuid(0xc1, 8)), ..row };
    let moves = southbound::Updates { port_binding: vec![(member, RowUpdate::Insert(moved))], ..Default::default() };
    let mut done = Vec::new();
    for updates in [toggle(), toggle(), moves] {
        agent.southbound(updates);
        agent.settle();
        let flow_mods = switch.update(&mut agent);
        let counters = agent.take_work();
        done.push(work(counters.facts, counters.units, counters.reads, flow_mods));
    }
    assert!(switch.agrees(&State::of(&agent)));
    done
}

/// What is asked for again of a large multicast group: its parts, and the members of one of them.
#[test]
fn a_member_of_a_large_group_costs_its_part() {
    let (few, many) = (change_a_member(200), change_a_member(2000));
    println!("a member goes, comes, moves: {few:?} of 200, {many:?} of 2000");
    for (few, many) in few.iter().zip(&many) {
        assert_eq!((few.facts, few.units, few.flow_mods), (many.facts, many.units, many.flow_mods));
        assert!(many.reads < few.reads + 3 * 1800 / 32, "{} reads of 200, {} of 2000", few.reads, many.reads);
    }
    let done: Vec<_> = few.iter().map(|work| [work.facts, work.units, work.flow_mods as u64]).collect();
    // A member that comes back is derived anew, with its tunnel.
    assert_eq!(done, [[2, 1, 1], [4, 1, 1], [2, 3, 2]]);
}

/// The case "everything" with `n` more VIFs of sw1 plugged in here.
fn with_vifs(n: usize) -> Start {
    let mut start = Start::own("everything", "hv1");
    for number in 0..n {
        let (sb, local) = vif(&start, number);
        start.sb.apply(sb);
        start.local.apply(local);
    }
    start
}

/// The rows of a VIF that is plugged in here and ours.
fn vif(start: &Start, number: usize) -> (southbound::Updates, local::Updates) {
    let us = first_chassis(start);
    let (port, mut row) = far_port(start, number, Some(us));
    row.up = Some(true);
    let (plug, interface) = (uuid(0x72, number), uuid(0x12, number));
    let mut bridge = first(&start.local.bridge, |row| row.name == "br-int");
    bridge.1.ports = bridge.1.ports.iter().copied().chain([plug]).collect();
    let name = Str::from(format!("tap{number}"));
    let ids = [("iface-id", row.logical_port.as_str()), ("ovn-installed", "true")];
    let ofport = Some(5000 + number as i64);
    let tap = Interface { name: name.clone(), ofport, external_ids: map(&ids), ..Default::default() };
    let plugged = Port { name, interfaces: [interface].into_iter().collect(), ..Default::default() };
    let sb = southbound::Updates { port_binding: vec![(port, RowUpdate::Insert(row))], ..Default::default() };
    let local = local::Updates {
        interface: vec![(interface, RowUpdate::Insert(tap))],
        port: vec![(plug, RowUpdate::Insert(plugged))],
        bridge: vec![(bridge.0, RowUpdate::Insert(bridge.1))],
        ..Default::default()
    };
    (sb, local)
}

/// Plugs in one more VIF.
fn plug_one(start: &Start) -> (Work, std::time::Duration) {
    let mut agent: Agent = start.agent();
    let mut switch = Switch::default();
    switch.update(&mut agent);
    // As the runtime does it after each push: zones stay.
    let zones = agent.ask(Zones);
    agent.set_external(|external| external.zones_in_use = zones);
    agent.settle();
    agent.take_work();
    let (sb, local) = vif(start, 6000);
    let time = std::time::Instant::now();
    agent.southbound(sb);
    agent.local(local);
    agent.settle();
    let time = time.elapsed();
    let flow_mods = switch.update(&mut agent);
    let done = agent.take_work();
    (work(done.facts, done.units, done.reads, flow_mods), time)
}

/// Facts derived, units run and flow mods for a VIF that is plugged in.
const PLUGGED_IN: [u64; 3] = [33, 7, 6];
/// Which ports are here, what is to be asked for because of them, and which zones they have, are questions about all that are plugged in here, so what is read for the
/// answers grows with their number, by at most this much each.
const READS_PER_VIF: u64 = 18;

/// The case "everything" with `n` more switches behind the router lr0, each with a logical flow.
fn behind_a_router(n: usize) -> Start {
    let mut start = Start::own("everything", "hv1");
    let router = datapath(&start, "lr0");
    let mut updates = southbound::Updates::default();
    for number in 0..n {
        let switch = uuid(0xd1, number);
        let name = format!("switch{number}");
        let external_ids = map(&[("name", &name)]);
        let row = DatapathBinding { tunnel_key: 10_000 + number as i64, external_ids, ..Default::default() };
        updates.datapath_binding.push((switch, RowUpdate::Insert(row)));
        let names = [format!("to-switch{number}"), format!("to-router{number}")].map(|name| Str::from(name.as_str()));
        for (end, datapath) in [router, switch].into_iter().enumerate() {
            let row = PortBinding {
                logical_port: names[end].clone(),
                r#type: Str::from("patch"),
                datapath,
                tunnel_key: if end == 0 { 10_000 + number as i64 } else { 1 },
                options: map(&[("peer", &names[1 - end])]),
                ..Default::default()
            };
            updates.port_binding.push((uuid(0xb2 + end as u8, number), RowUpdate::Insert(row)));
        }
        let row = LogicalFlow {
            logical_datapath: Some(switch),
            pipeline: Str::from("ingress"),
            r#match: Str::from("1"),
            actions: Str::from("next;"),
            ..Default::default()
        };
        updates.logical_flow.push((uuid(0xf2, number), RowUpdate::Insert(row)));
    }
    start.sb.apply(updates);
    start
}

/// Whoever waits for an answer of the agent does not wait for a fact or unit that looks at all datapaths at once.
#[test]
fn a_thousand_datapaths_are_taken_in_bit_by_bit() {
    let start = behind_a_router(1000);
    let mut agent = Agent::new(external());
    agent.adopt_replicas(start.sb.clone(), start.local.clone());
    agent.take_work();
    let (mut most_facts, mut most_units, mut units) = (0, 0, 0);
    while agent.work(1) == Progress::More {
        most_facts = most_facts.max(agent.take_work().facts);
        let before = std::mem::replace(&mut units, agent.unit_counts().1);
        most_units = most_units.max(units.saturating_sub(before));
    }
    println!("at most {most_facts} facts and {most_units} new units in one go");
    // Facts that walk from port to port are interrupted after 400; that of the zones looks at each datapath, which is quick.
    assert!((400..1100).contains(&most_facts) && most_units < 100, "{most_facts} facts, {most_units} units");
    let whole = start.agent();
    assert_eq!(State::of(&agent).differences(&agent, &State::of(&whole), &whole), "");
}

#[test]
fn a_vif_that_is_plugged_in() {
    let ((few, _), (many, time)) = (plug_one(&with_vifs(10)), plug_one(&with_vifs(500)));
    println!("a VIF is plugged in: {few:?} beside 10 others, {many:?} beside 500, in {time:?}");
    for work in [few, many] {
        assert_eq!([work.facts, work.units, work.flow_mods as u64], PLUGGED_IN);
    }
    assert!(many.reads <= few.reads + READS_PER_VIF * 490, "{} reads with 10, {} with 500", few.reads, many.reads);
}

/// Behind a router without gateways all switches are local, each with two zones.
#[test]
fn a_vif_that_is_plugged_in_where_many_datapaths_are_local() {
    let ((few, _), (many, time)) = (plug_one(&behind_a_router(10)), plug_one(&behind_a_router(1000)));
    println!("a VIF is plugged in: {few:?} with 10 more datapaths, {many:?} with 1000, in {time:?}");
    assert_eq!([few.facts, few.units, few.flow_mods as u64], PLUGGED_IN);
    assert_eq!(few, many);
}

/// How often the conditions change under which the Southbound is monitored.
#[test]
fn changes_of_conditions() {
    let mut start = with_vifs(10);
    let mut conditional = Conditional::start(&start.local, &mut Random(1));
    conditional.waits = Some(true);
    let first = conditional.follow(&start.sb);
    let (sb, local) = vif(&start, 6000);
    // The port is known, and lies on a datapath that is here.
    start.sb.apply(sb);
    assert_eq!(conditional.follow(&start.sb), 0, "a port comes");
    conditional.agent.local(local);
    assert_eq!(conditional.follow(&start.sb), 0, "it is plugged in");
    // Elsewhere somebody makes a datapath with a port, a neighbour and a flow: not even seen.
    let (elsewhere, rows) = (uuid(0xd7, 1), conditional.rows());
    let row = DatapathBinding { tunnel_key: 77, ..Default::default() };
    let lflow = LogicalFlow { logical_datapath: Some(elsewhere), ..Default::default() };
    let port = PortBinding { logical_port: "lonely".into(), datapath: elsewhere, ..Default::default() };
    start.sb.apply(southbound::Updates {
        datapath_binding: vec![(elsewhere, RowUpdate::Insert(row))],
        port_binding: vec![(uuid(0xb7, 1), RowUpdate::Insert(port.clone()))],
        logical_flow: vec![(uuid(0xf7, 1), RowUpdate::Insert(lflow))],
        ..Default::default()
    });
    conditional.agent.take_work();
    assert_eq!((conditional.follow(&start.sb), conditional.rows()), (0, rows));
    let done = conditional.agent.take_work();
    assert_eq!((done.facts, done.units), (0, 0));
    // Its port is to be here: once for the datapath and what lies on it.
    let us = first_chassis(&start);
    let port = PortBinding { requested_chassis: Some(us), r#type: "l2gateway".into(), ..port };
    let options = map(&[("l2gateway-chassis", "hv1")]);
    let here = PortBinding { options, ..port.clone() };
    let update =
        |row| southbound::Updates { port_binding: vec![(uuid(0xb7, 1), RowUpdate::Insert(row))], ..Default::default() };
    start.sb.apply(update(here));
    let found = conditional.follow(&start.sb);
    assert_eq!((found, conditional.rows()), (1, rows + 3), "a datapath comes");
    let port = PortBinding { requested_chassis: None, ..port };
    start.sb.apply(update(port.clone()));
    let gone = conditional.follow(&start.sb);
    assert_eq!((gone, conditional.rows()), (1, rows), "nothing is kept of a datapath that goes");
    // Now it is a VIF's, and the VIF is plugged in: once to ask for its port, once for the datapath, before Open vSwitch has made it.
    start.sb.apply(update(PortBinding { r#type: Str::default(), ..port }));
    let (_, mut local) = vif(&start, 6001);
    let RowUpdate::Insert(tap) = &mut local.interface[0].1 else { panic!("no row") };
    tap.external_ids = map(&[("iface-id", "lonely")]);
    let made = Interface { ofport: tap.ofport.take(), ..tap.clone() };
    let interface = local.interface[0].0;
    let plugged = |row| local::Updates { interface: vec![(interface, row)], ..Default::default() };
    conditional.agent.local(local);
    conditional.waits = Some(false);
    assert_eq!((conditional.follow(&start.sb), conditional.rows()), (2, rows + 3), "a VIF is plugged in");
    conditional.agent.local(plugged(RowUpdate::Insert(made)));
    assert_eq!((conditional.follow(&start.sb), conditional.rows()), (0, rows + 3), "Open vSwitch has made it");
    conditional.waits = Some(true);
    conditional.agent.local(plugged(RowUpdate::Delete));
    assert_eq!((conditional.follow(&start.sb), conditional.rows()), (1, rows), "it is gone");
    println!("changes of conditions: {first} at the start, {found} for a new datapath, {gone} when it goes");
}

fn first_chassis(start: &Start) -> Uuid {
    first(&start.sb.chassis, |row| row.name == "hv1").0
}
