//! A producer that says of its packets what a case wants.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton::producer::Client;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, Command, CreateSession, CreateTraceChunk, Origin, SendIndex, SendMetadata,
};
use baton_systems::client::description;

use crate::ports::local;
use crate::relay::{PATIENCE, Place};

const MINOR: u32 = 11;
/// The number of a session's only chunk.
const CHUNK: u64 = 0;

pub const PACKET_BYTES: usize = 1024;

/// A clock that counts milliseconds.
const METADATA: &str = r#"/* CTF 1.8 */
typealias integer { size = 32; align = 8; } := uint32_t;
typealias integer { size = 64; align = 8; } := uint64_t;
trace { major = 1; minor = 8; byte_order = le;
    packet.header := struct { uint32_t magic; uint32_t stream_id; }; };
clock { name = "m"; freq = 1000; offset_s = 0; };
stream { packet.context := struct { uint64_t timestamp_begin; uint64_t timestamp_end;
    uint64_t content_size; uint64_t packet_size; }; };
"#;

/// A session with one stream of packets, `ch_0`.
#[derive(Debug)]
pub struct Producer {
    client: Client,
    stream: u64,
    packets: u64,
    /// Of the tracer's clock, relative to ours.
    pub ahead_s: i64,
    /// Events that were discarded so far.
    pub discarded: u64,
}

impl Producer {
    pub fn live(place: &Place, host: &str, session: &str) -> Self {
        Self::connect(place, host, session, 100_000)
    }

    pub fn not_live(place: &Place, host: &str, session: &str) -> Self {
        Self::connect(place, host, session, 0)
    }

    fn connect(place: &Place, host: &str, session: &str, live_timer_us: u32) -> Self {
        let (control, data) = (local(place.ports.control), local(place.ports.data));
        let mut client = Client::connect(control, data, MINOR).expect("connections");
        client.wait_at_most(PATIENCE).expect("a time-out");
        client.negotiate().expect("a version");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time");
        let created = client.create_session(CreateSession {
            name: session.as_bytes(),
            host: host.as_bytes(),
            live_timer_us,
            origin: Some(Origin {
                daemon: now.as_nanos().to_be_bytes(),
                session: 0,
                creation_time_s: now.as_secs(),
                current_chunk: None,
            }),
            ..CreateSession::default()
        });
        created.expect("a session");
        let chunk = client.ask_ok(&Command::CreateTraceChunk(CreateTraceChunk {
            chunk: CHUNK,
            creation_time_s: now.as_secs(),
            override_name: None,
        }));
        chunk.expect("a chunk");
        let [metadata, stream] = ["metadata", "ch_0"].map(|channel| {
            let added = client.add_stream(AddStream {
                channel: channel.as_bytes(),
                path: b"ust",
                chunk: Some(CHUNK),
                ..AddStream::default()
            });
            added.expect("a stream")
        });
        let sent = client.send(&Command::SendMetadata(SendMetadata {
            stream: metadata,
            padding_size: 0,
            bytes: METADATA.as_bytes(),
        }));
        sent.expect("a relay that reads");
        let published = client.ask_ok(&Command::StreamsSent);
        published.expect("streams that viewers see");
        Self {
            client,
            stream,
            packets: 0,
            ahead_s: 0,
            discarded: 0,
        }
    }

    /// Sends the description of a packet, and not the packet.
    pub fn announce(&mut self) -> u64 {
        let number = self.packets;
        self.packets += 1;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time");
        let now = i64::try_from(now.as_millis()).expect("a time");
        let end = u64::try_from(now + self.ahead_s * 1000).expect("a time");
        let index = SendIndex {
            timestamp_begin: end,
            timestamp_end: end,
            events_discarded: self.discarded,
            ..description(self.stream, number, PACKET_BYTES)
        };
        self.client.describe(index, 1).expect("a reply");
        number
    }

    /// Sends a packet with its description.
    pub fn send(&mut self) {
        let sequence = self.announce();
        let header = PacketHeader {
            stream: self.stream,
            sequence,
            size: PACKET_BYTES as u32,
            padding: 0,
        };
        let sent = self.client.begin_packet(header, &[0; PACKET_BYTES]);
        sent.expect("a relay that reads");
    }

    /// Sends packets until the thing is done.
    pub fn send_until(&mut self, mut is_done: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !is_done() {
            assert!(std::time::Instant::now() < deadline, "it is not done");
            self.send();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
