//! Ports in memory: a network without sockets, a disk without files, a clock that
//! stands still until it is told, chance that counts. For tests, simulations and replays.
//!
//! Each has two sides that share their state: the port, which a relay gets, and a
//! handle that can be cloned, by which a test plays the world outside. Nothing
//! happens by itself and nothing waits, so the same calls in the same order give the
//! same run.

mod chance;
mod clock;
mod network;
mod storage;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_components::limits::{COMMIT_DELAY, QUESTION_PATIENCE};

pub use chance::MemoryChance;
pub use clock::MemoryClock;
pub use network::{MemoryNetwork, Peer};
pub use storage::{MemoryStorage, Operation};

/// Ticks until nothing is left to do, not even what waits for a moment to pass: index
/// records to be written, questions to be answered. Panics if that takes more than
/// `ticks_max` ticks at a time.
pub fn settle(
    network: &MemoryNetwork,
    clock: &MemoryClock,
    ticks_max: usize,
    mut tick: impl FnMut(),
) {
    tick_until_idle(network, ticks_max, &mut tick);
    let mut moment = MOMENT;
    // Records that find no room on the disk wait again and again.
    while let Some(left) = network.timeout().filter(|left| *left <= moment) {
        moment -= left;
        clock.advance(left);
        // The first of them reads the clock, and may leave work for the next.
        tick();
        tick_until_idle(network, ticks_max, &mut tick);
    }
}

/// The delays that nobody is meant to notice, one after the other.
const MOMENT: Duration = QUESTION_PATIENCE.saturating_add(COMMIT_DELAY);

fn tick_until_idle(network: &MemoryNetwork, ticks_max: usize, tick: &mut impl FnMut()) {
    // Facts of the end of a tick are heard in the next, which asks for no wait.
    let mut was_idle = false;
    for _ in 0..ticks_max {
        tick();
        if network.is_idle() && was_idle {
            return;
        }
        was_idle = network.is_idle();
    }
    panic!("the relay is still busy after {ticks_max} ticks");
}

/// Whoever panicked while holding the lock has failed its test already; what it left
/// is looked at by those that clean up.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
