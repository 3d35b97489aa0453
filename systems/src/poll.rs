//! Waiting: the one place where a relay does nothing.

use std::time::Duration;

use baton_components::connection::{Connection, Port};
use baton_components::keys::ConnectionKey;
use baton_components::limits::WAITING_METADATA_RETRY;
use baton_components::time::Now;
use bevy_ecs::system::{Local, Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::ports::{ClockPort, NetworkPort};

/// Waits until a peer or a timer wants something, then reads the clock.
pub fn poll(
    mut network: ResMut<NetworkPort>,
    mut clock: ResMut<ClockPort>,
    mut now: ResMut<Now>,
    mut agenda: ResMut<Agenda>,
    entities: Res<Entities>,
    facts: Res<Facts>,
    mut readable: Local<Vec<ConnectionKey>>,
) {
    let timeout = if facts.is_empty() {
        timeout(&agenda, now.monotonic)
    } else {
        // Facts of the end of the last tick are heard in this one.
        Some(Duration::ZERO)
    };
    let Agenda {
        writable,
        again,
        writable_again,
        ..
    } = &mut *agenda;
    readable.append(again);
    writable.append(writable_again);
    network.poll(timeout, &mut readable, writable);
    *now = clock.now();
    readable.sort_unstable();
    readable.dedup();
    for key in readable.drain(..) {
        match entities.connections.get(key).map(Connection::port) {
            Some(Port::Control) => agenda.control.push(key),
            Some(Port::Data) => agenda.data.push(key),
            Some(Port::Live) => agenda.viewers.push(key),
            None => {}
        }
    }
}

/// How long nothing can happen by itself.
fn timeout(agenda: &Agenda, last: Duration) -> Option<Duration> {
    if !agenda.again.is_empty() || !agenda.writable_again.is_empty() {
        return Some(Duration::ZERO);
    }
    let retry = (!agenda.waiting_metadata.is_empty()).then_some(WAITING_METADATA_RETRY);
    let deadline = agenda.deadlines.next();
    let timer = deadline.map(|deadline| deadline.saturating_sub(last));
    retry.into_iter().chain(timer).min()
}
