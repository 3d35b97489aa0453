//! [`Arena`]: a slot map with reference counts. A record lives while its count is not 0.
//!
//! Laws:
//! - A record's holders are its owner (at most one) and the holds that living
//!   records declare on it (see [`crate::hold`]).
//! - [`Arena::insert`] gives a record its owner. [`Arena::disown`] takes the owner
//!   away, once; [`Arena::hold`] and [`Arena::release`] come in pairs.
//! - When the last holder releases it, the key is *condemned*: from then on every lookup
//!   finds nothing, and no new hold can revive it.
//! - Condemned records keep their slot until the reclamation pass takes them with
//!   [`Arena::pop_condemned`]; nothing is freed in the middle of a system.
//!
//! A link that holds finds its target by indexing, and cannot fail; a bare key is weak, and
//! is looked up with [`Arena::get`].
//!
//! Lookup, insertion, hold and release are O(1). Slots are reused, with another
//! generation; the memory of a peak is kept.

use std::ops::{Index, IndexMut};

use slotmap::{Key, SlotMap};

use crate::hold::Held;
use crate::steps;

/// The records of one kind. `K` is that kind's key.
#[derive(Debug)]
pub struct Arena<K: Key + Send + Sync + 'static, T: Send + Sync + 'static> {
    slots: SlotMap<K, Slot<T>>,
    condemned: Vec<K>,
}

#[derive(Debug)]
struct Slot<T> {
    /// The owner, if it still is there, and all holds.
    holders: u32,
    owned: bool,
    record: T,
}

impl<K: Key + Send + Sync + 'static, T: Send + Sync + 'static> Default for Arena<K, T> {
    fn default() -> Self {
        Self {
            slots: SlotMap::with_key(),
            condemned: Vec::new(),
        }
    }
}

impl<K: Key + Send + Sync + 'static, T: Send + Sync + 'static> Arena<K, T> {
    /// Adds a record with one holder: its owner.
    pub fn insert(&mut self, record: T) -> K {
        self.slots.insert(Slot {
            holders: 1,
            owned: true,
            record,
        })
    }

    /// The living record of `key`; nothing if it is stale or condemned.
    pub fn get(&self, key: K) -> Option<&T> {
        self.living(key).map(|slot| &slot.record)
    }

    /// As [`Arena::get`], mutable. Links that hold are not changed through this, since
    /// their counts would become wrong: use `Entities::relink`.
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.living_mut(key).map(|slot| &mut slot.record)
    }

    /// Whether `key` names a living record.
    pub fn contains(&self, key: K) -> bool {
        self.living(key).is_some()
    }

    /// Adds a holder.
    ///
    /// # Panics
    /// If `key` is stale or condemned: only a living record can be held.
    pub fn hold(&mut self, key: K) {
        self.living_mut(key)
            .expect("law of holds: only a living record can be held")
            .holders += 1;
    }

    /// Removes a holder.
    ///
    /// # Panics
    /// If `key` has no holder.
    pub fn release(&mut self, key: K) {
        let slot = self
            .living_mut(key)
            .expect("law of holds: what is released was held");
        slot.holders -= 1;
        if slot.holders == 0 {
            self.condemned.push(key);
        }
    }

    /// Removes the owner. Does nothing the second time, or on a stale key.
    pub fn disown(&mut self, key: K) {
        let Some(slot) = self.living_mut(key) else {
            return;
        };
        if std::mem::take(&mut slot.owned) {
            self.release(key);
        }
    }

    /// Whether a record waits to be taken out of the arena.
    pub fn has_condemned(&self) -> bool {
        !self.condemned.is_empty()
    }

    /// Removes the next condemned record from the arena.
    pub fn pop_condemned(&mut self) -> Option<(K, T)> {
        let key = self.condemned.pop()?;
        let slot = self
            .slots
            .remove(key)
            .expect("law of holds: a condemned slot is freed once");
        Some((key, slot.record))
    }

    /// Number of holders of `key`, its owner included; 0 if it is stale or condemned.
    pub fn holders(&self, key: K) -> u32 {
        self.living(key).map_or(0, |slot| slot.holders)
    }

    /// Whether `key` still has its owner.
    pub fn is_owned(&self, key: K) -> bool {
        self.living(key).is_some_and(|slot| slot.owned)
    }

    /// The living records, in arbitrary order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.holders > 0)
            .map(|(key, slot)| (key, &slot.record))
    }

    /// Records that have a slot, condemned ones included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no record has a slot.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn living(&self, key: K) -> Option<&Slot<T>> {
        steps::count();
        self.slots.get(key).filter(|slot| slot.holders > 0)
    }

    fn living_mut(&mut self, key: K) -> Option<&mut Slot<T>> {
        steps::count();
        self.slots.get_mut(key).filter(|slot| slot.holders > 0)
    }
}

