//! The order of things at start and at the end, without sockets.

use super::*;
use ovsdb::tables::RowUpdate;
use ovsdb::tables::local::OpenVSwitch;
use ovsdb::tables::southbound::{Chassis, DatapathBinding, PortBinding, PortGroup};
use ovsdb::{Str, Uuid};

const OVS: Uuid = Uuid([1; 16]);

fn now(ms: u64) -> Now {
    Now { monotonic: Time(ms), wall_ms: 0 }
}

fn local_data(settings: &[(&str, &str)]) -> Event {
    let external_ids = settings.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect();
    let mut updates = local::Updates::default();
    updates.open_vswitch.push((OVS, RowUpdate::Insert(OpenVSwitch { external_ids, ..OpenVSwitch::default() })));
    Event::LocalData { updates: Box::new(updates), replaces: true, initial: true }
}

fn effects(runtime: &mut Runtime, at: u64) -> Vec<String> {
    while runtime.work(now(at), 10) == Progress::More {}
    std::iter::from_fn(|| runtime.poll_effect())
        .map(|effect| match effect {
            Effect::Transact { db, transaction, .. } => format!("{}: {transaction}", db.name()),
            Effect::SouthboundRemotes { remotes, .. } => format!("remotes {remotes}"),
            Effect::SwitchTarget(target) => format!("switch {target:?}"),
            Effect::Log { text, .. } => format!("log {text}"),
            other => format!("{other:?}"),
        })
        .collect()
}

fn started() -> Runtime {
    let mut runtime = Runtime::new(Options { ovs_rundir: "/run".to_owned(), ..Options::default() });
    assert_eq!(effects(&mut runtime, 0), Vec::<String>::new(), "nothing is done before the local database is here");
    runtime.handle(now(0), local_data(&[("system-id", "hv1"), ("ovn-remote", "tcp:1.1.1.1:6642")]));
    runtime
}

#[test]
fn the_bridge_is_made_before_switch_and_southbound_are_there() {
    let mut runtime = started();
    let effects = effects(&mut runtime, 0);
    assert!(effects.contains(&"remotes tcp:1.1.1.1:6642".to_owned()), "{effects:#?}");
    let creation = effects.iter().find(|effect| effect.starts_with("Open_vSwitch: ")).unwrap();
    assert!(creation.contains("creating integration bridge 'br-int'"), "{creation}");
    assert!(!effects.iter().any(|effect| effect.starts_with("OVN_Southbound") || effect.starts_with("switch")));
}

#[test]
fn exit_gives_ports_and_chassis_back_and_waits_until_that_is_done() {
    let mut runtime = started();
    effects(&mut runtime, 0);
    let (us, port) = (Uuid([2; 16]), Uuid([3; 16]));
    let mut updates = southbound::Updates::default();
    let chassis = Chassis { name: "hv1".into(), ..Chassis::default() };
    updates.chassis.push((us, RowUpdate::Insert(chassis)));
    let binding = PortBinding { logical_port: "p".into(), chassis: Some(us), ..PortBinding::default() };
    updates.port_binding.push((port, RowUpdate::Insert(binding)));
    runtime.handle(now(1), Event::SouthboundData { updates: Box::new(updates), replaces: true, initial: true });
    runtime.handle(now(2), Event::Exit { restart: false });
    let wanted = effects(&mut runtime, 3);
    let cleanup = wanted.iter().find(|effect| effect.starts_with("OVN_Southbound: ")).unwrap();
    assert!(
        cleanup.contains("\"chassis\":[\"set\",[]]") && cleanup.contains("\"op\":\"delete\",\"table\":\"Chassis\"")
    );
    assert!(!wanted.contains(&"Exited".to_owned()), "not before it is done");
    let gone = southbound::Updates::default();
    runtime.handle(now(4), Event::SouthboundData { updates: Box::new(gone), replaces: true, initial: false });
    for db in [Db::Southbound, Db::Local] {
        let outcome = Outcome::Committed(Vec::new());
        runtime.handle(now(5), Event::TransactionDone { db, id: 1, outcome });
    }
    assert!(effects(&mut runtime, 6).contains(&"Exited".to_owned()));
}

#[test]
fn exit_for_a_restart_leaves_everything() {
    let mut runtime = started();
    effects(&mut runtime, 0);
    runtime.handle(now(2), Event::Exit { restart: true });
    assert_eq!(effects(&mut runtime, 3), ["log Exiting ovn-agent, resource cleanup: False (--restart)", "Exited"]);
}

