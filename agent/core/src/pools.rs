//! Allocations that outlive a run of a unit: group and meter ids by content, conjunction ids by owner. They are stable: what
//! is held keeps its number, and numbers found in the switch are adopted.

use hashbrown::HashMap;
use ovsdb::{RowId, Str, Uuid};
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeMap, BTreeSet};

/// Content to id, with reference counts: OVN's "extend table" (lib/extend-table.c, 26.03).
#[derive(Debug, Default)]
pub struct IdPool {
    by_key: HashMap<Str, u32, FxBuildHasher>,
    by_id: BTreeMap<u32, Entry>,
    changed: BTreeSet<u32>,
    next: u32,
    limit: Option<u32>,
}

#[derive(Debug)]
struct Entry {
    key: Str,
    references: u32,
    in_switch: bool,
}

impl IdPool {
    /// Ids go from 1 to `limit`.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = Some(limit);
    }

    /// The id for `key`, a new one if it has none. `None`: exhausted.
    pub fn id(&mut self, key: &str) -> Option<u32> {
        if let Some(&id) = self.by_key.get(key) {
            return Some(id);
        }
        let limit = self.limit.unwrap_or(u32::MAX - 256);
        let start = self.next;
        loop {
            self.next = if self.next >= limit { 1 } else { self.next + 1 };
            if !self.by_id.contains_key(&self.next) && limit > 0 {
                break;
            }
            if self.next == start || limit == 0 {
                return None;
            }
        }
        self.insert(self.next, Str::from(key), false);
        Some(self.next)
    }

    /// The switch already has `key` under `id`.
    pub fn adopt(&mut self, id: u32, key: Str) {
        if !self.by_key.contains_key(&key) && !self.by_id.contains_key(&id) {
            self.insert(id, key, true);
        }
    }

    /// One more unit refers to `id`. Says whether it is the first.
    pub fn retain(&mut self, id: u32) -> bool {
        let Some(entry) = self.by_id.get_mut(&id) else { return false };
        entry.references += 1;
        self.changed.insert(id);
        entry.references == 1
    }

    /// One unit fewer refers to `id`. Says whether it was the last.
    pub fn release(&mut self, id: u32) -> bool {
        let Some(entry) = self.by_id.get_mut(&id) else { return false };
        entry.references = entry.references.saturating_sub(1);
        self.changed.insert(id);
        entry.references == 0
    }

    /// The content of `id`.
    pub fn key(&self, id: u32) -> Option<&Str> {
        self.by_id.get(&id).map(|e| &e.key)
    }

    /// Ids that units refer to, with their content.
    pub fn desired(&self) -> impl Iterator<Item = (u32, &Str)> + '_ {
        self.by_id.iter().filter(|(_, e)| e.references > 0).map(|(id, e)| (*id, &e.key))
    }

    /// Ids whose content the switch lacks, and ids that nobody refers to but the switch has. Ids that are in neither are
    /// given back to the pool.
    pub fn take_changes(&mut self) -> (Vec<u32>, Vec<u32>) {
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.changed) {
            match self.by_id.get(&id) {
                Some(e) if e.references > 0 && !e.in_switch => add.push(id),
                Some(e) if e.references == 0 && e.in_switch => remove.push(id),
                Some(e) if e.references == 0 => self.forget(id),
                _ => {}
            }
        }
        (add, remove)
    }

    /// The switch has `id` now, or has not any more.
    pub fn set_in_switch(&mut self, id: u32, in_switch: bool) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.in_switch = in_switch;
            self.changed.insert(id);
        }
    }

    /// Nothing is known of the switch any more.
    pub fn forget_switch(&mut self) {
        for (id, entry) in &mut self.by_id {
            entry.in_switch = false;
            self.changed.insert(*id);
        }
    }

    /// Whether [`IdPool::take_changes`] might return something.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    fn insert(&mut self, id: u32, key: Str, in_switch: bool) {
        self.by_key.insert(key.clone(), id);
        self.by_id.insert(id, Entry { key, references: 0, in_switch });
        self.changed.insert(id);
    }

    fn forget(&mut self, id: u32) {
        if let Some(entry) = self.by_id.remove(&id) {
            self.by_key.remove(&entry.key);
        }
    }
}

