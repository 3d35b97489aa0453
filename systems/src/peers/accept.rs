//! Accepts new connections, or refuses those of an address that has too many.

use baton_components::connection::{Connection, Role};
use baton_components::limits::{ACCEPTS_PER_TICK, HANDSHAKE_PATIENCE, STATUS_PATIENCE};
use baton_components::shares::Asset;
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
        let mut checked = shares.check(address, Asset::Connections, 1);
        shares.add(address, Asset::Connections, 1);
        let mut connection = Connection::new(newcomer.peer, address, endpoint);
        connection.rights = newcomer.rights;
        let mut patience = HANDSHAKE_PATIENCE;
        match &mut connection.role {
            Role::Data(data) => {
                data.is_expected = shares.expects_data(address);
                shares.add(address, Asset::SilentConnections, 1);
            }
            Role::Status(_) => {
                patience = STATUS_PATIENCE;
                checked = checked.and_then(|()| shares.check(address, Asset::Monitors, 1));
                shares.add(address, Asset::Monitors, 1);
            }
            Role::Control(_) | Role::Viewer(_) => {}
        }
        let key = entities.insert(|_| connection);
        network.adopt(key);
        entities.totals.port(endpoint).accepted += 1;
        match checked {
            Ok(()) => {
                let deadline = now.monotonic + patience;
                agenda.deadlines.at(deadline, Timer::Handshake(key));
            }
            Err(shortage) => waiting::refuse(entities, agenda, &now, key, &shortage),
        }
    }
}
