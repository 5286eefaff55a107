//! The vectors in `testdata/lang/actions*.txt`: action text to canonical text, OpenFlow, prerequisites, or error.
//!
//! An unindented line is an input; `% words` sets the parameters for what follows (see [`Setup::apply`]), `#` comments.
//! The indented lines below an input are the result:
//! `text` canonical text if it differs, `reparse` why that cannot be read again, `flow` OpenFlow actions, `need` prerequisites, `group` and `meter` descriptions,
//! or `error OFFSET MESSAGE`. `UPDATE_VECTORS=1 cargo test -p ovn-lang --test action_vectors` rewrites the results.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ofproto_client::{Action, ActionList};
use ovn_lang::actions::{N_ACTIONS, NatZone};
use ovn_lang::{
    ActionParse, ActionsDisplay, EncodeContext, EncodeParams, LogicalAction, OptionTable, Pipeline, SymbolTable,
    encode_actions, parse_actions,
};

#[derive(Clone)]
struct Setup {
    table: u8,
    n_tables: u8,
    params: EncodeParams,
}

impl Setup {
    fn new() -> Setup {
        Setup {
            table: 10,
            n_tables: Pipeline::Ingress.n_tables(),
            params: EncodeParams {
                is_switch: true,
                datapath_key: 0xab_cdef,
                lflow_uuid: [
                    0xaa, 0xaa, 0xaa, 0xaa, 0xbb, 0xbb, 0xbb, 0xbb, 0xcc, 0xcc, 0xcc, 0xcc, 0xdd, 0xdd, 0xdd, 0xdd,
                ],
                pipeline: Pipeline::Ingress,
                common_nat_zone: NatZone::Dnat,
                ct_zero_snat: false,
                explicit_arp_ns_output: true,
                register_consolidation: true,
                dp_hash_l4_symmetric: false,
                meters_supported: true,
                controller_meter: 0,
            },
        }
    }

    /// `% egress router table=3 ...`
    fn apply(words: &str) -> Setup {
        let mut setup = Setup::new();
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "egress" => {
                    setup.params.pipeline = Pipeline::Egress;
                    setup.n_tables = Pipeline::Egress.n_tables();
                }
                "router" => setup.params.is_switch = false,
                "snat_ct_zone" => setup.params.common_nat_zone = NatZone::Snat,
                "ct_zero_snat" => setup.params.ct_zero_snat = true,
                "implicit_output" => setup.params.explicit_arp_ns_output = false,
                "old_registers" => setup.params.register_consolidation = false,
                "l4_symmetric" => setup.params.dp_hash_l4_symmetric = true,
                "no_meters" => setup.params.meters_supported = false,
                "meter" => setup.params.controller_meter = value.parse().unwrap(),
                "table" => setup.table = value.parse().unwrap(),
                "n_tables" => setup.n_tables = value.parse().unwrap(),
                _ => panic!("unknown parameter {word}"),
            }
        }
        setup
    }
}

#[derive(Default)]
struct Context {
    groups: Vec<String>,
    meters: Vec<String>,
}

impl EncodeContext for Context {
    fn port_key(&mut self, name: &str) -> Option<u32> {
        match name {
            "eth0" => Some(5),
            "eth1" => Some(6),
            "LOCAL" => Some(0xfffe),
            "lsp1" => Some(0x11),
            _ => None,
        }
    }

    fn is_local_backend(&mut self, lport: &str) -> bool {
        lport.starts_with("lsp")
    }

    fn tunnel_ofport(&mut self, lport: &str) -> Option<u16> {
        (lport != "LOCAL").then_some(5)
    }

    fn group_id(&mut self, key: &str) -> Option<u32> {
        self.groups.push(key.to_owned());
        Some(self.groups.len() as u32)
    }

    fn meter_id(&mut self, name: &str) -> Option<u32> {
        (name != "exhausted").then(|| {
            self.meters.push(name.to_owned());
            self.meters.len() as u32
        })
    }

    fn collector_set_exists(&mut self, id: u32) -> bool {
        id == 0 || id == 200
    }
}

/// The indented lines for one input.
fn render(input: &str, setup: &Setup, kinds: &mut BTreeSet<&'static str>) -> String {
    let (dhcp_v4, dhcp_v6) = (OptionTable::default_dhcp_v4(), OptionTable::default_dhcp_v6());
    let params = ActionParse {
        symbols: SymbolTable::main(),
        dhcp_v4: &dhcp_v4,
        dhcp_v6: &dhcp_v6,
        pipeline: setup.params.pipeline,
        table: setup.table,
        n_tables: setup.n_tables,
    };
    let (actions, prereqs) = match parse_actions(input, &params) {
        Ok(parsed) => parsed,
        Err(error) => return format!("  error {} {error}\n", error.offset),
    };
    note_kinds(&actions, kinds);
    let text = ActionsDisplay(&actions).to_string();
    let mut out = String::new();
    if text != input {
        writeln!(out, "  text {text}").unwrap();
    }
    match parse_actions(&text, &params) {
        Ok((again, _)) => {
            assert_eq!(ActionsDisplay(&again).to_string(), text, "canonical text of {input} is not stable")
        }
        // OVN prints a few things that it does not accept.
        Err(error) => writeln!(out, "  reparse {} {error}", error.offset).unwrap(),
    }
    let mut context = Context::default();
    let mut flow: Vec<Action> = Vec::new();
    encode_actions(&actions, &setup.params, &mut context, &mut flow);
    writeln!(out, "  flow {}", ActionList::from(&flow[..])).unwrap();
    context.groups.iter().for_each(|group| writeln!(out, "  group {group}").unwrap());
    context.meters.iter().for_each(|meter| writeln!(out, "  meter {meter}").unwrap());
    if let Some(prereqs) = prereqs {
        writeln!(out, "  need {prereqs}").unwrap();
    }
    out
}

fn note_kinds(actions: &[LogicalAction], kinds: &mut BTreeSet<&'static str>) {
    for action in actions {
        kinds.insert(action.kind());
        if let LogicalAction::Nest { actions, .. } = action {
            note_kinds(actions, kinds);
        }
    }
}

/// The file with all results computed anew.
fn recompute(text: &str, kinds: &mut BTreeSet<&'static str>) -> String {
    let mut setup = Setup::new();
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(out, "{line}").unwrap();
        if let Some(words) = line.strip_prefix('%') {
            setup = Setup::apply(words);
        } else if !line.is_empty() && !line.starts_with('#') {
            out.push_str(&render(line, &setup, kinds));
        }
    }
    out
}

#[test]
fn vectors() {
    let update = std::env::var_os("UPDATE_VECTORS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lang");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("actions")))
        .collect();
    files.sort();
    let mut kinds = BTreeSet::new();
    for path in files {
        let expected = std::fs::read_to_string(&path).unwrap();
        let found = recompute(&expected, &mut kinds);
        if update {
            std::fs::write(&path, found).unwrap();
            continue;
        }
        for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
            assert_eq!(expected, found, "{}:{}", path.display(), number + 1);
        }
        assert_eq!(expected.len(), found.len(), "{}: lines missing", path.display());
    }
    assert_eq!(kinds.len(), N_ACTIONS, "kinds covered: {kinds:?}");
}
