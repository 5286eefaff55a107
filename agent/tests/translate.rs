//! What `ovn-agent translate` says when its input is bad: one line that names the file, or, for a bad row, the row, and then
//! everything else is translated.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

#[path = "../lang/tests/corpus/mod.rs"]
#[allow(dead_code, reason = "the module is that of another test")]
mod corpus;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn case(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/translate/switch-router-switch").join(file)
}

fn translate(sb: &Path, ovs: &Path, more: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_ovn-agent"))
        .arg("translate")
        .arg("--sb")
        .arg(sb)
        .arg("--ovs")
        .arg(ovs)
        .args(more)
        .output()
        .unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of our own, removed with the folder.
fn written(folder: &tempfile::TempDir, name: &str, contents: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, contents).unwrap();
    path
}

#[test]
fn a_bad_file_is_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let sb = std::fs::read(case("hv1.sb.json")).unwrap();
    let truncated = written(&folder, "truncated.json", &sb[..sb.len() / 2]);
    let gzip = written(&folder, "sb.json.gz", b"\x1f\x8b\x08\x00rest");
    let text = written(&folder, "notes.txt", b"these are notes\n");
    let empty = written(&folder, "empty.json", b"");
    let missing = folder.path().join("missing.json");
    let (good_sb, good_ovs) = (case("hv1.sb.json"), case("hv1.ovs.json"));
    for (sb, ovs, bad, why) in [
        (&truncated, &good_ovs, &truncated, "truncated"),
        (&gzip, &good_ovs, &gzip, "gzip"),
        (&text, &good_ovs, &text, "not an OVSDB database"),
        (&empty, &good_ovs, &empty, "empty"),
        (&missing, &good_ovs, &missing, "No such file"),
        (&good_sb, &missing, &missing, "No such file"),
        (&good_ovs, &good_ovs, &good_ovs, "not OVN_Southbound"),
        (&good_sb, &good_sb, &good_sb, "not Open_vSwitch"),
    ] {
        let outcome = translate(sb, ovs, &[]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        let name = bad.display().to_string();
        assert!(outcome.stderr.contains(&name) && outcome.stderr.contains(why), "{name} {why}: {}", outcome.stderr);
    }
}

#[test]
fn a_chassis_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = translate(&case("hv1.sb.json"), &case("hv1.ovs.json"), &["--chassis", "nowhere"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    let file = case("hv1.sb.json").display().to_string();
    assert!(outcome.stderr.contains("nowhere") && outcome.stderr.contains(&file), "{}", outcome.stderr);

    let ovs = std::fs::read_to_string(case("hv1.ovs.json")).unwrap();
    let anonymous = written(&folder, "anonymous.json", ovs.replace("system-id", "another-id").as_bytes());
    let outcome = translate(&case("hv1.sb.json"), &anonymous, &[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let file = anonymous.display().to_string();
    assert!(outcome.stderr.contains("--chassis") && outcome.stderr.contains(&file), "{}", outcome.stderr);
}

#[test]
fn a_bad_logical_flow_costs_one_logical_flow() {
    let folder = tempfile::tempdir().unwrap();
    let sb = std::fs::read_to_string(case("hv1.sb.json")).unwrap();
    let good = translate(&case("hv1.sb.json"), &case("hv1.ovs.json"), &["--what", "flows"]);
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    assert!(!good.stderr.contains("skipped"), "{}", good.stderr);
    // The first of these texts stands for an action, the second for a match; every row that has them goes bad.
    for (from, to, why) in
        [("\"ip.ttl--; ", "\"frobnicate; ", "frobnicate"), ("\"arp.op == 2", "\"arp.op === 2", "arp.op === 2")]
    {
        let bad = sb.replace(from, to);
        assert!(bad.contains(to), "{from} is not in the case any more");
        let path = written(&folder, "bad.json", bad.as_bytes());
        let outcome = translate(&path, &case("hv1.ovs.json"), &["--what", "flows"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let skipped: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("skipped: ")).collect();
        assert!(!skipped.is_empty(), "{}", outcome.stderr);
        let mut cookies = Vec::new();
        for line in &skipped {
            assert!(line.contains("Logical_Flow ") && line.contains(why), "{line}");
            let uuid = line.split("Logical_Flow ").nth(1).unwrap();
            cookies.push(format!("cookie=0x{:x},", u32::from_str_radix(&uuid[..8], 16).unwrap()));
        }
        // What is lost is what the rows named would have given, known by its cookie, and nothing else.
        let of_bad_row = |line: &&str| cookies.iter().any(|cookie| line.contains(cookie));
        let expected: Vec<&str> = good.stdout.lines().filter(|line| !of_bad_row(line)).collect();
        assert!(expected.len() < good.stdout.lines().count());
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), expected);
    }
}

/// The tables of a dump, for editing.
fn tables(dump: &str) -> Vec<serde_json::Value> {
    serde_json::Deserializer::from_str(dump).into_iter().collect::<Result<_, _>>().unwrap()
}

/// Column `name` of each row of a table.
fn column<'t>(
    tables: &'t mut [serde_json::Value],
    table: &str,
    name: &str,
) -> impl Iterator<Item = &'t mut serde_json::Value> {
    let caption = format!("{table} table");
    let table = tables.iter_mut().find(|t| t["caption"] == caption.as_str()).unwrap();
    let at = table["headings"].as_array().unwrap().iter().position(|heading| heading == name).unwrap();
    table["data"].as_array_mut().unwrap().iter_mut().map(move |row| &mut row[at])
}

