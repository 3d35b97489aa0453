//! A producer with one session, of which there can be many.

use crate::relay::Relay;
use baton::producer::Client;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{AddStream, CreateSession, SendIndex};
use baton_systems::client::description;
use std::time::Duration;

/// The last protocol whose sessions have no chunks: nothing to be set up.
const MINOR: u32 = 10;

const PATIENCE: Duration = Duration::from_secs(10);

/// Two connections of a producer, with one session.
pub struct Peer {
    client: Client,
    /// Where its streams go, as producers of this protocol say it.
    path: String,
}

impl Peer {
    pub fn connect(relay: &Relay, session: &str) -> Self {
        let (control, data) = (relay.address("control"), relay.address("data"));
        let mut client = Client::connect(control, data, MINOR).expect("connections");
        client.wait_at_most(PATIENCE).expect("a deadline");
        client.negotiate().expect("a version");
        let created = client.create_session(CreateSession {
            name: session.as_bytes(),
            host: b"host",
            ..CreateSession::default()
        });
        created.expect("a session");
        let path = format!("host/{session}/ust");
        Self { client, path }
    }

    /// Adds a stream; gives its handle.
    pub fn add_stream(&mut self, name: &str) -> u64 {
        let added = self.client.add_stream(AddStream {
            channel: name.as_bytes(),
            path: self.path.as_bytes(),
            ..AddStream::default()
        });
        added.expect("a stream")
    }

    /// Sends a packet with its index.
    pub fn send_packet(&mut self, stream: u64, sequence: u64, bytes: &[u8]) {
        self.send_bytes(stream, sequence, bytes);
        let index = SendIndex {
            timestamp_begin: sequence,
            timestamp_end: sequence + 1,
            instance: stream,
            ..description(stream, sequence, bytes.len())
        };
        self.client.describe(index, 1).expect("a reply");
    }

    pub fn send_bytes(&mut self, stream: u64, sequence: u64, bytes: &[u8]) {
        let header = PacketHeader {
            stream,
            sequence,
            size: bytes.len() as u32,
            padding: 0,
        };
        let sent = self.client.begin_packet(header, bytes);
        sent.expect("a packet is sent");
    }

    pub fn close_stream(&mut self, stream: u64, last_sequence: u64) {
        let closed = self.client.close_stream(stream, last_sequence);
        closed.expect("a stream is closed");
    }
}
