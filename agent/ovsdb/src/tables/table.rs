//! One table of the replica: [`Table`], its rows in a slab, their uuids, and the declared indexes.

use hashbrown::hash_table;
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

use super::column::ColumnSet;
use super::{IndexId, IndexKey, Row, RowId};
use crate::segments::Segments;
use crate::shards::Shards;
use crate::value::Uuid;

/// What happened to a row: the unit in which a replica is changed.
#[derive(Clone, Debug, PartialEq)]
pub enum RowUpdate<R> {
    /// The whole row, new or in place of what was held.
    Insert(R),
    /// Some columns of a row that is held; ignored if it is not.
    Modify {
        /// The values of the columns in `columns`; the others are defaults without meaning.
        row: R,
        /// Which columns are given.
        columns: ColumnSet,
        /// Of those, the ones given as the difference to a set or map (ovsdb-server(7), "Update2 Notification"), not as the new value.
        differences: ColumnSet,
    },
    /// Some columns of a row, the others being as they were, or defaults if the row was not held (then nothing is a difference).
    Upsert {
        /// As for `Modify`.
        row: R,
        /// As for `Modify`.
        columns: ColumnSet,
        /// As for `Modify`.
        differences: ColumnSet,
    },
    /// The row is gone; ignored if it was not held.
    Delete,
}

/// A change of one row as it took effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<R> {
    /// The row's place. After a deletion it is not given to another row before the next batch.
    pub row: RowId,
    /// The row's identity.
    pub uuid: Uuid,
    /// The row before; `None` for an insertion.
    pub old: Option<Box<R>>,
    /// The columns whose value differs; for an insertion or deletion all of them and [`ColumnSet::EXISTS`].
    pub columns: ColumnSet,
}

/// The rows of one table.
#[derive(Clone, Debug)]
pub struct Table<R: Row> {
    rows: Segments<Option<R>>,
    /// By row id; kept after a deletion until the id is used again.
    uuids: Segments<Uuid>,
    free: Vec<RowId>,
    /// Freed since [`Table::begin`], so not to be used again yet.
    retired: Vec<RowId>,
    by_uuid: Shards<RowId>,
    /// In the order of [`Row::INDEXES`].
    indexes: Box<[Index]>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: Segments::default(),
            uuids: Segments::default(),
            free: Vec::new(),
            retired: Vec::new(),
            by_uuid: Shards::default(),
            indexes: R::INDEXES.iter().map(|_| Index::default()).collect(),
        }
    }
}

impl<R: Row> Table<R> {
    /// The row at `id`, if there is one now.
    pub fn row(&self, id: RowId) -> Option<&R> {
        self.rows.get(id.index())?.as_ref()
    }

    /// The identity of the row at `id`; of a deleted one until the id is used again; nil for an id never used.
    pub fn uuid(&self, id: RowId) -> Uuid {
        self.uuids.get(id.index()).copied().unwrap_or(Uuid::NIL)
    }

    /// Where the row with this identity is.
    pub fn by_uuid(&self, uuid: &Uuid) -> Option<RowId> {
        self.by_uuid.find(uuid_hash(uuid), |&id| self.uuids.get(id.index()) == Some(uuid)).copied()
    }

    /// The row with this identity.
    pub fn row_by_uuid(&self, uuid: &Uuid) -> Option<&R> {
        self.row(self.by_uuid(uuid)?)
    }

