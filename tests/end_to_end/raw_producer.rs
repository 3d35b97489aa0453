//! A producer of our own, which can stop in the middle of a packet.
//!
//! It speaks version 2.10: that has index records as they are today, and needs
//! no chunks.

use crate::application::{Run, Workload};
use crate::events::payload;
use crate::relay::Relay;
use crate::sandbox;
use baton::producer::Client;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{AddStream, Command, CreateSession, SendMetadata};
use baton_systems::client::description;
use std::ops::Range;
use std::time::Duration;

const MINOR: u32 = 10;

/// How long a relay may take for a reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Descriptions whose replies a flood does not wait for.
const WINDOW: usize = 8;

/// Of one thread, in one stream.
const WORKLOAD: Workload = Workload {
    threads: 1,
    events_per_thread: 300,
    sleep_us: 0,
    payload_length: 40,
};

/// The process that all events name.
const PID: u32 = 4_711;

/// The metadata of the packets, in its simplest form.
const METADATA: &str = r#"/* CTF 1.8 */
typealias integer { size = 32; align = 8; signed = false; } := u32;
typealias integer { size = 64; align = 8; signed = false; } := u64;
trace {
    major = 1; minor = 8; byte_order = be;
    packet.header := struct { u32 magic; u32 stream_id; };
};
stream {
    id = 0;
    packet.context := struct { u64 content_size; u64 packet_size; };
    event.header := struct { u32 id; };
    event.context := struct { u32 vpid; };
};
event {
    name = "baton:tick"; id = 0; stream_id = 0;
    fields := struct { u32 thread; u64 seq; string payload; };
};
"#;

/// A session with one trace, which has one stream of packets.
#[derive(Debug)]
pub struct RawProducer {
    client: Client,
    stream: u64,
    packets: u64,
}

impl RawProducer {
    /// Creates a live session, and sends the metadata of its trace.
    pub fn connect(relay: &Relay, session: &str) -> Self {
        let (control, data) = (relay.control_address(), relay.data_address());
        let mut client = Client::connect(control, data, MINOR).expect("connections");
        client.wait_at_most(PATIENCE).expect("a time-out");
        client.negotiate().expect("a version");
        let host = sandbox::host();
        let created = client.create_session(CreateSession {
            name: session.as_bytes(),
            host: host.as_bytes(),
            live_timer_us: 100_000,
            ..CreateSession::default()
        });
        created.expect("a session");
        // The first two directories are where a relay looks for host and session.
        let path = format!("/{host}/{session}-20261122-063549/ust");
        let [metadata, stream] = ["metadata", "ticks_0"].map(|channel| {
            let added = client.add_stream(AddStream {
                channel: channel.as_bytes(),
                path: path.as_bytes(),
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
        }
    }

    /// All events of the application.
    pub fn run() -> Run {
        Run {
            pid: PID,
            workload: WORKLOAD,
        }
    }

    /// Sends a packet, and before it its description. Gives the size of the packet.
    pub fn send_packet(&mut self, events: Range<u64>) -> usize {
        self.send_part_of_packet(events, 1, 1)
    }

    /// Sends the description of a packet, and the first bytes of it: a fraction of all.
    ///
    /// Gives how many these are.
    pub fn send_part_of_packet(&mut self, events: Range<u64>, part: usize, of: usize) -> usize {
        let packet = packet(events);
        let number = self.announce(packet.len());
        let header = PacketHeader {
            stream: self.stream,
            sequence: number,
            size: packet.len() as u32,
            padding: 0,
        };
        let sent = packet.len() * part / of;
        let begun = self.client.begin_packet(header, &packet[..sent]);
        begun.expect("a relay that reads");
        sent
    }

    /// Sends so many bytes in packets of half a mebibyte, all of the same events.
    pub fn flood(&mut self, bytes: u64) {
        let packet = packet(0..8_000);
        for _ in 0..bytes.div_ceil(packet.len() as u64) {
            let number = self.packets;
            self.packets += 1;
            let index = description(self.stream, number, packet.len());
            self.client.describe(index, WINDOW).expect("a reply");
            let header = PacketHeader {
                stream: self.stream,
                sequence: number,
                size: packet.len() as u32,
                padding: 0,
            };
            let sent = self.client.begin_packet(header, &packet);
            sent.expect("a relay that reads");
        }
        self.client.catch_up().expect("replies");
    }

    /// Sends the description of a packet of so many bytes. Gives the packet's number.
    pub fn announce(&mut self, size: usize) -> u64 {
        let number = self.packets;
        self.packets += 1;
        let index = description(self.stream, number, size);
        self.client.describe(index, 1).expect("a reply");
        number
    }
}

/// A packet as [`METADATA`] says.
fn packet(events: Range<u64>) -> Vec<u8> {
    const HEADER: usize = 24;
    let mut content = Vec::new();
    for seq in events {
        for value in [0, PID, 0] {
            content.extend(value.to_be_bytes());
        }
        content.extend(seq.to_be_bytes());
        content.extend(payload(0, seq, WORKLOAD.payload_length).bytes());
        content.push(0);
    }
    let bits = ((HEADER + content.len()) as u64 * 8).to_be_bytes();
    let magic = 0xC1FC_1FC1_u32.to_be_bytes();
    [&magic, &[0; 4], &bits[..], &bits, &content].concat()
}
