//! Holds: links that keep their target alive (counted references).
//!
//! A link that holds is a [`Held`]. A record declares its holds in one place,
//! [`Holder::holds`], from which they are counted, released, audited and printed. A hold is
//! made only while a record is built ([`build`]) or its links change ([`relink`], [`link`]);
//! only `Entities` applies the changes of counts.
//!
//! So all holds of a record in its arena are counted, and their targets are found by indexing
//! an arena with the link, which cannot fail. A bare key is weak: its record may be gone, and
//! it is looked up with `get`.

use smallvec::SmallVec;

use crate::kinds::Id;
use crate::steps;

/// A link that keeps its target alive. It cannot be copied or cloned: only the record that has
/// it is counted as a holder, and others borrow it.
#[derive(Debug, PartialEq, Eq)]
pub struct Held<K>(K);

impl<K: Copy> Held<K> {
    /// The target's key, which is weak.
    pub fn key(&self) -> K {
        self.0
    }
}

impl<K: PartialEq> PartialEq<K> for Held<K> {
    fn eq(&self, key: &K) -> bool {
        self.0 == *key
    }
}

impl<K: Copy + Into<Id>> From<&Held<K>> for Id {
    fn from(held: &Held<K>) -> Self {
        steps::count();
        held.0.into()
    }
}

/// A record that can hold others.
pub trait Holder {
    /// Calls `visit` once for each hold; twice for a target that is held twice.
    fn holds(&self, visit: &mut dyn FnMut(Id));
}

/// The right to make holds, given while a record's links are set. The holds that the record has
/// at the end are counted.
#[derive(Debug)]
pub struct Links(());

impl Links {
    /// A link that keeps the record of `key` alive, which must be alive now.
    pub fn hold<K>(&self, key: K) -> Held<K> {
        Held(key)
    }
}

/// Builds a record. Returns it with the holds to count.
pub fn build<T: Holder>(make: impl FnOnce(&Links) -> T) -> (T, Holds) {
    let record = make(&Links(()));
    let holds = Holds::of(&record);
    (record, holds)
}

/// Changes a record, including its links. Returns the holds that were added and removed.
pub fn relink<T: Holder>(record: &mut T, change: impl FnOnce(&mut T, &Links)) -> Relinked {
    let before = Holds::of(record);
    change(record, &Links(()));
    let after = Holds::of(record);
    Relinked { before, after }
}

/// Adds one link to a record, whose hold is to be counted: a record of many links changes one
/// at the cost of one.
pub fn link<T, K>(record: &mut T, key: K, put: impl FnOnce(&mut T, Held<K>)) {
    put(record, Held(key));
}

/// The holds of a record. Most records have few links, which stay on the stack.
#[derive(Debug)]
#[must_use = "counts have to move"]
pub struct Holds(SmallVec<[Id; 8]>);

impl Holds {
    /// Collects the holds that a record declares.
    pub fn of(record: &impl Holder) -> Self {
        let mut holds = SmallVec::new();
        record.holds(&mut |hold| holds.push(hold));
        Self(holds)
    }

    /// Every hold, twice for a target that is held twice.
    pub fn iter(&self) -> impl Iterator<Item = Id> {
        self.0.iter().copied()
    }
}

/// The holds of a record before and after a change of its links.
#[derive(Debug)]
#[must_use = "counts have to move"]
pub struct Relinked {
    before: Holds,
    after: Holds,
}

impl Relinked {
    /// Holds that were added. They must be counted before the removed ones are released,
    /// since both may have the same target.
    pub fn come(&self) -> impl Iterator<Item = Id> {
        let (start, end) = self.unchanged();
        let after = &self.after.0;
        after[start..after.len() - end].iter().copied()
    }

    /// Holds that were removed.
    pub fn gone(&self) -> impl Iterator<Item = Id> {
        let (start, end) = self.unchanged();
        let before = &self.before.0;
        before[start..before.len() - end].iter().copied()
    }

    /// Number of unchanged links at the start, and of the rest at the end.
    fn unchanged(&self) -> (usize, usize) {
        let (before, after) = (&self.before.0, &self.after.0);
        let same = |(one, other): &(&Id, &Id)| one == other;
        let start = before.iter().zip(after).take_while(same).count();
        let ends = before[start..]
            .iter()
            .rev()
            .zip(after[start..].iter().rev());
        (start, ends.take_while(same).count())
    }
}

#[cfg(test)]
mod tests {
    use slotmap::KeyData;

    use super::*;
    use crate::keys::FileKey;

    struct Files(Vec<Held<FileKey>>);

    impl Holder for Files {
        fn holds(&self, visit: &mut dyn FnMut(Id)) {
            for file in &self.0 {
                visit(file.into());
            }
        }
    }

    #[test]
    fn only_links_that_changed_move_counts() {
        for (before, after, come, gone) in [
            (&[][..], &[1][..], &[1][..], &[][..]),
            (&[1, 2], &[1, 2], &[], &[]),
            (&[1, 2], &[1, 2, 3], &[3], &[]),
            (&[1, 2, 3], &[2, 3], &[], &[1]),
            (&[1, 2, 3], &[1, 4, 3], &[4], &[2]),
            (&[1, 1], &[1], &[], &[1]),
            (&[1, 2], &[2, 1], &[2, 1], &[1, 2]),
        ] {
            let keys = |numbers: &[u64]| -> Vec<FileKey> {
                let key = |number: &u64| KeyData::from_ffi(1 << 32 | number).into();
                numbers.iter().map(key).collect()
            };
            let hold = |keys: Vec<FileKey>, links: &Links| {
                let held = keys.into_iter().map(|key| links.hold(key));
                held.collect()
            };
            let ids = |numbers| -> Vec<Id> { keys(numbers).into_iter().map(Id::from).collect() };
            let (mut record, built) = build(|links| Files(hold(keys(before), links)));
            assert_eq!(built.iter().collect::<Vec<_>>(), ids(before));
            let moved = relink(&mut record, |record, links| {
                record.0 = hold(keys(after), links);
            });
            assert_eq!(moved.come().collect::<Vec<_>>(), ids(come));
            assert_eq!(moved.gone().collect::<Vec<_>>(), ids(gone));
        }
    }
}
