//! Bytes from peers, up to each one's share of a tick.

use baton_components::connection::{Connection, Ending, Port};
use baton_components::keys::ConnectionKey;
use baton_components::limits::{RECEIVE_BYTES_PER_TICK, UNSENT_BYTES_MAX};
use bevy_ecs::system::ResMut;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{NetworkPort, Received};

/// Receives from every connection that may have something, and sorts them by what
/// they are for.
pub fn receive(
    mut network: ResMut<NetworkPort>,
    mut entities: Entities,
    mut agenda: ResMut<Agenda>,
) {
    let mut readable = std::mem::take(&mut agenda.readable);
    readable.sort_unstable();
    readable.dedup();
    for key in readable.drain(..) {
        let Some(connection) = entities.connections.get_mut(key) else {
            continue;
        };
        // Who does not take its replies is not read from, until they have left.
        connection.throttled |= network.unsent(key) >= UNSENT_BYTES_MAX;
        if !connection.throttled {
            receive_from(&mut network, key, connection, &mut agenda);
        }
    }
    agenda.readable = readable;
}

fn receive_from(
    network: &mut NetworkPort,
    key: ConnectionKey,
    connection: &mut Connection,
    agenda: &mut Agenda,
) {
    match network.receive(key, RECEIVE_BYTES_PER_TICK) {
        Received::Drained => {}
        Received::More => agenda.again.push(key),
        Received::Ended => {
            tracing::debug!(
                peer = connection.peer,
                "{} connection ended",
                connection.port().name()
            );
            connection.end(Ending::Close);
            agenda.ending.push(key);
        }
        // A peer that was killed often ends with a reset. What it had sent on its
        // other connection is still there to be read, so this is no abort.
        Received::Broken(reason) => {
            tracing::info!(
                peer = connection.peer,
                "{} connection broke: {reason}",
                connection.port().name()
            );
            connection.end(Ending::Close);
            agenda.ending.push(key);
        }
    }
    match connection.port() {
        Port::Control => agenda.control.push(key),
        Port::Data => agenda.data.push(key),
        Port::Live => agenda.viewers.push(key),
    }
}
