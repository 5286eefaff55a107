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
    let mut buckets: Vec<Vec<(u32, T)>> = vec![Vec::new()];
    let mut count = 0;
    for item in items {
        let hash = hash(&item);
        let mask = buckets.len() - 1;
        // A bucket is a chain whose head is the newest item: here its last.
        if let Some(bucket) = buckets.get_mut(hash as usize & mask) {
            bucket.push((hash, item));
        }
        count += 1;
        if count / 2 > mask {
            let mask = mask_for(count);
            let mut wider: Vec<Vec<(u32, T)>> = (0..=mask).map(|_| Vec::new()).collect();
            for (hash, item) in buckets.into_iter().flat_map(|bucket| bucket.into_iter().rev()) {
                if let Some(bucket) = wider.get_mut(hash as usize & mask) {
                    bucket.push((hash, item));
                }
            }
            buckets = wider;
        }
    }
    buckets.into_iter().flat_map(|bucket| bucket.into_iter().rev()).map(|(_, item)| item).collect()
}

/// hmap.c `calc_mask`: buckets for `capacity` items, less one; a power of two less one, and never 1.
fn mask_for(capacity: usize) -> usize {
    let mask = (capacity / 2 + 1).next_power_of_two() - 1;
    if mask == 1 { 3 } else { mask }
}

/// hash.h `hash_string` with basis 0.
fn hash_string(text: &str) -> u32 {
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
    fn order_of_ten_chassis() {
        let names = (1..=10).map(|n| format!("hv{n}")).collect::<Vec<_>>();
        assert_eq!(
            hmap_order(names, |name| name),
            ["hv8", "hv10", "hv1", "hv3", "hv5", "hv4", "hv2", "hv7", "hv9", "hv6"]
        );
    }
}
