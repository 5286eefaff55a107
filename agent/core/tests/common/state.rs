//! Everything an agent wants, in comparable form ([`State`]), and a switch that is told the differences ([`Switch`]).

use ofproto_client::{Flow, Match};
use ovn_core::Agent;
use ovn_core::switch::{FlowId, FlowTable};
use ovsdb::Str;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Everything an agent wants. No row id, node id or order of evaluation may show in it.
#[derive(PartialEq)]
pub struct State {
    flows: BTreeMap<FlowKey, Wanted>,
    groups: Vec<(u32, Str)>,
    meters: Vec<String>,
    southbound: Vec<String>,
    local: Vec<String>,
    diagnostics: Vec<String>,
}

impl State {
    /// What `agent` wants now; it must have settled.
    pub fn of(agent: &Agent) -> State {
        assert!(agent.is_settled());
        let table = agent.flows();
        let flows = table.iter_desired().map(|id| entry(table, id).unwrap()).collect();
        let (southbound, local) = agent.transactions();
        let sorted = |transaction: ovsdb::transaction::Transaction| {
            let mut operations: Vec<String> = transaction.operations.iter().map(|one| format!("{one:?}")).collect();
            operations.sort();
            operations
        };
        let mut diagnostics: Vec<String> = agent.diagnostics().into_iter().map(|(_, line)| line).collect();
        diagnostics.sort();
        State {
            flows,
            groups: agent.desired_groups(),
            meters: agent.desired_meters().iter().map(ToString::to_string).collect(),
            southbound: sorted(southbound),
            local: sorted(local),
            diagnostics,
        }
    }

    /// This without diagnostics: of what is not here there is nothing to be said.
    pub fn without_diagnostics(mut self) -> State {
        self.diagnostics.clear();
        self
    }

    /// How many flows.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// How many operations on the databases.
    pub fn operations(&self) -> usize {
        self.southbound.len() + self.local.len()
    }

    /// How many diagnostics.
    pub fn diagnostics(&self) -> usize {
        self.diagnostics.len()
    }

    /// How many groups and meters.
    pub fn groups_and_meters(&self) -> (usize, usize) {
        (self.groups.len(), self.meters.len())
    }

    /// The first differences, `-` for what only `self` has and `+` for what only `other` has, flows with the units that want them.
    pub fn differences(&self, agent: &Agent, other: &State, other_agent: &Agent) -> String {
        let mut text = String::new();
        let mut lines = 0;
        let mut line = |sign: char, what: &str, of: String| {
            lines += 1;
            if lines <= 40 {
                writeln!(text, "{sign} {what}: {of}").unwrap();
            }
        };
        for (key, value) in &self.flows {
            if other.flows.get(key) != Some(value) {
                line('-', "flow", show(agent, key));
            }
        }
        for (key, value) in &other.flows {
            if self.flows.get(key) != Some(value) {
                line('+', "flow", show(other_agent, key));
            }
        }
        let groups = |state: &State| state.groups.iter().map(|(id, text)| format!("{id} {text}")).collect::<Vec<_>>();
        for (what, mine, theirs) in [
            ("group", groups(self), groups(other)),
            ("meter", self.meters.clone(), other.meters.clone()),
            ("southbound", self.southbound.clone(), other.southbound.clone()),
            ("local", self.local.clone(), other.local.clone()),
            ("diagnostic", self.diagnostics.clone(), other.diagnostics.clone()),
        ] {
            mine.iter().filter(|one| !theirs.contains(one)).for_each(|one| line('-', what, one.clone()));
            theirs.iter().filter(|one| !mine.contains(one)).for_each(|one| line('+', what, one.clone()));
            if mine.len() != theirs.len() {
                line(' ', what, format!("{} against {}", mine.len(), theirs.len()));
            }
        }
        text
    }
}

/// Table, priority, match.
type FlowKey = (u8, u16, Vec<u8>);
/// Cookie, actions.
type Wanted = (u64, Vec<u8>);

fn entry(table: &FlowTable, id: FlowId) -> Option<(FlowKey, Wanted)> {
    let (number, priority, match_) = table.flow_key(id)?;
    let desired = table.desired(id)?;
    Some(((number, priority, match_.as_bytes().to_vec()), (desired.cookie, desired.actions.as_bytes().to_vec())))
}

fn show(agent: &Agent, key: &FlowKey) -> String {
    let table = agent.flows();
    let same = |id: &FlowId| {
        table.flow_key(*id).is_some_and(|(number, priority, match_): (u8, u16, &Match)| {
            (number, priority) == (key.0, key.1) && match_.as_bytes() == key.2
        })
    };
    let Some(id) = table.iter_desired().find(same) else { return format!("{key:?}") };
    let (number, priority, match_) = table.flow_key(id).unwrap();
    let desired = table.desired(id).unwrap();
    let flow =
        Flow { table: number, priority, cookie: desired.cookie, match_: match_.clone(), actions: desired.actions };
    let owners: Vec<String> = table.owners(id).map(|owner| format!("{:?}", agent.node(owner))).collect();
    format!("{flow}   wanted by {}", owners.join(", "))
}

/// A switch that carries out the changes it is told, and nothing else.
#[derive(Default)]
pub struct Switch {
    flows: BTreeMap<FlowKey, Wanted>,
    /// Flow mods received.
    pub flow_mods: usize,
}

impl Switch {
    /// Gives the switch what changed since the last call; it must then have exactly what is wanted.
    pub fn update(&mut self, agent: &mut Agent) -> usize {
        use ovn_core::switch::{Change, Installed};
        let (table, pools, _) = agent.switch_side();
        let before = self.flow_mods;
        for id in table.take_changed() {
            let Some(change) = table.change(id) else { continue };
            self.flow_mods += 1;
            let (number, priority, match_) = table.flow_key(id).unwrap();
            let key = (number, priority, match_.as_bytes().to_vec());
            let installed: Option<Installed> = match change {
                Change::Add(flow) => {
                    assert!(!self.flows.contains_key(&key), "added twice");
                    Some(flow)
                }
                Change::Modify(flow) => Some(flow),
                Change::Delete => None,
            };
            match &installed {
                Some(flow) => self.flows.insert(key, (flow.cookie, flow.actions.as_bytes().to_vec())),
                None => self.flows.remove(&key),
            };
            table.set_installed(id, installed);
        }
        pools.groups.take_changed();
        pools.meters.take_changed();
        self.flow_mods - before
    }

    /// Whether the switch has exactly these flows.
    pub fn agrees(&self, state: &State) -> bool {
        self.flows == state.flows
    }
}
