//! Connections end: they let go of what they hold, and producers' sessions close.

use std::cmp::Reverse;

use baton_components::connection::{Connection, Ending, Role};
use baton_components::directory::Directory;
use baton_components::keys::{ConnectionKey, SessionKey, StreamKey};
use baton_components::limits::DRAIN_GRACE;
use baton_components::session::Session;
use baton_components::time::Now;
use bevy_ecs::system::{Res, ResMut, SystemParam};

use crate::agenda::{Agenda, Timer};
use crate::closing;
use crate::entities::Entities;
use crate::ports::{NetworkPort, StoragePort};
use crate::serve::question;
use crate::trace_files;

/// What the end of a connection touches.
#[derive(SystemParam)]
pub struct HangUp<'w> {
    pub entities: ResMut<'w, Entities>,
    directory: ResMut<'w, Directory>,
    storage: ResMut<'w, StoragePort>,
    network: ResMut<'w, NetworkPort>,
    pub agenda: ResMut<'w, Agenda>,
    pub now: Res<'w, Now>,
}

/// Closes the connections that ended in this tick.
pub fn hang_up(mut hang_up: HangUp) {
    let mut ending = std::mem::take(&mut hang_up.agenda.ending);
    for key in ending.drain(..) {
        end(&mut hang_up, key);
    }
    hang_up.agenda.ending = ending;
}

/// Closes every connection, as if each had failed, and lets go of what is kept: the
/// relay stops.
pub fn hang_up_all(mut hang_up: HangUp) {
    let mut keys: Vec<ConnectionKey> = hang_up
        .entities
        .connections
        .iter()
        .map(|(key, _)| key)
        .collect();
    keys.sort_unstable();
    for key in keys {
        if let Some(connection) = hang_up.entities.connections.get_mut(key) {
            connection.end(Ending::Abort);
        }
        end(&mut hang_up, key);
    }
    while !hang_up.agenda.kept.is_empty() {
        let HangUp {
            entities, agenda, ..
        } = &mut hang_up;
        closing::forget_oldest_session(entities, &mut agenda.kept);
    }
}

fn end(hang_up: &mut HangUp, key: ConnectionKey) {
    let Some(connection) = hang_up.entities.connections.get(key) else {
        return;
    };
    let aborted = connection.ending == Some(Ending::Abort);
    let session = connection.session();
    let is_control = connection.control().is_some();
    let packet = if let Role::Data(data) = &connection.role {
        data.packet
    } else {
        None
    };
    if !aborted && (packet.is_some() || !hang_up.network.input(key).is_empty()) {
        tracing::warn!(
            peer = connection.peer,
            "{} connection ended in the middle of a message",
            connection.port().name()
        );
    }
    if let Some(packet) = packet {
        cut_torn(hang_up, packet.stream);
    }
    if let Some(session) = session {
        end_producer(hang_up, session, is_control, aborted);
    }
    hang_up.network.close(key);
    hang_up.entities.disown::<Connection>(key);
}

/// A packet that was arriving will not be complete.
fn cut_torn(hang_up: &mut HangUp, stream: StreamKey) {
    let Some(stream) = hang_up.entities.streams.get_mut(stream) else {
        return;
    };
    stream.arriving = None;
    let file = stream.current_file();
    if let Some(file) = file.and_then(|file| hang_up.entities.trace_files.get_mut(file)) {
        trace_files::cut(&mut hang_up.storage, file);
    }
}

/// One of a session's two connections is gone. Whatever still can come is waited for.
fn end_producer(hang_up: &mut HangUp, key: SessionKey, is_control: bool, aborted: bool) {
    let Some(session) = hang_up.entities.sessions.get_mut(key) else {
        return;
    };
    if is_control {
        session.producer_gone = true;
        tracing::info!(
            session = session.id,
            "the producer of session {} is gone",
            session.id
        );
    } else {
        session.data_connections -= 1;
    }
    if is_control {
        // No stream is added any more. Those that are there have their chunk; other
        // consumers of the session wait until nobody has it.
        hang_up.entities.relink(key, |session: &mut Session| {
            session.chunk = None;
            session.closing_chunk = None;
        });
        question::look_again_at_all(&hang_up.entities, &mut hang_up.agenda, key);
    }
    if aborted {
        return abort(hang_up, key);
    }
    closing::try_close_all(
        &mut hang_up.entities,
        &mut hang_up.directory,
        &mut hang_up.storage,
        key,
    );
    closing::keep(&mut hang_up.entities, &mut hang_up.agenda.kept, key);
    let Some(session) = hang_up.entities.sessions.get(key) else {
        return;
    };
    if session.open_streams.is_empty() || !session.producer_gone || session.data_connections > 0 {
        return;
    }
    if is_control {
        // A data connection may be there that has brought nothing yet.
        let timer = Reverse((hang_up.now.monotonic + DRAIN_GRACE, Timer::Drain(key)));
        hang_up.agenda.timers.push(timer);
    } else {
        abort(hang_up, key);
    }
}

/// The session is over at once: its streams wait for nothing.
pub fn abort(hang_up: &mut HangUp, key: SessionKey) {
    if let Some(session) = hang_up.entities.sessions.get_mut(key) {
        session.aborted = true;
    }
    closing::try_close_all(
        &mut hang_up.entities,
        &mut hang_up.directory,
        &mut hang_up.storage,
        key,
    );
    closing::keep(&mut hang_up.entities, &mut hang_up.agenda.kept, key);
}
