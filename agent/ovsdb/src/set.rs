//! [`Set`]: a set column. Like a large [`Map`] a large set is in blocks, so that a member that comes or goes costs its block and not the set: the bridge's
//! ports and the members of a multicast group are as many as there are chassis.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

use crate::map::{Map, Pairs};

/// A set of atoms, sorted, without duplicates.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Set<T>(Map<T, ()>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<T> Set<T> {
    /// The members in ascending order.
    pub fn iter(&self) -> Members<'_, T> {
        Members(self.0.pairs())
    }

    /// The only member, if there is exactly one.
    pub fn only(&self) -> Option<&T> {
        self.iter().next().filter(|_| self.len() == 1)
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `member` is one of the members.
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(member)
    }

    /// The members for which `order`, how a member compares with a range, gives equality.
    pub fn range_by(&self, order: impl Fn(&T) -> Ordering) -> impl Iterator<Item = &T> {
        self.0.range_by(order).map(|(member, ())| member)
    }

    /// Whether there is a member for which `order`, how a member compares with the one that is looked for, gives equality.
    pub(crate) fn contains_by(&self, order: impl Fn(&T) -> Ordering) -> bool {
        self.0.get_by(order).is_some()
    }

    /// The members of a former version of the set, and of this one, but for those in blocks that both have: what differs is among them.
    pub fn beside<'a>(&'a self, former: &'a Self) -> [impl Iterator<Item = &'a T>; 2]
    where
        T: Ord,
    {
        self.0.beside(&former.0).map(|pairs| pairs.map(|(member, ())| member))
    }
}

impl<T: Ord + Clone> Set<T> {
    /// The members that are in exactly one of both sets: how `update2` describes a changed set (ovsdb-server(7), "Update2 Notification").
    pub fn symmetric_difference(&self, other: &Self) -> Self {
        Self(self.0.with_diff(&other.0))
    }
}

impl<T: Ord + Clone> From<Vec<T>> for Set<T> {
    fn from(members: Vec<T>) -> Self {
        members.into_iter().collect()
    }
}

impl<T: Ord + Clone> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        Self(members.into_iter().map(|member| (member, ())).collect())
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = Members<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The members of a set in ascending order.
pub struct Members<'a, T>(Pairs<'a, T, ()>);

impl<T> Clone for Members<'_, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, T> Iterator for Members<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.0.next().map(|(member, ())| member)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    fn fold<B, F: FnMut(B, &'a T) -> B>(self, start: B, mut f: F) -> B {
        self.0.fold(start, |so_far, (member, ())| f(so_far, member))
    }
}

impl<T> DoubleEndedIterator for Members<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(member, ())| member)
    }
}

impl<T> ExactSizeIterator for Members<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Str;

    fn set(members: impl IntoIterator<Item = i64>) -> Set<i64> {
        members.into_iter().collect()
    }

    #[test]
    fn sets_are_sorted_and_deduplicated() {
        let texts: Set<Str> = ["b", "a", "b"].into_iter().map(Str::from).collect();
        assert_eq!(texts.iter().map(Str::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(texts.contains("a") && !texts.contains("c"));
        assert_eq!((texts.len(), texts.only(), set([7]).only(), set([]).only()), (2, None, Some(&7), None));
        assert_eq!(size_of::<Set<Str>>(), 16);
    }

    #[test]
    fn diffs_follow_update2() {
        assert_eq!(set([1, 2, 3]).symmetric_difference(&set([2, 4])), set([1, 3, 4]));
        assert_eq!(set([1]).symmetric_difference(&set([1])), Set::default());
    }

    #[test]
    fn a_member_costs_its_block() {
        let old = set((0..1000).map(|member| 2 * member));
        let new = old.symmetric_difference(&set([501, 502]));
        let expected: Vec<i64> = (0..2000).filter(|n| *n == 501 || n % 2 == 0 && *n != 502).collect();
        assert!(new.iter().eq(&expected) && new.iter().rev().eq(expected.iter().rev()) && new.len() == 1000);
        assert_eq!(new.beside(&old).map(Iterator::count), [64, 64]);
        for hundred in -1..21 {
            let inside = expected.iter().filter(|member| **member / 100 == hundred);
            assert!(new.range_by(|member| (member / 100).cmp(&hundred)).eq(inside), "{hundred}");
        }
        assert!(new.contains(&501) && !new.contains(&502) && new.contains_by(|member| member.cmp(&1998)));
    }
}
