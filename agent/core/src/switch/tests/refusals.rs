//! What the switch refuses is missing, named, and tried again; everything else is there.

use super::fake::Rig;
use super::many;
use crate::switch::{Culprit, FlowId, Notice};
use ofproto_client::message::ErrorCode;
use ofproto_client::{ActionList, Flow, Meter};

fn refused(rig: &mut Rig) -> Vec<(Culprit, String)> {
    let notices = std::mem::take(&mut rig.notices);
    let refused = notices.into_iter().filter_map(|notice| match notice {
        Notice::Refused { culprit, why } => Some((culprit, why)),
        _ => None,
    });
    refused.collect()
}

fn flow_of(rig: &Rig, cookie: u64) -> FlowId {
    rig.flows.iter_desired().find(|id| rig.flows.desired(*id).unwrap().cookie == cookie).unwrap()
}

#[test]
fn one_flow_of_many() {
    let mut rig = Rig::new();
    let flows = many(30_000);
    rig.switch.bad_cookie = Some(flows[12_345].cookie);
    rig.want_flows(flows.clone());
    rig.settle();
    rig.check(1);
    assert_eq!(rig.switch.done.len(), 29_999, "each once");
    let id = flow_of(&rig, flows[12_345].cookie);
    assert_eq!(refused(&mut rig), [(Culprit::Flow(id), "OFPBAC_BAD_OUT_PORT".to_owned())]);
    assert_eq!(rig.session.quarantined().collect::<Vec<_>>(), [(Culprit::Flow(id), 0)]);
    assert!(rig.session.is_connected());
    // It is tried again, after longer and longer.
    rig.switch.done.clear();
    for delay in [5_000, 10_000, 20_000] {
        rig.now += delay - 1;
        rig.settle();
        assert_eq!(refused(&mut rig), []);
        rig.now += 1;
        rig.settle();
        assert_eq!(refused(&mut rig).len(), 1);
    }
    assert_eq!(rig.switch.done, Vec::<String>::new());
    rig.switch.bad_cookie = None;
    rig.now += 40_000;
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.done.len(), 1);
    assert_eq!(rig.session.quarantined().count(), 0);
}

#[test]
fn a_group_and_the_flows_that_need_it() {
    let mut rig = Rig::new();
    let bad = rig.group("type=select,bucket=actions=resubmit(,3)");
    let good = rig.group("type=select,bucket=actions=resubmit(,4)");
    rig.switch.bad_id = Some(bad);
    let needing: String = (0..50).map(|n| format!("table=9,priority={n} actions=group:{bad}\n")).collect();
    rig.want(&format!("{needing}table=10 actions=group:{good}"));
    rig.settle();
    rig.check(50);
    assert_eq!(rig.switch.commits, 1, "one bundle in vain, then one without all of them");
    assert_eq!(refused(&mut rig), [(Culprit::Group(bad), "OFPBAC_BAD_OUT_PORT".to_owned())]);
    assert_eq!(rig.session.quarantined().collect::<Vec<_>>(), [(Culprit::Group(bad), 50)]);
    rig.switch.bad_id = None;
    rig.now += 5_000;
    rig.settle();
    rig.check(0);
    assert_eq!(rig.session.quarantined().count(), 0);
}

#[test]
fn a_meter_and_the_flows_that_need_it() {
    let mut rig = Rig::new();
    rig.meters = [7, 8].map(|id| Meter { id, ..Meter::default() }).to_vec();
    rig.switch.bad_id = Some(7);
    rig.want("table=9 actions=controller(userdata=00,meter_id=7)\ntable=10 actions=controller(userdata=00,meter_id=8)");
    rig.settle();
    rig.check(1);
    assert_eq!(refused(&mut rig), [(Culprit::Meter(7), "OFPMMFC_BAD_RATE".to_owned())]);
    rig.switch.bad_id = None;
    rig.now += 5_000;
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.tables.meters.len(), 2);
}

#[test]
fn a_table_that_is_full() {
    let mut rig = Rig::new();
    rig.switch.limit = Some((8, 100));
    rig.want_flows(many(2_000));
    rig.settle();
    rig.check(400);
    assert_eq!(rig.switch.commits, 1, "{:?}", rig.notices);
    let said = refused(&mut rig);
    assert_eq!(said, [(Culprit::Table(8), "OFPFMFC_TABLE_FULL: no room for 400 more flows".to_owned())]);
    // Room is made, and used at once.
    rig.want_flows(many(1_900).split_off(200));
    rig.settle();
    rig.now += 1;
    rig.settle();
    rig.check(325);
    rig.switch.limit = None;
    rig.now += 300_000;
    rig.settle();
    rig.check(0);
}

