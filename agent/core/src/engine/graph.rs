//! The [`Graph`]: nodes, what each of them read, and which of them must run again.

use ovsdb::ColumnSet;
use ovsdb::segments::Segments;
use ovsdb::shards::Shards;
use std::collections::VecDeque;
use std::hash::BuildHasher;

use super::ALL;
use super::key::{Key, KeyId, Keys};
use super::tally::{Tally, table_name};
use crate::facts::{FactKey, FactValue};
use crate::units::{Held, UnitKey};

/// Dense number of a node.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Order in which dirty nodes run. It only saves work: any order ends in the same state.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stratum {
    /// Derived values.
    Facts = 0,
    /// Units that create and remove other units.
    Membership = 1,
    /// Units whose output is flows, groups and meters.
    Flows = 2,
    /// Units whose output is database operations.
    Writeback = 3,
}

const STRATA: usize = 4;

/// So many keys that were read the last time are compared with one that is read now: of a row that is gone there were two or three.
const LOOK_AHEAD: usize = 4;

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NodeKey {
    /// A memoised value.
    Fact(FactKey),
    /// A piece of output.
    Unit(UnitKey),
}

impl NodeKey {
    fn stratum(&self) -> Stratum {
        match self {
            NodeKey::Fact(_) => Stratum::Facts,
            NodeKey::Unit(unit) => unit.stratum(),
        }
    }
}

/// One read, as a node logs it while it runs.
#[derive(Copy, Clone, Debug)]
pub struct Read {
    /// What was read.
    pub key: Key,
    /// Which columns of it (rows only; [`ALL`] otherwise).
    pub columns: ColumnSet,
    /// For facts: the revision of the value that was seen.
    pub seen: u64,
}

/// How much was done, for the work-done tests and the control commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkCounters {
    /// Facts derived.
    pub facts: u64,
    /// Units run.
    pub units: u64,
    /// Things that facts and units asked for, repetitions included.
    pub reads: u64,
    /// Facts that came out as they were, so that nothing above them ran.
    pub cut_off: u64,
    /// Texts of logical flows compiled ahead of their units, by other threads.
    pub ahead: u64,
    /// Facts that asked for themselves. Always a bug in a fact's definition; the reader got the default value.
    pub cycles: u64,
}

struct Node {
    key: NodeKey,
    dirty: bool,
    running: bool,
    /// In the order in which they were first asked for.
    reads: Box<[KeyId]>,
    state: State,
}

/// A key that a node reads.
#[derive(Copy, Clone)]
struct Edge {
    key: KeyId,
    columns: ColumnSet,
    /// When it was asked for, among what the node asked for.
    order: u32,
}

/// What a node has come to.
enum State {
    /// The value and the revision at which it last changed.
    Fact(Option<FactValue>, u64),
    Unit(Held),
}

impl State {
    fn of(key: &NodeKey) -> Self {
        match key {
            NodeKey::Fact(_) => State::Fact(None, 0),
            NodeKey::Unit(_) => State::Unit(Held::default()),
        }
    }
}

/// Nodes and edges. Holds no database and derives nothing itself: [`crate::agent::Agent`] runs the nodes.
#[derive(Default)]
pub struct Graph {
    nodes: Segments<Option<Node>>,
    free: Vec<u32>,
    table: Shards<u32>,
    hasher: rustc_hash::FxBuildHasher,
    keys: Keys,
    queues: [VecDeque<NodeId>; STRATA],
    unused: Vec<NodeId>,
    revision: u64,
    /// Work done since the counters were last taken.
    pub counters: WorkCounters,
    /// What ran since it was last taken, and why.
    pub tally: Tally,
}

