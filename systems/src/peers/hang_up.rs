//! Connections end: they let go of what they hold, and producers' sessions close.

use std::cmp::Reverse;

use baton_components::chunk::Chunk;
use baton_components::connection::{Connection, Ending, Role};
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::DRAIN_GRACE;
use baton_components::session::Session;
use bevy_ecs::system::{ResMut, SystemParam};

use crate::agenda::Timer;
use crate::ingest::{self, Ingest, report_more};
use crate::ports::NetworkPort;
use crate::record::closing;
use crate::serve::question;

/// What the end of a connection touches.
#[derive(SystemParam)]
pub struct HangUp<'w> {
    pub ingest: Ingest<'w>,
    network: ResMut<'w, NetworkPort>,
}

/// Closes the connections that ended in this tick.
pub fn hang_up(mut hang_up: HangUp) {
    let mut ending = std::mem::take(&mut hang_up.ingest.agenda.ending);
    for key in ending.drain(..) {
        end(&mut hang_up, key);
    }
    hang_up.ingest.agenda.ending = ending;
}

/// Closes every connection, as if each had failed, and lets go of what is kept or waits:
/// the relay stops.
pub fn hang_up_all(mut hang_up: HangUp) {
    let connections = hang_up.ingest.entities.connections.iter();
    let mut keys: Vec<ConnectionKey> = connections.map(|(key, _)| key).collect();
    keys.sort_unstable();
    for key in keys {
        if let Some(connection) = hang_up.ingest.entities.connections.get_mut(key) {
            connection.end(Ending::Abort);
        }
        end(&mut hang_up, key);
    }
    let Ingest { entities, .. } = &hang_up.ingest;
    let sessions = entities.sessions.iter();
    let mut lingering: Vec<SessionKey> = sessions.map(|(key, _)| key).collect();
    lingering.sort_unstable();
    for key in lingering {
        ingest::give_up(&mut hang_up.ingest, key);
    }
    hang_up.ingest.agenda.is_stopping = true;
    retry_chunks(&mut hang_up.ingest);
    while !hang_up.ingest.agenda.kept.is_empty() {
        let Ingest {
            entities, agenda, ..
        } = &mut hang_up.ingest;
        closing::forget_oldest_session(entities, &mut agenda.kept);
    }
}

/// What the disk did not do to chunks that are over is tried again in this tick.
pub fn retry_chunks(ingest: &mut Ingest) {
    for chunk in std::mem::take(&mut ingest.agenda.unburied) {
        ingest.entities.disown::<Chunk>(chunk);
    }
}

fn end(hang_up: &mut HangUp, key: ConnectionKey) {
    let HangUp { ingest, network } = hang_up;
    let Some(connection) = ingest.entities.connections.get_mut(key) else {
        return;
    };
    if let Role::Control(control) = &mut connection.role {
        report_more(&connection.peer, control.refusals.take_unlogged());
    }
    let aborted = connection.ending == Some(Ending::Abort);
    let session = connection.session();
    let is_control = connection.control().is_some();
    let packet = if let Role::Data(data) = &connection.role {
        data.packet
    } else {
        None
    };
    if !aborted && (packet.is_some() || !network.input(key).is_empty()) {
        tracing::warn!(
            peer = connection.peer,
            "{} connection ended in the middle of a message",
            connection.port().name()
        );
    }
    if let Some(packet) = packet {
        ingest::cut_torn(ingest, packet.stream);
    }
    match session {
        Some(session) if is_control => end_control(ingest, session, aborted),
        Some(session) => end_data(ingest, session),
        None => {}
    }
    network.close(key);
    ingest.entities.disown::<Connection>(key);
}

/// A session's control connection is gone: no stream is added, and nothing is described,
/// any more. After a fault nothing is waited for either.
fn end_control(ingest: &mut Ingest, key: SessionKey, aborted: bool) {
    let Some(session) = ingest.entities.sessions.get_mut(key) else {
        return;
    };
    session.producer_gone = true;
    session.given_up |= aborted;
    tracing::info!(
        session = session.id,
        "the producer of session {} is gone",
        session.id
    );
    // Streams that are there have their chunk; other consumers of the session wait until
    // nobody has it.
    ingest.entities.relink(key, |session: &mut Session| {
        session.chunk = None;
        session.closing_chunk = None;
    });
    question::look_again_at_all(&ingest.entities, &mut ingest.agenda, key);
    closing::try_close_all(
        &mut ingest.entities,
        &mut ingest.directory,
        &mut ingest.storage,
        key,
    );
    closing::keep(&mut ingest.entities, &mut ingest.agenda.kept, key);
    expect_data(ingest, key);
}

/// One of a session's data connections is gone. Its producer may be there still, and open
/// another one.
fn end_data(ingest: &mut Ingest, key: SessionKey) {
    let Some(session) = ingest.entities.sessions.get_mut(key) else {
        return;
    };
    session.data_connections -= 1;
    if session.producer_gone && session.data_connections == 0 {
        ingest::give_up(ingest, key);
    } else {
        expect_data(ingest, key);
    }
}

/// Where no data connection of a session is known there may be one that has brought
/// nothing yet: it has some time to do so.
fn expect_data(ingest: &mut Ingest, key: SessionKey) {
    let session = ingest.entities.sessions.get(key);
    let is_waiting = session.is_some_and(|session| {
        session.data_connections == 0 && !session.given_up && !session.open_streams.is_empty()
    });
    if is_waiting {
        let timer = Reverse((ingest.now.monotonic + DRAIN_GRACE, Timer::Drain(key)));
        ingest.agenda.timers.push(timer);
    }
}
