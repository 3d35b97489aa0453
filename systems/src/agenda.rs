//! The agenda: the work lists of a tick.
//!
//! Systems fill and drain lists of ready items, so the cost of a tick is proportional to
//! the number of ready items, never to the number of existing ones. A key may be stale or
//! listed twice: the system that drains a list looks the key up.

use std::collections::VecDeque;
use std::time::Duration;

use baton_components::chunk::Chunk;
use baton_components::connection::{Connection, Ending, Endpoint};
use baton_components::costs::{SHORT_TICK, TICK};
use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey, TraceFileKey};
use baton_components::limits::{CHUNK_RETRY, WAITING_METADATA_RETRY, WATCHED_FOR};
use baton_components::probes::Probes;
use baton_components::sweeps::Sweeps;
use baton_components::waits::Waits;
use bevy_ecs::resource::Resource;

use crate::deadlines::{Deadlines, Timer};
use crate::ports::Answer;
use crate::turns::Turns;

#[derive(Debug, Default, Resource)]
#[allow(clippy::struct_excessive_bools)] // Work that has nothing to do with each other.
pub struct Agenda {
    /// Connections that may have messages to execute or bytes to receive, by their protocol.
    pub control: Turns,
    pub data: Turns,
    pub viewers: Turns,
    /// When a light viewer had a turn last.
    pub heard: Heard,
    pub status: Turns,
    /// Control connections with replies of this tick.
    pub replies: Vec<ConnectionKey>,
    /// Connections with other bytes to send, or that may accept more.
    pub writable: Turns,
    /// Connections to close at the end of this tick.
    pub ending: Vec<ConnectionKey>,
    /// Deadline of the next commit of batches.
    pub commit_by: Option<Duration>,
    /// Files with metadata that the disk has refused.
    pub waiting_metadata: Vec<TraceFileKey>,
    /// The timer for metadata has expired: the writes are tried again in the next tick.
    pub is_metadata_due: bool,
    /// Retention has work for the next tick, or its timer has expired.
    pub is_retention_due: bool,
    /// Data connections are not read: the disk has no room.
    pub is_data_paused: bool,
    /// Nor are they until what is removed is gone: there is more than the cap.
    pub is_removal_awaited: bool,
    /// Requests that storage has not answered.
    pub waits: Waits,
    /// Answers that came in this tick, in their order.
    pub answers: Vec<Answer>,
    /// Whether names can be made on the disk, and what waits for that.
    pub probes: Probes,
    /// Work on very many streams.
    pub sweeps: Sweeps,
    /// Completed chunks whose files could not be moved or deleted. Owned by this list until
    /// the next attempt.
    pub unburied: Vec<ChunkKey>,
    /// Chunks that were closed and stay, and are to be synced, with the keys that they had.
    pub ended_chunks: Vec<(ChunkKey, Chunk)>,
    /// The relay is shutting down: failures are not tried again.
    pub is_stopping: bool,
    /// Ended sessions that are kept for later viewers, oldest first.
    pub kept: VecDeque<SessionKey>,
    pub deadlines: Deadlines,
}

/// The last turn of a light viewer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Turns until then.
    pub turns: u64,
    /// The begin of the tick after it (monotonic).
    pub at: Duration,
}

impl Agenda {
    /// A tick begins: all turns are anew.
    pub fn begin_tick(&mut self, now: Duration) {
        if self.viewers.light_served != self.heard.turns {
            self.heard = Heard {
                turns: self.viewers.light_served,
                at: now,
            };
        }
        let is_watched = now < self.heard.at + WATCHED_FOR;
        self.control.begin_tick(SHORT_TICK);
        self.viewers.begin_tick(SHORT_TICK);
        self.data
            .begin_tick(if is_watched { SHORT_TICK } else { TICK });
        self.status.begin_tick(SHORT_TICK);
        self.writable.begin_tick(TICK);
        self.sweeps.begin_tick(self.is_stopping);
    }

    /// The connections of a protocol that are ready.
    pub fn turns(&mut self, endpoint: Endpoint) -> &mut Turns {
        match endpoint {
            Endpoint::Control => &mut self.control,
            Endpoint::Data => &mut self.data,
            Endpoint::Live => &mut self.viewers,
            Endpoint::Status => &mut self.status,
        }
    }

    /// Whether something is left that is done as soon as there is a tick: a connection is served, or
    /// a sweep goes on.
    pub fn goes_on(&self) -> bool {
        let Self {
            control,
            data,
            viewers,
            status,
            writable,
            sweeps,
            probes,
            ..
        } = self;
        let turns = [control, viewers, status, writable];
        turns.iter().any(|turns| !turns.is_empty())
            || (self.reads_data() && !data.is_empty())
            || !sweeps.left_streams.is_empty()
            || (!sweeps.sessions.is_empty() && probes.asked().is_none())
    }

    /// Whether data connections are read.
    pub fn reads_data(&self) -> bool {
        !self.is_data_paused && !self.is_removal_awaited
    }

    /// Ends the connection; it is closed at the end of the tick.
    pub fn close(&mut self, key: ConnectionKey, connection: &mut Connection, why: Ending) {
        if connection.is_put_off() {
            return;
        }
        connection.end(why);
        self.ending.push(key);
    }

    /// Schedules another attempt to write metadata of a file, which waits for disk space.
    pub fn expect_room(&mut self, now: Duration, file: TraceFileKey) {
        if self.waiting_metadata.is_empty() {
            self.deadlines
                .at(now + WAITING_METADATA_RETRY, Timer::Metadata);
        }
        self.waiting_metadata.push(file);
    }

    /// Schedules another attempt to move or delete the files of a completed chunk.
    pub fn bury_later(&mut self, now: Duration, chunk: ChunkKey) {
        if self.unburied.is_empty() {
            self.deadlines.at(now + CHUNK_RETRY, Timer::Bury);
        }
        self.unburied.push(chunk);
    }

    /// Sets the deadline of a commit, if there is none before it.
    pub fn expect_commit(&mut self, due: Duration) {
        if self.commit_by.is_none_or(|by| due < by) {
            self.commit_by = Some(due);
            self.deadlines.at(due, Timer::Commit);
        }
    }
}
