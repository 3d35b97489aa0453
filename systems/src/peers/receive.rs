//! Receives bytes from peers, and has the messages in them executed, turn by turn.
//!
//! Nothing is read while a whole message waits in a connection's input: what a peer sends
//! faster than it is answered stays outside (backpressure).

use baton_components::connection::{Connection, Ending};
use baton_components::keys::ConnectionKey;
use baton_components::limits::{RECEIVE_BYTES_MAX, UNSENT_BYTES_MAX};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::peers::records::Records;
use crate::peers::strays;
use crate::ports::{Arrived, NetworkPort, Received};
use crate::turns::Turn;

/// A protocol: what is done with the bytes of a connection.
pub trait Protocol {
    /// The resources for a connection's state.
    fn records(&mut self) -> Records<'_>;

    /// Executes whole messages in `input` as long as the turn is not over. `received`: what
    /// the network said last. Gives how many bytes are done with, and why it stops. A faulty
    /// connection is closed here.
    fn execute(
        &mut self,
        turn: &mut Turn,
        input: Arrived<'_>,
        received: &Received,
    ) -> (usize, Pause);
}

/// Why no more of a connection's input is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// There is no whole message in it.
    Input,
    /// There is no whole message in it, and no more than so many bytes are to be received.
    Bytes(usize),
    /// All of it is done with, and more may be done before anything is received.
    Consume,
    /// The turn is over.
    Turn,
    /// The replies have to leave first.
    Replies,
    /// Storage has to answer first, about what was written or is read: the answer makes it ready.
    Disk,
}

/// Gives a connection its turn. Returns whether it goes on in a later one.
pub fn take_turn(network: &mut NetworkPort, protocol: &mut impl Protocol, turn: &mut Turn) -> bool {
    let key = turn.connection;
    let records = protocol.records();
    let Some(connection) = open(records.entities, key) else {
        // An event may be of a connection that has ended.
        return false;
    };
    // It is ready again when its replies have left.
    connection.throttled |= network.unsent(key) >= UNSENT_BYTES_MAX;
    if connection.throttled {
        return false;
    }
    let mut received = Received::More;
    loop {
        if strays::turn_away(protocol.records(), network, key) {
            return false;
        }
        let (consumed, pause) = protocol.execute(turn, network.arrived(key), &received);
        network.consume(key, consumed);
        let Records {
            entities, agenda, ..
        } = protocol.records();
        let Some(connection) = open(entities, key) else {
            return false;
        };
        match pause {
            Pause::Turn => return true,
            Pause::Replies => {
                connection.throttled = true;
                // It keeps its place among the heavy ones.
                return true;
            }
            Pause::Disk => return false,
            Pause::Consume => continue,
            Pause::Input | Pause::Bytes(_) => {}
        }
        match received {
            Received::Drained => return false,
            Received::More if turn.is_over() => return true,
            Received::More => {}
            // An end that is found while messages wait is found again after them.
            Received::Ended | Received::Broken(_) => {
                end(agenda, key, connection, &received);
                return false;
            }
        }
        let endpoint = connection.endpoint();
        let known = network.input(key).len();
        let budget = match pause {
            Pause::Bytes(count) => count,
            _ => RECEIVE_BYTES_MAX,
        };
        received = network.receive(key, budget);
        let bytes = (network.input(key).len() - known) as u64;
        entities.totals.port(endpoint).received_bytes += bytes;
        turn.spend(bytes);
    }
}

fn open(entities: &mut Entities, key: ConnectionKey) -> Option<&mut Connection> {
    let connection = entities.connections.get_mut(key);
    connection.filter(|connection| connection.ending.is_none())
}

fn end(agenda: &mut Agenda, key: ConnectionKey, connection: &mut Connection, how: &Received) {
    let endpoint = connection.endpoint().name();
    let peer = &connection.peer;
    let ending = if let Received::Broken(reason) = how {
        tracing::info!(peer, "{endpoint} connection broke: {reason}");
        Ending::Broken
    } else {
        tracing::debug!(peer, "{endpoint} connection ended");
        Ending::Close
    };
    agenda.close(key, connection, ending);
}
