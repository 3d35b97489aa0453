//! Probes of the disk: whether it answers, and what waits until it does.

use std::time::Duration;

use crate::keys::{ChunkKey, ConnectionKey, SessionKey};
use crate::limits::PROBE_AGE_MAX;
use crate::path::RelativePath;
use crate::waits::Ticket;

/// The last answer of the disk, and all that waits for the next. Keys may be stale.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // They have nothing to do with each other.
pub struct Probes {
    /// Names are made after a probe only.
    are_on: bool,
    /// The time of the last answer (monotonic).
    answered: Option<Duration>,
    /// The request that is not answered, and its time.
    asked: Option<(Ticket, Duration)>,
    /// Somebody waits for an answer that is not asked for.
    pub is_wanted: bool,
    /// A timer looks at what is not answered.
    pub is_watched: bool,
    /// The disk has not answered for long.
    pub is_silent: bool,
    /// Connections whose next message makes names: it stays unread.
    pub connections: Vec<ConnectionKey>,
    /// Connections of producers that have ended, and are not closed: they are put off.
    pub ending: Vec<ConnectionKey>,
    /// Sessions that have waited long enough for packets.
    pub sessions: Vec<SessionKey>,
    /// Completed chunks, which may have to move. They are owned by this list.
    pub chunks: Vec<ChunkKey>,
    /// Directories in which nobody records any more.
    pub recordings: Vec<RelativePath>,
    /// Retention waits.
    pub is_awaited_by_retention: bool,
}

impl Probes {
    /// Whether names are made after a probe only.
    pub fn new(are_on: bool) -> Self {
        Self {
            are_on,
            ..Self::default()
        }
    }

    /// Whether the disk has answered just now.
    pub fn are_fresh(&self, now: Duration) -> bool {
        !self.are_on || self.have_answer_since(now, PROBE_AGE_MAX)
    }

    /// Whether the last answer is not older than that.
    pub fn have_answer_since(&self, now: Duration, age: Duration) -> bool {
        self.answered.is_some_and(|answered| now < answered + age)
    }

    /// The disk is asked.
    pub fn ask(&mut self, ticket: Ticket, now: Duration) {
        self.is_wanted = false;
        self.asked = Some((ticket, now));
    }

    /// The disk has answered. Gives when it was asked.
    pub fn answer(&mut self, now: Duration) -> Option<Duration> {
        self.answered = Some(now);
        self.asked.take().map(|(_, since)| since)
    }

    /// The request that the disk has not answered, and since when.
    pub fn asked(&self) -> Option<(Ticket, Duration)> {
        self.asked
    }
}
