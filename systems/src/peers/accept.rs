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
        let mut patience = HANDSHAKE_PATIENCE;
        let mut checked = shares.check(address, Asset::Connections, 1);
        let mut counted = &[Asset::Connections][..];
        match &mut connection.role {
            Role::Data(data) => {
                data.is_expected = shares.expects_data(address);
                counted = &[Asset::Connections, Asset::SilentConnections];
            }
            Role::Status(_) => {
                patience = STATUS_PATIENCE;
                checked = checked.and_then(|()| shares.check(address, Asset::Monitors, 1));
                counted = &[Asset::Connections, Asset::Monitors];
            }
            Role::Control(_) | Role::Viewer(_) => {}
        }
        for asset in counted {
            shares.add(address, *asset, 1);
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
                for asset in counted {
                    entities.shares.remove(address, *asset, 1);
                }
                if let Some(connection) = entities.connections.get_mut(key) {
                    connection.address = AddressKey::default();
                }
            }
        }
    }
}
