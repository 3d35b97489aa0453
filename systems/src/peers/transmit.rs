//! Sends replies: queued bytes, and then the part from a file.
//!
//! A large body is sent with zero-copy (`sendfile`); a peer that does not read it costs no
//! CPU time. A part that the page cache does not have is fetched before.

use baton_components::connection::{Body, Connection, Ending, Extent, Viewer};
use baton_components::costs::HEAVY_TURN;
use baton_components::keys::ConnectionKey;
use baton_components::limits::{BODY_SLICE_BYTES, REPLY_PATIENCE, UNSENT_BYTES_MAX};
use baton_components::time::Now;
use bevy_ecs::system::{Local, Res, ResMut, SystemParam};

use crate::agenda::Agenda;
use crate::cold_reads::Reads;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::peers::waiting;
use crate::ports::{NetworkPort, StorageError, StoragePort, Transmitted};

/// The ports for sending replies.
#[derive(SystemParam)]
pub struct Transmit<'w, 's> {
    network: ResMut<'w, NetworkPort>,
    storage: ResMut<'w, StoragePort>,
    entities: ResMut<'w, Entities>,
    agenda: ResMut<'w, Agenda>,
    now: Res<'w, Now>,
    slice: Local<'s, Vec<u8>>,
}

/// Sends the replies of a tick to each producer with one call.
pub fn reply(mut transmit: Transmit) {
    let mut replies = std::mem::take(&mut transmit.agenda.replies);
    replies.sort_unstable();
    replies.dedup();
    for key in replies.drain(..) {
        transmit_to(&mut transmit, key, 0);
    }
    transmit.agenda.replies = replies;
}

/// Sends whatever else waits, to one peer after another.
pub fn transmit(mut transmit: Transmit) {
    while let Some(mut turn) = transmit.agenda.writable.next() {
        let key = turn.connection;
        let calls = transmit.storage.calls();
        let before = waiting(&transmit, key);
        // Queued bytes leave with one call, however many they are.
        if turn.is_too_light_for(before) {
            transmit.agenda.writable.defer(&turn);
            continue;
        }
        let goes_on = transmit_to(&mut transmit, key, turn.left());
        turn.spend(before.saturating_sub(waiting(&transmit, key)));
        turn.spend_message(0, transmit.storage.calls() - calls);
        transmit.agenda.writable.end(&turn, goes_on);
    }
}

/// Sends queued bytes, and at most `share` of a body. Returns whether the peer may take more
/// of that.
fn transmit_to(transmit: &mut Transmit, key: ConnectionKey, share: u64) -> bool {
    if !transmit.entities.connections.contains(key) {
        return false;
    }
    let goes_on = send(transmit, key, share);
    let Transmit {
        network,
        entities,
        agenda,
        now,
        ..
    } = transmit;
    waiting::note_memory(network, entities, agenda, now, key);
    goes_on
}

fn send(transmit: &mut Transmit, key: ConnectionKey, share: u64) -> bool {
    let waiting = waiting(transmit, key);
    let more = has_body(transmit, key);
    if let Transmitted::Broken(reason) = transmit.network.transmit(key, more) {
        end(transmit, key, &reason);
        return false;
    }
    let mut goes_on = false;
    if transmit.network.unsent(key) == 0 {
        match transmit_body(transmit, key, share) {
            Ok(takes_more) => goes_on = takes_more,
            Err(error) => {
                end(transmit, key, &error.to_string());
                return false;
            }
        }
    }
    let left = self::waiting(transmit, key);
    let busy = has_body(transmit, key);
    let now = transmit.now.monotonic;
    let Entities {
        connections,
        totals,
        ..
    } = &mut *transmit.entities;
    let Some(connection) = connections.get_mut(key) else {
        // Nothing waits for a connection that has ended.
        return false;
    };
    let is_fetching = connection.viewer().is_some_and(Viewer::is_fetching);
    let waits_for_disk = is_fetching && transmit.network.unsent(key) == 0;
    let sent_bytes = waiting.saturating_sub(left);
    totals.port(connection.endpoint()).sent_bytes += sent_bytes;
    if left == 0 || waits_for_disk {
        connection.stalled_since = None;
    } else if connection.stalled_since.is_none() {
        connection.stalled_since = Some(now);
        if !std::mem::replace(&mut connection.is_stall_watched, true) {
            let when = now + REPLY_PATIENCE;
            transmit.agenda.deadlines.at(when, Timer::Reply(key));
        }
    } else if left < waiting {
        connection.stalled_since = Some(now);
    }
    if connection.throttled && !busy && transmit.network.unsent(key) < UNSENT_BYTES_MAX {
        // There is room again: the peer's messages go on in the next tick.
        connection.throttled = false;
        let endpoint = connection.endpoint();
        transmit.agenda.turns(endpoint).ready(key);
    }
    goes_on
}

