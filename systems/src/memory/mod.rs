//! Ports in memory: a simulated network, a simulated disk, a virtual clock, and predictable
//! random numbers. For tests, simulations and replays.
//!
//! Each has two sides that share their state: the port, which a relay gets, and a
//! handle that can be cloned, by which a test plays the world outside. Nothing
//! happens by itself and nothing waits, so the same calls in the same order give the
//! same run.

#![warn(missing_docs)]

mod chance;
mod clock;
mod lock;
mod network;
mod stage;
mod storage;

use std::time::Duration;

use baton_components::limits::{COMMIT_DELAY, QUESTION_PATIENCE};

pub use chance::MemoryChance;
pub use clock::MemoryClock;
pub use network::{MemoryNetwork, Peer};
pub use stage::{Ports, STARTED_S, Stage};
pub use storage::{MemoryStorage, Operation};

/// Ticks until no work is left, including work with short timers: commits of index records,
/// questions to be answered. Panics if that takes more than `ticks_max` ticks at a time.
fn settle(network: &MemoryNetwork, clock: &MemoryClock, ticks_max: usize, mut tick: impl FnMut()) {
    tick_until_idle(network, ticks_max, &mut tick);
    let mut moment = MOMENT;
    // Records for which the disk has no room wait again and again.
    while let Some(left) = network.timeout().filter(|left| *left <= moment) {
        moment -= left;
        clock.advance(left);
        // The first of them reads the clock, and may leave work for the next.
        tick();
        tick_until_idle(network, ticks_max, &mut tick);
    }
}

/// The short timers, one after another.
const MOMENT: Duration = QUESTION_PATIENCE.saturating_add(COMMIT_DELAY);

fn tick_until_idle(network: &MemoryNetwork, ticks_max: usize, tick: &mut impl FnMut()) {
    // Facts from the end of a tick are read in the next one, which does not wait.
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
