//! Poll: the only place where a relay waits, for its peers and its timers.

use std::time::Duration;

use baton_components::connection::Connection;
use baton_components::keys::ConnectionKey;
use baton_components::time::Now;
use bevy_ecs::system::{Local, Res, ResMut, SystemParam};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::peers::accept;
use crate::ports::{ClockPort, NetworkPort, StoragePort};

/// Connections that a poll reports as ready; empty between ticks.
#[derive(Debug, Default)]
pub struct Ready {
    readable: Vec<ConnectionKey>,
    writable: Vec<ConnectionKey>,
}

/// The ports that have the input of a tick.
#[derive(SystemParam)]
pub struct Inputs<'w> {
    network: ResMut<'w, NetworkPort>,
    storage: ResMut<'w, StoragePort>,
    clock: ResMut<'w, ClockPort>,
}

/// Waits until a connection is ready, storage has answered or a timer is due, reads the clock,
/// and accepts new connections.
pub fn poll(
    inputs: Inputs,
    mut now: ResMut<Now>,
    mut agenda: ResMut<Agenda>,
    mut entities: ResMut<Entities>,
    facts: Res<Facts>,
    mut ready: Local<Ready>,
) {
    let Inputs {
        mut network,
        mut storage,
        mut clock,
    } = inputs;
    let is_heard = facts.is_empty() && entities.names.facts.is_empty();
    let timeout = if is_heard && !storage.has_answers() {
        timeout(&agenda, now.monotonic)
    } else {
        // Facts from the end of the last tick are read in this one, and so are answers.
        Some(Duration::ZERO)
    };
    let Ready { readable, writable } = &mut *ready;
    clock.tick_ends();
    network.poll(timeout, readable, writable);
    if !agenda.waits.is_empty() {
        storage.answers(&mut agenda.answers);
    }
    *now = clock.now();
    agenda.begin_tick(now.monotonic);
    for key in readable.drain(..) {
        if let Some(endpoint) = entities.connections.get(key).map(Connection::endpoint) {
            agenda.turns(endpoint).ready(key);
        }
    }
    for key in writable.drain(..) {
        agenda.writable.ready(key);
    }
    accept::accept(&mut network, &mut entities, &mut agenda, *now);
}

/// Timeout of the poll: the time until the next deadline.
fn timeout(agenda: &Agenda, last: Duration) -> Option<Duration> {
    if agenda.goes_on() || agenda.is_metadata_due || agenda.is_retention_due {
        return Some(Duration::ZERO);
    }
    let deadline = agenda.deadlines.next();
    deadline.map(|deadline| deadline.saturating_sub(last))
}
