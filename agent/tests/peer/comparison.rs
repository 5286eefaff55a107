//! What differs between two [`Observation`]s, and what was made equal by which rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ofproto_client::{Flow, Match};

use crate::common::canonical;
use crate::coverage::same_packets;
use crate::layout::{OURS, Release, is_logical, is_lookup};
use crate::numbers::Numbers;
use crate::observation::{Observation, Rows};
use crate::rules::{Fate, LogicalFlow, LogicalFlows, ROW_RULES, RULES, Side};

type Counted = BTreeMap<canonical::Flow, usize>;

/// The result: empty `missing`, `extra` and `rows` are equality.
#[derive(Default)]
pub struct Comparison {
    /// Flows of ours that were compared.
    pub flows: usize,
    /// Datapaths that have some.
    pub datapaths: usize,
    /// How many flows and entries of rows each rule has made equal.
    pub normalised: BTreeMap<&'static str, usize>,
    /// Flows that the packaged agent has and ours has not, and the other way round.
    pub missing: Vec<canonical::Flow>,
    pub extra: Vec<canonical::Flow>,
    /// Rows, with their table and `-` or `+`.
    pub rows: Vec<String>,
}

/// Compares what the packaged agent of `release` has made with what ours has made.
pub fn compare(packaged: &Observation, ours: &Observation, release: Release) -> Comparison {
    let mut result = Comparison::default();
    let lflows = &packaged.lflows;
    let layout = packaged.layout();
    let shared =
        |one: &Observation, other: &Observation| Numbers::new(&one.ports, &one.zones, &other.ports, &other.zones);
    let mut theirs: Vec<Flow> = packaged.parsed().iter().map(|flow| layout.apply(flow)).collect();
    if release < OURS {
        theirs = theirs.iter().flat_map(|flow| result.normalise(flow, release, lflows)).collect();
    }
    let numbers = shared(packaged, ours);
    let theirs: Vec<Flow> = theirs.iter().map(|flow| numbers.apply(flow)).collect();
    let numbers = shared(ours, packaged);
    let mine: Vec<Flow> = ours.parsed().iter().map(|flow| numbers.apply(flow)).collect();
    let theirs = result.follow_rows(theirs, lflows, &ours.lflows);
    let groups = packaged.groups_in(&layout);
    let (mut theirs, mut mine) = (packaged.canonical(&theirs, &groups), ours.canonical(&mine, &ours.groups));
    if release < OURS {
        // The physical tables and their registers are others; what they do is compared with an equal release.
        theirs.retain(|flow, _| is_logical(flow.table) || is_lookup(flow.table));
        mine.retain(|flow, _| is_logical(flow.table) || is_lookup(flow.table));
    }
    result.flows = mine.values().sum();
    result.datapaths = mine.keys().map(datapath).filter(|name| *name != NO_DATAPATH).collect::<BTreeSet<_>>().len();
    let (mut missing, mut extra) = (difference(&theirs, &mine), difference(&mine, &theirs));
    result.settle_ties(&mut missing, &mut extra, &ours.lflows);
    if release < OURS {
        result.settle_remote(&mut extra, ours);
        result.settle_terms(&mut missing, &mut extra, &theirs, &mine);
    }
    result.missing = missing.into_keys().collect();
    result.extra = extra.into_keys().collect();
    for (theirs, mine) in [(&packaged.southbound, &ours.southbound), (&packaged.local, &ours.local)] {
        let theirs = result.without(theirs, Side::Packaged, release);
        let mine = result.without(mine, Side::Ours, release);
        for table in theirs.keys() {
            let only = |sign: char, these: &Rows, those: &Rows| -> Vec<String> {
                let rows = these[table].iter().filter(|row| !those[table].contains(row));
                rows.map(|row| format!("{sign} {table} {row:?}")).collect()
            };
            result.rows.extend(only('-', &theirs, &mine));
            result.rows.extend(only('+', &mine, &theirs));
        }
    }
    result
}

const NO_DATAPATH: &str = "no datapath";

/// The logical datapath of a flow, as it stands in its match.
fn datapath(flow: &canonical::Flow) -> &str {
    flow.match_.split(',').find(|word| word.starts_with("metadata=")).unwrap_or(NO_DATAPATH)
}

/// The logical flow that a flow comes from.
fn lflow<'a>(flow: &canonical::Flow, lflows: &'a LogicalFlows) -> Option<&'a LogicalFlow> {
    let cookie = u64::from_str_radix(flow.cookie.trim_start_matches("0x"), 16).ok()?;
    lflows.get(&cookie)
}

fn difference(these: &Counted, those: &Counted) -> Counted {
    let left = these.iter().map(|(flow, count)| (flow, count.saturating_sub(those.get(flow).copied().unwrap_or(0))));
    left.filter(|(_, count)| *count > 0).map(|(flow, count)| (flow.clone(), count)).collect()
}

impl Comparison {
    fn count(&mut self, rule: &'static str, by: usize) {
        *self.normalised.entry(rule).or_default() += by;
    }

    /// Today's flows for one of an older release.
    fn normalise(&mut self, flow: &Flow, release: Release, lflows: &LogicalFlows) -> Vec<Flow> {
        let Some(lflow) = lflows.get(&flow.cookie).filter(|_| is_logical(flow.table)) else {
            return vec![flow.clone()];
        };
        let mut flows = vec![flow.clone()];
        for rule in RULES.iter().filter(|rule| release < rule.until) {
            let mut next = Vec::new();
            for flow in flows {
                match (rule.apply)(lflow, &flow) {
                    Some(changed) => {
                        self.count(rule.name, 1);
                        next.extend(changed);
                    }
                    None => next.push(flow),
                }
            }
            flows = next;
        }
        flows
    }

