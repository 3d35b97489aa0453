//! Every command of the producers, in every situation: which bytes come back, and what
//! becomes of the connection and its session.
//!
//! A row is one message sent in one situation. Handles are counted from 1, so rows can
//! name them: stream 1 is the metadata of session 1, stream 2 its data; streams 3 and
//! 4 are those of a foreign session. "Ours" in a comment: the original does otherwise.

mod cast;
mod chunks;
mod connection;
mod index;
mod messages;
mod packets;
mod pending;
mod rotation;
mod sessions;
mod streams;

use std::panic::{AssertUnwindSafe, catch_unwind};

use baton_components::connection::Endpoint;
use baton_components::limits::DRAIN_GRACE;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{self, Command, NONE};
use baton_systems::client;
use baton_systems::memory::Operation;

use crate::stage::{self, Producer, Stage};
use cast::Cast;
use messages::*;

#[test]
fn connections_and_commands_without_a_session() {
    play(&connection::rows());
}

#[test]
fn sessions_are_created_or_refused() {
    play(&sessions::rows());
}

#[test]
fn streams_are_added_fed_with_metadata_and_closed() {
    play(&streams::rows());
}

#[test]
fn indexes_are_taken_or_refused() {
    play(&index::rows());
}

#[test]
fn questions_about_pending_data_are_answered() {
    play(&pending::rows());
}

#[test]
fn chunks_are_created_closed_and_moved_to() {
    play(&chunks::rows());
    play(&rotation::rows());
}

#[test]
fn packets_are_taken_or_refused() {
    play(&packets::rows());
}

/// Plays every row with each of its minors; names those that failed.
fn play(rows: &[Row]) {
    let mut failed = Vec::new();
    for row in rows {
        for minor in row.minors {
            if catch_unwind(AssertUnwindSafe(|| row.play(*minor))).is_err() {
                failed.push(format!("2.{minor} {}", row.name));
            }
        }
    }
    assert!(failed.is_empty(), "rows that failed: {failed:#?}");
}

/// One message in one situation.
struct Row {
    name: String,
    minors: &'static [u32],
    before: Vec<Prior>,
    sent: Sent,
    reply: Vec<u8>,
    then: Then,
}