#[test]
fn groups_and_meters_that_were_not_what_they_were_believed_to_be() {
    let mut rig = Rig::new();
    let group = rig.group("type=select,bucket=actions=resubmit(,3)");
    rig.meters = vec![Meter { id: 7, ..Meter::default() }];
    let other = ofproto_client::Group {
        id: group,
        group_type: ofproto_client::GroupType::All,
        buckets: Vec::new(),
        selection_method: None,
    };
    rig.switch.tables.groups.insert(group, other);
    rig.switch.tables.meters.insert(7, Meter { id: 7, flags: 1, ..Meter::default() });
    rig.want(&format!("table=9 actions=group:{group}"));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.tables.meters[&7].flags, 0);
    // And the other way: they went.
    rig.switch.tables.meters.clear();
    rig.switch.tables.groups.clear();
    rig.switch.tables.flows.clear();
    rig.meters[0].flags = 4;
    rig.want(&format!("table=9 actions=group:{group}\ntable=10 actions=group:{group}"));
    rig.settle();
    rig.now += 5_000;
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.tables.meters[&7].flags, 4);
    assert_eq!(rig.session.quarantined().count(), 0);
}

#[test]
fn a_commit_that_fails_for_no_reason() {
    for code in [ErrorCode::BUNDLE_TIMEOUT, ErrorCode::Standard { error_type: 17, code: 0 }] {
        let mut rig = Rig::new();
        rig.want_flows(many(20));
        rig.settle();
        rig.want_flows(many(40).split_off(10));
        rig.switch.commit_error = Some(code);
        let sequence = rig.push();
        rig.run();
        assert_ne!(rig.acknowledged(), Some(sequence), "nothing is promised for it");
        assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::Failed(_))), "so that there is a pause");
        rig.switch.commit_error = None;
        rig.settle();
        rig.check(0);
    }
}

#[test]
fn many_guilty_at_the_commit() {
    let mut rig = Rig::new();
    // None of these groups exists, and nobody says that they should.
    let bad: String = (0..40).map(|n| format!("cookie=1,table=9,priority={n} actions=group:77\n")).collect();
    let good: Vec<Flow> = many(10_000);
    let mut flows: Vec<Flow> = bad.lines().map(|line| line.parse().unwrap()).collect();
    flows.extend(good);
    rig.want_flows(flows);
    rig.settle();
    rig.check(40);
    assert_eq!(refused(&mut rig).len(), 40);
    assert!(rig.session.is_connected());
}

#[test]
fn a_flow_that_does_not_fit_in_a_message() {
    let note = |length: usize| ActionList::from(&[ofproto_client::Action::Note(vec![1; length].into())][..]);
    let long = ActionList::from_bytes(&note(60_000).as_bytes().repeat(2));
    let mut rig = Rig::new();
    let mut flows = many(100);
    flows[50].actions = long.clone();
    rig.want_flows(flows.clone());
    rig.settle();
    rig.check(1);
    let said = refused(&mut rig);
    assert!(matches!(&said[..], [(Culprit::Flow(_), why)] if why.contains("does not fit in one message")), "{said:?}");
    // One that grows too long is taken away: with what it was it would be wrong.
    flows[50] = many(100)[50].clone();
    rig.want_flows(flows.clone());
    rig.settle();
    rig.check(0);
    flows[50].actions = long;
    rig.want_flows(flows);
    rig.settle();
    rig.check(1);
    assert_eq!(refused(&mut rig).len(), 1);
}

#[test]
fn a_flow_whose_change_was_refused_goes_with_the_meter_that_it_had() {
    let mut rig = Rig::new();
    let with_meter = |id: u32| format!("cookie=5,table=9 actions=controller(userdata=00,meter_id={id})");
    rig.meters = vec![Meter { id: 7, ..Meter::default() }];
    rig.want(&with_meter(7));
    rig.settle();
    rig.check(0);
    rig.switch.bad_cookie = Some(5);
    rig.meters[0].id = 8;
    rig.want(&with_meter(8));
    rig.settle();
    assert_eq!(refused(&mut rig).len(), 1);
    assert!(rig.switch.tables.flows.is_empty(), "the switch takes it away with its meter");
    rig.check(1);
    rig.switch.bad_cookie = None;
    rig.now += 5_000;
    rig.settle();
    rig.check(0);
}

#[test]
fn commits_that_fail_with_no_word_about_what_is_wrong() {
    let mut rig = Rig::new();
    rig.want_flows(many(20));
    rig.switch.commit_error = Some(ErrorCode::BUNDLE_MESSAGE_FAILED);
    // The owner makes a pause when something failed.
    let failed = |rig: &Rig| rig.notices.iter().any(|notice| matches!(notice, Notice::Failed(_)));
    let mut pushes = 0;
    while !failed(&rig) {
        rig.push();
        rig.run();
        pushes += 1;
        assert!(pushes < 50, "again and again without a pause");
    }
    rig.switch.commit_error = None;
    rig.settle();
    rig.check(0);
}
