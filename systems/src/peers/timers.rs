//! Timers: acts on waits whose time has run out.
//!
//! A timer is set when a wait begins and is never cancelled: when it expires, its handler
//! checks whether the wait still exists.

use baton_components::connection::{Connection, Ending, Probe, Progress, Role};
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::{
    DATA_PATIENCE, HANDSHAKE_PATIENCE, REPLY_PATIENCE, STATUS_PATIENCE,
};
use baton_components::shares::Topic;

use crate::deadlines::Timer;
use crate::facts::QuestionDue;
use crate::peers::hang_up::{self, HangUp};
use crate::peers::{refusals, waiting};
use crate::probe;
use crate::record::Recorder;

/// Handles every expired timer.
pub fn expire(mut hang_up: HangUp) {
    let now = hang_up.record.now.monotonic;
    while let Some((due, timer)) = hang_up.record.agenda.deadlines.pop_due(now) {
        match timer {
            Timer::Drain(session) => end_drain(&mut hang_up, session),
            Timer::Data(session) => report_no_data(&mut hang_up, session),
            Timer::Handshake(connection) => end_handshake(&mut hang_up, connection),
            Timer::Reply(connection) => end_reply(&mut hang_up, connection),
            Timer::Half(connection) => end_half(&mut hang_up, connection),
            Timer::Question(viewer) => {
                let due = QuestionDue { viewer, due };
                hang_up.record.facts.due.push(due);
            }
            Timer::Probe => {
                let Recorder { agenda, now, .. } = &mut hang_up.record;
                probe::expire(agenda, now);
            }
            Timer::Bury => hang_up::retry_chunks(&mut hang_up.record),
            Timer::Metadata => hang_up.record.agenda.is_metadata_due = true,
            Timer::Retention => hang_up.record.agenda.is_retention_due = true,
            // `commit` and `reserve` check the time themselves; these only wake the relay.
            Timer::Commit | Timer::Reserve | Timer::Sync => {}
        }
    }
}

/// A session without a data connection stops waiting for another one.
fn end_drain(hang_up: &mut HangUp, key: SessionKey) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut hang_up.record;
    let Some(session) = entities.sessions.get_mut(key) else {
        return;
    };
    session.drain_by = session.drain_by.filter(|by| *by > now.monotonic);
    if let Some(by) = session.drain_by {
        agenda.deadlines.at(by, Timer::Drain(key));
    } else if session.data_connections == 0 && !session.given_up {
        if !probe::may_make_names(agenda, now) {
            // Files may have to be made then.
            agenda.probes.sessions.push(key);
            return;
        }
        hang_up.record.give_up(key);
    }
}

/// Warns of a session without a data connection: the connection for commands works, and that
/// for packets does not.
fn report_no_data(hang_up: &mut HangUp, key: SessionKey) {
    let Recorder { agenda, now, .. } = &mut hang_up.record;
    if agenda.probes.asked().is_some() {
        // Packets that came may wait for the disk.
        let when = now.monotonic + DATA_PATIENCE;
        return agenda.deadlines.at(when, Timer::Data(key));
    }
    let session = hang_up.record.entities.sessions.get(key);
    if let Some(session) = session.filter(|session| {
        session.data_connections == 0 && !session.is_producer_gone() && !session.given_up
    }) {
        let address = hang_up.record.entities.shares.name(session.address);
        let port = hang_up.settings.ports.data;
        let seconds = DATA_PATIENCE.as_secs();
        tracing::warn!(
            "session {session}: packets were announced, and none came in {seconds} s: no data \
             connection from {address} to port {port} here brings any: firewall, or a wrong \
             --data-url?"
        );
    }
}

/// Closes a peer that has not sent its version, or its first packet, in time.
fn end_handshake(hang_up: &mut HangUp, key: ConnectionKey) {
    let Some(connection) = hang_up.record.entities.connections.get(key) else {
        return;
    };
    match &connection.role {
        Role::Control(control) if control.minor.is_some() => {}
        Role::Viewer(viewer) if viewer.minor.is_some() => {}
        Role::Data(data) if !data.is_silent || data.is_expected => {}
        // Its first packet has begun, and waits for the disk.
        Role::Data(_) if connection.probe == Probe::Awaited => {}
        Role::Data(_) => end_silent_data(hang_up, key),
        Role::Status(_) => end_monitor(hang_up, key),
        Role::Control(_) | Role::Viewer(_) => end(hang_up, key, "nothing was said on it"),
    }
}