/// Whether a part of a file waits to be sent.
fn has_body(transmit: &Transmit, key: ConnectionKey) -> bool {
    let connection = transmit.entities.connections.get(key);
    let viewer = connection.and_then(Connection::viewer);
    viewer.is_some_and(|viewer| viewer.body.is_some())
}

/// Number of bytes that wait to be sent.
fn waiting(transmit: &Transmit, key: ConnectionKey) -> u64 {
    let connection = transmit.entities.connections.get(key);
    let body = connection.and_then(|connection| connection.viewer()?.body.as_ref());
    transmit.network.unsent(key) as u64 + body.map_or(0, |body| body.remaining)
}

/// Sends as much of the current body as the peer accepts, at most `share`. Returns whether it
/// may take more; not if it waits for the disk.
fn transmit_body(
    transmit: &mut Transmit,
    key: ConnectionKey,
    mut share: u64,
) -> Result<bool, StorageError> {
    let Transmit {
        network,
        storage,
        entities,
        agenda,
        slice,
        ..
    } = transmit;
    let connection = entities.connections.get_mut(key);
    let Some(Viewer {
        body: Some(body),
        fetch,
        ..
    }) = connection.and_then(Connection::viewer_mut)
    else {
        // All that is for the peer was queued.
        return Ok(false);
    };
    let mut reads = Reads {
        connection: key,
        fetch,
        storage,
        waits: &mut agenda.waits,
    };
    let next = Extent {
        file: body.file.key(),
        offset: body.offset,
        // The same whatever this turn has left: what is fetched is not fetched again.
        size: body.remaining.min(HEAVY_TURN),
    };
    if next.size > 0 && !reads.is_at_hand(next)? {
        return Ok(false);
    }
    while body.remaining > 0 {
        if share == 0 {
            return Ok(true);
        }
        let taken = send_some(network, storage, slice, key, body, share)?;
        if taken == 0 {
            return Ok(false);
        }
        body.offset += taken;
        body.remaining -= taken;
        share -= taken;
    }
    entities.relink(key, |connection: &mut Connection, _| {
        if let Some(viewer) = connection.viewer_mut() {
            viewer.body = None;
        }
    });
    Ok(false)
}

/// Sends a part of a body. Returns how many bytes the peer accepted.
fn send_some(
    network: &mut NetworkPort,
    storage: &mut StoragePort,
    slice: &mut Vec<u8>,
    key: ConnectionKey,
    body: &Body,
    share: u64,
) -> Result<u64, StorageError> {
    let length = body.remaining.min(share);
    if network.unsent(key) > 0 {
        return Ok(0);
    }
    let file = body.file.key();
    if let Some(taken) = storage.to_peer(key, file, body.offset, length)? {
        return Ok(taken);
    }
    let length = length.min(BODY_SLICE_BYTES);
    slice.resize(length as usize, 0);
    storage.read(file, body.offset, slice)?;
    network.send(key, slice);
    network.transmit(key, false);
    Ok(length)
}

fn end(transmit: &mut Transmit, key: ConnectionKey, reason: &str) {
    let connection = transmit.entities.connections.get_mut(key);
    if let Some(connection) = connection.filter(|connection| !connection.is_put_off()) {
        let endpoint = connection.endpoint().name();
        tracing::info!(
            peer = connection.peer,
            "{endpoint} connection broke: {reason}"
        );
        transmit.agenda.close(key, connection, Ending::Broken);
    }
}
