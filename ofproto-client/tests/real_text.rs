//! OVN's flows, groups and meters (`testdata/wire`) through a real Open vSwitch: what is read back is what was installed,
//! byte for byte, and its text is what `ovs-ofctl` prints.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use common::{Peer, Switch, block_on, block_on_for};
use ofproto_client::group::GROUP_ALL;
use ofproto_client::message::{
    FlowStatsRequest, Message, MultipartReplyBody, MultipartRequest, TlvMap, TlvTableCommand, TlvTableMod,
};
use ofproto_client::meter::METER_ALL;
use ofproto_client::{
    Action, Flow, FlowMod, FlowModCommand, Group, GroupMod, GroupModCommand, GroupType, Meter, MeterMod,
    MeterModCommand,
};

#[test]
fn sample() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 8);
        let mut peer = switch.connect("br-int").await;
        peer.send(&tlv_map()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire");
        let mut dump = Dump::read(&folder, "sample");
        // The sample has groups and meters of many switches.
        (1..).zip(&mut dump.groups).for_each(|(id, group)| group.id = id);
        (1..).zip(&mut dump.meters).for_each(|(id, meter)| meter.id = id);
        assert!(dump.meters.len() > 3 && dump.groups.len() > 10 && dump.flows.len() > 200);
        assert_eq!(check(&switch, &mut peer, dump).await, Vec::<String>::new());
    });
}

/// Every dump of the goldens, if `OVN_AGENT_GOLDENS` says where they are; that takes minutes. What a switch older than the
/// goldens refuses is left out and counted.
#[test]
fn all_goldens() {
    let Some(path) = std::env::var_os("OVN_AGENT_GOLDENS") else {
        println!("SKIPPED: OVN_AGENT_GOLDENS is not set");
        return;
    };
    block_on_for(1200, async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 8);
        let mut peer = switch.connect("br-int").await;
        peer.send(&tlv_map()).unwrap();
        let (mut n_flows, mut refused) = (0, Vec::new());
        for folder in fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if file.extension().is_some_and(|extension| extension == "flows") {
                    let dump = Dump::read(&folder, file.file_stem().unwrap().to_str().unwrap());
                    n_flows += dump.flows.len();
                    refused.extend(check(&switch, &mut peer, dump).await);
                }
            }
        }
        println!("{n_flows} flows, {} refused by this switch", refused.len());
        refused.iter().take(20).for_each(|text| println!("{text}"));
        assert!(refused.len() < n_flows / 10);
    });
}

/// What one switch has.
#[derive(Default)]
struct Dump {
    meters: Vec<Meter>,
    groups: Vec<Group>,
    flows: Vec<Flow>,
}

impl Dump {
    fn read(folder: &Path, name: &str) -> Dump {
        let text = |suffix| fs::read_to_string(folder.join(format!("{name}.{suffix}"))).unwrap_or_default();
        let (meters, groups, flows) = (text("meters"), text("groups"), text("flows"));
        let meters = meters.split("meter=").skip(1).map(|text| format!("meter={}", text.trim_end()).parse().unwrap());
        let groups = groups.lines().filter(|line| line.contains("group_id=")).map(|line| line.parse().unwrap());
        let flows = flows.lines().filter(|line| line.contains("actions=")).map(|line| line.parse().unwrap());
        Dump { meters: meters.collect(), groups: groups.collect(), flows: by_key(flows) }
    }
}

/// Installs a dump in place of what there is and compares. Returns what the switch refused.
async fn check(switch: &Switch, peer: &mut Peer, mut dump: Dump) -> Vec<String> {
    let refused = install(peer, &mut dump).await;
    let installed = read_flows(peer).await;
    let differing: Vec<_> = installed.iter().zip(&dump.flows).filter(|(a, b)| a != b).collect();
    assert_eq!((installed.len(), differing), (dump.flows.len(), vec![]));
    let text = switch.ofctl(&["dump-flows"], "br-int", &[]);
    let theirs = sorted(text.lines().filter(|line| line.contains("actions=")).map(without_statistics));
    same_lines(sorted(installed.iter().map(Flow::to_string)), theirs);

    let reply = peer.multipart(MultipartRequest::GroupDesc(GROUP_ALL)).await;
    let MultipartReplyBody::Groups { groups: mut read, rejected } = reply else { panic!("{reply:?}") };
    read.sort_by_key(|group| group.id);
    dump.groups.sort_by_key(|group| group.id);
    assert_eq!((&read, rejected), (&dump.groups, vec![]));
    let text = switch.ofctl(&["dump-groups"], "br-int", &[]);
    let theirs = sorted(text.lines().map(str::trim).filter(|line| line.starts_with("group_id=")));
    same_lines(sorted(read.iter().map(Group::to_string)), theirs);

    let reply = peer.multipart(MultipartRequest::MeterConfig(METER_ALL)).await;
    let MultipartReplyBody::Meters { meters: mut read, rejected } = reply else { panic!("{reply:?}") };
    read.sort_by_key(|meter| meter.id);
    dump.meters.sort_by_key(|meter| meter.id);
    assert_eq!((&read, rejected), (&dump.meters, vec![]));
    let text = switch.ofctl(&["dump-meters"], "br-int", &[]);
    let theirs = text.split("meter=").skip(1).map(|meter| format!("meter={}", meter.trim_end()));
    same_lines(sorted(read.iter().map(Meter::to_string)), sorted(theirs));
    refused
}

