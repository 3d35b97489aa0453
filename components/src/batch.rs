//! A batch: what was written for a session since the last commit, and one commit confirms.
//!
//! Storage is told what to write, and says later whether it was written. Until then the batch
//! keeps alive what was written to: the session is not over, the chunk is not closed and the
//! files stay open.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hold::{Held, Holder};
use crate::keys::{BatchKey, ChunkKey, ConnectionKey, SessionKey, StreamKey, TraceFileKey};
use crate::kinds::Id;
use crate::wire::ctf_index::IndexRecord;

/// The writes of a session that are not confirmed: at most one batch gathers while the answer
/// to the one before is awaited, so that the slower the disk, the more each commit has.
#[derive(Debug, Default)]
pub struct Writes {
    /// Weak: the batch that gathers.
    pub gathering: Option<BatchKey>,
    /// Weak: the batch whose answer is awaited.
    pub asked: Option<BatchKey>,
    /// Number of the last batch.
    pub last_batch: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Weak: connections that wait for an answer.
    pub waiting: Vec<ConnectionKey>,
}

impl Writes {
    /// The batches, in their order.
    pub fn batches(&self) -> impl Iterator<Item = BatchKey> {
        self.asked.into_iter().chain(self.gathering)
    }
}

/// Owned until its answer comes.
#[derive(Debug)]
pub struct Batch {
    /// The session that the files are of.
    pub session: Held<SessionKey>,
    /// Counted in the session, from 1: answers come in this order.
    pub number: u64,
    /// Time (monotonic) at which its commit is asked for if nobody needs it before; the end of
    /// the tick in which it began sets it.
    pub due: Duration,
    /// Somebody waits for it: its commit is asked for at the end of this tick.
    pub is_wanted: bool,
    /// It has something that the disk has refused repeatedly: it is not asked for before its
    /// time.
    pub is_late: bool,
    /// Bytes that wait to be written, and count for the write buffer.
    pub bytes: u64,
    /// The state of each file once the commit has succeeded.
    pub files: BTreeMap<TraceFileKey, Confirmed>,
    /// Of the files, and of their streams and chunks.
    pub holds: Vec<Kept>,
}

/// Kept alive for one file of a batch.
#[derive(Debug)]
pub enum Kept {
    /// The file.
    File(Held<TraceFileKey>),
    /// Its stream, which may have closed.
    Stream(Held<StreamKey>),
    /// The chunk in which it was made.
    Chunk(Held<ChunkKey>),
}

/// The parts of a file that a commit confirms.
#[derive(Debug, Default)]
pub struct Confirmed {
    /// Packets whose bytes are in it.
    pub packets: Vec<WrittenPacket>,
    /// Packets whose index records are in its index file.
    pub records: Vec<WrittenRecord>,
    /// Bytes of the file that are true then: whole packets, or metadata.
    pub size: u64,
    /// Bytes of the index file that are true then.
    pub index_size: u64,
    /// The disk has refused it so often that nobody waits for it.
    pub is_hopeless: bool,
}

/// A packet whose bytes were written.
#[derive(Clone, Copy, Debug)]
pub struct WrittenPacket {
    /// Its number.
    pub sequence: u64,
    /// Its bytes, padding included.
    pub bytes: u64,
    /// Its end in the file.
    pub end: u64,
}

/// A packet whose index record was written.
#[derive(Clone, Copy, Debug)]
pub struct WrittenRecord {
    /// Its number.
    pub sequence: u64,
    /// Its end in the data file.
    pub end: u64,
    /// The record.
    pub record: IndexRecord,
}

impl Holder for Batch {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit((&self.session).into());
        for kept in &self.holds {
            visit(match kept {
                Kept::File(file) => file.into(),
                Kept::Stream(stream) => stream.into(),
                Kept::Chunk(chunk) => chunk.into(),
            });
        }
    }
}
