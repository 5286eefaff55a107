//! Allocations that outlive a run of a unit: group and meter ids by content, conjunction ids by owner. They are stable: what
//! is held keeps its number, and numbers found in the switch are adopted.

use hashbrown::HashMap;
use ovsdb::{RowId, Str, Uuid};
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeMap, BTreeSet};

use crate::switch::group_of;

/// Content to id, with reference counts: OVN's "extend table" (lib/extend-table.c, 26.03). The id is a hash of the content
/// where that is free, so that the same content has the same id after a restart without anything being stored.
#[derive(Debug)]
pub struct IdPool {
    by_key: HashMap<Str, u32, FxBuildHasher>,
    by_id: BTreeMap<u32, Entry>,
    changed: BTreeSet<u32>,
    limit: u32,
    /// Ids that the switch has and nobody wants yet, by normal form of their content.
    offered: BTreeMap<String, u32>,
}

#[derive(Debug)]
struct Entry {
    key: Str,
    references: u32,
    /// The switch may hold the id, so that it cannot be given to other content.
    in_switch: bool,
}

impl Default for IdPool {
    fn default() -> Self {
        Self {
            by_key: HashMap::default(),
            by_id: BTreeMap::new(),
            changed: BTreeSet::new(),
            limit: u32::MAX - 256,
            offered: BTreeMap::new(),
        }
    }
}

impl IdPool {
    /// Ids go from 1 to `limit`; those given out already stay.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// The switch has these (normal form of the content, id): whoever wants such content gets that id.
    pub fn offer(&mut self, offered: impl Iterator<Item = (String, u32)>) {
        self.offered = offered.collect();
    }

    /// The id for `key`, a new one if it has none. `None`: exhausted.
    pub fn id(&mut self, key: &str) -> Option<u32> {
        if let Some(&id) = self.by_key.get(key) {
            return Some(id);
        }
        if self.limit == 0 {
            return None;
        }
        let preferred = (hash(key) % u64::from(self.limit)) as u32 + 1;
        let free = |id: &u32| !self.by_id.contains_key(id);
        let offered =
            if self.offered.is_empty() { None } else { normal(key).and_then(|text| self.offered.remove(&text)) };
        let adopted = offered.filter(|id| (1..=self.limit).contains(id)).filter(free);
        let id = adopted.or_else(|| (preferred..=self.limit).chain(1..preferred).find(free))?;
        let key = Str::from(key);
        self.by_key.insert(key.clone(), id);
        self.by_id.insert(id, Entry { key, references: 0, in_switch: false });
        self.changed.insert(id);
        Some(id)
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

    /// Number of ids taken, by whatever refers to them and by what the switch may still have.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no id is taken.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The content of `id` if a unit refers to it.
    pub fn wanted(&self, id: u32) -> Option<&Str> {
        self.by_id.get(&id).filter(|e| e.references > 0).map(|e| &e.key)
    }

    /// Ids that units refer to, with their content.
    pub fn desired(&self) -> impl Iterator<Item = (u32, &Str)> + '_ {
        self.by_id.iter().filter(|(_, e)| e.references > 0).map(|(id, e)| (*id, &e.key))
    }

    /// The ids of which something may have changed since the last call. Those that nobody refers to and the switch does not
    /// have are given back to the pool.
    pub fn take_changed(&mut self) -> BTreeSet<u32> {
        let changed = std::mem::take(&mut self.changed);
        for id in &changed {
            if self.by_id.get(id).is_some_and(|e| e.references == 0 && !e.in_switch)
                && let Some(entry) = self.by_id.remove(id)
            {
                self.by_key.remove(&entry.key);
            }
        }
        changed
    }

    /// The switch may have `id` now, or surely has it not.
    pub fn set_in_switch(&mut self, id: u32, in_switch: bool) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.in_switch = in_switch;
            self.changed.insert(id);
        }
    }

    /// What the switch has under this id has to be looked at again, be it ours or not.
    pub fn touch(&mut self, id: u32) {
        self.changed.insert(id);
    }

    /// Everything has to be compared with the switch again.
    pub fn touch_all(&mut self) {
        self.changed.extend(self.by_id.keys());
    }

    /// Whether [`IdPool::take_changed`] would return something.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }
}

/// Group texts that differ in spelling only have one normal form.
fn normal(key: &str) -> Option<String> {
    group_of(0, key).ok().map(|group| group.to_string())
}

/// FNV-1a, then mixed: a hash that must not differ between builds, since ids made from it are in switches.
pub(crate) fn hash(text: &str) -> u64 {
    mix(fnv1a(text))
}

/// FNV-1a, 64 bits: the same in every build.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// A UUID that is made from what it is of: the same in every run.
pub fn uuid_of(text: &str) -> Uuid {
    let (high, low) = (hash(text), hash(&format!("{text}.")));
    let mut bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    // Version 8, "custom", of RFC 9562.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid(bytes)
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
        let preferred = mix(u64::from(uuids.0.short()) << 32 | u64::from(uuids.1.short())) as u32;
        let preferred = preferred.max(1);
        let start = self.first_free(preferred, n).or_else(|| self.first_free(1, n))?;
        self.taken.insert(start, start + n);
        self.by_owner.insert(owner, (start, n));
        Some(start)
    }

    /// What is taken: owner, start, number.
    pub fn iter(&self) -> impl Iterator<Item = ((RowId, RowId), u32, u32)> + '_ {
        self.by_owner.iter().map(|(owner, (start, n))| (*owner, *start, *n))
    }

    /// Number of ranges taken.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether no id is taken.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
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

/// splitmix64's finisher.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
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
        let a = pool.id("a").unwrap();
        assert_eq!(IdPool::default().id("a"), Some(a), "the id is a function of the content");
        assert!(pool.retain(a));
        pool.take_changed();
        pool.set_in_switch(a, true);
        assert!(pool.release(a));
        assert_eq!(pool.take_changed(), BTreeSet::from([a]));
        assert_eq!(pool.wanted(a), None);
        assert_eq!(pool.id("a"), Some(a), "the switch has it, so the id stays taken");
        pool.set_in_switch(a, false);
        pool.take_changed();
        assert!(pool.by_id.is_empty() && pool.by_key.is_empty());
    }

    #[test]
    fn a_pool_of_two_gives_two_ids() {
        let mut pool = IdPool::default();
        pool.set_limit(2);
        let ids = BTreeSet::from([pool.id("a"), pool.id("b")]);
        assert_eq!(ids, BTreeSet::from([Some(1), Some(2)]));
        assert_eq!(pool.id("c"), None);
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
