use std::time::Duration;

use super::*;
use crate::action::{Action, ActionList};
use crate::field::Field;
use crate::flow::{Flow, FlowMod, FlowModCommand, GROUP_ANY, PORT_ANY};
use crate::flow_match::Match;
use crate::group::{Bucket, Group, GroupMod, GroupModCommand, GroupType, SelectionMethod};
use crate::meter::{Meter, MeterBand, MeterMod, MeterModCommand};

fn encoded(message: &Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(Xid(0x0102_0304), &mut bytes).unwrap();
    bytes
}

fn actions(actions: &[Action]) -> ActionList {
    ActionList::from(actions)
}

fn flow() -> Flow {
    let mut match_ = Match::new();
    match_.set(Field::METADATA, 7).set(Field::reg(14), 3).set_masked(Field::reg(0), 1, 5).set(Field::ETH_TYPE, 0x800);
    Flow { table: 8, priority: 100, cookie: 0x1234_5678, match_, actions: actions(&[Action::resubmit(9)]) }
}

fn group() -> Group {
    let bucket = |id, weight, table| Bucket {
        id,
        weight,
        watch_port: PORT_ANY,
        watch_group: GROUP_ANY,
        actions: actions(&[Action::resubmit(table)]),
    };
    let mut fields = vec![(Field::IPV4_SRC, 0xffff_ffff), (Field::ETH_DST, 0xff)];
    fields.sort_unstable();
    Group {
        id: 5,
        group_type: GroupType::Select,
        buckets: vec![bucket(0, 100, 9), bucket(1, 50, 10)],
        selection_method: Some(SelectionMethod { name: "hash".to_owned(), param: 3, fields }),
    }
}

fn meter() -> Meter {
    Meter { id: 4, flags: Meter::KBPS | Meter::BURST, bands: vec![MeterBand { rate: 100, burst_size: 20 }] }
}

fn ct_flush() -> CtFlush {
    let src = std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
    let tuple = CtTuple { src: Some(src), src_port: Some(80), ..CtTuple::default() };
    let icmp = CtTuple { icmp_id: Some(9), icmp_type: Some(8), icmp_code: Some(0), ..CtTuple::default() };
    CtFlush {
        ip_proto: 6,
        original: Some(tuple),
        reply: Some(icmp),
        zone: Some(7),
        mark: Some((1, Some(3))),
        label: Some((1 << 124, Some(1 << 124))),
    }
}

fn packet_in() -> PacketIn2 {
    PacketIn2 {
        packet: Bytes::from_static(b"a frame"),
        full_len: Some(1500),
        buffer_id: None,
        table: 9,
        cookie: Some(0xabcd),
        reason: 1,
        metadata: flow().match_,
        unknown_metadata: Bytes::from_static(&[0x77, 0x77, 2, 2, 1, 2]),
        userdata: Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 0]),
        continuation: Bytes::from_static(b"opaque"),
    }
}

