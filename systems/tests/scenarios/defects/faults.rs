//! Every single operation of the disk fails once, in the life of a busy session.
//!
//! After each failure the law of holds is kept at every tick, nothing is left at the end,
//! no file is open, and what is on disk is whole packets with indexes that lead to them.

use baton_components::limits::DRAIN_GRACE;
use baton_components::wire::ctf_index::{IndexRecord, Version};
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, CloseStream, Command, NONE, ResetMetadata, SendMetadata,
};
use baton_systems::client;
use baton_systems::memory::Operation;

use super::*;

#[test]
fn no_failure_of_the_disk_tears_a_file_or_leaks() {
    let mut whole = Life::new();
    whole.live();
    whole.check("nothing fails");
    for operation in Operation::ALL {
        let count = whole.stage.storage.count(operation);
        for nth in 1..=count {
            let mut life = Life::new();
            life.stage.storage.fail(operation, nth, "it was wished");
            life.live();
            // A torn packet that cannot be cut off stays: `baton repair` cuts it off later.
            life.tears = operation == Operation::Resize;
            life.check(&format!("{operation:?} {nth} of {count} fails"));
        }
    }
}

/// The same, and what would repair it fails as well.
#[test]
fn no_failure_of_the_disk_tears_a_file_when_its_repair_fails_too() {
    let mut whole = Life::new();
    whole.live();
    for nth in 1..=whole.stage.storage.count(Operation::Write) {
        let mut life = Life::new();
        life.stage
            .storage
            .fail(Operation::Write, nth, "it was wished");
        life.stage
            .storage
            .fail(Operation::Resize, 1, "it was wished");
        life.live();
        life.check(&format!("write {nth} and the first cut fail"));
    }
}

/// A disk that is full from some byte on, and has room again at the end.
#[test]
fn no_full_disk_tears_a_file_or_leaks() {
    let mut whole = Life::new();
    whole.live();
    for room in (0..2000).step_by(29) {
        let mut life = Life::new();
        life.stage.storage.limit_bytes(Some(room));
        life.live();
        life.stage.storage.limit_bytes(None);
        life.check(&format!("{room} bytes of room"));
    }
}

/// A producer that does all there is to do, and does not look at the replies.
struct Life {
    stage: Stage,
    producer: Producer,
    /// A data file may end in a torn packet.
    tears: bool,
}

/// Its streams: the metadata, a data stream, one with a ring of files.
const PLAIN: u64 = 2;
const RING: u64 = 3;

impl Life {
    fn new() -> Self {
        let mut stage = Stage::new();
        let producer = Producer::connect(&mut stage, 15);
        Self {
            stage,
            producer,
            tears: false,
        }
    }

    fn live(&mut self) {
        self.begin();
        self.archive();
        self.clear_stop_and_start();
        self.end();
    }

    fn begin(&mut self) {
        let session = CreateSession {
            live_timer_us: 0,
            ..stage::session("session")
        };
        self.send(&Command::CreateSession(session));
        self.send(&stage::create_chunk(0));
        self.send(&stage::add_stream("ust", "metadata"));
        self.send(&stage::add_stream("ust", "plain"));
        self.send(&Command::AddStream(AddStream {
            channel: b"ring",
            path: b"ust",
            tracefile_size: 2 * stage::PACKET_BYTES as u64,
            tracefile_count: 4,
            chunk: Some(0),
        }));
        self.send(&Command::StreamsSent);
        self.metadata();
        for number in 0..3 {
            self.packet(PLAIN, number);
            self.packet(RING, number);
        }
        self.padded(PLAIN, 3);
        self.packet(RING, 3);
    }

    /// Packets of the next chunk are there before.
    fn archive(&mut self) {
        self.send(&stage::create_chunk(1));
        for number in 4..7 {
            self.bytes(PLAIN, number, 64);
            self.bytes(RING, number, 64);
        }
        self.bytes(RING, 7, 30);
        self.rotate(Some(1), 4);
        self.send(&stage::close_chunk(0, Some(0)));
        self.metadata();
        self.rest(RING, 7, 30);
        for number in 4..7 {
            self.index(PLAIN, number);
            self.index(RING, number);
        }
        self.index(RING, 7);
        self.packet(PLAIN, 7);
        let reset = ResetMetadata {
            stream: METADATA,
            version: 1,
        };
        self.send(&Command::ResetMetadata(reset));
        self.metadata();
    }

    fn clear_stop_and_start(&mut self) {
        self.send(&stage::create_chunk(2));
        self.rotate(Some(2), 8);
        self.send(&stage::close_chunk(1, Some(2)));
        self.packet(PLAIN, 8);
        self.packet(RING, 8);
        self.rotate(None, 9);
        self.send(&stage::close_chunk(2, Some(0)));
        self.send(&stage::create_chunk(3));
        self.rotate(Some(3), 9);
        self.metadata();
        self.packet(PLAIN, 9);
        self.packet(RING, 9);
    }

