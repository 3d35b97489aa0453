//! Serve: the viewers' (live) protocol.
//!
//! One file for each theme of the protocol. A reply shows the state at the time of its
//! request; a packet is visible when its index record is on disk. A viewer cannot delay a
//! producer, whatever it does.

mod announce;
mod attach;
mod body;
mod connect;
mod fault;
mod list;
mod metadata;
mod new_streams;
mod next_index;
mod packet;
mod question;
mod told;
mod viewer;

use baton_components::connection::{Connection, Extent};
use baton_components::directory::Directory;
use baton_components::keys::{ConnectionKey, ViewerSessionKey, ViewerStreamKey};
use baton_components::limits::DISK_PATIENCE;
use baton_components::session::Session;
use baton_components::time::Now;
use bevy_ecs::system::{Res, ResMut, SystemParam};

pub use viewer::serve;

use crate::agenda::Agenda;
use crate::cold_reads::Reads;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::ports::{ChancePort, ClockPort, StorageError, StoragePort};
use crate::settings::Settings;
use baton_components::viewer_session::{Question, ViewerSession};

/// Reads the facts, before viewers are served.
pub fn listen(
    mut entities: ResMut<Entities>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
    facts: Res<Facts>,
) {
    announce::hear(&mut entities, &mut agenda, &now, &facts);
    question::hear(&mut entities, &mut agenda, &facts);
}

/// The resources that viewers' requests act on.
#[derive(SystemParam)]
pub struct Serve<'w> {
    pub entities: ResMut<'w, Entities>,
    directory: ResMut<'w, Directory>,
    storage: ResMut<'w, StoragePort>,
    clock: Res<'w, ClockPort>,
    chance: ResMut<'w, ChancePort>,
    agenda: ResMut<'w, Agenda>,
    now: Res<'w, Now>,
    settings: Res<'w, Settings>,
}

/// The viewer that a request came from.
#[derive(Clone, Copy)]
struct Caller {
    connection: ConnectionKey,
    /// The lower minor of the two sides.
    minor: u32,
    session: Option<ViewerSessionKey>,
    /// It has sent more requests, or has disconnected: its question is not kept.
    goes_on: bool,
}

impl Serve<'_> {
    fn viewer_session(&self, caller: Caller) -> Option<&ViewerSession> {
        self.entities.viewer_sessions.get(caller.session?)
    }

    /// Whether a session is among those that the caller may see.
    fn may_see(&self, caller: Caller, session: &Session) -> bool {
        let connection = self.entities.connections.get(caller.connection);
        connection.is_some_and(|it| it.may_see(&session.host, &session.name))
    }

    /// The caller's last question, if there was no packet for it. It is forgotten: any
    /// other request shows that the viewer does not wait.
    fn take_question(&mut self, caller: Caller) -> Option<Question> {
        let viewer = self.entities.viewer_sessions.get_mut(caller.session?)?;
        viewer.question.take()
    }

    /// Reads a part of a file for a request. False: the request waits for the disk.
    fn read(
        &mut self,
        connection: ConnectionKey,
        wanted: Extent,
        into: &mut [u8],
    ) -> Result<bool, StorageError> {
        let record = self.entities.connections.get_mut(connection);
        let Some(viewer) = record.and_then(Connection::viewer_mut) else {
            // Nothing is read for a connection that has ended.
            return Ok(false);
        };
        let mut reads = Reads {
            connection,
            fetch: &mut viewer.fetch,
            storage: &mut self.storage,
            waits: &mut self.agenda.waits,
        };
        reads.read(wanted, into)
    }

    /// Whether a stream's session has been over for so long that viewers do not wait for data
    /// that could not be written.
    fn is_past_waiting(&self, key: ViewerStreamKey) -> bool {
        let entities = &self.entities;
        let viewer_stream = entities.viewer_streams.get(key);
        let Some(stream) = viewer_stream.map(|viewer| &entities.streams[&viewer.stream]) else {
            return true;
        };
        let gone = entities.sessions[&stream.session].gone_since;
        stream.closed && gone.is_some_and(|gone| self.now.monotonic >= gone + DISK_PATIENCE)
    }

    /// The caller's viewer stream of the stream `id`. Streams of sessions that it
    /// did not attach are unknown to it.
    fn viewer_stream(&self, caller: Caller, id: u64) -> Option<ViewerStreamKey> {
        let key = *self.viewer_session(caller)?.streams.get(&id)?;
        self.entities.viewer_streams.contains(key).then_some(key)
    }
}
