//! Commit: what was ingested in this tick becomes visible.
//!
//! The records of a file go to disk in one write, and only then do viewers see them,
//! and replies that promise them leave.

use baton_components::connection::Ending;
use baton_components::keys::{ConnectionKey, TraceFileKey};
use bevy_ecs::system::ResMut;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{NetworkPort, StoragePort};
use crate::trace_files;

pub fn commit(
    mut entities: Entities,
    mut storage: ResMut<StoragePort>,
    mut network: ResMut<NetworkPort>,
    mut agenda: ResMut<Agenda>,
) {
    let mut indexed = std::mem::take(&mut agenda.indexed);
    for file in indexed.drain(..) {
        let Err(error) = trace_files::flush(&mut entities, &mut storage, file) else {
            continue;
        };
        let Some(control) = control_of(&entities, file) else {
            continue;
        };
        let Some(connection) = entities.connections.get_mut(control) else {
            continue;
        };
        tracing::error!(
            peer = connection.peer,
            "control connection: index records are lost: {error}; connection closed"
        );
        connection.end(Ending::Abort);
        // Replies in hand promise what did not happen.
        network.discard(control);
        agenda.ending.push(control);
    }
    agenda.indexed = indexed;
}

/// The control connection of the session that a file belongs to.
fn control_of(entities: &Entities, file: TraceFileKey) -> Option<ConnectionKey> {
    let stream = entities
        .streams
        .get(entities.trace_files.get(file)?.stream)?;
    Some(entities.sessions.get(stream.session)?.control)
}
