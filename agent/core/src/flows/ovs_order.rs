//! The order in which OVN walks its hash tables of names.
//!
//! Where a list of actions is built from a set (the chassis of a multicast group), any order serves the packets equally. This one is
//! that of ovn-controller, so that the flows of both agents can be compared as text, hypervisor by hypervisor, before and after a
//! switch-over. It is a pure function of the names and the order in which they are added. Sources: Open vSwitch's lib/hash.c
//! (MurmurHash3, as built without SSE4.2) and lib/hmap.c.

/// The items as a loop over an `sset` or `hmap` gives them to which they were added in this order. `name` is what is hashed.
pub fn hmap_order<T>(items: impl IntoIterator<Item = T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    hmap_order_by_hash(items, |item| hash_string(name(item)))
}

/// The same where something else than a name is hashed: the first 32 bits of the UUID for the rows of a table.
pub fn hmap_order_by_hash<T>(items: impl IntoIterator<Item = T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    let items = items.into_iter();
    let mut hmap = Hmap::with_capacity(items.size_hint().0);
    for item in items {
        hmap.insert(hash(&item), item);
    }
    hmap.into_items()
}

/// A hash table that is walked as Open vSwitch's `hmap` would be.
pub struct Hmap<T> {
    /// By the last bits of the hash: the newest item, whose chain leads to the older ones. Their number is a power of two.
    buckets: Vec<Link>,
    /// Apart from the items, so that a thousand of them are 8 kB.
    nodes: Vec<Node>,
    items: Vec<T>,
}

/// The number of a node, or [`END`].
type Link = u32;

/// The end of a chain.
const END: Link = Link::MAX;

struct Node {
    hash: u32,
    next: Link,
}

impl<T> Hmap<T> {
    /// An empty one, with room for so many items.
    pub fn with_capacity(items: usize) -> Self {
        Self { buckets: vec![END], nodes: Vec::with_capacity(items), items: Vec::with_capacity(items) }
    }

    /// How many items there are.
    pub fn count(&self) -> usize {
        self.items.len()
    }

    /// Adds an item, whether or not there is one like it.
    pub fn insert(&mut self, hash: u32, item: T) {
        self.insert_new(hash, item, |_, _| false);
    }

    /// Adds an item unless there is one with the same hash that is the same.
    pub fn insert_new(&mut self, hash: u32, item: T, is_same: impl Fn(&T, &T) -> bool) {
        let bucket = hash as usize & (self.buckets.len() - 1);
        let Some(head) = self.buckets.get_mut(bucket) else { return };
        let mut at = *head;
        while let Some(node) = self.nodes.get(at as usize) {
            if node.hash == hash && self.items.get(at as usize).is_some_and(|known| is_same(known, &item)) {
                return;
            }
            at = node.next;
        }
        let next = std::mem::replace(head, self.nodes.len() as Link);
        self.nodes.push(Node { hash, next });
        self.items.push(item);
        if self.nodes.len() / 2 >= self.buckets.len() {
            self.widen();
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.order().filter_map(|at| self.items.get(at))
    }

    /// The items in order.
    fn into_items(self) -> Vec<T> {
        let order: Vec<usize> = self.order().collect();
        let mut items: Vec<Option<T>> = self.items.into_iter().map(Some).collect();
        order.into_iter().filter_map(|at| items.get_mut(at)?.take()).collect()
    }

    fn order(&self) -> impl Iterator<Item = usize> {
        let (mut buckets, mut at) = (self.buckets.iter(), END);
        std::iter::from_fn(move || {
            while at == END {
                at = *buckets.next()?;
            }
            let this = at as usize;
            at = self.next(at);
            Some(this)
        })
    }

    /// More buckets, into which the items go from the first of the first bucket to the last of the last, each to the front of its chain.
    fn widen(&mut self) {
        let mut wider = vec![END; mask_for(self.nodes.len()) + 1];
        let mask = wider.len() - 1;
        for mut at in self.buckets.iter().copied() {
            while let Some(node) = self.nodes.get_mut(at as usize)
                && let Some(head) = wider.get_mut(node.hash as usize & mask)
            {
                let (next, chain) = (node.next, std::mem::replace(head, at));
                node.next = chain;
                at = next;
            }
        }
        self.buckets = wider;
    }

    fn next(&self, at: Link) -> Link {
        self.nodes.get(at as usize).map_or(END, |node| node.next)
    }
}

/// hmap.c `calc_mask`: buckets for `capacity` items, less one; a power of two less one, and never 1.
fn mask_for(capacity: usize) -> usize {
    let mask = (capacity / 2 + 1).next_power_of_two() - 1;
    if mask == 1 { 3 } else { mask }
}

/// hash.h `hash_string` with basis 0.
pub fn hash_string(text: &str) -> u32 {
    let hash = text.as_bytes().chunks(4).fold(0, |hash, chunk| {
        let mut word = [0; 4];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        hash_add(hash, u32::from_le_bytes(word))
    });
    let hash = hash ^ text.len() as u32;
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn hash_add(hash: u32, data: u32) -> u32 {
    let data = data.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (hash ^ data).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_open_vswitchs() {
        assert_eq!(hash_string(""), 0);
        for (text, hash) in [("hv1", 0x5e88ae09), ("hv10", 0x76140891), ("chassis-1", 0x647aec8d)] {
            assert_eq!(hash_string(text), hash, "{text}");
        }
    }

    #[test]
    fn masks_are_open_vswitchs() {
        for (capacity, mask) in [(2, 3), (3, 3), (8, 7), (16, 15), (32, 31), (33, 31)] {
            assert_eq!(mask_for(capacity), mask, "{capacity}");
        }
    }

    #[test]
    fn every_item_comes_out_once() {
        let names: Vec<String> = (0..100).map(|n| format!("hv{n}")).collect();
        let mut out = hmap_order(names.clone(), |name| name);
        assert_ne!(out, names);
        out.sort_by_key(|name| name[2..].parse::<u32>().unwrap());
        assert_eq!(out, names);
    }

    #[test]
    fn what_is_in_is_not_added_again() {
        let mut hmap = Hmap::with_capacity(0);
        for n in (0..1000u32).chain(0..1000) {
            // Three of each hash.
            hmap.insert_new(n / 3, n, u32::eq);
        }
        assert_eq!((hmap.count(), hmap.iter().count()), (1000, 1000));
        hmap.insert(7, 21);
        assert_eq!(hmap.iter().filter(|n| **n == 21).count(), 2);
    }

    #[test]
    fn order_of_ten_chassis() {
        let names = (1..=10).map(|n| format!("hv{n}")).collect::<Vec<_>>();
        assert_eq!(
            hmap_order(names, |name| name),
            ["hv8", "hv10", "hv1", "hv3", "hv5", "hv4", "hv2", "hv7", "hv9", "hv6"]
        );
    }
}