fn same_lines(ours: Vec<String>, theirs: Vec<String>) {
    let differing: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
    assert_eq!((ours.len(), differing), (theirs.len(), vec![]));
}

fn tlv_map() -> Message {
    let map = TlvMap { option_class: 0x102, option_type: 0x80, option_len: 4, index: 0 };
    Message::TlvTableMod(TlvTableMod { command: TlvTableCommand::Add, maps: vec![map] })
}

/// Replaces everything in the order of `ofctrl_put`; removes from `dump` what the switch refuses when it is added, and flows
/// that need a group or meter that the dump has not.
async fn install(peer: &mut Peer, dump: &mut Dump) -> Vec<String> {
    let groups: HashSet<u32> = dump.groups.iter().map(|group| group.id).collect();
    let meters: HashSet<u32> = dump.meters.iter().map(|meter| meter.id).collect();
    dump.flows.retain(|flow| {
        flow.actions.decode().unwrap().iter().all(|action| match action {
            Action::Group(id) => groups.contains(id),
            Action::Meter(id) => meters.contains(id),
            _ => true,
        })
    });
    let delete = MeterMod { command: MeterModCommand::Delete, meter: Meter { id: METER_ALL, ..Meter::default() } };
    peer.send(&Message::MeterMod(delete)).unwrap();
    for meter in &dump.meters {
        let add = MeterMod { command: MeterModCommand::Add, meter: meter.clone() };
        peer.send(&Message::MeterMod(add)).unwrap();
    }
    let mut bundle = peer.link.connection().bundle();
    bundle.add_flow_mod(&FlowMod::delete_all()).unwrap();
    let all = Group { id: GROUP_ALL, group_type: GroupType::All, buckets: vec![], selection_method: None };
    bundle.add_group_mod(&GroupMod { command: GroupModCommand::Delete, group: all }).unwrap();
    for group in &dump.groups {
        bundle.add_group_mod(&GroupMod { command: GroupModCommand::Add, group: group.clone() }).unwrap();
    }
    for flow in &dump.flows {
        bundle.add_flow_mod(&FlowMod::new(FlowModCommand::Add, flow.clone())).unwrap();
    }
    let xids = bundle.commit().unwrap();
    let outcome = peer.outcome(xids).await;
    let mut refused = Vec::new();
    for (index, error) in outcome.refused.iter().rev() {
        match (*index as usize).checked_sub(2 + dump.groups.len()) {
            Some(index) => refused.push(format!("{error}: {}", dump.flows.remove(index))),
            None => panic!("{error}: {}", dump.groups[*index as usize - 2]),
        }
    }
    assert!(outcome.applied, "{:?} {refused:?}", outcome.error);
    refused
}

async fn read_flows(peer: &mut Peer) -> Vec<Flow> {
    let reply = peer.multipart(MultipartRequest::Flows(FlowStatsRequest::default())).await;
    let MultipartReplyBody::Flows { flows, rejected } = reply else { panic!("{reply:?}") };
    assert_eq!(rejected, []);
    by_key(flows.into_iter().map(|stats| stats.flow))
}

/// One flow per table, priority and match, in that order.
fn by_key(flows: impl Iterator<Item = Flow>) -> Vec<Flow> {
    let flows: BTreeMap<_, _> = flows.map(|flow| ((flow.table, flow.priority, flow.match_.clone()), flow)).collect();
    flows.into_values().collect()
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
