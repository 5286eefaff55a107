//! [`Segments`]: a list that grows without moving what it has. A `Vec` of half a million flows takes tens of milliseconds in one go whenever it
//! doubles, and nothing else could be answered meanwhile; here at most one segment moves.

use std::ops::{Index, IndexMut};

/// Items of a segment, a power of two.
const SIZE: usize = 4096;

/// A list in segments, of which all but the last are full.
#[derive(Clone, Debug)]
pub struct Segments<T>(Vec<Vec<T>>);

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Segments<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * SIZE + last.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The item with this number.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / SIZE)?.get(at % SIZE)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.0.get_mut(at / SIZE)?.get_mut(at % SIZE)
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        match self.0.last_mut().filter(|last| last.len() < SIZE) {
            Some(last) => last.push(item),
            None => {
                // A list of a few items is not to take the place of thousands.
                let mut segment = if self.0.is_empty() { Vec::new() } else { Vec::with_capacity(SIZE) };
                segment.push(item);
                self.0.push(segment);
            }
        }
    }

    /// All items, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }

    /// Bytes that the items take, places kept free included, but for what they hold in blocks of their own.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum::<usize>() * size_of::<T>()
    }
}

impl<T> Index<usize> for Segments<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.0[at / SIZE][at % SIZE]
    }
}

impl<T> IndexMut<usize> for Segments<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.0[at / SIZE][at % SIZE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are() {
        let mut list = Segments::default();
        assert_eq!((list.len(), list.get(0), list.bytes()), (0, None, 0));
        list.push(0usize);
        assert!(list.bytes() < 100, "{}", list.bytes());
        (1..3 * SIZE).for_each(|number| list.push(number));
        let place = std::ptr::from_ref(&list[SIZE]);
        (3 * SIZE..40 * SIZE + 1).for_each(|number| list.push(number));
        assert_eq!(std::ptr::from_ref(&list[SIZE]), place);
        assert_eq!(
            (list.len(), list.get(40 * SIZE), list.get(40 * SIZE + 1)),
            (40 * SIZE + 1, Some(&(40 * SIZE)), None)
        );
        assert!(list.iter().copied().eq(0..40 * SIZE + 1));
        list.iter_mut().for_each(|item| *item += 1);
        list[7] = 100;
        *list.get_mut(SIZE).unwrap() = 200;
        assert_eq!((list[6], list[7], list[SIZE], list[SIZE + 1]), (7, 100, 200, SIZE + 2));
        assert_eq!(list.bytes(), 41 * SIZE * size_of::<usize>());
    }
}
