//! A session against scripted peers: what it sends, byte for byte, and what it makes of the answers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

use std::time::Duration;

use ovsdb::Time;
use ovsdb::condition::{Clause, Conditions, MonitorRequest, MonitorTable, Rows};
use ovsdb::session::{Event, Session, SessionConfig, TransactionId, UpdateVersion};
use ovsdb::transaction::{Outcome, Transaction};

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const TXN: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
const SCHEMA: &str =
    r#"{"name":"D","version":"1.0.0","tables":{"T":{"columns":{"a":{"type":"integer"},"b":{"type":"string"}}}}}"#;

struct Peer {
    session: Session,
    now: Time,
}

impl Peer {
    fn new() -> Peer {
        Peer::with(Conditions::default())
    }

    fn with(conditions: Conditions) -> Peer {
        let monitor = MonitorRequest { tables: vec![MonitorTable { name: "T", columns: vec!["a"] }] };
        let config = SessionConfig { monitor, conditions, watch_server: false, ..SessionConfig::new("D") };
        Peer { session: Session::new(config), now: Time(1000) }
    }

    /// What the session has sent since last asked.
    fn sent(&mut self) -> String {
        String::from_utf8(self.session.poll_transmit().unwrap_or_default()).unwrap()
    }

    fn receive(&mut self, text: &str) {
        self.session.handle_bytes(self.now, text.as_bytes());
    }

    /// The events since last asked, one line each.
    fn events(&mut self) -> Vec<String> {
        let one = |event| match event {
            Event::Connected { schema, lacking } => format!("connected {} lacking {}", schema.version, lacking.len()),
            Event::InitialData { payload, version, found, last_txn_id } => {
                format!("initial {version:?} found={found} {} {}", payload.as_str(), name(last_txn_id))
            }
            Event::Update { payload, version, last_txn_id } => {
                format!("update {version:?} {} {}", payload.as_str(), name(last_txn_id))
            }
            Event::ConditionsAcked { sequence } => format!("conditions {sequence}"),
            Event::TransactionReply { id, outcome } => match outcome {
                Outcome::Committed(results) => format!("transaction {} committed {}", id.0, results.len()),
                Outcome::Failed(error) => format!("transaction {} failed: {error}", id.0),
                Outcome::Lost { sent } => format!("transaction {} lost, sent={sent}", id.0),
            },
            Event::Disconnected { why } => format!("disconnected: {why}"),
            Event::Error(error) => format!("error: {error}"),
            other => format!("{other:?}"),
        };
        std::iter::from_fn(|| self.session.poll_event()).map(one).collect()
    }

