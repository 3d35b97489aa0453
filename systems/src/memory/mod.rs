//! Ports in memory: a network without sockets, a disk without files, a clock that
//! stands still until it is told. For tests, simulations and replays.
//!
//! Each has two sides that share their state: the port, which a relay gets, and a
//! handle that can be cloned, by which a test plays the world outside. Nothing
//! happens by itself and nothing waits, so the same calls in the same order give the
//! same run.

mod clock;
mod network;
mod storage;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use clock::MemoryClock;
pub use network::{MemoryNetwork, Peer};
pub use storage::{MemoryStorage, Operation};

/// Whoever panicked while holding the lock has failed its test already; what it left
/// is looked at by those that clean up.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