/// One of each message.
fn samples() -> Vec<Message> {
    let data = Bytes::from_static(b"12345678");
    let stats = FlowStats {
        flow: flow(),
        idle_timeout: 10,
        hard_timeout: 20,
        flags: 1,
        importance: 2,
        duration: Some(Duration::new(5, 6)),
        idle_time: Some(Duration::from_secs(3)),
        n_packets: Some(7),
        n_bytes: Some(700),
    };
    let port =
        PortDesc { port_no: 1, hw_addr: [1; 6], name: "p1".to_owned(), config: 1, state: 4, properties: data.clone() };
    let map = TlvMap { option_class: 0x102, option_type: 0x80, option_len: 4, index: 3 };
    let reply = |more, body| Message::MultipartReply(Box::new(MultipartReply { more, body }));
    let request = |request| Message::MultipartRequest(Box::new(request));
    let flow_mod = Message::FlowMod(Box::new(FlowMod::new(FlowModCommand::ModifyStrict, flow())));
    vec![
        Message::Hello(Hello { versions: Some(Versions::OFP15) }),
        Message::Error(SwitchError { code: ErrorCode::TLV_ALREADY_MAPPED, data: data.clone() }),
        Message::Error(SwitchError { code: ErrorCode::BUNDLE_MESSAGE_FAILED, data: data.clone() }),
        Message::EchoRequest(data.clone()),
        Message::EchoReply(data.clone()),
        Message::FeaturesRequest,
        Message::FeaturesReply(Features {
            datapath_id: 1,
            n_buffers: 2,
            n_tables: 3,
            auxiliary_id: 4,
            capabilities: 5,
        }),
        Message::GetConfigRequest,
        Message::GetConfigReply(SwitchConfig { flags: 1, miss_send_len: 65_535 }),
        Message::SetConfig(SwitchConfig { flags: 1, miss_send_len: 65_535 }),
        Message::PortStatus(Box::new(PortStatus { reason: 2, port: port.clone() })),
        Message::PacketOut(Box::new(PacketOut {
            match_: flow().match_,
            actions: flow().actions,
            packet: Bytes::from_static(b"frame"),
        })),
        flow_mod.clone(),
        Message::FlowMod(Box::new(FlowMod::delete_all())),
        Message::GroupMod(Box::new(GroupMod { command: GroupModCommand::Add, group: group() })),
        Message::MeterMod(MeterMod { command: MeterModCommand::Modify, meter: meter() }),
        request(MultipartRequest::Desc),
        request(MultipartRequest::Flows(FlowStatsRequest { match_: flow().match_, ..FlowStatsRequest::default() })),
        request(MultipartRequest::GroupDesc(1)),
        request(MultipartRequest::GroupStats(1)),
        request(MultipartRequest::MeterConfig(2)),
        request(MultipartRequest::GroupFeatures),
        request(MultipartRequest::MeterFeatures),
        request(MultipartRequest::PortDesc(3)),
        request(MultipartRequest::Unknown { multipart_type: 99, body: data.clone() }),
        reply(
            false,
            MultipartReplyBody::Desc(Box::new(SwitchDesc { software: "3.1.0".to_owned(), ..SwitchDesc::default() })),
        ),
        reply(true, MultipartReplyBody::Flows { flows: vec![stats, FlowStats::default()], rejected: Vec::new() }),
        reply(true, MultipartReplyBody::Groups { groups: vec![group(), group()], rejected: Vec::new() }),
        reply(false, MultipartReplyBody::Meters { meters: vec![meter(), meter()], rejected: Vec::new() }),
        reply(
            true,
            MultipartReplyBody::GroupStats(vec![
                GroupStats { id: 7, references: 2, n_buckets: 3 },
                GroupStats { id: 8, ..GroupStats::default() },
            ]),
        ),
        reply(
            false,
            MultipartReplyBody::GroupFeatures(GroupFeatures { max_groups: [1, 2, 3, 4], ..GroupFeatures::default() }),
        ),
        reply(
            false,
            MultipartReplyBody::MeterFeatures(MeterFeatures {
                max_meters: 9,
                max_bands: 1,
                ..MeterFeatures::default()
            }),
        ),
        reply(false, MultipartReplyBody::Ports(vec![port.clone(), port])),
        reply(false, MultipartReplyBody::Unknown { multipart_type: 99, body: data.clone() }),
        Message::BarrierRequest,
        Message::BarrierReply,
        Message::RoleRequest(RoleBody { role: Role::Primary, generation_id: 77 }),
        Message::RoleReply(RoleBody { role: Role::Equal, generation_id: 77 }),
        Message::BundleControl(BundleControl {
            bundle_id: 1,
            command: BundleCommand::CommitReply,
            flags: BundleFlags::ATOMIC_ORDERED,
        }),
        Message::BundleAdd { bundle_id: 1, flags: BundleFlags::ORDERED, message: Box::new(flow_mod) },
        Message::SetPacketInFormat(Message::PACKET_IN2_FORMAT),
        Message::SetControllerId(3),
        Message::TlvTableMod(TlvTableMod { command: TlvTableCommand::Delete, maps: vec![map] }),
        Message::TlvTableRequest,
        Message::TlvTableReply(TlvTable { max_option_space: 256, max_fields: 64, maps: vec![map, map] }),
        Message::CtFlushZone(7),
        Message::CtFlush(Box::new(ct_flush())),
        Message::CtFlush(Box::default()),
        Message::PacketIn2(Box::new(packet_in())),
        Message::Resume(Box::new(packet_in())),
        Message::Unknown { message_type: MessageType::EXPERIMENTER, body: data.clone() },
        Message::Unknown { message_type: MessageType(77), body: data },
    ]
}

