//! Ingest: what producers send becomes sessions, streams and packets.
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

use baton_components::keys::{SessionKey, StreamKey};
use bevy_ecs::system::{Res, ResMut, SystemParam};

pub use control::control;
pub use data::data;

use crate::ports::{ChancePort, ClockPort};
use crate::record::Recorder;
use crate::settings::Settings;
use fault::Reason;

/// What producers' messages act on.
#[derive(SystemParam)]
pub struct Ingest<'w> {
    pub record: Recorder<'w>,
    clock: Res<'w, ClockPort>,
    chance: ResMut<'w, ChancePort>,
    settings: Res<'w, Settings>,
}

impl Ingest<'_> {
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
