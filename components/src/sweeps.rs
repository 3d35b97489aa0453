//! Sweeps: work on all streams of a session, or of a viewer, which is done some streams at a time.

use std::collections::VecDeque;

use crate::keys::{SessionKey, ViewerStreamKey};
use crate::limits::STREAMS_SWEPT_PER_TICK;

/// The sweeps that are not finished. Keys may be stale.
#[derive(Debug, Default)]
pub struct Sweeps {
    /// Sweeps of sessions, which take turns.
    pub sessions: VecDeque<Sweep>,
    /// Streams that their viewers do not read any more. They are owned by this list.
    pub left_streams: VecDeque<ViewerStreamKey>,
    /// Streams that may be looked at in this tick.
    pub budget: usize,
}

/// One pass over the open streams of a session.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// The session.
    pub session: SessionKey,
    /// The work on each stream.
    pub work: Work,
    /// Number of the last stream that was looked at; 0: none was.
    pub after: u64,
}

/// The work of a sweep on each stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It is closed, since its producer is gone.
    Close,
    /// No packet of it is waited for any more.
    GiveUp,
}

impl Sweeps {
    /// A tick begins. The last one before the end does all that is left.
    pub fn begin_tick(&mut self, is_last: bool) {
        self.budget = if is_last {
            usize::MAX
        } else {
            STREAMS_SWEPT_PER_TICK
        };
    }

    /// Whether something is left to do.
    pub fn are_left(&self) -> bool {
        !self.sessions.is_empty() || !self.left_streams.is_empty()
    }

    /// Takes one stream from the budget of this tick, if there is one left.
    pub fn take_one(&mut self) -> bool {
        let has_one = self.budget > 0;
        self.budget -= usize::from(has_one);
        has_one
    }
}
