//! What somebody else does to the switch is found, counted and repaired; nothing else is touched.

use super::fake::Rig;
use super::{THREE, many};
use crate::switch::{AuditCounters, Notice};
use ofproto_client::Meter;

fn audited(rig: &mut Rig) -> AuditCounters {
    rig.with_session(|session, _, _| session.request_audit());
    rig.settle();
    let found = rig.notices.iter().rev().find_map(|notice| match notice {
        Notice::Audited(found) => Some(*found),
        _ => None,
    });
    rig.notices.clear();
    found.expect("a pass of the audit")
}

#[test]
fn flows_that_went_came_and_changed() {
    let mut rig = Rig::new();
    rig.want_flows(many(9_000));
    rig.settle();
    let clean = audited(&mut rig);
    assert_eq!((clean.flows, clean.drift(), clean.passes), (9_000, 0, 1));
    let before = rig.switch.tables.clone();
    rig.switch.done.clear();
    rig.switch.largest_answer = 0;

    let keys: Vec<_> = rig.switch.tables.flows.keys().cloned().collect();
    for key in keys.iter().step_by(9) {
        rig.switch.tables.flows.remove(key);
    }
    for (flow, _) in rig.switch.tables.flows.values_mut().step_by(100) {
        flow.cookie = 0x7777;
    }
    for n in 0..1_000 {
        rig.switch.tables.put(&format!("cookie={n:#x},table={},priority=40000,in_port={n} actions=drop", n % 100));
    }
    // Those are the switch's own.
    for (table, timeout) in [(69, 0), (76, 0), (78, 30), (87, 150), (87, 0)] {
        rig.switch.tables.put(&format!("table={table},priority=150,tcp actions=resubmit(,{timeout})"));
        let mut last: Vec<_> = rig.switch.tables.flows.iter_mut().filter(|(key, _)| key.0 == table).collect();
        last.last_mut().unwrap().1.1 = timeout;
    }
    let learned =
        rig.switch.tables.flows.keys().filter(|key| [69, 76, 78, 87].contains(&key.0) && key.1 == 150).count();
    let found = audited(&mut rig);
    let foreign = 1_000 - [69, 76, 77, 78, 87].len() * 10;
    assert_eq!(
        (found.flows_missing, found.flows_changed, found.flows_foreign, found.groups, found.meters),
        (1_000, 80, foreign as u64, 0, 0)
    );
    assert_eq!(rig.switch.done.len(), 1_000 + 80 + foreign);
    assert!(rig.switch.largest_answer < 1_600, "{}", rig.switch.largest_answer);
    rig.switch.tables.flows.retain(|key, _| ![69, 76, 77, 78, 87].contains(&key.0));
    assert_eq!(rig.switch.tables, before);
    assert_eq!(learned, 4);
    assert_eq!(audited(&mut rig).drift(), 0);
}

#[test]
fn groups_and_meters() {
    let mut rig = Rig::new();
    let ids: Vec<u32> = (3..6).map(|n| rig.group(&format!("type=select,bucket=actions=resubmit(,{n})"))).collect();
    rig.meters = [1, 2, 3].map(|id| Meter { id, ..Meter::default() }).to_vec();
    rig.want(&format!("table=9 actions=group:{}\ntable=10 actions=group:{}", ids[0], ids[1]));
    rig.settle();
    rig.check(0);
    assert_eq!(audited(&mut rig).drift(), 0);
    let before = rig.switch.tables.clone();
    rig.switch.done.clear();
    // Open vSwitch deletes the flows that refer to it, too.
    rig.switch.tables.groups.remove(&ids[0]);
    rig.switch.tables.flows.retain(|_, (flow, _)| !flow.actions.refers_to_group(ids[0]));
    rig.switch.tables.groups.get_mut(&ids[1]).unwrap().buckets.clear();
    let foreign = (1..90).find(|id| !ids.contains(id)).unwrap();
    let other = ofproto_client::Group { id: foreign, ..before.groups[&ids[2]].clone() };
    rig.switch.tables.groups.insert(foreign, other);
    rig.switch.tables.meters.remove(&1);
    rig.switch.tables.meters.get_mut(&2).unwrap().flags = 1;
    rig.switch.tables.meters.insert(9, Meter { id: 9, ..Meter::default() });
    let found = audited(&mut rig);
    assert_eq!((found.flows_missing, found.groups, found.meters, found.drift()), (1, 3, 3, 7));
    assert_eq!(rig.switch.tables, before);
    assert_eq!(rig.switch.done.len(), 7, "{:?}", rig.switch.done);
    assert_eq!(audited(&mut rig).drift(), 0);
}

