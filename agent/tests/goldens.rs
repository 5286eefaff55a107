//! `ovn-agent translate` against what ovn-controller installed: our own recorded cases in testdata/translate, which must be
//! equal, and the large collection in ../shared/goldens where it is present, which must be as equal as testdata/golden-floor
//! says. Whoever makes it better raises the numbers there.
//!
//! What counts as equal is that of ../shared/tools/flowdiff.py: flows as a multiset; groups and meters by content; ids of
//! conjunctions by what they join; flows that the switch learned by itself left out.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]
#![allow(clippy::print_stdout, reason = "figures and notices of a test")]

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tables into which flows write flows.
const LEARNED: &[u8] = &[69, 76, 77, 78, 88];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn own_cases_are_equal() {
    let cases = cases(&top().join("testdata/translate"));
    assert!(!cases.is_empty());
    for case in &cases {
        let result = case.run().unwrap();
        assert!(result.total > 200, "{}: {} flows", case.name, result.total);
        assert!(result.is_equal(), "{}:\n{}", case.name, result.show(40));
    }
}

#[test]
fn shared_goldens_are_as_equal_as_they_were() {
    let folder =
        ["../shared/goldens", "/work/shared/goldens"].iter().map(|path| top().join(path)).find(|path| path.is_dir());
    let Some(folder) = folder else {
        println!("skipped: ../shared/goldens is not on this machine");
        return;
    };
    let cases = cases(&folder);
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Comparison, String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|c| (at, c))
                } {
                    results.lock().unwrap().push((at, case.run()));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(at, _)| *at);
    let (mut exact, mut total, mut missing, mut extra) = (0, 0, 0, 0);
    for (at, result) in &results {
        match result {
            Ok(result) => {
                exact += usize::from(result.is_equal());
                total += result.total;
                missing += result.missing.len();
                extra += result.extra.len();
                if !result.is_equal() {
                    println!("{}:\n{}", cases[*at].name, result.show(6));
                }
            }
            Err(error) => panic!("{}: {error}", cases[*at].name),
        }
    }
    let (count, present) = (cases.len(), total - missing);
    println!("exact {exact} of {count} cases; {present} of {total} flows present, {extra} extra");
    let floor = floor();
    assert!(exact >= floor["exact"], "{exact} cases are exact, {} were", floor["exact"]);
    assert!(missing <= floor["missing"], "{missing} flows are missing, {} were", floor["missing"]);
    assert!(extra <= floor["extra"], "{extra} flows are too many, {} were", floor["extra"]);
}

/// What was reached before: a word and a number a line.
fn floor() -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(top().join("testdata/golden-floor")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.map(|(word, number)| (word.to_owned(), number.parse().unwrap())).collect()
}

/// One hypervisor of one case.
struct Case {
    name: String,
    folder: PathBuf,
    hv: String,
}

fn cases(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&entry).unwrap() {
            let file = file.unwrap().file_name().to_string_lossy().into_owned();
            if let Some(hv) = file.strip_suffix(".flows") {
                let name = format!("{}/{hv}", entry.file_name().unwrap().to_string_lossy());
                cases.push(Case { name, folder: entry.clone(), hv: hv.to_owned() });
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    fn file(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.hv))
    }

    /// Translates, and compares.
    fn run(&self) -> Result<Comparison, String> {
        let program = std::env::var("OVN_AGENT_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ovn-agent").to_owned());
        let output = Command::new(program)
            .args(["translate", "--sb"])
            .arg(self.file("sb.json"))
            .arg("--ovs")
            .arg(self.file("ovs.json"))
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        // Flows, groups and meters come one after the other and tell themselves apart.
        let text = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
        let expected =
            ["flows", "groups", "meters"].map(|suffix| std::fs::read_to_string(self.file(suffix)).unwrap_or_default());
        let mut actual = flows(&text, &groups(&text), &meters(&text));
        let mut expected = flows(&expected[0], &groups(&expected[1]), &meters(&expected[2]));
        expected.retain(|flow, _| !LEARNED.contains(&flow.table) || flow.cookie != "0x0" || actual.contains_key(flow));
        let total = expected.values().sum();
        let mut missing = Vec::new();
        for (flow, count) in expected {
            let have = actual.remove(&flow).unwrap_or(0);
            missing.extend(std::iter::repeat_n(flow.clone(), count.saturating_sub(have)));
            if have > count {
                actual.insert(flow, have - count);
            }
        }
        let extra = actual.into_iter().flat_map(|(flow, count)| std::iter::repeat_n(flow, count)).collect();
        Ok(Comparison { total, missing, extra })
    }
}

/// What differs.
struct Comparison {
    total: usize,
    missing: Vec<Flow>,
    extra: Vec<Flow>,
}

impl Comparison {
    fn is_equal(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty()
    }

    fn show(&self, most: usize) -> String {
        let mut lines = Vec::new();
        for (sign, flows) in [('-', &self.missing), ('+', &self.extra)] {
            let mut flows: Vec<&Flow> = flows.iter().collect();
            flows.sort();
            lines.extend(flows.iter().take(most).map(|f| {
                format!(
                    "{sign} cookie={}, table={}, priority={},{} actions={}",
                    f.cookie, f.table, f.priority, f.match_, f.actions
                )
            }));
            if flows.len() > most {
                lines.push(format!("{sign} ... {} more", flows.len() - most));
            }
        }
        lines.join("\n")
    }
}

/// A flow in the form that is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Flow {
    table: u8,
    priority: u16,
    cookie: String,
    match_: String,
    actions: String,
}

/// What groups are, by id: without the ids of their buckets, which say only in which order the buckets came.
fn groups(text: &str) -> HashMap<&str, String> {
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
fn meters(text: &str) -> HashMap<&str, String> {
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

fn flows(text: &str, groups: &HashMap<&str, String>, meters: &HashMap<&str, String>) -> HashMap<Flow, usize> {
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
