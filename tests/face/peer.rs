//! A producer over the raw protocol, of which there can be many.

use crate::relay::Relay;
use baton_components::wire::TraceFormat;
use baton_components::wire::producer::data::PacketHeader;

use baton_components::wire::producer::{
    AddStream, CloseStream, Command, CreateSession, Minors, SendIndex, Version,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The last protocol whose sessions have no chunks: nothing to be set up.
const MINOR: u32 = 10;

/// Two connections of a producer, with one session.
pub struct Peer {
    control: TcpStream,
    data: TcpStream,
    /// Where its streams go, as producers of this protocol say it.
    path: String,
}

impl Peer {
    pub fn connect(relay: &Relay, session: &str) -> Self {
        let open = |port| {
            let stream = TcpStream::connect(relay.address(port)).expect("a connection");
            let patience = Some(Duration::from_secs(10));
            stream.set_read_timeout(patience).expect("a deadline");
            stream
        };
        let mut peer = Self {
            control: open("control"),
            data: open("data"),
            path: format!("host/{session}/ust"),
        };
        let version = Version {
            major: 2,
            minor: MINOR,
        };
        peer.command::<8>(&Command::Version(version));
        let created = peer.command::<12>(&Command::CreateSession(CreateSession {
            name: session.as_bytes(),
            host: b"host",
            base_path: b"",
            live_timer_us: 0,
            snapshot: false,
            name_holds_time: false,
            origin: None,
            trace_format: TraceFormat::Ctf1,
        }));
        assert_eq!(created[8..], OK);
        peer
    }

    /// Adds a stream; gives its handle.
    pub fn add_stream(&mut self, name: &str) -> u64 {
        let path = self.path.clone();
        let reply = self.command::<12>(&Command::AddStream(AddStream {
            channel: name.as_bytes(),
            path: path.as_bytes(),
            tracefile_size: 0,
            tracefile_count: 0,
            chunk: None,
        }));
        assert_eq!(reply[8..], OK);
        u64::from_be_bytes(*reply.first_chunk().expect("a handle"))
    }

    /// Sends a packet with its index.
    pub fn send_packet(&mut self, stream: u64, sequence: u64, bytes: &[u8]) {
        self.send_bytes(stream, sequence, bytes);
        self.send_index(stream, sequence, bytes);
    }

    pub fn send_bytes(&mut self, stream: u64, sequence: u64, bytes: &[u8]) {
        let mut message = Vec::new();
        let header = PacketHeader {
            stream,
            sequence,
            size: bytes.len() as u32,
            padding: 0,
        };
        header.encode(&mut message);
        message.extend_from_slice(bytes);
        self.data.write_all(&message).expect("a packet is sent");
    }

    fn send_index(&mut self, stream: u64, sequence: u64, bytes: &[u8]) {
        let size_bits = bytes.len() as u64 * 8;
        let reply = self.command::<4>(&Command::SendIndex(SendIndex {
            stream,
            sequence,
            packet_size_bits: size_bits,
            content_size_bits: size_bits,
            timestamp_begin: sequence,
            timestamp_end: sequence + 1,
            events_discarded: 0,
            class: 0,
            instance: stream,
            packet_sequence: sequence,
        }));
        assert_eq!(reply, OK);
    }

    pub fn close_stream(&mut self, stream: u64, last_sequence: u64) {
        let reply = self.command::<4>(&Command::CloseStream(CloseStream {
            stream,
            last_sequence,
        }));
        assert_eq!(reply, OK);
    }

    fn command<const REPLY: usize>(&mut self, command: &Command<'_>) -> [u8; REPLY] {
        let mut message = Vec::new();
        command.encode(Minors::both(MINOR), &mut message);
        self.control.write_all(&message).expect("a command is sent");
        let mut reply = [0; REPLY];
        self.control.read_exact(&mut reply).expect("a reply");
        reply
    }
}

const OK: [u8; 4] = 10_u32.to_be_bytes();
