//! Serve: viewers ask, and get what is committed.
//!
//! One file for each theme of the live protocol. A request is answered from what is
//! complete when it is read; a packet is told of when its record is on disk. Nothing that a
//! viewer does or leaves undone reaches a producer.

pub mod announce;
mod attach;
mod body;
mod connect;
mod list;
mod metadata;
mod new_streams;
mod next_index;
mod packet;
pub mod question;
mod viewer;

use baton_components::directory::Directory;
use baton_components::keys::{ConnectionKey, ViewerSessionKey, ViewerStreamKey};
use baton_components::time::Now;
use bevy_ecs::system::{Res, ResMut, SystemParam};

pub use viewer::serve;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{ChancePort, ClockPort, StoragePort};
use baton_components::viewer_session::{Question, ViewerSession};

/// What viewers' requests act on.
#[derive(SystemParam)]
pub struct Serve<'w> {
    pub entities: ResMut<'w, Entities>,
    directory: ResMut<'w, Directory>,
    storage: ResMut<'w, StoragePort>,
    clock: Res<'w, ClockPort>,
    chance: ResMut<'w, ChancePort>,
    agenda: ResMut<'w, Agenda>,
    now: Res<'w, Now>,
}

/// The viewer that a request came from.
#[derive(Clone, Copy)]
struct Caller {
    connection: ConnectionKey,
    /// The lower minor of the two sides.
    minor: u32,
    session: Option<ViewerSessionKey>,
    /// It has asked more than this, or goes: it does not wait.
    goes_on: bool,
}

impl Serve<'_> {
    fn viewer_session(&self, caller: Caller) -> Option<&ViewerSession> {
        self.entities.viewer_sessions.get(caller.session?)
    }

    /// The caller's last question, if there was no packet for it. It is forgotten: any
    /// other request shows that the viewer does not wait.
    fn take_question(&mut self, caller: Caller) -> Option<Question> {
        let viewer = self.entities.viewer_sessions.get_mut(caller.session?)?;
        viewer.question.take()
    }

    /// The caller's viewer stream of the stream `id`. Streams of sessions that it
    /// did not attach are unknown to it.
    fn viewer_stream(&self, caller: Caller, id: u64) -> Option<ViewerStreamKey> {
        let key = *self.viewer_session(caller)?.streams.get(&id)?;
        self.entities.viewer_streams.contains(key).then_some(key)
    }
}
