//! Pending requests: those that storage has not answered, and the records that wait for them.

use std::collections::BTreeMap;

use crate::keys::{BatchKey, ChunkKey, ConnectionKey};

/// The number of a request, which its answer has. Never used again while the relay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The record for which a request was made. It stays until the answer comes, but for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A chunk whose files are being removed.
    Chunk(ChunkKey),
    /// A batch that is to be confirmed.
    Batch(BatchKey),
    /// A viewer, for which a part of a file is fetched. It may be gone when the answer comes.
    Viewer(ConnectionKey),
    /// The disk is probed: all that makes names waits.
    Probe,
    /// Files that are being synced, for the listener that has asked.
    Sync,
    /// A listener, which keeps the ticket and reads the fact.
    Listener,
}

/// The requests that are not answered.
#[derive(Debug, Default)]
pub struct Waits {
    last: u64,
    waiting: BTreeMap<Ticket, Waiter>,
}

impl Waits {
    /// Draws the ticket of a request for that record.
    pub fn add(&mut self, waiter: Waiter) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.waiting.insert(ticket, waiter);
        ticket
    }

    /// The answer has come. Gives for whom, once.
    pub fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        self.waiting.remove(&ticket)
    }

    /// Whether everything was answered.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The waiting records, in the order of their requests.
    pub fn waiters(&self) -> impl Iterator<Item = Waiter> {
        self.waiting.values().copied()
    }
}
