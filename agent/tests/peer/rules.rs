//! What an older ovn-controller does differently with the same rows, each as a rule that makes today's flows of its flows.
//! A flow that differs in any other way fails the test. Between equal releases no rule of this table holds.

use std::collections::BTreeMap;

use ofproto_client::{Action, ActionList, Field, Flow};
use serde_json::Value;

use crate::layout::Release;

/// A row of Logical_Flow, without what says on which datapaths it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalFlow {
    /// Pipeline, table and priority.
    pub place: String,
    pub matches: String,
    pub actions: String,
}

/// Logical flows by the first 32 bits of their UUIDs, which are the cookies of their flows.
pub type LogicalFlows = BTreeMap<u64, LogicalFlow>;

/// The logical flows in a dump of the Southbound database.
pub fn logical_flows(dump: &str) -> LogicalFlows {
    let mut flows = LogicalFlows::new();
    for table in dump.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if table["caption"] != "Logical_Flow table" {
            continue;
        }
        let headings = table["headings"].as_array().unwrap();
        let at = |heading: &str| headings.iter().position(|it| it == heading).unwrap();
        let (uuid, matches, actions) = (at("_uuid"), at("match"), at("actions"));
        for row in table["data"].as_array().unwrap() {
            let cookie = u64::from_str_radix(&row[uuid][1].as_str().unwrap()[..8], 16).unwrap();
            let text = |at: usize| row[at].as_str().unwrap().to_owned();
            let place = ["pipeline", "table_id", "priority"].map(|heading| row[at(heading)].to_string()).join(" ");
            flows.insert(cookie, LogicalFlow { place, matches: text(matches), actions: text(actions) });
        }
    }
    flows
}

/// One difference.
pub struct Rule {
    /// What is different.
    pub name: &'static str,
    /// Releases before this one do it the other way.
    pub until: Release,
    /// The flows of today for one of their flows; nothing when it is not concerned.
    pub apply: fn(&LogicalFlow, &Flow) -> Option<Vec<Flow>>,
}

/// Section 8 of the project's sheet on flow translation, as far as flows of logical pipelines show it. The releases are those
/// that the test has met: nothing between the two has been tried.
pub const RULES: &[Rule] = &[
    Rule { name: "`igmp` means multicast too", until: Release(26, 3), apply: igmp },
    Rule { name: "`mldv1` and `mldv2` mean multicast too", until: Release(26, 3), apply: mld },
    Rule { name: "`ip6.mcast_rsvd` is 16 addresses", until: Release(26, 3), apply: reserved_multicast },
    Rule { name: "IPv6 neighbours are looked up by xxreg1", until: Release(26, 3), apply: neighbour_register },
    Rule { name: "`arp` and `nd_ns` pause the packet, and output it", until: Release(26, 3), apply: pause },
    Rule { name: "the MTU in ICMP errors is a note", until: Release(26, 3), apply: mtu },
    Rule { name: "SNAT to a range of ports is random", until: Release(26, 3), apply: random },
    Rule { name: "`ct_commit` behind `log` is not lost", until: Release(26, 3), apply: commit_behind_log },
    Rule { name: "sessions of load balancers have a cookie", until: Release(26, 3), apply: session_cookie },
];

/// The flow with another match, when it is another.
fn with_match(flow: &Flow, change: impl FnOnce(&mut Flow)) -> Option<Vec<Flow>> {
    let mut changed = flow.clone();
    change(&mut changed);
    (changed.match_ != flow.match_).then(|| vec![changed])
}

/// The flow with other actions, when they are others.
fn with_actions(flow: &Flow, change: impl FnOnce(&mut Vec<Action>)) -> Option<Vec<Flow>> {
    let before = flow.actions.decode().unwrap();
    let mut actions = before.clone();
    change(&mut actions);
    (actions != before).then(|| vec![Flow { actions: ActionList::from(&actions[..]), ..flow.clone() }])
}

const ETH_MULTICAST: u128 = 0x0100_0000_0000;
const ETH_MULTICAST_V6: (u128, u128) = (0x3333_0000_0000, 0xffff_0000_0000);
const IGMP: u128 = 2;
const MLD: [u128; 4] = [130, 131, 132, 143];

fn igmp(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    let is_igmp = flow.match_.get(Field::IP_PROTO).is_some_and(|(protocol, _)| protocol == IGMP);
    if !lflow.matches.contains("igmp") || !is_igmp {
        return None;
    }
    with_match(flow, |flow| {
        flow.match_.set_masked(Field::ETH_DST, ETH_MULTICAST, ETH_MULTICAST);
        if flow.match_.get(Field::IPV4_DST).is_none() {
            flow.match_.set_masked(Field::IPV4_DST, 0xe000_0000, 0xf000_0000);
        }
    })
}

