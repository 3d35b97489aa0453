//! The agenda: what this tick has to look at.
//!
//! Lists of what is ready, filled and drained by systems, so that a tick costs in
//! proportion to what happens in it and never to what exists. A key may be stale or
//! listed twice: whoever drains a list looks the key up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey, TraceFileKey, ViewerSessionKey};
use baton_components::limits::COMMIT_DELAY;
use bevy_ecs::resource::Resource;

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
    /// What is looked at when nothing happens, soonest first.
    pub timers: BinaryHeap<Reverse<(Duration, Timer)>>,
}

impl Agenda {
    /// There are index records to be written, now or soon.
    pub fn expect_commit(&mut self, now: Duration) {
        if self.commit_by.is_none() {
            let deadline = now + COMMIT_DELAY;
            self.commit_by = Some(deadline);
            self.timers.push(Reverse((deadline, Timer::Commit)));
        }
    }
}

/// Something that does not last for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A session waits for packets that were announced before its producer went.
    Drain(SessionKey),
    /// A peer is to say what it speaks.
    Handshake(ConnectionKey),
    /// A peer is to take its replies.
    Reply(ConnectionKey),
    /// A viewer's question has waited.
    Question(ViewerSessionKey),
    /// Index records are to be written.
    Commit,
    /// Files of chunks that are over are to be moved or deleted.
    Bury,
}
