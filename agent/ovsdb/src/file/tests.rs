//! Files made by the real tools must all read the same; damaged and foreign ones must say what is wrong and where.

use std::fmt::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Format, Loaded, Problem, load};
use crate::tables::local::Local;
use crate::tables::southbound::Southbound;
use crate::tables::{Database, Row, Table, TableVisitor};

const SCHEMA: &str = "/usr/share/ovn/ovn-sb.ovsschema";

/// Transactions that insert, modify (scalars, optional values, sets and maps) and delete, with references.
const HISTORY: [&str; 5] = [
    r#"["OVN_Southbound",
        {"op":"insert","table":"Datapath_Binding","uuid-name":"dp1","row":{"tunnel_key":1,"external_ids":["map",[["name","sw\u00e9\"1\""]]]}},
        {"op":"insert","table":"Port_Binding","row":{"logical_port":"lp1","datapath":["named-uuid","dp1"],"tunnel_key":1,"tag":5,
            "mac":["set",["00:00:00:00:00:01 10.0.0.1","unknown"]],"options":["map",[["peer","lp2"],["a","1"],["b","2"]]]}},
        {"op":"insert","table":"Port_Binding","row":{"logical_port":"lp2","datapath":["named-uuid","dp1"],"tunnel_key":2,"up":true}}]"#,
    r#"["OVN_Southbound",{"op":"insert","table":"Address_Set","row":{"name":"as1","addresses":["set",["10.0.0.1","10.0.0.2"]]}}]"#,
    r#"["OVN_Southbound",{"op":"mutate","table":"Address_Set","where":[],"mutations":[
        ["addresses","insert",["set",["10.0.0.3"]]],["addresses","delete",["set",["10.0.0.1"]]]]},{"op":"comment","comment":"as1"}]"#,
    r#"["OVN_Southbound",{"op":"update","table":"Port_Binding","where":[["logical_port","==","lp1"]],
        "row":{"tag":["set",[]],"parent_port":"lp2","tunnel_key":7,"options":["map",[["peer","lp3"],["b","2"],["c","3"]]]}}]"#,
    r#"["OVN_Southbound",{"op":"delete","table":"Port_Binding","where":[["logical_port","==","lp2"]]}]"#,
];

#[test]
fn every_format_of_one_database_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let standalone = dir.path().join("s.db");
    run(Command::new("ovsdb-tool").arg("create").arg(&standalone).arg(SCHEMA));
    let served = serve(dir.path(), &standalone);
    let expected = contents(&read::<Southbound>(&served.dump, Format::Dump));
    assert_eq!(expected.lines().filter(|line| !line.starts_with(' ')).count(), 3, "{expected}");
    for part in ["tunnel_key: 7", "\"peer\": \"lp3\"", "\"10.0.0.3\"", "parent_port: Some(\"lp2\")", "tag: None", "swé"]
    {
        assert!(expected.contains(part), "{part} not in {expected}");
    }
    assert!(!expected.contains("\"a\": \"1\"") && !expected.contains("\"10.0.0.1\""), "{expected}");
    assert_eq!(contents(&read::<Southbound>(&served.pretty, Format::Dump)), expected);
    assert_eq!(contents(&read::<Southbound>(&served.backup, Format::Standalone)), expected);
    assert_eq!(contents(&read::<Southbound>(&std::fs::read(&standalone).unwrap(), Format::Standalone)), expected);
    let compact = dir.path().join("compact.db");
    run(Command::new("ovsdb-tool").arg("compact").arg(&standalone).arg(&compact));
    assert_eq!(contents(&read::<Southbound>(&std::fs::read(&compact).unwrap(), Format::Standalone)), expected);
    // The snapshot of a new cluster.
    let cluster = dir.path().join("c.db");
    create_cluster(&cluster, &standalone);
    assert_eq!(contents(&read::<Southbound>(&std::fs::read(&cluster).unwrap(), Format::Cluster)), expected);
}

#[test]
fn a_raft_log_reads_like_the_dump_of_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = dir.path().join("c.db");
    create_cluster(&cluster, Path::new(SCHEMA));
    let served = serve(dir.path(), &cluster);
    let expected = contents(&read::<Southbound>(&served.dump, Format::Dump));
    let file = std::fs::read_to_string(&cluster).unwrap();
    let loaded = load::<Southbound>("c.db", file.as_bytes()).unwrap();
    assert_eq!((contents(&loaded), loaded.uncommitted), (expected, 0));
    // Without the last commit record the last entry, a deletion, is not known to be committed.
    let cut = &file[..file.rfind("OVSDB CLUSTER").unwrap()];
    let loaded = load::<Southbound>("c.db", cut.as_bytes()).unwrap();
    assert_eq!((loaded.uncommitted, loaded.database.port_binding.len()), (1, 2));
}

