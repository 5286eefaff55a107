//! [`Shards`]: numbers by hash, in many small tables. One large table would take tens of milliseconds in one go whenever it grows, and nothing
//! else could be answered meanwhile; here one of 256 grows at a time.

use hashbrown::HashTable;

const SHARDS: usize = 256;

/// The numbers of things that are kept elsewhere, found by their hash.
pub struct Shards([HashTable<u32>; SHARDS]);

impl Default for Shards {
    fn default() -> Self {
        Self(std::array::from_fn(|_| HashTable::new()))
    }
}

/// The table of a hash, by bits that tables do not use themselves (they begin at both ends).
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl Shards {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }

    /// The number with this hash of which `is_it` holds.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.0[shard(hash)].find(hash, |&number| is_it(number)).copied()
    }

    /// Adds a number that is not there. `hash_of` gives the hash of one that is.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        self.0[shard(hash)].insert_unique(hash, number, |&other| hash_of(other));
    }

    /// Removes the number that was added with this hash.
    pub fn remove(&mut self, hash: u64, number: u32) {
        if let Ok(entry) = self.0[shard(hash)].find_entry(hash, |&other| other == number) {
            entry.remove();
        }
    }

    /// Bytes in blocks of their own.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(HashTable::allocation_size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn numbers_are_found_and_spread() {
        let hasher = rustc_hash::FxBuildHasher;
        let hash_of = |number: u32| hasher.hash_one((3u8, number));
        let mut shards = Shards::default();
        let numbers = 0..50_000;
        for number in numbers.clone() {
            assert_eq!(shards.find(hash_of(number), |other| other == number), None);
            shards.insert(hash_of(number), number, hash_of);
        }
        assert_eq!(shards.len(), numbers.len());
        let largest = shards.0.iter().map(HashTable::len).max().unwrap();
        assert!(largest < 2 * numbers.len() / SHARDS, "one has {largest}");
        for number in numbers {
            assert_eq!(shards.find(hash_of(number), |other| other == number), Some(number));
            shards.remove(hash_of(number), number);
        }
        assert_eq!((shards.len(), shards.find(hash_of(1), |_| true)), (0, None));
    }
}
