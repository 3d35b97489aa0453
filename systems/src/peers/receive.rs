//! Bytes from peers, up to each one's share of a tick.

use baton_components::connection::Ending;
use baton_components::keys::ConnectionKey;
use baton_components::limits::{RECEIVE_BYTES_PER_TICK, UNSENT_BYTES_MAX};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{NetworkPort, Received};

/// Receives from a connection that may have something; whether its input is to be
/// looked at.
pub fn receive(
    network: &mut NetworkPort,
    entities: &mut Entities,
    agenda: &mut Agenda,
    key: ConnectionKey,
) -> bool {
    let Some(connection) = entities.connections.get_mut(key) else {
        return false;
    };
    // Who does not take its replies is not read from, until they have left.
    connection.throttled |= network.unsent(key) >= UNSENT_BYTES_MAX;
    if connection.throttled {
        return false;
    }
    match network.receive(key, RECEIVE_BYTES_PER_TICK) {
        Received::Drained => {}
        Received::More => agenda.again.push(key),
        Received::Ended => {
            tracing::debug!(
                peer = connection.peer,
                "{} connection ended",
                connection.port().name()
            );
            agenda.close(key, connection, Ending::Close);
        }
        // A peer that was killed often ends with a reset. What it had sent on its
        // other connection is still there to be read, so this is no abort.
        Received::Broken(reason) => {
            tracing::info!(
                peer = connection.peer,
                "{} connection broke: {reason}",
                connection.port().name()
            );
            agenda.close(key, connection, Ending::Close);
        }
    }
    true
}
