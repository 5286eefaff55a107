//! [`Agent`]: the core as its drivers see it. It does no I/O and has no clock.
//!
//! There are four kinds of method, as in a sans-IO protocol: *inputs* (`southbound`, `local`, `set_external`, ...) take what was
//! observed; [`Agent::work`] derives, a slice at a time; *outputs* (`flows`, `take_operations`, ...) give what the targets should
//! hold; the rest look. Inputs may come in any order; outputs mean something once [`Agent::is_settled`].

use ofproto_client::Meter;
use ovsdb::transaction::{Operation, Transaction};
use ovsdb::{RowId, Str, Uuid};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use ovsdb::tables::{Database, local, southbound};

use crate::ahead::{self, Ahead, Threads};
use crate::asked::Asked;
use crate::caches::Caches;
use crate::changes::{self, UnitChanges};
use crate::engine::{ALL, Graph, Key, NodeId, NodeKey, Tally, WorkCounters};
use crate::facts::{EvpnNetworks, LocalDatapaths, PortsHere};
use crate::kernel::{Neighbour, NeighbourTable};
use crate::membership::Membership;
use crate::model::{External, ExternalKey, Model};
use crate::pools::Pools;
use crate::reader::{Reader, Shared, installed, run_fact};
use crate::switch::{FlowId, FlowTable};
use crate::units::{self, EvpnUnit, Held, HeldRest, Output, UnitKey};
use crate::writeback::{self, TunnelNumbers, WriteKey};

/// The agent's state: what was observed, what was derived from it, and why.
#[derive(Default)]
pub struct Agent {
    model: Model,
    graph: RefCell<Graph>,
    pools: RefCell<Pools>,
    caches: RefCell<Caches>,
    asked: RefCell<Asked>,
    flows: FlowTable,
    membership: Membership,
    numbers: TunnelNumbers,
    /// Units that want something written.
    writing: BTreeSet<NodeId>,
    /// Units that have something to say.
    complaining: BTreeSet<NodeId>,
    /// The VNIs that have a unit.
    vnis: BTreeSet<u32>,
    /// Units that are still to be made: when a datapath becomes local there may be a hundred thousand at once.
    coming: VecDeque<UnitKey>,
    threads: Threads,
}

/// So many flows cost as much as another node.
const FLOWS_PER_NODE: usize = 8;

/// The units of which there is exactly one, but for those that write.
const SINGLE: &[UnitKey] = &[
    UnitKey::LocalDatapathMembers,
    UnitKey::EvpnNetworks,
    UnitKey::Interest,
    UnitKey::Fixed,
    UnitKey::Tunnels,
    UnitKey::Meters,
];

/// What each unit wants done to a database.
pub type Writes = Vec<(NodeId, Transaction)>;

/// How far [`Agent::work`] got.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is used up and there is more to do.
    More,
    /// Everything derived agrees with everything observed.
    Settled,
}

impl Agent {
    /// An agent that has observed nothing but `external`.
    pub fn new(external: External) -> Self {
        let mut agent = Self { model: Model { external, ..Model::default() }, ..Self::default() };
        agent.limit_pools();
        {
            let mut graph = agent.graph.borrow_mut();
            for unit in SINGLE {
                graph.intern(NodeKey::Unit(unit.clone()));
            }
            for write in WriteKey::SINGLE {
                graph.intern(NodeKey::Unit(UnitKey::Write(write.clone())));
            }
        }
        agent
    }

    // ===== inputs =====

    /// Rows of the Southbound changed.
    pub fn southbound(&mut self, updates: southbound::Updates) {
        let changes = self.model.sb.apply(updates);
        self.southbound_changed(&changes);
    }

    /// The Southbound was fetched anew: this is all of it. Only what differs from the replica has any effect.
    pub fn southbound_replaced(&mut self, updates: southbound::Updates) {
        let changes = self.model.sb.replace(updates);
        self.southbound_changed(&changes);
    }

    /// Rows of the local database changed.
    pub fn local(&mut self, updates: local::Updates) {
        let changes = self.model.local.apply(updates);
        self.local_changed(&changes);
    }

    /// The local database was fetched anew: this is all of it.
    pub fn local_replaced(&mut self, updates: local::Updates) {
        let changes = self.model.local.replace(updates);
        self.local_changed(&changes);
    }