#[test]
fn damaged_files_say_what_is_wrong_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    run(Command::new("ovsdb-tool").arg("create").arg(&path).arg(SCHEMA));
    for transaction in &HISTORY[..2] {
        run(Command::new("ovsdb-tool").arg("transact").arg(&path).arg(transaction));
    }
    let file = std::fs::read_to_string(&path).unwrap();
    let last = file.rfind("OVSDB JSON").unwrap();
    let error = |text: &str| load::<Southbound>("s.db", text.as_bytes()).unwrap_err();

    let cut = error(&file[..file.len() - 10]);
    assert_eq!(cut.offset, Some(last));
    let length = file.len() - file[last..].find('\n').unwrap() - last - 1;
    assert_eq!(
        cut.to_string(),
        format!("s.db: byte {last}: truncated: a record of {length} bytes, of which {} are there", length - 10)
    );
    assert!(matches!(error(&file[..last + 12]).problem, Problem::Truncated(_)));
    let changed = file.replace("10.0.0.2", "10.0.0.9");
    assert!(error(&changed).to_string().starts_with(&format!("s.db: byte {last}: corrupt: the record's SHA-1 is ")));
    let garbage = format!("{file}more");
    assert_eq!(
        error(&format!("{garbage}\n")).to_string(),
        format!("s.db: byte {}: corrupt: \"more\" is not a record header", file.len())
    );

    let wrong = load::<Local>("s.db", file.as_bytes()).unwrap_err();
    let start = file.find('{').unwrap();
    assert_eq!(wrong.to_string(), format!("s.db: byte {start}: the database is OVN_Southbound, not Open_vSwitch"));
}

#[test]
fn foreign_files_are_recognised() {
    let schema = std::fs::read(SCHEMA).unwrap();
    for (bytes, message) in [
        (&b""[..], "f: the file is empty"),
        (b" \n\n", "f: the file is empty"),
        (b"\x1f\x8b\x08\x00", "f: byte 1: not an OVSDB database (it looks like gzip; unpack it first); expected"),
        (b"OVSDB JSONX 1", "f: not an OVSDB database (it looks like an OVSDB log of an unknown kind); expected"),
        (
            b"Chassis table\n_uuid",
            "f: not an OVSDB database (it looks like an `ovsdb-client dump` without `-f json`); expected",
        ),
        (b"hello", "f: not an OVSDB database; expected a database file, an `ovsdb-client backup` or"),
        (&schema, "f: byte 0: not an OVSDB database (it looks like a schema); expected"),
        (br#"{"a":1}"#, "f: byte 0: not an OVSDB database (it looks like other JSON); expected"),
        (
            br#"{"caption":"Bridge table","headings":[],"data":[]}"#,
            "f: byte 0: the database is one with tables Bridge, not OVN_Southbound",
        ),
        (
            b"{\"caption\":\"Meter table\",\"headings\":[],\"data\":[]}\n{\"caption\":\"DNS",
            "f: byte 65: truncated: EOF while parsing a string",
        ),
        (
            br#"{"caption":"Meter table","headings":["name"],"data":[["x"]]}"#,
            "f: byte 52: corrupt: table Meter: no _uuid among the headings",
        ),
        (
            b"OVSDB JSON 5 da39a3ee5e6b4b0d3255bfef95601890afd80709\nabc",
            "f: byte 0: truncated: a record of 5 bytes, of which 3 are there",
        ),
        (b"OVSDB JSON 5", "f: byte 0: truncated: a record header without a record"),
        (b"{\"caption\":\"M\xff", "f: byte 13: corrupt: not UTF-8"),
    ] {
        let error = load::<Southbound>("f", bytes).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}\nshould start with\n{message}");
    }
}

#[test]
fn bad_rows_are_named_and_the_others_read() {
    let (a, b, c) = (
        "aaaaaaaa-0000-4000-8000-000000000001",
        "bbbbbbbb-0000-4000-8000-000000000001",
        "cccccccc-0000-4000-8000-000000000001",
    );
    let dump = format!(
        "\n{{\"caption\":\"Meter table\",\"data\":[\n[[\"uuid\",\"{a}\"],\"m1\",9],\n[[\"uuid\",\"{b}\"],7,9],\n[[\"uuid\",\"{c}\"],\"m3\"]],\"headings\":[\"_uuid\",\"name\",\"later\"]}}\n"
    );
    let loaded = load::<Southbound>("d", dump.as_bytes()).unwrap();
    assert_eq!(loaded.database.meter.iter().map(|(_, row)| row.name.to_string()).collect::<Vec<_>>(), ["m1", "m3"]);
    let at = dump.find("[[\"uuid\",\"b").unwrap();
    let rejected: Vec<_> = loaded.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(
        rejected,
        [format!("d: byte {at}: table Meter, row {b}, column name: invalid type: integer `7`, expected a string")]
    );
}

