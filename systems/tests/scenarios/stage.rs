//! The stage: a relay on ports in memory, watched at every tick; and its peers.

use std::time::Duration;

use baton_components::chunk::Chunk;
use baton_components::connection::Port;
use baton_components::path::RelativePath;
use baton_components::session::Session;
use baton_components::stream::Stream;
use baton_components::wire::ctf_index::{IndexRecord, Version};
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    self, Command, Minors, NONE, RotatePosition, SendIndex, code,
};
use baton_components::wire::viewer::{self, Request};
use baton_components::wire::{TraceFormat, producer::Origin};
use baton_systems::audit::Audit;
use baton_systems::entities::Entities;
use baton_systems::memory::{self, MemoryChance, MemoryClock, MemoryNetwork, MemoryStorage, Peer};
use baton_systems::settings::Settings;
use baton_systems::tick::Relay;

pub struct Stage {
    pub network: MemoryNetwork,
    pub storage: MemoryStorage,
    pub clock: MemoryClock,
    pub chance: MemoryChance,
    pub relay: Relay,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self::on(MemoryStorage::new(), settings)
    }

    /// A relay on that disk.
    pub fn on(storage: MemoryStorage, settings: Settings) -> Self {
        let network = MemoryNetwork::new();
        let clock = MemoryClock::new(CREATED_S);
        let chance = MemoryChance::default();
        let relay = Relay::new(
            network.port(),
            storage.port(),
            clock.port(),
            chance.port(),
            settings,
            true,
        );
        Self {
            network,
            storage,
            clock,
            chance,
            relay,
        }
    }

    pub fn tick(&mut self) {
        self.relay.tick();
        let breaches = &self.relay.world.resource::<Audit>().breaches;
        assert!(breaches.is_empty(), "the law is broken: {breaches:#?}");
    }

    /// Ticks until nothing is left to do, not even records to be written.
    pub fn settle(&mut self) {
        let (network, clock) = (self.network.clone(), self.clock.clone());
        memory::settle(&network, &clock, TICKS_MAX, || self.tick());
    }

    /// What the arenas hold, one line a kind.
    pub fn remains(&mut self) -> Vec<String> {
        self.settle();
        self.relay.remains()
    }

    /// Everybody has gone: nothing may be left of them but files on disk.
    pub fn assert_empty(&mut self) {
        let remains = self.remains();
        assert!(remains.is_empty(), "{remains:#?}");
        assert_eq!(self.storage.open_files(), 0, "files are open");
    }

    /// The names on disk, one line each, directories with a `/` at the end.
    pub fn tree(&self) -> Vec<String> {
        let line = |(path, content): (RelativePath, Option<Vec<u8>>)| match content {
            Some(_) => path.to_string(),
            None => format!("{path}/"),
        };
        self.storage.tree().into_iter().map(line).collect()
    }

    /// Lets time pass, and does what comes of it.
    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.settle();
    }

    /// What the arenas hold, in one line.
    pub fn census(&mut self) -> String {
        self.remains().join(", ").replace(" are left", "")
    }

    pub fn entities(&self) -> &Entities {
        self.relay.world.resource()
    }

    /// The session of that number, while it is there.
    pub fn session(&self, id: u64) -> Option<&Session> {
        let mut sessions = self.entities().sessions.iter();
        sessions.find_map(|(_, session)| (session.id == id).then_some(session))
    }

    /// The stream of that handle, closed or not, while it is there.
    pub fn stream(&self, handle: u64) -> Option<&Stream> {
        let mut streams = self.entities().streams.iter();
        streams.find_map(|(_, stream)| (stream.handle == handle).then_some(stream))
    }

    /// How many hold the chunk of that number; 0 if it is gone.
    pub fn chunk_holders(&self, number: u64) -> u32 {
        let chunks = &self.entities().chunks;
        let is_it = |chunk: &Chunk| chunk.id.is_some_and(|id| id.number == number);
        let found = chunks.iter().find(|(_, chunk)| is_it(chunk));
        found.map_or(0, |(key, _)| chunks.holders(key))
    }

    /// The records of an index file on disk.
    pub fn index_records(&self, path: &str) -> Vec<IndexRecord> {
        let bytes = self.file(path);
        let version = Version::from_header(&bytes).unwrap();
        let records = bytes[version.header().len()..].chunks(version.record_size());
        records
            .map(|record| IndexRecord::decode(version, record).unwrap())
            .collect()
    }

    /// The bytes of a file on disk.
    pub fn file(&self, path: &str) -> Vec<u8> {
        let path = RelativePath::parse(path.as_bytes()).unwrap();
        let file = self.storage.file(&path);
        file.unwrap_or_else(|| panic!("{path} is not in {:#?}", self.tree()))
    }
}

/// A producer: a control connection, and a data connection once it sends packets.
pub struct Producer {
    pub control: Peer,
    pub data: Peer,
    pub minor: u32,
}

