//! What happens because nothing else did.
//!
//! A timer is set when a wait begins and is not taken back: when its time comes it
//! looks whether there still is something to wait for.

use baton_components::connection::{Ending, Role};
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::REPLY_PATIENCE;

use crate::deadlines::Timer;
use crate::facts::QuestionDue;
use crate::peers::hang_up::{self, HangUp};

/// Acts on every timer whose time has come.
pub fn expire(mut hang_up: HangUp) {
    let now = hang_up.record.now.monotonic;
    while let Some((due, timer)) = hang_up.record.agenda.deadlines.pop_due(now) {
        match timer {
            Timer::Drain(session) => end_drain(&mut hang_up, session),
            Timer::Handshake(connection) => end_handshake(&mut hang_up, connection),
            Timer::Reply(connection) => end_reply(&mut hang_up, connection),
            Timer::Question(viewer) => {
                let due = QuestionDue { viewer, due };
                hang_up.record.happened.due.push(due);
            }
            Timer::Bury => hang_up::retry_chunks(&mut hang_up.record),
            // It was for `commit` to see the time.
            Timer::Commit => {}
        }
    }
}

/// A session without a data connection has waited long enough for another one.
fn end_drain(hang_up: &mut HangUp, key: SessionKey) {
    let session = hang_up.record.entities.sessions.get(key);
    if session.is_some_and(|session| session.data_connections == 0) {
        hang_up.record.give_up(key);
    }
}

/// A peer has not said what it speaks.
fn end_handshake(hang_up: &mut HangUp, key: ConnectionKey) {
    let connection = hang_up.record.entities.connections.get(key);
    let silent = connection.is_some_and(|connection| match &connection.role {
        Role::Control(control) => control.minor.is_none(),
        Role::Viewer(viewer) => viewer.minor.is_none(),
        // Data connections have nothing to say before the first packet.
        Role::Data(_) => false,
    });
    if silent {
        end(hang_up, key, "nothing was said on it");
    }
}

/// A peer takes its replies, or has not for too long.
fn end_reply(hang_up: &mut HangUp, key: ConnectionKey) {
    let now = hang_up.record.now.monotonic;
    let connection = hang_up.record.entities.connections.get_mut(key);
    let Some(since) = connection.and_then(|connection| connection.stalled_since) else {
        return;
    };
    let deadline = since + REPLY_PATIENCE;
    if deadline <= now {
        end(hang_up, key, "its replies are not taken");
    } else {
        let when = deadline;
        hang_up.record.agenda.deadlines.at(when, Timer::Reply(key));
    }
}

fn end(hang_up: &mut HangUp, key: ConnectionKey, why: &str) {
    if let Some(connection) = hang_up.record.entities.connections.get_mut(key) {
        let port = connection.port().name();
        tracing::warn!(
            peer = connection.peer,
            "{port} connection: {why}; connection closed"
        );
        hang_up.record.agenda.close(key, connection, Ending::Abort);
    }
}
