//! The ports: the only interfaces between the systems and the operating system.
//!
//! All input passes through them, in order, tick by tick. So the systems are deterministic
//! (the same input gives the same output), and a relay runs in a test without sockets and
//! disk. The daemon implements them with system calls; [`crate::memory`] has
//! implementations for tests and simulations.

#![warn(missing_docs)]

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use baton_components::connection::{Endpoint, Extent};
use baton_components::directory::Lot;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::rights::Rights;
use baton_components::time::{CivilTime, Now};
use baton_components::waits::Ticket;
use bevy_ecs::resource::Resource;

use crate::lists::Files;
use crate::requests::{FileEnd, Lane, Outcome, Request};
use crate::usage::{Usage, Warning};

pub use baton_components::storage_error::{StorageError, StorageErrorKind};

/// The network: connections and their bytes.
pub trait Network: Send + Sync {
    /// Waits until something is ready, at most for `timeout` (none: for ever).
    /// Adds to `readable` the connections that may have bytes to receive, to
    /// `writable` those that may take more bytes. Returns whether something else has ended the
    /// wait, such as an answer of storage.
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) -> bool;

    /// The next connection that waits to be accepted. [`Network::adopt`] follows.
    fn accept(&mut self) -> Option<Newcomer>;

    /// Assigns a key to the connection accepted last.
    fn adopt(&mut self, key: ConnectionKey);

    /// Stops accepting connections.
    fn stop_accepting(&mut self);

    /// Reads at most `budget` bytes into the connection's input. [`Network::consume`]
    /// follows before anything is received from another connection.
    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received;

    /// The bytes received and not consumed.
    fn input(&self, key: ConnectionKey) -> &[u8];

    /// Removes the first `count` bytes from the input.
    fn consume(&mut self, key: ConnectionKey, count: usize);

    /// Queues bytes for the peer.
    fn send(&mut self, key: ConnectionKey, bytes: &[u8]);

    /// Number of queued bytes that were not sent yet.
    fn unsent(&self, key: ConnectionKey) -> usize;

    /// Sends queued bytes to the peer, as many as it accepts now. With `more` (`MSG_MORE`)
    /// others follow at once, and both may leave in one segment.
    fn transmit(&mut self, key: ConnectionKey, more: bool) -> Transmitted;

    /// Acknowledges received bytes at once, for messages without a reply: with Nagle's
    /// algorithm some producers send nothing more before the acknowledgement.
    fn acknowledge(&mut self, _: ConnectionKey) {}

    /// Closes the connection. Its key becomes invalid.
    fn close(&mut self, key: ConnectionKey);
}

/// A new connection, before it has a key.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The listener that it connected to.
    pub endpoint: Endpoint,
    /// Its address, for log lines.
    pub peer: String,
    /// Its bytes go through TLS, which takes memory.
    pub has_tls: bool,
    /// Its rights, if a rule limits them.
    pub rights: Option<Box<Rights>>,
}

/// The outcome of a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Everything was received.
    Drained,
    /// The budget was used up: there may be more.
    More,
    /// Everything was received, and the peer has closed its side.
    Ended,
    /// The connection broke, for this reason.
    Broken(String),
}

/// The outcome of a transmit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmitted {
    /// Nothing is left.
    All,
    /// The peer accepts no more for now; it will be reported writable.
    Partly,
    /// The connection broke, for this reason.
    Broken(String),
}

/// A part of a connection's input, with its offset there: a journal refers to the bytes by
/// that offset. Only [`NetworkPort::arrived`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    connection: ConnectionKey,
    at: usize,
    bytes: &'a [u8],
}

impl<'a> Arrived<'a> {
    /// The connection that sent the bytes.
    pub fn connection(&self) -> ConnectionKey {
        self.connection
    }