/// Every malformed text there is in a row of its own, among good rows: each costs only its row, and is named with its place.
#[test]
fn a_corpus_of_malformed_texts_costs_only_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let cases = corpus::cases(include_str!("../lang/testdata/lang/malformed.txt"));
    // A database cannot hold NUL.
    let bad: Vec<_> =
        cases.iter().filter(|case| ["match", "actions"].contains(&&*case.kind) && !case.text.contains('\0')).collect();
    let mut tables = tables(&std::fs::read_to_string(case("hv1.sb.json")).unwrap());
    let mut add = |table: &str, rows: Vec<HashMap<&str, serde_json::Value>>| {
        let caption = format!("{table} table");
        let table = tables.iter_mut().find(|t| t["caption"] == caption.as_str()).unwrap();
        let headings: Vec<String> = serde_json::from_value(table["headings"].clone()).unwrap();
        let none = serde_json::json!(["set", []]);
        let row = |row: HashMap<&str, serde_json::Value>| {
            headings.iter().map(|name| row.get(name.as_str()).unwrap_or(&none).clone()).collect()
        };
        table["data"].as_array_mut().unwrap().extend(rows.into_iter().map(row));
    };
    let uuid = |n: usize| format!("bad{n:05x}-0000-4000-8000-000000000000");
    for (n, addresses) in
        [&["10.0.0.1", "10.0.0.2"][..], &["::1", "::2"], &["00:00:00:00:00:01"], &[]].iter().enumerate()
    {
        let name = format!("set{}", n + 1);
        let (id, addresses) = (serde_json::json!(["uuid", uuid(0xf0000 + n)]), serde_json::json!(["set", addresses]));
        add("Address_Set", vec![[("_uuid", id), ("name", name.into()), ("addresses", addresses)].into()]);
    }
    let (sb, ovs) = (std::fs::read_to_string(case("hv1.sb.json")).unwrap(), case("hv1.ovs.json"));
    let datapath = sb.lines().find(|line| line.contains("Datapath_Binding table")).unwrap();
    let datapath: serde_json::Value = serde_json::from_str(datapath).unwrap();
    let at = |name| datapath["headings"].as_array().unwrap().iter().position(|heading| heading == name).unwrap();
    let switch =
        datapath["data"].as_array().unwrap().iter().find(|row| row.to_string().contains("logical-switch")).unwrap();
    let (switch, key) = (switch[at("_uuid")].clone(), switch[at("tunnel_key")].as_u64().unwrap());
    let group = [("_uuid", serde_json::json!(["uuid", uuid(0xf0010)])), ("name", format!("{key}_pg1").into())];
    add("Port_Group", vec![group.into()]);
    let row = |(n, case): (usize, &&corpus::Case)| {
        let (match_, actions) = if case.kind == "match" { (&*case.text, "next;") } else { ("ip4", &*case.text) };
        HashMap::from([
            ("_uuid", serde_json::json!(["uuid", uuid(n)])),
            ("logical_datapath", switch.clone()),
            ("tags", serde_json::json!(["map", []])),
            ("external_ids", serde_json::json!(["map", []])),
            ("pipeline", "ingress".into()),
            ("table_id", 10.into()),
            ("priority", 1.into()),
            ("match", match_.into()),
            ("actions", actions.into()),
        ])
    };
    add("Logical_Flow", bad.iter().enumerate().map(row).collect());
    let text: String = tables.iter().map(|table| format!("{table}\n")).collect();
    let sb = written(&folder, "sb.json", text.as_bytes());

    let good = translate(&case("hv1.sb.json"), &ovs, &["--what", "flows"]);
    let outcome = translate(&sb, &ovs, &["--what", "flows"]);
    assert_eq!(outcome.code, Some(0));
    // All flows of the good rows are there, and no others.
    assert_eq!(outcome.stdout, good.stdout);
    let mut skipped: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in outcome.stderr.lines().filter(|line| line.starts_with("skipped: ")) {
        let (_, row) = line.split_once("Logical_Flow ").unwrap_or_else(|| panic!("no row in {line}"));
        skipped.entry(&row[..36]).or_default().push(line);
    }
    assert_eq!(skipped.len(), bad.len());
    for (n, case) in bad.iter().enumerate() {
        let [line] = skipped[&*uuid(n)][..] else { panic!("several lines about {}", case.written) };
        let stage = "(ingress table 10, priority 1)";
        // A template variable without a value is found before the text is parsed.
        let column = match case.text.contains('^') {
            true => line.rsplit_once("(at column ").map_or(String::new(), |(_, column)| column.to_string()),
            false => {
                format!("{})", case.text.char_indices().take_while(|(offset, _)| *offset < case.offset).count() + 1)
            }
        };
        let message = &case.message[..if case.message.contains("bytes)...") { 40 } else { case.message.len() }];
        let message = if case.text.contains('^') { "" } else { message };
        let end = format!("(at column {column}");
        let what = format!("error parsing {} ", case.kind);
        let right = [stage, &what, message].iter().all(|part| line.contains(part)) && line.ends_with(&end);
        assert!(right && !column.is_empty(), "{}: {message} {end}:\n{line}", case.written);
    }
}

