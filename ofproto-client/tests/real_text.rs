//! OVN's flows, groups and meters (`testdata/wire`) through a real Open vSwitch: what is read back is what was installed,
//! byte for byte, and its text is what `ovs-ofctl` prints.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Peer, Switch, block_on};
use ofproto_client::group::GROUP_ALL;
use ofproto_client::message::{
    FlowStatsRequest, Message, MultipartReplyBody, MultipartRequest, TlvMap, TlvTableCommand, TlvTableMod,
};
use ofproto_client::meter::METER_ALL;
use ofproto_client::{
    Flow, FlowMod, FlowModCommand, Group, GroupMod, GroupModCommand, Meter, MeterMod, MeterModCommand,
};

#[test]
fn read_back_and_printed_as_ovs_ofctl_does() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 8);
        let mut peer = switch.connect("br-int").await;
        let (meters, groups, flows) = (meters(), groups(), flows());
        assert!(meters.len() > 3 && groups.len() > 10 && flows.len() > 200);
        install(&mut peer, &meters, &groups, &flows).await;

        let installed = read_flows(&mut peer).await;
        let wanted: Vec<&Flow> = flows.iter().collect();
        let differing: Vec<_> = installed.iter().zip(&wanted).filter(|(a, b)| a != *b).collect();
        assert_eq!((installed.len(), differing), (wanted.len(), vec![]));
        let dump = switch.ofctl(&["dump-flows"], "br-int", &[]);
        let theirs = sorted(dump.lines().filter(|line| line.contains("actions=")).map(without_statistics));
        assert_eq!(sorted(installed.iter().map(Flow::to_string)), theirs);

        let reply = peer.multipart(MultipartRequest::GroupDesc(GROUP_ALL)).await;
        let MultipartReplyBody::Groups { groups: mut read, rejected } = reply else { panic!("{reply:?}") };
        read.sort_by_key(|group| group.id);
        assert_eq!((&read, rejected), (&groups, vec![]));
        let dump = switch.ofctl(&["dump-groups"], "br-int", &[]);
        assert_eq!(
            sorted(read.iter().map(Group::to_string)),
            sorted(dump.lines().map(str::trim).filter(|line| line.starts_with("group_id=")))
        );

        let reply = peer.multipart(MultipartRequest::MeterConfig(METER_ALL)).await;
        let MultipartReplyBody::Meters { meters: mut read, rejected } = reply else { panic!("{reply:?}") };
        read.sort_by_key(|meter| meter.id);
        assert_eq!((&read, rejected), (&meters, vec![]));
        let dump = switch.ofctl(&["dump-meters"], "br-int", &[]);
        let theirs = dump.split("meter=").skip(1).map(|meter| format!("meter={}", meter.trim_end()));
        assert_eq!(sorted(read.iter().map(Meter::to_string)), sorted(theirs));
    });
}

async fn install(peer: &mut Peer, meters: &[Meter], groups: &[Group], flows: &[Flow]) {
    let map = TlvMap { option_class: 0x102, option_type: 0x80, option_len: 4, index: 0 };
    peer.send(&Message::TlvTableMod(TlvTableMod { command: TlvTableCommand::Add, maps: vec![map] })).unwrap();
    for meter in meters {
        let add = MeterMod { command: MeterModCommand::Add, meter: meter.clone() };
        peer.send(&Message::MeterMod(add)).unwrap();
    }
    let mut bundle = peer.link.connection().bundle();
    for group in groups {
        bundle.add_group_mod(&GroupMod { command: GroupModCommand::Add, group: group.clone() }).unwrap();
    }
    for flow in flows {
        bundle.add_flow_mod(&FlowMod::new(FlowModCommand::Add, flow)).unwrap();
    }
    let xids = bundle.commit().unwrap();
    let outcome = peer.outcome(xids).await;
    for (index, error) in &outcome.refused {
        match (*index as usize).checked_sub(groups.len()) {
            Some(index) => eprintln!("{error}: {}", flows[index]),
            None => eprintln!("{error}: {}", groups[*index as usize]),
        }
    }
    assert!(outcome.applied && outcome.refused.is_empty(), "{:?}", outcome.error);
}

async fn read_flows(peer: &mut Peer) -> Vec<Flow> {
    let reply = peer.multipart(MultipartRequest::Flows(FlowStatsRequest::default())).await;
    let MultipartReplyBody::Flows { flows, rejected } = reply else { panic!("{reply:?}") };
    assert_eq!(rejected, []);
    by_key(flows.into_iter().map(|stats| stats.flow))
}

fn flows() -> Vec<Flow> {
    by_key(sample("flows").lines().filter(|line| line.contains("actions=")).map(|line| line.parse().unwrap()))
}

/// One flow per table, priority and match, in that order.
fn by_key(flows: impl Iterator<Item = Flow>) -> Vec<Flow> {
    let flows: BTreeMap<_, _> = flows.map(|flow| ((flow.table, flow.priority, flow.match_.clone()), flow)).collect();
    flows.into_values().collect()
}

/// Numbered anew, since the sample has groups of many switches.
fn groups() -> Vec<Group> {
    let text = sample("groups");
    let groups = text.lines().filter(|line| line.contains("group_id="));
    (1..).zip(groups).map(|(id, line)| Group { id, ..line.parse().unwrap() }).collect()
}

fn meters() -> Vec<Meter> {
    let text = sample("meters");
    let meters = text.split("meter=").skip(1);
    (1..).zip(meters).map(|(id, text)| Meter { id, ..format!("meter={}", text.trim_end()).parse().unwrap() }).collect()
}

fn sample(suffix: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire").join(format!("sample.{suffix}"));
    fs::read_to_string(path).unwrap()
}

/// `--no-stats` would also leave out table 0 and cookie 0.
fn without_statistics(line: &str) -> String {
    let statistics = ["duration=", "n_packets=", "n_bytes=", "idle_age=", "hard_age="];
    let is_kept = |item: &&str| !statistics.iter().any(|name| item.starts_with(name));
    line.trim().split(", ").filter(is_kept).collect::<Vec<_>>().join(", ")
}

fn sorted(lines: impl Iterator<Item = impl Into<String>>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(Into::into).collect();
    lines.sort_unstable();
    lines
}
