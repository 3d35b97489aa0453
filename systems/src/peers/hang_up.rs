//! Closes connections that ended: releases their holds, and closes producers' sessions.

use baton_components::chunk::Chunk;
use baton_components::connection::{Connection, Ending, Endpoint, Role};
use baton_components::hold::Held;
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::{DRAIN_GRACE, LISTED_NAMES_MAX};
use baton_components::session::Session;
use baton_components::shares::Topic;
use bevy_ecs::system::{Res, ResMut, SystemParam};

use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::named;
use crate::peers::refusals::{self, report_more};
use crate::ports::NetworkPort;
use crate::probe;
use crate::record::{Recorder, closing, sweep};
use crate::settings::Settings;

/// The resources for the end of a connection.
#[derive(SystemParam)]
pub struct HangUp<'w> {
    pub record: Recorder<'w>,
    network: ResMut<'w, NetworkPort>,
    pub settings: Res<'w, Settings>,
}

/// Closes the connections that ended in this tick.
pub fn hang_up(mut hang_up: HangUp) {
    let mut ending = std::mem::take(&mut hang_up.record.agenda.ending);
    for key in ending.drain(..) {
        end_message(&mut hang_up, key);
        let Recorder {
            entities,
            agenda,
            now,
            ..
        } = &mut hang_up.record;
        if !probe::puts_off(entities, agenda, now, key) {
            end(&mut hang_up, key);
        }
    }
    hang_up.record.agenda.ending = ending;
}

/// Shutdown: closes every connection, as if each had failed, and drops everything that is
/// kept or waits.
pub fn hang_up_all(mut hang_up: HangUp) {
    hang_up.record.agenda.sweeps.begin_tick(true);
    sweep::run(&mut hang_up.record);
    let connections = hang_up.record.entities.connections.iter();
    let mut keys: Vec<ConnectionKey> = connections.map(|(key, _)| key).collect();
    keys.sort_unstable();
    for key in keys {
        if let Some(connection) = hang_up.record.entities.connections.get_mut(key) {
            connection.end(Ending::Stop);
        }
        end_message(&mut hang_up, key);
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
            entities,
            agenda,
            directory,
            ..
        } = &mut hang_up.record;
        closing::forget_oldest_session(entities, directory, &mut agenda.kept);
    }
}

/// Condemns the completed chunks whose files could not be moved or deleted, so that `reclaim`
/// tries again in this tick.
pub fn retry_chunks(record: &mut Recorder) {
    for chunk in std::mem::take(&mut record.agenda.unburied) {
        record.entities.disown::<Chunk>(chunk);
    }
}

/// Ends the message that was not whole: another connection may bring its packet again.
fn end_message(hang_up: &mut HangUp, key: ConnectionKey) {
    let HangUp {
        record, network, ..
    } = hang_up;
    let connection = record.entities.connections.get_mut(key);
    let Some(connection) = connection.filter(|connection| !connection.is_put_off()) else {
        return;
    };
    let packet = connection.data_mut().and_then(|data| data.packet.take());
    let aborted = connection.ending.is_some_and(Ending::is_abort);
    let endpoint = connection.endpoint();
    // A port scanner ends like that on a status port: no message of a monitor is missed.
    let is_missed = !aborted && endpoint != Endpoint::Status;
    if is_missed && (packet.is_some() || !network.input(key).is_empty()) {
        tracing::warn!(
            peer = connection.peer,
            "{} connection ended in the middle of a message",
            endpoint.name()
        );
    }
    let session = connection.session().map(Held::key);
    if let Some(packet) = packet {
        record.cut_packet(session, packet.stream, packet.header.sequence);
    }
}

fn end(hang_up: &mut HangUp, key: ConnectionKey) {
    let HangUp {
        record, network, ..
    } = hang_up;
    let session = named::of_session(&record.entities, key);
    let Some(connection) = record.entities.connections.get_mut(key) else {
        // It was listed twice, and has ended.
        return;
    };
    match &mut connection.role {
        Role::Control(control) => {
            let count = control.refusals.take_unlogged();
            report_more(&connection.peer, &session, count);
        }
        Role::Viewer(viewer) if viewer.has_only_listed => {
            report_without_session(record, key);
        }
        Role::Viewer(_) | Role::Data(_) | Role::Status(_) => {}
    }
    let Some(connection) = record.entities.connections.get(key) else {
        return;
    };
    let endpoint = connection.endpoint();
    let ending = connection.ending.unwrap_or(Ending::Close);
    let aborted = ending.is_abort();
    let session = connection.session().map(Held::key);
    let is_control = connection.control().is_some();
    record.entities.totals.port(endpoint).ended[ending as usize] += 1;
    match session {
        Some(session) if is_control => end_control(record, session, aborted),
        Some(session) => end_data(record, session),
        None => {}
    }
    network.close(key);
    record.entities.disown::<Connection>(key);
}

/// Logs the sessions that a viewer could have attached: a viewer that looks for one that is
/// not there leaves without a word, as one does that only lists them.
fn report_without_session(record: &mut Recorder, key: ConnectionKey) {
    let Recorder {
        entities,
        directory,
        now,
        ..
    } = record;
    let Entities {
        connections,
        sessions,
        shares,
        ..
    } = &mut **entities;
    let Some(connection) = connections.get(key) else {
        return;
    };
    let Some(before) = shares.refuse(connection.address, Topic::Search, now.monotonic) else {
        return;
    };
    let listed = directory.listed.values();
    let listed = listed.filter_map(|key| sessions.get(*key));
    let mut names: Vec<String> = listed.take(LISTED_NAMES_MAX).map(to_name).collect();
    let others = directory.listed.len().saturating_sub(LISTED_NAMES_MAX);
    if others > 0 {
        names.push(format!("{others} more"));
    }
    let names = match names.as_slice() {
        [] => "there is none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    tracing::info!(
        peer = connection.peer,
        "viewer left without a session: {names}{}",
        refusals::more(before)
    );
}

fn to_name(session: &Session) -> String {
    if session.is_live() {
        session.to_string()
    } else {
        format!("{session} (not live)")
    }
}

/// A session's control connection has ended: no more streams and descriptions come. After a
/// fault no packet is waited for either.
fn end_control(record: &mut Recorder, key: SessionKey, aborted: bool) {
    let session = record.entities.sessions.get(key);
    let session = session.expect("law of holds: a connection holds its session until it has ended");
    tracing::info!("the producer of session {session} is gone");
    record.end_producer(key, aborted);
    expect_data(record, key);
}

/// One of a session's data connections has ended. Its producer may open another one.
fn end_data(record: &mut Recorder, key: SessionKey) {
    let session = record.entities.sessions.get_mut(key);
    let session = session.expect("law of holds: a connection holds its session until it has ended");
    session.data_connections -= 1;
    if session.is_producer_gone() && session.data_connections == 0 {
        record.give_up(key);
    } else {
        expect_data(record, key);
    }
}

/// If a session has no known data connection, there may be one without a packet yet: wait
/// for it for some time.
fn expect_data(record: &mut Recorder, key: SessionKey) {
    let session = record.entities.sessions.get_mut(key);
    let session = session.filter(|session| {
        session.data_connections == 0 && !session.given_up && !session.open_streams.is_empty()
    });
    if let Some(session) = session {
        let when = record.now.monotonic + DRAIN_GRACE;
        if session.drain_by.replace(when).is_none() {
            record.agenda.deadlines.at(when, Timer::Drain(key));
        }
    }
}
