//! Packets for the switch, at any time.

use super::fake::Rig;
use super::many;
use crate::switch::Notice;
use ofproto_client::message::PacketOut;
use ofproto_client::{Action, ActionList, Field, Match};

fn packet(number: u8) -> PacketOut {
    let mut match_ = Match::new();
    match_.set(Field::IN_PORT, 5);
    PacketOut { match_, actions: ActionList::from(&[Action::resubmit(0)][..]), packet: vec![number; 60].into() }
}

fn send(rig: &mut Rig, number: u8) -> bool {
    rig.with_session(|session, _, _| session.send_packet(packet(number)))
}

#[test]
fn packets_go_in_between() {
    let mut rig = Rig::new();
    assert!(send(&mut rig, 1));
    rig.run();
    rig.want_flows(many(4_000));
    rig.push();
    while rig.session.flow_mods() < 1_000 {
        assert!(rig.step(), "a push that ends early");
    }
    assert!(send(&mut rig, 2));
    rig.settle();
    rig.check(0);
    let packets: Vec<_> = rig.switch.packets.iter().map(|(packet, _)| packet.clone()).collect();
    assert_eq!(packets, [packet(1), packet(2)]);
    assert!(rig.switch.packets[1].1 > 0, "a bundle was open");
    assert!(!rig.notices.iter().any(|notice| matches!(notice, Notice::Failed(_) | Notice::Remark(_))));
}

/// What is not confirmed keeps flows back, so packets have to be confirmed too.
#[test]
fn many_packets_keep_no_flow_back() {
    let mut rig = Rig::new();
    for _ in 0..20_000 {
        assert!(send(&mut rig, 3));
    }
    rig.want_flows(many(100));
    rig.settle();
    rig.check(0);
    assert_eq!(rig.switch.packets.len(), 20_000);
}

#[test]
fn a_packet_that_is_refused_is_spoken_of() {
    let mut rig = Rig::new();
    rig.switch.refuses_packets = true;
    // Also while something else is under way.
    for flows in [0, 1_000] {
        rig.notices.clear();
        rig.want_flows(many(flows));
        rig.push();
        assert!(send(&mut rig, 4));
        rig.settle();
        rig.check(0);
        let said: Vec<_> = rig.notices.iter().filter(|n| !matches!(n, Notice::Acknowledged(_))).collect();
        let [Notice::Remark(text)] = said[..] else { panic!("{said:?}") };
        assert_eq!(text, "the switch refused a packet: OFPBRC_BAD_PORT");
    }
    assert_eq!(rig.switch.packets, []);
    rig.cut(0);
    assert!(!send(&mut rig, 5), "there is no switch");
}
