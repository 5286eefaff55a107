//! [`Map`]: a map column. A large one is kept in blocks, so that an entry that changes costs its block and not the map: the bridge's external_ids have two
//! entries for each of thousands of datapaths, and nb_cfg among them changes all the time.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use triomphe::Arc;

use crate::value::with_difference;

/// A map of atoms to atoms, sorted by key.
#[derive(Clone)]
pub struct Map<K, V>(Form<K, V>);

/// Two words: the empty one owns no heap block.
#[derive(Clone)]
enum Form<K, V> {
    One(Block<K, V>),
    Blocks(Option<Arc<Blocks<K, V>>>),
}

/// Pairs in ascending order of keys, not none.
type Block<K, V> = Arc<[(K, V)]>;

/// More than one block.
struct Blocks<K, V> {
    /// The number of pairs.
    len: usize,
    blocks: Vec<Block<K, V>>,
}

/// Pairs in a new block of a large map, and how many there may be in one.
const NEW_BLOCK: usize = 64;
const FULL_BLOCK: usize = 128;

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Form::Blocks(None))
    }
}

impl<K, V> Map<K, V> {
    fn blocks(&self) -> &[Block<K, V>] {
        match &self.0 {
            Form::One(block) => std::slice::from_ref(block),
            Form::Blocks(None) => &[],
            Form::Blocks(Some(blocks)) => &blocks.blocks,
        }
    }

    fn of_blocks(mut blocks: Vec<Block<K, V>>) -> Self {
        if blocks.len() > 1 {
            let len = blocks.iter().map(|block| block.len()).sum();
            return Self(Form::Blocks(Some(Arc::new(Blocks { len, blocks }))));
        }
        blocks.pop().map_or_else(Self::default, |block| Self(Form::One(block)))
    }

    /// The pairs in ascending order of keys.
    pub fn pairs(&self) -> Pairs<'_, K, V> {
        Pairs { pairs: self.blocks().iter().flat_map(|block| block.iter()), left: self.len() }
    }

    /// The same, as keys and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> + DoubleEndedIterator + Clone {
        self.pairs().map(|(key, value)| (key, value))
    }

    /// The keys in ascending order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + Clone {
        self.pairs().map(|(key, _)| key)
    }

    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_by(|probe| probe.borrow().cmp(key))
    }

    /// The value of the key for which `order`, how a key compares with the one that is looked for, gives equality.
    pub(crate) fn get_by(&self, order: impl Fn(&K) -> Ordering) -> Option<&V> {
        let block = self.blocks_from(&order).first()?;
        let at = block.binary_search_by(|(probe, _)| order(probe)).ok()?;
        block.get(at).map(|(_, value)| value)
    }

    /// The blocks from the first on that does not end in front of what is looked for.
    fn blocks_from(&self, order: &impl Fn(&K) -> Ordering) -> &[Block<K, V>] {
        let blocks = self.blocks();
        let from = blocks.partition_point(|block| last_key(block).is_some_and(|last| order(last).is_lt()));
        blocks.get(from..).unwrap_or_default()
    }

    /// The pairs of those keys for which `order`, how a key compares with a range, gives equality.
    pub(crate) fn range_by(&self, order: impl Fn(&K) -> Ordering) -> impl Iterator<Item = &(K, V)> {
        let slices = self.blocks_from(&order).iter().map(move |block| {
            let (start, end) = (
                block.partition_point(|(key, _)| order(key).is_lt()),
                block.partition_point(|(key, _)| order(key).is_le()),
            );
            block.get(start..end).unwrap_or_default()
        });
        slices.take_while(|slice| !slice.is_empty()).flatten()
    }

    /// Whether there is a value for `key`.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The pairs of a former version of the map, and of this one, but for those in blocks that both have: what differs is among them.
    pub fn beside<'a>(&'a self, former: &'a Self) -> [impl Iterator<Item = (&'a K, &'a V)>; 2]
    where
        K: Ord,
    {
        let (mut before, mut now) = (former.blocks(), self.blocks());
        let mut alone: [Vec<&'a Block<K, V>>; 2] = Default::default();
        loop {
            match (before, now) {
                ([a, behind_a @ ..], [b, behind_b @ ..]) if Arc::ptr_eq(a, b) => (before, now) = (behind_a, behind_b),
                // A block that the other map has as well is behind nothing that is greater than its keys.
                ([a, behind @ ..], rest) if rest.first().is_none_or(|b| last_key(a) <= last_key(b)) => {
                    alone[0].push(a);
                    before = behind;
                }
                (_, [b, behind @ ..]) => {
                    alone[1].push(b);
                    now = behind;
                }
                (_, []) => {
                    return alone.map(|blocks| {
                        blocks.into_iter().flat_map(|block| block.iter().map(|(key, value)| (key, value)))
                    });
                }
            }
        }
    }

    /// How many pairs.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::One(block) => block.len(),
            Form::Blocks(blocks) => blocks.as_ref().map_or(0, |blocks| blocks.len),
        }
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord + Clone, V: PartialEq + Clone> Map<K, V> {
    /// This map after the change `diff` as `update2` describes it (ovsdb-server(7), "Update2 Notification"): a pair that is already there is
    /// removed, a key with another value gets the new value, a new key is added.
    pub fn with_diff(&self, diff: &Self) -> Self {
        let mut diff = diff.pairs().peekable();
        let mut blocks: Vec<Block<K, V>> = Vec::with_capacity(self.blocks().len() + 1);
        let mut held = self.blocks().iter().peekable();
        while let Some(block) = held.next() {
            // What comes behind the last key of all belongs to the last block.
            let is_last = held.peek().is_none();
            let mine = |(key, _): &&(K, V)| is_last || block.last().is_none_or(|(last, _)| key <= last);
            if diff.peek().is_some_and(mine) {
                let mine = std::iter::from_fn(|| diff.next_if(mine));
                add(&mut blocks, with_difference(block, mine, |(a, _), (b, _)| a.cmp(b)));
            } else {
                blocks.push(block.clone());
            }
        }
        // There was no block.
        add(&mut blocks, diff.cloned().collect());
        Self::of_blocks(blocks)
    }
}

