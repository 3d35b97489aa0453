//! The records that all three shapes carry: those of a relay, with nothing to name yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;

use baton_components::chunk::{Chunk, ChunkId, Location, Removal};
use baton_components::connection::{Connection, Endpoint, Role};
use baton_components::file::File;
use baton_components::hold::{self, Held, Holder};
use baton_components::index::{Half, Index};
use baton_components::keys::{
    ChunkKey, ConnectionKey, FileKey, SessionKey, StreamKey, TraceFileKey, TraceKey,
    ViewerSessionKey, ViewerStreamKey,
};
use baton_components::kinds::{EntityKey, Id};
use baton_components::path::RelativePath;
use baton_components::session::{Origin, Session};
use baton_components::shares::AddressKey;
use baton_components::stream::{Described, LastIndex, Stream, StreamKind, TraceFiles};
use baton_components::tally::{Span, StreamTally, Tally};
use baton_components::trace::Trace;
use baton_components::trace_file::{IndexFile, TraceFile};
use baton_components::viewer_session::{Attachment, ViewerSession};
use baton_components::viewer_stream::{PacketPosition, Position, Readable, ViewerStream};
use baton_components::wire::TraceFormat;
use baton_components::wire::ctf_index::Version;
use baton_components::wire::producer::SendIndex;

use super::super::family::{Kind, Member};

/// A record that a shape can make of nothing but its number, and use.
pub trait Record: Send + Sync + 'static {
    fn numbered(id: u64) -> Self;

    /// The minimum work of a message that names the record: read and change a field.
    fn touch(&mut self) {}

    /// Writes down that it has come to hold another, as our systems do.
    fn note(&mut self, _held: Member) {}

    /// Lists or counts one that holds it, and strikes it off again.
    fn enlist(&mut self, _holder: Kind) {}
    fn strike(&mut self, _holder: Kind) {}
}

/// Calls `$act` with `$record` standing for the type that belongs to a member's kind.
macro_rules! for_kind {
    ($kind:expr, $record:ident => $act:expr) => {{
        use crate::churn::family::Kind;
        match $kind {
            Kind::Connection => {
                type $record = baton_components::connection::Connection;
                $act
            }
            Kind::ViewerSession => {
                type $record = baton_components::viewer_session::ViewerSession;
                $act
            }
            Kind::ViewerStream => {
                type $record = baton_components::viewer_stream::ViewerStream;
                $act
            }
            Kind::Index => {
                type $record = baton_components::index::Index;
                $act
            }
            Kind::Stream => {
                type $record = baton_components::stream::Stream;
                $act
            }
            Kind::Trace => {
                type $record = baton_components::trace::Trace;
                $act
            }
            Kind::Session => {
                type $record = baton_components::session::Session;
                $act
            }
            Kind::Chunk => {
                type $record = baton_components::chunk::Chunk;
                $act
            }
            Kind::TraceFile => {
                type $record = baton_components::trace_file::TraceFile;
                $act
            }
            Kind::File => {
                type $record = baton_components::file::File;
                $act
            }
            Kind::Batch => unreachable!("law: a family has no batch"),
        }
    }};
}
pub(super) use for_kind;

/// A link to nothing: the other shapes keep their holds elsewhere.
fn unnamed<K: EntityKey>() -> Held<K> {
    let mut link = Link(None);
    let _ = hold::relink(&mut link, |link, links| {
        link.0 = Some(links.hold(K::default()));
    });
    link.0.expect("law: it was set")
}

struct Link<K>(Option<Held<K>>);

impl<K> Holder for Link<K> {
    fn holds(&self, _: &mut dyn FnMut(Id)) {}
}

/// Which session daemon a session is from: each from its own.
pub fn origin(session: u64) -> Origin {
    Origin {
        daemon: [7; 16],
        session,
    }
}

/// Where the streams of a session are.
pub fn trace_path() -> RelativePath {
    static PATH: LazyLock<RelativePath> = LazyLock::new(|| path("ust/uid/1000/64-bit"));
    PATH.clone()
}

/// Where a session is.
fn directory() -> RelativePath {
    static PATH: LazyLock<RelativePath> = LazyLock::new(|| path("host/churn-20261122-101632"));
    PATH.clone()
}

/// Where a file is.
fn file_path() -> RelativePath {
    static PATH: LazyLock<RelativePath> =
        LazyLock::new(|| directory().join(&path("ust/uid/1000/64-bit/channel0_0")));
    PATH.clone()
}

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text.as_bytes()).expect("law: paths of the benchmark are sound")
}

impl Record for Connection {
    fn numbered(id: u64) -> Self {
        // Three in a family: a producer's two, and a viewer's.
        let endpoint = match id % 16 {
            0 => Endpoint::Control,
            1 => Endpoint::Data,
            _ => Endpoint::Live,
        };
        Self::new(
            "127.0.0.1:40000".to_owned(),
            AddressKey::default(),
            endpoint,
        )
    }

    fn note(&mut self, _: Member) {
        match &mut self.role {
            Role::Control(control) => control.session = Some(unnamed::<SessionKey>()),
            Role::Data(data) => data.session = Some(unnamed::<SessionKey>()),
            Role::Viewer(viewer) => viewer.session = Some(unnamed::<ViewerSessionKey>()),
            Role::Status { .. } => {}
        }
    }
}

impl Record for ViewerSession {
    fn numbered(_: u64) -> Self {
        Self::default()
    }

    fn note(&mut self, held: Member) {
        let attachment = Attachment::new(unnamed::<SessionKey>(), 0);
        self.attached.insert(held.id, attachment);
    }
}