impl Producer {
    /// Connects, and settles the version.
    pub fn connect(stage: &mut Stage, minor: u32) -> Self {
        let control = stage.network.connect(Port::Control, "producer:control");
        let data = stage.network.connect(Port::Data, "producer:data");
        let producer = Self {
            control,
            data,
            minor,
        };
        let version = Command::Version(producer::Version { major: 2, minor });
        assert_eq!(producer.ask(stage, &version).len(), 8);
        producer
    }

    /// Connects, creates a live session and its chunk 0.
    pub fn with_session(stage: &mut Stage, minor: u32) -> Self {
        let producer = Self::create(stage, minor, session("session"));
        producer.expect_ok(stage, &create_chunk(0));
        producer
    }

    /// Connects, and creates that session.
    pub fn create(stage: &mut Stage, minor: u32, session: producer::CreateSession) -> Self {
        let producer = Self::connect(stage, minor);
        let created = producer.ask(stage, &Command::CreateSession(session));
        assert_eq!(created[8..12], code::OK.to_be_bytes(), "{created:?}");
        producer
    }

    /// Sends a command, and gives all that comes back.
    pub fn ask(&self, stage: &mut Stage, command: &Command) -> Vec<u8> {
        let mut bytes = Vec::new();
        command.encode(Minors::both(self.minor), &mut bytes);
        self.send(stage, &bytes)
    }

    /// Sends bytes on the control connection, and gives all that comes back.
    pub fn send(&self, stage: &mut Stage, bytes: &[u8]) -> Vec<u8> {
        self.control.write(bytes);
        stage.settle();
        self.control.take_received()
    }

    /// Sends a command whose reply is a code.
    pub fn code(&self, stage: &mut Stage, command: &Command) -> u32 {
        let reply = self.ask(stage, command);
        let reply = reply
            .try_into()
            .unwrap_or_else(|reply| panic!("{command:?}: {reply:?}"));
        u32::from_be_bytes(reply)
    }

    pub fn expect_ok(&self, stage: &mut Stage, command: &Command) {
        assert_eq!(self.code(stage, command), code::OK, "{command:?}");
    }

    /// Adds a stream, and gives its handle.
    pub fn add_stream(&self, stage: &mut Stage, path: &str, channel: &str) -> u64 {
        let reply = self.ask(stage, &add_stream(path, channel));
        assert_eq!(reply[8..], code::OK.to_be_bytes(), "{reply:?}");
        u64::from_be_bytes(*reply.first_chunk().unwrap())
    }

    /// Adds a metadata stream and a data stream to a trace, and publishes them.
    pub fn add_trace(&self, stage: &mut Stage, path: &str) -> (u64, u64) {
        let metadata = self.add_stream(stage, path, "metadata");
        let data = self.add_stream(stage, path, "chan_0");
        self.expect_ok(stage, &Command::StreamsSent);
        (metadata, data)
    }

    pub fn send_metadata(&self, stage: &mut Stage, stream: u64, bytes: &[u8]) {
        let command = producer::SendMetadata {
            stream,
            padding_size: 0,
            bytes,
        };
        assert_eq!(self.ask(stage, &Command::SendMetadata(command)), []);
    }

    /// Sends the bytes of a packet.
    pub fn send_packet(&self, stage: &mut Stage, stream: u64, sequence: u64, payload: &[u8]) {
        let header = PacketHeader {
            stream,
            sequence,
            size: payload.len() as u32,
            padding: 0,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes.extend_from_slice(payload);
        self.data.write(&bytes);
        stage.settle();
    }

    /// Sends a packet and its index, both [`payload`] and [`index`] of that number.
    pub fn send_whole_packet(&self, stage: &mut Stage, stream: u64, sequence: u64) {
        self.send_packet(stage, stream, sequence, &payload(stream, sequence));
        self.expect_ok(stage, &Command::SendIndex(index(stream, sequence)));
    }

    /// Sends the description of a packet: [`index`] of that number.
    pub fn send_index(&self, stage: &mut Stage, stream: u64, sequence: u64) {
        self.expect_ok(stage, &Command::SendIndex(index(stream, sequence)));
    }

    /// Closes a chunk, and gives the path in the reply.
    pub fn close_chunk(&self, stage: &mut Stage, number: u64, command: Option<u32>) -> String {
        let reply = self.ask(stage, &close_chunk(number, command));
        assert_eq!(reply[..4], code::OK.to_be_bytes(), "{reply:?}");
        let path = reply[8..].strip_suffix(b"\0").unwrap();
        String::from_utf8(path.to_vec()).unwrap()
    }

    pub fn chunk_exists(&self, stage: &mut Stage, chunk: u64) -> bool {
        let question = producer::TraceChunkExists { chunk };
        let reply = self.ask(stage, &Command::TraceChunkExists(question));
        assert_eq!(reply[..4], code::OK.to_be_bytes(), "{reply:?}");
        reply[4..] == [1]
    }

    pub fn close_stream(&self, stage: &mut Stage, stream: u64, last_sequence: Option<u64>) {
        let command = producer::CloseStream {
            stream,
            last_sequence: last_sequence.unwrap_or(NONE),
        };
        self.expect_ok(stage, &Command::CloseStream(command));
    }

    /// Ends both connections in order, control first.
    pub fn leave(&self, stage: &mut Stage) {
        self.control.finish();
        stage.settle();
        self.data.finish();
        stage.settle();
    }
}

/// A viewer: a live connection.
pub struct Viewer {
    pub peer: Peer,
    pub minor: u32,
}

impl Viewer {
    /// Connects, and makes a viewer session.
    pub fn connect(stage: &mut Stage, minor: u32) -> Self {
        let peer = stage.network.connect(Port::Live, "viewer");
        let viewer = Self { peer, minor };
        let connect = Request::Connect {
            major: viewer::MAJOR,
            minor,
            kind: viewer::KIND_COMMAND,
        };
        assert_eq!(viewer.ask(stage, connect).len(), 20);
        assert_eq!(viewer.ask(stage, Request::CreateSession), [0, 0, 0, 1]);
        viewer
    }

