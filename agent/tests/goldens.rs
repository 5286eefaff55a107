//! `ovn-agent translate` against what ovn-controller installed: our own recorded cases in testdata/translate, which must be
//! equal, and the large collection in ../shared/goldens where it is present, which must be as equal as testdata/golden-floor
//! says. Whoever makes it better raises the numbers there.
//!
//! What counts as equal: flows as a multiset in the form of `common/canonical.rs`; flows that the switch learned by itself left
//! out.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]
#![allow(clippy::print_stdout, reason = "figures and notices of a test")]

#[path = "common/canonical.rs"]
mod canonical;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use canonical::{Flow, flows, groups, meters};

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
            lines.extend(flows.iter().take(most).map(|flow| format!("{sign} {flow}")));
            if flows.len() > most {
                lines.push(format!("{sign} ... {} more", flows.len() - most));
            }
        }
        lines.join("\n")
    }
}
