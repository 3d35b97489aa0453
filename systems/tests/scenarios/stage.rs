//! The peers of scenarios, on a [`Stage`]: a message is sent, and all that comes of it is done
//! when the call returns.

use baton_components::connection::Endpoint;
use baton_components::wire::producer::reply;
use baton_components::wire::producer::{
    self, Command, NONE, Origin, RotatePosition, SendIndex, code,
};
use baton_components::wire::viewer::Request;
use baton_systems::client;
use baton_systems::memory::Peer;

pub use baton_systems::memory::{STARTED_S as CREATED_S, Stage};

/// A producer: a control connection, and a data connection once it sends packets.
pub struct Producer {
    pub control: Peer,
    pub data: Peer,
    pub minor: u32,
}

impl Producer {
    /// Connects, and settles the version.
    pub fn connect(stage: &mut Stage, minor: u32) -> Self {
        Self::connect_from(stage, "producer", minor)
    }

    /// The same, from that address.
    pub fn connect_from(stage: &mut Stage, address: &str, minor: u32) -> Self {
        let connect = |endpoint: Endpoint| {
            let peer = format!("{address}:{}", endpoint.name());
            stage.network.connect(endpoint, &peer)
        };
        let producer = Self {
            control: connect(Endpoint::Control),
            data: connect(Endpoint::Data),
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

    /// Connects, and creates the live session of that number and its chunk 0.
    pub fn numbered(stage: &mut Stage, number: u64) -> Self {
        let name = format!("session-{number}");
        let mut session = session(&name);
        session.origin = session.origin.map(|origin| Origin {
            session: number,
            ..origin
        });
        let producer = Self::create(stage, 15, session);
        producer.expect_ok(stage, &create_chunk(0));
        producer
    }

    /// Connects, and creates that session.
    pub fn create(stage: &mut Stage, minor: u32, session: producer::CreateSession) -> Self {
        let producer = Self::connect(stage, minor);
        producer.make(stage, &Command::CreateSession(session));
        producer
    }

    /// Sends a command, and gives all that comes back.
    pub fn ask(&self, stage: &mut Stage, command: &Command) -> Vec<u8> {
        self.send(stage, &client::command(self.minor, command))
    }

    /// Sends bytes on the control connection, and gives all that comes back.
    pub fn send(&self, stage: &mut Stage, bytes: &[u8]) -> Vec<u8> {
        stage.ask(&self.control, bytes)
    }

    /// Sends a command that makes something, and gives its number or handle.
    pub fn make(&self, stage: &mut Stage, command: &Command) -> u64 {
        let made = self.try_make(stage, command);
        made.unwrap_or_else(|| panic!("{command:?} is refused"))
    }

    /// The same; none if it is refused.
    pub fn try_make(&self, stage: &mut Stage, command: &Command) -> Option<u64> {
        let bytes = self.ask(stage, command);
        let (reply, _) = reply::decode(command.kind(), self.minor, &bytes).unwrap()?;
        reply.made()
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
        self.make(stage, &add_stream(path, channel))
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
        assert!(self.ask(stage, &Command::SendMetadata(command)).is_empty());
    }

    /// Sends the bytes of a packet.
    pub fn send_packet(&self, stage: &mut Stage, stream: u64, sequence: u64, payload: &[u8]) {
        self.data.write(&client::packet(stream, sequence, payload));
        stage.settle();
    }

    /// Sends a packet and its index, both [`payload`] and [`index`] of that number.
    pub fn send_whole_packet(&self, stage: &mut Stage, stream: u64, sequence: u64) {
        self.send_packet(stage, stream, sequence, &payload(stream, sequence));
        self.send_index(stage, stream, sequence);
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
        Self::connect_from(stage, "viewer", minor)
    }

    /// As [`Viewer::connect`], from that address.
    pub fn connect_from(stage: &mut Stage, address: &str, minor: u32) -> Self {
        let peer = stage.network.connect(Endpoint::Live, address);
        let viewer = Self { peer, minor };
        assert_eq!(viewer.ask(stage, client::connect(minor)).len(), 20);
        assert_eq!(viewer.ask(stage, Request::CreateSession), [0, 0, 0, 1]);
        viewer
    }

    /// Sends a request, and gives all that comes back.
    pub fn ask(&self, stage: &mut Stage, request: Request) -> Vec<u8> {
        stage.ask(&self.peer, &client::request(request))
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
        live_timer_us: 200_000,
        origin: Some(Origin {
            daemon: [7; 16],
            creation_time_s: CREATED_S,
            ..Origin::default()
        }),
        ..producer::CreateSession::default()
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
        chunk: Some(0),
        ..producer::AddStream::default()
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
    client::packet(stream, sequence, &payload(stream, sequence))
}

/// The description of [`payload`]: packet `n` lasts from 1000n+100 to 1000n+900.
pub fn index(stream: u64, sequence: u64) -> SendIndex {
    SendIndex {
        timestamp_begin: sequence * 1000 + 100,
        timestamp_end: sequence * 1000 + 900,
        class: CLASS,
        ..client::description(stream, sequence, PACKET_BYTES)
    }
}

/// A live beacon: nothing happens in the stream before that time.
pub fn beacon(stream: u64, timestamp_end: u64) -> Command<'static> {
    Command::SendIndex(SendIndex {
        stream,
        timestamp_end,
        class: CLASS,
        ..SendIndex::default()
    })
}

/// The directory of `session("session")`.
pub const DIRECTORY: &str = "host/session-20261122-064435";
/// CTF stream class of every data stream here.
pub const CLASS: u64 = 3;
pub const PACKET_BYTES: usize = 64;
