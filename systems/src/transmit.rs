//! Replies leave.

use baton_components::connection::{Connection, Ending};
use baton_components::keys::ConnectionKey;
use baton_components::limits::UNSENT_BYTES_MAX;
use bevy_ecs::system::ResMut;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{NetworkPort, Transmitted};

/// Gives peers what is queued for them, all replies of a tick in one go.
pub fn transmit(
    mut network: ResMut<NetworkPort>,
    mut entities: Entities,
    mut agenda: ResMut<Agenda>,
) {
    let mut writable = std::mem::take(&mut agenda.writable);
    writable.sort_unstable();
    writable.dedup();
    for key in writable.drain(..) {
        if let Some(connection) = entities.connections.get_mut(key) {
            transmit_to(&mut network, key, connection, &mut agenda);
        }
    }
    agenda.writable = writable;
}

fn transmit_to(
    network: &mut NetworkPort,
    key: ConnectionKey,
    connection: &mut Connection,
    agenda: &mut Agenda,
) {
    if let Transmitted::Broken(reason) = network.transmit(key) {
        tracing::info!(
            peer = connection.peer,
            "{} connection broke: {reason}",
            connection.port().name()
        );
        connection.end(Ending::Close);
        agenda.ending.push(key);
    } else if connection.throttled && network.unsent(key) < UNSENT_BYTES_MAX {
        // There is room again: what was left unread is read in the next tick.
        connection.throttled = false;
        agenda.again.push(key);
    }
}
