//! The parts of records: keys, contents and outcomes in a journal's form, with conversions
//! from and to those of the ports.
//!
//! The order of their fields and variants is the format, as with the records.

use std::borrow::Cow;
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::time::CivilTime;
use baton_systems::ports::{Arrived, Received, StorageError, StorageErrorKind, Transmitted};
use serde::{Deserialize, Serialize};
use slotmap::{Key, KeyData};

use super::digest::{digest, edges};

/// The key of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// The key of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId(pub u64);

/// The content of a write: either its position in a connection's input, or its digest.
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

/// A listener by its number, which is a part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordedEndpoint {
    Control,
    Data,
    Live,
    Status,
}

/// The outcome of a receive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Came<'a> {
    Drained,
    More,
    Ended,
    Broken(#[serde(borrow)] Cow<'a, str>),
}

/// The outcome of a transmit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left<'a> {
    All,
    Partly,
    Broken(#[serde(borrow)] Cow<'a, str>),
}

/// A failure of storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure<'a> {
    /// Its place in [`KINDS`].
    pub kind: u8,
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

impl ConnectionId {
    pub fn key(self) -> ConnectionKey {
        KeyData::from_ffi(self.0).into()
    }
}

impl FileId {
    pub fn key(self) -> FileKey {
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
    /// Bytes of a connection's input that are written; the input begins after `consumed`
    /// bytes of the connection.
    pub fn arrived(arrived: Arrived<'_>, consumed: u64) -> Self {
        Self::Input {
            connection: arrived.connection().into(),
            position: consumed + arrived.at() as u64,
            length: arrived.bytes().len() as u64,
            edges: edges(arrived.bytes()),
        }
    }

    /// Bytes of the relay's own that are written.
    pub fn made(bytes: &[u8]) -> Self {
        Self::Bytes {
            length: bytes.len() as u64,
            digest: digest(bytes),
        }
    }

    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes { length, .. } | Self::Input { length, .. } => *length,
        }
    }
}

impl From<Endpoint> for RecordedEndpoint {
    fn from(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Control => Self::Control,
            Endpoint::Data => Self::Data,
            Endpoint::Live => Self::Live,
            Endpoint::Status => Self::Status,
        }
    }
}

impl From<RecordedEndpoint> for Endpoint {
    fn from(endpoint: RecordedEndpoint) -> Self {
        match endpoint {
            RecordedEndpoint::Control => Self::Control,
            RecordedEndpoint::Data => Self::Data,
            RecordedEndpoint::Live => Self::Live,
            RecordedEndpoint::Status => Self::Status,
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
        let kind = KINDS.iter().position(|kind| *kind == error.kind);
        Self {
            kind: kind.unwrap_or(KINDS.len()) as u8,
            action: error.action.as_ref().into(),
            path: error.path.as_str().into(),
            reason: error.reason.as_str().into(),
        }
    }
}

impl From<Failure<'_>> for StorageError {
    fn from(failure: Failure<'_>) -> Self {
        let kind = KINDS.get(usize::from(failure.kind)).copied();
        Self {
            kind: kind.unwrap_or(StorageErrorKind::Broken),
            action: failure.action.into_owned().into(),
            path: failure.path.into_owned(),
            reason: failure.reason.into_owned(),
        }
    }
}

/// The kinds of failures by their numbers, which are a part of the format.
const KINDS: [StorageErrorKind; 7] = [
    StorageErrorKind::Full,
    StorageErrorKind::Denied,
    StorageErrorKind::Gone,
    StorageErrorKind::InTheWay,
    StorageErrorKind::Broken,
    StorageErrorKind::Bound,
    StorageErrorKind::Pinned,
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
