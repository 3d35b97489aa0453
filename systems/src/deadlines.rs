//! Deadlines: a heap of timers, soonest first.
//!
//! A deadline is set when a wait begins and is never cancelled: its handler checks whether
//! the wait still exists.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use baton_components::keys::{ConnectionKey, SessionKey, ViewerSessionKey};

#[derive(Debug, Default)]
pub struct Deadlines(BinaryHeap<Reverse<(Duration, Timer)>>);

/// A wait with a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A session waits for packets that were announced before its producer disconnected.
    Drain(SessionKey),
    /// A session's packets were announced, and a data connection has to bring them.
    Data(SessionKey),
    /// A peer has to send its version.
    Handshake(ConnectionKey),
    /// A peer has to read its replies.
    Reply(ConnectionKey),
    /// A message has begun, and more of it has to come.
    Half(ConnectionKey),
    /// A viewer's question waits for a packet.
    Question(ViewerSessionKey),
    /// Index records wait for their commit.
    Commit,
    /// Metadata waits for room on the disk.
    Metadata,
    /// Files of completed chunks wait to be moved or deleted.
    Bury,
    /// Retention looks at ages, and at removed files that are held.
    Retention,
    /// It is looked whether the disk has room again.
    Reserve,
    /// The disk has not answered a probe.
    Probe,
    /// Files are to be synced.
    Sync,
}

impl Deadlines {
    /// Sets a timer, which expires when the monotonic clock reaches `when`.
    pub fn at(&mut self, when: Duration, what: Timer) {
        self.0.push(Reverse((when, what)));
    }

    /// The next deadline.
    pub fn next(&self) -> Option<Duration> {
        self.0.peek().map(|Reverse((when, _))| *when)
    }

    pub fn are_due(&self, now: Duration) -> bool {
        self.next().is_some_and(|when| when <= now)
    }

    /// Removes the next expired timer, and returns it with its time.
    pub fn pop_due(&mut self, now: Duration) -> Option<(Duration, Timer)> {
        if !self.are_due(now) {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    /// All timers, in arbitrary order.
    pub fn iter(&self) -> impl Iterator<Item = Timer> {
        self.0.iter().map(|Reverse((_, what))| *what)
    }
}
