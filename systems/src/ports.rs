//! The ports: the only doors between the systems and the world outside.
//!
//! Everything that enters goes through one of them, in order, tick by tick. That is
//! why the same inputs give the same bytes out, and why a relay runs in a test with
//! no socket and no disk. The real ones live in the daemon; [`crate::memory`] has
//! those of tests and simulations.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use baton_components::connection::Port;
use baton_components::directory::Lot;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::time::{CivilTime, Now};
use bevy_ecs::resource::Resource;

/// Connections and their bytes.
pub trait Network: Send + Sync {
    /// Waits until something is ready, at most for `timeout` (none: for ever).
    /// Adds to `readable` the connections that may have bytes to receive, to
    /// `writable` those that may take more bytes.
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    );

    /// The next connection that waits to be accepted. [`Network::adopt`] follows.
    fn accept(&mut self) -> Option<Newcomer>;

    /// Gives the connection accepted last its key.
    fn adopt(&mut self, key: ConnectionKey);

    /// No connection is accepted from now on.
    fn stop_accepting(&mut self);

    /// Reads at most `budget` bytes into the connection's input. [`Network::consume`]
    /// follows before anything is received from another connection.
    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received;

    /// The bytes received and not consumed.
    fn input(&self, key: ConnectionKey) -> &[u8];

    /// The first `count` bytes of the input are done with.
    fn consume(&mut self, key: ConnectionKey, count: usize);

    /// Queues bytes for the peer.
    fn send(&mut self, key: ConnectionKey, bytes: &[u8]);

    /// Bytes queued and not yet taken by the peer's side.
    fn unsent(&self, key: ConnectionKey) -> usize;

    /// Gives queued bytes to the peer, as many as it takes now. With `more`, others
    /// follow at once: these need not leave by themselves.
    fn transmit(&mut self, key: ConnectionKey, more: bool) -> Transmitted;

    /// The peer gets no reply to what it sent: tells its side that it arrived. Some
    /// producers send nothing more before they know.
    fn acknowledge(&mut self, _: ConnectionKey) {}

    /// Where storage can write to the peer by itself; none where bytes have to be
    /// queued. What is queued comes first.
    fn descriptor(&self, _: ConnectionKey) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Where storage can take bytes of the peer by itself; none where they have to be
    /// received. What is in the input comes first.
    fn source(&self, _: ConnectionKey) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The descriptor took no more: the connection is to be reported writable.
    fn wait_for_room(&mut self, _: ConnectionKey) {}

    /// Closes the connection. Its key means nothing any more.
    fn close(&mut self, key: ConnectionKey);
}

/// A connection that waits for its key.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub port: Port,
    /// Its address, for people.
    pub peer: String,
}

/// What came of a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// All there was.
    Drained,
    /// The budget was used up: there may be more.
    More,
    /// All there was, and the peer will send no more.
    Ended,
    /// The connection broke, for this reason.
    Broken(String),
}

/// What came of a transmit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmitted {
    /// Nothing is left.
    All,
    /// The peer takes no more for now; it will be reported writable.
    Partly,
    /// The connection broke, for this reason.
    Broken(String),
}

/// Directories and files, all below the relay's output directory.
pub trait Storage: Send + Sync {
    /// Makes a directory and those above it; existing ones are fine.
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// A session records in that directory from now on, or a trace of one that has none of
    /// its own. It is there. Others that mend traces are to leave it alone.
    fn begin_recording(&mut self, _: &RelativePath) {}

    /// The session that recorded there is over, and its files are closed.
    fn end_recording(&mut self, _: &RelativePath) {}

    /// Makes a directory, and those above it that are missing. False: there is something
    /// of that name, and nothing was made.
    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError>;

    /// Whether there is anything of that name.
    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError>;

    /// Whether a directory is there and has a name that is looked for among its first
    /// [`NAMES_LOOKED_AT`].
    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError>;

    /// Gives a file or a directory another name, if nothing has that. Open files stay
    /// open.
    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError>;

    /// Removes a directory if it is there and empty.
    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Removes the name of a file; none of that name is fine. Who has it open keeps
    /// it.
    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Makes an empty file, open for reading and writing, if there is nothing of that
    /// name.
    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError>;

    /// Writes all bytes at an offset, or fails; a failed write may leave a part.
    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;

    /// Reads exactly `into`, or fails.
    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError>;

    /// Moves bytes of the file to a descriptor of the network, at most `length`; gives
    /// how many it took. None at all: it takes no more for now.
    fn send(
        &mut self,
        key: FileKey,
        _offset: u64,
        _length: u64,
        _to: BorrowedFd<'_>,
    ) -> Result<u64, StorageError> {
        unreachable!("law: a network without descriptors offers none for {key:?}")
    }

    /// Moves bytes that have come on a descriptor of the network to the file, at most
    /// `length`.
    fn take(&mut self, key: FileKey, _offset: u64, _length: u64, _from: BorrowedFd<'_>) -> Taken {
        unreachable!("law: a network without descriptors offers none for {key:?}")
    }

    /// Cuts the file, or lengthens it with zeros.
    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError>;

    /// Closes the file. Its key means nothing any more.
    fn close(&mut self, key: FileKey);
}

/// How many names of a directory are looked at. Where a trace is there are few; a
/// directory of many sessions has many.
pub const NAMES_LOOKED_AT: usize = 1000;

/// What came of moving bytes from the network to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that are off the network; 0: nothing has come, or nothing will.
    pub bytes: u64,
    /// Whether all of them are in the file; if not, a part may be.
    pub written: Result<(), StorageError>,
}

/// What storage could not do, on what, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} {path}: {reason}")]
pub struct StorageError {
    pub action: &'static str,
    pub path: String,
    pub reason: String,
}

/// Time.
pub trait Clock: Send + Sync {
    fn now(&mut self) -> Now;

    /// What the relay's calendar and clock showed at a moment; none if it is out
    /// of their range.
    fn civil(&self, unix_s: u64) -> Option<CivilTime>;
}

/// Chance.
pub trait Chance: Send + Sync {
    /// A number of which all 64 bits are by chance: nobody can guess it.
    fn draw(&mut self, lot: Lot) -> u64;
}

/// The network that this relay runs on.
#[derive(Resource)]
pub struct NetworkPort(pub Box<dyn Network>);

/// The storage that this relay writes to.
#[derive(Resource)]
pub struct StoragePort(pub Box<dyn Storage>);

/// The clock that this relay reads.
#[derive(Resource)]
pub struct ClockPort(pub Box<dyn Clock>);

/// The chance that this relay draws from.
#[derive(Resource)]
pub struct ChancePort(pub Box<dyn Chance>);

macro_rules! port {
    ($port:ident, $door:path) => {
        impl std::ops::Deref for $port {
            type Target = dyn $door;

            fn deref(&self) -> &Self::Target {
                &*self.0
            }
        }

        impl std::ops::DerefMut for $port {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut *self.0
            }
        }

        impl fmt::Debug for $port {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(stringify!($port))
            }
        }
    };
}

port!(NetworkPort, Network);
port!(StoragePort, Storage);
port!(ClockPort, Clock);
port!(ChancePort, Chance);
