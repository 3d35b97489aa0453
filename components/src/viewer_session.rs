//! A viewer session: the sessions that one viewer follows, and its streams.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hold::Holder;
use crate::keys::{ConnectionKey, SessionKey, TraceKey, ViewerStreamKey};
use crate::kinds::Id;

#[derive(Debug, Default)]
pub struct ViewerSession {
    /// By wire id of the session.
    pub attached: BTreeMap<u64, Attachment>,
    /// Its viewer streams, announced or not, by wire id of the stream. Weak: each
    /// is owned until it ends.
    pub streams: BTreeMap<u64, ViewerStreamKey>,
    /// What it knows of each trace.
    pub traces: BTreeMap<TraceKey, KnownTrace>,
    /// When it was first told of no time, since it does not know the streams that are
    /// new (monotonic); none since it asked for them.
    pub unheeded: Option<Duration>,
    /// What it asked last, if that was for a packet and there was none.
    pub question: Option<Question>,
    /// When its question is looked at (monotonic), if a timer runs for it.
    pub timer: Option<Duration>,
}

/// A question for the next packet of a stream that has none.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Weak.
    pub stream: ViewerStreamKey,
    pub state: Asked,
}

/// What became of a question. Times are monotonic.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// The viewer was told that there is nothing.
    Answered { at: Duration },
    /// It was told nothing yet: it is the next request on its connection.
    Waiting {
        /// Weak.
        connection: ConnectionKey,
        until: Duration,
    },
}

/// A session that a viewer follows.
#[derive(Debug)]
pub struct Attachment {
    pub session: SessionKey,
    /// Streams were published since the viewer last asked for them.
    pub new_streams: bool,
    /// Viewer streams that the viewer was not told of, oldest first.
    pub unannounced: Vec<ViewerStreamKey>,
    /// Data streams that it was told of and that have not ended.
    pub open_data: u32,
}

/// What a viewer knows of a trace.
#[derive(Debug, Default)]
pub struct KnownTrace {
    /// The metadata stream that it was told of.
    pub metadata: Option<ViewerStreamKey>,
    /// Data streams that it was told of and that have not ended.
    pub open_data: u32,
}

impl Attachment {
    pub fn new(session: SessionKey) -> Self {
        Self {
            session,
            new_streams: false,
            unannounced: Vec::new(),
            open_data: 0,
        }
    }
}

impl Holder for ViewerSession {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        for attachment in self.attached.values() {
            visit(attachment.session.into());
        }
    }
}
