//! Replies leave.

use baton_components::connection::Ending;
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
        let Some(connection) = entities.connections.get_mut(key) else {
            continue;
        };
        match network.transmit(key) {
            Transmitted::All => {
                // Commands or a body may have waited for room.
                let waiting = connection
                    .viewer()
                    .is_some_and(|viewer| viewer.body.is_some());
                if waiting || !network.input(key).is_empty() {
                    agenda.again.push(key);
                }
            }
            Transmitted::Partly => {}
            Transmitted::Broken(reason) => {
                tracing::info!(
                    peer = connection.peer,
                    "{} connection broke: {reason}",
                    connection.port().name()
                );
                connection.end(Ending::Close);
                agenda.ending.push(key);
            }
        }
    }
    agenda.writable = writable;
}
