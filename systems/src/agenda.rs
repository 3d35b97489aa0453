//! The agenda: what this tick has to look at.
//!
//! Lists of what is ready, filled and drained by systems, so that a tick costs in
//! proportion to what happens in it and never to what exists. A key may be stale or
//! listed twice: whoever drains a list looks the key up.

use std::collections::VecDeque;
use std::time::Duration;

use baton_components::connection::{Connection, Ending};
use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey, TraceFileKey};
use baton_components::limits::COMMIT_DELAY;
use bevy_ecs::resource::Resource;

use crate::deadlines::{Deadlines, Timer};

#[derive(Debug, Default, Resource)]
pub struct Agenda {
    /// May have bytes to receive, by what these are for.
    pub control: Vec<ConnectionKey>,
    pub data: Vec<ConnectionKey>,
    pub viewers: Vec<ConnectionKey>,
    /// Have bytes to send, or may take more.
    pub writable: Vec<ConnectionKey>,
    /// Are to be closed at the end of this tick.
    pub ending: Vec<ConnectionKey>,
    /// Were left with work at the end of their share: looked at in the next tick.
    pub again: Vec<ConnectionKey>,
    /// The same, for bytes to send.
    pub writable_again: Vec<ConnectionKey>,
    /// Have index records that are not on disk.
    pub indexed: Vec<TraceFileKey>,
    /// When these are to be written at the latest.
    pub commit_by: Option<Duration>,
    /// A reply is to leave that promises that they are.
    pub commit_now: bool,
    /// Have metadata that is not on disk.
    pub waiting_metadata: Vec<TraceFileKey>,
    /// Chunks that are over, whose files the disk did not move or delete. Owned until
    /// that is tried again.
    pub unburied: Vec<ChunkKey>,
    /// The relay stops: what fails now is not tried again.
    pub is_stopping: bool,
    /// Sessions that are over and kept for viewers to come, oldest first.
    pub kept: VecDeque<SessionKey>,
    pub deadlines: Deadlines,
}

impl Agenda {
    /// The connection ends, for this reason; it is closed at the end of the tick.
    pub fn close(&mut self, key: ConnectionKey, connection: &mut Connection, why: Ending) {
        connection.end(why);
        self.ending.push(key);
    }

    /// There are index records to be written, now or soon.
    pub fn expect_commit(&mut self, now: Duration) {
        if self.commit_by.is_none() {
            let deadline = now + COMMIT_DELAY;
            self.commit_by = Some(deadline);
            self.deadlines.at(deadline, Timer::Commit);
        }
    }
}