    /// Starts from replicas that were filled elsewhere (database files). Only before anything else was observed.
    pub fn adopt_replicas(&mut self, sb: southbound::Southbound, local: local::Local) {
        self.model.sb = sb;
        self.model.local = local;
        self.numbers = TunnelNumbers::of(&self.model.local);
        self.coming.extend(changes::all_units(&self.model));
        self.recompute();
    }

    /// Makes the choice among lflows that want the same match as ovn-controller would after a full recompute, see
    /// [`FlowTable::follow_hash_order`]. It depends on the number of rows, so only for replicas that do not change any more.
    pub fn follow_hash_order(&mut self) {
        self.flows.follow_hash_order(self.model.sb.logical_flow.len());
    }

    /// A neighbour table of a device of the kernel was read: these are its entries. Only what differs from the last time has any
    /// effect. See [`crate::facts::EvpnDevices`] for the tables that matter.
    pub fn neighbours(&mut self, device: &Str, table: NeighbourTable, entries: &[Neighbour]) {
        let changes = self.model.kernel.observe(device, table, entries);
        for key in changes.keys {
            self.graph.get_mut().changed(key, ALL);
        }
        self.change_units(UnitChanges::evpn(changes.add, changes.remove));
    }

    /// Changes what comes from neither database; what differs wakes its readers.
    pub fn set_external(&mut self, change: impl FnOnce(&mut External)) {
        let old = self.model.external.clone();
        change(&mut self.model.external);
        let new = &self.model.external;
        let graph = self.graph.get_mut();
        let differs = [
            (ExternalKey::Config, old.config != new.config),
            (ExternalKey::Features, old.features != new.features),
            (ExternalKey::GeneveOption, old.geneve_option != new.geneve_option),
            (ExternalKey::AcknowledgedNbCfg, old.acknowledged_nb_cfg != new.acknowledged_nb_cfg),
            (ExternalKey::NatZonesInUse, old.zones_in_use.nat != new.zones_in_use.nat),
            (ExternalKey::PortZonesInUse, old.zones_in_use.ports != new.zones_in_use.ports),
            (ExternalKey::FlushedZones, old.flushed_zones != new.flushed_zones),
            (ExternalKey::LocalSchema, old.local_schema != new.local_schema),
            (ExternalKey::WantedNextCfg, old.wanted_next_cfg != new.wanted_next_cfg),
            (ExternalKey::FormerName, old.former_name != new.former_name),
            (ExternalKey::Representors, old.representors != new.representors),
            (ExternalKey::SwitchLost, old.switch_lost != new.switch_lost),
        ];
        for (key, _) in differs.into_iter().filter(|(_, differs)| *differs) {
            graph.changed(Key::External(key as u8), ALL);
        }
        let (old, new) = (&old.installed_ports, &new.installed_ports);
        if old != new {
            let lost = old.keys().filter(|lport| !new.contains_key(*lport));
            let differ = new.iter().filter(|(lport, plug)| old.get(*lport) != Some(plug)).map(|(lport, _)| lport);
            lost.chain(differ).for_each(|lport| graph.changed(installed(lport), ALL));
        }
        self.limit_pools();
    }

    /// The time for timestamps that are written to a database. A later time alone wakes nothing.
    pub fn set_wall_clock_ms(&mut self, now: i64) {
        self.model.external.wall_clock_ms = now;
    }

    /// Runs every unit again: the `recompute` command and the oracle tests. Changes nothing.
    pub fn recompute(&mut self) {
        self.graph.get_mut().mark_all_dirty();
    }