impl Graph {
    /// The node for `key`, created dirty when it does not exist.
    pub fn intern(&mut self, key: NodeKey) -> NodeId {
        if let Some(id) = self.find(&key) {
            return id;
        }
        let hash = self.hasher.hash_one(&key);
        let state = State::of(&key);
        let node = Node { key, dirty: false, running: false, reads: Box::default(), state };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = Some(node);
                id
            }
            None => {
                self.nodes.push(Some(node));
                (self.nodes.len() - 1) as u32
            }
        };
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.table.insert(hash, id, |&id| match &nodes[id as usize] {
            Some(node) => hasher.hash_one(&node.key),
            None => 0,
        });
        self.mark_dirty(NodeId(id));
        NodeId(id)
    }

    /// The node for `key`, if it exists.
    pub fn find(&self, key: &NodeKey) -> Option<NodeId> {
        let hash = self.hasher.hash_one(key);
        let nodes = &self.nodes;
        self.table.find(hash, |&id| nodes[id as usize].as_ref().is_some_and(|n| n.key == *key)).map(|&id| NodeId(id))
    }

    /// The same, if node `reader` read it the last time, among the next few of what it read from number `at` on; `at` is moved behind it. A
    /// node that runs again reads mostly the same in the same order, and no hash is needed to find it.
    pub fn find_among_next(&self, reader: NodeId, at: &mut usize, key: &NodeKey) -> Option<NodeId> {
        let ahead = self.node(reader)?.reads.get(*at..)?.iter().take(LOOK_AHEAD);
        let fact = |read: &KeyId| match self.keys.key(*read)? {
            Key::Fact(fact) | Key::EntryOf(fact) => Some(fact).filter(|fact| self.key(*fact) == Some(key)),
            _ => None,
        };
        let (skipped, found) = ahead.map(fact).enumerate().find_map(|(skipped, fact)| Some((skipped, fact?)))?;
        *at += skipped + 1;
        Some(found)
    }

    /// What node `id` is.
    pub fn key(&self, id: NodeId) -> Option<&NodeKey> {
        self.node(id).map(|n| &n.key)
    }

    /// The value of fact `id` and the revision at which it last changed.
    pub fn value(&self, id: NodeId) -> Option<(&FactValue, u64)> {
        match &self.node(id)?.state {
            State::Fact(value, changed_at) => Some((value.as_ref()?, *changed_at)),
            State::Unit(_) => None,
        }
    }

    /// How many keys node `id` read when it last ran.
    pub fn read_count(&self, id: NodeId) -> usize {
        self.node(id).map_or(0, |node| node.reads.len())
    }

    /// Whether node `id` has to run (again).
    pub fn is_dirty(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|n| n.dirty)
    }

    /// Whether node `id` is being run further up the call stack, and whether it has to run (again).
    pub fn progress(&self, id: NodeId) -> (bool, bool) {
        self.node(id).map_or((false, false), |node| (node.running, node.dirty))
    }

    /// Something was changed: all nodes that read it have to run again.
    pub fn changed(&mut self, key: Key, columns: ColumnSet) {
        let mut batch: smallvec::SmallVec<[NodeId; 16]> = self.keys.readers(key, columns).collect();
        // Neither map order nor edge order may decide the order of evaluation.
        batch.sort_unstable();
        let made_dirty = batch.into_iter().filter(|id| self.mark_dirty(*id)).count();
        if made_dirty > 0 {
            let cause = self.cause(key);
            self.tally.causes.add(cause, made_dirty as u64);
        }
    }

    /// A row was changed, whether or not anybody reads it.
    pub fn row_changed(&mut self, table: ovsdb::TableId) {
        self.tally.rows.add(table_name(table), 1);
    }

    /// What a key is of, in the words of [`Tally::causes`].
    fn cause(&self, key: Key) -> &'static str {
        match key {
            Key::Row(table, _) | Key::Absent(table, _) | Key::Table(table) => table_name(table),
            Key::Index(index, _) => table_name(index.table()),
            Key::Fact(id) | Key::Entry(id, _) | Key::EntryOf(id) => match self.key(id) {
                Some(NodeKey::Fact(fact)) => fact.kind(),
                _ => "fact",
            },
            Key::Neighbour(_) => "kernel",
            Key::Installed(_) => "flows installed",
            Key::External(_) => "settings and switch",
        }
    }

    /// Puts a node into the queue of its stratum, unless it is there. Says whether it was not.
    pub fn mark_dirty(&mut self, id: NodeId) -> bool {
        let Some(Some(node)) = self.nodes.get_mut(id.0 as usize) else { return false };
        if node.dirty {
            return false;
        }
        node.dirty = true;
        self.queues[node.key.stratum() as usize].push_back(id);
        true
    }

    /// Everything has to run again: the `recompute` command and the oracle test, nothing else.
    pub fn mark_all_dirty(&mut self) {
        self.tally.recomputes += 1;
        self.tally.causes.add("recompute", self.table.len() as u64);
        for id in 0..self.nodes.len() as u32 {
            self.mark_dirty(NodeId(id));
        }
    }

    /// The next dirty node, lowest stratum first.
    pub fn next_dirty(&mut self) -> Option<NodeId> {
        (0..STRATA).find_map(|stratum| self.next_dirty_in(stratum))
    }

    /// The next dirty fact.
    pub fn next_dirty_fact(&mut self) -> Option<NodeId> {
        self.next_dirty_in(Stratum::Facts as usize)
    }

    /// The next dirty node that makes no flows.
    pub fn next_dirty_beside_flows(&mut self) -> Option<NodeId> {
        (0..STRATA)
            .filter(|stratum| *stratum != Stratum::Flows as usize)
            .find_map(|stratum| self.next_dirty_in(stratum))
    }

    fn next_dirty_in(&mut self, stratum: usize) -> Option<NodeId> {
        while let Some(id) = self.queues[stratum].pop_front() {
            if self.is_dirty(id) {
                return Some(id);
            }
        }
        None
    }

    /// The nodes of a stratum that may have to run, in the order in which they will.
    pub fn queued(&self, stratum: Stratum) -> impl Iterator<Item = NodeId> + '_ {
        self.queues[stratum as usize].iter().copied()
    }

    /// Whether no fact is left to run.
    pub fn has_settled_facts(&self) -> bool {
        self.queues[Stratum::Facts as usize].iter().all(|&id| !self.is_dirty(id))
    }

    /// Whether nothing is left to run.
    pub fn is_settled(&self) -> bool {
        self.queues.iter().flatten().all(|&id| !self.is_dirty(id))
    }

    /// Node `id` starts to run.
    pub fn begin(&mut self, id: NodeId) {
        if let Some(Some(node)) = self.nodes.get_mut(id.0 as usize) {
            node.dirty = false;
            node.running = true;
        }
    }

    /// Fact `id` has run: its reads and value replace the former ones. Readers become dirty only if the value differs.
    pub fn finish_fact(&mut self, id: NodeId, value: FactValue, log: &mut Vec<Read>) {
        self.counters.facts += 1;
        if let Some(NodeKey::Fact(fact)) = self.key(id) {
            let kind = fact.kind();
            self.tally.facts.add(kind, 1);
        }
        self.revision += 1;
        let revision = self.revision;
        let Some(Some(Node { state: State::Fact(held, changed_at), .. })) = self.nodes.get_mut(id.0 as usize) else {
            return;
        };
        let changed = held.as_ref() != Some(&value);
        let mut entries = Vec::new();
        if changed {
            entries = value.differing_entries(held.as_ref());
            *held = Some(value);
            *changed_at = revision;
        } else {
            self.counters.cut_off += 1;
        }
        self.finish(id, log);
        if changed {
            self.changed(Key::Fact(id), ALL);
            entries.into_iter().for_each(|entry| self.changed(Key::Entry(id, entry), ALL));
        }
    }

    /// Unit `id` has run: its reads replace the former ones. Returns what it held, to be replaced with [`Graph::hold`].
    pub fn finish_unit(&mut self, id: NodeId, log: &mut Vec<Read>) -> Held {
        self.counters.units += 1;
        if let Some(NodeKey::Unit(unit)) = self.key(id) {
            let kind = unit.kind();
            self.tally.units.add(kind, 1);
        }
        self.finish(id, log);
        match self.nodes.get_mut(id.0 as usize) {
            Some(Some(Node { state: State::Unit(held), .. })) => std::mem::take(held),
            _ => Held::default(),
        }
    }

    /// What unit `id` owns from now on.
    pub fn hold(&mut self, id: NodeId, held: Held) {
        if let Some(Some(Node { state: State::Unit(former), .. })) = self.nodes.get_mut(id.0 as usize) {
            *former = held;
        }
    }

    /// Removes a node with its edges, and returns what it held.
    pub fn remove(&mut self, id: NodeId) -> Held {
        let Some(node) = self.nodes.get_mut(id.0 as usize).and_then(Option::take) else { return Held::default() };
        let hash = self.hasher.hash_one(&node.key);
        self.table.remove(hash, |&other| other == id.0);
        for &key in &node.reads {
            self.drop_edge(key, id);
        }
        self.free.push(id.0);
        match node.state {
            State::Unit(held) => held,
            State::Fact(..) => Held::default(),
        }
    }

    /// Forgets facts that nobody reads any more. Called when the graph has settled.
    pub fn sweep_unused_facts(&mut self) {
        while let Some(id) = self.unused.pop() {
            let is_fact = matches!(self.node(id), Some(Node { key: NodeKey::Fact(_), .. }));
            let is_read = [Key::Fact(id), Key::EntryOf(id)].into_iter().any(|key| self.keys.find(key).is_some());
            if is_fact && !is_read {
                self.remove(id);
            }
        }
    }

    /// The units there are.
    pub fn units(&self) -> impl Iterator<Item = (NodeId, &UnitKey)> + '_ {
        self.nodes.iter().enumerate().filter_map(|(id, node)| match node.as_ref().map(|n| &n.key) {
            Some(NodeKey::Unit(unit)) => Some((NodeId(id as u32), unit)),
            _ => None,
        })
    }

    /// What unit `id` owns now.
    pub fn held(&self, id: NodeId) -> Option<&Held> {
        match &self.node(id)?.state {
            State::Unit(held) => Some(held),
            State::Fact(..) => None,
        }
    }

    /// Nodes, keys and edges kept.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.table.len(), self.keys.len(), self.keys.edges())
    }

    /// Bytes that the nodes, the keys and the edges take, places kept free included, but for what facts and units hold in blocks of their own.
    pub fn bytes(&self) -> (usize, usize, usize) {
        let nodes = self.nodes.bytes() + self.table.bytes();
        let reads: usize = self.nodes.iter().flatten().map(|node| size_of_val(&*node.reads)).sum();
        let (keys, readers) = self.keys.bytes();
        (nodes, keys, reads + readers)
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize).and_then(Option::as_ref)
    }

    fn finish(&mut self, id: NodeId, log: &mut Vec<Read>) {
        self.counters.reads += log.len() as u64;
        // A fact that was read and has changed since: this run may have seen two states, so it does not count.
        let torn = log.iter().any(|read| match read.key {
            Key::Fact(fact) | Key::EntryOf(fact) => {
                !matches!(self.node(fact), Some(Node { state: State::Fact(_, at), .. }) if *at == read.seen)
            }
            _ => false,
        });
        let Some(Some(node)) = self.nodes.get_mut(id.0 as usize) else { return };
        node.running = false;
        let old = std::mem::take(&mut node.reads);
        let reads = self.replace_reads(id, old, log);
        if let Some(Some(node)) = self.nodes.get_mut(id.0 as usize) {
            node.reads = reads;
        }
        if torn {
            self.mark_dirty(id);
        }
    }

    /// Node `id` read `old` and reads what is in the log. Mostly that is the same in the same order, or almost, so that few keys need be
    /// looked for.
    fn replace_reads(&mut self, id: NodeId, old: Box<[KeyId]>, log: &mut Vec<Read>) -> Box<[KeyId]> {
        let mut edges: smallvec::SmallVec<[Edge; 32]> = smallvec::SmallVec::with_capacity(log.len());
        let (mut at, mut found) = (0, 0);
        for (order, read) in log.drain(..).enumerate() {
            let ahead = old.get(at..).unwrap_or(&[]).iter().take(LOOK_AHEAD);
            let key = match ahead.enumerate().find(|(_, key)| self.keys.is(**key, read.key)) {
                Some((skipped, key)) => {
                    (at, found) = (at + skipped + 1, found + 1);
                    *key
                }
                None => self.keys.intern(read.key),
            };
            edges.push(Edge { key, columns: read.columns, order: order as u32 });
        }
        if found == old.len() && edges.len() == old.len() {
            // Of a key that has no columns there is nothing to change.
            for edge in edges.iter().filter(|edge| edge.columns != ALL) {
                self.keys.add_reader(edge.key, id, edge.columns);
            }
            return old;
        }
        edges.sort_unstable_by_key(|edge| (edge.key, edge.order));
        edges.dedup_by(|next, kept| {
            let same = next.key == kept.key;
            if same {
                kept.columns = kept.columns.union(next.columns);
            }
            same
        });
        let mut former: smallvec::SmallVec<[KeyId; 32]> = smallvec::SmallVec::from_slice(&old);
        former.sort_unstable();
        self.change_edges(id, &former, &edges);
        edges.sort_unstable_by_key(|edge| edge.order);
        if edges.iter().map(|edge| edge.key).eq(old.iter().copied()) {
            return old;
        }
        edges.into_iter().map(|edge| edge.key).collect()
    }

    /// Node `id` read `old` and reads `new`, both sorted.
    fn change_edges(&mut self, id: NodeId, old: &[KeyId], new: &[Edge]) {
        let mut former = old.iter().copied().peekable();
        for &Edge { key, columns, .. } in new {
            while let Some(gone) = former.next_if(|former| *former < key) {
                self.drop_edge(gone, id);
            }
            if former.next_if_eq(&key).is_none() || columns != ALL {
                self.keys.add_reader(key, id, columns);
            }
        }
        former.for_each(|gone| self.drop_edge(gone, id));
    }

    fn drop_edge(&mut self, key: KeyId, id: NodeId) {
        if let Some(Key::Fact(fact) | Key::EntryOf(fact)) = self.keys.remove_reader(key, id) {
            self.unused.push(fact);
        }
    }
}
