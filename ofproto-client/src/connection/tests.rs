use super::*;
use crate::flow::{Flow, FlowMod, FlowModCommand};
use crate::message::{BundleCommand, BundleControl, BundleFlags};

/// A connection and the bytes it has sent, cut into messages.
struct Wire {
    connection: Connection,
    now: Time,
}

impl Wire {
    fn new(config: Config) -> Wire {
        Wire { connection: Connection::new(Time(0), config), now: Time(0) }
    }

    fn ready() -> Wire {
        let mut wire = Wire::new(Config::default());
        wire.receive(&hello(6, Some(Versions::OFP15)));
        assert_eq!(wire.events(), [Event::Connected { offered: Versions::OFP15 }]);
        wire.sent();
        wire
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.connection.handle_bytes(self.now, bytes);
    }

    fn receive_message(&mut self, xid: u32, message: Message) {
        self.receive(&encoded(xid, message));
    }

    fn at(&mut self, ms: u64) {
        self.now = Time(ms);
        self.connection.handle_timeout(self.now);
    }

    fn sent(&mut self) -> Vec<(Xid, Message)> {
        let mut bytes = BytesMut::new();
        self.connection.poll_transmit(&mut bytes);
        let mut messages = Vec::new();
        while let Some(header) = Header::peek(&bytes) {
            let message = bytes.split_to(header.length.get().into());
            messages.push(Message::decode(&message).unwrap());
        }
        assert!(bytes.is_empty());
        messages
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.poll_event()).collect()
    }

    fn closed_with(&mut self) -> String {
        match self.events().as_slice() {
            [.., Event::Closed(error)] => error.to_string(),
            events => panic!("not closed: {events:?}"),
        }
    }
}

fn encoded(xid: u32, message: Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(Xid(xid), &mut bytes).unwrap();
    bytes
}

fn hello(version: u8, versions: Option<Versions>) -> BytesMut {
    let mut bytes = encoded(0, Message::Hello(Hello { versions }));
    bytes[0] = version;
    bytes
}

#[test]
fn says_hello_and_connects() {
    let mut wire = Wire::new(Config::default());
    assert_eq!(wire.sent(), [(Xid(1), Message::Hello(Hello { versions: Some(Versions::OFP15) }))]);
    assert!(!wire.connection.is_ready());
    // Byte by byte, to see that a message may arrive in any pieces.
    for byte in hello(6, Some(Versions(0x72))) {
        wire.receive(&[byte]);
    }
    assert_eq!(wire.events(), [Event::Connected { offered: Versions(0x72) }]);
    assert!(wire.connection.is_ready());
}

#[test]
fn version_mismatch_names_versions_and_setting() {
    let cases = [
        (4, Some(Versions(0x12)), "OpenFlow 1.0, 1.3"),
        (1, Some(Versions(0x02)), "OpenFlow 1.0"),
        (1, None, "OpenFlow 1.0"),
        (4, None, "OpenFlow 1.0, 1.1, 1.2, 1.3"),
        (6, Some(Versions(0)), "no OpenFlow version"),
    ];
    for (version, versions, text) in cases {
        let mut wire = Wire::new(Config { bridge: "br-x".to_owned(), ..Config::default() });
        wire.sent();
        wire.receive(&hello(version, versions));
        let expected =
            format!("switch offers {text}; needs OpenFlow15: ovs-vsctl set bridge br-x protocols=OpenFlow15");
        assert_eq!(wire.closed_with(), expected);
        let sent = wire.sent();
        assert!(matches!(&sent[..], [(Xid(0), Message::Error(e))] if e.code == ErrorCode::HELLO_INCOMPATIBLE));
    }
}

