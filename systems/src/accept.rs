//! New connections.

use baton_components::connection::Connection;
use baton_components::limits::ACCEPTS_PER_TICK;
use bevy_ecs::system::ResMut;

use crate::entities::Entities;
use crate::ports::NetworkPort;

/// Gives each connection that waits a record; the network owns it until it closes.
pub fn accept(mut network: ResMut<NetworkPort>, mut entities: Entities) {
    for _ in 0..ACCEPTS_PER_TICK {
        let Some(newcomer) = network.accept() else {
            return;
        };
        tracing::debug!(
            peer = newcomer.peer,
            "{} connection opened",
            newcomer.port.name()
        );
        let key = entities.insert(Connection::new(newcomer.peer, newcomer.port));
        network.adopt(key);
    }
}