    /// How many threads may compile the texts of logical flows, this one included. The result does not depend on it.
    pub fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
    }

    // ===== work =====

    /// Runs at most `budget` dirty nodes, fewer if they make many flows.
    pub fn work(&mut self, mut budget: usize) -> Progress {
        while budget > 0 {
            let slice = budget.min(ahead::SLICE);
            budget -= slice;
            // More than are run, so that there is something to look ahead to.
            self.admit(slice * 4);
            let plan = Ahead::plan(self.threads, slice, self.graph.get_mut(), &self.model, self.caches.get_mut());
            let (progress, compiled) = plan.compile(|| self.run(slice));
            if progress == Progress::Settled {
                return progress;
            }
            self.graph.get_mut().counters.ahead += compiled.len() as u64;
            let caches = self.caches.get_mut();
            compiled.into_iter().for_each(|(text, compiled)| caches.insert(text, compiled));
        }
        if self.is_settled() && self.caches.get_mut().free() { Progress::Settled } else { Progress::More }
    }

    /// Runs at most `slice` dirty nodes, and tidies up when there are no more.
    fn run(&mut self, slice: usize) -> Progress {
        let (mut spent, claims) = (0, self.flows.claims_made());
        while spent + (self.flows.claims_made() - claims) / FLOWS_PER_NODE < slice {
            spent += 1;
            let Some(id) = self.graph.get_mut().next_dirty() else {
                if self.coming.is_empty() {
                    self.sweep();
                    return if self.caches.get_mut().free() { Progress::Settled } else { Progress::More };
                }
                self.admit(slice);
                continue;
            };
            self.run_node(id);
        }
        Progress::More
    }

    fn run_node(&mut self, id: NodeId) {
        let Some(key) = self.graph.get_mut().key(id).cloned() else { return };
        match key {
            NodeKey::Fact(fact) => {
                let shared = self.shared();
                run_fact(&shared, id, &fact);
            }
            NodeKey::Unit(UnitKey::LocalDatapathMembers) => self.run_members(id),
            NodeKey::Unit(UnitKey::EvpnNetworks) => self.run_evpn_networks(id),
            NodeKey::Unit(unit) => self.run_unit(id, &unit),
        }
    }

    /// Runs at most `budget` dirty facts. When that settles them, [`Agent::ask`] gives what follows from all that was observed,
    /// for facts that nobody else waits for.
    pub fn work_facts(&mut self, budget: usize) -> Progress {
        for _ in 0..budget {
            let Some(id) = self.graph.get_mut().next_dirty_fact() else { return Progress::Settled };
            self.run_node(id);
        }
        Progress::More
    }

    /// Whether there is nothing to do for [`Agent::work_facts`]: what [`Agent::ask`] gives is complete.
    pub fn has_settled_facts(&self) -> bool {
        self.graph.borrow().has_settled_facts()
    }

    /// Derives what the databases should hold, which does not depend on flows, and leaves the flows for later.
    pub fn settle_writes(&mut self) {
        loop {
            self.admit(usize::MAX);
            let Some(id) = self.graph.get_mut().next_dirty_beside_flows() else { return };
            self.run_node(id);
        }
    }

    /// Makes at most `n` of the units that are still to be made.
    fn admit(&mut self, n: usize) {
        let graph = self.graph.get_mut();
        for unit in self.coming.drain(..n.min(self.coming.len())) {
            graph.intern(NodeKey::Unit(unit));
        }
    }

    /// Works until there is nothing left to do.
    pub fn settle(&mut self) {
        while self.work(usize::MAX) == Progress::More {}
    }

    /// Whether everything derived agrees with everything observed.
    pub fn is_settled(&self) -> bool {
        self.coming.is_empty() && self.graph.borrow().is_settled()
    }

    // ===== outputs =====

    /// Desired and installed flows.
    pub fn flows(&self) -> &FlowTable {
        &self.flows
    }

    /// Desired and installed flows, and the ids they refer to, for the switch session.
    pub fn switch_side(&mut self) -> (&mut FlowTable, &mut Pools, &Model) {
        (&mut self.flows, self.pools.get_mut(), &self.model)
    }

    /// What should be done to the Southbound and to the local database now, all of it together.
    pub fn transactions(&self) -> (Transaction, Transaction) {
        let together = |parts: Writes| Transaction {
            operations: parts.into_iter().flat_map(|(_, part)| part.operations).collect(),
        };
        let (southbound, local) = self.writes();
        (together(southbound), together(local))
    }

    /// The same, each unit's by itself: what one unit wants must not fail because of what another wants. A remark that several
    /// have is in the first.
    pub fn writes(&self) -> (Writes, Writes) {
        let graph = self.graph.borrow();
        let held = || self.writing.iter().filter_map(|&id| Some((id, graph.held(id)?.rest.as_ref()?)));
        let tunnels = held().flat_map(|(id, rest)| rest.new_tunnels.iter().map(move |tunnel| (id, tunnel)));
        let mut tunnels = writeback::create_tunnels(&self.model.local, &self.numbers, tunnels.collect());
        let (mut southbound, mut local) = (Vec::new(), Vec::new());
        for (id, rest) in held() {
            southbound.extend((!rest.southbound.is_empty()).then(|| (id, rest.southbound.clone())));
            let mut here = rest.local.clone();
            here.operations.extend(tunnels.remove(&id).unwrap_or_default().operations);
            local.extend((!here.is_empty()).then_some((id, here)));
        }
        for parts in [&mut southbound, &mut local] {
            let mut said: BTreeSet<String> = BTreeSet::new();
            for (_, part) in parts.iter_mut() {
                part.operations.retain(|operation| match operation {
                    Operation::Comment(text) => said.insert(text.clone()),
                    _ => true,
                });
            }
        }
        (southbound, local)
    }

    /// What could not be used, and why: one line each, with the unit that found it.
    pub fn diagnostics(&self) -> Vec<(NodeId, String)> {
        let graph = self.graph.borrow();
        let mut all: Vec<(NodeId, String)> = self
            .complaining
            .iter()
            .filter_map(|&id| Some((id, graph.held(id)?.rest.as_ref()?)))
            .flat_map(|(id, rest)| rest.diagnostics.iter().map(move |text| (id, text.clone())))
            .collect();
        all.sort();
        all
    }

    /// The groups that flows refer to: ids and texts, by id.
    pub fn desired_groups(&self) -> Vec<(u32, Str)> {
        self.pools.borrow().groups.desired().map(|(id, text)| (id, text.clone())).collect()
    }

    /// The conjunction ids that logical flows hold: lflow, datapath, first id and number, by lflow.
    pub fn conjunctions(&self) -> Vec<(Uuid, Uuid, u32, u32)> {
        let (pools, sb) = (self.pools.borrow(), &self.model.sb);
        let named = |((lflow, datapath), start, n): ((RowId, RowId), u32, u32)| {
            (sb.logical_flow.uuid(lflow), sb.datapath_binding.uuid(datapath), start, n)
        };
        let mut all: Vec<_> = pools.conjunctions.iter().map(named).collect();
        all.sort_unstable();
        all
    }

    /// How many groups and meters flows refer to. Takes a look at each.
    pub fn id_counts(&self) -> (usize, usize) {
        let pools = self.pools.borrow();
        (pools.groups.desired().count(), pools.meters.desired().count())
    }

    /// How many ranges of conjunction ids logical flows hold.
    pub fn conjunction_ranges(&self) -> usize {
        self.pools.borrow().conjunctions.len()
    }

    /// How many compiled texts are kept: conditional expressions and normalised matches.
    pub fn cached_texts(&self) -> (usize, usize) {
        self.caches.borrow().sizes()
    }

    /// Forgets compiled texts. Costs time when they are needed again and changes nothing.
    pub fn flush_cached_texts(&mut self) {
        self.caches.get_mut().clear();
    }

    /// The meters that flows refer to: ids and names, by id.
    pub fn desired_meter_names(&self) -> Vec<(u32, Str)> {
        self.pools.borrow().meters.desired().map(|(id, name)| (id, name.clone())).collect()
    }

    /// The meters that flows refer to, by id.
    pub fn desired_meters(&self) -> Vec<Meter> {
        let graph = self.graph.borrow();
        let id = graph.find(&NodeKey::Unit(UnitKey::Meters));
        let held = id.and_then(|id| graph.held(id)).and_then(|held| held.rest.as_ref());
        held.map(|rest| rest.meter_table.clone()).unwrap_or_default()
    }

    // ===== looking =====

    /// The observations.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Asks for a fact outside any unit (control commands, tests). Nothing is recorded.
    pub fn ask<F: crate::facts::Fact>(&self, fact: F) -> F::Value {
        let shared = self.shared();
        Reader::new(&shared).fact(fact)
    }

    /// What `id` is.
    pub fn node(&self, id: NodeId) -> Option<NodeKey> {
        self.graph.borrow().key(id).cloned()
    }

    /// Work done since [`Agent::take_work`].
    pub fn work_counters(&self) -> WorkCounters {
        self.graph.borrow().counters.clone()
    }

    /// What ran since [`Agent::take_tally`] and why, by kind.
    pub fn tally(&self) -> Tally {
        self.graph.borrow().tally.clone()
    }

    /// What ran since the last call and why, by kind.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.graph.get_mut().tally)
    }

    /// The rows that want an entry of the flow table, as `Logical_Flow UUID`, `Port_Binding NAME`, ...
    pub fn owners(&self, flow: FlowId) -> Vec<String> {
        let graph = self.graph.borrow();
        let mut owners: Vec<String> = self
            .flows
            .owners(flow)
            .filter_map(|id| match graph.key(id) {
                Some(NodeKey::Unit(unit)) => Some(unit.describe(&self.model)),
                _ => None,
            })
            .collect();
        owners.sort();
        owners
    }

    /// Work done since the last call.
    pub fn take_work(&mut self) -> WorkCounters {
        std::mem::take(&mut self.graph.get_mut().counters)
    }

    /// Nodes, keys and edges kept.
    pub fn sizes(&self) -> (usize, usize, usize) {
        self.graph.borrow().sizes()
    }

    /// Bytes that nodes, keys and edges take, see [`Graph::bytes`].
    pub fn graph_bytes(&self) -> (usize, usize, usize) {
        self.graph.borrow().bytes()
    }

    /// The numbers that tunnel ports have.
    #[cfg(test)]
    pub(crate) fn tunnel_numbers(&self) -> &TunnelNumbers {
        &self.numbers
    }

    /// What a write unit wants now, by itself.
    #[cfg(test)]
    pub(crate) fn write(&self, key: &WriteKey) -> Output {
        let shared = self.shared();
        let mut out = Output::default();
        writeback::run(key, &Reader::new(&shared), &mut out);
        out
    }

    /// How many logical flow units there are (a Logical_Flow on a local datapath each), and how many units in all.
    pub fn unit_counts(&self) -> (usize, usize) {
        let graph = self.graph.borrow();
        graph.units().fold((0, 0), |(lflows, all), (_, unit)| {
            (lflows + usize::from(matches!(unit, UnitKey::LogicalFlow { .. })), all + 1)
        })
    }

    // ===== inside =====

    /// Ids that the switch has no room for are not given out.
    fn limit_pools(&mut self) {
        let features = &self.model.external.features;
        if features.known {
            let pools = self.pools.get_mut();
            pools.groups.set_limit(features.max_groups);
            pools.meters.set_limit(features.max_meters);
        }
    }

    fn southbound_changed(&mut self, changes: &[southbound::Change]) {
        let units = changes::southbound(changes, &self.model, self.graph.get_mut(), &mut self.membership);
        self.change_units(units);
    }

    fn local_changed(&mut self, changes: &[local::Change]) {
        self.numbers.observe(&self.model.local, changes);
        let units = changes::local(changes, &self.model, self.graph.get_mut());
        self.change_units(units);
    }

    fn shared(&self) -> Shared<'_> {
        let Self { model, graph, pools, caches, asked, .. } = self;
        Shared { model, graph, pools, caches, asked }
    }

    /// Settled: what nobody refers to any more goes.
    fn sweep(&mut self) {
        self.graph.get_mut().sweep_unused_facts();
        // Parsed texts are for bulk work; the few of a single change are as quickly parsed again.
        if !self.caches.get_mut().is_empty() {
            self.caches.get_mut().clear();
            self.flows.tidy_action_lists();
        }
    }

    fn run_unit(&mut self, id: NodeId, unit: &UnitKey) {
        self.graph.get_mut().begin(id);
        let mut output = Output::default();
        let mut log = {
            let shared = self.shared();
            let reader = Reader::of_node(&shared, id);
            units::run(unit, &reader, &mut output);
            reader.into_log()
        };
        let former = self.graph.get_mut().finish_unit(id, &mut log);
        let held = self.exchange(id, former, output);
        self.graph.get_mut().hold(id, held);
    }

    /// Replaces what a unit holds by its new output.
    fn exchange(&mut self, id: NodeId, former: Held, output: Output) -> Held {
        let flows = self.flows.replace(id, &former.flows, output.flows);
        let pools = self.pools.get_mut();
        for &group in &output.groups {
            pools.groups.retain(group);
        }
        let mut meters_changed = false;
        for &meter in &output.meters {
            meters_changed |= pools.meters.retain(meter);
        }
        if let Some(rest) = &former.rest {
            meters_changed |= release(pools, rest);
        }
        if meters_changed {
            self.graph.get_mut().changed(Key::External(ExternalKey::MetersInUse as u8), ALL);
        }
        let writes = !output.southbound.is_empty() || !output.local.is_empty() || !output.new_tunnels.is_empty();
        set_member(&mut self.writing, id, writes);
        set_member(&mut self.complaining, id, !output.diagnostics.is_empty());
        let bare = output.groups.is_empty()
            && output.meters.is_empty()
            && output.meter_table.is_empty()
            && !writes
            && output.diagnostics.is_empty();
        let rest = (!bare).then(|| {
            Box::new(HeldRest {
                groups: output.groups,
                meters: output.meters,
                meter_table: output.meter_table,
                southbound: output.southbound,
                local: output.local,
                new_tunnels: output.new_tunnels,
                diagnostics: output.diagnostics,
            })
        });
        Held { flows, rest }
    }

    fn remove_unit(&mut self, unit: UnitKey) {
        if let UnitKey::LogicalFlow { lflow, datapath } = unit {
            self.pools.get_mut().conjunctions.free((lflow, datapath));
        }
        let graph = self.graph.get_mut();
        if let Some(id) = graph.find(&NodeKey::Unit(unit)) {
            let held = graph.remove(id);
            self.writing.remove(&id);
            self.complaining.remove(&id);
            self.flows.replace(id, &held.flows, Vec::new());
            let pools = self.pools.get_mut();
            if held.rest.is_some_and(|rest| release(pools, &rest)) {
                self.graph.get_mut().changed(Key::External(ExternalKey::MetersInUse as u8), ALL);
            }
        }
    }

    /// What a unit reads whose output is other units.
    fn read_for<T>(&mut self, id: NodeId, read: impl FnOnce(&Reader<'_>) -> T) -> T {
        self.graph.get_mut().begin(id);
        let (value, mut log) = {
            let shared = self.shared();
            let reader = Reader::of_node(&shared, id);
            (read(&reader), reader.into_log())
        };
        self.graph.get_mut().finish_unit(id, &mut log);
        value
    }

    /// The set of VNIs may have changed.
    fn run_evpn_networks(&mut self, id: NodeId) {
        let networks = self.read_for(id, |r| r.fact(EvpnNetworks));
        let vnis: BTreeSet<u32> = networks.iter().map(|(vni, _)| *vni).collect();
        let former = std::mem::replace(&mut self.vnis, vnis.clone());
        let come = vnis.difference(&former).map(|vni| EvpnUnit::Network(*vni));
        let gone = former.difference(&vnis).map(|vni| EvpnUnit::Network(*vni));
        self.change_units(UnitChanges::evpn(come, gone));
    }

    /// The set of local datapaths may have changed: the units of what lies on them come and go.
    fn run_members(&mut self, id: NodeId) {
        let (local, here) = self.read_for(id, |r| (r.fact(LocalDatapaths), r.fact(PortsHere)));
        let delta = self.membership.local_datapaths(&self.model.sb, &local, here);
        self.change_units(delta.into());
        if !self.membership.has_all(&local) {
            self.graph.get_mut().mark_dirty(id);
        }
    }

    fn change_units(&mut self, units: UnitChanges) {
        if !units.remove.is_empty() {
            // What goes may be among what was to come.
            self.admit(usize::MAX);
        }
        for unit in units.remove {
            self.remove_unit(unit);
        }
        self.coming.extend(units.add);
    }
}

fn set_member(set: &mut BTreeSet<NodeId>, id: NodeId, member: bool) {
    if member {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}

/// Gives back the ids that a unit referred to. Says whether the set of meters in use differs now.
fn release(pools: &mut Pools, rest: &HeldRest) -> bool {
    for &group in &rest.groups {
        pools.groups.release(group);
    }
    let mut meters_changed = false;
    for &meter in &rest.meters {
        meters_changed |= pools.meters.release(meter);
    }
    meters_changed
}
