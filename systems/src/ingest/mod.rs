//! Ingest: the producers' protocol.
//!
//! One file for each theme of the protocol; [`control()`] and [`data()`] read messages
//! and call them.

mod chunk;
mod control;
mod data;
mod fault;
mod index;
mod metadata;
mod old_paths;
mod output;
mod pending;
mod rotation;
mod session;
mod stream;
mod told;

use baton_components::keys::{ConnectionKey, SessionKey, StreamKey};
use baton_components::session::Session;
use bevy_ecs::system::{Res, ResMut, SystemParam};

pub use control::control;
pub use data::data;

use crate::durability::Durability;
use crate::peers::records::Records;
use crate::peers::waiting;
use crate::ports::{ChancePort, ClockPort, NetworkPort};
use crate::record::Recorder;
use crate::settings::Settings;
use fault::Reason;

/// How far a command is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Whole,
    /// There is more of it to do, in a later turn: it stays unread.
    Part,
}

/// The resources that producers' messages act on.
#[derive(SystemParam)]
pub struct Ingest<'w> {
    pub record: Recorder<'w>,
    clock: Res<'w, ClockPort>,
    chance: ResMut<'w, ChancePort>,
    settings: Res<'w, Settings>,
    durability: ResMut<'w, Durability>,
}

impl Ingest<'_> {
    /// The session of a connection.
    fn session(&self, own: SessionKey) -> Result<&Session, Reason> {
        let session = self.record.entities.sessions.get(own);
        session.ok_or(Reason::NoSession)
    }

    /// The resources for the state of a connection.
    fn records(&mut self) -> Records<'_> {
        Records {
            entities: &mut self.record.entities,
            agenda: &mut self.record.agenda,
            settings: &self.settings,
            now: &self.record.now,
        }
    }

    /// Notes the state of a connection after its turn.
    fn note_waiting(&mut self, network: &NetworkPort, key: ConnectionKey) {
        let record = &mut self.record;
        let (entities, agenda) = (&mut record.entities, &mut record.agenda);
        waiting::note(network, entities, agenda, &record.now, key);
    }

    /// The open stream `handle`, if it is one of `session`: a producer cannot name
    /// the streams of another.
    fn stream_of(&self, session: SessionKey, handle: u64) -> Result<StreamKey, Reason> {
        self.record
            .directory
            .streams
            .get(&handle)
            .copied()
            .filter(|key| {
                self.record
                    .entities
                    .streams
                    .get(*key)
                    .is_some_and(|s| s.session == session)
            })
            .ok_or(Reason::UnknownStream(handle))
    }
}
