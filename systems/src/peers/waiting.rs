//! Waits of a connection between two events: the begin of a message and unsent replies, which
//! take memory, and a packet or message that is not whole.

use std::time::Duration;

use baton_components::connection::{Connection, Ending, Probe, Role, Viewer};
use baton_components::keys::ConnectionKey;
use baton_components::limits::{
    MEMORY_FREE_BYTES, MESSAGE_PATIENCE, PACKET_PATIENCE, STATUS_PATIENCE,
};
use baton_components::shares::{Asset, Shortage, Topic};
use baton_components::time::Now;

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::peers::refusals;
use crate::ports::NetworkPort;

/// Notes the state after a connection's input was processed.
pub fn note(
    network: &NetworkPort,
    entities: &mut Entities,
    agenda: &mut Agenda,
    now: &Now,
    key: ConnectionKey,
) {
    note_memory(network, entities, agenda, now, key);
    let Some(connection) = entities.connections.get_mut(key) else {
        return;
    };
    let had_turn = !connection.throttled && connection.awaits_batch.is_none();
    if had_turn && connection.probe == Probe::Answered {
        // That was for this turn.
        connection.probe = Probe::None;
    }
    if !is_incomplete(network, connection, key) {
        connection.half_since = None;
        return;
    }
    connection.half_since = Some(now.monotonic);
    if !connection.is_half_watched {
        connection.is_half_watched = true;
        let deadline = now.monotonic + patience(connection);
        agenda.deadlines.at(deadline, Timer::Half(key));
    }
}

/// Notes how many bytes wait in memory. A connection for which there is no room is closed.
pub fn note_memory(
    network: &NetworkPort,
    entities: &mut Entities,
    agenda: &mut Agenda,
    now: &Now,
    key: ConnectionKey,
) {
    let waiting = (network.input(key).len() + network.unsent(key)) as u64;
    let Some(connection) = entities.connections.get_mut(key) else {
        return;
    };
    let list = connection.viewer().and_then(|viewer| viewer.list.as_ref());
    let written = list.map_or(0, |list| list.bytes.len() as u64);
    let bytes = connection.idle_bytes() + waiting + written;
    let before = connection.memory_bytes;
    if bytes == before {
        return;
    }
    connection.memory_bytes = bytes;
    let shares = &mut entities.shares;
    shares.remove(connection.address, Asset::Memory, before);
    let is_more = bytes > before.max(connection.idle_bytes() + MEMORY_FREE_BYTES);
    let checked = if is_more {
        shares.check(connection.address, Asset::Memory, bytes)
    } else {
        Ok(())
    };
    shares.add(connection.address, Asset::Memory, bytes);
    if let Err(shortage) = checked {
        refuse(entities, agenda, now, key, &shortage);
    }
}

/// Closes a connection at the end of the tick, since its address has too much. Of a run of
/// them only the first is logged.
pub fn refuse(
    entities: &mut Entities,
    agenda: &mut Agenda,
    now: &Now,
    key: ConnectionKey,
    shortage: &Shortage,
) {
    let Some(connection) = entities.connections.get_mut(key) else {
        return;
    };
    if connection.is_put_off() {
        return;
    }
    let shares = &mut entities.shares;
    if let Some(before) = shares.refuse(connection.address, Topic::Share, now.monotonic) {
        let endpoint = connection.endpoint().name();
        tracing::warn!(
            peer = connection.peer,
            "{endpoint} connection: {shortage}; connection closed{}",
            refusals::more(before)
        );
    }
    agenda.close(key, connection, Ending::Refused);
}

/// A data connection brought its first packet, or is closed because it did not.
pub fn end_silence(entities: &mut Entities, key: ConnectionKey) {
    let Some(connection) = entities.connections.get_mut(key) else {
        return;
    };
    let address = connection.address;
    if let Some(data) = connection.data_mut()
        && std::mem::take(&mut data.is_silent)
    {
        entities.shares.remove(address, Asset::SilentConnections, 1);
    }
}

/// How long it may take until more comes of a message that is not whole.
pub fn patience(connection: &Connection) -> Duration {
    match connection.role {
        Role::Data(_) => PACKET_PATIENCE,
        // All of its time is limited.
        Role::Status(_) => STATUS_PATIENCE,
        Role::Control(_) | Role::Viewer(_) => MESSAGE_PATIENCE,
    }
}

/// Input does not count of a peer that has to read its replies first, or that waits for the
/// disk.
fn is_incomplete(network: &NetworkPort, connection: &Connection, key: ConnectionKey) -> bool {
    let has_packet = matches!(&connection.role, Role::Data(data) if data.packet.is_some());
    let is_fetching = connection.viewer().is_some_and(Viewer::is_fetching);
    let is_held_up = connection.throttled
        || connection.awaits_batch.is_some()
        || matches!(connection.probe, Probe::Awaited | Probe::PutOff)
        || is_fetching;
    !is_held_up && (has_packet || !network.input(key).is_empty())
}