    /// Offset in the connection's input, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Splits off and returns the first `count` bytes, or as many as there are.
    #[must_use]
    pub fn take_first(&mut self, count: usize) -> Self {
        let (first, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        let taken = Self {
            bytes: first,
            ..*self
        };
        self.at += first.len();
        self.bytes = rest;
        taken
    }
}

/// Zero-copy transfers between a file and a connection (`sendfile`, `splice`). The storage
/// does them, since they are ordered with its other calls for the file. Storage without
/// zero-copy, as in memory, uses the defaults, which transfer nothing; the caller then copies
/// the bytes with read and send, or receive and write.
pub trait Transfer {
    /// Sends bytes of the file to the peer, at most `length`. The connection's queue of bytes
    /// to send must be empty. Returns how many bytes the peer accepted; 0: it accepts no
    /// more for now, and will be reported writable. None: no zero-copy here.
    fn to_peer(
        &mut self,
        _connection: ConnectionKey,
        _file: FileKey,
        _offset: u64,
        _length: u64,
    ) -> Result<Option<u64>, StorageError> {
        Ok(None)
    }

    /// Takes bytes of the peer, at most `length`, and writes them to the file, as
    /// [`Storage::write`] does. The connection's input must be empty. Returns how many were
    /// taken; 0: nothing has arrived, the peer has closed, or there is no zero-copy here. A
    /// receive shows which.
    fn to_file(
        &mut self,
        _connection: ConnectionKey,
        _file: FileKey,
        _offset: u64,
        _length: u64,
    ) -> u64 {
        0
    }
}

/// Directories and files, all below the relay's output directory.
///
/// Each file is in a lane. Operations on the files of a lane are done in order, after the
/// calls, and nobody waits for them: [`Request::Commit`] tells whether they were done. After a failure
/// a file is *broken*: nothing is written to it before [`Storage::restore`].
pub trait Storage: Transfer + Send + Sync {
    /// Makes a directory and its parents; existing ones are no error.
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Locks an existing directory in which a session begins to record (or a trace, if the
    /// session has no directory), so that `baton repair` skips it.
    fn begin_recording(&mut self, _: &RelativePath) {}

    /// Unlocks a directory whose session is over, with its files closed.
    fn end_recording(&mut self, _: &RelativePath) {}

    /// Makes a directory and its missing parents. False: the name exists, and nothing was
    /// made.
    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError>;

    /// Whether the name exists.
    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError>;

    /// Whether a directory exists and has a matching name among its first
    /// [`NAMES_LOOKED_AT`].
    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError>;

    /// Renames a file or a directory without replacing: the new name must not exist. Open
    /// files stay open.
    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError>;

    /// Removes a directory if it exists and is empty.
    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Unlinks a file; a missing one is no error. Open files stay readable.
    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Creates an empty file, open for reading and writing; the name must not exist.
    fn create_file(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        lane: Lane,
    ) -> Result<(), StorageError>;

    /// Writes all bytes at an offset; a failed write may leave a part.
    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]);

    /// As [`Storage::write`], for bytes from a connection's input, which a journal records
    /// by reference.
    fn write_arrived(&mut self, key: FileKey, offset: u64, arrived: Arrived<'_>) {
        self.write(key, offset, arrived.bytes);
    }

    /// Writes a range of a file to an offset of another one of the same lane; a failed copy may
    /// leave a part. A copy from a broken file fails.
    fn copy(&mut self, from: FileKey, range: Range<u64>, to: FileKey, offset: u64);

    /// Truncates the file, or extends it with zeros.
    fn resize(&mut self, key: FileKey, size: u64);

    /// Truncates the file; if that succeeds, a broken one is whole again.
    fn restore(&mut self, key: FileKey, size: u64);

    /// Does now all that was written to the lane, and the rest of a commit, with calls that wait.
    fn commit(&mut self, lane: Lane, ends: &[FileEnd]) -> Outcome;

    /// Reads exactly `into`, or fails: bytes that are in the file, since a commit has confirmed
    /// them.
    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError>;

    /// Whether a read of that range would not wait for the disk, as far as a quick look shows.
    fn is_at_hand(&mut self, _: Extent) -> bool {
        true
    }

    /// As [`Storage::read`], if the bytes are at hand; false: they are not.
    fn read_at_hand(&mut self, from: Extent, into: &mut [u8]) -> Result<bool, StorageError> {
        if !self.is_at_hand(from) {
            return Ok(false);
        }
        self.read(from.file, from.offset, into).map(|()| true)
    }

    /// Closes the file when all that was written to it is done. Its key becomes invalid.
    fn close(&mut self, key: FileKey);

    /// Asks for what may wait for the disk for long. It is done after this call, in any order
    /// with other calls and requests but those for the same place ([`Request::place`]).
    fn ask(&mut self, ticket: Ticket, request: Request);