impl Record for ViewerStream {
    fn numbered(_: u64) -> Self {
        Self {
            viewer_session: ViewerSessionKey::default(),
            stream: unnamed::<StreamKey>(),
            trace: TraceKey::default(),
            address: AddressKey::default(),
            announced: true,
            position: Position::Packets(PacketPosition::default()),
        }
    }

    fn note(&mut self, _: Member) {
        if let Some(position) = self.packets_mut() {
            let file = unnamed::<FileKey>();
            position.readable = Some(Readable { file, end: 4096 });
        }
    }
}

impl Record for Index {
    fn numbered(id: u64) -> Self {
        Self {
            stream: unnamed::<StreamKey>(),
            half: Half::Description(SendIndex {
                stream: id,
                sequence: 1,
                packet_size_bits: 4096 * 8,
                content_size_bits: 4096 * 8,
                timestamp_begin: 1000,
                timestamp_end: 2000,
                events_discarded: 0,
                class: 0,
                instance: 0,
                packet_sequence: 1,
            }),
        }
    }
}

impl Record for Stream {
    fn numbered(id: u64) -> Self {
        Self {
            number: id,
            handle: id,
            viewer_id: id,
            trace: unnamed::<TraceKey>(),
            session: unnamed::<SessionKey>(),
            channel: b"channel0_0".as_slice().into(),
            kind: StreamKind::Data,
            tally: StreamTally::default(),
            chunk: None,
            files: TraceFiles::new(),
            chunk_ordinal: 0,
            awaited_files: 0,
            next_ordinal: 1,
            last_data: Some(0),
            last_index: Some(LastIndex {
                sequence: 0,
                packet_sequence: 0,
            }),
            arriving: None,
            pending: VecDeque::new(),
            described: Some(Described {
                class: 0,
                beacon: None,
                told: None,
            }),
            published: true,
            unheard: false,
            closed: false,
            checked_round: 0,
            rare: None,
        }
    }

    fn touch(&mut self) {
        self.last_data = self.last_data.map(|last| last + 1);
    }

    fn note(&mut self, _: Member) {
        self.files.push_back(unnamed::<TraceFileKey>());
    }

    fn enlist(&mut self, _: Kind) {
        let viewers = &mut self.rare_mut().viewers;
        let place = viewers.len() as u64;
        viewers.insert((place, ViewerStreamKey::default()));
    }

    fn strike(&mut self, _: Kind) {
        self.rare_mut().viewers.pop_last();
    }
}

impl Record for Trace {
    fn numbered(id: u64) -> Self {
        Self {
            id,
            session: unnamed::<SessionKey>(),
            path: trace_path(),
            waiting: None,
        }
    }
}

impl Record for Session {
    fn numbered(id: u64) -> Self {
        Self {
            id,
            name: b"churn".as_slice().into(),
            host: b"host".as_slice().into(),
            origin: Some(origin(id)),
            address: AddressKey::default(),
            control: ConnectionKey::default(),
            directory: directory(),
            rare: None,
            created_s: 0,
            minor: 15,
            trace_format: TraceFormat::Ctf1,
            live_timer_us: 1_000_000,
            snapshot: false,
            hold_back: Duration::ZERO,
            chunk: None,
            closing_chunk: None,
            rotated: false,
            open_streams: BTreeMap::new(),
            unpublished: BTreeMap::new(),
            stream_count: 0,
            pending_round: 1,
            unchecked: 0,
            gone_since: None,
            tally: Tally::default(),
            gaps: 0,
            span: Span::default(),
            given_up: false,
            drain_by: None,
            data_connections: 1,
            is_data_watched: false,
            streams_added: 0,
            writes: Box::default(),
            viewers: BTreeSet::new(),
        }
    }

    fn touch(&mut self) {
        self.pending_round += 1;
    }

    fn note(&mut self, _: Member) {
        self.chunk = Some(unnamed::<ChunkKey>());
    }

    fn enlist(&mut self, holder: Kind) {
        if holder == Kind::ViewerSession {
            self.viewers.insert(ViewerSessionKey::default());
        } else {
            self.stream_count += 1;
        }
    }

    fn strike(&mut self, holder: Kind) {
        if holder == Kind::ViewerSession {
            self.viewers.pop_last();
        } else {
            self.stream_count -= 1;
        }
    }
}

impl Record for Chunk {
    fn numbered(id: u64) -> Self {
        Self {
            id: Some(ChunkId {
                origin: origin(id),
                number: 0,
            }),
            session: directory(),
            location: Location::Session,
            begin: "20261122T101632+0000".to_owned(),
            end: None,
            moving: None,
            failed: 0,
            close: None,
            directories: BTreeSet::new(),
            files: BTreeMap::new(),
            ordinal: None,
            removal: Removal::default(),
            first: None,
        }
    }
}

impl Record for TraceFile {
    fn numbered(_: u64) -> Self {
        Self {
            stream: StreamKey::default(),
            chunk: ChunkKey::default(),
            ordinal: 0,
            data: unnamed::<FileKey>(),
            index: None,
            size: 4096,
            written: 4096,
            committed: 4096,
            failures: 0,
            waiting: None,
            awaited: 0,
            is_awaited: false,
            finished: false,
            cleared: false,
        }
    }

    fn note(&mut self, _: Member) {
        let index = IndexFile::new(unnamed::<FileKey>(), Version::V1_1);
        self.index = Some(Box::new(index));
    }
}

impl Record for File {
    fn numbered(_: u64) -> Self {
        Self { path: file_path() }
    }
}

/// All that a shape knows of a member that is not there: a law of the benchmark.
pub fn missing(member: Member) -> ! {
    let name = member.kind.name();
    panic!("law: {name} {} was made before it is named", member.id)
}
