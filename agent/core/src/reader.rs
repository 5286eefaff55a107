//! [`Reader`]: the only way for a node to see anything. Whatever is asked for is recorded as a dependency, absences
//! included, so that the node runs again exactly when an answer would differ.

use ovsdb::tables::{ColumnReads, ColumnSet, RowId, Rows, Table, TableId, Tracked};
use ovsdb::value::{Str, Uuid};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::asked::Asked;
use crate::caches::Caches;
use crate::engine::{ALL, Graph, Key, NodeId, NodeKey, Read};
use crate::facts::{ByEntry, Fact, FactKey, VifInterface, entry_hash};
use crate::kernel::{self, Ports};
use crate::list::List;
use crate::model::{Config, ExternalKey, LocalSchema, Model, SwitchFeatures};
use crate::plug::Representors;
use crate::pools::Pools;
use crate::rows::{Interface, ModelRow};
use crate::zones::{UserZone, ZoneKind};

/// What all readers of one agent share.
pub struct Shared<'a> {
    /// The observations.
    pub model: &'a Model,
    /// Nodes and edges.
    pub graph: &'a RefCell<Graph>,
    /// Id allocations.
    pub pools: &'a RefCell<Pools>,
    /// Parsed texts.
    pub caches: &'a RefCell<Caches>,
    /// Facts that were asked for outside of nodes.
    pub asked: &'a RefCell<Asked>,
}

/// Facts that one node may have derived in one go: a few milliseconds.
const DERIVED_AT_ONCE: u64 = 400;

/// What a node reads as a rule, at most.
const READS: usize = 16;

