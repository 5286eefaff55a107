//! The replica against a real `ovsdb-server` under random transactions: each of the three monitor protocols must lead to the contents that the
//! server dumps, with scalars, optional values, sets, maps and weak references that the server clears by itself.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ovsdb::condition::MonitorRequest;
use ovsdb::file;
use ovsdb::frame::Framer;
use ovsdb::schema::Schema;
use ovsdb::tables::decode::{Strings, UpdateFormat, decode};
use ovsdb::tables::southbound::{Southbound, Updates};
use ovsdb::tables::{Database, Row, Table, TableVisitor};
use serde::Deserialize;
use serde_json::value::RawValue;

const SCHEMA: &str = "/usr/share/ovn/ovn-sb.ovsschema";
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn every_monitor_protocol_follows_the_server() {
    let server = Server::start();
    let mut random = Random(0x5eed);
    for _ in 0..60 {
        server.transact(&random.transaction());
    }
    let mut monitors = ["monitor", "monitor_cond", "monitor_cond_since"].map(|method| Monitor::start(&server, method));
    let rows = monitors[0].replica.port_binding.len();
    assert!(rows > 1, "{rows} rows are too few to test anything");
    let mut seen = String::new();
    for _ in 0..10 {
        for _ in 0..30 {
            server.transact(&random.transaction());
        }
        let dump = server.dump();
        for monitor in &mut monitors {
            monitor.follow(&dump);
        }
        seen.push_str(&dump);
    }
    for part in ["tag: Some(8)", "up: Some(false)", " chassis: Some(", "parent_port: Some(\"b\")"] {
        assert!(seen.contains(part), "no row ever had {part}");
    }
    let non_empty = |part: &str| !part.starts_with('}');
    assert!(seen.split("additional_chassis: {").skip(1).any(non_empty), "no row ever had an additional chassis");
    // A fetch from the beginning finds nothing to change.
    for monitor in &mut monitors {
        let fresh = Monitor::start(&server, monitor.method);
        assert_eq!(monitor.replica.replace(fresh.initial), []);
    }
}

/// A connection that monitors everything, and what came of it.
struct Monitor {
    method: &'static str,
    stream: UnixStream,
    framer: Framer,
    replica: Southbound,
    initial: Updates,
}

#[derive(Deserialize)]
struct Message<'a> {
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

impl Monitor {
    fn start(server: &Server, method: &'static str) -> Monitor {
        let schema = Schema::parse(&std::fs::read_to_string(SCHEMA).unwrap()).unwrap();
        let (request, _) = MonitorRequest::everything::<Southbound>().intersect(&schema);
        let tables: Vec<_> = request
            .tables
            .iter()
            .map(|table| {
                format!("\"{}\":[{{\"columns\":{}}}]", table.name, serde_json::to_string(&table.columns).unwrap())
            })
            .collect();
        let since = if method == "monitor_cond_since" { ",\"00000000-0000-0000-0000-000000000000\"" } else { "" };
        let mut stream = server.connect();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!(
            "{{\"id\":1,\"method\":\"{method}\",\"params\":[\"OVN_Southbound\",null,{{{}}}{since}]}}",
            tables.join(",")
        );
        stream.write_all(request.as_bytes()).unwrap();
        let framer = Framer::new(1 << 30);
        let (replica, initial) = (Southbound::default(), Updates::default());
        let mut monitor = Monitor { method, stream, framer, replica, initial };
        let reply = monitor.message();
        let result = serde_json::from_str::<Message<'_>>(&reply).unwrap().result.unwrap().get();
        let (format, updates) = match method {
            "monitor" => (UpdateFormat::V1, result),
            "monitor_cond" => (UpdateFormat::V2, result),
            _ => (UpdateFormat::V2, serde_json::from_str::<(&RawValue, &RawValue, &RawValue)>(result).unwrap().2.get()),
        };
        monitor.initial = updates_of(updates, format);
        let changes = monitor.replica.apply(monitor.initial.clone());
        assert_eq!(changes.len(), ovsdb::tables::Updates::len(&monitor.initial));
        monitor
    }