/// Ranges of conjunction ids by (lflow, datapath). The preferred start is a hash of the two UUIDs, so that ids are the same
/// after a restart without anything being stored (sheet 02 section 2.8).
#[derive(Debug, Default)]
pub struct ConjunctionPool {
    by_owner: HashMap<(RowId, RowId), (u32, u32), FxBuildHasher>,
    /// Start to end (exclusive) of what is taken.
    taken: BTreeMap<u32, u32>,
}

impl ConjunctionPool {
    /// `n` contiguous ids for the owner (rows of the lflow and the datapath, and their UUIDs for the preference); its former
    /// range is given back first. `None`: exhausted.
    pub fn allocate(&mut self, owner: (RowId, RowId), uuids: (Uuid, Uuid), n: u32) -> Option<u32> {
        if let Some(&(start, held)) = self.by_owner.get(&owner) {
            if held == n {
                return Some(start);
            }
            self.free(owner);
        }
        if n == 0 {
            return Some(1);
        }
        let preferred = mix(u64::from(uuids.0.short()) << 32 | u64::from(uuids.1.short())).max(1);
        let start = self.first_free(preferred, n).or_else(|| self.first_free(1, n))?;
        self.taken.insert(start, start + n);
        self.by_owner.insert(owner, (start, n));
        Some(start)
    }

    /// Gives the owner's range back.
    pub fn free(&mut self, owner: (RowId, RowId)) {
        if let Some((start, _)) = self.by_owner.remove(&owner) {
            self.taken.remove(&start);
        }
    }

    fn first_free(&self, mut start: u32, n: u32) -> Option<u32> {
        if let Some((_, &end)) = self.taken.range(..=start).next_back()
            && end > start
        {
            start = end;
        }
        for (&taken, &end) in self.taken.range(start..) {
            if taken - start >= n {
                break;
            }
            start = end;
        }
        start.checked_add(n).map(|_| start)
    }
}

/// splitmix64's finisher, folded to 32 bits.
fn mix(mut x: u64) -> u32 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as u32
}

/// All pools.
#[derive(Debug, Default)]
pub struct Pools {
    /// Groups, by their text.
    pub groups: IdPool,
    /// Meters, by name.
    pub meters: IdPool,
    /// Conjunction ids.
    pub conjunctions: ConjunctionPool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_content_and_references() {
        let mut pool = IdPool::default();
        pool.adopt(7, Str::from("old"));
        assert_eq!(pool.id("old"), Some(7));
        let a = pool.id("a").unwrap();
        pool.retain(a);
        assert_eq!(pool.take_changes(), (vec![a], vec![7]));
        pool.set_in_switch(a, true);
        pool.set_in_switch(7, false);
        assert_eq!(pool.take_changes(), (vec![], vec![]));
        assert_eq!(pool.key(7), None);
        pool.release(a);
        assert_eq!(pool.take_changes(), (vec![], vec![a]));
    }

    #[test]
    fn a_pool_of_two_gives_two_ids() {
        let mut pool = IdPool::default();
        pool.set_limit(2);
        assert_eq!([pool.id("a"), pool.id("b"), pool.id("c")], [Some(1), Some(2), None]);
        pool.set_limit(0);
        assert_eq!(pool.id("d"), None);
    }

    #[test]
    fn conjunction_ranges_never_overlap_and_stay() {
        let mut pool = ConjunctionPool::default();
        let (owner, uuids) = ((RowId(1), RowId(2)), (Uuid::default(), Uuid::default()));
        let first = pool.allocate(owner, uuids, 3).unwrap();
        assert_eq!(pool.allocate(owner, uuids, 3), Some(first));
        let other = pool.allocate((RowId(3), RowId(2)), uuids, 2).unwrap();
        assert_eq!(other, first + 3);
        assert_eq!(pool.allocate(owner, uuids, 4), Some(first + 5));
    }
}