#[test]
fn decode_of_encode_is_identity() {
    for message in samples() {
        let bytes = encoded(&message);
        assert_eq!(Message::decode(&bytes), Ok((Xid(0x0102_0304), message.clone())), "{message:?}");
    }
}

/// Every message cut anywhere is an error or, where its last part may be missing, another message; never a panic.
#[test]
fn cut_messages_do_not_panic() {
    for message in samples() {
        let whole = encoded(&message);
        for length in 8..whole.len() {
            let mut bytes = BytesMut::from(&whole[..length]);
            patch_u16(&mut bytes, 2, length);
            let _ = Message::decode(&bytes);
        }
    }
}

#[test]
fn errors_name_structure_and_place() {
    let cases: &[(&[u8], &str)] = &[
        (&[6, 0, 0], "ofp_header at byte 0: 8 bytes needed, 3 left"),
        (&[6, 0, 0, 9, 0, 0, 0, 0], "ofp_header at byte 8: bad length 9"),
        (&[6, 14, 0, 12, 0, 0, 0, 0, 1, 2, 3, 4], "OFPT_FLOW_MOD at byte 0: 8 bytes needed, 4 left"),
        (&[6, 25, 0, 12, 0, 0, 0, 0, 0, 0, 0, 9], "OFPT_ROLE_REPLY at byte 4: unknown role 9"),
        (&[6, 4, 0, 16, 0, 0, 0, 0, 0, 0, 0x23, 0x20, 0, 0, 0, 28], ""),
    ];
    for (bytes, text) in cases {
        let error = Message::decode(bytes).map_err(|error| error.to_string()).err();
        assert_eq!(error.unwrap_or_default(), *text);
    }
}

#[test]
fn a_flow_that_cannot_be_expressed_costs_only_itself() {
    let stats = FlowStats { flow: flow(), ..FlowStats::default() };
    let body = MultipartReplyBody::Flows { flows: vec![stats.clone(), stats.clone()], rejected: Vec::new() };
    let mut bytes = encoded(&Message::MultipartReply(Box::new(MultipartReply { more: false, body })));
    // The first entry's instruction becomes goto-table.
    let entry = 16;
    let instruction = entry + usize::from(u16::from_be_bytes([bytes[entry], bytes[entry + 1]])) - 24;
    assert_eq!(bytes[instruction..instruction + 4], [0, 4, 0, 24]);
    bytes[instruction + 1] = 1;
    let (_, Message::MultipartReply(reply)) = Message::decode(&bytes).unwrap() else { panic!() };
    let MultipartReplyBody::Flows { flows, rejected } = reply.body else { panic!() };
    assert_eq!(flows, [stats]);
    let [rejected] = &rejected[..] else { panic!("{rejected:?}") };
    assert_eq!((rejected.table, rejected.priority, rejected.cookie), (8, 100, 0x1234_5678));
    assert!(rejected.error.to_string().ends_with("unknown instruction 1"), "{}", rejected.error);
}

#[test]
fn a_group_or_meter_that_cannot_be_expressed_costs_only_itself() {
    let groups = vec![Group { selection_method: None, ..group() }, group()];
    let body = MultipartReplyBody::Groups { groups: groups.clone(), rejected: Vec::new() };
    let mut bytes = encoded(&Message::MultipartReply(Box::new(MultipartReply { more: false, body })));
    bytes[18] = 77;
    let (_, Message::MultipartReply(reply)) = Message::decode(&bytes).unwrap() else { panic!() };
    let MultipartReplyBody::Groups { groups: left, rejected } = reply.body else { panic!() };
    assert_eq!(left, groups[1..]);
    assert_eq!((rejected[0].id, rejected.len()), (5, 1));
    assert_eq!(rejected[0].error.to_string(), "ofp_group_desc at byte 6: unknown group type 77");

    let body = MultipartReplyBody::Meters { meters: vec![meter(), meter()], rejected: Vec::new() };
    let mut bytes = encoded(&Message::MultipartReply(Box::new(MultipartReply { more: false, body })));
    bytes[25] = 2;
    let (_, Message::MultipartReply(reply)) = Message::decode(&bytes).unwrap() else { panic!() };
    let MultipartReplyBody::Meters { meters, rejected } = reply.body else { panic!() };
    assert_eq!((meters, rejected[0].id, rejected.len()), (vec![meter()], 4, 1));
}