    /// Applies updates until the replica has the contents of `dump`.
    fn follow(&mut self, dump: &str) {
        let mut applied = 0;
        while contents(&self.replica) != dump {
            let text = self.message();
            let message = serde_json::from_str::<Message<'_>>(&text).unwrap();
            let params = message.params.map_or("", RawValue::get);
            let (format, updates) = match message.method {
                Some("update") => (UpdateFormat::V1, serde_json::from_str::<(&RawValue, &RawValue)>(params).unwrap().1),
                Some("update2") => {
                    (UpdateFormat::V2, serde_json::from_str::<(&RawValue, &RawValue)>(params).unwrap().1)
                }
                Some("update3") => {
                    (UpdateFormat::V2, serde_json::from_str::<(&RawValue, &RawValue, &RawValue)>(params).unwrap().2)
                }
                _ => panic!("{text}"),
            };
            let changes = self.replica.apply(updates_of(updates.get(), format));
            assert!(!changes.is_empty(), "{}: nothing changed by {text}", self.method);
            applied += 1;
            assert!(
                applied <= 30,
                "{}: all updates applied and still\n{}\ninstead of\n{dump}",
                self.method,
                contents(&self.replica)
            );
        }
    }

    fn message(&mut self) -> String {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return frame.text;
            }
            let mut bytes = [0; 1 << 16];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the server closed the connection");
            self.framer.push(&bytes[..read]);
        }
    }
}

fn updates_of(text: &str, format: UpdateFormat) -> Updates {
    let updates = decode::<Southbound>(text, format, &mut Strings::unshared()).unwrap();
    assert_eq!(updates.rejected, []);
    updates
}

/// All rows in the order of tables and uuids.
fn contents(replica: &Southbound) -> String {
    struct Rows;
    impl TableVisitor for Rows {
        type Output = Vec<String>;
        fn visit<R: Row>(self, table: &Table<R>) -> Vec<String> {
            let mut rows: Vec<_> = table.iter().map(|(id, row)| format!("{} {row:?}\n", table.uuid(id))).collect();
            rows.sort();
            rows
        }
    }
    (0..Southbound::TABLES.len()).filter_map(|position| replica.visit_table(position, Rows)).flatten().collect()
}

// ===== random transactions =====

