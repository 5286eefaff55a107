//! What differs between two maps, entry by entry ([`differing`]): between a set column and what it was, and for the core between a table of the
//! kernel, or a derived value, and its former version.

/// Calls `differs` for each key whose value differs, with whether it is in the old and in the new map. Both are in the order of their keys.
pub fn differing<'a, K: Ord + 'a, V: PartialEq + 'a>(
    old: impl IntoIterator<Item = (&'a K, &'a V)>,
    new: impl IntoIterator<Item = (&'a K, &'a V)>,
    mut differs: impl FnMut(&'a K, bool, bool),
) {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let (before, after) =
            (order.is_le().then(|| old.next()).flatten(), order.is_ge().then(|| new.next()).flatten());
        match (before, after) {
            (Some((key, before)), Some((_, after))) if before != after => differs(key, true, true),
            (Some((key, _)), None) => differs(key, true, false),
            (None, Some((key, _))) => differs(key, false, true),
            _ => {}
        }
    }
}
