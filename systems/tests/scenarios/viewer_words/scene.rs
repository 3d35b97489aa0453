//! A scene to begin with: a stage, a producer with its session, and a viewer.

use baton_components::wire::producer::{AddStream, Command, SendIndex};
use baton_components::wire::viewer::Request;

use super::{ATTACH, DATA, DELETE, GET_METADATA, METADATA, NEXT_INDEX, pattern};
use crate::stage::{
    self, PACKET_BYTES, Producer, Stage, Viewer, close_chunk, create_chunk, rotate,
};

/// A stage with one producer, whose session has chunk 0, and one viewer.
pub struct Scene {
    pub stage: Stage,
    pub producer: Producer,
    pub viewer: Viewer,
}

impl Scene {
    /// A session without streams; the viewer has attached nothing.
    pub fn new() -> Self {
        Self::on(Stage::new())
    }

    /// The same on that stage.
    pub fn on(mut stage: Stage) -> Self {
        let producer = Producer::with_session(&mut stage, 15);
        let viewer = Viewer::connect(&mut stage, 15);
        Self {
            stage,
            producer,
            viewer,
        }
    }

    /// A session with the streams [`METADATA`] and [`DATA`] of the trace `ust`, both
    /// published and empty; the viewer has attached nothing.
    pub fn with_trace() -> Self {
        let mut scene = Self::new();
        let streams = scene.producer.add_trace(&mut scene.stage, "ust");
        assert_eq!(streams, (METADATA, DATA));
        scene
    }

    /// The same with metadata and so many packets, attached from the beginning; the
    /// viewer has read the metadata.
    pub fn watched(packets: u64) -> Self {
        let mut scene = Self::with_trace();
        scene.send_metadata(b"meta");
        for sequence in 0..packets {
            scene.send(sequence);
        }
        assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
        assert_eq!(scene.hear(GET_METADATA), "OK meta");
        scene
    }

    /// The viewer has the index of a packet of that size, whose bytes are a [`pattern`].
    pub fn with_large_packet(size: usize) -> Self {
        let mut scene = Self::watched(0);
        scene.send_large(0, &pattern(size));
        assert_eq!(scene.indexes(1), format!("OK 0 at 0 size {size}"));
        scene
    }

    /// A stream in a ring of `count` files of two packets each, before
    /// any packet; the viewer has attached nothing.
    pub fn with_ring(count: u64) -> Self {
        let mut scene = Self::new();
        scene
            .producer
            .add_stream(&mut scene.stage, "ust", "metadata");
        let ring = AddStream {
            channel: b"chan_0",
            path: b"ust",
            tracefile_size: 2 * PACKET_BYTES as u64,
            tracefile_count: count,
            chunk: Some(0),
        };
        scene
            .producer
            .ask(&mut scene.stage, &Command::AddStream(ring));
        scene.command(&Command::StreamsSent);
        scene
    }

    pub fn hear(&mut self, request: Request) -> String {
        self.viewer.hear(&mut self.stage, request)
    }

    pub fn hear_all(&mut self, requests: &[Request]) -> String {
        self.viewer.hear_all(&mut self.stage, requests)
    }

    /// Asks for the next index of [`DATA`] so many times.
    pub fn indexes(&mut self, count: usize) -> String {
        let told: Vec<String> = (0..count).map(|_| self.hear(NEXT_INDEX)).collect();
        told.join(", ")
    }

    /// Asks for metadata so many times.
    pub fn metadata(&mut self, count: usize) -> String {
        let told: Vec<String> = (0..count).map(|_| self.hear(GET_METADATA)).collect();
        told.join(", ")
    }

    /// Another viewer.
    pub fn another(&mut self) -> Viewer {
        Viewer::connect(&mut self.stage, 15)
    }

    /// A command of the producer that is done.
    pub fn command(&mut self, command: &Command) {
        self.producer.expect_ok(&mut self.stage, command);
    }

    pub fn send_metadata(&mut self, bytes: &[u8]) {
        self.producer
            .send_metadata(&mut self.stage, METADATA, bytes);
    }

    /// A packet of [`DATA`], both halves.
    pub fn send(&mut self, sequence: u64) {
        self.send_bytes(sequence);
        self.send_index(sequence);
    }

    /// The bytes of a packet of [`DATA`].
    pub fn send_bytes(&mut self, sequence: u64) {
        let payload = stage::payload(DATA, sequence);
        self.producer
            .send_packet(&mut self.stage, DATA, sequence, &payload);
    }

    /// The description of a packet of [`DATA`].
    pub fn send_index(&mut self, sequence: u64) {
        self.producer.send_index(&mut self.stage, DATA, sequence);
    }

    pub fn send_beacon(&mut self, timestamp_end: u64) {
        self.command(&stage::beacon(DATA, timestamp_end));
    }

    /// A packet of [`DATA`] of any size, both halves.
    pub fn send_large(&mut self, sequence: u64, payload: &[u8]) {
        self.producer
            .send_packet(&mut self.stage, DATA, sequence, payload);
        let bits = payload.len() as u64 * 8;
        let index = SendIndex {
            packet_size_bits: bits,
            content_size_bits: bits,
            ..stage::index(DATA, sequence)
        };
        self.command(&Command::SendIndex(index));
    }

    /// The next chunk is opened, and both streams move to it at that packet.
    pub fn rotate(&mut self, number: u64, position: u64) {
        self.command(&create_chunk(number));
        self.command(&rotate(Some(number), &[(METADATA, 0), (DATA, position)]));
    }

    /// Both streams move to no chunk at that packet.
    pub fn rotate_to_none(&mut self, position: u64) {
        self.command(&rotate(None, &[(METADATA, 0), (DATA, position)]));
    }

    /// A chunk is closed.
    pub fn close_chunk(&mut self, number: u64, command: Option<u32>) {
        let reply = self
            .producer
            .ask(&mut self.stage, &close_chunk(number, command));
        assert_eq!(reply[..4], [0, 0, 0, 10], "{reply:?}");
    }

    /// Clear: what chunk `number - 1` has is deleted.
    pub fn clear(&mut self, number: u64, position: u64) {
        self.rotate(number, position);
        self.close_chunk(number - 1, DELETE);
    }

    /// Stop and clear: what chunk `number` has is deleted, none follows.
    pub fn stop_and_clear(&mut self, number: u64, position: u64) {
        self.rotate_to_none(position);
        self.close_chunk(number, DELETE);
    }

    /// Both streams are closed, after so many packets.
    pub fn close_streams(&mut self, packets: u64) {
        let last = packets.checked_sub(1);
        self.producer.close_stream(&mut self.stage, DATA, last);
        self.producer.close_stream(&mut self.stage, METADATA, None);
    }

    /// The producer's connections end, control first.
    pub fn producer_leaves(&mut self) {
        self.producer.leave(&mut self.stage);
    }

    /// The producer's control connection ends.
    pub fn control_ends(&mut self) {
        self.producer.control.finish();
        self.stage.settle();
    }

    /// The producer's data connection ends.
    pub fn data_ends(&mut self) {
        self.producer.data.finish();
        self.stage.settle();
    }

    /// Everybody leaves, and nothing is left.
    pub fn end(&mut self) {
        self.viewer.leave(&mut self.stage);
        self.producer.leave(&mut self.stage);
        self.stage.assert_empty();
    }
}
