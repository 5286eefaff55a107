//! The order of things at start and at the end, without sockets.

use super::*;
use ovsdb::tables::RowUpdate;
use ovsdb::tables::local::{Bridge, OpenVSwitch};
use ovsdb::tables::southbound::{
    Chassis, DatapathBinding, HaChassis, HaChassisGroup, PortBinding, PortGroup, SbGlobal,
};
use ovsdb::transaction::OperationResult;
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

/// Works until there is nothing left to do, with a server that says yes to all conditions. Returns what else is to be done.
fn work(runtime: &mut Runtime, at: u64, budget: usize) -> Vec<Effect> {
    let mut effects = Vec::new();
    loop {
        while runtime.work(now(at), budget) == Progress::More {}
        let mut asked = false;
        while let Some(effect) = runtime.poll_effect() {
            match effect {
                Effect::SouthboundConditions { sequence, .. } => {
                    asked = true;
                    runtime.handle(now(at), Event::SouthboundConditions(sequence));
                }
                Effect::Log { level: Level::Debug, .. } => {}
                other => effects.push(other),
            }
        }
        if !asked {
            return effects;
        }
    }
}

fn effects(runtime: &mut Runtime, at: u64) -> Vec<String> {
    work(runtime, at, 10)
        .into_iter()
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
fn exit_comes_even_if_the_server_refuses_the_clean_up() {
    let mut runtime = started();
    effects(&mut runtime, 0);
    let mut updates = southbound::Updates::default();
    let us = Uuid([2; 16]);
    updates.chassis.push((us, RowUpdate::Insert(Chassis { name: "hv1".into(), ..Chassis::default() })));
    for number in [3, 4] {
        let port = PortBinding { logical_port: "p".into(), chassis: Some(us), ..PortBinding::default() };
        updates.port_binding.push((Uuid([number; 16]), RowUpdate::Insert(port)));
    }
    runtime.handle(now(1), Event::SouthboundData { updates: Box::new(updates), replaces: true, initial: true });
    runtime.handle(now(2), Event::TransactionDone { db: Db::Local, id: 1, outcome: Outcome::Committed(Vec::new()) });
    runtime.handle(now(2), Event::Exit { restart: false });
    let mut tried = 0;
    let exited = (0..20).any(|_| {
        let mut exited = false;
        for effect in work(&mut runtime, 3, 10) {
            exited |= matches!(effect, Effect::Exited);
            let Effect::Transact { db, id, .. } = effect else { continue };
            tried += 1;
            let error = ovsdb::rpc::RemoteError { error: "permission error".to_owned(), ..Default::default() };
            let kind = ovsdb::transaction::ErrorKind::PermissionError;
            let error = ovsdb::transaction::TransactionError { kind, operation: Some(0), error };
            runtime.handle(now(3), Event::TransactionDone { db, id, outcome: Outcome::Failed(error) });
        }
        exited
    });
    assert!(exited && tried == 3, "two ports and the chassis: {tried}");
}

#[test]
fn exit_for_a_restart_leaves_everything() {
    let mut runtime = started();
    effects(&mut runtime, 0);
    runtime.handle(now(2), Event::Exit { restart: true });
    assert_eq!(effects(&mut runtime, 3), ["log Exiting ovn-controller, resource cleanup: False (--restart)", "Exited"]);
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
fn nothing_is_written_while_northd_has_another_version() {
    let mut runtime = started();
    effects(&mut runtime, 0);
    let settings = [("system-id", "hv1"), ("ovn-match-northd-version", "true")];
    let Event::LocalData { mut updates, .. } = local_data(&settings) else { unreachable!() };
    let bridge = Bridge { name: "br-int".into(), ..Bridge::default() };
    updates.bridge.push((Uuid([6; 16]), RowUpdate::Insert(bridge)));
    runtime.handle(now(1), Event::LocalData { updates, replaces: true, initial: true });
    effects(&mut runtime, 1);
    runtime.was_ready = true;
    let other = ["log controller version - 26.03.1-21.8.0-82.14 mismatch with northd version - 1.2.3"];
    let frozen = |runtime: &Runtime| !runtime.agent().is_settled();
    let northd_is = |runtime: &mut Runtime, theirs: &str| {
        let mut updates = southbound::Updates::default();
        let options = [(Str::from("northd_internal_version"), Str::from(theirs))].into_iter().collect();
        updates.sb_global.push((Uuid([7; 16]), RowUpdate::Insert(SbGlobal { options, ..SbGlobal::default() })));
        updates.chassis.push((Uuid([2; 16]), RowUpdate::Insert(Chassis { name: "hv1".into(), ..Chassis::default() })));
        runtime.handle(now(2), Event::SouthboundData { updates: Box::new(updates), replaces: true, initial: true });
        effects(runtime, 2)
    };
    assert_eq!(northd_is(&mut runtime, "1.2.3"), other);
    assert!(frozen(&runtime), "what has changed waits");
    assert_eq!(northd_is(&mut runtime, "1.2.3"), Vec::<String>::new(), "said once");
    northd_is(&mut runtime, INTERNAL_VERSION);
    assert!(!frozen(&runtime));
}

#[test]
fn the_switch_is_lost_when_it_was_there_and_cannot_be_reached_again() {
    let mut runtime = started();
    let lost = |runtime: &Runtime| runtime.agent().model().external.switch_lost;
    runtime.handle(now(1), Event::SwitchUnreachable);
    assert!(!lost(&runtime), "it is not there yet");
    runtime.was_ready = true;
    runtime.switch_ready = true;
    // The connection breaks, and the next ones are not answered.
    runtime.failed_attempts = 0;
    for expected in [false, false, true] {
        runtime.handle(now(2), Event::SwitchConnected);
        runtime.handle(now(3), Event::SwitchClosed(None));
        assert_eq!(lost(&runtime), expected);
    }
    runtime.failed_attempts = 0;
    runtime.switch_lost(false);
    for expected in [false, true] {
        runtime.handle(now(4), Event::SwitchUnreachable);
        assert_eq!(lost(&runtime), expected);
    }
}

/// What a rival does to a port that we have claimed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rival {
    /// Another chassis takes it.
    Takes,
    /// Somebody says that we do not have it.
    Clears,
    /// Another chassis takes it, which we come before in its HA group.
    TakesFromFirst,
}

/// A gateway port of ours that somebody takes away whenever we have claimed it, for as long as `lasts_ms`; then another chassis
/// that has it gives it back. Returns when it was claimed, and what was logged.
fn contest(rival: Rival, lasts_ms: u64) -> (Vec<u64>, Vec<String>) {
    let mut runtime = started();
    effects(&mut runtime, 0);
    let (us, them, uuid) = (Uuid([2; 16]), Uuid([6; 16]), Uuid([3; 16]));
    let rows = |chassis: Option<Uuid>| {
        let mut updates = southbound::Updates::default();
        for (uuid, name) in [(us, "hv1"), (them, "hv2")] {
            let chassis = Chassis { name: name.into(), ..Chassis::default() };
            updates.chassis.push((uuid, RowUpdate::Insert(chassis)));
        }
        let options = [(Str::from("l2gateway-chassis"), Str::from("hv1"))].into_iter().collect();
        let [member, group] = [Uuid([7; 16]), Uuid([8; 16])];
        let row = HaChassis { chassis: Some(us), priority: 1, ..HaChassis::default() };
        updates.ha_chassis.push((member, RowUpdate::Insert(row)));
        let row = HaChassisGroup { ha_chassis: [member].into_iter().collect(), ..HaChassisGroup::default() };
        updates.ha_chassis_group.push((group, RowUpdate::Insert(row)));
        let datapath = Uuid([4; 16]);
        let row = DatapathBinding { tunnel_key: 1, ..DatapathBinding::default() };
        updates.datapath_binding.push((datapath, RowUpdate::Insert(row)));
        let port = PortBinding {
            logical_port: "p".into(),
            r#type: "l2gateway".into(),
            datapath,
            options,
            chassis,
            ha_chassis_group: (rival == Rival::TakesFromFirst).then_some(group),
            ..PortBinding::default()
        };
        updates.port_binding.push((uuid, RowUpdate::Insert(port)));
        Event::SouthboundData { updates: Box::new(updates), replaces: true, initial: false }
    };
    runtime.southbound.data(true);
    runtime.handle(now(0), rows(None));
    let (mut claims, mut log, mut at) = (Vec::new(), Vec::new(), 0);
    while claims.len() < 20 && at < lasts_ms + 60_000 {
        let mut claimed = false;
        for effect in work(&mut runtime, at, 100) {
            match effect {
                Effect::Transact { db: Db::Southbound, id, transaction } => {
                    assert!(transaction.to_string().contains("chassis"), "{transaction}");
                    claims.push(at);
                    claimed = true;
                    let outcome = Outcome::Committed(Vec::new());
                    runtime.handle(now(at), Event::TransactionDone { db: Db::Southbound, id, outcome });
                }
                Effect::Log { text, .. } if text.contains("lport") || text.contains("port p") => log.push(text),
                Effect::Log { text, .. } if text.contains("stay") => log.push(text),
                _ => {}
            }
        }
        if claimed {
            runtime.handle(now(at), rows(Some(us)));
            if at >= lasts_ms {
                break;
            }
            while runtime.work(now(at), 100) == Progress::More {}
            runtime.handle(now(at), rows((rival != Rival::Clears).then_some(them)));
        } else {
            at = runtime.poll_timeout().map_or(at + 1, |time| time.0).clamp(at + 1, at + 1_000);
            if at == lasts_ms && rival != Rival::Clears {
                runtime.handle(now(at), rows(None));
            }
        }
    }
    (claims, log)
}

#[test]
fn a_port_that_another_chassis_takes_is_taken_back_more_and_more_slowly() {
    let (claims, log) = contest(Rival::Takes, 100_000);
    assert_eq!(claims[..6], [0, 2_000, 6_000, 14_000, 22_000, 30_000]);
    assert_eq!(claims[13..], [94_000, 100_000], "every 8 s; given back: at once");
    let claiming = "Claiming lport p for this chassis.";
    assert_eq!((log[0].as_str(), log[2].as_str()), (claiming, claiming), "at first, and when the rival is gone");
    assert!(log.len() == 3 && log[1].contains("hv2") && log[1].contains("logical port p"), "{log:#?}");
}

#[test]
fn two_agents_with_one_system_id_do_not_fight_for_ever() {
    let (claims, log) = contest(Rival::Clears, 100_000);
    assert_eq!(claims[..6], [0, 2_000, 6_000, 14_000, 22_000, 30_000]);
    assert_eq!(claims[13..], [94_000, 102_000]);
    assert!(matches!(&log[1..], [one] if one.contains("Port_Binding p") && one.contains("system-id hv1")), "{log:#?}");
}

#[test]
fn the_first_of_an_ha_group_need_not_wait_but_does_not_race_either() {
    let (claims, _) = contest(Rival::TakesFromFirst, 50_000);
    assert_eq!(claims[..6], [0; 6]);
    assert!(claims[6..] == [8_000, 16_000, 24_000, 32_000, 40_000, 48_000, 50_000], "{claims:?}");
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

/// Nothing is sent to the switch, and nothing said of nb_cfg, while rows that are needed are on their way.
#[test]
fn the_conditions_come_before_the_remotes_and_settle_before_anything_is_derived() {
    let mut runtime = started();
    let mut asked = Vec::new();
    let mut step = |runtime: &mut Runtime, at: u64| -> Vec<String> {
        while runtime.work(now(at), 10) == Progress::More {}
        let effects = std::iter::from_fn(|| runtime.poll_effect());
        let words = effects.filter_map(|effect| match effect {
            Effect::SouthboundConditions { sequence, conditions } => {
                asked.push(sequence);
                Some(format!("conditions {:?} {:?}", conditions.of("Port_Binding"), conditions.of("FDB")))
            }
            Effect::SouthboundSurvey { number, .. } => Some(format!("survey {number}")),
            Effect::SouthboundRemotes { .. } => Some("remotes".to_owned()),
            Effect::Transact { db: Db::Southbound, .. } => Some("write".to_owned()),
            _ => None,
        });
        words.collect()
    };
    let first = step(&mut runtime, 0);
    assert!(first.len() == 2 && first[0].contains("hv1") && first[1] == "remotes", "{first:?}");
    let (us, datapath) = (Uuid([2; 16]), Uuid([4; 16]));
    let mut updates = southbound::Updates::default();
    updates.chassis.push((us, RowUpdate::Insert(Chassis { name: "hv1".into(), ..Chassis::default() })));
    let gateway = |name: &str, datapath| {
        RowUpdate::Insert(PortBinding {
            logical_port: name.into(),
            r#type: "l2gateway".into(),
            datapath,
            options: [(Str::from("l2gateway-chassis"), Str::from("hv1"))].into_iter().collect(),
            ..PortBinding::default()
        })
    };
    updates.port_binding.push((Uuid([5; 16]), gateway("gw", datapath)));
    let data = |updates, replaces| Event::SouthboundData { updates: Box::new(updates), replaces, initial: replaces };
    runtime.handle(now(1), data(updates, true));
    runtime.handle(now(1), Event::SouthboundConditions(1));
    let second = step(&mut runtime, 1);
    assert!(matches!(second.as_slice(), [one] if one.contains("04040404")), "the datapath of the port: {second:?}");
    assert!(!runtime.agent().is_settled(), "nothing is derived meanwhile");
    let row = DatapathBinding { tunnel_key: 1, ..DatapathBinding::default() };
    let updates =
        southbound::Updates { datapath_binding: vec![(datapath, RowUpdate::Insert(row))], ..Default::default() };
    runtime.handle(now(2), data(updates, false));
    assert_eq!(step(&mut runtime, 2), Vec::<String>::new(), "one at a time");
    runtime.handle(now(3), Event::SouthboundConditions(2));
    assert_eq!(step(&mut runtime, 3).len(), 1, "what lies on the datapath");
    assert!(!runtime.agent().is_settled());
    runtime.handle(now(4), Event::SouthboundConditions(3));
    assert_eq!(step(&mut runtime, 4), ["write"], "the port is claimed");
    assert!(runtime.agent().is_settled() && runtime.monitoring.is_settled());
    // From now on the server is asked about a new datapath before the conditions change for it, once.
    let datapath = Uuid([6; 16]);
    let port = vec![(Uuid([7; 16]), gateway("gw2", datapath))];
    runtime.handle(now(5), data(southbound::Updates { port_binding: port, ..Default::default() }, false));
    assert_eq!(step(&mut runtime, 5), ["survey 1"]);
    let selected = |text: &str| OperationResult { selected: text.into(), ..OperationResult::default() };
    let outcome = Outcome::Committed(vec![selected(r#"[{"tunnel_key":77}]"#), selected("[]")]);
    runtime.handle(now(6), Event::SouthboundSurveyed { number: 1, outcome });
    let fourth = step(&mut runtime, 6);
    assert!(
        matches!(fourth.as_slice(), [one] if one.contains("06060606") && one.contains("Integer(77)")),
        "{fourth:?}"
    );
    let row = DatapathBinding { tunnel_key: 77, ..DatapathBinding::default() };
    let rows = vec![(datapath, RowUpdate::Insert(row))];
    runtime.handle(now(7), data(southbound::Updates { datapath_binding: rows, ..Default::default() }, false));
    runtime.handle(now(7), Event::SouthboundConditions(4));
    assert_eq!(step(&mut runtime, 7), Vec::<String>::new());
    assert!(runtime.agent().is_settled() && runtime.monitoring.is_settled());
    assert_eq!(asked, [1, 2, 3, 4]);
}
