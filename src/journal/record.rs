//! Records: what went through the ports of a relay, one for each call that brought
//! something in or let something out.
//!
//! What came in is recorded as it was, since a replay answers with it. What went out is
//! recorded as a digest, since a replay makes it again, and it must be the same.

use std::borrow::Cow;
use std::time::Duration;

use baton_components::connection::Port;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::time::CivilTime;
use baton_systems::ports::{Received, StorageError, Transmitted};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize, Serializer};
use slotmap::{Key, KeyData};
use twox_hash::XxHash3_64;

/// A call at a port, with its answer. Keys are the raw numbers of slot maps: the same
/// in every run over the same inputs.
///
/// The order of the variants is the format: new ones go to the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A tick begins: the network was waited for.
    Poll,
    /// The poll reported that this connection may be read from.
    Readable(ConnectionId),
    /// The poll reported that this connection may be written to.
    Writable(ConnectionId),
    /// The clock was read.
    Now {
        monotonic_ns: u64,
        unix_s: u64,
    },
    /// What the calendar said of a moment.
    Civil {
        unix_s: u64,
        time: Option<Civil>,
    },
    /// A connection was accepted.
    Accept {
        port: Door,
        peer: &'a str,
    },
    /// And has this key.
    Adopt(ConnectionId),
    /// Bytes came. Of `count` of them those that follow here; the others are in files
    /// or in [`Record::Rest`]s of this tick.
    Receive {
        connection: ConnectionId,
        outcome: Came<'a>,
        count: u64,
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Bytes that came in this tick and went to no file. Their place is counted from the
    /// first byte of the connection.
    Rest {
        connection: ConnectionId,
        position: u64,
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Bytes were queued for a peer.
    Send {
        connection: ConnectionId,
        length: u64,
        digest: u64,
    },
    /// Queued bytes were given to the peer; so many are left.
    Transmit {
        connection: ConnectionId,
        outcome: Left<'a>,
        unsent: u64,
    },
    /// A connection was closed.
    Close(ConnectionId),
    CreateDirectory {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        failure: Option<Failure<'a>>,
    },
    Exists {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        answer: Result<bool, Failure<'a>>,
    },
    Rename {
        #[serde(serialize_with = "as_bytes")]
        from: &'a [u8],
        #[serde(serialize_with = "as_bytes")]
        to: &'a [u8],
        failure: Option<Failure<'a>>,
    },
    RemoveDirectory {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        failure: Option<Failure<'a>>,
    },
    RemoveFile {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        failure: Option<Failure<'a>>,
    },
    CreateFile {
        file: FileId,
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        failure: Option<Failure<'a>>,
    },
    Write {
        file: FileId,
        offset: u64,
        content: Content,
        failure: Option<Failure<'a>>,
    },
    Read {
        file: FileId,
        offset: u64,
        length: u64,
        failure: Option<Failure<'a>>,
    },
    /// Bytes of a file went to a peer without passing through the relay.
    SendFile {
        connection: ConnectionId,
        file: FileId,
        offset: u64,
        length: u64,
        answer: Result<u64, Failure<'a>>,
    },
    Resize {
        file: FileId,
        size: u64,
        failure: Option<Failure<'a>>,
    },
    /// Bytes that the journal had by reference, and that are about to leave their file.
    Saved {
        file: FileId,
        offset: u64,
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    CloseFile(FileId),
    /// The relay accepts nobody from now on.
    StopAccepting,
    /// The relay closes all connections; another tick follows.
    HangUp,
    /// The relay has ended in order.
    End,
    /// Bytes of a peer went to a file without passing through the relay: so many are off
    /// the network.
    Take {
        connection: ConnectionId,
        file: FileId,
        offset: u64,
        length: u64,
        bytes: u64,
        failure: Option<Failure<'a>>,
    },
    /// A number was drawn.
    Draw(u64),
    /// A directory was to be made: whether there was nothing of that name.
    ClaimDirectory {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        answer: Result<bool, Failure<'a>>,
    },
    /// It was asked whether a directory has a name of some kind.
    HasName {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        answer: Result<bool, Failure<'a>>,
    },
}

/// The key of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// The key of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId(pub u64);

/// What was written: either where in a connection's input it lay, or its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    Bytes {
        length: u64,
        digest: u64,
    },
    Input {
        connection: ConnectionId,
        /// Counted from the first byte of the connection.
        position: u64,
        length: u64,
        /// Digest of its first and last bytes.
        edges: u64,
    },
}