#[test]
fn a_chassis_that_is_not_registered_yet_gets_the_flows_it_will_have() {
    let folder = tempfile::tempdir().unwrap();
    let sb = std::fs::read_to_string(case("hv1.sb.json")).unwrap();
    let mut tables = tables(&sb);
    // As before the agent's first start: no rows of its own, no port claimed.
    let names: Vec<bool> = column(&mut tables, "Chassis", "name").map(|name| name == "hv1").collect();
    let uuids = column(&mut tables, "Chassis", "_uuid").zip(names);
    let this_chassis = uuids.filter(|(_, named)| *named).map(|(uuid, _)| uuid.clone()).next().unwrap();
    for (table, name) in [("Chassis", "name"), ("Encap", "chassis_name"), ("Chassis_Private", "name")] {
        let gone: Vec<bool> = column(&mut tables, table, name).map(|value| value == "hv1").collect();
        assert!(gone.contains(&true), "{table}");
        let caption = format!("{table} table");
        let rows =
            tables.iter_mut().find(|t| t["caption"] == caption.as_str()).unwrap()["data"].as_array_mut().unwrap();
        let mut gone = gone.into_iter();
        rows.retain(|_| !gone.next().unwrap_or_default());
    }
    let bound: Vec<bool> =
        column(&mut tables, "Port_Binding", "chassis").map(|chassis| *chassis == this_chassis).collect();
    assert!(bound.contains(&true));
    for name in ["chassis", "encap", "up"] {
        for (value, _) in column(&mut tables, "Port_Binding", name).zip(&bound).filter(|(_, bound)| **bound) {
            *value = serde_json::json!(["set", []]);
        }
    }
    let text: String = tables.iter().map(|table| format!("{table}\n")).collect();
    let unregistered = written(&folder, "sb.json", text.as_bytes());

    let outcome = translate(&unregistered, &case("hv1.ovs.json"), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("chassis hv1 is not in it"), "{}", outcome.stderr);
    let registered = translate(&case("hv1.sb.json"), &case("hv1.ovs.json"), &[]);
    assert_eq!(outcome.stdout, registered.stdout);
}

/// As many logical flows more as make several slices and several blocks of lines.
fn enlarged(sb: &str) -> String {
    let mut tables = tables(sb);
    let rows =
        tables.iter_mut().find(|t| t["caption"] == "Logical_Flow table").unwrap()["data"].as_array_mut().unwrap();
    let is_switch =
        |row: &&serde_json::Value| row[8] == "ingress" && row[5][0] == "uuid" && row[3].to_string().contains("ls_in");
    let datapath = rows.iter().find(is_switch).unwrap()[5].clone();
    for n in 0..4000 {
        let uuid = format!("{:08x}-0000-4000-8000-{n:012x}", 0xf000_0000_u32 + n);
        let text = format!("ip4.dst == 10.77.{}.{} && tcp.dst == {{80, {}}}", n >> 8, n & 255, 1000 + n);
        let actions = format!("reg1 = {n}; next;");
        let (none, empty) = (serde_json::json!(["set", []]), serde_json::json!(["map", []]));
        rows.push(serde_json::json!([
            ["uuid", uuid],
            actions,
            none,
            empty,
            none,
            datapath,
            none,
            text,
            "ingress",
            2000,
            8,
            empty
        ]));
    }
    tables.iter().map(|table| format!("{table}\n")).collect()
}

#[test]
fn threads_change_nothing_and_timings_tell_the_phases() {
    let folder = tempfile::tempdir().unwrap();
    let sb = enlarged(&std::fs::read_to_string(case("hv1.sb.json")).unwrap());
    let sb = written(&folder, "sb.json", sb.as_bytes());
    let ovs = case("hv1.ovs.json");
    let alone = translate(&sb, &ovs, &["--threads", "1"]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
    assert!(alone.stdout.lines().count() > 8000, "{}", alone.stderr);
    for threads in ["2", "3", "8"] {
        let several = translate(&sb, &ovs, &["--threads", threads, "--timings"]);
        assert_eq!(several.code, Some(0), "{}", several.stderr);
        assert!(several.stdout == alone.stdout, "{threads} threads print something else");
        for line in [
            "read: ",
            "parse: ",
            "derive: ",
            "print: ",
            "total: ",
            "kept by derivation: ",
            "speed: ",
            "graph: ",
            "peak: ",
        ] {
            assert!(several.stderr.lines().any(|said| said.starts_with(line)), "no {line:?} in {}", several.stderr);
        }
    }
    let none = translate(&sb, &ovs, &["--threads", "0"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
}