#[test]
fn large_groups_are_split() {
    let mut group = group();
    let bucket = group.buckets[0].clone();
    let of = |n: u32| (0..n).map(|id| Bucket { id, ..bucket.clone() }).collect::<Vec<_>>();
    for n in [0, 1, 1_000, 5_000] {
        group.buckets = of(n);
        let whole = GroupMod { command: GroupModCommand::Add, group: group.clone() };
        let parts = whole.split();
        assert_eq!(parts.len(), if n < 1_000 { 1 } else { 1 + n as usize / 1_300 }, "{n} buckets");
        let mut buckets = Vec::new();
        for (i, part) in parts.into_iter().enumerate() {
            let command = if i == 0 { GroupModCommand::Add } else { GroupModCommand::InsertBuckets };
            assert_eq!((part.command, part.group.id), (command, group.id));
            assert_eq!(part.group.selection_method.is_some(), i == 0);
            let bytes = encoded(&Message::GroupMod(Box::new(part.clone())));
            assert_eq!(Message::decode(&bytes).unwrap().1, Message::GroupMod(Box::new(part.clone())));
            buckets.extend(part.group.buckets);
        }
        assert_eq!(buckets, group.buckets);
    }
}

#[test]
fn parts_are_put_together() {
    let part = |more, id| {
        let body = MultipartReplyBody::Meters { meters: vec![Meter { id, ..meter() }], rejected: Vec::new() };
        MultipartReply { more, body }
    };
    let mut reassembly = Reassembly::new(Xid(1));
    assert_eq!(reassembly.push(part(true, 1)), Ok(None));
    assert_eq!(reassembly.push(part(true, 2)), Ok(None));
    let Ok(Some(MultipartReplyBody::Meters { meters, .. })) = reassembly.push(part(false, 3)) else { panic!() };
    assert_eq!(meters.iter().map(|meter| meter.id).collect::<Vec<_>>(), [1, 2, 3]);

    reassembly.push(part(true, 1)).unwrap();
    let other = MultipartReply { more: false, body: MultipartReplyBody::Ports(Vec::new()) };
    assert!(reassembly.push(other).is_err());
}

proptest::proptest! {
    /// Damaged messages: no panic, and what still decodes is understood the same way after encoding it again.
    #[test]
    fn damaged_messages(which: proptest::sample::Index, damage: Vec<(proptest::sample::Index, u8)>) {
        let samples = samples();
        let mut bytes = encoded(&samples[which.index(samples.len())]);
        for (at, value) in damage.iter().take(4) {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let length = bytes.len();
        patch_u16(&mut bytes, 2, length);
        if let Ok((xid, message)) = Message::decode(&bytes) {
            let mut again = BytesMut::new();
            let mut message = message;
            forget_rejected(&mut message);
            if message.encode(xid, &mut again).is_ok() {
                proptest::prop_assert_eq!(Message::decode(&again), Ok((xid, message)));
            }
        }
    }
}

/// What was rejected is not encoded again.
fn forget_rejected(message: &mut Message) {
    match message {
        Message::MultipartReply(reply) => match &mut reply.body {
            MultipartReplyBody::Flows { rejected, .. } => rejected.clear(),
            MultipartReplyBody::Groups { rejected, .. } | MultipartReplyBody::Meters { rejected, .. } => {
                rejected.clear();
            }
            _ => {}
        },
        Message::BundleAdd { message, .. } => forget_rejected(message),
        _ => {}
    }
}
