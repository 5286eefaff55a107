//! The session against a switch in memory, of which somebody else changes the tables, which refuses messages, which forgets, which
//! does not read, and whose connection is cut at any point.

mod audit;
pub(crate) mod fake;
mod packets;
mod refusals;

use fake::{Fake, Rig};
use ofproto_client::{Flow, Match};

use super::Notice;
use super::push::WINDOW;

/// `count` flows, over some tables.
fn many(count: usize) -> Vec<Flow> {
    let actions: Vec<_> = (0..7).map(|n| format!("actions=resubmit(,{n})").parse::<Flow>().unwrap().actions).collect();
    (0..count)
        .map(|n| Flow {
            table: [0, 8, 20, 41][n % 4],
            priority: (n / 4) as u16,
            cookie: (1 + n as u64 / 4).wrapping_mul(0x9e37_79b9) | (n as u64 % 4) << 60,
            match_: Match::default(),
            actions: actions[n % 7].clone(),
        })
        .collect()
}

const THREE: &str = "cookie=0x1,table=0,priority=1 actions=resubmit(,8)\ncookie=0x2,table=8,priority=1 actions=resubmit(,9)\n\
    cookie=0x3,table=9,priority=1 actions=drop";

#[test]
fn what_is_read_back_is_not_sent_again() {
    let mut rig = Rig::new();
    rig.want(THREE);
    rig.settle();
    rig.check(0);
    let mut switch = std::mem::take(&mut rig.switch);
    switch.done.clear();
    let mut rig = Rig::with(switch);
    rig.want(THREE);
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.done, Vec::<String>::new());
    rig.want(&THREE.replace("resubmit(,9)", "resubmit(,10)").replace("0x3", "0x4"));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.done, ["ModifyStrict table=8 priority=1", "Add table=9 priority=1"], "in place if it can be");
}

#[test]
fn an_empty_switch_gets_its_entry_last_and_in_parts() {
    let mut rig = Rig::new();
    rig.want_flows(many(30_000));
    let sequence = rig.push();
    rig.run();
    rig.check(0);
    assert_eq!(rig.acknowledged(), Some(sequence));
    assert_eq!(rig.switch.commits, 6);
    let tables: Vec<&str> = rig.switch.done.iter().filter_map(|done| done.split(' ').nth(1)).collect();
    assert!(tables.is_sorted_by_key(|table| std::cmp::Reverse(table["table=".len()..].parse::<u8>().unwrap())));

    // A switch with flows is changed at once, however much differs; later differences are cut if they are large.
    rig.switch.done.clear();
    let mut rig = Rig::with(std::mem::take(&mut rig.switch));
    rig.want_flows(many(60_000).split_off(30_000));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.commits, 6 + 1);
    rig.want_flows(many(30_000));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.commits, 7 + 12);
    let first = rig.switch.done.iter().rposition(|done| done.starts_with("Add")).unwrap();
    let last = rig.switch.done.iter().rposition(|done| done.starts_with("Delete")).unwrap();
    assert!(first < last, "deletions last");
}

/// What a switch does not say while nothing is asked of it is no silence.
#[test]
fn an_idle_time_does_not_count_as_a_silence() {
    let mut rig = Rig::new();
    rig.want_flows(many(10));
    rig.settle();
    rig.now += 600_000;
    rig.want_flows(many(20));
    rig.push();
    while rig.with_session(|session, now, target| session.proceed(now, target)) {}
    assert!(rig.with_session(|session, _, _| session.poll_timeout()).is_some_and(|at| at.0 > rig.now), "not due yet");
    rig.with_session(|session, now, target| session.timeout(now, target));
    let silent = |rig: &Rig| rig.notices.iter().any(|notice| matches!(notice, Notice::Remark(_)));
    assert!(!silent(&rig), "{:?}", rig.notices);
    rig.now += 600_000;
    rig.with_session(|session, now, target| session.timeout(now, target));
    assert!(silent(&rig), "but this is one");
}

#[test]
fn a_switch_that_does_not_read_gets_no_more_than_the_window() {
    let mut rig = Rig::new();
    rig.want_flows(many(60_000));
    let sequence = rig.push();
    while rig.with_session(|session, now, target| session.proceed(now, target)) {}
    assert!((WINDOW..WINDOW + 200_000).contains(&(rig.on_the_wire() as u64)), "{}", rig.on_the_wire());
    assert!(rig.notices.iter().all(|notice| *notice != Notice::Acknowledged(sequence)));
    // That it says nothing is said, once; then it reads again.
    for _ in 0..5 {
        rig.now += 60_000;
        rig.with_session(|session, now, target| session.timeout(now, target));
    }
    let said = |rig: &Rig, what: &str| {
        rig.notices.iter().filter(|notice| matches!(notice, Notice::Remark(text) if text.contains(what))).count()
    };
    assert_eq!((said(&rig, "nothing from the switch"), said(&rig, "answers again")), (1, 0));
    rig.settle();
    rig.check(0);
    assert_eq!((said(&rig, "nothing from the switch"), said(&rig, "answers again")), (1, 1));
    assert_eq!(rig.acknowledged(), Some(sequence));
}