    /// ovn-northd may write a row again while nobody has registered, with another UUID.
    fn follow_rows(&mut self, mut flows: Vec<Flow>, before: &LogicalFlows, after: &LogicalFlows) -> Vec<Flow> {
        for flow in flows.iter_mut().filter(|flow| !after.contains_key(&flow.cookie)) {
            let Some(row) = before.get(&flow.cookie) else { continue };
            if let Some((cookie, _)) = after.iter().find(|(_, it)| *it == row) {
                flow.cookie = *cookie;
                self.count("ovn-northd wrote a row again: its cookie", 1);
            }
        }
        flows
    }

    /// Of several lflows that want one flow, which may own it is nobody's business but the owner's cookie tells: ours is that of the
    /// higher cookie, ovn-controller's depends on the size of its hash tables.
    fn settle_ties(&mut self, missing: &mut Counted, extra: &mut Counted, lflows: &LogicalFlows) {
        let same = |one: &canonical::Flow, other: &canonical::Flow| {
            canonical::Flow { cookie: String::new(), ..one.clone() }
                == canonical::Flow { cookie: String::new(), ..other.clone() }
        };
        for flow in missing.keys().cloned().collect::<Vec<_>>() {
            let twin = extra.keys().find(|other| same(&flow, other)).cloned();
            let Some(twin) = twin.filter(|twin| lflow(&flow, lflows).is_some() && lflow(twin, lflows).is_some()) else {
                continue;
            };
            missing.remove(&flow);
            extra.remove(&twin);
            self.count("two lflows want the same flow: one of their cookies", 1);
        }
    }

    /// Older agents leave out the logical flows of packets that come in from ports of other availability zones.
    fn settle_remote(&mut self, extra: &mut Counted, ours: &Observation) {
        let before = extra.len();
        extra.retain(|flow, _| {
            let from = |port: &String| {
                let lflow = lflow(flow, &ours.lflows);
                lflow.is_some_and(|lflow| lflow.matches.contains(&format!("inport == \"{port}\"")))
            };
            !ours.remote.iter().any(from)
        });
        if extra.len() < before {
            self.count("flows of remote ports are kept", before - extra.len());
        }
    }

    /// `!=` became prefixes instead of single bits, and members of a set that others contain are left out: other terms for
    /// the same packets. Proved for each lflow and actions.
    fn settle_terms(&mut self, missing: &mut Counted, extra: &mut Counted, theirs: &Counted, mine: &Counted) {
        let key = |flow: &canonical::Flow| canonical::Flow { match_: String::new(), ..flow.clone() };
        let differing: BTreeSet<canonical::Flow> = missing.keys().chain(extra.keys()).map(key).collect();
        for wanted in differing {
            let of = |flows: &Counted| -> Option<Vec<Match>> {
                flows.keys().filter(|flow| key(flow) == wanted).map(|flow| flow.match_.parse().ok()).collect()
            };
            let (Some(left), Some(right)) = (of(theirs), of(mine)) else { continue };
            if same_packets(&left.iter().collect::<Vec<_>>(), &right.iter().collect::<Vec<_>>()) {
                let before = missing.len() + extra.len();
                missing.retain(|flow, _| key(flow) != wanted);
                extra.retain(|flow, _| key(flow) != wanted);
                self.count("other terms for the same packets", before - missing.len() - extra.len());
            }
        }
    }

    /// Rows without what is known to be different.
    fn without(&mut self, rows: &Rows, side: Side, release: Release) -> Rows {
        let mut rows = rows.clone();
        for rule in ROW_RULES.iter().filter(|rule| [side, Side::Both].contains(&rule.side) && rule.concerns(release)) {
            let Some(rows) = rows.get_mut(rule.table) else { continue };
            let mut used = 0;
            rows.retain_mut(|row| {
                let Some(values) = row.get_mut(rule.column) else { return true };
                let mut kept = true;
                values.retain_mut(|value| match (rule.fate)(value) {
                    Fate::Kept => true,
                    fate => {
                        used += 1;
                        match fate {
                            Fate::Replaced(other) => *value = other,
                            Fate::RowRemoved => kept = false,
                            _ => return false,
                        }
                        true
                    }
                });
                kept
            });
            if used > 0 {
                self.count(rule.name, used);
            }
        }
        rows.values_mut().for_each(|rows| rows.sort());
        rows
    }

    pub fn is_equal(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.rows.is_empty()
    }

    /// The first `most` flows of each datapath and kind, and the rows.
    pub fn show(&self, most: usize, lflows: &LogicalFlows) -> String {
        let mut text = String::new();
        let mut by_datapath: BTreeMap<String, Vec<(char, &canonical::Flow)>> = BTreeMap::new();
        for (sign, flows) in [('-', &self.missing), ('+', &self.extra)] {
            for flow in flows {
                by_datapath.entry(datapath(flow).to_owned()).or_default().push((sign, flow));
            }
        }
        for (datapath, mut flows) in by_datapath {
            flows.sort_by(|a, b| a.1.cmp(b.1));
            let _ = writeln!(text, "{datapath}: {} flows differ (- packaged, + ours)", flows.len());
            for (sign, flow) in flows.iter().take(most) {
                let _ = writeln!(text, "{sign} {flow}");
                if let Some(lflow) = lflow(flow, lflows) {
                    let _ = writeln!(text, "    match {}\n    actions {}", lflow.matches, lflow.actions);
                }
            }
        }
        for row in &self.rows {
            let _ = writeln!(text, "{row}");
        }
        text
    }
}
