//! What a real Open vSwitch says of its flows and groups is, byte for byte, what we make of their text, also if it encoded them
//! itself: the agent can compare flows it wants with flows it read back. (`real_text` is about what we encoded.)
//!
//! `ovs-ofctl add-flows` puts the lines of `testdata/wire` (and of all goldens if `OVN_AGENT_GOLDENS` is set) into the switch in its own
//! encoding; the descriptions it sends back, decoded, equal the parsed text in match and action bytes.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test that names its line")]

mod common;
#[path = "common/dumps.rs"]
mod dumps;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::{Switch, block_on};
use dumps::dump_lines;
use ofproto_client::group::GROUP_ALL;
use ofproto_client::message::{FlowStatsRequest, Message, MultipartReplyBody, MultipartRequest};
use ofproto_client::{Action, Flow, FlowMod, FlowModCommand, Group, GroupType};

/// Identity of a flow in the switch.
type Key = (u8, u16, Vec<u8>);

fn key(flow: &Flow) -> Key {
    (flow.table, flow.priority, flow.match_.as_bytes().to_vec())
}

/// The sample, and all goldens if `OVN_AGENT_GOLDENS` says so (that takes minutes).
fn folders() -> Vec<PathBuf> {
    let mut out = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire")];
    if let Some(goldens) = std::env::var_os("OVN_AGENT_GOLDENS").filter(|path| Path::new(path).is_dir()) {
        out.extend(fs::read_dir(&goldens).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    out
}

/// A switch with what the flows refer to: the tunnel option, meters, groups.
fn switch(flows: &BTreeMap<Key, (String, Flow)>) -> Switch {
    let switch = Switch::start();
    switch.add_bridge("br", "OpenFlow15", 1);
    switch.ofctl(&["add-tlv-map"], "br", &["{class=0x102,type=0x80,len=4}->tun_metadata0"]);
    let mut groups = BTreeSet::new();
    let mut meters = BTreeSet::new();
    for action in flows.values().flat_map(|it| it.1.actions.decode().unwrap()) {
        match action {
            Action::Group(id) => drop(groups.insert(id)),
            Action::Meter(id) => drop(meters.insert(id)),
            _ => (),
        }
    }
    let file = switch.path("groups.txt");
    let text: String = groups.iter().map(|id| format!("group_id={id},type=select,bucket=drop\n")).collect();
    fs::write(&file, text).unwrap();
    switch.ofctl(&["add-groups"], "br", &[file.to_str().unwrap()]);
    for id in meters {
        switch.ofctl(&["add-meter"], "br", &[&format!("meter={id} kbps bands=type=drop rate=100")]);
    }
    switch
}

/// Flows with the text they come from, one for each identity.
fn wanted_flows() -> BTreeMap<Key, (String, Flow)> {
    let lines = dump_lines("flows", "actions=", &folders());
    lines
        .into_iter()
        .map(|line| (line.parse::<Flow>().unwrap(), line))
        .map(|(flow, line)| (key(&flow), (line, flow)))
        .collect()
}

fn flow_mod(flow: &Flow) -> Message {
    Message::FlowMod(Box::new(FlowMod::new(FlowModCommand::Add, flow.clone())))
}

/// Sends `flow_mods`, reads all flows back and compares them.
fn compare(switch: &Switch, flow_mods: &[Message], wanted: &BTreeMap<Key, (String, Flow)>) {
    let body = block_on(async {
        let mut peer = switch.connect("br").await;
        for message in flow_mods {
            peer.send(message).unwrap();
        }
        assert_eq!(peer.until_barrier().await, []);
        peer.multipart(MultipartRequest::Flows(FlowStatsRequest::default())).await
    });
    let MultipartReplyBody::Flows { flows, rejected } = body else { panic!("{body:?}") };
    assert_eq!(rejected, []);
    for stats in &flows {
        let (line, ours) = wanted.get(&key(&stats.flow)).unwrap_or_else(|| panic!("not ours: {}", stats.flow));
        assert_eq!(stats.flow.to_string(), *line);
        assert_eq!(stats.flow.actions.as_bytes(), ours.actions.as_bytes(), "{line}");
    }
    assert_eq!(flows.len(), wanted.len());
    println!("{} flows", flows.len());
}

#[test]
fn flows_encoded_by_ovs_equal_parsed_text() {
    let wanted = wanted_flows();
    // `ovs-ofctl` cannot read this mask, which it prints, and takes the parentheses for none.
    let misread = |line: &str| line.contains("/0x3f->ip_dscp") || line.contains("dec_ttl()");
    let switch = switch(&wanted);
    let file = switch.path("flows.txt");
    let text: String = wanted.values().filter(|it| !misread(&it.0)).map(|it| format!("{}\n", it.0)).collect();
    fs::write(&file, text).unwrap();
    switch.ofctl(&["add-flows"], "br", &[file.to_str().unwrap()]);
    let rest: Vec<Message> = wanted.values().filter(|it| misread(&it.0)).map(|it| flow_mod(&it.1)).collect();
    compare(&switch, &rest, &wanted);
}

#[test]
fn groups_from_the_switch_equal_parsed_text() {
    let switch = Switch::start();
    switch.add_bridge("br", "OpenFlow15", 1);
    let mut wanted = Vec::new();
    for (i, line) in dump_lines("groups", "group_id=", &folders()).iter().enumerate() {
        let mut group: Group = line.parse().unwrap();
        group.id = i as u32 + 1;
        wanted.push(group);
    }
    wanted.push(Group { id: 100_000, group_type: GroupType::All, buckets: Vec::new(), selection_method: None });
    let text: Vec<String> = wanted.iter().map(Group::to_string).collect();
    let file = switch.path("groups.txt");
    fs::write(&file, text.join("\n")).unwrap();
    switch.ofctl(&["add-groups"], "br", &[file.to_str().unwrap()]);
    let body = block_on(async {
        let mut peer = switch.connect("br").await;
        peer.multipart(MultipartRequest::GroupDesc(GROUP_ALL)).await
    });
    let MultipartReplyBody::Groups { mut groups, rejected } = body else { panic!("{body:?}") };
    assert_eq!(rejected, []);
    groups.sort_by_key(|group| group.id);
    assert_eq!(groups, wanted);
    println!("{} groups", groups.len());
}
