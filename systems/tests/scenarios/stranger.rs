//! A stranger: a producer that names a place of somebody else, and does there whatever a
//! producer can do.

use baton_components::wire::producer::{
    AddStream, Command, CreateSession, CreateTraceChunk, Origin, ResetMetadata,
};

use crate::stage::{self, CREATED_S, Producer, Stage};

/// The kind of a stranger.
#[derive(Clone, Copy, Debug)]
pub enum Stranger {
    New,
    Snapshot(Option<&'static str>),
    /// Its streams have that path below the place that it names.
    Old(&'static str),
}

pub const STRANGERS: [Stranger; 6] = [
    Stranger::New,
    Stranger::Snapshot(None),
    Stranger::Snapshot(Some("snap")),
    Stranger::Snapshot(Some("ust")),
    Stranger::Old("ust/uid/0"),
    Stranger::Old("."),
];

impl Stranger {
    /// Does all the harm that it can at that place.
    pub fn attack(self, stage: &mut Stage, place: &str, close: Option<u32>) {
        let producer = self.arrive(stage, place);
        let path = match self {
            Self::Old(path) => format!("host/{place}/{path}"),
            _ => "ust/uid/0".to_owned(),
        };
        for (channel, count) in [("metadata", 0), ("chan_0", 0), ("chan", 1)] {
            let stream = Command::AddStream(AddStream {
                channel: channel.as_bytes(),
                path: path.as_bytes(),
                tracefile_size: 64 * count,
                tracefile_count: count,
                chunk: Some(0),
            });
            match producer.try_make(stage, &stream) {
                Some(stream) => spoil(stage, &producer, channel, stream),
                None => assert!(matches!(self, Self::Old(_)), "{self:?} at {place}"),
            }
        }
        if !matches!(self, Self::Old(_)) {
            producer.ask(stage, &stage::close_chunk(0, close));
        }
        producer.leave(stage);
    }

    /// Its session, and the chunk if it knows chunks.
    fn arrive(self, stage: &mut Stage, place: &str) -> Producer {
        let (minor, snapshot) = match self {
            Self::New => (15, false),
            Self::Snapshot(_) => (15, true),
            Self::Old(_) => (8, false),
        };
        let command = stage::session("stranger");
        let session = CreateSession {
            base_path: place.as_bytes(),
            live_timer_us: 0,
            snapshot,
            origin: command.origin.map(|origin| Origin {
                daemon: [9; 16],
                ..origin
            }),
            ..command
        };
        let producer = Producer::create(stage, minor, session);
        match self {
            Self::Snapshot(Some(name)) => producer.expect_ok(stage, &named_chunk(0, name)),
            Self::New | Self::Snapshot(None) => {
                producer.expect_ok(stage, &stage::create_chunk(0));
            }
            Self::Old(_) => {}
        }
        producer
    }
}

/// Writes garbage, and has metadata deleted.
fn spoil(stage: &mut Stage, producer: &Producer, channel: &str, stream: u64) {
    if channel == "metadata" {
        producer.send_metadata(stage, stream, b"garbage");
        let reset = ResetMetadata { stream, version: 1 };
        producer.ask(stage, &Command::ResetMetadata(reset));
    } else {
        for sequence in 0..2 {
            producer.send_packet(stage, stream, sequence, b"garbage");
        }
    }
}

/// A chunk whose directory has that name.
pub fn named_chunk(chunk: u64, name: &str) -> Command<'_> {
    Command::CreateTraceChunk(CreateTraceChunk {
        chunk,
        creation_time_s: CREATED_S + chunk,
        override_name: Some(name.as_bytes()),
    })
}