#[test]
fn a_row_that_went_bad_in_a_log_stays_out_until_it_is_deleted() {
    let (a, b) = ("aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000001");
    let log = [
        "{\"name\":\"OVN_Southbound\",\"tables\":{}}".to_owned(),
        format!("{{\"Meter\":{{\"{a}\":{{\"name\":7}},\"{b}\":{{\"name\":\"m2\"}}}},\"_date\":1}}"),
        format!("{{\"Meter\":{{\"{a}\":{{\"unit\":\"kbps\"}}}},\"_is_diff\":true}}"),
        format!("{{\"Meter\":{{\"{b}\":{{\"name\":8}}}}}}"),
        format!("{{\"Meter\":{{\"{a}\":null}}}}"),
        format!("{{\"Meter\":{{\"{a}\":{{\"name\":\"m3\",\"unit\":\"pktps\"}}}}}}"),
    ];
    let mut file = String::new();
    for record in &log {
        write!(file, "OVSDB JSON {} {}\n{record}", record.len(), super::log::digest_of(record)).unwrap();
    }
    let loaded = load::<Southbound>("l", file.as_bytes()).unwrap();
    assert_eq!(loaded.database.meter.iter().map(|(_, row)| row.name.to_string()).collect::<Vec<_>>(), ["m3"]);
    let at = file.find("{\"name\":8}").unwrap();
    let rejected: Vec<_> = loaded.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(
        rejected,
        [format!("l: byte {at}: table Meter, row {b}, column name: invalid type: integer `8`, expected a string")]
    );
}

#[test]
fn no_prefix_of_a_file_panics() {
    let uuid = "aaaaaaaa-0000-4000-8000-000000000001";
    let dump = format!(
        "{{\"caption\":\"DNS table\",\"data\":[[[\"uuid\",\"{uuid}\"],[\"map\",[[\"a\",\"é\"]]]]],\"headings\":[\"_uuid\",\"records\"]}}"
    );
    let schema = "{\"name\":\"OVN_Southbound\"}";
    let log = format!("OVSDB JSON {} {}\n{schema}", schema.len(), super::log::digest_of(schema));
    for file in [dump, log] {
        for end in 0..file.len() {
            assert!(load::<Southbound>("p", &file.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(load::<Southbound>("p", file.as_bytes()).is_ok());
    }
}

// ===== real servers =====

/// What a server said about its database after [`HISTORY`].
struct Served {
    dump: Vec<u8>,
    pretty: Vec<u8>,
    backup: Vec<u8>,
}

/// A server for as long as this value lives.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server on `database`, carries out the history and asks for everything.
fn serve(dir: &Path, database: &Path) -> Served {
    let socket = dir.join("db.sock");
    let mut command = Command::new("ovsdb-server");
    command
        .arg(format!("--remote=punix:{}", socket.display()))
        .arg(format!("--unixctl={}", dir.join("db.ctl").display()));
    command.args(["-vconsole:off", "-vsyslog:off"]).arg(database).stdin(Stdio::null());
    let server = Server(
        command.spawn().unwrap_or_else(|error| panic!("ovsdb-server: {error}; apt-get install openvswitch-switch")),
    );
    let deadline = Instant::now() + Duration::from_secs(30);
    while UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "ovsdb-server does not listen");
        std::thread::yield_now();
    }
    let remote = format!("unix:{}", socket.display());
    let client = |arguments: &[&str]| {
        let (command, rest) = arguments.split_first().unwrap();
        run(Command::new("ovsdb-client").args(["--timeout=30", "-f", "json"]).arg(command).arg(&remote).args(rest))
    };
    for transaction in HISTORY {
        let reply = String::from_utf8(client(&["transact", transaction])).unwrap();
        assert!(!reply.contains("error"), "{reply}");
    }
    let dump = client(&["dump", "OVN_Southbound"]);
    let backup = client(&["backup", "OVN_Southbound"]);
    let pretty = run(Command::new("ovsdb-client").args(["--pretty", "-f", "json", "dump", &remote, "OVN_Southbound"]));
    drop(server);
    Served { dump, pretty, backup }
}

fn create_cluster(database: &PathBuf, contents: &Path) {
    let address = format!("unix:{}", database.with_extension("raft").display());
    run(Command::new("ovsdb-tool").arg("create-cluster").arg(database).arg(contents).arg(address));
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install openvswitch-switch ovn-central"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn read<D: Database>(bytes: &[u8], format: Format) -> Loaded<D> {
    let loaded = load::<D>("database", bytes).unwrap();
    assert_eq!(loaded.format, format);
    assert_eq!(loaded.rejected, []);
    loaded
}

/// All rows in the order of tables and uuids.
fn contents<D: Database>(loaded: &Loaded<D>) -> String {
    struct Rows;
    impl TableVisitor for Rows {
        type Output = Vec<String>;
        fn visit<R: Row>(self, table: &Table<R>) -> Vec<String> {
            let mut rows: Vec<_> = table.iter().map(|(id, row)| format!("{} {row:?}\n", table.uuid(id))).collect();
            rows.sort();
            rows
        }
    }
    let tables = (0..D::TABLES.len()).filter_map(|position| loaded.database.visit_table(position, Rows));
    tables.flatten().collect()
}
