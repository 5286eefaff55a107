//! Flows, groups, meters, bundles and packets against a real Open vSwitch.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use bytes::Bytes;
use common::{Peer, Switch, block_on};
use ofproto_client::action::{Action, Controller, Ct, CtZone};
use ofproto_client::connection::{BundleOutcome, BundlePart, BundleXids, ConnectionError, Event};
use ofproto_client::flow::{GROUP_ANY, PORT_ANY};
use ofproto_client::group::GROUP_ALL;
use ofproto_client::message::{
    CtFlush, CtTuple, ErrorCode, FlowStatsRequest, Message, MultipartReplyBody, MultipartRequest, PacketIn2, PacketOut,
    SwitchConfig,
};
use ofproto_client::meter::METER_ALL;
use ofproto_client::{
    ActionList, Bucket, Field, Flow, FlowMod, FlowModCommand, Group, GroupMod, GroupModCommand, GroupType, Match,
    Meter, MeterBand, MeterMod, MeterModCommand, SelectionMethod, Subfield,
};

#[test]
fn a_bundle_installs_what_is_read_back() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 2);
        let mut peer = switch.connect("br-int").await;
        let (mut flows, groups, meters) = (flows(), groups(), meters());
        for meter in &meters {
            let add = MeterMod { command: MeterModCommand::Add, meter: meter.clone() };
            peer.send(&Message::MeterMod(add)).unwrap();
        }
        let xids = install(&mut peer, &groups, &flows);
        check_refused(&peer.outcome(xids).await, true, &[]);

        let mut read = read_flows(&mut peer).await;
        read.sort_by_key(|flow| (flow.table, flow.priority, flow.cookie));
        flows.sort_by_key(|flow| (flow.table, flow.priority, flow.cookie));
        assert_eq!(read, flows);
        let MultipartReplyBody::Groups { groups: read, .. } =
            peer.multipart(MultipartRequest::GroupDesc(GROUP_ALL)).await
        else {
            panic!()
        };
        assert_eq!(read, groups);
        let MultipartReplyBody::Meters { meters: read, .. } =
            peer.multipart(MultipartRequest::MeterConfig(METER_ALL)).await
        else {
            panic!()
        };
        assert_eq!(read, meters);

        assert_eq!(
            sorted(&switch.ofctl(&["--no-stats", "dump-flows"], "br-int", &[])),
            [
                " cookie=0x1, priority=100,in_port=1 actions=set_field:0x1->reg14,resubmit(,8)",
                " cookie=0x2, table=8, priority=50,ct_state=+est+trk,ip,reg14=0x1,metadata=0x7 \
                 actions=ct(commit,table=9,zone=NXM_NX_REG13[0..15])",
                " cookie=0x3, table=9, priority=0 actions=drop",
                " cookie=0x4, table=9, priority=10,tcp,tp_dst=80 actions=meter:3,group:1",
            ]
        );
        assert!(switch.ofctl(&["dump-groups"], "br-int", &[]).contains("selection_method=dp_hash"));
    });
}

/// All flows of a large table come, in many parts.
#[test]
fn many_flows() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 1);
        let mut peer = switch.connect("br-int").await;
        let flows: Vec<Flow> = (0..5_000)
            .map(|n| flow(20, 100, n, |m| m.set(Field::METADATA, n.into()), &[Action::resubmit(21)]))
            .collect();
        let xids = install(&mut peer, &[], &flows);
        assert_eq!(xids.n_messages(), 5_000);
        assert!(peer.link.connection().bytes_in_flight() > 5_000 * 100);
        check_refused(&peer.outcome(xids).await, true, &[]);
        peer.until_barrier().await;
        assert_eq!(peer.link.connection().bytes_in_flight(), 0);
        let mut read = read_flows(&mut peer).await;
        read.sort_by_key(|flow| flow.cookie);
        assert_eq!(read, flows);
    });
}

/// What does not fit the switch's state fails at the commit, and nothing is installed.
#[test]
fn a_bad_action_is_named_and_nothing_is_installed() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 1);
        let mut peer = switch.connect("br-int").await;
        let mut flows = flows();
        flows.truncate(3);
        let cases = [
            (Action::Group(99), "OFPBAC_BAD_OUT_GROUP for OFPT_FLOW_MOD"),
            (Action::Meter(99), "OFPMMFC_INVALID_METER for OFPT_FLOW_MOD"),
        ];
        for (action, text) in cases {
            flows[2].actions = ActionList::from(&[action][..]);
            let xids = install(&mut peer, &groups(), &flows);
            // Message 0 is the group, so the third flow is message 3.
            check_refused(&peer.outcome(xids).await, false, &[(3, text)]);
            assert_eq!(read_flows(&mut peer).await, []);
            assert_eq!(switch.ofctl(&["--no-stats", "dump-flows"], "br-int", &[]), "");
        }
        let mut bundle = peer.link.connection().bundle();
        bundle.add_flow_mod(&FlowMod::new(FlowModCommand::Add, flows[0].clone())).unwrap();
        let modify = GroupMod { command: GroupModCommand::Modify, group: groups()[0].clone() };
        let bad = bundle.add_group_mod(&modify).unwrap();
        let xids = bundle.commit().unwrap();
        assert_eq!(xids.part(bad), Some(BundlePart::Message(1)));
        check_refused(&peer.outcome(xids).await, false, &[(1, "OFPGMFC_UNKNOWN_GROUP for OFPT_GROUP_MOD")]);
        assert_eq!(read_flows(&mut peer).await, []);
    });
}