    /// One stream is closed, a packet of the other is torn.
    fn end(&mut self) {
        self.send(&Command::CloseStream(CloseStream {
            stream: RING,
            last_sequence: 9,
        }));
        self.send(&Command::CloseStream(CloseStream {
            stream: METADATA,
            last_sequence: NONE,
        }));
        self.bytes(PLAIN, 10, 20);
        self.producer.leave(&mut self.stage);
    }

    fn check(&mut self, what: &str) {
        self.stage.pass(DRAIN_GRACE);
        let remains = self.stage.remains();
        assert!(remains.is_empty(), "{what}: {remains:#?}");
        assert_eq!(self.stage.storage.open_files(), 0, "{what}");
        for (path, content) in self.stage.storage.tree() {
            let Some(bytes) = content else { continue };
            let path = path.to_string();
            if path.ends_with("metadata") {
                let text = bytes.strip_prefix(&b"metadata"[..].repeat(bytes.len() / 16)[..]);
                assert!(text.is_some() && bytes.len() % 16 == 0, "{what}: {path}");
            } else if let Some(data) = path.strip_suffix(".idx") {
                let data = self.stage.file(&data.replace("index/", ""));
                check_index(&bytes, &data, &format!("{what}: {path}"));
            } else {
                let torn = bytes.len() % stage::PACKET_BYTES;
                let whole = bytes.len() - if self.tears { torn } else { 0 };
                check_packets(&bytes[..whole], &format!("{what}: {path}"));
            }
        }
    }

    fn send(&mut self, command: &Command) {
        self.producer.ask(&mut self.stage, command);
    }

    fn metadata(&mut self) {
        self.send(&Command::SendMetadata(SendMetadata {
            stream: METADATA,
            padding_size: 0,
            bytes: b"metadatametadata",
        }));
    }

    fn rotate(&mut self, chunk: Option<u64>, position: u64) {
        let positions = [(PLAIN, position), (RING, position), (METADATA, 0)];
        self.send(&stage::rotate(chunk, &positions));
    }

    fn packet(&mut self, stream: u64, number: u64) {
        self.bytes(stream, number, 64);
        self.index(stream, number);
    }

    fn index(&mut self, stream: u64, number: u64) {
        self.send(&Command::SendIndex(stage::index(stream, number)));
    }

    /// The header of a packet, and `size` of its bytes.
    fn bytes(&mut self, stream: u64, number: u64, size: usize) {
        let mut bytes = stage::packet_bytes(stream, number);
        bytes.truncate(bytes.len() - stage::PACKET_BYTES + size);
        self.producer.data.write(&bytes);
        self.stage.settle();
    }

    fn rest(&mut self, stream: u64, number: u64, sent: usize) {
        self.producer
            .data
            .write(&stage::payload(stream, number)[sent..]);
        self.stage.settle();
    }

    /// A packet of which the last 14 bytes are padding, which is zeros.
    fn padded(&mut self, stream: u64, number: u64) {
        let header = PacketHeader {
            stream,
            sequence: number,
            size: 50,
            padding: 14,
        };
        let payload = &stage::payload(stream, number)[..50];
        self.producer.data.write(&client::headed(&header, payload));
        self.stage.settle();
        self.index(stream, number);
    }
}

/// The number of a packet, which is whole.
fn check_packet(packet: &[u8], what: &str) -> u64 {
    assert_eq!(packet.len(), stage::PACKET_BYTES, "{what}: a torn packet");
    let field = |at: usize| u64::from_be_bytes(*packet[at..].first_chunk().unwrap());
    let (stream, number) = (field(0), field(8));
    let mut expected = stage::payload(stream, number);
    if (stream, number) == (PLAIN, 3) {
        expected[50..].fill(0);
    }
    assert_eq!(packet, expected, "{what}: a torn packet");
    number
}

fn check_packets(bytes: &[u8], what: &str) {
    let numbers: Vec<u64> = bytes
        .chunks(stage::PACKET_BYTES)
        .map(|packet| check_packet(packet, what))
        .collect();
    assert!(numbers.is_sorted(), "{what}: {numbers:?}");
}

fn check_index(index: &[u8], data: &[u8], what: &str) {
    if index.is_empty() {
        return;
    }
    let version = Version::from_header(index).expect(what);
    for record in index[version.header().len()..].chunks(version.record_size()) {
        let record = IndexRecord::decode(version, record).expect(what);
        let at = record.offset_bytes as usize;
        let packet = data.get(at..at + stage::PACKET_BYTES).expect(what);
        assert_eq!(check_packet(packet, what), record.packet_sequence, "{what}");
    }
}
