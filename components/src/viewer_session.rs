//! A viewer session: the sessions that one viewer follows, and its streams.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::hold::{Held, Holder};
use crate::keys::{ConnectionKey, SessionKey, TraceKey, ViewerStreamKey};
use crate::kinds::Id;
use crate::shares::AddressKey;
use crate::tally::Reading;

/// The record of a viewer session. Made by CREATE_SESSION of a viewer.
#[derive(Debug, Default)]
pub struct ViewerSession {
    /// Weak: the connection of the viewer, which holds this record.
    pub connection: ConnectionKey,
    /// The address that the memory of its viewer streams counts for.
    pub address: AddressKey,
    /// By wire id of the session.
    pub attached: BTreeMap<u64, Attachment>,
    /// Its viewer streams, announced or not, by wire id of the stream. Weak: each
    /// is owned until it ends.
    pub streams: BTreeMap<u64, ViewerStreamKey>,
    /// The attached sessions of which streams were published since the viewer last asked.
    pub with_news: BTreeSet<u64>,
    /// Time (monotonic) when it first got RETRY instead of a beacon, since it does not know
    /// the new streams; none after it asked for them.
    pub unheeded: Option<Duration>,
    /// Its last request, if that was for a packet and there was none.
    pub question: Option<Question>,
    /// Time (monotonic) of the timer of its question, if one is set.
    pub timer: Option<Duration>,
}

/// A question for the next packet of a stream that has none.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Weak.
    pub stream: ViewerStreamKey,
    /// Answered, or waiting for a packet.
    pub state: Asked,
}

/// The state of a question. Times are monotonic.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// It was answered with RETRY.
    Answered {
        /// When the reply was made: the viewer's pause begins.
        at: Duration,
    },
    /// It is kept unanswered: it is the next request on its connection.
    Waiting {
        /// Weak.
        connection: ConnectionKey,
        /// When it is answered in any case, with RETRY if nothing has come.
        until: Duration,
    },
}

/// A session that a viewer has attached.
#[derive(Debug)]
pub struct Attachment {
    /// Kept alive for the viewer, also after its producer has gone.
    pub session: Held<SessionKey>,
    /// The traces of which the viewer has viewer streams, announced or not.
    pub traces: BTreeMap<TraceKey, KnownTrace>,
    /// The traces that got streams since streams were last announced, by their ids: only
    /// these can have something to announce.
    pub touched: BTreeMap<u64, TraceKey>,
    /// Wire ids of its viewer streams that have not ended.
    pub streams: BTreeSet<u64>,
    /// Number of announced data streams that have not ended.
    pub open_data: u32,
    /// When it was attached, in seconds since 1970.
    pub since_s: u64,
    /// How far the viewer has read.
    pub reading: Reading,
}

/// A trace of which a viewer has viewer streams.
#[derive(Debug, Default)]
pub struct KnownTrace {
    /// The announced metadata stream.
    pub metadata: Option<ViewerStreamKey>,
    /// Number of announced data streams that have not ended.
    pub open_data: u32,
    /// Metadata streams that were not announced yet, by their numbers, which is the order in
    /// which they were published.
    pub waiting_metadata: BTreeMap<u64, ViewerStreamKey>,
    /// Data streams that were not announced yet, by their numbers.
    pub waiting_data: BTreeMap<u64, ViewerStreamKey>,
}

impl KnownTrace {
    /// Whether the viewer has no viewer stream of it any more.
    pub fn is_over(&self) -> bool {
        self.metadata.is_none() && self.open_data == 0 && !self.has_waiting()
    }

    /// Whether a stream was not announced yet.
    pub fn has_waiting(&self) -> bool {
        !self.waiting_metadata.is_empty() || !self.waiting_data.is_empty()
    }
}

impl Attachment {
    /// A session that was just attached, before its streams are announced.
    pub fn new(session: Held<SessionKey>, since_s: u64) -> Self {
        Self {
            session,
            traces: BTreeMap::new(),
            touched: BTreeMap::new(),
            streams: BTreeSet::new(),
            open_data: 0,
            since_s,
            reading: Reading::default(),
        }
    }
}

impl Holder for ViewerSession {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        for attachment in self.attached.values() {
            visit((&attachment.session).into());
        }
    }
}