    /// All rows in ascending order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (RowId, &R)> {
        self.rows.iter().enumerate().filter_map(|(at, row)| Some((RowId(at as u32), row.as_ref()?)))
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.by_uuid.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.by_uuid.is_empty()
    }

    /// One more than the highest row id in use or once used: the length of an array indexed by row id.
    pub fn capacity(&self) -> usize {
        self.rows.len()
    }

    /// The rows that have `key` in the index it belongs to, in ascending order of ids, checked by `verify` since keys are hashes.
    /// The generated methods named like the index call this.
    pub(crate) fn lookup<V: Fn(&R) -> bool>(&self, key: IndexKey, verify: V) -> Rows<'_, R, V> {
        let index = self.indexes.get(key.index.position());
        Rows { table: self, key, ids: index.map_or(&[][..], |index| index.ids(key.hash)).iter(), verify }
    }

    /// Starts a batch: ids freed by the one before may be used from now on.
    pub(crate) fn begin(&mut self) {
        self.free.append(&mut self.retired);
    }

    /// Makes room for `additional` more rows.
    pub(crate) fn reserve(&mut self, additional: usize) {
        let uuids = &self.uuids;
        self.by_uuid.reserve(additional, |id| uuids.get(id.index()).map_or(0, uuid_hash));
    }

    /// Makes room for the rows that `updates` inserts, when they are many.
    pub(crate) fn reserve_for(&mut self, updates: &[(Uuid, RowUpdate<R>)]) {
        if self.is_empty() && !updates.is_empty() {
            self.reserve(updates.len());
        }
    }

    /// Carries out one update; `None` when it changes nothing.
    pub(crate) fn apply(&mut self, uuid: Uuid, update: RowUpdate<R>) -> Option<Delta<R>> {
        match (self.by_uuid(&uuid), update) {
            (None, RowUpdate::Insert(row) | RowUpdate::Upsert { row, .. }) => Some(self.insert(uuid, row)),
            (Some(id), RowUpdate::Insert(row)) => self.replace(id, row),
            (
                Some(id),
                RowUpdate::Modify { row, columns, differences } | RowUpdate::Upsert { row, columns, differences },
            ) => {
                let row = self.row(id)?.with_changes(row, columns, differences);
                self.replace(id, row)
            }
            (Some(id), RowUpdate::Delete) => self.delete(id),
            (None, RowUpdate::Modify { .. } | RowUpdate::Delete) => None,
        }
    }

    /// The whole row, in a replica that nobody looks at yet.
    pub(crate) fn load(&mut self, uuid: Uuid, row: R) {
        match self.by_uuid(&uuid) {
            None => drop(self.insert(uuid, row)),
            Some(id) => drop(self.replace(id, row)),
        }
    }

    /// [`RowUpdate::Upsert`], in a replica that nobody looks at yet.
    pub(crate) fn merge(&mut self, uuid: Uuid, row: R, columns: ColumnSet, differences: ColumnSet) {
        match self.by_uuid(&uuid) {
            None => drop(self.insert(uuid, row)),
            Some(_) => drop(self.apply(uuid, RowUpdate::Upsert { row, columns, differences })),
        }
    }

    /// Makes this table hold exactly the inserted rows of `updates`; the changes go to `out`.
    pub(crate) fn replace_all(&mut self, updates: Vec<(Uuid, RowUpdate<R>)>, mut out: impl FnMut(Delta<R>)) {
        let mut kept = vec![false; self.rows.len()];
        for (uuid, update) in &updates {
            if let (RowUpdate::Insert(_), Some(id)) = (update, self.by_uuid(uuid)) {
                kept[id.index()] = true;
            }
        }
        for (at, kept) in kept.into_iter().enumerate() {
            if !kept && let Some(delta) = self.delete(RowId(at as u32)) {
                out(delta);
            }
        }
        self.reserve(updates.len().saturating_sub(self.len()));
        for (uuid, update) in updates {
            if matches!(update, RowUpdate::Insert(_))
                && let Some(delta) = self.apply(uuid, update)
            {
                out(delta);
            }
        }
    }

    fn insert(&mut self, uuid: Uuid, row: R) -> Delta<R> {
        let id = self.free.pop().unwrap_or(RowId(self.rows.len() as u32));
        for (position, index) in self.indexes.iter_mut().enumerate() {
            row_keys(&row, position).into_iter().for_each(|hash| index.add(hash, id));
        }
        if id.index() == self.rows.len() {
            self.rows.push(Some(row));
            self.uuids.push(uuid);
        } else {
            self.rows[id.index()] = Some(row);
            self.uuids[id.index()] = uuid;
        }
        let uuids = &self.uuids;
        self.by_uuid.insert(uuid_hash(&uuid), id, |id| uuids.get(id.index()).map_or(0, uuid_hash));
        Delta { row: id, uuid, old: None, columns: all_columns::<R>() }
    }

    fn replace(&mut self, id: RowId, row: R) -> Option<Delta<R>> {
        let held = self.rows.get_mut(id.index())?.as_mut()?;
        let columns = held.differing(&row);
        if columns.is_empty() {
            return None;
        }
        let old = std::mem::replace(held, row);
        let row = &*held;
        for (position, index) in self.indexes.iter_mut().enumerate() {
            if R::INDEXES[position].columns.intersects(columns) {
                let (gone, come) = key_changes(&old, row, position);
                gone.into_iter().for_each(|hash| index.remove(hash, id));
                come.into_iter().for_each(|hash| index.add(hash, id));
            }
        }
        Some(Delta { row: id, uuid: self.uuid(id), old: Some(Box::new(old)), columns })
    }

    fn delete(&mut self, id: RowId) -> Option<Delta<R>> {
        let row = self.rows.get_mut(id.index())?.take()?;
        let uuid = self.uuid(id);
        for (position, index) in self.indexes.iter_mut().enumerate() {
            row_keys(&row, position).into_iter().for_each(|hash| index.remove(hash, id));
        }
        self.by_uuid.remove(uuid_hash(&uuid), |&other| other == id);
        self.retired.push(id);
        Some(Delta { row: id, uuid, old: Some(Box::new(row)), columns: all_columns::<R>() })
    }
}

/// The rows that an index holds under one key.
#[derive(Clone)]
pub struct Rows<'a, R: Row, V> {
    table: &'a Table<R>,
    key: IndexKey,
    ids: std::slice::Iter<'a, RowId>,
    verify: V,
}

impl<R: Row, V> Rows<'_, R, V> {
    /// What was asked: the dependency of a reader of this answer, an empty one included.
    pub fn key(&self) -> IndexKey {
        self.key
    }
}

