//! Topologies as text: a command a line, in files of the folder `topologies`.
//!
//! | line | meaning |
//! |---|---|
//! | `nb COMMAND` | `ovn-nbctl COMMAND`; lines that follow each other are one transaction |
//! | `sb COMMAND` | `ovn-sbctl COMMAND` |
//! | `vs COMMAND` | `ovs-vsctl COMMAND` on the hypervisor |
//! | `link SWITCH PORT` | a port `SWITCH-PORT` of the switch that leads to the router port `PORT` |
//! | `vif NAME` | an interface for the logical port `NAME` on the hypervisor |
//! | `chassis NAME IP [TYPE]` | a chassis elsewhere that has all features of today; its tunnels are of that type, or geneve |
//! | `bind PORT CHASSIS` | `PORT` is there |
//! | `sync` | ends a transaction |
//! | `since RELEASE LINE` | `LINE`, when ovn-northd is of that release or newer |
//!
//! Arguments are quoted as in a shell. `$dp(NAME)`, `$dpkey(NAME)` and `$portkey(NAME)` stand for the UUID and the tunnel key
//! of a datapath, and for the tunnel key of a port.

use crate::common::process::run;
use crate::common::{Cloud, Hypervisor};
use crate::layout::Release;

/// `other_config` of a chassis that lacks nothing that ovn-northd asks for.
const FEATURES: &[&str] = &[
    "port-up-notif",
    "ct-no-masked-label",
    "ovn-ct-lb-related",
    "mac-binding-timestamp",
    "fdb-timestamp",
    "ls-dpg-column",
    "ct-commit-nat-v2",
    "ct-commit-to-zone",
    "ct-next-zone",
    "sample-with-registers",
    "ct-label-flush",
    "ct-state-save",
];

/// One command.
struct Line {
    program: String,
    arguments: Vec<String>,
}

/// Runs the Northbound and Southbound part.
pub fn build(cloud: &Cloud, text: &str, release: Release) {
    let mut pending: Vec<String> = Vec::new();
    for line in lines(text, release) {
        let Line { program, arguments } = line;
        if program != "nb" && program != "link" {
            flush(cloud, &mut pending);
        }
        let of = |at: usize| arguments[at].clone();
        match program.as_str() {
            "nb" => join(&mut pending, arguments),
            "link" => {
                let (switch, port) = (of(0), of(1));
                let text = format!(
                    "lsp-add {switch} {switch}-{port} -- lsp-set-type {switch}-{port} router -- \
                     lsp-set-addresses {switch}-{port} router -- lsp-set-options {switch}-{port} router-port={port}"
                );
                join(&mut pending, text.split_whitespace().map(str::to_owned).collect());
            }
            "sb" => {
                let arguments: Vec<String> = arguments.iter().map(|word| substituted(cloud, word)).collect();
                cloud.sbctl_words(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            }
            "chassis" => {
                let features: Vec<String> =
                    FEATURES.iter().map(|feature| format!("other_config:{feature}=true")).collect();
                let (name, address) = (of(0), of(1));
                let features = features.join(" ");
                let kind = arguments.get(2).map_or("geneve", String::as_str);
                cloud.sbctl(&format!("chassis-add {name} {kind} {address} -- set Chassis {name} {features}"));
            }
            "bind" => {
                cloud.nbctl("--wait=sb sync");
                cloud.sbctl(&format!("lsp-bind {} {}", of(0), of(1)));
            }
            "sync" | "vs" | "vif" => {}
            _ => panic!("no such command: {program}"),
        }
    }
    flush(cloud, &mut pending);
    cloud.nbctl("--wait=sb sync");
}

/// Runs the part that concerns the hypervisor's own database.
pub fn plug(hypervisor: &Hypervisor, text: &str, release: Release) {
    hypervisor
        .vsctl("--may-exist add-br br-int -- set Bridge br-int fail_mode=secure other_config:disable-in-band=true");
    for Line { program, arguments } in lines(text, release) {
        match program.as_str() {
            "vs" => {
                let database = format!("--db={}", hypervisor.database.remote());
                let words: Vec<&str> = [database.as_str(), "--timeout=30"]
                    .into_iter()
                    .chain(arguments.iter().map(String::as_str))
                    .collect();
                run("ovs-vsctl", &hypervisor.folder, &words);
            }
            "vif" => hypervisor.add_vif(&format!("tap-{}", arguments[0]), &arguments[0]),
            _ => {}
        }
    }
}

fn lines(text: &str, release: Release) -> Vec<Line> {
    let meant = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut lines = Vec::new();
    for line in meant {
        let mut words = words(line);
        if words[0] == "since" {
            if release < words[1].parse().unwrap() {
                continue;
            }
            words.drain(..2);
        }
        lines.push(Line { program: words.remove(0), arguments: words });
    }
    lines
}

fn join(pending: &mut Vec<String>, arguments: Vec<String>) {
    if !pending.is_empty() {
        pending.push("--".to_owned());
    }
    pending.extend(arguments);
}

fn flush(cloud: &Cloud, pending: &mut Vec<String>) {
    if !pending.is_empty() {
        // The first `--` keeps options of the first command from being taken for the program's.
        let words: Vec<&str> = std::iter::once("--").chain(pending.iter().map(String::as_str)).collect();
        cloud.nbctl_words(&words);
        pending.clear();
    }
}

/// A shell's words, of quotes and blanks alone.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    assert!(quote.is_none(), "unfinished quotes: {line}");
    words
}

/// Puts values in the place of `$dp(...)` and its like.
fn substituted(cloud: &Cloud, word: &str) -> String {
    let named = |name: &str| format!("external_ids:name={name}");
    for (key, table, column) in [
        ("$dp(", "Datapath_Binding", "_uuid"),
        ("$dpkey(", "Datapath_Binding", "tunnel_key"),
        ("$portkey(", "Port_Binding", "tunnel_key"),
    ] {
        if let Some((before, rest)) = word.split_once(key) {
            let (name, after) = rest.split_once(')').unwrap();
            let condition = if table == "Port_Binding" { format!("logical_port={name}") } else { named(name) };
            cloud.nbctl("--wait=sb sync");
            return format!("{before}{}{after}", cloud.sb_find(column, table, &condition));
        }
    }
    word.to_owned()
}