/// A producer says nothing on its data connection before there is a packet, which may take
/// days. Where connections are scarce, those are closed that are more than its sessions.
fn end_silent_data(hang_up: &mut HangUp, key: ConnectionKey) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut hang_up.record;
    let Some(connection) = entities.connections.get(key) else {
        return;
    };
    let address = connection.address;
    match entities.shares.check_silent(address) {
        Ok(()) => {
            let deadline = now.monotonic + HANDSHAKE_PATIENCE;
            agenda.deadlines.at(deadline, Timer::Handshake(key));
        }
        Err(shortage) => {
            waiting::end_silence(entities, key);
            waiting::refuse(entities, agenda, now, key, &shortage);
        }
    }
}

/// A monitor has not asked, or not taken its answer, in time. One that takes a long list gets
/// the same time for each slice of it.
fn end_monitor(hang_up: &mut HangUp, key: ConnectionKey) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut hang_up.record;
    let monitor = entities.connections.get_mut(key);
    let monitor = monitor.and_then(Connection::monitor_mut);
    if monitor.is_some_and(|monitor| std::mem::take(&mut monitor.has_moved)) {
        let deadline = now.monotonic + STATUS_PATIENCE;
        agenda.deadlines.at(deadline, Timer::Handshake(key));
        return;
    }
    let entities = &mut **entities;
    let Some(connection) = entities.connections.get_mut(key) else {
        return;
    };
    let has_asked = connection
        .monitor_mut()
        .is_some_and(|monitor| !matches!(monitor.answer, Progress::Nothing));
    let (shares, peer) = (&mut entities.shares, &connection.peer);
    if !has_asked {
        // Browsers open connections before they need them.
        tracing::debug!(peer, "status connection: nothing was asked; closed");
    } else if let Some(before) = shares.refuse(connection.address, Topic::Monitor, now.monotonic) {
        tracing::warn!(
            peer,
            "status connection: the answer is not taken; connection closed{}",
            refusals::more(before)
        );
    }
    agenda.close(key, connection, Ending::Expired);
}

/// A message that has begun does not go on.
fn end_half(hang_up: &mut HangUp, key: ConnectionKey) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut hang_up.record;
    let Some(connection) = entities.connections.get_mut(key) else {
        return;
    };
    let patience = waiting::patience(connection);
    let deadline = connection.half_since.map(|since| since + patience);
    connection.is_half_watched = deadline.is_some_and(|deadline| deadline > now.monotonic);
    match deadline {
        Some(deadline) if connection.is_half_watched => {
            agenda.deadlines.at(deadline, Timer::Half(key));
        }
        Some(_) => end(hang_up, key, "a message on it does not go on"),
        None => {}
    }
}

/// Closes a peer that has not read its replies for too long.
fn end_reply(hang_up: &mut HangUp, key: ConnectionKey) {
    let now = hang_up.record.now.monotonic;
    let Some(connection) = hang_up.record.entities.connections.get_mut(key) else {
        return;
    };
    let deadline = connection.stalled_since.map(|since| since + REPLY_PATIENCE);
    connection.is_stall_watched = deadline.is_some_and(|deadline| deadline > now);
    match deadline {
        Some(deadline) if connection.is_stall_watched => {
            let agenda = &mut hang_up.record.agenda;
            agenda.deadlines.at(deadline, Timer::Reply(key));
        }
        Some(_) => end(hang_up, key, "its replies are not taken"),
        // The peer has read its replies.
        None => {}
    }
}

fn end(hang_up: &mut HangUp, key: ConnectionKey, why: &str) {
    let connection = hang_up.record.entities.connections.get_mut(key);
    if let Some(connection) = connection.filter(|connection| !connection.is_put_off()) {
        let endpoint = connection.endpoint().name();
        tracing::warn!(
            peer = connection.peer,
            "{endpoint} connection: {why}; connection closed"
        );
        hang_up
            .record
            .agenda
            .close(key, connection, Ending::Expired);
    }
}
