//! Helpers of viewers' scenarios: replies in words, and an initial scene.
//!
//! A reply is decoded, found to be whole and nothing more, and told in a few words, so
//! that a scenario reads like the table that it comes from. Packet `n` of
//! [`crate::stage::index`] is told as `OK n at OFFSET`, a beacon as `INACTIVE TIME`.

mod scene;

use std::fmt::Write as _;

use baton_components::connection::Endpoint;
use baton_components::wire::TraceFormat;
use baton_components::wire::viewer::reply::{self, IndexReply, Reply};
use baton_components::wire::viewer::{
    AttachStatus, MetadataStatus, NEW_METADATA, NEW_STREAM, NewStreamsStatus, NextIndexStatus,
    PacketStatus, Request, RequestKind, SEEK_BEGINNING, SEEK_LAST, SessionEntry, StreamEntry,
};
use baton_systems::client;

pub use baton_systems::client::connect;
pub use scene::Scene;

use crate::stage::{self, CLASS, PACKET_BYTES, Stage, Viewer};

/// The first session, and the first streams, of a relay.
pub const SESSION: u64 = 1;
pub const METADATA: u64 = 1;
pub const DATA: u64 = 2;
/// A handle, and a session, that no test gets as far as.
pub const UNKNOWN: u64 = 99;

/// Close commands of chunks.
pub const ARCHIVE: Option<u32> = Some(0);
pub const DELETE: Option<u32> = Some(2);

pub const NEXT_INDEX: Request = Request::NextIndex { stream: DATA };
pub const GET_METADATA: Request = Request::Metadata { stream: METADATA };
pub const NEW_STREAMS: Request = Request::NewStreams { session: SESSION };
pub const DETACH: Request = Request::Detach { session: SESSION };
pub const ATTACH: Request = Request::Attach {
    session: SESSION,
    seek: SEEK_BEGINNING,
};
pub const ATTACH_LAST: Request = Request::Attach {
    session: SESSION,
    seek: SEEK_LAST,
};
/// The first packet of a file.
pub const PACKET: Request = Request::Packet {
    stream: DATA,
    offset: 0,
    length: PACKET_BYTES as u32,
};

/// Bytes that are not the same everywhere.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 7 % 251) as u8).collect()
}

/// The request for a packet of that size, which is the first.
pub fn whole(size: usize) -> Request {
    Request::Packet {
        stream: DATA,
        offset: 0,
        length: size as u32,
    }
}

impl Viewer {
    /// Opens a connection, and says nothing on it.
    pub fn dial(stage: &mut Stage, minor: u32) -> Self {
        let peer = stage.network.connect(Endpoint::Live, "viewer");
        stage.settle();
        Self { peer, minor }
    }

    /// Sends a request, and tells what comes back: `closed` if the connection was
    /// closed and nothing came.
    pub fn hear(&self, stage: &mut Stage, request: Request) -> String {
        let bytes = self.ask(stage, request);
        if bytes.is_empty() && self.peer.is_closed() {
            return "closed".to_owned();
        }
        let (words, size) = tell(request.kind(), self.minor, &bytes);
        assert_eq!(size, bytes.len(), "{words}, and more");
        words
    }

    /// Sends requests in one write, and tells all that comes back.
    pub fn hear_all(&self, stage: &mut Stage, requests: &[Request]) -> String {
        self.write_all(requests);
        stage.settle();
        tell_all(requests, self.minor, &self.peer.take_received())
    }

    pub fn write_all(&self, requests: &[Request]) {
        let bytes = requests.iter().flat_map(|it| client::request(*it));
        self.peer.write(&bytes.collect::<Vec<u8>>());
    }

    pub fn index(&self, stage: &mut Stage, stream: u64) -> String {
        self.hear(stage, Request::NextIndex { stream })
    }

    pub fn metadata(&self, stage: &mut Stage, stream: u64) -> String {
        self.hear(stage, Request::Metadata { stream })
    }

    /// Bytes of a packet; none if they are refused.
    pub fn packet(
        &self,
        stage: &mut Stage,
        stream: u64,
        offset: u64,
        length: u32,
    ) -> Option<Vec<u8>> {
        let request = Request::Packet {
            stream,
            offset,
            length,
        };
        let bytes = self.ask(stage, request);
        let (words, _) = tell(RequestKind::Packet, self.minor, &bytes);
        (words != "ERR").then(|| bytes[12..].to_vec())
    }

    /// The streams in the reply to a request for streams.
    pub fn entries(&self, stage: &mut Stage, request: Request) -> Vec<Entry> {
        let bytes = self.ask(stage, request);
        match reply::decode(request.kind(), self.minor, &bytes).unwrap() {
            Some((Reply::Attach(_, streams) | Reply::NewStreams(_, streams), _)) => {
                streams.iter().map(Entry::new).collect()
            }
            other => panic!("{request:?}: {other:?}"),
        }
    }
}

