//! Against a real `ovsdb-server`, over a socket in a scratch folder.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

#[path = "live/cluster.rs"]
mod cluster;
#[path = "live/tls.rs"]
mod tls;

use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use ovsdb::condition::{Clause, Conditions, MonitorRequest, MonitorTable, Rows};
use ovsdb::datum::Datum;
use ovsdb::reconnect::Reconnect;
use ovsdb::remote::Remote;
use ovsdb::rpc::Payload;
use ovsdb::session::{Disconnect, Event, Session, SessionConfig, TransactionId, UpdateVersion};
use ovsdb::transaction::{ErrorKind, Outcome, Transaction};
use ovsdb::transport::{Command, run};
use ovsdb::value::Uuid;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SCHEMA: &str = "/usr/share/ovn/ovn-sb.ovsschema";
const DEADLINE: Duration = Duration::from_secs(30);

/// A server with its database in a scratch folder; killed with the value.
struct Server {
    folder: tempfile::TempDir,
    child: Option<Child>,
    /// More of them, from the next start on.
    arguments: Vec<String>,
}

impl Server {
    /// A standalone Southbound database, or a cluster of one member.
    fn create(clustered: bool) -> Server {
        assert!(Path::new(SCHEMA).exists(), "{SCHEMA} is missing: apt-get install ovn-common");
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sb.db");
        let mut tool = Process::new("ovsdb-tool");
        match clustered {
            true => tool
                .args(["create-cluster"])
                .arg(&database)
                .arg(SCHEMA)
                .arg(format!("unix:{}", folder.path().join("raft").display())),
            false => tool.arg("create").arg(&database).arg(SCHEMA),
        };
        let output =
            tool.output().unwrap_or_else(|error| panic!("ovsdb-tool: {error}: apt-get install openvswitch-common"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut server = Server { folder, child: None, arguments: Vec::new() };
        server.start();
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("sb.sock")
    }

    fn remote(&self) -> Remote {
        Remote::Unix(self.socket())
    }

    fn start(&mut self) {
        let folder = self.folder.path();
        let child = Process::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", self.socket().display()))
            .arg(format!("--unixctl={}", folder.join("ctl").display()))
            .arg("-vconsole:off")
            .args(&self.arguments)
            .arg(folder.join("sb.db"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("ovsdb-server: {error}: apt-get install openvswitch-switch"));
        self.child = Some(child);
        self.await_sockets();
    }

    /// With what has changed in its arguments.
    fn restart(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.folder.path().join("ctl"));
        self.start();
    }

    /// Has the server listen on a free port of `address` as well, by `tcp` or `ssl`.
    fn listen(&self, method: &str, address: &str) -> Remote {
        let free = std::net::TcpListener::bind(format!("{address}:0")).unwrap().local_addr().unwrap().port();
        let output = Process::new("ovs-appctl")
            .arg("-t")
            .arg(self.folder.path().join("ctl"))
            .args(["ovsdb-server/add-remote", &format!("p{method}:{free}:{address}")])
            .output()
            .unwrap_or_else(|error| panic!("ovs-appctl: {error}: apt-get install openvswitch-common"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // It answers before it listens.
        let deadline = std::time::Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(format!("{address}:{free}")).is_err() {
            assert!(std::time::Instant::now() < deadline, "ovsdb-server does not listen on port {free}");
        }
        format!("{method}:{address}:{free}").parse().unwrap()
    }

    /// Waits until the server has made its sockets.
    fn await_sockets(&self) {
        let deadline = std::time::Instant::now() + DEADLINE;
        while !(self.socket().exists() && self.folder.path().join("ctl").exists()) {
            assert!(std::time::Instant::now() < deadline, "ovsdb-server does not start");
            std::thread::yield_now();
        }
    }

    /// As `kill -9`.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The user of a session that `run` drives.
struct Client {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    transactions: u64,
}

fn config(conditions: Conditions) -> SessionConfig {
    let monitor = MonitorRequest {
        tables: vec![
            MonitorTable { name: "SB_Global", columns: vec!["nb_cfg", "options", "no_such_column"] },
            MonitorTable { name: "Address_Set", columns: vec!["name", "addresses"] },
            MonitorTable { name: "No_Such_Table", columns: vec!["x"] },
        ],
    };
    SessionConfig { monitor, conditions, ..SessionConfig::new("OVN_Southbound") }
}

impl Client {
    fn start(remotes: Vec<Remote>, config: SessionConfig) -> Client {
        let (commands, command_receiver) = mpsc::channel(16);
        let (event_sender, events) = mpsc::channel(16);
        tokio::spawn(run(Session::new(config), Reconnect::new(remotes, 1), command_receiver, event_sender));
        Client { commands, events, transactions: 0 }
    }

    async fn event(&mut self) -> Event {
        timeout(DEADLINE, self.events.recv()).await.expect("an event in time").expect("the driver runs")
    }

    async fn send(&self, command: Command) {
        self.commands.send(command).await.unwrap();
    }

    /// Passes over what concerns the socket.
    async fn session_event(&mut self) -> Event {
        loop {
            match self.event().await {
                Event::Unreachable { .. } | Event::SocketConnected { .. } => {}
                event => return event,
            }
        }
    }

    async fn initial_data(&mut self) -> (Payload, UpdateVersion, bool, Option<Uuid>) {
        match self.session_event().await {
            Event::Connected { schema, lacking } => {
                assert!(schema.column("Chassis", "encaps").unwrap().kind.max.is_none());
                assert_eq!(lacking.len(), 2);
            }
            other => panic!("{other:?}"),
        }
        match self.session_event().await {
            Event::InitialData { payload, version, found, last_txn_id } => (payload, version, found, last_txn_id),
            other => panic!("{other:?}"),
        }
    }

    async fn transact(&mut self, transaction: Transaction) -> (Vec<Payload>, Outcome) {
        self.transactions += 1;
        let wanted = TransactionId(self.transactions);
        self.send(Command::Transact { id: wanted, transaction }).await;
        let mut updates = Vec::new();
        loop {
            match self.session_event().await {
                Event::Update { payload, .. } => updates.push(payload),
                Event::TransactionReply { id, outcome } => {
                    assert_eq!(id, wanted);
                    return (updates, outcome);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn address_set(name: &str, addresses: &[&str]) -> Transaction {
    let mut transaction = Transaction::new();
    let addresses: Datum = addresses.iter().copied().collect();
    transaction.insert("Address_Set", vec![("name", name.into()), ("addresses", addresses)]).comment("test");
    transaction
}

#[tokio::test]
async fn monitor_transact_and_see_the_update() {
    let server = Server::create(false);
    let mut client = Client::start(vec![server.remote()], config(Conditions::default()));
    let (payload, version, found, last) = client.initial_data().await;
    assert_eq!((payload.as_str(), version, found, last), ("{}", UpdateVersion::V3, false, None));

    let (updates, outcome) = client.transact(address_set("as\"1", &["10.0.0.1", "10.0.0.2"])).await;
    let Outcome::Committed(results) = outcome else { panic!("{outcome:?}") };
    let row = results[0].uuid.unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(
        updates[0].as_str(),
        format!(
            r#"{{"Address_Set":{{"{row}":{{"insert":{{"addresses":["set",["10.0.0.1","10.0.0.2"]],"name":"as\"1"}}}}}}}}"#
        )
    );

    let mut transaction = Transaction::new();
    transaction.verify("Address_Set", row, vec![("name", "as\"1".into())]).update(
        "Address_Set",
        row,
        vec![("addresses", Datum::EMPTY)],
    );
    let (updates, outcome) = client.transact(transaction).await;
    assert!(outcome.is_committed(), "{outcome:?}");
    assert_eq!(
        updates[0].as_str(),
        format!(r#"{{"Address_Set":{{"{row}":{{"modify":{{"addresses":["set",["10.0.0.1","10.0.0.2"]]}}}}}}}}"#)
    );

    let mut transaction = Transaction::new();
    transaction.verify("Address_Set", row, vec![("name", "another".into())]).delete("Address_Set", row);
    let (updates, outcome) = client.transact(transaction).await;
    assert!(updates.is_empty());
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind, error.operation), (ErrorKind::TimedOut, Some(0)));

    let (_, outcome) = client.transact(address_set("as\"1", &[])).await;
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind, error.operation), (ErrorKind::ConstraintViolation, None));

    let mut transaction = Transaction::new();
    transaction.delete("Address_Set", row);
    let (updates, outcome) = client.transact(transaction).await;
    let Outcome::Committed(results) = outcome else { panic!("{outcome:?}") };
    assert_eq!(results[0].count, 1);
    assert_eq!(updates[0].as_str(), format!(r#"{{"Address_Set":{{"{row}":{{"delete":null}}}}}}"#));
}

#[tokio::test]
async fn conditions_change_what_is_delivered() {
    let server = Server::create(false);
    let mut conditions = Conditions::default();
    conditions.set("Address_Set", Rows::NONE);
    conditions.set("Port_Group", Rows::NONE);
    let mut client = Client::start(vec![server.remote()], config(conditions.clone()));
    client.initial_data().await;
    let (updates, _) = client.transact(address_set("a", &[])).await;
    assert!(updates.is_empty(), "{updates:?}");
    client.transact(address_set("b", &[])).await;

    conditions.set("Address_Set", Rows::Any(vec![Clause::equal("name", "b")]));
    client.send(Command::SetConditions { sequence: 1, conditions: conditions.clone() }).await;
    let Event::Update { payload, .. } = client.session_event().await else { panic!("no update") };
    assert!(payload.as_str().contains(r#""insert":{"name":"b"}"#), "{payload:?}");
    assert_eq!(client.session_event().await, Event::ConditionsAcked { sequence: 1 });

    client.send(Command::SetConditions { sequence: 2, conditions: conditions.clone() }).await;
    assert_eq!(client.session_event().await, Event::ConditionsAcked { sequence: 2 });

    conditions.set("Address_Set", Rows::Any(vec![Clause::equal("addresses", 7)]));
    client.send(Command::SetConditions { sequence: 3, conditions: conditions.clone() }).await;
    let Event::Error(error) = client.session_event().await else { panic!("no error") };
    assert!(error.to_string().starts_with("OVN_Southbound: monitor conditions (sequence 3) refused: "), "{error}");

    conditions.set("Address_Set", Rows::All);
    client.send(Command::SetConditions { sequence: 4, conditions }).await;
    let Event::Update { payload, .. } = client.session_event().await else { panic!("no update") };
    assert!(payload.as_str().contains(r#""insert":{"name":"a"}"#), "{payload:?}");
    assert_eq!(client.session_event().await, Event::ConditionsAcked { sequence: 4 });
}

#[tokio::test]
async fn a_killed_server_is_found_again() {
    let mut server = Server::create(false);
    let mut client = Client::start(vec![server.remote()], config(Conditions::default()));
    client.initial_data().await;
    let (_, outcome) = client.transact(address_set("a", &[])).await;
    assert!(outcome.is_committed());
    server.kill();
    assert!(matches!(
        client.session_event().await,
        Event::Disconnected { why: Disconnect::Closed | Disconnect::Io(_) }
    ));
    let Event::Unreachable { remote, error, .. } = client.event().await else { panic!("reachable") };
    assert_eq!(remote, server.remote().to_string());
    assert!(error.starts_with(&format!("{remote}: connection attempt failed (Connection refused")), "{error}");
    let (_, outcome) = client.transact(address_set("b", &[])).await;
    assert_eq!(outcome, Outcome::Lost { sent: false });
    server.start();
    // A standalone server keeps no history: everything comes again.
    let (payload, _, found, _) = client.initial_data().await;
    assert!(!found);
    assert!(payload.as_str().contains(r#""initial":{"name":"a"}"#), "{payload:?}");
}

#[tokio::test]
async fn a_cluster_member_continues_from_the_last_transaction() {
    let mut server = Server::create(true);
    let mut client = Client::start(vec![server.remote()], config(Conditions::default()));
    let (_, _, found, last) = client.initial_data().await;
    assert!(!found && last.is_some());
    client.transact(address_set("a", &[])).await;
    client.send(Command::Reconnect { from_scratch: false }).await;
    assert_eq!(client.session_event().await, Event::Disconnected { why: Disconnect::Requested });
    let (payload, version, found, _) = client.initial_data().await;
    assert_eq!((payload.as_str(), version, found), ("{}", UpdateVersion::V3, true));

    server.kill();
    assert!(matches!(client.session_event().await, Event::Disconnected { .. }));
    server.start();
    let (payload, _, found, _) = client.initial_data().await;
    assert_eq!((payload.as_str(), found), ("{}", true));

    client.send(Command::Reconnect { from_scratch: true }).await;
    assert!(matches!(client.session_event().await, Event::Disconnected { .. }));
    let (payload, _, found, _) = client.initial_data().await;
    assert!(!found && payload.as_str().contains(r#""initial":{"name":"a"}"#), "{payload:?}");
}

#[tokio::test]
async fn an_unreachable_remote_is_named_and_the_next_tried() {
    let server = Server::create(false);
    let ssl: Remote = "ssl:127.0.0.1:1".parse().unwrap();
    let missing: Remote = format!("unix:{}/missing", server.folder.path().display()).parse().unwrap();
    let mut client = Client::start(vec![ssl.clone(), missing.clone()], config(Conditions::default()));
    let mut errors = Vec::new();
    while errors.len() < 3 {
        match client.event().await {
            Event::Unreachable { error, .. } => errors.push(error),
            other => panic!("{other:?}"),
        }
    }
    errors.sort();
    assert!(errors.contains(&format!("{ssl}: connection attempt failed (Connection refused (os error 111))")));
    assert!(
        errors.contains(&format!("{missing}: connection attempt failed (No such file or directory (os error 2))")),
        "{errors:?}"
    );
    client.send(Command::SetRemotes(vec![ssl, server.remote()])).await;
    client.initial_data().await;
    // The connection stays while its remote is among the new ones, and goes with it.
    client.send(Command::SetRemotes(vec![server.remote(), missing.clone()])).await;
    let (_, outcome) = client.transact(address_set("a", &[])).await;
    assert!(outcome.is_committed());
    client.send(Command::SetRemotes(vec![missing])).await;
    assert_eq!(client.session_event().await, Event::Disconnected { why: Disconnect::Requested });
}

#[tokio::test]
async fn replicas_of_real_databases() {
    use ovsdb::tables::decode::{Strings, decode};
    use ovsdb::{Database, Southbound};

    let server = Server::create(false);
    let mut client = Client::start(vec![server.remote()], SessionConfig::replicating::<Southbound>());
    let Event::Connected { lacking, .. } = client.session_event().await else { panic!("not connected") };
    // OVN 23.03 lacks what came later; nothing but that may be missing.
    for lack in &lacking {
        assert!(lack.to_string().ends_with("(database needs upgrade?)"), "{lack}");
    }
    let Event::InitialData { payload, version, .. } = client.session_event().await else { panic!("no data") };
    let (mut replica, mut strings) = (Southbound::default(), Strings::default());
    replica.replace(decode::<Southbound>(payload.as_str(), version.format(), &mut strings).unwrap());
    let (updates, outcome) = client.transact(address_set("a", &["10.0.0.2", "10.0.0.1"])).await;
    let Outcome::Committed(results) = outcome else { panic!("{outcome:?}") };
    let changes = replica.apply(decode::<Southbound>(updates[0].as_str(), version.format(), &mut strings).unwrap());
    assert_eq!(changes.len(), 1);
    let row = replica.address_set.by_uuid(&results[0].uuid.unwrap()).unwrap();
    assert_eq!(replica.address_set.row(row).unwrap().addresses.len(), 2);
}

#[tokio::test]
async fn large_transactions_and_replies_over_tcp() {
    for address in ["127.0.0.1", "[::1]"] {
        let server = Server::create(false);
        let remote = server.listen("tcp", address);
        let mut client = Client::start(vec![remote.clone()], config(Conditions::default()));
        client.initial_data().await;
        let mut transaction = Transaction::new();
        let addresses: Vec<String> = (0..50).map(|index| format!("10.0.0.{index}")).collect();
        for index in 0..5000 {
            let addresses: Datum = addresses.iter().map(String::as_str).collect();
            transaction.insert("Address_Set", vec![("name", format!("set{index}").into()), ("addresses", addresses)]);
        }
        let (updates, outcome) = client.transact(transaction).await;
        assert!(matches!(outcome, Outcome::Committed(results) if results.len() == 5000));
        assert!(updates[0].as_str().len() > 3_000_000);
        client.send(Command::Reconnect { from_scratch: true }).await;
        assert!(matches!(client.session_event().await, Event::Disconnected { .. }));
        let (payload, ..) = client.initial_data().await;
        assert!(payload.as_str().len() > 3_000_000);
        let value: serde_json::Value = serde_json::from_str(payload.as_str()).unwrap();
        assert_eq!(value["Address_Set"].as_object().unwrap().len(), 5000);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let config = SessionConfig { probe_interval: Duration::from_millis(20), ..SessionConfig::new("D") };
    let mut client = Client::start(vec![Remote::Unix(path)], config);
    let (_held, _) = listener.accept().await.unwrap();
    let Event::Disconnected { why } = client.session_event().await else { panic!("no end") };
    assert_eq!(why, Disconnect::Silent(Duration::from_millis(20)));
}

#[tokio::test]
async fn a_slow_user_stops_the_reading() {
    use tokio::io::AsyncWriteExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flood.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let config = SessionConfig { probe_interval: Duration::from_millis(50), ..SessionConfig::new("D") };
    let mut client = Client::start(vec![Remote::Unix(path)], config);
    let (mut socket, _) = listener.accept().await.unwrap();
    let flood = r#"{"id":null,"method":"locked","params":[]}"#.repeat(1000);
    // The write stalls once the driver stops reading and the socket's buffers are full.
    let mut written = 0;
    while let Ok(result) = timeout(Duration::from_millis(500), socket.write_all(flood.as_bytes())).await {
        result.unwrap();
        written += 1000;
        assert!(written < 1_000_000, "the driver reads without bound");
    }
    // Nothing is lost, and the silence was not held against the server.
    for _ in 0..written {
        match client.session_event().await {
            Event::Error(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_database_is_named() {
    let server = Server::create(false);
    let mut client = Client::start(vec![server.remote()], SessionConfig::new("No_Such"));
    let Event::Disconnected { why } = client.session_event().await else { panic!("connected") };
    assert!(why.to_string().starts_with("No_Such: get_schema refused: unknown database: "), "{why}");
}
