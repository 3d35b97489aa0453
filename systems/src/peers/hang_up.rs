//! Connections end: they let go of what they hold, and producers' sessions close.

use baton_components::chunk::Chunk;
use baton_components::connection::{Connection, Ending, Role};
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::DRAIN_GRACE;
use bevy_ecs::system::{ResMut, SystemParam};

use crate::deadlines::Timer;
use crate::peers::refusals::report_more;
use crate::ports::NetworkPort;
use crate::record::{Recorder, closing};

/// The resources that the end of a connection touches.
#[derive(SystemParam)]
pub struct HangUp<'w> {
    pub record: Recorder<'w>,
    network: ResMut<'w, NetworkPort>,
}

/// Closes the connections that ended in this tick.
pub fn hang_up(mut hang_up: HangUp) {
    let mut ending = std::mem::take(&mut hang_up.record.agenda.ending);
    for key in ending.drain(..) {
        end(&mut hang_up, key);
    }
    hang_up.record.agenda.ending = ending;
}

/// Closes every connection, as if each had failed, and lets go of what is kept or waits:
/// the relay stops.
pub fn hang_up_all(mut hang_up: HangUp) {
    let connections = hang_up.record.entities.connections.iter();
    let mut keys: Vec<ConnectionKey> = connections.map(|(key, _)| key).collect();
    keys.sort_unstable();
    for key in keys {
        if let Some(connection) = hang_up.record.entities.connections.get_mut(key) {
            connection.end(Ending::Abort);
        }
        end(&mut hang_up, key);
    }
    let Recorder { entities, .. } = &hang_up.record;
    let sessions = entities.sessions.iter();
    let mut lingering: Vec<SessionKey> = sessions.map(|(key, _)| key).collect();
    lingering.sort_unstable();
    for key in lingering {
        hang_up.record.give_up(key);
    }
    hang_up.record.agenda.is_stopping = true;
    retry_chunks(&mut hang_up.record);
    while !hang_up.record.agenda.kept.is_empty() {
        let Recorder {
            entities, agenda, ..
        } = &mut hang_up.record;
        closing::forget_oldest_session(entities, &mut agenda.kept);
    }
}

/// Chunks that are over, and whose files the disk did not move, are tried again in this tick.
pub fn retry_chunks(record: &mut Recorder) {
    for chunk in std::mem::take(&mut record.agenda.unburied) {
        record.entities.disown::<Chunk>(chunk);
    }
}

fn end(hang_up: &mut HangUp, key: ConnectionKey) {
    let HangUp { record, network } = hang_up;
    let Some(connection) = record.entities.connections.get_mut(key) else {
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
        record.cut_packet(packet.stream);
    }
    match session {
        Some(session) if is_control => end_control(record, session, aborted),
        Some(session) => end_data(record, session),
        None => {}
    }
    network.close(key);
    record.entities.disown::<Connection>(key);
}

/// A session's control connection is gone: no stream is added, and nothing is described,
/// any more. After a fault nothing is waited for either.
fn end_control(record: &mut Recorder, key: SessionKey, aborted: bool) {
    let Some(session) = record.entities.sessions.get(key) else {
        return;
    };
    tracing::info!(
        session = session.id,
        "the producer of session {} is gone",
        session.id
    );
    record.end_producer(key, aborted);
    expect_data(record, key);
}

/// One of a session's data connections is gone. Its producer may be there still, and open
/// another one.
fn end_data(record: &mut Recorder, key: SessionKey) {
    let Some(session) = record.entities.sessions.get_mut(key) else {
        return;
    };
    session.data_connections -= 1;
    if session.producer_gone && session.data_connections == 0 {
        record.give_up(key);
    } else {
        expect_data(record, key);
    }
}

/// Where no data connection of a session is known there may be one that has brought
/// nothing yet: it has some time to do so.
fn expect_data(record: &mut Recorder, key: SessionKey) {
    let session = record.entities.sessions.get(key);
    let is_waiting = session.is_some_and(|session| {
        session.data_connections == 0 && !session.given_up && !session.open_streams.is_empty()
    });
    if is_waiting {
        let when = record.now.monotonic + DRAIN_GRACE;
        record.agenda.deadlines.at(when, Timer::Drain(key));
    }
}