/// Lookup of a held record, which cannot fail: the hold keeps it in the arena.
impl<K: Key + Send + Sync + 'static, T: Send + Sync + 'static> Index<&Held<K>> for Arena<K, T> {
    type Output = T;

    fn index(&self, held: &Held<K>) -> &T {
        self.get(held.key())
            .expect("law of holds: what is held is there")
    }
}

impl<K: Key + Send + Sync + 'static, T: Send + Sync + 'static> IndexMut<&Held<K>> for Arena<K, T> {
    fn index_mut(&mut self, held: &Held<K>) -> &mut T {
        self.get_mut(held.key())
            .expect("law of holds: what is held is there")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use slotmap::DefaultKey;

    use super::*;

    #[derive(Clone, Debug)]
    enum Action {
        Insert,
        Hold(usize),
        Release(usize),
        Disown(usize),
        Lookup(usize),
        Reclaim,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            3 => Just(Action::Insert),
            3 => any::<usize>().prop_map(Action::Hold),
            4 => any::<usize>().prop_map(Action::Release),
            2 => any::<usize>().prop_map(Action::Disown),
            3 => any::<usize>().prop_map(Action::Lookup),
            1 => Just(Action::Reclaim),
        ]
    }

    /// The model: every key ever given, with its owner and its holds.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Counted {
        value: usize,
        owned: bool,
        holds: u32,
    }

    impl Counted {
        fn holders(self) -> u32 {
            self.holds + u32::from(self.owned)
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(steps in proptest::collection::vec(action(), 1..400)) {
            let mut arena: Arena<DefaultKey, usize> = Arena::default();
            let mut model: BTreeMap<DefaultKey, Counted> = BTreeMap::new();
            let mut given: Vec<DefaultKey> = Vec::new();
            let pick = |given: &Vec<DefaultKey>, n: usize| {
                (!given.is_empty()).then(|| given[n % given.len()])
            };
            for step in steps {
                match step {
                    Action::Insert => {
                        let key = arena.insert(given.len());
                        prop_assert!(!model.contains_key(&key), "a key was given twice");
                        model.insert(key, Counted { value: given.len(), owned: true, holds: 0 });
                        given.push(key);
                    }
                    Action::Hold(n) => {
                        let Some(key) = pick(&given, n) else { continue };
                        if model[&key].holders() > 0 {
                            arena.hold(key);
                            model.get_mut(&key).unwrap().holds += 1;
                        }
                    }
                    Action::Release(n) => {
                        let Some(key) = pick(&given, n) else { continue };
                        if model[&key].holds > 0 {
                            arena.release(key);
                            model.get_mut(&key).unwrap().holds -= 1;
                        }
                    }
                    Action::Disown(n) => {
                        let Some(key) = pick(&given, n) else { continue };
                        arena.disown(key);
                        model.get_mut(&key).unwrap().owned = false;
                    }
                    Action::Lookup(n) => {
                        let Some(key) = pick(&given, n) else { continue };
                        let counted = model[&key];
                        let expected = (counted.holders() > 0).then_some(&counted.value);
                        prop_assert_eq!(arena.get(key), expected);
                        prop_assert_eq!(arena.holders(key), counted.holders());
                        prop_assert_eq!(arena.is_owned(key), counted.owned);
                    }
                    Action::Reclaim => {
                        while let Some((key, value)) = arena.pop_condemned() {
                            prop_assert_eq!(model[&key].holders(), 0);
                            prop_assert_eq!(model[&key].value, value);
                        }
                        let living = model.values().filter(|counted| counted.holders() > 0).count();
                        prop_assert_eq!(arena.len(), living);
                        prop_assert_eq!(arena.iter().count(), living);
                    }
                }
            }
        }
    }

    #[test]
    fn a_condemned_record_is_absent_before_it_is_freed() {
        let mut arena: Arena<DefaultKey, &str> = Arena::default();
        let key = arena.insert("record");
        arena.hold(key);
        arena.disown(key);
        arena.disown(key);
        assert_eq!(arena.get(key), Some(&"record"));
        arena.release(key);
        assert_eq!(arena.get(key), None);
        assert_eq!(arena.len(), 1);
        assert_eq!(arena.pop_condemned(), Some((key, "record")));
        assert!(arena.is_empty());
    }

    #[test]
    #[should_panic(expected = "only a living record can be held")]
    fn a_condemned_record_cannot_be_revived() {
        let mut arena: Arena<DefaultKey, ()> = Arena::default();
        let key = arena.insert(());
        arena.disown(key);
        arena.hold(key);
    }
}