    /// Connects and answers the first requests of the connection; `first` is the id of the first.
    fn connect(&mut self, first: u64) {
        self.session.handle_connected(self.now);
        let sent = self.sent();
        let expected = format!(
            r#"{{"id":{first},"method":"set_db_change_aware","params":[true]}}{{"id":{},"method":"get_schema","params":["D"]}}"#,
            first + 1
        );
        assert_eq!(sent, expected);
        self.receive(&format!(r#"{{"id":{first},"error":"unknown method"}}"#));
        self.receive(&format!(r#"{{"id":{},"result":{SCHEMA},"error":null}}"#, first + 1));
        assert_eq!(self.events(), ["connected 1.0.0 lacking 0"]);
    }

    /// As [`Peer::connect`], and gives empty initial data under `TXN`.
    fn connect_and_load(&mut self) {
        self.connect(1);
        self.sent();
        self.receive(&format!(r#"{{"id":3,"result":[false,"{TXN}",{{}}],"error":null}}"#));
        let events = self.events();
        assert_eq!(events[0], format!("initial V3 found=false {{}} {TXN}"));
    }
}

fn name(id: Option<ovsdb::Uuid>) -> String {
    id.map_or("-".to_owned(), |id| id.to_string())
}

fn monitor(id: u64, method: &str, rest: &str) -> String {
    format!(r#"{{"id":{id},"method":"{method}","params":["D",["monid","D"],{rest}]}}"#)
}

fn only(value: i64) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.set("T", Rows::Any(vec![Clause::equal("a", value)]));
    conditions
}

fn transaction() -> Transaction {
    let mut transaction = Transaction::new();
    transaction.insert("T", vec![("a", 1.into())]);
    transaction
}

#[test]
fn the_best_monitor_that_the_server_knows() {
    let unknown = |id: u64| format!(r#"{{"id":{id},"error":"unknown method","result":null}}"#);
    let mut peer = Peer::with(only(7));
    peer.connect(1);
    let table = r#"{"T":[{"columns":["a"],"where":[["a","==",7]]}]}"#;
    assert_eq!(peer.sent(), monitor(3, "monitor_cond_since", &format!("{table},\"{NIL}\"")));
    peer.receive(&unknown(3));
    assert_eq!(peer.sent(), monitor(4, "monitor_cond", table));
    peer.receive(&unknown(4));
    assert_eq!(peer.sent(), monitor(5, "monitor", r#"{"T":[{"columns":["a"]}]}"#));
    assert!(peer.events().is_empty());
    peer.receive(r#"{"id":5,"result":{"T":{}},"error":null}"#);
    peer.receive(r#"{"id":null,"method":"update","params":[["monid", "D"],{"T":{"x":{"new":{"a":1}}}}]}"#);
    assert_eq!(peer.events(), [r#"initial V1 found=false {"T":{}} -"#, r#"update V1 {"T":{"x":{"new":{"a":1}}}} -"#]);
    // Every row comes anyway.
    peer.session.set_conditions(3, only(8));
    assert_eq!((peer.sent().as_str(), peer.events()), ("", vec!["conditions 3".to_owned()]));
}

#[test]
fn monitor_cond_with_update2() {
    let mut peer = Peer::new();
    peer.connect(1);
    peer.receive(r#"{"id":3,"error":"unknown method"}"#);
    peer.sent();
    peer.receive(r#"{"id":4,"result":{"T":{"x":{"initial":{"a":1}}}},"error":null}"#);
    peer.receive(r#"{"id":null,"method":"update2","params":[["monid","D"],{}]}"#);
    assert_eq!(peer.events(), [r#"initial V2 found=false {"T":{"x":{"initial":{"a":1}}}} -"#, "update V2 {} -"]);
    peer.session.set_conditions(1, only(8));
    assert_eq!(
        peer.sent(),
        r#"{"id":5,"method":"monitor_cond_change","params":[["monid","D"],["monid","D"],{"T":[{"where":[["a","==",8]]}]}]}"#
    );
}

#[test]
fn continues_from_the_last_transaction() {
    let mut peer = Peer::new();
    peer.connect_and_load();
    let next = "11111111-1111-1111-1111-111111111111";
    peer.receive(&format!(r#"{{"id":null,"method":"update3","params":[["monid","D"],"{next}",{{"T":{{}}}}]}}"#));
    peer.session.handle_disconnected(ovsdb::session::Disconnect::Closed);
    assert_eq!(
        peer.events(),
        [format!("update V3 {{\"T\":{{}}}} {next}"), "disconnected: connection closed by server".into()]
    );
    peer.connect(4);
    assert_eq!(peer.sent(), monitor(6, "monitor_cond_since", &format!(r#"{{"T":[{{"columns":["a"]}}]}},"{next}""#)));
    peer.receive(&format!(r#"{{"id":6,"result":[true,"{TXN}",{{}}],"error":null}}"#));
    assert_eq!(peer.events(), [format!("initial V3 found=true {{}} {TXN}")]);
    assert_eq!(peer.session.last_txn_id().unwrap().to_string(), TXN);
}

#[test]
fn another_schema_starts_from_nothing() {
    let mut peer = Peer::new();
    peer.connect_and_load();
    peer.session.handle_connected(peer.now);
    peer.sent();
    peer.events();
    peer.receive(&format!(r#"{{"id":5,"result":{},"error":null}}"#, SCHEMA.replace("1.0.0", "1.1.0")));
    assert_eq!(peer.events(), ["connected 1.1.0 lacking 0"]);
    assert!(peer.sent().ends_with(&format!(",\"{NIL}\"]}}")));
}

#[test]
fn conditions_go_one_at_a_time() {
    let change = |id: u64, rows: &str| {
        format!(
            r#"{{"id":{id},"method":"monitor_cond_change","params":[["monid","D"],["monid","D"],{{"T":[{{"where":{rows}}}]}}]}}"#
        )
    };
    let mut peer = Peer::new();
    peer.session.set_conditions(1, only(1));
    peer.connect_and_load();
    peer.session.set_conditions(2, only(2));
    assert_eq!(peer.sent(), change(4, r#"[["a","==",2]]"#));
    peer.session.set_conditions(3, only(3));
    peer.session.set_conditions(4, Conditions::default());
    assert_eq!(peer.sent(), "");
    peer.receive(r#"{"id":4,"result":{},"error":null}"#);
    assert_eq!(peer.events(), ["conditions 2"]);
    assert_eq!(peer.sent(), change(5, "[true]"));
    peer.receive(r#"{"id":5,"result":{},"error":null}"#);
    assert_eq!((peer.events(), peer.sent().as_str()), (vec!["conditions 4".to_owned()], ""));
}

#[test]
fn conditions_set_while_away_follow_the_continuation() {
    let mut peer = Peer::with(only(1));
    peer.connect_and_load();
    peer.session.handle_disconnected(ovsdb::session::Disconnect::Closed);
    peer.session.set_conditions(9, only(2));
    peer.events();
    peer.connect(4);
    let old = r#"{"T":[{"columns":["a"],"where":[["a","==",1]]}]}"#;
    assert_eq!(peer.sent(), monitor(6, "monitor_cond_since", &format!("{old},\"{TXN}\"")));
    peer.receive(&format!(r#"{{"id":6,"result":[true,"{TXN}",{{}}],"error":null}}"#));
    assert!(peer.sent().contains(r#""monitor_cond_change""#));
    peer.receive(r#"{"id":7,"result":{},"error":null}"#);
    assert_eq!(peer.events(), [format!("initial V3 found=true {{}} {TXN}"), "conditions 9".to_owned()]);
}

#[test]
fn conditions_under_way_at_a_loss_start_from_nothing() {
    let mut peer = Peer::with(only(1));
    peer.connect_and_load();
    peer.session.set_conditions(5, only(2));
    peer.session.handle_disconnected(ovsdb::session::Disconnect::Closed);
    peer.sent();
    peer.events();
    peer.connect(5);
    let new = r#"{"T":[{"columns":["a"],"where":[["a","==",2]]}]}"#;
    assert_eq!(peer.sent(), monitor(7, "monitor_cond_since", &format!("{new},\"{NIL}\"")));
    peer.receive(&format!(r#"{{"id":7,"result":[false,"{TXN}",{{}}],"error":null}}"#));
    assert_eq!(peer.events(), [format!("initial V3 found=false {{}} {TXN}"), "conditions 5".to_owned()]);
}

#[test]
fn after_a_refusal_all_conditions_are_sent_again() {
    let mut peer = Peer::with(only(1));
    peer.connect_and_load();
    peer.session.set_conditions(1, only(2));
    peer.sent();
    peer.receive(r#"{"id":4,"error":{"error":"syntax error"}}"#);
    assert_eq!(peer.events(), ["error: D: monitor conditions (sequence 1) refused: syntax error"]);
    assert_eq!(peer.sent(), "", "not tried again by itself");
    peer.session.set_conditions(2, only(1));
    assert!(peer.sent().ends_with(r#"{"T":[{"where":[["a","==",1]]}]}]}"#));
    peer.receive(r#"{"id":5,"result":{},"error":null}"#);
    assert_eq!(peer.events(), ["conditions 2"]);
}

#[test]
fn a_bad_condition_does_not_cost_the_data() {
    let mut peer = Peer::with(only(1));
    peer.connect(1);
    peer.sent();
    peer.receive(r#"{"id":3,"error":{"error":"syntax error"}}"#);
    assert_eq!(peer.events(), ["error: D: monitor conditions (sequence 0) refused: syntax error"]);
    assert_eq!(peer.sent(), monitor(4, "monitor_cond_since", &format!(r#"{{"T":[{{"columns":["a"]}}]}},"{NIL}""#)));
    peer.receive(r#"{"id":4,"error":{"error":"syntax error"}}"#);
    assert_eq!(peer.events(), ["disconnected: D: monitor_cond_since refused: syntax error"]);
}

#[test]
fn damaged_conversations_end_with_a_reason_and_never_in_a_panic() {
    let text = format!(
        concat!(
            r#"{{"id":1,"result":{{}},"error":null}}{{"id":2,"result":{},"error":null}}"#,
            r#"{{"id":3,"result":[false,"{}",{{"T":{{"x":{{"initial":{{"a":1,"b":"é\"}}"}}}}}}}}],"error":null}}"#,
            r#"{{"id":"e","method":"echo","params":[]}}{{"id":4,"result":[{{"count":1}}],"error":null}}"#,
            r#"{{"id":null,"method":"update3","params":[["monid","D"],"{}",{{}}]}}"#
        ),
        SCHEMA, TXN, TXN
    );
    let mut random = 1_u64;
    let mut next = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let mut ended = 0;
    for _ in 0..5000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = next(256) as u8,
                1 => drop(bytes.drain(at..(at + next(20)).min(bytes.len() - 1).max(at))),
                2 => bytes.insert(at, b"\"{}[],:\\"[next(8)]),
                _ => bytes[at] = b"\"{}[],:\\"[next(8)],
            }
        }
        let mut peer = Peer::new();
        peer.session.handle_connected(peer.now);
        let size = 1 + next(200);
        for piece in bytes.chunks(size) {
            peer.session.handle_bytes(peer.now, piece);
            peer.session.transact(TransactionId(1), transaction());
            peer.sent();
        }
        let ends = peer.events().iter().filter(|event| event.starts_with("disconnected: ")).count();
        assert_eq!(ends, usize::from(!peer.session.is_connected()));
        ended += ends;
    }
    assert!(ended > 1000, "{ended}");
}

#[test]
fn transactions_in_turn_and_lost_ones() {
    let mut peer = Peer::new();
    peer.session.transact(TransactionId(1), transaction());
    assert_eq!(peer.events(), ["transaction 1 lost, sent=false"]);
    peer.connect_and_load();
    for id in 2..=4 {
        peer.session.transact(TransactionId(id), transaction());
    }
    assert_eq!(peer.sent(), r#"{"id":4,"method":"transact","params":["D",{"op":"insert","table":"T","row":{"a":1}}]}"#);
    peer.receive(&format!(r#"{{"id":4,"result":[{{"uuid":["uuid","{TXN}"]}}],"error":null}}"#));
    assert!(peer.sent().starts_with(r#"{"id":5,"method":"transact""#));
    peer.session.handle_disconnected(ovsdb::session::Disconnect::Io("broken pipe".to_owned()));
    assert_eq!(
        peer.events(),
        [
            "transaction 2 committed 1",
            "transaction 3 lost, sent=true",
            "transaction 4 lost, sent=false",
            "disconnected: broken pipe"
        ]
    );
}

#[test]
fn several_transactions_outstanding() {
    let config = SessionConfig { max_outstanding: 2, watch_server: false, ..SessionConfig::new("D") };
    let mut peer = Peer { session: Session::new(config), now: Time(0) };
    peer.connect(1);
    for id in 1..=3 {
        peer.session.transact(TransactionId(id), transaction());
    }
    assert_eq!(peer.sent().matches("transact").count(), 2);
    peer.receive(r#"{"id":4,"error":{"error":"not allowed","details":"read only"}}"#);
    assert_eq!(peer.events(), ["transaction 2 failed: not allowed: read only"]);
    assert_eq!(peer.sent().matches("transact").count(), 1);
}

#[test]
fn probes_both_ways() {
    let mut peer = Peer::new();
    peer.connect_and_load();
    peer.receive(r#"{"id":"echo","method":"echo","params":["x", {"y":[]}]}{"id":[1],"method":"echo","params":[]}"#);
    assert_eq!(
        peer.sent(),
        r#"{"id":"echo","result":["x", {"y":[]}],"error":null}{"id":[1],"result":[],"error":null}"#
    );
    assert_eq!(peer.session.poll_timeout(), Some(Time(6000)));
    peer.session.handle_timeout(Time(5999));
    assert_eq!(peer.sent(), "");
    peer.session.handle_timeout(Time(6000));
    assert_eq!(peer.sent(), r#"{"id":4,"method":"echo","params":[]}"#);
    peer.now = Time(7000);
    // Any byte is a sign of life, as of a long message under way.
    peer.receive(r#"{"id":4,"#);
    assert_eq!(peer.session.poll_timeout(), Some(Time(12000)));
    peer.receive(r#""result":[],"error":null}"#);
    peer.session.handle_timeout(Time(12000));
    assert_eq!(peer.session.poll_timeout(), Some(Time(17000)));
    peer.session.handle_timeout(Time(17000));
    assert_eq!(peer.events(), ["disconnected: no response to inactivity probe after 5 seconds, disconnecting"]);
    assert_eq!((peer.session.poll_timeout(), peer.session.is_connected()), (None, false));

    peer.session.set_probe_interval(Duration::ZERO);
    peer.connect(6);
    assert_eq!(peer.session.poll_timeout(), None);
}

#[test]
fn a_canceled_monitor_is_asked_for_again() {
    let mut peer = Peer::new();
    peer.connect_and_load();
    peer.session.set_conditions(1, only(1));
    peer.sent();
    peer.receive(r#"{"id":null,"method":"monitor_canceled","params":[["monid","D"]]}"#);
    assert_eq!(peer.sent(), r#"{"id":5,"method":"get_schema","params":["D"]}"#);
    peer.receive(r#"{"id":4,"error":{"error":"syntax error","details":"unknown monitor session"}}"#);
    peer.receive(&format!(r#"{{"id":5,"result":{SCHEMA},"error":null}}"#));
    assert_eq!(peer.events(), ["connected 1.0.0 lacking 0"]);
    assert!(peer.sent().starts_with(r#"{"id":6,"method":"monitor_cond_since""#));
}

#[test]
fn refusals_and_nonsense_end_the_connection_with_a_reason() {
    for (text, expected) in [
        ("garbage", "byte 0 of the stream: expected a JSON object, found 'g'"),
        (
            r#"{"id":2,"error":{"error":"unknown database","details":"no D"}}"#,
            "D: get_schema refused: unknown database: no D",
        ),
        (
            r#"{"id":2,"result":{"name":"D"},"error":null}"#,
            "database schema: missing field `tables` at line 1 column 12",
        ),
        (r#"{"id":2}"#, "message at byte 0 of the stream: neither \"method\" nor \"result\" nor \"error\""),
    ] {
        let mut peer = Peer::new();
        peer.session.handle_connected(peer.now);
        peer.receive(text);
        peer.receive("{}");
        assert_eq!(peer.events(), [format!("disconnected: {expected}")], "{text}");
        assert!(!peer.session.is_connected() && peer.sent().is_empty());
    }
    for (text, expected) in [
        (r#"[false,"x",{}]"#.to_owned(), "transaction id \"x\" is no uuid"),
        (format!(r#"[0,"{NIL}",{{}}]"#), "\"found\" of a monitor reply is 0"),
        (format!(r#"[true,"{NIL}",{{}}]"#), "the server continues from a transaction that we did not name"),
        ("[]".to_owned(), "the reply to monitor_cond_since has not three elements"),
        ("{}".to_owned(), "the reply to monitor_cond_since has not three elements"),
    ] {
        let mut peer = Peer::new();
        peer.connect(1);
        peer.receive(&format!(r#"{{"id":3,"result":{text},"error":null}}"#));
        let events = peer.events();
        assert_eq!(events.len(), 1, "{text}");
        assert!(events[0].ends_with(expected), "{events:?}");
    }
}

#[test]
fn what_nobody_asked_for_is_reported_and_passed_over() {
    let mut peer = Peer::new();
    peer.connect_and_load();
    for (text, expected) in [
        (r#"{"id":99,"result":1,"error":null}"#, "error: D: unexpected reply to request 99"),
        (r#"{"id":null,"method":"locked","params":["l"]}"#, "error: D: unexpected notification locked"),
        (
            r#"{"id":null,"method":"update2","params":[["monid","D"],{}]}"#,
            "error: D: unexpected update (V2) of monitor [\"monid\",\"D\"]",
        ),
        (
            r#"{"id":null,"method":"monitor_canceled","params":["other"]}"#,
            "error: D: unexpected monitor_canceled [\"other\"]",
        ),
        (r#"{"id":5,"method":"steal","params":[]}"#, "error: D: unexpected request steal"),
    ] {
        peer.receive(text);
        assert_eq!(peer.events(), [expected], "{text}");
    }
    assert_eq!(peer.sent(), r#"{"id":5,"result":null,"error":"unknown method"}"#);
}

#[test]
fn every_cut_of_a_conversation_gives_the_same_events() {
    let text = format!(
        concat!(
            r#"{{"id":1,"result":{{}},"error":null}}{{"id":2,"result":{},"error":null}}"#,
            r#"{{"id":3,"result":[false,"{}",{{"T":{{"x":{{"initial":{{"a":1,"b":"é\"}}"}}}}}}}}],"error":null}}"#,
            r#"{{"id":null,"method":"update3","params":[["monid","D"],"{}",{{}}]}}"#
        ),
        SCHEMA, TXN, TXN
    );
    let run = |cut: usize| {
        let mut peer = Peer::new();
        peer.session.handle_connected(peer.now);
        peer.session.handle_bytes(peer.now, &text.as_bytes()[..cut]);
        peer.session.handle_bytes(peer.now, &text.as_bytes()[cut..]);
        (peer.events(), peer.sent())
    };
    let expected = run(0);
    assert_eq!(expected.0.len(), 3, "{:?}", expected.0);
    for cut in 1..text.len() {
        assert_eq!(run(cut), expected, "cut at {cut}");
    }
}

#[test]
fn versions_name_their_notation() {
    use ovsdb::tables::decode::UpdateFormat;
    assert_eq!(UpdateVersion::V1.format(), UpdateFormat::V1);
    assert_eq!(UpdateVersion::V3.format(), UpdateFormat::V2);
}

const SERVER: &str = r#"["_Server",["monid","_Server"],{"Database":[{"columns":["connected","index","model"],"where":[["name","==","D"]]}]}]"#;

/// A connection to a member of a cluster, up to its answer about itself.
fn member(peer: &mut Peer, first: u64, connected: bool, index: u64) {
    peer.session.handle_connected(peer.now);
    let sent = peer.sent();
    let (server, schema) = (first + 1, first + 2);
    assert_eq!(
        sent,
        format!(
            r#"{{"id":{first},"method":"set_db_change_aware","params":[true]}}{{"id":{server},"method":"monitor_cond","params":{SERVER}}}{{"id":{schema},"method":"get_schema","params":["D"]}}"#
        )
    );
    let row = format!(r#"{{"model":"clustered","connected":{connected},"index":{index}}}"#);
    peer.receive(&format!(r#"{{"id":{server},"result":{{"Database":{{"x":{{"initial":{row}}}}}}},"error":null}}"#));
    peer.receive(&format!(r#"{{"id":{schema},"result":{SCHEMA},"error":null}}"#));
}

#[test]
fn a_server_without_its_cluster_or_behind_is_not_listened_to() {
    let mut peer = Peer::new();
    peer.session = Session::new(SessionConfig {
        monitor: MonitorRequest { tables: vec![MonitorTable { name: "T", columns: vec!["a"] }] },
        ..SessionConfig::new("D")
    });
    member(&mut peer, 1, false, 9);
    let alone = "disconnected: clustered database server is disconnected from cluster; trying another server";
    assert_eq!(peer.events(), [alone]);
    member(&mut peer, 4, true, 9);
    assert_eq!(peer.events(), ["connected 1.0.0 lacking 0"]);
    peer.receive(&format!(r#"{{"id":7,"result":[false,"{TXN}",{{}}],"error":null}}"#));
    peer.events();
    let about = |columns: &str| {
        format!(
            r#"{{"id":null,"method":"update2","params":[["monid", "_Server"],{{"Database":{{"x":{{"modify":{{{columns}}}}}}}}}]}}"#
        )
    };
    peer.receive(&about(r#""index":12"#));
    assert!(peer.events().is_empty());
    peer.receive(&about(r#""connected":false"#));
    assert_eq!(peer.events(), [alone]);
    // One that has not caught up: nothing is asked of it, nothing of it is delivered.
    peer.sent();
    member(&mut peer, 8, true, 11);
    assert_eq!(peer.sent(), "");
    let stale = "disconnected: clustered database server has stale data; trying another server";
    assert_eq!(peer.events(), [stale]);
    member(&mut peer, 11, true, 12);
    assert_eq!(peer.events(), ["connected 1.0.0 lacking 0"]);
    assert!(peer.sent().contains(&format!("\"{TXN}\"")), "it continues");
    // The cluster was made anew.
    peer.session.handle_disconnected(ovsdb::session::Disconnect::Closed);
    peer.session.forget_index();
    peer.events();
    member(&mut peer, 15, true, 2);
    assert_eq!(peer.events(), ["connected 1.0.0 lacking 0"]);
}

#[test]
fn a_server_that_knows_nothing_of_itself_is_taken_as_it_is() {
    let mut peer = Peer::new();
    peer.session = Session::new(SessionConfig::new("D"));
    peer.session.handle_connected(peer.now);
    peer.receive(r#"{"id":2,"error":"unknown database","result":null}"#);
    peer.receive(&format!(r#"{{"id":3,"result":{SCHEMA},"error":null}}"#));
    assert_eq!(peer.events(), ["connected 1.0.0 lacking 0"]);
}