#[test]
fn garbage_is_named() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "peer does not speak OpenFlow: its first bytes are 48 54 54 50 2f 31 2e 31 20 34 30 30 20 42 61 64 (\"HTTP/1.1 400 Bad\")",
        ),
        (&[0xff], "peer does not speak OpenFlow: its first bytes are ff"),
        (&[6, 0, 0, 7, 0, 0, 0, 0], "peer does not speak OpenFlow: its first bytes are 06 00 00 07 00 00 00 00"),
        (&[6, 20, 0, 8, 0, 0, 0, 0], "switch sent OFPT_BARRIER_REQUEST where OFPT_HELLO is due"),
        (&[6, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 99, 0, 0, 0, 0], "bad OFPT_HELLO: OFPT_HELLO at byte 0: bad length 99"),
    ];
    for (bytes, text) in cases {
        let mut wire = Wire::new(Config::default());
        wire.receive(bytes);
        assert_eq!(wire.closed_with(), *text);
        wire.receive(bytes);
        assert_eq!(wire.events(), []);
    }
    let mut wire = Wire::ready();
    wire.receive(&[4, 0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(wire.closed_with(), "stream out of step: no OpenFlow 1.5 message starts with 04 00 00 08 00 00 00 01");
}

#[test]
fn answers_echo_requests() {
    let mut wire = Wire::ready();
    wire.receive_message(77, Message::EchoRequest(Bytes::from_static(b"abc")));
    assert_eq!(wire.sent(), [(Xid(77), Message::EchoReply(Bytes::from_static(b"abc")))]);
    assert_eq!(wire.events(), []);
}

#[test]
fn errors_come_with_their_xid() {
    let mut wire = Wire::ready();
    let xid = wire.connection.send(&Message::TlvTableRequest).unwrap();
    let error = SwitchError { code: ErrorCode::TLV_ALREADY_MAPPED, data: Bytes::from_static(b"12345678") };
    wire.receive_message(xid.0, Message::Error(error.clone()));
    assert_eq!(wire.events(), [Event::Error { xid, error }]);
}

#[test]
fn an_undecodable_message_costs_only_itself() {
    let mut wire = Wire::ready();
    let mut bytes = BytesMut::from(&[6, 6, 0, 9, 0, 0, 0, 5, 1][..]);
    bytes.extend_from_slice(&encoded(6, Message::BarrierReply));
    wire.receive(&bytes);
    let events = wire.events();
    let [Event::Undecodable { xid: Xid(5), error, .. }, Event::Message { xid: Xid(6), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.to_string(), "OFPT_FEATURES_REPLY at byte 0: 8 bytes needed, 1 left");
}

#[test]
fn probes_and_gives_up() {
    let config = Config { probe_interval: Some(Duration::from_secs(5)), ..Config::default() };
    let mut wire = Wire::new(config);
    wire.receive(&hello(6, None));
    wire.sent();
    assert_eq!(wire.connection.poll_timeout(), Some(Time(5000)));
    wire.at(4999);
    assert_eq!(wire.sent(), []);
    wire.at(5000);
    let sent = wire.sent();
    let [(xid, Message::EchoRequest(_))] = sent[..] else { panic!("{sent:?}") };
    assert_eq!(wire.connection.poll_timeout(), Some(Time(10_000)));
    wire.now = Time(7000);
    wire.receive_message(xid.0, Message::EchoReply(Bytes::new()));
    assert_eq!(wire.events().len(), 1, "only Connected; the reply is the connection's own");
    assert_eq!(wire.connection.poll_timeout(), Some(Time(12_000)));
    wire.at(12_000);
    assert_eq!(wire.sent().len(), 1);
    wire.at(17_000);
    assert_eq!(wire.closed_with(), "no response to inactivity probe after 10000 ms");
    assert_eq!(wire.connection.poll_timeout(), None);
}

#[test]
fn a_switch_that_commits_a_large_bundle_is_given_time() {
    let config = Config { probe_interval: Some(Duration::from_secs(5)), ..Config::default() };
    let mut wire = Wire::new(config);
    wire.receive(&hello(6, None));
    let mut commits = Vec::new();
    for messages in [50_000, 100_000] {
        let mut bundle = wire.connection.bundle();
        for _ in 0..messages {
            bundle.add_flow_mod(&FlowMod::new(FlowModCommand::Add, Flow::default())).unwrap();
        }
        commits.push(bundle.commit().unwrap());
    }
    wire.sent();
    assert_eq!(wire.connection.poll_timeout(), Some(Time(5_000 + 30_000)));
    wire.at(35_000);
    assert_eq!(wire.sent().len(), 1, "a probe");
    let reply = |xids: &BundleXids| {
        let control =
            BundleControl { bundle_id: 0, command: BundleCommand::CommitReply, flags: BundleFlags::ATOMIC_ORDERED };
        (xids.commit.0, Message::BundleControl(control))
    };
    wire.now = Time(60_000);
    let (xid, message) = reply(&commits[0]);
    wire.receive_message(xid, message);
    assert_eq!(wire.connection.poll_timeout(), Some(Time(60_000 + 5_000 + 20_000)));
    let (xid, message) = reply(&commits[1]);
    wire.receive_message(xid, message);
    assert_eq!(wire.connection.poll_timeout(), Some(Time(65_000)));
    wire.at(65_000);
    wire.at(70_000);
    assert_eq!(wire.closed_with(), "no response to inactivity probe after 10000 ms");
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut wire = Wire::new(Config::default());
    wire.at(9_999);
    assert_eq!(wire.events(), []);
    wire.at(10_000);
    assert_eq!(wire.closed_with(), "no OFPT_HELLO from the switch within 10000 ms");
}

#[test]
fn barriers_confirm_bytes() {
    let mut wire = Wire::ready();
    assert_eq!(wire.connection.bytes_in_flight(), 0);
    wire.connection.send(&Message::CtFlushZone(3)).unwrap();
    let first = wire.connection.send_barrier();
    wire.connection.send(&Message::CtFlushZone(4)).unwrap();
    assert_eq!(wire.connection.bytes_in_flight(), 24 + 8 + 24);
    assert_eq!(wire.connection.bytes_queued(), 56);
    wire.sent();
    assert_eq!((wire.connection.bytes_queued(), wire.connection.bytes_in_flight()), (0, 56));
    wire.receive_message(first.0, Message::BarrierReply);
    assert_eq!(wire.connection.bytes_in_flight(), 24);
    let second = wire.connection.send(&Message::BarrierRequest).unwrap();
    wire.receive_message(second.0, Message::BarrierReply);
    assert_eq!(wire.connection.bytes_in_flight(), 0);
}

#[test]
fn bundles() {
    let mut wire = Wire::ready();
    let flags = BundleFlags::ATOMIC_ORDERED;
    let control = |bundle_id, command| Message::BundleControl(BundleControl { bundle_id, command, flags });
    let add = |message| Message::BundleAdd { bundle_id: 0, flags, message: Box::new(message) };

    assert_eq!(wire.connection.bundle().commit(), None);
    assert_eq!(wire.sent(), [], "an empty bundle is not sent");

    let mut bundle = wire.connection.bundle();
    let first = bundle.add(&Message::FeaturesRequest).unwrap();
    let too_big = Message::Unknown { message_type: MessageType::FLOW_MOD, body: Bytes::from(vec![0; 65_528]) };
    assert_eq!(
        bundle.add(&too_big).unwrap_err().to_string(),
        "the OFPT_FLOW_MOD message is too big: 65536 bytes, the limit is 65535"
    );
    let second = bundle.add(&Message::GetConfigRequest).unwrap();
    let xids = bundle.commit().unwrap();
    assert_eq!(
        wire.sent(),
        [
            (xids.open, control(0, BundleCommand::OpenRequest)),
            (first, add(Message::FeaturesRequest)),
            (second, add(Message::GetConfigRequest)),
            (xids.commit, control(0, BundleCommand::CommitRequest)),
        ]
    );
    let next = wire.connection.send_barrier();
    let parts: Vec<_> = [xids.open, first, second, xids.commit, next].iter().map(|&xid| xids.part(xid)).collect();
    let message = |n| Some(BundlePart::Message(n));
    assert_eq!(parts, [Some(BundlePart::Open), message(0), message(1), Some(BundlePart::Commit), None]);
    assert_eq!(xids.part(Xid(xids.open.0 - 1)), None);
    wire.sent();

    wire.connection.bundle().add(&Message::FeaturesRequest).unwrap();
    let commands: Vec<_> = wire.sent().into_iter().map(|(_, message)| message).collect();
    assert_eq!(commands.first(), Some(&control(1, BundleCommand::OpenRequest)));
    assert_eq!(commands.last(), Some(&control(1, BundleCommand::DiscardRequest)));
}

/// A bundle may be written in pieces, with other messages between them.
#[test]
fn paused_bundles() {
    let mut wire = Wire::ready();
    let mut bundle = wire.connection.bundle();
    let mut added =
        vec![bundle.add(&Message::FeaturesRequest).unwrap(), bundle.add(&Message::FeaturesRequest).unwrap()];
    let paused = bundle.pause();
    assert_eq!(wire.sent().len(), 3);
    let other = wire.connection.send_barrier();
    let mut bundle = paused.resume(&mut wire.connection);
    added.push(bundle.add(&Message::FeaturesRequest).unwrap());
    let xids = bundle.commit().unwrap();
    assert_eq!(xids.n_messages(), 3);
    for (index, &xid) in added.iter().enumerate() {
        assert_eq!(xids.part(xid), Some(BundlePart::Message(index as u32)));
    }
    assert_eq!(xids.part(other), None);
    assert_eq!(xids.part(xids.commit), Some(BundlePart::Commit));
    assert_eq!(wire.sent().len(), 3);

    let paused = wire.connection.bundle().pause();
    assert_eq!(paused.resume(&mut wire.connection).commit(), None);
    assert_eq!(wire.sent(), []);
}

#[test]
fn nothing_is_sent_after_the_end() {
    let mut wire = Wire::ready();
    wire.connection.handle_closed(None);
    assert_eq!(wire.closed_with(), "connection closed by peer");
    wire.connection.send_barrier();
    assert_eq!(wire.sent(), []);
    assert!(wire.connection.is_closed());
}

proptest::proptest! {
    /// Whatever a peer sends, in whatever pieces, the connection neither panics nor grows without bound.
    #[test]
    fn arbitrary_bytes(chunks: Vec<Vec<u8>>, ready: bool) {
        let mut wire = if ready { Wire::ready() } else { Wire::new(Config::default()) };
        for chunk in chunks {
            wire.receive(&chunk);
            wire.events();
        }
        proptest::prop_assert!(wire.connection.rx.len() < 70_000);
    }

    /// The same stream in other pieces gives the same events.
    #[test]
    fn pieces_do_not_matter(
        messages in proptest::collection::vec((0u8..36, proptest::collection::vec(0u8..4, 0..40)), 0..12),
        cuts: Vec<proptest::sample::Index>,
    ) {
        let mut bytes = BytesMut::new();
        for (message_type, body) in messages {
            let message_type = MessageType(message_type);
            bytes.extend_from_slice(&encoded(1, Message::Unknown { message_type, body: body.into() }));
        }
        let mut whole = Wire::ready();
        whole.receive(&bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut pieces = Wire::ready();
        for cut in cuts.windows(2) {
            pieces.receive(&bytes[cut[0]..cut[1]]);
        }
        proptest::prop_assert_eq!(whole.events(), pieces.events());
        proptest::prop_assert_eq!(whole.sent(), pieces.sent());
    }

    /// Well-framed messages with arbitrary bodies.
    #[test]
    fn arbitrary_bodies(messages: Vec<(u8, Vec<u8>)>) {
        let mut wire = Wire::ready();
        let n = messages.len();
        let mut bytes = BytesMut::new();
        for (message_type, body) in messages {
            let message_type = MessageType(message_type % 36);
            bytes.extend_from_slice(&encoded(1, Message::Unknown { message_type, body: body.into() }));
        }
        wire.receive(&bytes);
        proptest::prop_assert!(wire.events().len() <= n);
        proptest::prop_assert!(!wire.connection.is_closed() || n > 0);
    }
}