/// What can never be right is refused when it is added, every such message is named, and the rest is installed.
#[test]
fn a_malformed_action_costs_only_its_flow() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 1);
        let mut peer = switch.connect("br-int").await;
        let mut flows = flows();
        flows.truncate(3);
        flows[0].actions = ActionList::from(&[Action::SetField { field: Field::ETH_TYPE, value: 1, mask: 0xffff }][..]);
        flows[2].match_.set(Field::TCP_DST, 80);
        let xids = install(&mut peer, &groups(), &flows);
        let refused = [(1, "OFPBAC_BAD_SET_ARGUMENT for OFPT_FLOW_MOD"), (3, "OFPBMC_BAD_PREREQ for OFPT_FLOW_MOD")];
        check_refused(&peer.outcome(xids).await, true, &refused);
        assert_eq!(read_flows(&mut peer).await, [flows[1].clone()]);
    });
}

fn check_refused(outcome: &BundleOutcome, applied: bool, refused: &[(u32, &str)]) {
    let found: Vec<(u32, String)> = outcome.refused.iter().map(|(index, error)| (*index, error.to_string())).collect();
    let found: Vec<(u32, &str)> = found.iter().map(|(index, text)| (*index, text.as_str())).collect();
    assert_eq!(found, refused);
    assert_eq!(outcome.applied, applied);
    let error = if applied { None } else { Some(ErrorCode::BUNDLE_MESSAGE_FAILED) };
    assert_eq!(outcome.error.as_ref().map(|error| error.code), error);
}

/// A group too big for one message goes in parts, all in one bundle. It cannot be read back: Open vSwitch (3.1 as well as
/// 4.0) puts it into one message whose length field then is too small, which must be noticed, and costs the connection.
#[test]
fn a_large_group() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 1);
        let mut peer = switch.connect("br-int").await;
        let mut group = groups().remove(0);
        let bucket = group.buckets[0].clone();
        group.buckets = (0..3_000).map(|id| Bucket { id, ..bucket.clone() }).collect();
        let mut bundle = peer.link.connection().bundle();
        for part in (GroupMod { command: GroupModCommand::Add, group: group.clone() }).split() {
            bundle.add_group_mod(&part).unwrap();
        }
        assert_eq!(bundle.len(), 3);
        let xids = bundle.commit().unwrap();
        check_refused(&peer.outcome(xids).await, true, &[]);
        let dump = switch.ofctl(&["dump-group-stats"], "br-int", &[]);
        assert!(dump.contains("bucket2999:"), "{dump}");

        let reply = peer.multipart(MultipartRequest::GroupDesc(GROUP_ALL)).await;
        let MultipartReplyBody::Groups { groups, rejected } = reply else { panic!("{reply:?}") };
        assert_eq!((groups, rejected[0].id), (vec![], 1));
        let error = peer.link.barrier().await.unwrap_err();
        assert!(matches!(error, ConnectionError::BadHeader { .. }), "{error}");
    });
}

/// Tracked connections are forgotten by zone and by tuple; neither is an error, whether there are any or not.
#[test]
fn conntrack_flushes() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 1);
        let mut peer = switch.connect("br-int").await;
        peer.send(&Message::CtFlushZone(7)).unwrap();
        let address = |last| Some(std::net::Ipv4Addr::new(10, 0, 0, last).to_ipv6_mapped());
        let tuple = CtTuple { src: address(1), dst: address(2), dst_port: Some(80), ..CtTuple::default() };
        let flush = CtFlush { ip_proto: 6, original: Some(tuple), zone: Some(7), ..CtFlush::default() };
        peer.send(&Message::CtFlush(Box::new(flush))).unwrap();
        assert_eq!(peer.until_barrier().await, []);
    });
}

