//! Faults: the reason why a producer's message was refused, and whether its connection is
//! closed.

use baton_components::path::PathError;
use baton_components::shares::Shortage;
use baton_components::shown::Shown;
use baton_components::wire::codec::WireError;

use crate::ports::StorageError;
use crate::record::RecordError;

/// A message that was refused. Its reply, if it has one, is already queued.
#[derive(Debug)]
pub struct Fault {
    pub reason: Reason,
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The connection stays as it was.
    Stay,
    /// The connection is closed, and its session with it.
    Abort,
}

/// The reason, as the end of a log line that begins with the peer and the command.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("malformed: {0}")]
    Malformed(#[from] WireError),
    #[error("unknown command {0}")]
    UnknownCommand(u32),
    #[error("a payload of {size} bytes is announced, more than the {max} that it may have")]
    Oversized { size: u64, max: u64 },
    #[error(
        "no session was created on this connection; if the relay was restarted, create the \
         session anew: lttng destroy, then lttng create"
    )]
    NoSession,
    #[error("the host \"{0}\" is not one that the rule of its certificate names (--tls-rules)")]
    OthersHost(String),
    #[error("this connection has a session already")]
    SecondSession,
    #[error("less than --min-free is left on the disk")]
    NoRoom,
    #[error("protocol {0}.x is requested, this relay speaks 2.x")]
    Major(u32),
    #[error("needs protocol 2.11, the session speaks 2.{0}")]
    TooOld(u32),
    #[error("the {what} \"{text}\" is refused: {source}")]
    Name {
        what: &'static str,
        text: String,
        source: PathError,
    },
    #[error("creation time {0} s is out of the calendar's range")]
    Time(u64),
    #[error("chunk {0} is unknown")]
    UnknownChunk(u64),
    #[error("chunk {0}: another chunk waits to be closed")]
    ChunkClosing(u64),
    #[error("chunk {0} was closed, and its files are not moved or deleted yet")]
    ChunkDisposed(u64),
    #[error("deleting a chunk (clear) is not allowed on this relay")]
    ClearDisallowed,
    #[error("close command {0} is unknown")]
    CloseCommand(u32),
    #[error("stream {0} is unknown")]
    UnknownStream(u64),
    #[error("flags {0:#x} are unknown")]
    Flags(u64),
    #[error("a packet of stream {name}: {reason}")]
    Packet { name: String, reason: RecordError },
    #[error(transparent)]
    Shortage(#[from] Shortage),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Reason {
    pub fn name(what: &'static str, bytes: &[u8], source: PathError) -> Self {
        Self::Name {
            what,
            text: Shown(bytes).to_string(),
            source,
        }
    }

    pub fn stay(self) -> Fault {
        Fault {
            reason: self,
            then: Then::Stay,
        }
    }

    pub fn abort(self) -> Fault {
        Fault {
            reason: self,
            then: Then::Abort,
        }
    }
}
