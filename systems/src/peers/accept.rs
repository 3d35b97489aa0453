//! New connections.

use baton_components::connection::{Connection, Port};
use baton_components::limits::{ACCEPTS_PER_TICK, HANDSHAKE_PATIENCE};
use baton_components::time::Now;
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::ports::NetworkPort;

/// Gives each connection that waits a record; the network owns it until it closes.
pub fn accept(
    mut network: ResMut<NetworkPort>,
    mut entities: ResMut<Entities>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    for _ in 0..ACCEPTS_PER_TICK {
        let Some(newcomer) = network.accept() else {
            return;
        };
        tracing::debug!(
            peer = newcomer.peer,
            "{} connection opened",
            newcomer.port.name()
        );
        let port = newcomer.port;
        let key = entities.insert(Connection::new(newcomer.peer, port));
        network.adopt(key);
        if port != Port::Data {
            let deadline = now.monotonic + HANDSHAKE_PATIENCE;
            agenda.deadlines.at(deadline, Timer::Handshake(key));
        }
    }
}