/// A port by its number, which is a part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    Control,
    Data,
    Live,
}

/// What came of a receive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Came<'a> {
    Drained,
    More,
    Ended,
    Broken(#[serde(borrow)] Cow<'a, str>),
}

/// What came of a transmit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left<'a> {
    All,
    Partly,
    Broken(#[serde(borrow)] Cow<'a, str>),
}

/// What storage could not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure<'a> {
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

/// As [`CivilTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Civil {
    pub year: i16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub offset_s: i32,
}

/// The bytes at both ends of what is known by reference, so that another file in its
/// place is noticed.
const EDGE_BYTES: usize = 64;

impl Record<'_> {
    /// Appends the record's bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        postcard::serialize_with_flavor(self, Appended(into))
            .expect("law: a vector has room for every record");
    }
}

impl<'a> Record<'a> {
    /// The first record of `bytes`, and what follows it; none if there is none.
    pub fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        postcard::take_from_bytes(bytes).ok()
    }
}

impl Came<'_> {
    pub fn into_owned(self) -> Came<'static> {
        match self {
            Self::Drained => Came::Drained,
            Self::More => Came::More,
            Self::Ended => Came::Ended,
            Self::Broken(reason) => Came::Broken(reason.into_owned().into()),
        }
    }
}

/// What tells whether bytes are the same.
pub fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// What tells, cheaply, whether these are the bytes that are meant.
pub fn edges(bytes: &[u8]) -> u64 {
    if bytes.len() <= 2 * EDGE_BYTES {
        return digest(bytes);
    }
    let mut ends = [0; 2 * EDGE_BYTES];
    ends[..EDGE_BYTES].copy_from_slice(&bytes[..EDGE_BYTES]);
    ends[EDGE_BYTES..].copy_from_slice(&bytes[bytes.len() - EDGE_BYTES..]);
    digest(&ends)
}

impl<'a> Record<'a> {
    /// What storage could not do.
    pub fn failure(&self) -> Option<&Failure<'a>> {
        match self {
            Self::CreateDirectory { failure, .. }
            | Self::Rename { failure, .. }
            | Self::RemoveDirectory { failure, .. }
            | Self::RemoveFile { failure, .. }
            | Self::CreateFile { failure, .. }
            | Self::Write { failure, .. }
            | Self::Read { failure, .. }
            | Self::Resize { failure, .. }
            | Self::Take { failure, .. } => failure.as_ref(),
            Self::Exists { answer, .. }
            | Self::ClaimDirectory { answer, .. }
            | Self::HasName { answer, .. } => answer.as_ref().err(),
            Self::SendFile { answer, .. } => answer.as_ref().err(),
            _ => None,
        }
    }

    /// The call alone, where its outcome is that it was done or why not.
    #[must_use]
    pub fn without_failure(mut self) -> Self {
        match &mut self {
            Self::CreateDirectory { failure, .. }
            | Self::Rename { failure, .. }
            | Self::RemoveDirectory { failure, .. }
            | Self::RemoveFile { failure, .. }
            | Self::CreateFile { failure, .. }
            | Self::Write { failure, .. }
            | Self::Read { failure, .. }
            | Self::Resize { failure, .. } => *failure = None,
            _ => {}
        }
        self
    }
}

