//! The reverse side of an edge: which nodes read a key, and which of its columns. Most keys have one or two readers; some
//! (a global option) have a hundred thousand, so big lists become maps and an edge is removed in constant time.

use hashbrown::HashMap;
use ovsdb::ColumnSet;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::graph::NodeId;

/// Above this many readers a list turns into a map.
const LIST_LIMIT: usize = 24;

/// The readers of one key.
pub enum Readers {
    /// Few of them: searched linearly.
    List(SmallVec<[(NodeId, ColumnSet); 1]>),
    /// Many of them.
    Map(Box<HashMap<NodeId, ColumnSet, FxBuildHasher>>),
}

impl Default for Readers {
    fn default() -> Self {
        Readers::List(SmallVec::new())
    }
}

impl Readers {
    /// Adds `node`, or replaces the columns it reads.
    pub fn insert(&mut self, node: NodeId, columns: ColumnSet) {
        match self {
            Readers::List(list) => {
                if let Some(entry) = list.iter_mut().find(|(n, _)| *n == node) {
                    entry.1 = columns;
                } else if list.len() < LIST_LIMIT {
                    list.push((node, columns));
                } else {
                    let mut map: HashMap<_, _, _> = list.drain(..).collect();
                    map.insert(node, columns);
                    *self = Readers::Map(Box::new(map));
                }
            }
            Readers::Map(map) => {
                map.insert(node, columns);
            }
        }
    }

    /// Removes `node`, if there.
    pub fn remove(&mut self, node: NodeId) {
        match self {
            Readers::List(list) => {
                if let Some(at) = list.iter().position(|(n, _)| *n == node) {
                    list.swap_remove(at);
                }
            }
            Readers::Map(map) => {
                map.remove(&node);
            }
        }
    }

    /// Number of readers.
    pub fn len(&self) -> usize {
        match self {
            Readers::List(list) => list.len(),
            Readers::Map(map) => map.len(),
        }
    }

    /// Bytes in blocks of their own.
    pub fn bytes(&self) -> usize {
        match self {
            Readers::List(list) if list.spilled() => list.capacity() * size_of::<(NodeId, ColumnSet)>(),
            Readers::List(_) => 0,
            Readers::Map(map) => map.allocation_size(),
        }
    }

    /// Whether nobody reads the key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The readers with the columns each reads.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, ColumnSet)> + '_ {
        let (list, map) = match self {
            Readers::List(list) => (Some(list.iter()), None),
            Readers::Map(map) => (None, Some(map.iter())),
        };
        list.into_iter().flatten().copied().chain(map.into_iter().flatten().map(|(n, c)| (*n, *c)))
    }
}