    /// Sends a request, and gives all that comes back.
    pub fn ask(&self, stage: &mut Stage, request: Request) -> Vec<u8> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.peer.write(&bytes);
        stage.settle();
        self.peer.take_received()
    }

    /// Ends the connection in order.
    pub fn leave(&self, stage: &mut Stage) {
        self.peer.finish();
        stage.settle();
    }
}

/// A live session of that name, of the same session daemon as every other here.
pub fn session(name: &str) -> producer::CreateSession<'_> {
    producer::CreateSession {
        name: name.as_bytes(),
        host: b"host",
        base_path: b"",
        live_timer_us: 200_000,
        snapshot: false,
        name_holds_time: false,
        origin: Some(Origin {
            daemon: [7; 16],
            session: 0,
            creation_time_s: CREATED_S,
            current_chunk: None,
        }),
        trace_format: TraceFormat::Ctf1,
    }
}

pub fn create_chunk(number: u64) -> Command<'static> {
    Command::CreateTraceChunk(producer::CreateTraceChunk {
        chunk: number,
        creation_time_s: CREATED_S + number,
        override_name: None,
    })
}

/// Closes a chunk, 60 s after it was created. Command 0 archives it, 2 deletes it.
pub fn close_chunk(number: u64, command: Option<u32>) -> Command<'static> {
    Command::CloseTraceChunk(producer::CloseTraceChunk {
        chunk: number,
        close_time_s: CREATED_S + number + 60,
        command,
    })
}

/// Moves streams to a chunk, or to none, each at a packet of its tracer's count.
pub fn rotate(new_chunk: Option<u64>, positions: &[(u64, u64)]) -> Command<'static> {
    let position = |&(stream, position): &(u64, u64)| RotatePosition { stream, position };
    Command::RotateStreams(producer::RotateStreams {
        new_chunk,
        positions: positions.iter().map(position).collect(),
    })
}

pub fn add_stream<'a>(path: &'a str, channel: &'a str) -> Command<'a> {
    Command::AddStream(producer::AddStream {
        channel: channel.as_bytes(),
        path: path.as_bytes(),
        tracefile_size: 0,
        tracefile_count: 0,
        chunk: Some(0),
    })
}

/// 64 bytes that tell which packet they are of.
pub fn payload(stream: u64, sequence: u64) -> Vec<u8> {
    let mut bytes = [stream.to_be_bytes(), sequence.to_be_bytes()].concat();
    bytes.resize(PACKET_BYTES, 0x55);
    bytes
}

/// A packet with its header, as a data connection brings it.
pub fn packet_bytes(stream: u64, sequence: u64) -> Vec<u8> {
    let header = PacketHeader {
        stream,
        sequence,
        size: PACKET_BYTES as u32,
        padding: 0,
    };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    bytes.extend_from_slice(&payload(stream, sequence));
    bytes
}

/// The description of [`payload`]: packet `n` lasts from 1000n+100 to 1000n+900.
pub fn index(stream: u64, sequence: u64) -> SendIndex {
    SendIndex {
        stream,
        sequence,
        packet_size_bits: PACKET_BYTES as u64 * 8,
        content_size_bits: PACKET_BYTES as u64 * 8,
        timestamp_begin: sequence * 1000 + 100,
        timestamp_end: sequence * 1000 + 900,
        events_discarded: 0,
        class: CLASS,
        instance: 0,
        packet_sequence: sequence,
    }
}

/// A live beacon: nothing happens in the stream before that time.
pub fn beacon(stream: u64, timestamp_end: u64) -> Command<'static> {
    Command::SendIndex(SendIndex {
        packet_size_bits: 0,
        content_size_bits: 0,
        timestamp_begin: 0,
        timestamp_end,
        packet_sequence: 0,
        ..index(stream, 0)
    })
}

/// When every session here was created: 2026-11-22 06:44:35 UTC, the clock's too.
pub const CREATED_S: u64 = 1_795_329_875;
/// The directory of `session("session")`.
pub const DIRECTORY: &str = "host/session-20261122-064435";
/// CTF stream class of every data stream here.
pub const CLASS: u64 = 3;
pub const PACKET_BYTES: usize = 64;

const TICKS_MAX: usize = 10_000;
