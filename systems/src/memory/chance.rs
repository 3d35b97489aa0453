//! Chance that counts: each lot gives 1, 2, 3 …, so that tests know what is drawn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use baton_components::directory::Lot;

use super::lock;
use crate::ports::{Chance, ChancePort};

/// Handle of a chance; its clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryChance(Arc<Mutex<Lots>>);

#[derive(Debug, Default)]
struct Lots {
    counts: BTreeMap<Lot, u64>,
    /// What is drawn first, of any lot.
    next: VecDeque<u64>,
}

impl MemoryChance {
    /// The side that a relay draws from.
    pub fn port(&self) -> ChancePort {
        ChancePort(Box::new(self.clone()))
    }

    /// These are drawn next.
    pub fn load(&self, numbers: &[u64]) {
        lock(&self.0).next.extend(numbers);
    }
}

impl Chance for MemoryChance {
    fn draw(&mut self, lot: Lot) -> u64 {
        let mut lots = lock(&self.0);
        if let Some(number) = lots.next.pop_front() {
            return number;
        }
        let count = lots.counts.entry(lot).or_default();
        *count += 1;
        *count
    }
}