#[test]
fn it_goes_on_beside_pushes_and_finds_nothing_where_nothing_is() {
    let mut rig = Rig::new();
    rig.want_flows(many(3_000));
    rig.settle();
    rig.with_session(|session, _, _| session.request_audit());
    for round in 1..150 {
        let mut flows = many(3_000 + round);
        flows.drain(..round);
        flows.iter_mut().step_by(round + 1).for_each(|flow| flow.cookie += round as u64);
        rig.want_flows(flows);
        if rig.flows.has_changed() && !rig.session.is_busy() {
            rig.push();
        }
        rig.step();
        rig.step();
    }
    rig.settle();
    rig.check(0);
    let counters = rig.session.audit();
    assert_eq!((counters.drift(), counters.passes), (0, 1), "{counters:?}");
}

#[test]
fn it_is_slow_by_itself() {
    let mut rig = Rig::new();
    rig.want(THREE);
    rig.settle();
    let requests = rig.switch.requests;
    rig.with_session(|session, now, _| session.set_audit_interval(now, Some(60_000)));
    let mut when = Vec::new();
    for _ in 0..120 {
        rig.now += 1_000;
        let before = rig.switch.requests;
        rig.settle();
        if rig.switch.requests > before {
            when.push((rig.now - 1_000) / 1_000);
        }
    }
    // Options, groups, meters, flows, in half the interval, and then again.
    assert_eq!(rig.switch.requests - requests, when.len());
    assert!((10..=13).contains(&when.len()), "{when:?}");
    assert!(when.windows(2).all(|pair| pair[1] - pair[0] >= 5), "{when:?}");
    rig.switch.tables.flows.clear();
    for _ in 0..60 {
        rig.now += 1_000;
        rig.settle();
    }
    rig.check(0);
}

#[test]
fn a_pass_takes_its_time_and_no_more() {
    let mut rig = Rig::new();
    rig.want(THREE);
    rig.settle();
    rig.with_session(|session, now, _| session.set_audit_interval(now, Some(20_000)));
    let start = rig.now + 10_000;
    while rig.session.audit().passes == 0 {
        rig.with_session(|session, now, target| session.proceed(now, target));
        if rig.on_the_wire() > 0 {
            // The switch thinks about it.
            rig.now += 1_500;
        }
        rig.step();
        rig.now += 100;
    }
    assert!(rig.now >= start + 6_000 && rig.now <= start + 10_000, "{} ms", rig.now - start);
}

#[test]
fn the_geneve_option() {
    let mut rig = Rig::new();
    rig.want(THREE);
    rig.settle();
    assert_eq!(rig.switch.options.len(), 1, "it was added");
    assert_eq!(audited(&mut rig).drift(), 0);
    rig.switch.options[0].index = 5;
    rig.with_session(|session, _, _| session.request_audit());
    rig.run();
    let down = rig.notices.iter().any(|notice| matches!(notice, Notice::Down(why) if why.contains("Geneve option")));
    assert!(down, "{:?}", rig.notices);
    rig.connect();
    let field = rig.notices.iter().rev().find_map(|notice| match notice {
        Notice::Ready { geneve_option, .. } => Some(*geneve_option),
        _ => None,
    });
    assert_eq!(field, Some(Some(5)));
    assert_eq!(rig.switch.options.len(), 1);
}

#[test]
fn a_lost_connection_ends_a_pass() {
    let mut rig = Rig::new();
    rig.want_flows(many(5_000));
    rig.settle();
    rig.with_session(|session, _, _| session.request_audit());
    for _ in 0..4 {
        rig.step();
    }
    rig.cut(0);
    rig.connect();
    rig.settle();
    rig.check(0);
    assert_eq!(rig.session.audit().drift(), 0);
    assert_eq!(audited(&mut rig).drift(), 0);
}
