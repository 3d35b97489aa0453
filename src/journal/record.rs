//! Records: one for each call of a port that was input or output.
//!
//! Input is recorded in full, since a replay answers with it. Output is recorded as a
//! digest, since a replay makes it again and compares it.

use baton_components::connection::Extent;
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::lists::Found;
use baton_systems::ports::Answer;
use baton_systems::requests::{FileEnd, Outcome, Request};
use baton_systems::usage::{Usage, Warning};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize, Serializer};

use super::values::{Came, Civil, ConnectionId, Content, Failure, FileId, Left, RecordedEndpoint};

/// A data file, and its index file with what is written to it at an offset.
type End = (FileId, Option<(FileId, u64, Content)>);

/// A call at a port, with its answer. Keys are the raw numbers of slot maps: the same
/// in every run over the same inputs.
///
/// The order of the variants is the format: new ones go to the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A tick begins, with a poll.
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
    /// The calendar date and time of a moment.
    Civil {
        unix_s: u64,
        time: Option<Civil>,
    },
    /// A connection was accepted.
    Accept {
        endpoint: RecordedEndpoint,
        peer: &'a str,
    },
    /// The accepted connection got this key.
    Adopt(ConnectionId),
    /// `count` bytes were received. `bytes` has all of them or some; the others are in
    /// files or in [`Record::Rest`]s of this tick.
    Receive {
        connection: ConnectionId,
        outcome: Came<'a>,
        count: u64,
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Bytes that were received in this tick and went to no file. Their position is counted
    /// from the first byte of the connection.
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
    /// Queued bytes were sent to the peer; `unsent` are left.
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
    },
    Read {
        file: FileId,
        offset: u64,
        length: u64,
        failure: Option<Failure<'a>>,
    },
    /// Bytes of a file were sent to a peer with zero-copy.
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
    },
    /// Bytes that the journal had by reference, copied before they are cut off their file.
    Saved {
        file: FileId,
        offset: u64,
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    CloseFile(FileId),
    /// The relay stops accepting.
    StopAccepting,
    /// The relay closes all connections; another tick follows.
    HangUp,
    /// Records that the relay has ended in order.
    End,
    /// A random number was drawn.
    Draw(u64),
    /// A directory was claimed: whether its name was free.
    ClaimDirectory {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        answer: Result<bool, Failure<'a>>,
    },
    /// A directory was searched for a name of some kind.
    HasName {
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        answer: Result<bool, Failure<'a>>,
    },
    /// The usage of the process was asked for.
    Usage(Box<Usage>),
    /// The last warnings were asked for.
    Warnings(Vec<Warning>),
    /// The rights of the accepted connection, where a rule limits them.
    Rights {
        hosts: Option<Vec<String>>,
        sessions: Option<Vec<String>>,
    },
    /// Storage was asked to remove files and directories.
    Remove {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        within: &'a [u8],
        files: Vec<&'a [u8]>,
        directories: Vec<&'a [u8]>,
    },
    /// Storage has answered a request.
    Answer {
        ticket: u64,
        failure: Option<Failure<'a>>,
    },
    /// Storage was asked to append to a list of what was recorded.
    Append {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Storage was asked to remove a chunk that has a list.
    RemoveListed {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        list: &'a [u8],
        with_session: bool,
    },
    /// Storage was asked to look at chunks that have lists.
    Survey {
        ticket: u64,
        after: Option<u64>,
        count: u64,
        is_first: bool,
    },
    /// Storage has found these chunks.
    Surveyed {
        ticket: u64,
        found: Vec<Found>,
        last: Option<u64>,
    },
    /// Storage was asked how much is free on the disk.
    AskSpace {
        ticket: u64,
    },
    /// So much is free on the disk.
    Space {
        ticket: u64,
        free_bytes: u64,
    },
    /// A part of a file was copied to another one.
    Copy {
        from: FileId,
        start: u64,
        end: u64,
        to: FileId,
        offset: u64,
    },
    /// A file was brought back to a size.
    Restore {
        file: FileId,
        size: u64,
    },
    /// Storage was asked whether what was written to files is there, and to write index records
    /// of each: to that file, at an offset.
    Commit {
        ticket: u64,
        lane: u64,
        ends: Vec<End>,
    },
    /// Storage has answered that: these files have failed, and are sound up to an offset.
    Committed {
        ticket: u64,
        failed: Vec<(FileId, u64, Failure<'a>)>,
    },
    /// Storage was asked to make files and names durable.
    Sync {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        within: &'a [u8],
        files: Vec<&'a [u8]>,
        directories: Vec<&'a [u8]>,
    },
    /// The accepted connection has TLS.
    Tls,
    /// Storage was asked to replace a list of what was recorded.
    Replace {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        path: &'a [u8],
        #[serde(serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// A part of a file was not at hand: to read it would have waited for the disk. (One that was
    /// has no record.)
    NotAtHand {
        file: FileId,
        offset: u64,
        length: u64,
    },
    /// Storage was asked to fetch a part of a file.
    Fetch {
        ticket: u64,
        file: FileId,
        offset: u64,
        length: u64,
    },
    /// Storage was asked whether the disk answers.
    Probe {
        ticket: u64,
    },
    /// Storage was asked to make a closed chunk durable, with so many files and directories.
    SyncChunk {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        directory: &'a [u8],
        files: u64,
        directories: u64,
    },
}

impl<'a> Record<'a> {
    /// The record of a request.
    // Long because: a record for each kind.
    pub fn asked(ticket: Ticket, request: &'a Request) -> Self {
        let bytes = |paths: &'a [RelativePath]| paths.iter().map(RelativePath::as_bytes).collect();
        match request {
            Request::Remove {
                within,
                files,
                directories,
            } => Self::Remove {
                ticket: ticket.0,
                within: within.as_bytes(),
                files: bytes(files),
                directories: bytes(directories),
            },
            Request::Append { path, bytes } => Self::Append {
                ticket: ticket.0,
                path: path.as_bytes(),
                bytes,
            },
            Request::Replace { path, bytes } => Self::Replace {
                ticket: ticket.0,
                path: path.as_bytes(),
                bytes,
            },
            Request::RemoveListed { list, with_session } => Self::RemoveListed {
                ticket: ticket.0,
                list: list.as_bytes(),
                with_session: *with_session,
            },
            Request::Survey {
                after,
                count,
                is_first,
            } => Self::Survey {
                ticket: ticket.0,
                after: *after,
                count: *count as u64,
                is_first: *is_first,
            },
            Request::Commit { lane, ends } => Self::Commit {
                ticket: ticket.0,
                lane: lane.0,
                ends: ends.iter().map(end).collect(),
            },
            Request::Space => Self::AskSpace { ticket: ticket.0 },
            Request::Probe => Self::Probe { ticket: ticket.0 },
            Request::Fetch(extent) => Self::Fetch {
                ticket: ticket.0,
                file: extent.file.into(),
                offset: extent.offset,
                length: extent.size,
            },
            Request::Sync {
                within,
                files,
                directories,
            } => Self::Sync {
                ticket: ticket.0,
                within: within.as_bytes(),
                files: bytes(files),
                directories: bytes(directories),
            },
            Request::SyncChunk(names) => Self::SyncChunk {
                ticket: ticket.0,
                directory: names.directory.as_bytes(),
                files: names.files.len() as u64,
                directories: names.directories.len() as u64,
            },
        }
    }

    /// The record of a part of a file that is not at hand.
    pub fn not_at_hand(extent: Extent) -> Self {
        Self::NotAtHand {
            file: extent.file.into(),
            offset: extent.offset,
            length: extent.size,
        }
    }

    /// The record of an answer.
    pub fn answered(answer: &'a Answer) -> Self {
        let ticket = answer.ticket.0;
        match &answer.outcome {
            Ok(Outcome::Surveyed { found, last }) => Self::Surveyed {
                ticket,
                found: found.clone(),
                last: *last,
            },
            Ok(Outcome::Committed { failed }) => Self::Committed {
                ticket,
                failed: failed
                    .iter()
                    .map(|(file, it)| ((*file).into(), it.sound, Failure::from(&it.error)))
                    .collect(),
            },
            Ok(Outcome::Space { free_bytes }) => Self::Space {
                ticket,
                free_bytes: *free_bytes,
            },
            outcome => Self::Answer {
                ticket,
                failure: outcome.as_ref().err().map(Failure::from),
            },
        }
    }
}

impl Record<'_> {
    /// Appends the record's bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        postcard::serialize_with_flavor(self, Appended(into))
            .expect("law: a vector has room for every record");
    }
}

impl<'a> Record<'a> {
    /// The first record of `bytes`, and the rest of them; none if there is none.
    pub fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        postcard::take_from_bytes(bytes).ok()
    }
}

