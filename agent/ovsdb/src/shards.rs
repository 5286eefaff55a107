//! [`Shards`]: things by hash, in many small tables. One large table would take tens of milliseconds in one go whenever it grows, and nothing
//! else could be answered meanwhile; here one of 256 grows at a time.

use hashbrown::hash_table::{Entry, HashTable, OccupiedEntry};

const SHARDS: usize = 256;
/// So many are still in one table, which is made anew in a millisecond. In many tables they would be a few in each, and since a table's size is a
/// power of two, what they take would creep up for days as things come and go.
const FEW: usize = 16_384;

/// Things found by their hash.
#[derive(Clone, Debug)]
pub struct Shards<T>(Tables<T>);

#[derive(Clone, Debug)]
enum Tables<T> {
    One(HashTable<T>),
    /// By [`shard`].
    Many(Box<[HashTable<T>]>),
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self(Tables::One(HashTable::new()))
    }
}

/// The number of a hash's table, by bits that tables do not use themselves (they begin at both ends).
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl<T> Shards<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.tables().iter().map(HashTable::len).sum()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.tables().iter().all(HashTable::is_empty)
    }

    /// The one with this hash of which `is_it` holds.
    pub fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        let table = match &self.0 {
            Tables::One(table) => table,
            Tables::Many(tables) => &tables[shard(hash)],
        };
        table.find(hash, is_it)
    }

    /// The one with this hash of which `is_it` holds, or its place. `hash_of` gives the hash of one that is there.
    pub fn entry(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool, hash_of: impl Fn(&T) -> u64) -> Entry<'_, T> {
        self.spread(0, &hash_of);
        self.table(hash).entry(hash, is_it, hash_of)
    }

    /// Adds one that is not there. `hash_of` gives the hash of one that is.
    pub fn insert(&mut self, hash: u64, thing: T, hash_of: impl Fn(&T) -> u64) {
        self.spread(0, &hash_of);
        self.table(hash).insert_unique(hash, thing, hash_of);
    }

    /// The one with this hash of which `is_it` holds, to be changed or removed.
    pub fn find_entry(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<OccupiedEntry<'_, T>> {
        self.table(hash).find_entry(hash, is_it).ok()
    }

    /// Removes the one that was added with this hash and of which `is_it` holds.
    pub fn remove(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        self.find_entry(hash, is_it).map(|entry| entry.remove().0)
    }

    /// Removes all of which `stays` does not hold.
    pub fn retain(&mut self, mut stays: impl FnMut(&mut T) -> bool) {
        self.tables_mut().iter_mut().for_each(|table| table.retain(&mut stays));
    }

    /// Makes room for `additional` more. `hash_of` gives the hash of one that is there.
    pub fn reserve(&mut self, additional: usize, hash_of: impl Fn(&T) -> u64) {
        self.spread(additional, &hash_of);
        let tables = self.tables_mut();
        // Some get a little more than their share.
        let each = if tables.len() == 1 { additional } else { additional / SHARDS + additional / SHARDS / 8 };
        tables.iter_mut().for_each(|table| table.reserve(each, &hash_of));
    }

    /// Bytes in blocks of their own.
    pub fn bytes(&self) -> usize {
        let tables = match &self.0 {
            Tables::One(_) => 0,
            Tables::Many(tables) => size_of_val(&**tables),
        };
        tables + self.tables().iter().map(HashTable::allocation_size).sum::<usize>()
    }

    /// Into many tables, if one is not enough for `additional` more.
    fn spread(&mut self, additional: usize, hash_of: &impl Fn(&T) -> u64) {
        let Tables::One(table) = &mut self.0 else { return };
        if table.len() + additional < FEW {
            return;
        }
        let mut tables: Box<[HashTable<T>]> = (0..SHARDS).map(|_| HashTable::new()).collect();
        for thing in table.drain() {
            let hash = hash_of(&thing);
            tables[shard(hash)].insert_unique(hash, thing, hash_of);
        }
        self.0 = Tables::Many(tables);
    }

    fn table(&mut self, hash: u64) -> &mut HashTable<T> {
        match &mut self.0 {
            Tables::One(table) => table,
            Tables::Many(tables) => &mut tables[shard(hash)],
        }
    }

    fn tables(&self) -> &[HashTable<T>] {
        match &self.0 {
            Tables::One(table) => std::slice::from_ref(table),
            Tables::Many(tables) => tables,
        }
    }

    fn tables_mut(&mut self) -> &mut [HashTable<T>] {
        match &mut self.0 {
            Tables::One(table) => std::slice::from_mut(table),
            Tables::Many(tables) => tables,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    fn hash_of(number: &u32) -> u64 {
        rustc_hash::FxBuildHasher.hash_one((3u8, number))
    }

    #[test]
    fn numbers_are_found_and_spread() {
        for count in [10, FEW as u32, 50_000] {
            let mut shards = Shards::default();
            assert!(shards.is_empty());
            for number in 0..count {
                assert_eq!(shards.find(hash_of(&number), |&other| other == number), None);
                shards.insert(hash_of(&number), number, hash_of);
            }
            assert_eq!(shards.len(), count as usize);
            let largest = shards.tables().iter().map(HashTable::len).max().unwrap();
            let most = if count as usize <= FEW { count as usize } else { 2 * count as usize / SHARDS };
            assert!(largest <= most, "one of {count} has {largest}");
            for number in 0..count {
                assert_eq!(shards.find(hash_of(&number), |&other| other == number), Some(&number));
                assert_eq!(shards.remove(hash_of(&number), |&other| other == number), Some(number));
                assert_eq!(shards.remove(hash_of(&number), |&other| other == number), None);
            }
            assert_eq!((shards.len(), shards.find(hash_of(&1), |_| true)), (0, None));
        }
    }

    #[test]
    fn one_is_changed_in_place() {
        let mut shards = Shards::default();
        (0..20_000).for_each(|number: u32| shards.insert(hash_of(&number), number, hash_of));
        assert!(shards.find_entry(hash_of(&7), |&other| other == 7).is_some());
        shards.find_entry(hash_of(&8), |&other| other == 8).unwrap().remove();
        assert!(shards.find_entry(hash_of(&8), |&other| other == 8).is_none());
        let is = |shards: &mut Shards<u32>, number: u32| {
            matches!(shards.entry(hash_of(&number), |&other| other == number, hash_of), Entry::Occupied(_))
        };
        assert_eq!([7, 8, 9].map(|number| is(&mut shards, number)), [true, false, true]);
        shards.retain(|number| *number % 2 == 1);
        assert_eq!(shards.len(), 10_000);
        assert_eq!([7, 9, 10].map(|number| is(&mut shards, number)), [true, true, false]);
    }

    #[test]
    fn room_for_many_is_made_once() {
        let mut shards = Shards::default();
        shards.reserve(100_000, hash_of);
        let bytes = shards.bytes();
        (0..100_000).for_each(|number| shards.insert(hash_of(&number), number, hash_of));
        assert_eq!(shards.bytes(), bytes);
        let mut few = Shards::default();
        few.insert(hash_of(&1), 1, hash_of);
        assert!(few.bytes() < 100, "{}", few.bytes());
    }
}