impl ConnectionId {
    pub fn key(self) -> ConnectionKey {
        KeyData::from_ffi(self.0).into()
    }
}

impl From<ConnectionKey> for ConnectionId {
    fn from(key: ConnectionKey) -> Self {
        Self(key.data().as_ffi())
    }
}

impl From<FileKey> for FileId {
    fn from(key: FileKey) -> Self {
        Self(key.data().as_ffi())
    }
}

impl Content {
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes { length, .. } | Self::Input { length, .. } => *length,
        }
    }
}

impl From<Port> for Door {
    fn from(port: Port) -> Self {
        match port {
            Port::Control => Self::Control,
            Port::Data => Self::Data,
            Port::Live => Self::Live,
        }
    }
}

impl From<Door> for Port {
    fn from(door: Door) -> Self {
        match door {
            Door::Control => Self::Control,
            Door::Data => Self::Data,
            Door::Live => Self::Live,
        }
    }
}

impl<'a> From<&'a Received> for Came<'a> {
    fn from(received: &'a Received) -> Self {
        match received {
            Received::Drained => Self::Drained,
            Received::More => Self::More,
            Received::Ended => Self::Ended,
            Received::Broken(reason) => Self::Broken(reason.into()),
        }
    }
}

impl From<Came<'_>> for Received {
    fn from(came: Came<'_>) -> Self {
        match came {
            Came::Drained => Self::Drained,
            Came::More => Self::More,
            Came::Ended => Self::Ended,
            Came::Broken(reason) => Self::Broken(reason.into_owned()),
        }
    }
}

impl<'a> From<&'a Transmitted> for Left<'a> {
    fn from(transmitted: &'a Transmitted) -> Self {
        match transmitted {
            Transmitted::All => Self::All,
            Transmitted::Partly => Self::Partly,
            Transmitted::Broken(reason) => Self::Broken(reason.into()),
        }
    }
}

impl From<Left<'_>> for Transmitted {
    fn from(left: Left<'_>) -> Self {
        match left {
            Left::All => Self::All,
            Left::Partly => Self::Partly,
            Left::Broken(reason) => Self::Broken(reason.into_owned()),
        }
    }
}

impl<'a> From<&'a StorageError> for Failure<'a> {
    fn from(error: &'a StorageError) -> Self {
        Self {
            action: error.action.into(),
            path: error.path.as_str().into(),
            reason: error.reason.as_str().into(),
        }
    }
}

impl From<Failure<'_>> for StorageError {
    fn from(failure: Failure<'_>) -> Self {
        let known = ACTIONS.into_iter().find(|it| *it == failure.action);
        Self {
            action: known.unwrap_or("use"),
            path: failure.path.into_owned(),
            reason: failure.reason.into_owned(),
        }
    }
}

/// What storage of any kind says that it could not do.
const ACTIONS: [&str; 12] = [
    "make directory",
    "look at",
    "rename",
    "remove directory",
    "remove file",
    "remove",
    "make file",
    "write to",
    "read from",
    "send from",
    "resize",
    "open",
];

impl From<CivilTime> for Civil {
    fn from(time: CivilTime) -> Self {
        Self {
            year: time.year,
            month: time.month,
            day: time.day,
            hour: time.hour,
            minute: time.minute,
            second: time.second,
            offset_s: time.offset_s,
        }
    }
}

impl From<Civil> for CivilTime {
    fn from(time: Civil) -> Self {
        Self {
            year: time.year,
            month: time.month,
            day: time.day,
            hour: time.hour,
            minute: time.minute,
            second: time.second,
            offset_s: time.offset_s,
        }
    }
}

/// A path of a journal; none if it would leave the output directory.
pub fn path(bytes: &[u8]) -> Option<RelativePath> {
    RelativePath::parse(bytes).ok()
}

/// A duration in a record: 584 years fit.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The same bytes as those of a sequence, in one go.
fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Encodes to the end of a vector.
struct Appended<'a>(&'a mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