/// The state before the message.
#[derive(Clone, Copy, Debug)]
enum Prior {
    /// The relay is set up so.
    DisallowClear,
    GroupBySession,
    /// VERSION of the row's minor, or of another.
    Version,
    VersionOf(u32),
    /// CREATE_SESSION: live, not live, or a snapshot's.
    Session,
    StoredSession,
    SnapshotSession,
    /// A chunk is created. Nothing happens before 2.11, where sessions have one.
    Chunk(u64),
    CloseChunk(u64, Option<u32>),
    /// Stream 1 (metadata) and stream 2 (data) are added and published.
    Streams,
    AddStream,
    /// A packet of stream 2 and its index; its bytes alone; its index alone.
    Packet(u64),
    Bytes(u64),
    Index(u64),
    /// The header of a packet, and half of its bytes.
    Half(u64),
    /// ROTATE_STREAMS of one stream to a chunk, or to none.
    Rotate(u64, Option<u64>, u64),
    CloseStream(u64, u64),
    Begin,
    Ask(u64),
    Quiescent(u64),
    /// Another producer with another session, or with the same at its session daemon.
    Foreign,
    Sibling,
    /// A chunk 0 of another session.
    ForeignChunk,
    /// The disk fails the next operation of that kind.
    Fail(Operation),
    /// CREATE_SESSION that is refused; ADD_STREAM that is.
    Refused,
    RefusedStream,
    /// A chunk with a name of its own.
    NamedChunk(u64, &'static str),
}

use Prior::{
    AddStream, Begin, Bytes, Chunk, CloseChunk, CloseStream, DisallowClear, Fail, Foreign,
    GroupBySession, Half, Packet, Quiescent, Refused, Rotate, Session, Sibling, SnapshotSession,
    StoredSession, Streams, Version, VersionOf,
};

/// Connected, and nothing said.
const NEW: &[Prior] = &[];
const VERSION: &[Prior] = &[Version];
const SESSION: &[Prior] = &[Version, Session];
const CHUNK: &[Prior] = &[Version, Session, Chunk(0)];
const STREAMS: &[Prior] = &[Version, Session, Chunk(0), Streams];
/// Packet 0 is complete, so the data connection belongs to the session.
const BUSY: &[Prior] = &[Version, Session, Chunk(0), Streams, Packet(0)];
const STORED: &[Prior] = &[Version, StoredSession, Chunk(0), Streams, Packet(0)];

/// The message.
#[derive(Clone, Debug)]
enum Sent {
    /// A command in the layout of the row's minor, or of another.
    Command(Command<'static>),
    In(u32, Command<'static>),
    /// A command without the last bytes of its payload; with some more bytes.
    Cut(Command<'static>, usize),
    Longer(Command<'static>),
    /// A command with other bytes from an offset of its payload on.
    Patched(Command<'static>, usize, Vec<u8>),
    /// A number and a payload.
    Payload(u32, Vec<u8>),
    /// Bytes on the control connection; and its end.
    Raw(Vec<u8>),
    RawEnd(Vec<u8>),
    /// The control connection breaks.
    Reset,
    /// A packet on the data connection; a part of it; and its end.
    Packet(PacketHeader, Vec<u8>),
    Rest(Vec<u8>),
    DataEnd(Vec<u8>),
}

/// The effect on the message's connection, and on its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Both connections are open.
    Stays,
    /// It is closed, and its session is over.
    Aborts,
    /// It is closed. Its session, if it has one, is not aborted.
    Closes,
}

/// A row under construction: its reply and consequence are missing.
struct Draft {
    name: String,
    minors: &'static [u32],
    before: Vec<Prior>,
    sent: Sent,
}

fn row(name: impl Into<String>, before: &[Prior], sent: impl Into<Sent>) -> Draft {
    Draft {
        name: name.into(),
        minors: &[15],
        before: before.to_vec(),
        sent: sent.into(),
    }
}

/// All minors with which a session can be created and whose layouts differ; those
/// without and with chunks.
const ALL: &[u32] = &[4, 7, 8, 10, 11, 12, 13, 15];
const OLD: &[u32] = &[4, 7, 8, 10];
const MODERN: &[u32] = &[11, 12, 13, 15];

impl Draft {
    /// Played with each of these minors; without this with 2.15.
    fn at(self, minors: &'static [u32]) -> Self {
        Self { minors, ..self }
    }

    /// More that happened before.
    fn after(mut self, steps: &[Prior]) -> Self {
        self.before.extend_from_slice(steps);
        self
    }

    fn stays(self, reply: impl Into<Vec<u8>>) -> Row {
        self.then(Then::Stays, reply.into())
    }

    fn aborts(self, reply: impl Into<Vec<u8>>) -> Row {
        self.then(Then::Aborts, reply.into())
    }

    fn closes(self, reply: impl Into<Vec<u8>>) -> Row {
        self.then(Then::Closes, reply.into())
    }

    fn then(self, then: Then, reply: Vec<u8>) -> Row {
        Row {
            name: self.name,
            minors: self.minors,
            before: self.before,
            sent: self.sent,
            reply,
            then,
        }
    }
}

impl Row {
    fn play(&self, minor: u32) {
        let mut stage = Stage::new();
        let mut cast = Cast {
            producer: Producer {
                control: stage.network.connect(Endpoint::Control, "producer:control"),
                data: stage.network.connect(Endpoint::Data, "producer:data"),
                minor,
            },
            others: Vec::new(),
        };
        for step in &self.before {
            cast.take(&mut stage, *step);
        }
        let received = cast.send(&mut stage, &self.sent);
        assert_eq!(received, self.reply, "reply of {}", self.name);
        self.check(&stage, &cast.producer);
        for producer in cast.others.iter().chain([&cast.producer]) {
            producer.leave(&mut stage);
        }
        stage.pass(DRAIN_GRACE);
        stage.assert_empty();
    }

    fn check(&self, stage: &Stage, producer: &Producer) {
        let on_data = matches!(
            self.sent,
            Sent::Packet(..) | Sent::Rest(_) | Sent::DataEnd(_)
        );
        let open = self.then == Then::Stays;
        let control_open = !producer.control.is_closed();
        let data_open = !producer.data.is_closed();
        assert_eq!(control_open, open || on_data, "control is open");
        assert_eq!(data_open, open || !on_data, "data is open");
        let Some(session) = stage.session(1) else {
            return;
        };
        let aborts = self.then == Then::Aborts;
        assert_eq!(session.given_up, aborts, "the session is aborted");
        assert!(!aborts || session.open_streams.is_empty());
    }
}

impl From<Command<'static>> for Sent {
    fn from(command: Command<'static>) -> Self {
        Self::Command(command)
    }
}
