//! The list of the batches that gather, with the arenas, since files are written wherever those are
//! at hand.

use std::collections::VecDeque;
use std::time::Duration;

use baton_components::keys::BatchKey;

/// Batches whose commit was not asked for. Each tick looks at those that are new, wanted or due.
#[derive(Debug, Default)]
pub struct Gathering {
    /// Those that began in this tick.
    pub begun: Vec<BatchKey>,
    /// Somebody needs them, or there is much in them.
    pub wanted: Vec<BatchKey>,
    /// In the order in which they are due. Some were asked for since.
    pub waiting: VecDeque<BatchKey>,
}

impl Gathering {
    /// Adds a batch to those that wait. `due` gives their times; those that are gone are due.
    pub fn schedule(&mut self, key: BatchKey, due: impl Fn(BatchKey) -> Option<Duration>) {
        let at = due(key);
        // Nearly always at the end.
        let before = self.waiting.iter().rev();
        let later = before.take_while(|other| due(**other) > at).count();
        self.waiting.insert(self.waiting.len() - later, key);
    }

    /// Whether there are batches that wait for no timer.
    pub fn is_urgent(&self) -> bool {
        !self.begun.is_empty() || !self.wanted.is_empty()
    }

    /// Whether no batch gathers.
    pub fn is_empty(&self) -> bool {
        !self.is_urgent() && self.waiting.is_empty()
    }
}
