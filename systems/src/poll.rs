//! Waiting: the one place where a relay does nothing.

use std::cmp::Reverse;
use std::time::Duration;

use baton_components::time::Now;
use bevy_ecs::system::ResMut;

use crate::agenda::Agenda;
use crate::ports::{ClockPort, NetworkPort};

/// Waits until a peer or a timer wants something, then reads the clock.
pub fn poll(
    mut network: ResMut<NetworkPort>,
    mut clock: ResMut<ClockPort>,
    mut now: ResMut<Now>,
    mut agenda: ResMut<Agenda>,
) {
    let timeout = timeout(&agenda, now.monotonic);
    let Agenda {
        readable,
        writable,
        again,
        writable_again,
        ..
    } = &mut *agenda;
    readable.append(again);
    writable.append(writable_again);
    network.poll(timeout, readable, writable);
    *now = clock.now();
}

/// How long nothing can happen by itself.
fn timeout(agenda: &Agenda, last: Duration) -> Option<Duration> {
    if !agenda.again.is_empty() || !agenda.writable_again.is_empty() {
        return Some(Duration::ZERO);
    }
    agenda
        .timers
        .peek()
        .map(|Reverse((deadline, _))| deadline.saturating_sub(last))
}
