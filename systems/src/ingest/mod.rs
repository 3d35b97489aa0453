//! Ingest: what producers send becomes sessions, streams and packets.
//!
//! One file for each theme of the protocol; [`control()`] and [`data()`] read messages
//! and call them.

mod chunk;
mod control;
mod data;
mod fault;
mod index;
mod loss;
mod metadata;
mod old_paths;
mod output;
mod pending;
mod rotation;
mod session;
mod stream;

use baton_components::directory::Directory;
use baton_components::keys::{SessionKey, StreamKey};
use baton_components::time::Now;
use bevy_ecs::system::{Res, ResMut, SystemParam};

pub use control::{control, report_more};
pub use data::data;
pub use loss::{cut_torn, give_up};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{ChancePort, ClockPort, StoragePort};
use crate::settings::Settings;
use fault::Reason;

/// What producers' messages act on.
#[derive(SystemParam)]
pub struct Ingest<'w> {
    pub entities: ResMut<'w, Entities>,
    pub directory: ResMut<'w, Directory>,
    pub storage: ResMut<'w, StoragePort>,
    pub agenda: ResMut<'w, Agenda>,
    clock: Res<'w, ClockPort>,
    chance: ResMut<'w, ChancePort>,
    pub now: Res<'w, Now>,
    settings: Res<'w, Settings>,
}

impl Ingest<'_> {
    /// The open stream `handle`, if it is one of `session`: a producer cannot name
    /// the streams of another.
    fn stream_of(&self, session: SessionKey, handle: u64) -> Result<StreamKey, Reason> {
        self.directory
            .streams
            .get(&handle)
            .copied()
            .filter(|key| {
                self.entities
                    .streams
                    .get(*key)
                    .is_some_and(|s| s.session == session)
            })
            .ok_or(Reason::UnknownStream(handle))
    }

    /// Whether no packet of that session is waited for.
    fn has_given_up(&self, session: SessionKey) -> bool {
        let session = self.entities.sessions.get(session);
        session.is_some_and(|session| session.given_up)
    }
}
