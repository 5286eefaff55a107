//! Every line that Open vSwitch printed for the goldens goes text -> value -> wire -> value -> text unchanged.
//!
//! The sample in `testdata/wire` is always read; the whole set if `OVN_AGENT_GOLDENS` or `../../shared/goldens` is there.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test that names its line

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use ofproto_client::message::{FlowStats, Message, MultipartReply, MultipartReplyBody, Xid};
use ofproto_client::{
    Flow, FlowMod, FlowModCommand, Group, GroupMod, GroupModCommand, Meter, MeterMod, MeterModCommand,
};

/// Counts of what was read.
#[derive(Debug, Default)]
struct Count {
    folders: usize,
    hypervisors: usize,
    flows: usize,
    distinct_flows: usize,
    match_bytes: usize,
    matches_on_heap: usize,
    groups: usize,
    meters: usize,
}

/// The message after a way over the wire.
fn over_the_wire(message: &Message) -> Message {
    let mut out = BytesMut::new();
    message.encode(Xid(7), &mut out).unwrap();
    Message::decode(&out).unwrap().1
}

fn reply(body: MultipartReplyBody) -> Message {
    Message::MultipartReply(Box::new(MultipartReply { more: false, body }))
}

fn check(text: &str, message: Message) {
    assert_eq!(over_the_wire(&message), message, "{text}");
}

fn flow(text: &str, count: &mut Count) {
    let value: Flow = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(value.to_string(), text);
    assert_eq!(value.actions, value.actions.decode().unwrap().as_slice().into(), "{text}");
    let bytes = value.match_.as_bytes().len();
    count.match_bytes += bytes;
    count.matches_on_heap += usize::from(bytes > 40);
    check(text, Message::FlowMod(Box::new(FlowMod::new(FlowModCommand::Add, value.clone()))));
    let stats = FlowStats { flow: value, n_packets: Some(5), ..FlowStats::default() };
    let description = reply(MultipartReplyBody::Flows { flows: vec![stats], rejected: Vec::new() });
    let back = over_the_wire(&description);
    assert_eq!(back, description, "{text}");
    let Message::MultipartReply(back) = back else { panic!("{text}") };
    let MultipartReplyBody::Flows { flows, .. } = back.body else { panic!("{text}") };
    assert_eq!(flows.first().unwrap().flow.to_string(), text);
}

fn group(text: &str) {
    let value: Group = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(value.to_string(), text);
    check(text, reply(MultipartReplyBody::Groups { groups: vec![value.clone()], rejected: Vec::new() }));
    check(text, Message::GroupMod(Box::new(GroupMod { command: GroupModCommand::Modify, group: value })));
}

fn meter(text: &str) {
    let value: Meter = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(value.to_string(), text);
    check(text, reply(MultipartReplyBody::Meters { meters: vec![value.clone()], rejected: Vec::new() }));
    check(text, Message::MeterMod(MeterMod { command: MeterModCommand::Add, meter: value }));
}

/// One dump. Flows seen before with another cookie are only counted.
fn dump(path: &Path, seen: &mut HashSet<String>, count: &mut Count) {
    let text = fs::read_to_string(path).unwrap();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("flows") => {
            count.hypervisors += 1;
            for line in text.lines().filter(|line| line.contains("actions=")) {
                count.flows += 1;
                let line = line.trim_start();
                let (_, without_cookie) = line.split_once(", ").unwrap();
                if seen.insert(without_cookie.to_owned()) {
                    count.distinct_flows += 1;
                    flow(line, count);
                }
            }
        }
        Some("groups") => {
            for line in text.lines().filter(|line| line.contains("group_id=")) {
                count.groups += 1;
                group(line.trim_start());
            }
        }
        Some("meters") => {
            for block in text.split("\n\n").flat_map(|block| block.split("meter=").skip(1)) {
                count.meters += 1;
                meter(format!("meter={block}").trim_end());
            }
        }
        _ => (),
    }
}

fn folder(path: &Path, seen: &mut HashSet<String>, count: &mut Count) {
    count.folders += 1;
    for entry in fs::read_dir(path).unwrap() {
        dump(&entry.unwrap().path(), seen, count);
    }
}

#[test]
fn sample() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire");
    let mut count = Count::default();
    folder(&path, &mut HashSet::new(), &mut count);
    println!("{count:?}");
    assert!(count.flows > 200 && count.groups > 5 && count.meters > 3, "{count:?}");
}

#[test]
fn all_goldens() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/goldens");
    let path = std::env::var_os("OVN_AGENT_GOLDENS").map_or(default, PathBuf::from);
    if !path.is_dir() {
        println!("SKIPPED: no goldens at {}", path.display());
        return;
    }
    let mut count = Count::default();
    let mut seen = HashSet::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            folder(&entry, &mut seen, &mut count);
        }
    }
    println!("{count:?}");
    assert!(count.flows > 0);
}