fn last_key<K, V>(block: &Block<K, V>) -> Option<&K> {
    block.last().map(|(key, _)| key)
}

/// Puts pairs behind those that are there. What is left of a block joins the one before.
fn add<K: Clone, V: Clone>(blocks: &mut Vec<Block<K, V>>, mut pairs: Vec<(K, V)>) {
    if pairs.len() < NEW_BLOCK / 2
        && !pairs.is_empty()
        && let Some(before) = blocks.pop_if(|before| before.len() + pairs.len() <= FULL_BLOCK)
    {
        pairs.splice(..0, before.iter().cloned());
    }
    if pairs.len() <= FULL_BLOCK {
        blocks.extend((!pairs.is_empty()).then(|| Arc::from(pairs)));
        return;
    }
    let mut pairs = pairs.into_iter();
    while pairs.len() > 0 {
        blocks.push(Arc::from(pairs.by_ref().take(NEW_BLOCK).collect::<Vec<_>>()));
    }
}

impl<K: Ord + Clone, V: Clone> From<Vec<(K, V)>> for Map<K, V> {
    /// Of several values of one key the first is kept.
    fn from(mut pairs: Vec<(K, V)>) -> Self {
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.dedup_by(|a, b| a.0 == b.0);
        }
        let mut blocks = Vec::new();
        add(&mut blocks, pairs);
        Self::of_blocks(blocks)
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self::from(pairs.into_iter().collect::<Vec<(K, V)>>())
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.blocks(), other.blocks());
        // Two versions of one map have most blocks in common.
        if ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.len() == b.len()) {
            return ours == theirs;
        }
        self.len() == other.len() && self.pairs().eq(other.pairs())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: Hash, V: Hash> Hash for Map<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.pairs().for_each(|pair| pair.hash(state));
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The pairs of a map in ascending order of keys, with their number.
pub struct Pairs<'a, K, V> {
    pairs: PairsOfBlocks<'a, K, V>,
    left: usize,
}

type PairsOfBlock<'a, K, V> = std::slice::Iter<'a, (K, V)>;
type PairsOfBlocks<'a, K, V> = std::iter::FlatMap<
    std::slice::Iter<'a, Block<K, V>>,
    PairsOfBlock<'a, K, V>,
    fn(&'a Block<K, V>) -> PairsOfBlock<'a, K, V>,
>;

impl<K, V> Clone for Pairs<'_, K, V> {
    fn clone(&self) -> Self {
        Self { pairs: self.pairs.clone(), left: self.left }
    }
}