impl<R: Row, V: Fn(&R) -> bool> Iterator for Rows<'_, R, V> {
    type Item = RowId;

    fn next(&mut self) -> Option<RowId> {
        let Self { table, ids, verify, .. } = self;
        ids.by_ref().copied().find(|&id| table.row(id).is_some_and(&mut *verify))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.ids.len()))
    }
}

/// The index keys whose membership `delta` changed: those the row lost and those it gained. `now` is the row as it is held, if it still is.
pub(crate) fn changed_keys<R: Row>(delta: &Delta<R>, now: Option<&R>, out: &mut impl FnMut(IndexKey)) {
    for (position, info) in R::INDEXES.iter().enumerate() {
        if !info.columns.intersects(delta.columns) {
            continue;
        }
        let (gone, come) = match (delta.old.as_deref(), now) {
            (Some(old), Some(new)) => key_changes(old, new, position),
            (old, new) => {
                let keys = |row: Option<&R>| row.map_or_else(SmallVec::new, |row| row_keys(row, position));
                (keys(old), keys(new))
            }
        };
        gone.into_iter().chain(come).for_each(|hash| out(IndexKey { index: info.id, hash }));
    }
}

/// All columns of a table and the row's existence.
pub(crate) const fn all_columns<R: Row>() -> ColumnSet {
    ColumnSet::first(R::COLUMNS.len()).union(ColumnSet::EXISTS)
}

/// Keys of one row in one index, sorted, each once.
type RowKeys = SmallVec<[u64; 4]>;

/// The row's keys in one index.
fn row_keys<R: Row>(row: &R, position: usize) -> RowKeys {
    let mut keys = SmallVec::new();
    row.visit_keys(position, &mut |hash| keys.push(hash));
    sort_keys(&mut keys);
    keys
}

/// The keys in one index that only `old` has, and those that only `new` has.
fn key_changes<R: Row>(old: &R, new: &R, position: usize) -> (RowKeys, RowKeys) {
    let (mut before, mut after) = (RowKeys::new(), RowKeys::new());
    old.visit_changed_keys(new, position, &mut |hash| before.push(hash), &mut |hash| after.push(hash));
    sort_keys(&mut before);
    sort_keys(&mut after);
    let only = |some: &RowKeys, others: &RowKeys| -> RowKeys {
        some.iter().copied().filter(|key| others.binary_search(key).is_err()).collect()
    };
    (only(&before, &after), only(&after, &before))
}

fn sort_keys(keys: &mut RowKeys) {
    if keys.len() > 1 {
        keys.sort_unstable();
        keys.dedup();
    }
}

/// A hash of any key, the same in every run. Only ever compared with others of the same index.
pub(crate) fn key_hasher() -> FxHasher {
    FxHasher::default()
}

/// The hash of the key of an index with one component.
pub(crate) fn hash_key(key: &impl Hash) -> u64 {
    let mut hasher = key_hasher();
    key.hash(&mut hasher);
    hasher.finish()
}

fn uuid_hash(uuid: &Uuid) -> u64 {
    let mut hasher = FxHasher::default();
    u128::from_ne_bytes(uuid.0).hash(&mut hasher);
    hasher.finish()
}

/// Hashes of keys with the rows that have them. Two keys with one hash share a bucket; readers verify.
#[derive(Clone, Debug, Default)]
struct Index {
    buckets: Shards<Bucket>,
}

/// The rows of one hash in ascending order: loading appends, and removal finds its place by bisection even when one datapath has a hundred
/// thousand logical flows.
#[derive(Clone, Debug)]
struct Bucket {
    hash: u64,
    ids: SmallVec<[RowId; 4]>,
}

impl Index {
    fn ids(&self, hash: u64) -> &[RowId] {
        self.buckets.find(hash, |bucket| bucket.hash == hash).map_or(&[], |bucket| &bucket.ids)
    }

    fn add(&mut self, hash: u64, id: RowId) {
        match self.buckets.entry(hash, |bucket| bucket.hash == hash, |bucket| bucket.hash) {
            hash_table::Entry::Occupied(mut entry) => {
                let ids = &mut entry.get_mut().ids;
                if ids.last().is_some_and(|last| *last < id) {
                    ids.push(id);
                } else if let Err(at) = ids.binary_search(&id) {
                    ids.insert(at, id);
                }
            }
            hash_table::Entry::Vacant(entry) => {
                entry.insert(Bucket { hash, ids: SmallVec::from_slice(&[id]) });
            }
        }
    }

    fn remove(&mut self, hash: u64, id: RowId) {
        if let Some(mut entry) = self.buckets.find_entry(hash, |bucket| bucket.hash == hash) {
            let ids = &mut entry.get_mut().ids;
            if let Ok(at) = ids.binary_search(&id) {
                ids.remove(at);
            }
            if ids.is_empty() {
                entry.remove();
            }
        }
    }
}

impl IndexId {
    /// Where the index stands in its table's [`Row::INDEXES`].
    fn position(self) -> usize {
        usize::from(self.0) % Self::PER_TABLE
    }
}
