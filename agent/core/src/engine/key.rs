//! What a node can depend on: [`Key`], interned into a dense [`KeyId`] so that an edge costs four bytes on the node's side.

use ovsdb::segments::Segments;
use ovsdb::shards::Shards;
use ovsdb::{ColumnSet, IndexId, RowId, TableId};
use std::hash::BuildHasher;

use super::graph::NodeId;
use super::readers::Readers;

/// One thing that can be read, and so can change.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A database row. Edges to it carry the set of columns read, so that a change of other columns wakes nobody.
    Row(TableId, RowId),
    /// "There is no row with this UUID in this table" was the answer. The payload is a hash of the UUID.
    Absent(TableId, u64),
    /// The rows an index gives for a lookup value (their number and identity, not their contents).
    Index(IndexId, u64),
    /// Which rows a table has (for tables of a few rows that are read whole).
    Table(TableId),
    /// The value of a fact.
    Fact(NodeId),
    /// One entry of a fact that is a map, so that a change of other entries wakes nobody. The payload is a hash of the entry's key.
    Entry(NodeId, u64),
    /// Whoever reads an entry keeps the fact in being.
    EntryOf(NodeId),
    /// A question about the neighbour tables of the kernel: see [`crate::kernel`]. The payload is a hash of it.
    Neighbour(u64),
    /// Whether the switch has the flows of a logical port. The payload is a hash of its name.
    Installed(u64),
    /// Something outside the databases: the switch's features, the time of start, ... See [`crate::model::External`].
    External(u8),
}

/// Dense number of an interned [`Key`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// The interned keys, each with the nodes that read it.
#[derive(Default)]
pub struct Keys {
    slots: Segments<Slot>,
    free: Vec<u32>,
    table: Shards<u32>,
    hasher: rustc_hash::FxBuildHasher,
}

struct Slot {
    key: Key,
    readers: Readers,
}

impl Keys {
    /// Number of keys that somebody reads.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The id of `key`, if anybody reads it.
    pub fn find(&self, key: Key) -> Option<KeyId> {
        let slots = &self.slots;
        self.table.find(self.hasher.hash_one(key), |&id| slots[id as usize].key == key).map(|&id| KeyId(id))
    }

    /// The key with this id.
    pub fn key(&self, id: KeyId) -> Option<Key> {
        self.slots.get(id.0 as usize).map(|slot| slot.key)
    }

    /// Whether this is the id of `key`.
    pub fn is(&self, id: KeyId, key: Key) -> bool {
        self.slots.get(id.0 as usize).is_some_and(|slot| slot.key == key)
    }

    /// The id of `key`, interning it.
    pub fn intern(&mut self, key: Key) -> KeyId {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        if let Some(&id) = self.table.find(hash, |&id| slots[id as usize].key == key) {
            return KeyId(id);
        }
        let slot = Slot { key, readers: Readers::default() };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.table.insert(hash, id, |&id| hasher.hash_one(slots[id as usize].key));
        KeyId(id)
    }

    /// Adds an edge, or replaces the columns of the one that is there.
    pub fn add_reader(&mut self, id: KeyId, node: NodeId, columns: ColumnSet) {
        self.slots[id.0 as usize].readers.insert(node, columns);
    }

    /// Removes an edge. When it was the last one the key is forgotten, and returned so that a fact without readers can be
    /// looked at.
    pub fn remove_reader(&mut self, id: KeyId, node: NodeId) -> Option<Key> {
        let slot = &mut self.slots[id.0 as usize];
        slot.readers.remove(node);
        if !slot.readers.is_empty() {
            return None;
        }
        let key = slot.key;
        let hash = self.hasher.hash_one(key);
        self.table.remove(hash, |&other| other == id.0);
        self.free.push(id.0);
        Some(key)
    }

    /// The nodes that read any of `columns` of `key`.
    pub fn readers(&self, key: Key, columns: ColumnSet) -> impl Iterator<Item = NodeId> + '_ {
        self.find(key)
            .map(|id| self.slots[id.0 as usize].readers.iter())
            .into_iter()
            .flatten()
            .filter(move |(_, read)| read.intersects(columns))
            .map(|(node, _)| node)
    }

    /// Bytes that the keys take, each with the place of one reader, and the further readers.
    pub fn bytes(&self) -> (usize, usize) {
        let readers: usize = self.slots.iter().map(|slot| slot.readers.bytes()).sum();
        (self.slots.bytes() + self.table.bytes(), readers)
    }

    /// Number of edges kept.
    pub fn edges(&self) -> usize {
        self.slots.iter().map(|s| s.readers.len()).sum()
    }
}
