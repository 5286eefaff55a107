//! [`List`]: a shared list, as facts and rows' readings have them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A list that is cheap to clone. Lists are first compared by identity: a thousand local datapaths that have stayed the same list cost nothing to look at.
/// (An `Arc` of a slice is compared member by member, also with itself: the standard library has a shorter way for sized types only.)
pub struct List<T>(Arc<[T]>);

impl<T> List<T> {
    /// Whether this is the same list. Equal ones need not be.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || *self.0 == *other.0
    }
}

impl<T: Eq> Eq for List<T> {}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(members: Vec<T>) -> Self {
        Self(members.into())
    }
}

impl<T, const N: usize> From<[T; N]> for List<T> {
    fn from(members: [T; N]) -> Self {
        Self(Arc::new(members))
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static COMPARED: Cell<u32> = const { Cell::new(0) };
    }

    #[derive(Clone)]
    struct Counted(u32);

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    #[test]
    fn a_list_is_not_compared_with_itself() {
        let list: List<Counted> = (0..100).map(Counted).collect();
        let equal: List<Counted> = list.to_vec().into();
        assert!(list == list.clone() && list.is(&list.clone()));
        assert_eq!(COMPARED.get(), 0);
        assert!(list == equal && !list.is(&equal));
        assert_eq!(COMPARED.get(), 100);
    }
}