/// A linear congruential generator: the same transactions in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn transaction(&mut self) -> String {
        let operation = match self.below(10) {
            0 => self.chassis(),
            1 => format!(r#"{{"op":"delete","table":"Chassis","where":[["name","==","ch{}"]]}}"#, self.below(4)),
            2 => format!(
                r#"{{"op":"delete","table":"Port_Binding","where":[["logical_port","==","lp{}"]]}}"#,
                self.below(6)
            ),
            3 | 4 => self.insert(),
            5 | 6 => format!(
                r#"{{"op":"update","table":"Port_Binding","where":{},"row":{{{}}}}}"#,
                self.port(),
                self.columns()
            ),
            7 => format!(
                r#"{{"op":"mutate","table":"Port_Binding","where":{},"mutations":[["mac","{}",{}],["options","{}",{}]]}}"#,
                self.port(),
                ["insert", "delete"][self.below(2) as usize],
                self.set(),
                ["insert", "delete"][self.below(2) as usize],
                self.map()
            ),

            _ => format!(
                r#"{{"op":"mutate","table":"Port_Binding","where":{},"mutations":[["tunnel_key","+=",10]]}}"#,
                self.port()
            ),
        };
        format!("[\"OVN_Southbound\",{operation}]")
    }

    /// A chassis with its encap, and ports that refer to it.
    fn chassis(&mut self) -> String {
        let n = self.below(4);
        let mut text = format!(
            r#"{{"op":"insert","table":"Encap","uuid-name":"e","row":{{"type":"geneve","ip":"1.1.1.{n}","chassis_name":"ch{n}"}}}},
               {{"op":"insert","table":"Chassis","uuid-name":"c","row":{{"name":"ch{n}","encaps":["named-uuid","e"]}}}}"#
        );
        for _ in 0..2 {
            write!(
                text,
                r#",{{"op":"update","table":"Port_Binding","where":{},"row":{{"chassis":["named-uuid","c"]}}}}"#,
                self.port()
            )
            .unwrap();
            write!(
                text,
                r#",{{"op":"mutate","table":"Port_Binding","where":{},"mutations":[["additional_chassis","insert",["named-uuid","c"]]]}}"#,
                self.port()
            )
            .unwrap();
        }
        text
    }

    fn insert(&mut self) -> String {
        let (port, key) = (self.below(6), self.below(30000) + 1);
        format!(
            r#"{{"op":"insert","table":"Datapath_Binding","uuid-name":"d","row":{{"tunnel_key":{key}}}}},
               {{"op":"insert","table":"Port_Binding","row":{{"logical_port":"lp{port}","datapath":["named-uuid","d"],"tunnel_key":1{port},{}}}}}"#,
            self.columns()
        )
    }

    /// Some ports.
    fn port(&mut self) -> String {
        format!(r#"[["logical_port","==","lp{}"]]"#, self.below(6))
    }

    fn columns(&mut self) -> String {
        let all = [
            ["\"tag\":7", "\"tag\":8", "\"tag\":[\"set\",[]]"][self.below(3) as usize].to_owned(),
            ["\"up\":true", "\"up\":false", "\"up\":[\"set\",[]]"][self.below(3) as usize].to_owned(),
            ["\"parent_port\":\"a\"", "\"parent_port\":\"b\"", "\"parent_port\":[\"set\",[]]"][self.below(3) as usize]
                .to_owned(),
            format!("\"type\":\"t{}\"", self.below(3)),
            format!("\"mac\":{}", self.set()),
            format!("\"options\":{}", self.map()),
        ];
        let from = self.below(5) as usize;
        all[from..].join(",")
    }

    fn set(&mut self) -> String {
        let members: Vec<_> = (0..4).filter(|_| self.below(2) == 0).map(|n| format!("\"m\\\"{n}\"")).collect();
        format!("[\"set\",[{}]]", members.join(","))
    }

    fn map(&mut self) -> String {
        let keys: Vec<_> = (0..4).filter(|_| self.below(2) == 0).collect();
        let pairs: Vec<_> = keys.into_iter().map(|n| format!("[\"k{n}\",\"v{}\"]", self.below(2))).collect();
        format!("[\"map\",[{}]]", pairs.join(","))
    }
}

// ===== the server =====

struct Server {
    folder: tempfile::TempDir,
    child: Child,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sb.db");
        run(Command::new("ovsdb-tool").arg("create").arg(&database).arg(SCHEMA));
        let child = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", folder.path().join("sock").display()))
            .arg(format!("--unixctl={}", folder.path().join("ctl").display()))
            .arg("-vconsole:off")
            .arg(database)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("ovsdb-server: {error}; apt-get install openvswitch-switch"));
        Server { folder, child }
    }

    fn connect(&self) -> UnixStream {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match UnixStream::connect(self.folder.path().join("sock")) {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        }
    }

    fn remote(&self) -> String {
        drop(self.connect());
        format!("unix:{}", self.folder.path().join("sock").display())
    }

    /// Constraint violations are welcome: they change nothing.
    fn transact(&self, transaction: &str) {
        let reply = run(Command::new("ovsdb-client").args(["transact", &self.remote(), transaction]));
        assert!(!reply.contains("syntax error") && !reply.contains("unknown"), "{transaction}\n{reply}");
    }

    fn dump(&self) -> String {
        let dump = run(Command::new("ovsdb-client").args(["-f", "json", "dump", &self.remote(), "OVN_Southbound"]));
        contents(&file::load::<Southbound>("dump", dump.as_bytes()).unwrap().database)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> String {
    assert!(Path::new(SCHEMA).exists(), "{SCHEMA} is missing: apt-get install ovn-common");
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install openvswitch-switch"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
