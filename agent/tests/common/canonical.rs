//! Dumps of flows, groups and meters in a form that can be compared although ids were given out in another order: groups and
//! meters by content, conjunctions by what they join, without statistics. What counts as equal is that of
//! ../shared/tools/flowdiff.py.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A flow in the form that is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub table: u8,
    pub priority: u16,
    pub cookie: String,
    pub match_: String,
    pub actions: String,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow { table, priority, cookie, match_, actions } = self;
        write!(f, "cookie={cookie}, table={table}, priority={priority},{match_} actions={actions}")
    }
}

/// What groups are, by id: without the ids of their buckets, which say only in which order the buckets came.
pub fn groups(text: &str) -> HashMap<&str, String> {
    let mut groups = HashMap::new();
    for line in text.lines() {
        let Some((id, content)) = line.trim().strip_prefix("group_id=").and_then(|rest| rest.split_once(',')) else {
            continue;
        };
        let mut parts = content.split(",bucket=");
        let head = parts.next().unwrap_or_default();
        let mut buckets: Vec<&str> = parts
            .map(|bucket| match bucket.strip_prefix("bucket_id:") {
                Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(','),
                None => bucket,
            })
            .collect();
        buckets.sort_unstable();
        groups.insert(id, format!("{head}|{}", buckets.join("|")));
    }
    groups
}

/// What meters are, by id: the bands are on lines of their own.
pub fn meters(text: &str) -> HashMap<&str, String> {
    let mut meters: HashMap<&str, String> = HashMap::new();
    let mut current = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some((id, content)) = line.strip_prefix("meter=").and_then(|rest| rest.split_once(' ')) {
            meters.insert(id, content.trim().to_owned());
            current = Some(id);
        } else if let Some(meter) = current.filter(|_| line.starts_with("type=")).and_then(|id| meters.get_mut(id)) {
            meter.push(' ');
            meter.push_str(line);
        }
    }
    meters
}

pub fn flows(text: &str, groups: &HashMap<&str, String>, meters: &HashMap<&str, String>) -> HashMap<Flow, usize> {
    let mut rows = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("group_id=")) {
        let Some((head, actions)) = line.split_once("actions=") else { continue };
        let (mut table, mut priority, mut cookie, mut match_) = (0, 32768, "0x0", Vec::new());
        for word in words(head) {
            match word.split_once('=').unwrap_or((word, "")) {
                ("table", value) => table = value.parse().unwrap(),
                ("priority", value) => priority = value.parse().unwrap(),
                ("cookie", value) => cookie = value,
                ("duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age" | "importance", _) => {}
                _ => match_.push(word),
            }
        }
        match_.sort_unstable();
        rows.push((table, priority, cookie, match_, actions));
    }
    let mut clauses: HashMap<(u8, &str), Vec<String>> = HashMap::new();
    for (table, priority, _, match_, actions) in &rows {
        for (id, clause) in conjunctions(actions) {
            clauses.entry((*table, id)).or_default().push(format!("{priority} {} {clause}", match_.join(",")));
        }
    }
    let joined = |table: u8, id: &str| match clauses.get(&(table, id)) {
        Some(clauses) => {
            let mut clauses = clauses.clone();
            clauses.sort_unstable();
            let mut hasher = DefaultHasher::new();
            (table, clauses).hash(&mut hasher);
            format!("c{:x}", hasher.finish())
        }
        None => "?".to_owned(),
    };
    let mut flows = HashMap::new();
    for (table, priority, cookie, match_, actions) in rows {
        let conjunctions = conjunctions(actions);
        let mut actions = if conjunctions.is_empty() {
            actions.to_owned()
        } else {
            let mut all: Vec<String> = conjunctions
                .iter()
                .map(|(id, clause)| format!("conjunction({},{clause})", joined(table, id)))
                .collect();
            all.sort_unstable();
            all.join(",")
        };
        actions = with_contents(&actions, "group:", groups);
        for word in ["meter:", "meter_id="] {
            actions = with_contents(&actions, word, meters);
        }
        let match_: Vec<String> = match_
            .iter()
            .map(|word| match word.strip_prefix("conj_id=") {
                Some(id) => format!("conj_id={}", joined(table, id)),
                None => (*word).to_owned(),
            })
            .collect();
        let flow = Flow { table, priority, cookie: cookie.to_owned(), match_: match_.join(","), actions };
        *flows.entry(flow).or_insert(0) += 1;
    }
    flows
}

/// The parts between commas and blanks, but not those inside brackets.
fn words(head: &str) -> Vec<&str> {
    let (mut words, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in head.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' | ' ' if depth == 0 => {
                words.push(&head[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&head[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Ids and clauses of the conjunction actions.
fn conjunctions(actions: &str) -> Vec<(&str, &str)> {
    let parts = actions.split("conjunction(").skip(1);
    parts.filter_map(|part| part.split_once(')')?.0.split_once(',')).collect()
}

/// `text` with the contents in the place of the number behind each `word`.
fn with_contents(text: &str, word: &str, contents: &HashMap<&str, String>) -> String {
    let mut parts = text.split(word);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (id, rest) = part.split_at(digits);
        let content = contents.get(id).cloned().unwrap_or_else(|| format!("?{id}"));
        result.push_str(&format!("{word}{{{content}}}{rest}"));
    }
    result
}