/// An announced stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub stream: u64,
    pub trace: u64,
    pub metadata: bool,
    pub path: String,
    pub channel: String,
}

impl Entry {
    fn new(entry: &StreamEntry) -> Self {
        Self {
            stream: entry.stream,
            trace: entry.trace,
            metadata: entry.metadata,
            path: String::from_utf8(entry.path.to_vec()).unwrap(),
            channel: String::from_utf8(entry.channel.to_vec()).unwrap(),
        }
    }
}

/// Tells the replies to all these requests, of which nothing may be left.
pub fn tell_all(requests: &[Request], minor: u32, mut bytes: &[u8]) -> String {
    let mut told = Vec::new();
    for request in requests {
        let (words, size) = tell(request.kind(), minor, bytes);
        told.push(words);
        bytes = &bytes[size..];
    }
    assert_eq!(bytes, [], "{told:?}, and more");
    told.join(", ")
}

/// Tells the reply at the start of `bytes`, and how many of them it takes.
pub fn tell(kind: RequestKind, minor: u32, bytes: &[u8]) -> (String, usize) {
    let decoded = reply::decode(kind, minor, bytes).unwrap();
    let (reply, size) = decoded.unwrap_or_else(|| panic!("{kind:?} is cut: {bytes:?}"));
    let words = match reply {
        Reply::Connect(reply) => {
            format!(
                "{}.{} number {}",
                reply.major, reply.minor, reply.viewer_session
            )
        }
        Reply::ListSessions(sessions) => {
            let sessions: Vec<String> = sessions.iter().map(session_words).collect();
            format!("[{}]", sessions.join(", "))
        }
        Reply::Attach(AttachStatus::Ok, streams)
        | Reply::NewStreams(NewStreamsStatus::Ok, streams) => {
            let streams: Vec<u64> = streams.iter().map(|entry| entry.stream).collect();
            format!("OK {streams:?}")
        }
        Reply::Attach(status, _) => status.name().to_owned(),
        Reply::NewStreams(status, _) => status.name().to_owned(),
        Reply::NextIndex(index) => index_words(&index),
        Reply::Packet(reply, bytes) => {
            assert_eq!((reply.flags, reply.length as usize), (0, bytes.len()));
            match reply.status {
                PacketStatus::Ok => format!("OK {} bytes", bytes.len()),
                status => status.name().to_owned(),
            }
        }
        Reply::Metadata(reply, bytes) => {
            assert_eq!(reply.length as usize, bytes.len());
            match reply.status {
                MetadataStatus::Ok if bytes.len() > 100 => format!("OK {} bytes", bytes.len()),
                MetadataStatus::Ok => format!("OK {}", String::from_utf8_lossy(bytes)),
                status => status.name().to_owned(),
            }
        }
        Reply::CreateSession(status) => status.name().to_owned(),
        Reply::Detach(status) => status.name().to_owned(),
    };
    (words, size)
}

fn session_words(entry: &SessionEntry) -> String {
    let name = String::from_utf8_lossy(entry.name);
    let host = String::from_utf8_lossy(entry.host);
    let mut words = format!(
        "{}: {host}/{name} clients {} streams {}",
        entry.session, entry.clients, entry.streams
    );
    if entry.live_timer_us != stage::session("").live_timer_us {
        let _ = write!(words, " timer {}", entry.live_timer_us);
    }
    if entry.trace_format == TraceFormat::Ctf2 {
        words.push_str(" CTF 2");
    }
    words
}

fn index_words(index: &IndexReply) -> String {
    let mut words = match index.status {
        NextIndexStatus::Ok => {
            let number = index.timestamp_begin / 1000;
            assert_eq!(index.timestamp_begin, number * 1000 + 100, "{index:?}");
            assert_eq!(index.timestamp_end, number * 1000 + 900, "{index:?}");
            assert_eq!(index.packet_size_bits, index.content_size_bits, "{index:?}");
            let mut words = format!("OK {number} at {}", index.offset_bytes);
            if index.packet_size_bits != PACKET_BYTES as u64 * 8 {
                let _ = write!(words, " size {}", index.packet_size_bits / 8);
            }
            words
        }
        NextIndexStatus::Inactive => {
            let expected = IndexReply::inactive(index.timestamp_end, index.class, index.flags);
            assert_eq!(*index, expected);
            format!("INACTIVE {}", index.timestamp_end)
        }
        status => {
            assert_eq!(*index, IndexReply::without_index(status, index.flags));
            status.name().to_owned()
        }
    };
    if ![0, CLASS].contains(&index.class) {
        let _ = write!(words, " class {}", index.class);
    }
    for (flag, name) in [(NEW_METADATA, "NEW_METADATA"), (NEW_STREAM, "NEW_STREAM")] {
        if index.flags & flag != 0 {
            let _ = write!(words, " {name}");
        }
    }
    assert_eq!(index.flags & !(NEW_METADATA | NEW_STREAM), 0);
    words
}