/// A local switch with a VNI, and what it is called there.
fn evpn_switch(devices: &[(&str, &str)]) -> Event {
    let mut updates = southbound::Updates::default();
    let chassis = Chassis { name: "hv1".into(), ..Chassis::default() };
    updates.chassis.push((Uuid([2; 16]), RowUpdate::Insert(chassis)));
    let ids = [("dynamic-routing-vni", "10")].iter().chain(devices);
    let datapath = DatapathBinding {
        tunnel_key: 1,
        r#type: Some("logical-switch".into()),
        nb_uuid: Some(Uuid([4; 16])),
        external_ids: ids.map(|(key, value)| (Str::from(*key), Str::from(*value))).collect(),
        ..DatapathBinding::default()
    };
    updates.datapath_binding.push((Uuid([4; 16]), RowUpdate::Insert(datapath)));
    let port = PortBinding {
        logical_port: "gw".into(),
        r#type: "l2gateway".into(),
        datapath: Uuid([4; 16]),
        tunnel_key: 1,
        options: [(Str::from("l2gateway-chassis"), Str::from("hv1"))].into_iter().collect(),
        ..PortBinding::default()
    };
    updates.port_binding.push((Uuid([5; 16]), RowUpdate::Insert(port)));
    Event::SouthboundData { updates: Box::new(updates), replaces: true, initial: true }
}

#[test]
fn the_tables_of_the_kernel_are_watched_that_switches_name() {
    let mut runtime = started();
    let watched = |runtime: &mut Runtime, at| {
        let all = effects(runtime, at).into_iter();
        all.filter(|effect| effect.starts_with("WatchNeighbours")).collect::<Vec<_>>()
    };
    assert!(watched(&mut runtime, 0).is_empty());
    let devices = [("dynamic-routing-vxlan-ifname", "vx"), ("dynamic-routing-bridge-ifname", "br")];
    runtime.handle(now(1), evpn_switch(&devices));
    assert_eq!(watched(&mut runtime, 1), ["WatchNeighbours({(\"br\", Ip), (\"vx\", Fdb)})"]);
    assert!(!runtime.neighbours.are_known(), "nothing is sent to the switch before they were read");
    let seen = |runtime: &mut Runtime, device: &str, table, ip: &str| {
        let entry = Neighbour { mac: 7, ip: ip.parse().ok(), noarp: true, extern_learned: true, ..Default::default() };
        let event = Event::Neighbours { device: device.into(), table, entries: Some(vec![entry]) };
        runtime.handle(now(2), event);
    };
    seen(&mut runtime, "vx", NeighbourTable::Fdb, "192.0.2.1");
    seen(&mut runtime, "elsewhere", NeighbourTable::Fdb, "192.0.2.1");
    let unreadable = Event::Neighbours { device: "br".into(), table: NeighbourTable::Ip, entries: None };
    runtime.handle(now(2), unreadable);
    assert!(watched(&mut runtime, 2).is_empty());
    assert!(runtime.neighbours.are_known());
    let kernel = &runtime.agent().model().kernel;
    assert_eq!(kernel.tables().count(), 1, "what was not asked for is not kept");
    assert_eq!(kernel.vteps("vx").count(), 1);
    runtime.handle(now(3), evpn_switch(&devices[1..]));
    assert_eq!(watched(&mut runtime, 3), ["WatchNeighbours({(\"br\", Ip)})"]);
    assert_eq!(runtime.agent().model().kernel.tables().count(), 0);
}

#[test]
fn a_large_first_southbound_is_taken_in_portions() {
    let uuid = |n: u32| Uuid([[9; 4], n.to_be_bytes(), [9; 4], [9; 4]].concat().try_into().unwrap());
    let row = |n: u32| (uuid(n), RowUpdate::Insert(PortGroup { name: format!("g{n}").into(), ..PortGroup::default() }));
    let event = |rows: Vec<(Uuid, RowUpdate<PortGroup>)>, replaces| {
        let updates = southbound::Updates { port_group: rows, ..southbound::Updates::default() };
        Event::SouthboundData { updates: Box::new(updates), replaces, initial: replaces }
    };
    for interrupted in [false, true] {
        let mut runtime = started();
        effects(&mut runtime, 0);
        runtime.handle(now(0), event((0..5000).map(row).collect(), true));
        assert_eq!(runtime.work(now(0), 10), Progress::More);
        assert_eq!(runtime.agent().model().sb.port_group.len(), PORTION);
        assert!(!runtime.is_connected(Db::Southbound), "not before all of it is here");
        if interrupted {
            runtime.handle(now(0), event(vec![(uuid(4), RowUpdate::Delete)], false));
        }
        effects(&mut runtime, 0);
        let groups = &runtime.agent().model().sb.port_group;
        assert_eq!((groups.len(), groups.by_uuid(&uuid(4)).is_none()), (5000 - usize::from(interrupted), interrupted));
        assert!(runtime.is_connected(Db::Southbound));
    }
}