fn mld(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    let is_mld = flow.match_.get(Field::ICMPV6_TYPE).is_some_and(|(kind, _)| MLD.contains(&kind));
    if !lflow.matches.contains("mldv") || !is_mld {
        return None;
    }
    with_match(flow, |flow| {
        flow.match_.set_masked(Field::ETH_DST, ETH_MULTICAST_V6.0, ETH_MULTICAST_V6.1);
    })
}

fn reserved_multicast(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    let (value, mask) = flow.match_.get(Field::IPV6_DST)?;
    if !lflow.matches.contains("ip6.mcast_rsvd") || mask != !(0xf_u128 << 112) || value >> 120 != 0xff {
        return None;
    }
    let scope = |scope: u128| {
        let mut flow = flow.clone();
        flow.match_.set(Field::IPV6_DST, value | scope << 112);
        flow
    };
    Some((0..16).map(scope).collect())
}

/// The look-up of a neighbour saves the registers of its arguments, loads them, asks table 66 and restores them. What need
/// not move is not saved.
fn neighbour_register(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    let (xxreg0, xxreg1) = (Field::XXREG0.whole(), Field::XXREG1.whole());
    if !["get_nd(", "lookup_nd_ip("].iter().any(|word| lflow.actions.contains(word)) {
        return None;
    }
    with_actions(flow, |actions| {
        let is_stack = |action: &Action| matches!(action, Action::StackPush(_) | Action::StackPop(_));
        let Some(ask) = actions.iter().position(|it| matches!(it, Action::Resubmit { table: 66, .. })) else { return };
        // The arguments are loaded between the last other action before and the preparation of the result.
        let before = |end: usize, skip: fn(&Action) -> bool| {
            actions[..end].iter().rposition(|it| !skip(it)).map_or(0, |at| at + 1)
        };
        // Ready to ask: a result is cleared, the Ethernet address kept.
        let end = before(ask, |it| matches!(it, Action::SetField { .. }));
        let end = before(end, |it| *it == Action::StackPush(Field::ETH_DST.whole()));
        let loads = before(end, |it| matches!(it, Action::StackPop(_)));
        let start = before(loads, |it| matches!(it, Action::StackPush(_)));
        let restore = actions[ask..].iter().rposition(is_stack).map_or(ask, |at| ask + at);
        let moved = start < loads && actions[loads..end].contains(&Action::StackPop(xxreg0));
        if !moved {
            return insert_arguments(actions, ask);
        }
        for action in &mut actions[start..=restore] {
            match action {
                Action::StackPush(subfield) | Action::StackPop(subfield) if *subfield == xxreg0 => *subfield = xxreg1,
                _ => {}
            }
        }
    })
}

/// The address was in xxreg0 already: today it moves to xxreg1.
fn insert_arguments(actions: &mut Vec<Action>, ask: usize) {
    let (xxreg0, xxreg1) = (Field::XXREG0.whole(), Field::XXREG1.whole());
    // `get_nd` clears the Ethernet address first.
    let prepared = matches!(actions.get(ask.wrapping_sub(1)), Some(Action::SetField { .. }));
    let at = if prepared { ask - 1 } else { ask };
    actions.insert(ask + 1, Action::StackPop(xxreg1));
    let load = [Action::StackPush(xxreg1), Action::StackPush(xxreg0), Action::StackPop(xxreg1)];
    actions.splice(at..at, load);
}

fn pause(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    if !["arp {", "nd_ns {"].iter().any(|word| lflow.actions.contains(word)) {
        return None;
    }
    with_actions(flow, |actions| {
        let asks = |opcode: u8| matches!(opcode, 0 | 9);
        let mut paused = false;
        for action in actions.iter_mut() {
            if let Action::Controller(controller) = action
                && controller.userdata.starts_with(&[0, 0, 0])
                && controller.userdata.get(3).is_some_and(|opcode| asks(*opcode))
            {
                controller.pause = true;
                paused = true;
            }
        }
        if paused {
            actions.push(Action::resubmit(crate::layout::OUTPUT));
        }
    })
}

/// Opcodes of `icmp4.frag_mtu` and `icmp6.frag_mtu`.
const MTU4: u8 = 13;
const MTU6: u8 = 21;

fn mtu(_: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    with_actions(flow, |actions| {
        for action in actions {
            let Action::Controller(outer) = action else { continue };
            let Some(mut inner) = crate::layout::inner(&outer.userdata) else { continue };
            for action in &mut inner {
                let Action::Controller(setter) = action else { continue };
                let (kind, value) = match setter.userdata.split_at_checked(8) {
                    Some(([0, 0, 0, MTU4, ..], value)) => (0, value),
                    Some(([0, 0, 0, MTU6, ..], value)) => (1, value),
                    _ => continue,
                };
                // Magic, kind, padding; then the value, padded to a whole action.
                let mut note = vec![b'o', b'v', b'n', 0, 0, kind, 0, 0];
                note.extend(value);
                note.resize(14, 0);
                *action = Action::Note(note.into());
            }
            let inner = ActionList::from(&inner[..]);
            outer.userdata = [&outer.userdata[..crate::layout::HEADER], inner.as_bytes()].concat().into();
        }
    })
}