/// Reads on behalf of one node.
pub struct Reader<'a> {
    shared: &'a Shared<'a>,
    log: RefCell<Vec<Read>>,
    /// The node, and how far it is in what it read the last time.
    node: Option<NodeId>,
    at: Cell<usize>,
    /// [`WorkCounters::facts`](crate::engine::WorkCounters::facts) at the beginning.
    derived_before: u64,
    interrupted: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// A reader for nobody's node.
    pub fn new(shared: &'a Shared<'a>) -> Self {
        Self::with_room(shared, None, 0)
    }

    /// The same for a node that will read about what it read the last time.
    pub fn of_node(shared: &'a Shared<'a>, id: NodeId) -> Self {
        let reads = shared.graph.borrow().read_count(id);
        Self::with_room(shared, Some(id), reads.max(READS))
    }

    fn with_room(shared: &'a Shared<'a>, node: Option<NodeId>, reads: usize) -> Self {
        let derived_before = shared.graph.borrow().counters.facts;
        let log = RefCell::new(Vec::with_capacity(reads));
        Self { shared, log, node, at: Cell::new(0), derived_before, interrupted: Cell::new(false) }
    }

    /// What was read.
    pub fn into_log(self) -> Vec<Read> {
        self.log.into_inner()
    }

    /// The row, if it exists. Its columns record themselves when they are looked at.
    pub fn row<R: ModelRow>(&self, row: RowId) -> Option<Tracked<'_, R, Self>> {
        Tracked::new(R::table(self.shared.model), row, self)
    }

    /// The row with this UUID, if it exists.
    pub fn find<R: ModelRow>(&self, uuid: &Uuid) -> Option<Tracked<'_, R, Self>> {
        match R::table(self.shared.model).by_uuid(uuid) {
            Some(row) => self.row(row),
            None => {
                self.record(absent(R::TABLE, uuid), ALL);
                None
            }
        }
    }

    /// Like [`Reader::find`], but only the row's number.
    pub fn find_id<R: ModelRow>(&self, uuid: &Uuid) -> Option<RowId> {
        self.find::<R>(uuid).map(|row| row.row_id())
    }

    /// The rows that an index gives for a value, sorted by UUID so that row numbers never decide anything:
    /// `r.lookup(|table: &Table<PortBinding>| table.by_datapath(uuid))`.
    pub fn lookup<R: ModelRow, V: Fn(&R) -> bool>(
        &self,
        query: impl FnOnce(&'a Table<R>) -> Rows<'a, R, V>,
    ) -> SmallVec<[RowId; 4]> {
        let table = R::table(self.shared.model);
        let rows = query(table);
        let key = rows.key();
        self.record(Key::Index(key.index, key.hash), ALL);
        let mut rows: SmallVec<[RowId; 4]> = rows.collect();
        rows.sort_unstable_by_key(|&row| table.uuid(row));
        rows
    }

    /// The first row (by UUID) that an index gives for a value.
    pub fn lookup_one<R: ModelRow, V: Fn(&R) -> bool>(
        &self,
        query: impl FnOnce(&'a Table<R>) -> Rows<'a, R, V>,
    ) -> Option<RowId> {
        self.lookup(query).first().copied()
    }

    /// All rows of a small table. Depends on which rows exist, and on the columns looked at in each.
    pub fn all<R: ModelRow>(&self) -> Vec<RowId> {
        let table = R::table(self.shared.model);
        self.record(Key::Table(R::TABLE), ALL);
        let mut rows: Vec<RowId> = table.iter().map(|(row, _)| row).collect();
        rows.sort_unstable_by_key(|&row| table.uuid(row));
        rows
    }

    /// The row of a table that has one row at most: Open_vSwitch, SB_Global.
    pub fn only<R: ModelRow>(&self) -> Option<Tracked<'_, R, Self>> {
        self.row(*self.all::<R>().first()?)
    }

    /// The value of a fact, derived now if it is not known or may have changed.
    pub fn fact<F: Fact>(&self, fact: F) -> F::Value {
        let id = self.derived(fact.into());
        let graph = self.shared.graph.borrow();
        let held = graph.value(id);
        let seen = held.map_or(0, |(_, revision)| revision);
        self.note(Read { key: Key::Fact(id), columns: ALL, seen });
        held.and_then(|(value, _)| F::value(value)).cloned().unwrap_or_default()
    }

    /// The value that the fact which is being derived had before, to be given again as far as it is still right: that saves the making of a
    /// list of thousands. It decides nothing about what the value is.
    pub fn former<F: Fact>(&self) -> Option<F::Value> {
        let graph = self.shared.graph.borrow();
        F::value(graph.value(self.node?)?.0).cloned()
    }

    /// One entry of a fact, the default if there is none. What the other entries say is no dependency.
    pub fn entry<F: ByEntry>(&self, fact: F, key: &F::Key) -> F::Entry {
        let id = self.derived(fact.into());
        let graph = self.shared.graph.borrow();
        let held = graph.value(id);
        let seen = held.map_or(0, |(_, revision)| revision);
        self.note(Read { key: Key::Entry(id, entry_hash(key)), columns: ALL, seen: 0 });
        self.note(Read { key: Key::EntryOf(id), columns: ALL, seen });
        held.and_then(|(value, _)| F::value(value)).map(|value| F::entry(value, key)).unwrap_or_default()
    }

    /// The node of a fact, derived now if it is not known or may have changed.
    fn derived(&self, key: FactKey) -> NodeId {
        let graph = self.shared.graph;
        let key = NodeKey::Fact(key);
        let known = self.known(&key);
        let id = known.unwrap_or_else(|| graph.borrow_mut().intern(key.clone()));
        let (is_running, is_dirty) = graph.borrow().progress(id);
        if is_running {
            graph.borrow_mut().counters.cycles += 1;
        } else if is_dirty && let NodeKey::Fact(key) = key {
            run_fact(self.shared, id, &key);
        }
        id
    }

    fn known(&self, key: &NodeKey) -> Option<NodeId> {
        let graph = self.shared.graph.borrow();
        let Some(node) = self.node else { return self.shared.asked.borrow_mut().find(&graph, key) };
        let mut at = self.at.get();
        let among_next = graph.find_among_next(node, &mut at, key);
        self.at.set(at);
        among_next.or_else(|| graph.find(key))
    }

    /// For facts that walk over thousands of others: whether to leave it at that for now. Then the fact runs again, soon, and finds
    /// what is derived by now; what it comes to meanwhile must be less of what it will come to, not something else.
    pub fn interrupt(&self) -> bool {
        let derived = self.shared.graph.borrow().counters.facts.saturating_sub(self.derived_before);
        let interrupt = derived >= DERIVED_AT_ONCE;
        self.interrupted.set(self.interrupted.get() || interrupt);
        interrupt
    }

    /// Settings that no database holds.
    pub fn config(&self) -> &'a Config {
        self.record(Key::External(ExternalKey::Config as u8), ALL);
        &self.shared.model.external.config
    }

    /// What the switch was found able to do.
    pub fn features(&self) -> &'a SwitchFeatures {
        self.record(Key::External(ExternalKey::Features as u8), ALL);
        &self.shared.model.external.features
    }

    /// n of the tun_metadata field that carries the Geneve option, once negotiated.
    pub fn geneve_option(&self) -> Option<u8> {
        self.record(Key::External(ExternalKey::GeneveOption as u8), ALL);
        self.shared.model.external.geneve_option
    }

    /// The `nb_cfg` that the switch has acknowledged.
    pub fn acknowledged_nb_cfg(&self) -> i64 {
        self.record(Key::External(ExternalKey::AcknowledgedNbCfg as u8), ALL);
        self.shared.model.external.acknowledged_nb_cfg
    }

    /// Whether the switch has acknowledged the flows of this logical port, as it is plugged in now.
    pub fn is_installed(&self, lport: &Str) -> bool {
        self.record(installed(lport), ALL);
        let Some(plug) = self.shared.model.external.installed_ports.get(lport) else { return false };
        self.fact(VifInterface(lport.clone())).is_some_and(|vif| {
            vif.ofport == plug.ofport
                && self.row::<Interface>(vif.interface).is_some_and(|row| row.uuid() == plug.interface)
        })
    }

    /// The conntrack zones that the flows in the switch were made with, sorted by user.
    pub fn zones_in_use(&self, kind: ZoneKind) -> &'a List<UserZone> {
        let key = match kind {
            ZoneKind::Nat => ExternalKey::NatZonesInUse,
            ZoneKind::Port => ExternalKey::PortZonesInUse,
        };
        self.record(Key::External(key as u8), ALL);
        self.shared.model.external.zones_in_use.of(kind)
    }

    /// Users and zones whose flush the switch has acknowledged.
    pub fn flushed_zones(&self) -> &'a BTreeSet<(Str, u16)> {
        self.record(Key::External(ExternalKey::FlushedZones as u8), ALL);
        &self.shared.model.external.flushed_zones
    }

    /// What Open_vSwitch.next_cfg is to be at least.
    pub fn wanted_next_cfg(&self) -> i64 {
        self.record(Key::External(ExternalKey::WantedNextCfg as u8), ALL);
        self.shared.model.external.wanted_next_cfg
    }

    /// The name that this chassis had before, while rows of that name are left.
    pub fn former_name(&self) -> Option<&'a Str> {
        self.record(Key::External(ExternalKey::FormerName as u8), ALL);
        self.shared.model.external.former_name.as_ref()
    }

    /// What the local database's server can store.
    pub fn local_schema(&self) -> LocalSchema {
        self.record(Key::External(ExternalKey::LocalSchema as u8), ALL);
        self.shared.model.external.local_schema
    }

    /// The devices that stand for functions of network cards.
    pub fn representors(&self) -> &'a Representors {
        self.record(Key::External(ExternalKey::Representors as u8), ALL);
        &self.shared.model.external.representors
    }

    /// Whether the switch is gone, so that what it wrote into the database says nothing about now.
    pub fn switch_lost(&self) -> bool {
        self.record(Key::External(ExternalKey::SwitchLost as u8), ALL);
        self.shared.model.external.switch_lost
    }

    /// The remote endpoints of a VXLAN device with their UDP ports, sorted.
    pub fn vteps(&self, device: &str) -> impl Iterator<Item = (IpAddr, &'a Ports)> + use<'a> {
        self.record(kernel::vteps_key(device), ALL);
        self.shared.model.kernel.vteps(device)
    }

    /// Those that prefer this binding key, see [`kernel::preferred_key`].
    pub fn vtep_bucket(&self, device: &str, key: u16) -> impl Iterator<Item = (IpAddr, &'a Ports)> + use<'a> {
        self.record(kernel::bucket_key(device, key), ALL);
        self.shared.model.kernel.bucket(device, key)
    }

    /// The remote endpoints that a MAC address is behind, by what a VXLAN device says; sorted.
    pub fn mac_remotes(&self, device: &str, mac: u64) -> &'a [IpAddr] {
        self.record(kernel::mac_key(device, mac), ALL);
        self.shared.model.kernel.remotes(device, mac)
    }

    /// The MAC address of an IP address, by what a bridge says.
    pub fn mac_of(&self, device: &str, ip: IpAddr) -> Option<u64> {
        self.record(kernel::address_key(device, ip), ALL);
        self.shared.model.kernel.mac_of(device, ip)
    }

    /// The meters that flows refer to: ids and names, sorted by id.
    pub fn meters_in_use(&self) -> Vec<(u32, Str)> {
        self.record(Key::External(ExternalKey::MetersInUse as u8), ALL);
        self.shared.pools.borrow().meters.desired().map(|(id, name)| (id, name.clone())).collect()
    }

    /// Wall-clock milliseconds, for timestamps. Not a dependency.
    pub fn wall_clock_ms(&self) -> i64 {
        self.shared.model.external.wall_clock_ms
    }

    /// The allocations.
    pub fn pools(&self) -> &'a RefCell<Pools> {
        self.shared.pools
    }

    /// The parsed texts.
    pub fn caches(&self) -> &'a RefCell<Caches> {
        self.shared.caches
    }

    fn record(&self, key: Key, columns: ColumnSet) {
        // Several columns of one row are read one after the other as a rule.
        if let Some(last) = self.log.borrow_mut().last_mut().filter(|last| last.key == key) {
            last.columns = last.columns.union(columns);
            return;
        }
        self.note(Read { key, columns, seen: 0 });
    }

    /// Puts a read into the log; what is read for nobody's node is forgotten.
    fn note(&self, read: Read) {
        if self.node.is_some() {
            self.log.borrow_mut().push(read);
        }
    }
}

impl ColumnReads for Reader<'_> {
    fn column_read(&self, table: TableId, row: RowId, column: u8) {
        self.record(Key::Row(table, row), ColumnSet::EMPTY.with(column));
    }
}

/// Derives fact `id`, which is dirty, and files the result.
pub fn run_fact(shared: &Shared<'_>, id: NodeId, key: &FactKey) {
    shared.graph.borrow_mut().begin(id);
    let reader = Reader::of_node(shared, id);
    let value = key.derive(&reader);
    let interrupted = reader.interrupted.get();
    let (mut graph, mut log) = (shared.graph.borrow_mut(), reader.into_log());
    graph.finish_fact(id, value, &mut log);
    if interrupted {
        graph.mark_dirty(id);
    }
}

/// The key for "the switch has the flows of this logical port".
pub fn installed(lport: &str) -> Key {
    Key::Installed(crate::pools::hash(lport))
}

/// The key for "no row has this UUID".
pub fn absent(table: TableId, uuid: &Uuid) -> Key {
    let [a, b, c, d, e, f, g, h, ..] = uuid.0;
    Key::Absent(table, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}