    /// Does now what a request is for, with calls that wait.
    fn act(&mut self, request: &Request) -> Result<Outcome, StorageError> {
        match request {
            Request::Remove {
                files, directories, ..
            } => {
                for path in files {
                    self.remove_file(path)?;
                }
                for path in directories {
                    self.remove_directory(path)?;
                }
                Ok(Outcome::Done)
            }
            Request::Commit { lane, ends } => Ok(self.commit(*lane, ends)),
            others => match self.files() {
                Some(mut files) => others.act_on(&mut *files),
                None => Ok(Outcome::Done),
            },
        }
    }

    /// Its files by their names, for what is done at once. None: there are none, or they are
    /// another storage's.
    fn files(&mut self) -> Option<Box<dyn Files + '_>> {
        None
    }

    /// Adds the answers that have come, in their order. A poll of the network ends when one
    /// comes.
    fn answers(&mut self, into: &mut Vec<Answer>);

    /// Whether answers are there or will be without an event that ends a poll of the network.
    fn has_answers(&self) -> bool {
        false
    }
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's.
    pub ticket: Ticket,
    /// A failed request may have been done in part. It may be made again.
    pub outcome: Result<Outcome, StorageError>,
}

/// Maximum number of names of a directory that are compared. A trace has few; a directory
/// of many sessions has many.
pub const NAMES_LOOKED_AT: usize = 1000;

/// Time, and what the process has come to with it.
pub trait Clock: Send + Sync {
    /// The current monotonic and wall-clock time. Read once a tick.
    fn now(&mut self) -> Now;

    /// Local date and time of a moment; none if it is out of range.
    fn civil(&self, unix_s: u64) -> Option<CivilTime>;

    /// A tick ends: the relay is about to wait. For measurements.
    fn tick_ends(&mut self) {}

    /// Resource usage of the relay's process at this time.
    fn usage(&mut self) -> Usage;

    /// The last warnings and errors of the log until this time, oldest first.
    fn warnings(&mut self) -> Vec<Warning>;
}

/// Randomness.
pub trait Chance: Send + Sync {
    /// A cryptographically random number of 64 bits.
    fn draw(&mut self, lot: Lot) -> u64;
}

/// The network that this relay runs on.
#[derive(Resource)]
pub struct NetworkPort(pub Box<dyn Network>);

impl NetworkPort {
    /// A connection's whole input.
    pub fn arrived(&self, connection: ConnectionKey) -> Arrived<'_> {
        Arrived {
            connection,
            at: 0,
            bytes: self.0.input(connection),
        }
    }
}

/// The storage that this relay writes to. It counts the calls, so that whoever causes them
/// is charged for them.
#[derive(Resource)]
pub struct StoragePort {
    storage: Box<dyn Storage>,
    calls: u64,
}

impl StoragePort {
    /// A port to this storage.
    pub fn new(storage: Box<dyn Storage>) -> Self {
        Self { storage, calls: 0 }
    }

    /// Number of calls so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// [`Storage::is_at_hand`], which costs little and is not counted.
    pub fn is_at_hand(&mut self, extent: Extent) -> bool {
        self.storage.is_at_hand(extent)
    }

    /// The last call made so many names, and costs as many calls.
    pub fn made(&mut self, names: usize) {
        self.calls += names.saturating_sub(1) as u64;
    }
}

/// The clock that this relay reads.
#[derive(Resource)]
pub struct ClockPort(pub Box<dyn Clock>);

/// The chance that this relay draws from.
#[derive(Resource)]
pub struct ChancePort(pub Box<dyn Chance>);

macro_rules! port {
    ($port:ident, $door:path, $inner:tt $(, $calls:tt)?) => {
        impl std::ops::Deref for $port {
            type Target = dyn $door;

            fn deref(&self) -> &Self::Target {
                &*self.$inner
            }
        }

        impl std::ops::DerefMut for $port {
            fn deref_mut(&mut self) -> &mut Self::Target {
                $(self.$calls += 1;)?
                &mut *self.$inner
            }
        }

        impl fmt::Debug for $port {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(stringify!($port))
            }
        }
    };
}

port!(NetworkPort, Network, 0);
port!(StoragePort, Storage, storage, calls);
port!(ClockPort, Clock, 0);
port!(ChancePort, Chance, 0);