#[test]
fn the_desired_state_may_change_while_it_is_sent() {
    let mut rig = Rig::new();
    rig.want_flows(many(12_000));
    let first = rig.push();
    while rig.session.is_collecting() {
        rig.step();
    }
    // In the middle of the bundle: some of what is on its way is not wanted any more, some is wanted otherwise.
    rig.step();
    let mut other = many(14_000).split_off(2_000);
    other.iter_mut().step_by(3).for_each(|flow| flow.actions = "actions=drop".parse::<Flow>().unwrap().actions);
    rig.want_flows(other);
    rig.run();
    assert_eq!(rig.acknowledged(), Some(first), "the first is acknowledged when all of it is there");
    assert_eq!(rig.switch.tables.flows.len(), 12_000);
    rig.settle();
    rig.check(0);
}

#[test]
fn a_flow_that_is_wanted_again_before_its_deletion_was_sent_stays() {
    let mut rig = Rig::new();
    rig.want_flows(many(12_000));
    rig.settle();
    rig.want_flows(Vec::new());
    rig.push();
    while rig.session.is_collecting() {
        rig.step();
    }
    rig.step();
    rig.want_flows(many(12_000));
    rig.settle();
    rig.check(0);
}

/// Whatever had arrived of a bundle when the connection was lost, the next connection brings what is missing and no more.
#[test]
fn a_connection_that_is_lost_anywhere_leads_to_the_same_state() {
    let mut whole = None;
    let mut cut = 0;
    loop {
        let mut rig = Rig::new();
        rig.want_flows(many(40));
        rig.settle();
        let group = rig.group("type=select,bucket=actions=resubmit(,3)");
        rig.want_flows(many(80).split_off(20));
        let mut flows = many(80).split_off(20);
        flows.push(format!("cookie=0x9,table=9,priority=1 actions=group:{group}").parse().unwrap());
        rig.want_flows(flows);
        rig.switch.done.clear();
        rig.push();
        let size = *whole.get_or_insert(rig.on_the_wire());
        rig.cut(cut);
        let done = rig.switch.done.len();
        assert!(done == 0 || done == 62, "{done} of the bundle");
        rig.now += 1_000;
        rig.switch.done.clear();
        rig.connect();
        let acknowledged = rig.acknowledged();
        rig.settle();
        rig.check(0);
        assert_ne!(rig.acknowledged(), acknowledged);
        assert_eq!(rig.switch.done.len(), 62 - done, "cut after {cut} of {size} bytes");
        if cut > size {
            break;
        }
        cut += 61;
    }
}

#[test]
fn a_connection_that_is_lost_while_differences_are_collected() {
    let mut rig = Rig::new();
    rig.want_flows(many(12_000));
    rig.push();
    assert!(rig.session.is_collecting());
    rig.cut(0);
    rig.connect();
    rig.settle();
    rig.check(0);
}

#[test]
fn groups_that_do_not_fit_in_a_message_or_a_reply() {
    let bucket = |n: u32| {
        format!(
            ",bucket=bucket_id:{n},weight:100,actions=ct(commit,table=41,zone=NXM_NX_REG11[0..15],nat(dst=10.0.0.1:{}))",
            n + 1
        )
    };
    let text: String = "type=select,selection_method=dp_hash".to_owned() + &(0..3_000).map(bucket).collect::<String>();
    let mut rig = Rig::new();
    let id = rig.group(&text);
    let small = rig.group("type=select,bucket=actions=resubmit(,3)");
    rig.want(&format!("table=9 actions=group:{id}\ntable=10 actions=group:{small}"));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.tables.groups[&id].buckets.len(), 3_000);
    assert!(
        rig.switch.done.iter().filter(|done| done.starts_with("InsertBuckets")).count() >= 2,
        "{:?}",
        rig.switch.done
    );
    // Read back without asking for it, adopted, and not sent again.
    let mut rig = Rig::with(std::mem::take(&mut rig.switch));
    rig.switch.done.clear();
    assert_eq!((rig.group(&text), rig.group("type=select,bucket=actions=resubmit(,3)")), (id, small));
    rig.want(&format!("table=9 actions=group:{id}\ntable=10 actions=group:{small}"));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.done, Vec::<String>::new());
    // It goes when nobody wants it.
    rig.pools.groups.release(id);
    rig.want(&format!("table=10 actions=group:{small}"));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.done, ["DeleteStrict table=9 priority=32768", &format!("Delete group {id}")]);
}

#[test]
fn a_push_is_acknowledged_by_its_own_barrier() {
    let mut rig = Rig::new();
    rig.want(THREE);
    let first = rig.push();
    // More is wanted before the first is acknowledged: that is another push.
    rig.want(&format!("{THREE}\ntable=20 actions=drop"));
    assert!(!rig.with_session(|session, now, target| session.push(now, 99, &[], target)), "one at a time");
    rig.run();
    assert_eq!(rig.acknowledged(), Some(first));
    assert_eq!(rig.switch.tables.flows.len(), 3);
    let second = rig.push();
    assert_eq!(rig.acknowledged(), Some(first));
    // The connection is lost in between: nothing acknowledges it any more.
    rig.cut(0);
    rig.connect();
    assert_eq!(rig.acknowledged(), Some(first));
    let third = rig.push();
    rig.run();
    assert_eq!((rig.acknowledged(), third), (Some(third), second + 1));
    rig.check(0);
    // Nothing to send is acknowledged at once.
    let fourth = rig.push();
    assert_eq!(rig.acknowledged(), Some(fourth));
    assert_eq!(Fake::default().commits, 0);
}
