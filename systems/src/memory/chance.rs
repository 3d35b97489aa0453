//! Predictable random numbers: each use of them (`Lot`) gets 1, 2, 3 …

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use baton_components::directory::Lot;

use super::lock::lock;
use crate::ports::{Chance, ChancePort};

/// Handle of a chance; its clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryChance(Arc<Mutex<Lots>>);

/// Numbers of files differ between the relays of one disk by so much.
const RUN: u64 = 1 << 32;

#[derive(Debug, Default)]
struct Lots {
    /// Number of the relay, of those that had the same disk.
    run: u64,
    counts: BTreeMap<Lot, u64>,
    /// Numbers that are drawn first, of any lot.
    next: VecDeque<u64>,
}

impl MemoryChance {
    /// That of another relay on the same disk.
    pub fn of_run(run: u32) -> Self {
        let lots = Lots {
            run: run.into(),
            ..Lots::default()
        };
        Self(Arc::new(Mutex::new(lots)))
    }

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
        let first = if lot == Lot::List { lots.run * RUN } else { 0 };
        let count = lots.counts.entry(lot).or_default();
        *count += 1;
        first + *count
    }
}