fn random(_: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    with_actions(flow, |actions| {
        for action in actions {
            let Action::Ct(ct) = action else { continue };
            for action in &mut ct.actions {
                if let Action::Nat(nat) = action
                    && matches!(nat.range.proto, Some((_, Some(_))))
                {
                    nat.flags |= ofproto_client::action::Nat::RANDOM;
                }
            }
        }
    })
}

/// 23.03 writes the length of the commit into the action in front of it.
fn commit_behind_log(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    let blocks = lflow.actions.starts_with("log(") && lflow.actions.contains("; ct_commit { ct_mark.blocked = 1; };");
    if !blocks {
        return None;
    }
    with_actions(flow, |actions| {
        let log = matches!(actions.first(), Some(Action::Controller(_)));
        if log && !actions.iter().any(|action| matches!(action, Action::Ct(_))) {
            let commit = "ct(commit,zone=NXM_NX_REG13[0..15],nat(src),exec(set_field:0x1/0x1->ct_mark))";
            actions.insert(1, commit.parse().unwrap());
        }
    })
}

fn session_cookie(lflow: &LogicalFlow, flow: &Flow) -> Option<Vec<Flow>> {
    if !lflow.actions.contains("commit_lb_aff(") {
        return None;
    }
    with_actions(flow, |actions| {
        for action in actions {
            if let Action::Learn(learn) = action {
                learn.cookie = flow.cookie;
            }
        }
    })
}

/// Whose rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Packaged,
    Ours,
    /// Chassis that somebody else made have the entries too.
    Both,
}

/// What becomes of an element of a column.
pub enum Fate {
    Kept,
    Removed,
    Replaced(String),
    /// The whole row is left out.
    RowRemoved,
}

/// A difference in rows.
pub struct RowRule {
    pub name: &'static str,
    /// Releases before this one, or, when it is nothing, every release.
    pub until: Option<Release>,
    pub side: Side,
    pub table: &'static str,
    pub column: &'static str,
    pub fate: fn(&str) -> Fate,
}

impl RowRule {
    pub fn concerns(&self, release: Release) -> bool {
        self.until.is_none_or(|until| release < until)
    }
}

/// Features that a chassis reports since a later release.
const LATER: &[&str] = &[
    "ct-commit-nat-v2",
    "ct-commit-to-zone",
    "ct-label-flush",
    "ct-next-zone",
    "ct-state-save",
    "fdb-timestamp",
    "ls-dpg-column",
    "ovn-evpn-local-ip",
    "ovn-evpn-vxlan-ports",
    "ovn-sample-with-registers",
];

/// Removes the entry of a map with one of the keys.
fn removed(entry: &str, keys: &[&str]) -> Fate {
    let key = entry.split('=').next().unwrap_or_default();
    if keys.contains(&key) { Fate::Removed } else { Fate::Kept }
}

/// The same for rows.
pub const ROW_RULES: &[RowRule] = &[
    RowRule {
        name: "features that came later",
        until: Some(Release(26, 3)),
        side: Side::Both,
        table: "Chassis",
        column: "other_config",
        fate: |entry| removed(entry, LATER),
    },
    RowRule {
        name: "tunnels have a local address",
        until: Some(Release(26, 3)),
        side: Side::Ours,
        table: "Interface",
        column: "options",
        fate: |entry| removed(entry, &["local_ip"]),
    },
    RowRule {
        name: "tunnel ids have a local address",
        until: Some(Release(26, 3)),
        side: Side::Ours,
        table: "Port",
        column: "external_ids",
        fate: |entry| match entry.split_once('%') {
            Some((before, _)) if entry.starts_with("ovn-chassis-id=") => Fate::Replaced(before.to_owned()),
            _ => Fate::Kept,
        },
    },
    RowRule {
        name: "no queueing discipline on tunnel devices",
        until: Some(Release(26, 3)),
        side: Side::Packaged,
        table: "Port",
        column: "qos",
        fate: |entry| if entry == "linux-noop" { Fate::Removed } else { Fate::Kept },
    },
    RowRule {
        name: "no queueing discipline on tunnel devices",
        until: Some(Release(26, 3)),
        side: Side::Packaged,
        table: "QoS",
        column: "type",
        fate: |entry| if entry == "linux-noop" { Fate::RowRemoved } else { Fate::Kept },
    },
    RowRule {
        // The topologies call such interfaces by these names.
        name: "no zone for an interface whose port is not ours",
        until: Some(Release(26, 3)),
        side: Side::Packaged,
        table: "Bridge",
        column: "external_ids",
        fate: |entry| removed(entry, &["ct-zone-refused", "ct-zone-stranger"]),
    },
    RowRule {
        name: "26.03.1 manages flow-restore-wait, 26.03.2 and we do not",
        until: None,
        side: Side::Packaged,
        table: "Open_vSwitch",
        column: "external_ids",
        fate: |entry| removed(entry, &["ovn-managed-flow-restore-wait"]),
    },
];
