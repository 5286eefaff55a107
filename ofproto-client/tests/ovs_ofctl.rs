//! Open vSwitch's own tool reads what we write as the text we started from: `ovs-ofctl ofp-parse` on FLOW_MOD and
//! GROUP_MOD messages made of the lines in `testdata/wire`, and of all goldens if they are there, and
//! on random matches and actions.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test that names its line")]

#[path = "common/dumps.rs"]
mod dumps;
mod random;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::BytesMut;
use ofproto_client::message::{Message, Xid};
use ofproto_client::{ActionList, Flow, FlowMod, FlowModCommand, Group, GroupMod, GroupModCommand, Match};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// What `ovs-ofctl` makes of the messages, a line each, without what it says up to `before`.
fn print_with_ovs(messages: &[Message], before: &str) -> Vec<String> {
    let mut bytes = BytesMut::new();
    for message in messages {
        message.encode(Xid(1), &mut bytes).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("messages");
    fs::write(&file, &bytes).unwrap();
    let output = Command::new("ovs-ofctl").args(["--no-names", "ofp-parse"]).arg(&file).output();
    let output =
        output.unwrap_or_else(|error| panic!("cannot run ovs-ofctl ({error}): apt install openvswitch-common"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_once(before)).map(|(_, content)| content.to_owned()).collect()
}

/// The lines of all dumps with that extension that contain `mark`, each once.
fn lines(extension: &str, mark: &str) -> BTreeSet<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let default = manifest.join("../../shared/goldens");
    let goldens = std::env::var_os("OVN_AGENT_GOLDENS").map_or(default, PathBuf::from);
    let mut folders = vec![manifest.join("../testdata/wire")];
    if goldens.is_dir() {
        folders.extend(fs::read_dir(&goldens).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    dumps::dump_lines(extension, mark, &folders)
}

#[test]
fn flows() {
    // Without cookie and table, which FLOW_MOD prints elsewhere.
    let texts: BTreeSet<String> =
        lines("flows", "actions=").iter().map(|line| line.splitn(3, ", ").nth(2).unwrap().to_owned()).collect();
    let texts: Vec<String> = texts.into_iter().collect();
    let messages: Vec<Message> = texts
        .iter()
        .map(|text| {
            let flow: Flow = text.parse().unwrap();
            Message::FlowMod(Box::new(FlowMod::new(FlowModCommand::Add, flow)))
        })
        .collect();
    let printed = print_with_ovs(&messages, ": ADD ");
    println!("{} distinct matches and actions", texts.len());
    assert_eq!(printed.len(), texts.len());
    let mut differ = 0;
    for (printed, text) in printed.iter().zip(&texts) {
        if printed != text {
            println!("ours:  {text}\ntheirs: {printed}");
            differ += 1;
        }
    }
    assert_eq!(differ, 0);
}

#[test]
fn groups() {
    let texts: Vec<String> = lines("groups", "group_id=").into_iter().collect();
    let messages: Vec<Message> = texts
        .iter()
        .map(|text| {
            let group: Group = text.parse().unwrap();
            Message::GroupMod(Box::new(GroupMod { command: GroupModCommand::Add, group }))
        })
        .collect();
    println!("{} distinct groups", texts.len());
    let printed: Vec<String> = print_with_ovs(&messages, " ADD ");
    assert_eq!(printed, texts);
}

/// What goes before the fields of [`random::match_on`], so that some of them have their prerequisites.
const BASES: [&str; 14] = [
    "",
    "ip",
    "ipv6",
    "tcp",
    "tcp6",
    "udp6",
    "sctp",
    "icmp",
    "icmp6,icmp_type=135",
    "icmp6,icmp_type=136",
    "arp",
    "ct_state=+trk,tcp",
    "dl_vlan=5",
    "mpls",
];

#[test]
fn random_matches_and_actions() {
    let bases: Vec<Match> = BASES.iter().map(|text| text.parse().unwrap()).collect();
    let flow = prop_oneof![
        random::leaf().prop_map(|action| Flow { actions: ActionList::from([action].as_slice()), ..Flow::default() }),
        select(bases).prop_flat_map(random::match_on).prop_map(|match_| Flow { match_, ..Flow::default() }),
    ];
    let mut runner = TestRunner::deterministic();
    let flows: Vec<Flow> = (0..6_000).map(|_| flow.new_tree(&mut runner).unwrap().current()).collect();
    let messages: Vec<Message> =
        flows.iter().map(|flow| Message::FlowMod(Box::new(FlowMod::new(FlowModCommand::Add, flow.clone())))).collect();
    let printed = print_with_ovs(&messages, "OFPT_FLOW_MOD (OF1.5) (xid=0x1):");
    assert_eq!(printed.len(), flows.len());
    let mut accepted = 0;
    for (printed, flow) in printed.iter().zip(&flows) {
        // Most are refused: a prerequisite is missing, a field cannot be written, a port does not exist.
        let Some(printed) = printed.strip_prefix(" ADD priority=0") else { continue };
        let ours = if flow.match_.is_empty() {
            format!(" actions={}", flow.actions)
        } else {
            format!(",{} actions={}", flow.match_, flow.actions)
        };
        // Open vSwitch leaves out the mask of the flags and the names of two reasons, and takes a match on `recirc_id` for
        // one of the datapath, in which "eth" is not left out. Without
        // `ct_nw_proto` it forgets the ports.
        let different = ["tun_gbp_flags=", "reason=6,", "reason=7,", "recirc_id=", "ct_tp_"];
        let left_out = different.iter().any(|text| ours.contains(text));
        if !left_out {
            assert_eq!(printed, ours);
            accepted += 1;
        }
    }
    println!("{accepted} of {} accepted", flows.len());
    assert!(accepted > 2_000);
}