impl<'a, K, V> Iterator for Pairs<'a, K, V> {
    type Item = &'a (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.pairs.next();
        self.left -= usize::from(next.is_some());
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, start: B, f: F) -> B {
        self.pairs.fold(start, f)
    }
}

impl<K, V> DoubleEndedIterator for Pairs<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let next = self.pairs.next_back();
        self.left -= usize::from(next.is_some());
        next
    }
}

impl<K, V> ExactSizeIterator for Pairs<'_, K, V> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Str;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn map(pairs: impl IntoIterator<Item = (i64, i64)>) -> Map<i64, i64> {
        pairs.into_iter().collect()
    }

    #[test]
    fn the_first_of_several_values_is_kept() {
        let map = map([(2, 1), (1, 2), (2, 3)]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&1, &2), (&2, &1)]);
        assert_eq!((map.get(&2), map.get(&3), map.len()), (Some(&1), None, 2));
        assert_eq!(size_of::<Map<Str, Str>>(), 16);
    }

    #[test]
    fn diffs_follow_update2() {
        let old = map([(1, 10), (2, 20), (3, 30)]);
        assert_eq!(old.with_diff(&map([(1, 10), (2, 21), (4, 40)])), map([(2, 21), (3, 30), (4, 40)]));
        assert_eq!(map([(1, 1)]).with_diff(&map([(1, 1)])), Map::default());
    }

    #[test]
    fn a_change_leaves_the_other_blocks_alone() {
        let old = map((0..1000).map(|key| (key, 0)));
        let new = old.with_diff(&map([(500, 1)]));
        let differ = old.blocks().iter().zip(new.blocks()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!((old.blocks().len(), new.blocks().len(), differ), (16, 16, 1));
        assert!(old != new && new.with_diff(&map([(500, 0)])) == old);
        let [before, now] = new.beside(&old).map(|pairs| pairs.filter(|(_, value)| **value == 1).count());
        assert_eq!((before, now, new.beside(&old).map(Iterator::count)), (0, 1, [64, 64]));
        assert_eq!(old.beside(&old).map(Iterator::count), [0, 0]);
        // Of a map that shrinks few blocks are left.
        let few = old.with_diff(&map((0..1000).filter(|key| key % 100 > 0).map(|key| (key, 0))));
        assert_eq!((few.len(), few.blocks().len()), (10, 1));
    }

    proptest! {
        /// Like the map of the standard library, however it came about.
        #[test]
        fn a_map_is_what_its_changes_make_of_it(
            start in proptest::collection::vec((0..600i64, 0..3i64), 0..600),
            diffs in proptest::collection::vec(proptest::collection::btree_map(0..600i64, 0..3i64, 0..80), 0..12),
        ) {
            let mut model: BTreeMap<i64, i64> = start.iter().rev().copied().collect();
            let mut held: Map<i64, i64> = start.into();
            for diff in diffs {
                let (former, had) = (held.clone(), model.clone());
                held = held.with_diff(&diff.iter().map(|(key, value)| (*key, *value)).collect());
                for (key, value) in diff {
                    match model.get(&key) {
                        Some(now) if *now == value => _ = model.remove(&key),
                        _ => _ = model.insert(key, value),
                    }
                }
                let [before, now] = held.beside(&former).map(|pairs| pairs.map(|(key, value)| (*key, *value)).collect::<BTreeMap<_, _>>());
                let differs = |key: &i64| had.get(key) != model.get(key);
                prop_assert!(had.iter().filter(|(key, _)| differs(key)).all(|(key, value)| before.get(key) == Some(value)));
                prop_assert!(model.iter().filter(|(key, _)| differs(key)).all(|(key, value)| now.get(key) == Some(value)));
                prop_assert!((0..600).filter(|key| !differs(key)).all(|key| before.get(&key) == now.get(&key)));
                prop_assert!(held.iter().eq(model.iter()) && held.iter().rev().eq(model.iter().rev()));
                prop_assert_eq!(held.iter().len(), model.len());
                prop_assert_eq!(&held, &model.iter().map(|(key, value)| (*key, *value)).collect());
                prop_assert!((-1..601).all(|key| held.get(&key) == model.get(&key)));
                prop_assert!(held.blocks().iter().all(|block| (1..=FULL_BLOCK).contains(&block.len())));
            }
        }
    }
}
