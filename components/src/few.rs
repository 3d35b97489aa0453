//! [`Few`]: a queue that nearly always has one value, which takes no memory of its own.

use std::collections::VecDeque;
use std::ops::{Index, RangeBounds};

/// Values in an order. One is inline; several are on the heap. Both ends are changed in O(1),
/// as those of a [`VecDeque`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T>(Values<T>);

#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::box_collection)] // So that one value takes two words.
enum Values<T> {
    One(Option<T>),
    /// Two or more.
    Several(Box<VecDeque<T>>),
}

impl<T> Few<T> {
    /// No values.
    pub fn new() -> Self {
        Self(Values::One(None))
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        let (begin, end) = self.slices();
        begin.len() + end.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Values::One(None))
    }

    /// The values in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        let (begin, end) = self.slices();
        begin.iter().chain(end)
    }

    /// The value at that index.
    pub fn get(&self, at: usize) -> Option<&T> {
        let (begin, end) = self.slices();
        begin.get(at).or_else(|| end.get(at - begin.len()))
    }

    /// The first value.
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last value.
    pub fn back(&self) -> Option<&T> {
        let (begin, end) = self.slices();
        end.last().or_else(|| begin.last())
    }

    /// Number of values at the begin for which a condition holds, which holds for none after
    /// them. O(log n).
    pub fn partition_point(&self, mut holds: impl FnMut(&T) -> bool) -> usize {
        let (begin, end) = self.slices();
        if end.first().is_some_and(&mut holds) {
            begin.len() + end.partition_point(holds)
        } else {
            begin.partition_point(holds)
        }
    }

    /// Adds a value after the last one.
    pub fn push_back(&mut self, value: T) {
        self.insert(self.len(), value);
    }

    /// Adds a value before the one at that index.
    ///
    /// # Panics
    /// If there are fewer values.
    pub fn insert(&mut self, at: usize, value: T) {
        assert!(at <= self.len(), "law: values are at indexes in turn");
        match &mut self.0 {
            Values::One(none @ None) => *none = Some(value),
            Values::One(one) => {
                let mut several: VecDeque<T> = one.take().into_iter().collect();
                several.insert(at, value);
                self.0 = Values::Several(Box::new(several));
            }
            Values::Several(several) => several.insert(at, value),
        }
    }

    /// Removes the value at that index, and returns it.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        let removed = match &mut self.0 {
            Values::One(one) if at == 0 => one.take(),
            Values::One(_) => None,
            Values::Several(several) => several.remove(at),
        };
        self.shrink();
        removed
    }

    /// Removes the values at those indexes, and returns them.
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> Vec<T> {
        let drained = match &mut self.0 {
            Values::One(one) if range.contains(&0) => one.take().into_iter().collect(),
            Values::One(_) => Vec::new(),
            Values::Several(several) => several.drain(range).collect(),
        };
        self.shrink();
        drained
    }

    fn slices(&self) -> (&[T], &[T]) {
        match &self.0 {
            Values::One(one) => (one.as_slice(), &[]),
            Values::Several(several) => several.as_slices(),
        }
    }

    /// A last value goes inline.
    fn shrink(&mut self) {
        if let Values::Several(several) = &mut self.0
            && several.len() < 2
        {
            self.0 = Values::One(several.pop_front());
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<usize> for Few<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        self.get(at).expect("law: an index is that of a value")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_takes_two_words() {
        assert_eq!(size_of::<Few<Box<u8>>>(), 16);
    }

    #[test]
    fn a_boundary_is_found_wherever_the_ring_begins() {
        let sizes = (0..9).flat_map(|gone| (0..9).map(move |before| (gone, before)));
        for ((gone, before), after) in sizes.flat_map(|it| (0..9).map(move |after| (it, after))) {
            let mut few = Few::new();
            for _ in 0..gone + before {
                few.push_back(1);
            }
            few.drain(..gone);
            for _ in 0..after {
                few.push_back(2);
            }
            let found = few.partition_point(|it| *it == 1);
            assert_eq!(found, before, "{gone} {before} {after}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_queue(actions in prop::collection::vec(any::<(u8, u8, u8)>(), 0..60)) {
            let mut few = Few::new();
            let mut queue = VecDeque::new();
            for (action, at, number) in actions {
                let at = usize::from(at) % (queue.len() + 1);
                match action % 4 {
                    0 => {
                        few.push_back(number);
                        queue.push_back(number);
                    }
                    1 => {
                        few.insert(at, number);
                        queue.insert(at, number);
                    }
                    2 => prop_assert_eq!(few.remove(at), queue.remove(at)),
                    _ => {
                        let begin = at.saturating_sub(usize::from(number % 4));
                        let drained: Vec<u8> = queue.drain(begin..at).collect();
                        prop_assert_eq!(few.drain(begin..at), drained);
                    }
                }
                prop_assert!(few.iter().eq(&queue));
                prop_assert!(few.iter().rev().eq(queue.iter().rev()));
                prop_assert_eq!(few.len(), queue.len());
                prop_assert_eq!(few.is_empty(), queue.is_empty());
                prop_assert_eq!(few.front(), queue.front());
                prop_assert_eq!(few.back(), queue.back());
                prop_assert_eq!(few.get(at), queue.get(at));
                prop_assert_eq!(matches!(few.0, Values::One(_)), queue.len() < 2);
            }
        }
    }
}
