//! A producer of our own, which can stop in the middle of a packet.
//!
//! It speaks version 2.10: that has index records as they are today, and needs
//! no chunks. Like [`crate::live_client`] it shares no code with the relay.

use crate::application::{Run, Workload};
use crate::events::payload;
use crate::nonsense::{VERSION, command};
use crate::relay::Relay;
use crate::sandbox;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

/// How long a relay may take for a reply.
const PATIENCE: Duration = Duration::from_secs(10);

const ADD_STREAM: u32 = 1;
const CREATE_SESSION: u32 = 2;
const SEND_METADATA: u32 = 6;
const SEND_INDEX: u32 = 13;
const STREAMS_SENT: u32 = 16;

const OK: u32 = 10;

/// Of one thread, in one stream.
const WORKLOAD: Workload = Workload {
    threads: 1,
    events_per_thread: 300,
    sleep_us: 0,
    payload_length: 40,
};

/// The process that all events name.
const PID: u32 = 4_711;

/// What the packets are: the format of traces in its plainest form.
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
    control: TcpStream,
    data: TcpStream,
    stream: u64,
    packets: u64,
}

impl RawProducer {
    /// Creates a live session, and sends the metadata of its trace.
    pub fn connect(relay: &Relay, session: &str) -> Self {
        let connect = |address| {
            let connection = TcpStream::connect(address).expect("a connection to the relay");
            connection
                .set_read_timeout(Some(PATIENCE))
                .expect("a time-out");
            connection
        };
        let mut producer = Self {
            control: connect(relay.control_address()),
            data: connect(relay.data_address()),
            stream: 0,
            packets: 0,
        };
        producer.ask(VERSION, &[0, 0, 0, 2, 0, 0, 0, 10], 8);
        let live_timer_us = 100_000_u32.to_be_bytes();
        let words = [
            &field(session, 255)[..],
            &field(&sandbox::host(), 64),
            &live_timer_us,
            &0_u32.to_be_bytes(),
        ];
        let reply = producer.ask(CREATE_SESSION, &words.concat(), 12);
        assert_eq!(reply[8..], OK.to_be_bytes(), "reply to CREATE_SESSION");
        let metadata = producer.add_stream(session, "metadata");
        producer.stream = producer.add_stream(session, "ticks_0");
        let words = [&metadata.to_be_bytes()[..], &[0; 4], METADATA.as_bytes()];
        producer.ask(SEND_METADATA, &words.concat(), 0);
        producer.expect_ok(STREAMS_SENT, &[]);
        producer
    }

    /// What it would emit in all.
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
        let header = [
            &[0; 8][..],
            &self.stream.to_be_bytes(),
            &number.to_be_bytes(),
            &(packet.len() as u32).to_be_bytes(),
            &0_u32.to_be_bytes(),
        ];
        let sent = packet.len() * part / of;
        self.data
            .write_all(&[&header.concat()[..], &packet[..sent]].concat())
            .expect("a relay that reads");
        sent
    }

    /// Sends the description of a packet of so many bytes. Gives the packet's number.
    pub fn announce(&mut self, size: usize) -> u64 {
        let bits = size as u64 * 8;
        let number = self.packets;
        self.packets += 1;
        let index = [self.stream, number, bits, bits, 0, 0, 0, 0, 0, number];
        let index: Vec<_> = index.iter().flat_map(|value| value.to_be_bytes()).collect();
        self.expect_ok(SEND_INDEX, &index);
        number
    }

    fn add_stream(&mut self, session: &str, channel: &str) -> u64 {
        // The first two directories are where a relay looks for host and session.
        let path = format!("/{}/{session}-20261122-063549/ust", sandbox::host());
        let words = [&field(channel, 264)[..], &field(&path, 4_096), &[0; 16]];
        let reply = self.ask(ADD_STREAM, &words.concat(), 12);
        assert_eq!(reply[8..], OK.to_be_bytes(), "reply to ADD_STREAM");
        u64::from_be_bytes(reply[..8].try_into().expect("eight bytes"))
    }

    fn expect_ok(&mut self, number: u32, payload: &[u8]) {
        let reply = self.ask(number, payload, 4);
        assert_eq!(reply, OK.to_be_bytes(), "reply to command {number}");
    }

    fn ask(&mut self, number: u32, payload: &[u8], reply_length: usize) -> Vec<u8> {
        let question = command(number, payload.len() as u64, payload);
        self.control
            .write_all(&question)
            .expect("a relay that reads");
        let mut reply = vec![0; reply_length];
        self.control.read_exact(&mut reply).expect("a reply");
        reply
    }
}

/// Text in a field of a fixed length.
fn field(text: &str, length: usize) -> Vec<u8> {
    let mut field = text.as_bytes().to_vec();
    field.resize(length, 0);
    field
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
