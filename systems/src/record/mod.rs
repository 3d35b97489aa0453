//! The recorder: what is on disk, and what of it is complete.
//!
//! Its verbs are the methods of [`Recorder`]; nobody else writes what a stream records.
//! Behind them is one file a subject. What happened becomes a fact ([`crate::facts`]).

pub mod chunks;
pub mod closing;
pub mod commit;
mod data_files;
pub mod file_paths;
mod giving_up;
pub mod index_records;
mod metadata;
mod packets;
mod pairing;
pub mod places;
pub mod ring;
mod rotation;
mod streams;
pub mod waiting_metadata;

use std::os::fd::BorrowedFd;

use baton_components::directory::Directory;
use baton_components::keys::{ChunkKey, SessionKey, StreamKey};
use baton_components::time::Now;
use baton_components::wire::producer::SendIndex;
use bevy_ecs::system::{Res, ResMut, SystemParam};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::{Facts, ProducerGone, StreamsPublished};
use crate::ports::{StorageError, StoragePort};

pub use streams::NewStream;

/// The resources that recording acts on.
#[derive(SystemParam)]
pub struct Recorder<'w> {
    pub entities: ResMut<'w, Entities>,
    pub directory: ResMut<'w, Directory>,
    pub storage: ResMut<'w, StoragePort>,
    pub agenda: ResMut<'w, Agenda>,
    pub now: Res<'w, Now>,
    pub facts: ResMut<'w, Facts>,
}

/// Why something was not recorded. Streams are named by their numbers in the log.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("stream {0} is in the middle of a packet that another connection brings")]
    Arriving(u64),
    #[error("stream {0} is a metadata stream")]
    IsMetadata(u64),
    #[error("stream {0} is not a metadata stream")]
    NotMetadata(u64),
    #[error("the stream is closed")]
    Closed,
    #[error("stream {0} writes to no file: it was moved to no chunk")]
    NoFile(u64),
    #[error("the session has no chunk to write to")]
    NoChunk,
    #[error("stream {0} is being moved to another chunk already")]
    Rotating(u64),
    #[error("stream {0} has packets beyond the position at which it was to stop")]
    WouldLose(u64),
    #[error("stream {stream}: {half} of packet {sequence} has come already")]
    Twice {
        stream: u64,
        sequence: u64,
        half: &'static str,
    },
    #[error("stream {0}: too many packets wait for their other half")]
    TooManyPending(u64),
    #[error("more metadata waits for room on the disk than may: {0}")]
    MetadataExcess(StorageError),
    #[error("the session is live: its metadata cannot be reset")]
    Live,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Recorder<'_> {
    /// Adds a stream to a session; its file exists, empty, and nobody sees it before
    /// [`Recorder::publish`].
    pub fn begin_stream(
        &mut self,
        session: SessionKey,
        stream: NewStream,
    ) -> Result<StreamKey, RecordError> {
        streams::begin(self, session, stream)
    }

    /// Publishes all streams that were added to a session since the last time, together.
    pub fn publish(&mut self, session: SessionKey) {
        let Some(record) = self.entities.sessions.get_mut(session) else {
            return;
        };
        let streams = std::mem::take(&mut record.unpublished);
        for stream in &streams {
            if let Some(stream) = self.entities.streams.get_mut(*stream) {
                stream.published = true;
                stream.unheard = true;
            }
        }
        let published = StreamsPublished { session, streams };
        self.facts.published.push(published);
    }

    /// The payload of a packet, `size` bytes, comes next. A disk that has no room for it
    /// loses it, and is no error.
    pub fn begin_packet(&mut self, stream: StreamKey, size: u32) -> Result<(), RecordError> {
        packets::begin(self, stream, size)
    }

    /// Writes the next bytes of the packet that is arriving.
    pub fn append(&mut self, stream: StreamKey, bytes: &[u8]) -> Result<(), RecordError> {
        packets::append(self, stream, bytes)
    }

    /// Moves the next bytes of the packet that is arriving from where they come, `length`
    /// at most; gives how many. None: they are to be read and appended.
    pub fn take(
        &mut self,
        stream: StreamKey,
        length: u64,
        from: BorrowedFd<'_>,
    ) -> Result<Option<u64>, RecordError> {
        packets::take(self, stream, length, from)
    }

    /// All bytes of a packet have come; `padding` zeros follow it. Whatever waited for the
    /// packet goes on.
    pub fn end_packet(
        &mut self,
        stream: StreamKey,
        sequence: u64,
        padding: u32,
    ) -> Result<(), RecordError> {
        packets::end(self, stream, sequence, padding)
    }

    /// The rest of the packet that is arriving will not come. Nothing else is lost.
    pub fn cut_packet(&mut self, stream: StreamKey) {
        packets::cut(self, stream);
    }

    /// Takes the description of a packet, or a live beacon.
    pub fn describe(
        &mut self,
        stream: StreamKey,
        description: SendIndex,
    ) -> Result<(), RecordError> {
        pairing::describe(self, stream, description)
    }

    /// The stream moves to another chunk, or to none, before the packet `position`: now, or
    /// when the packets before it have come.
    pub fn rotate(
        &mut self,
        stream: StreamKey,
        target: Option<ChunkKey>,
        position: u64,
    ) -> Result<(), RecordError> {
        rotation::rotate(self, stream, target, position)
    }

    /// Closes a stream when its packet `last_sequence` has come: now, or later.
    pub fn close(&mut self, stream: StreamKey, last_sequence: Option<u64>) {
        closing::begin(self, stream, last_sequence);
    }

    /// Appends metadata to its file, or keeps it until there is room on the disk.
    pub fn metadata(
        &mut self,
        stream: StreamKey,
        bytes: &[u8],
        padding: u32,
    ) -> Result<(), RecordError> {
        metadata::append(self, stream, bytes, padding)
    }

    /// Begins the metadata anew: all of it comes again.
    pub fn reset_metadata(&mut self, stream: StreamKey) -> Result<(), RecordError> {
        metadata::reset(self, stream)
    }

    /// The producer of a session has gone: no stream is added, and nothing is described,
    /// any more. Packets that were described are waited for, unless `is_broken`.
    pub fn end_producer(&mut self, session: SessionKey, is_broken: bool) {
        closing::end_producer(self, session, is_broken);
        self.facts.gone.push(ProducerGone(session));
    }

    /// No packet of the session comes any more, unless by a new connection. What waits for
    /// one goes on.
    pub fn give_up(&mut self, session: SessionKey) {
        giving_up::give_up(self, session);
    }

    /// Whether no packet of that session is waited for.
    pub fn has_given_up(&self, session: SessionKey) -> bool {
        let session = self.entities.sessions.get(session);
        session.is_some_and(|session| session.given_up)
    }
}
