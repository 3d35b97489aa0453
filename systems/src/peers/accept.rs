//! Accepts new connections, or refuses those of an address that has too many.

use baton_components::connection::{Connection, Role};
use baton_components::limits::{ACCEPTS_PER_TICK, HANDSHAKE_PATIENCE, STATUS_PATIENCE};
use baton_components::shares::{AddressKey, Asset};
use baton_components::time::Now;

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::peers::waiting;
use crate::ports::NetworkPort;

/// Inserts a record for each connection that waits to be accepted. The record is owned until
/// the connection is closed.
pub fn accept(network: &mut NetworkPort, entities: &mut Entities, agenda: &mut Agenda, now: Now) {
    for _ in 0..ACCEPTS_PER_TICK {
        let Some(newcomer) = network.accept() else {
            return;
        };
        tracing::debug!(
            peer = newcomer.peer,
            "{} connection opened",
            newcomer.endpoint.name()
        );
        let endpoint = newcomer.endpoint;
        let shares = &mut entities.shares;
        let address = shares.address_of(&newcomer.peer);
        let mut connection = Connection::new(newcomer.peer, address, endpoint);
        connection.rights = newcomer.rights;
        connection.has_tls = newcomer.has_tls;
        connection.memory_bytes = connection.idle_bytes();
        let mut patience = HANDSHAKE_PATIENCE;
        let mut counted = vec![(Asset::Connections, 1)];
        match &mut connection.role {
            Role::Data(data) => {
                data.is_expected = shares.expects_data(address);
                counted.push((Asset::SilentConnections, 1));
            }
            Role::Status(_) => {
                patience = STATUS_PATIENCE;
                counted.push((Asset::Monitors, 1));
            }
            Role::Control(_) | Role::Viewer(_) => {}
        }
        if connection.has_tls {
            counted.push((Asset::Memory, connection.memory_bytes));
        }
        let mut checks = counted.iter();
        let checked = checks.try_for_each(|(asset, more)| shares.check(address, *asset, *more));
        for (asset, more) in &counted {
            shares.add(address, *asset, *more);
        }
        let key = entities.insert(|_| connection);
        network.adopt(key);
        entities.totals.port(endpoint).accepted += 1;
        match checked {
            Ok(()) => {
                let deadline = now.monotonic + patience;
                agenda.deadlines.at(deadline, Timer::Handshake(key));
            }
            Err(shortage) => {
                waiting::refuse(entities, agenda, &now, key, &shortage);
                // It lives until the end of this tick, and keeps no other out meanwhile.
                for (asset, more) in counted {
                    entities.shares.remove(address, asset, more);
                }
                if let Some(connection) = entities.connections.get_mut(key) {
                    connection.address = AddressKey::default();
                }
            }
        }
    }
}