impl<'a> Record<'a> {
    /// Its failure of storage, if it has one.
    pub fn failure(&self) -> Option<&Failure<'a>> {
        match self {
            Self::CreateDirectory { failure, .. }
            | Self::Rename { failure, .. }
            | Self::RemoveDirectory { failure, .. }
            | Self::RemoveFile { failure, .. }
            | Self::CreateFile { failure, .. }
            | Self::Read { failure, .. }
            | Self::Answer { failure, .. } => failure.as_ref(),
            Self::Exists { answer, .. }
            | Self::ClaimDirectory { answer, .. }
            | Self::HasName { answer, .. } => answer.as_ref().err(),
            Self::SendFile { answer, .. } => answer.as_ref().err(),
            _ => None,
        }
    }

    /// The call without its outcome.
    #[must_use]
    pub fn without_failure(mut self) -> Self {
        match &mut self {
            Self::CreateDirectory { failure, .. }
            | Self::Rename { failure, .. }
            | Self::RemoveDirectory { failure, .. }
            | Self::RemoveFile { failure, .. }
            | Self::CreateFile { failure, .. }
            | Self::Read { failure, .. } => *failure = None,
            _ => {}
        }
        self
    }
}

fn end(end: &FileEnd) -> End {
    let index = end.index.as_ref().map(|index| {
        let content = Content::made(&index.bytes);
        (index.file.into(), index.offset, content)
    });
    (end.data.into(), index)
}

/// Encodes bytes like a sequence, but with one copy.
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