/// `controller(pause)`: the packet comes with its userdata and metadata, and goes on where it was when it is resumed.
#[test]
fn packets_come_and_are_resumed() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 1);
        let mut peer = switch.connect("br-int").await;
        peer.send(&Message::SetConfig(SwitchConfig { flags: 0, miss_send_len: 65_535 })).unwrap();
        peer.send(&Message::SetPacketInFormat(Message::PACKET_IN2_FORMAT)).unwrap();
        let mut controller = Controller::new(&b"userdata"[..]);
        controller.pause = true;
        let to_controller = Action::Controller(Box::new(controller));
        let set = Action::SetField { field: Field::reg(3), value: 0x33, mask: 0xffff_ffff };
        let flows = [
            flow(0, 1, 5, |m| m, &[set, to_controller, Action::resubmit(7)]),
            flow(7, 1, 6, |m| m.set(Field::reg(3), 0x44), &[Action::output(1)]),
        ];
        let xids = install(&mut peer, &[], &flows);
        check_refused(&peer.outcome(xids).await, true, &[]);

        let packet = Bytes::from_static(&[0xaa; 64]);
        let mut match_ = Match::new();
        match_.set(Field::IN_PORT_OXM, PacketOut::IN_PORT_CONTROLLER.into()).set(Field::METADATA, 9);
        let actions = ActionList::from(&[Action::resubmit(0)][..]);
        peer.send(&Message::PacketOut(Box::new(PacketOut { match_, actions, packet: packet.clone() }))).unwrap();
        let event = peer.event().await;
        let Event::Message { message: Message::PacketIn2(packet_in), .. } = event else { panic!("{event:?}") };
        assert_eq!((&packet_in.packet, &packet_in.userdata[..], packet_in.table), (&packet, &b"userdata"[..], 0));
        assert_eq!(packet_in.metadata.get(Field::reg(3)), Some((0x33, 0xffff_ffff)));
        assert_eq!(packet_in.metadata.get(Field::METADATA).map(|(value, _)| value), Some(9));
        assert!(!packet_in.continuation.is_empty());

        let mut resume: PacketIn2 = *packet_in;
        resume.metadata.set(Field::reg(3), 0x44);
        peer.send(&Message::Resume(Box::new(resume))).unwrap();
        assert_eq!(peer.until_barrier().await, []);
        let request = FlowStatsRequest { table: 7, ..FlowStatsRequest::default() };
        let MultipartReplyBody::Flows { flows, .. } = peer.multipart(MultipartRequest::Flows(request)).await else {
            panic!()
        };
        assert_eq!(flows[0].n_packets, Some(1));
    });
}

fn flow(
    table: u8,
    priority: u16,
    cookie: u64,
    match_: impl FnOnce(&mut Match) -> &mut Match,
    actions: &[Action],
) -> Flow {
    let mut m = Match::new();
    match_(&mut m);
    Flow { table, priority, cookie, match_: m, actions: ActionList::from(actions) }
}

fn flows() -> Vec<Flow> {
    let reg13 = Subfield { field: Field::reg(13), ofs: 0, n_bits: 16 };
    let ct =
        Ct { commit: true, force: false, zone: CtZone::Field(reg13), recirc_table: Some(9), alg: 0, actions: vec![] };
    let set = Action::SetField { field: Field::reg(14), value: 1, mask: 0xffff_ffff };
    vec![
        flow(0, 100, 1, |m| m.set(Field::IN_PORT_OXM, 1), &[set, Action::resubmit(8)]),
        flow(
            8,
            50,
            2,
            |m| {
                m.set(Field::METADATA, 7).set(Field::reg(14), 1).set(Field::ETH_TYPE, 0x800);
                m.set_masked(Field::CT_STATE, 0x22, 0x22)
            },
            &[Action::Ct(Box::new(ct))],
        ),
        flow(9, 0, 3, |m| m, &[]),
        flow(
            9,
            10,
            4,
            |m| m.set(Field::ETH_TYPE, 0x800).set(Field::IP_PROTO, 6).set(Field::TCP_DST, 80),
            &[Action::Meter(3), Action::Group(1)],
        ),
    ]
}

fn groups() -> Vec<Group> {
    let bucket = |id, weight, table| Bucket {
        id,
        weight,
        watch_port: PORT_ANY,
        watch_group: GROUP_ANY,
        actions: ActionList::from(&[Action::resubmit(table)][..]),
    };
    vec![Group {
        id: 1,
        group_type: GroupType::Select,
        buckets: vec![bucket(0, 100, 10), bucket(1, 50, 11)],
        selection_method: Some(SelectionMethod { name: "dp_hash".to_owned(), param: 0, fields: vec![] }),
    }]
}

fn meters() -> Vec<Meter> {
    vec![Meter {
        id: 3,
        flags: Meter::PKTPS | Meter::BURST | Meter::STATS,
        bands: vec![MeterBand { rate: 100, burst_size: 20 }],
    }]
}

/// Sends groups and flows in one bundle.
fn install(peer: &mut Peer, groups: &[Group], flows: &[Flow]) -> BundleXids {
    let mut bundle = peer.link.connection().bundle();
    for group in groups {
        bundle.add_group_mod(&GroupMod { command: GroupModCommand::Add, group: group.clone() }).unwrap();
    }
    for flow in flows {
        bundle.add_flow_mod(&FlowMod::new(FlowModCommand::Add, flow.clone())).unwrap();
    }
    bundle.commit().unwrap()
}

async fn read_flows(peer: &mut Peer) -> Vec<Flow> {
    let reply = peer.multipart(MultipartRequest::Flows(FlowStatsRequest::default())).await;
    let MultipartReplyBody::Flows { flows, rejected } = reply else { panic!() };
    assert_eq!(rejected, []);
    flows.into_iter().map(|stats| stats.flow).collect()
}

fn sorted(dump: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = dump.lines().collect();
    lines.sort_unstable();
    lines
}
