//! The recorder: writes the files of sessions, and decides when a packet is complete.
//!
//! [`Recorder`] is a façade: no other code writes the files of streams. Behind it is one
//! file a subject. Events become facts ([`crate::facts`]).

pub mod batch;
pub mod burial;
pub mod chunks;
pub mod closing;
mod confirm;
mod data_files;
pub mod file_paths;
mod giving_up;
mod index_records;
mod losses;
mod metadata;
mod packets;
mod pairing;
pub mod places;
pub mod ring;
mod rotation;
mod streams;
pub mod sweep;
pub mod waiting_metadata;
pub mod waits;

use baton_components::directory::Directory;
use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey, StreamKey};
use baton_components::path::RelativePath;
use baton_components::shares::Shortage;
use baton_components::sweeps::Work;
use baton_components::time::Now;
use baton_components::wire::producer::SendIndex;
use bevy_ecs::system::{Res, ResMut, SystemParam};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::{Facts, ProducerGone, StreamsPublished};
use crate::ports::{Arrived, StorageError, StoragePort};

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

/// The reason why data was not recorded. The log names the stream before it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the stream is in the middle of a packet of another connection")]
    Arriving,
    #[error("the stream is a metadata stream")]
    IsMetadata,
    #[error("the stream is not a metadata stream")]
    NotMetadata,
    #[error("the stream is closed")]
    Closed,
    #[error("the stream has no file: it was rotated to no chunk")]
    NoFile,
    #[error("the session has no chunk")]
    NoChunk,
    #[error("a stream is already being rotated to another chunk")]
    Rotating,
    #[error("a stream has packets beyond the position of the rotation")]
    WouldLose,
    #[error("{half} of packet {sequence} came before")]
    Twice { sequence: u64, half: &'static str },
    #[error("too many packets of the stream wait for their other half")]
    TooManyPending,
    #[error("metadata that waits for disk space exceeds its limit: {0}")]
    MetadataExcess(String),
    #[error("the session has {0} open streams, the maximum")]
    TooManyStreams(usize),
    #[error(transparent)]
    Shortage(#[from] Shortage),
    #[error("the session is live: its metadata cannot be reset")]
    Live,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Recorder<'_> {
    /// Adds a stream to a session; its empty file is created, and viewers do not see the
    /// stream before [`Recorder::publish`].
    pub fn begin_stream(
        &mut self,
        session: SessionKey,
        stream: NewStream,
    ) -> Result<StreamKey, RecordError> {
        streams::begin(self, session, stream)
    }

    /// Makes directories for a stream of the session with this path, some of them if it is deep.
    /// False: more are to be made.
    pub fn make_way(&mut self, session: SessionKey, path: &RelativePath) -> bool {
        streams::make_way(self, session, path)
    }

    /// Publishes all streams that were added to a session since the last time, together. `by`:
    /// the connection that asks for it.
    pub fn publish(&mut self, session: SessionKey, by: ConnectionKey) {
        let Some(record) = self.entities.sessions.get_mut(session) else {
            // A session that is over has no stream that could be published.
            return;
        };
        let streams = std::mem::take(&mut record.unpublished);
        let streams: Vec<StreamKey> = streams.into_values().collect();
        for stream in &streams {
            if let Some(stream) = self.entities.streams.get_mut(*stream) {
                stream.published = true;
                stream.unheard = true;
            }
        }
        let published = StreamsPublished {
            by,
            session,
            streams,
        };
        self.facts.published.push(published);
    }

    /// Whether a description may move the stream to another chunk.
    pub fn is_rotating(&self, stream: StreamKey) -> bool {
        let stream = self.entities.streams.get(stream);
        stream.is_some_and(|stream| stream.rare().rotation.is_some())
    }

    /// Whether a packet of so many bytes may begin a file of the stream.
    pub fn may_begin_file(&self, stream: StreamKey, size: u32) -> bool {
        ring::may_begin_file(&self.entities, stream, size)
    }

    /// Begins a packet with `size` bytes of payload. If the disk is full the packet is
    /// dropped, without an error.
    pub fn begin_packet(&mut self, stream: StreamKey, size: u32) -> Result<(), RecordError> {
        packets::begin(self, stream, size)
    }

    /// Writes the next bytes of the packet that is arriving. The answer to a later commit tells
    /// whether they are in the file.
    pub fn append(&mut self, stream: StreamKey, bytes: Arrived<'_>) -> Result<(), RecordError> {
        packets::append(self, stream, bytes)
    }

    /// Moves the next bytes of the packet that is arriving from its connection, `length` at
    /// most; gives how many. None: they are to be received and appended.
    pub fn take(
        &mut self,
        stream: StreamKey,
        length: u64,
        from: ConnectionKey,
    ) -> Result<Option<u64>, RecordError> {
        packets::take(self, stream, length, from)
    }

    /// Completes a packet; `padding` zeros follow it. Rotations and closes that waited for
    /// the packet go on.
    pub fn end_packet(
        &mut self,
        stream: StreamKey,
        sequence: u64,
        padding: u32,
    ) -> Result<(), RecordError> {
        packets::end(self, stream, sequence, padding)
    }

    /// Drops the packet that is arriving, since the rest of it will not come. `session`:
    /// that of its connection.
    pub fn cut_packet(&mut self, session: Option<SessionKey>, stream: StreamKey, sequence: u64) {
        packets::cut(self, session, stream, sequence);
    }

    /// Records the description of a packet, or a live beacon.
    pub fn describe(
        &mut self,
        stream: StreamKey,
        description: SendIndex,
    ) -> Result<(), RecordError> {
        pairing::describe(self, stream, description)
    }

    /// Moves a stream to another chunk, or to none, before the packet `position`: now, or
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

    /// Restarts the metadata in a new file, since the producer sends all of it again.
    pub fn reset_metadata(&mut self, stream: StreamKey) -> Result<(), RecordError> {
        metadata::reset(self, stream)
    }

    /// Ends the producer's part of a session, since its control connection has ended: no more
    /// streams and descriptions come. Described packets are waited for, unless `is_broken`.
    pub fn end_producer(&mut self, session: SessionKey, is_broken: bool) {
        closing::end_producer(self, session, is_broken);
        sweep::begin(self, session, Work::Close);
        self.facts.gone.push(ProducerGone(session));
    }

    /// Stops waiting for packets of a session, unless a new connection brings some. Everything
    /// that waits for a packet goes on.
    pub fn give_up(&mut self, session: SessionKey) {
        // A timer may outlast its session.
        if let Some(record) = self.entities.sessions.get_mut(session) {
            record.given_up = true;
            sweep::begin(self, session, Work::GiveUp);
        }
    }

    /// Whether no packet of that session is waited for.
    pub fn has_given_up(&self, session: SessionKey) -> bool {
        let session = self.entities.sessions.get(session);
        session.is_some_and(|session| session.given_up)
    }
}
