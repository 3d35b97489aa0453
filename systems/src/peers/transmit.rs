//! Replies leave: what is queued, and then what comes out of a file.
//!
//! A large body goes from its file to the peer without passing through here; a peer
//! that takes no more of it costs nothing until it does.

use baton_components::connection::{Body, Connection, Ending};
use baton_components::keys::ConnectionKey;
use baton_components::limits::{
    BODY_BYTES_PER_TICK, BODY_SLICE_BYTES, REPLY_PATIENCE, UNSENT_BYTES_MAX,
};
use baton_components::time::Now;
use bevy_ecs::system::{Local, Res, ResMut, SystemParam};

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::ports::{NetworkPort, StorageError, StoragePort, Transmitted};

/// What replies leave through.
#[derive(SystemParam)]
pub struct Transmit<'w, 's> {
    network: ResMut<'w, NetworkPort>,
    storage: ResMut<'w, StoragePort>,
    entities: ResMut<'w, Entities>,
    agenda: ResMut<'w, Agenda>,
    now: Res<'w, Now>,
    slice: Local<'s, Vec<u8>>,
}

/// Gives peers what is queued for them, all replies of a tick in one go.
pub fn transmit(mut transmit: Transmit) {
    let mut writable = std::mem::take(&mut transmit.agenda.writable);
    writable.sort_unstable();
    writable.dedup();
    for key in writable.drain(..) {
        if transmit.entities.connections.contains(key) {
            transmit_to(&mut transmit, key);
        }
    }
    transmit.agenda.writable = writable;
}

fn transmit_to(transmit: &mut Transmit, key: ConnectionKey) {
    let waiting = waiting(transmit, key);
    let more = has_body(transmit, key);
    if let Transmitted::Broken(reason) = transmit.network.transmit(key, more) {
        return end(transmit, key, &reason);
    }
    if transmit.network.unsent(key) == 0
        && let Err(error) = transmit_body(transmit, key)
    {
        return end(transmit, key, &error.to_string());
    }
    let left = self::waiting(transmit, key);
    let busy = has_body(transmit, key);
    let now = transmit.now.monotonic;
    let Some(connection) = transmit.entities.connections.get_mut(key) else {
        return;
    };
    if left == 0 {
        connection.stalled_since = None;
    } else if connection.stalled_since.is_none() {
        connection.stalled_since = Some(now);
        let when = now + REPLY_PATIENCE;
        transmit.agenda.deadlines.at(when, Timer::Reply(key));
    } else if left < waiting {
        connection.stalled_since = Some(now);
    }
    if connection.throttled && !busy && transmit.network.unsent(key) < UNSENT_BYTES_MAX {
        // There is room again: what was left unread is read in the next tick.
        connection.throttled = false;
        transmit.agenda.again.push(key);
    }
}

/// Whether something of a file waits for the peer.
fn has_body(transmit: &Transmit, key: ConnectionKey) -> bool {
    let connection = transmit.entities.connections.get(key);
    let viewer = connection.and_then(Connection::viewer);
    viewer.is_some_and(|viewer| viewer.body.is_some())
}

/// Bytes that wait for the peer.
fn waiting(transmit: &Transmit, key: ConnectionKey) -> u64 {
    let connection = transmit.entities.connections.get(key);
    let body = connection.and_then(|connection| connection.viewer()?.body);
    transmit.network.unsent(key) as u64 + body.map_or(0, |body| body.remaining)
}

/// Sends of the body in hand as much as the peer takes, up to its share of a tick.
fn transmit_body(transmit: &mut Transmit, key: ConnectionKey) -> Result<(), StorageError> {
    let viewer = transmit
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    let Some(mut body) = viewer.and_then(|viewer| viewer.body) else {
        return Ok(());
    };
    let mut share = BODY_BYTES_PER_TICK;
    while body.remaining > 0 {
        if share == 0 {
            transmit.agenda.writable_again.push(key);
            break;
        }
        let taken = send_some(transmit, key, body, share)?;
        if taken == 0 {
            transmit.network.wait_for_room(key);
            break;
        }
        body.offset += taken;
        body.remaining -= taken;
        share -= taken;
    }
    let rest = (body.remaining > 0).then_some(body);
    transmit
        .entities
        .relink(key, |connection: &mut Connection| {
            if let Some(viewer) = connection.viewer_mut() {
                viewer.body = rest;
            }
        });
    Ok(())
}

/// Sends a part of a body; gives how many bytes the peer took.
fn send_some(
    transmit: &mut Transmit,
    key: ConnectionKey,
    body: Body,
    share: u64,
) -> Result<u64, StorageError> {
    let length = body.remaining.min(share);
    let Transmit {
        network,
        storage,
        slice,
        ..
    } = transmit;
    if let Some(descriptor) = network.descriptor(key) {
        return storage.send(body.file, body.offset, length, descriptor);
    }
    if network.unsent(key) > 0 {
        return Ok(0);
    }
    let length = length.min(BODY_SLICE_BYTES);
    slice.resize(length as usize, 0);
    storage.read(body.file, body.offset, slice)?;
    network.send(key, slice);
    network.transmit(key, false);
    Ok(length)
}

fn end(transmit: &mut Transmit, key: ConnectionKey, reason: &str) {
    if let Some(connection) = transmit.entities.connections.get_mut(key) {
        let port = connection.port().name();
        tracing::info!(peer = connection.peer, "{port} connection broke: {reason}");
        transmit.agenda.close(key, connection, Ending::Close);
    }
}
