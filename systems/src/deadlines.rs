//! Deadlines: what is looked at when nothing happens, soonest first.
//!
//! A deadline is set when a wait begins and is not taken back: what looks at it finds out
//! whether there still is something to wait for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use baton_components::keys::{ConnectionKey, SessionKey, ViewerSessionKey};

#[derive(Debug, Default)]
pub struct Deadlines(BinaryHeap<Reverse<(Duration, Timer)>>);

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

impl Deadlines {
    /// `what` is looked at when the monotonic clock shows `when`.
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

    /// Takes the next of those whose time has come, and when that was.
    pub fn pop_due(&mut self, now: Duration) -> Option<(Duration, Timer)> {
        if !self.are_due(now) {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    /// All of them, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = Timer> {
        self.0.iter().map(|Reverse((_, what))| *what)
    }
}
