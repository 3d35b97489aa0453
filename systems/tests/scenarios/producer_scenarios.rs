//! A relay with a producer, command by command: replies, records, files. The rules are
//! in `docs/protocol.md#producers-the-control-connection-port-5342`.

mod archive;
mod clear;
mod data_connections;
mod excess;
mod teardown;
mod waiting;

use baton_components::limits::DRAIN_GRACE;
use baton_components::wire::producer::Command;
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};

use crate::stage::{self, DIRECTORY, Producer, Stage, Viewer};

/// Both streams of the trace of a scene.
const METADATA: u64 = 1;
const DATA: u64 = 2;
const TRACE: &str = "ust";

/// How the names of chunks 0, 1 and 2 begin, and where they are once archived.
const CHUNK_0: &str = "20261122T064435+0000-0";
const CHUNK_1: &str = "20261122T064436+0000-1";
const CHUNK_2: &str = "20261122T064437+0000-2";
const ARCHIVE_0: &str = "archives/20261122T064435+0000-20261122T064535+0000-0";
const ARCHIVE_1: &str = "archives/20261122T064436+0000-20261122T064536+0000-1";

/// The begin of every scenario: a session with a trace, packet 0 complete.
struct Scene {
    stage: Stage,
    producer: Producer,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self::without_packets();
        let producer = &scene.producer;
        producer.send_metadata(&mut scene.stage, METADATA, b"metadata");
        scene.packet(0);
        scene
    }

    /// Before anything of the trace is recorded.
    fn without_packets() -> Self {
        let mut stage = Stage::new();
        let producer = Producer::with_session(&mut stage, 15);
        assert_eq!(producer.add_trace(&mut stage, TRACE), (METADATA, DATA));
        Self { stage, producer }
    }

    /// With a viewer from the beginning. The viewer gets one request.
    fn watched() -> (Self, Viewer) {
        let mut scene = Self::new();
        let viewer = Viewer::connect(&mut scene.stage, 15);
        let (session, seek) = (1, SEEK_BEGINNING);
        let attached = viewer.ask(&mut scene.stage, Request::Attach { session, seek });
        assert_eq!(attached[..8], [0, 0, 0, 1, 0, 0, 0, 2], "{attached:?}");
        (scene, viewer)
    }

    /// A packet of the data stream, with its index.
    fn packet(&mut self, number: u64) {
        self.producer
            .send_whole_packet(&mut self.stage, DATA, number);
    }

    /// Its bytes alone.
    fn bytes(&mut self, number: u64) {
        let payload = stage::payload(DATA, number);
        self.producer
            .send_packet(&mut self.stage, DATA, number, &payload);
    }

    /// Its index alone.
    fn index(&mut self, number: u64) {
        self.producer.send_index(&mut self.stage, DATA, number);
    }

    /// The header of a packet, and `size` of its bytes.
    fn part(&mut self, number: u64, size: usize) {
        let mut bytes = stage::packet_bytes(DATA, number);
        bytes.truncate(bytes.len() - stage::PACKET_BYTES + size);
        self.producer.data.write(&bytes);
        self.stage.settle();
    }

    /// The bytes that [`Scene::part`] left out.
    fn rest(&mut self, number: u64, sent: usize) {
        self.producer
            .data
            .write(&stage::payload(DATA, number)[sent..]);
        self.stage.settle();
    }

    fn ok(&mut self, command: &Command) {
        self.producer.expect_ok(&mut self.stage, command);
    }

    /// Both streams move to a chunk, or to none, the data stream at a position.
    fn rotate(&mut self, chunk: Option<u64>, position: u64) {
        self.ok(&stage::rotate(chunk, &[(METADATA, 0), (DATA, position)]));
    }

    /// The whole rotation to the next chunk.
    fn rotate_to(&mut self, chunk: u64, position: u64, command: u32) -> String {
        self.ok(&stage::create_chunk(chunk));
        self.rotate(Some(chunk), position);
        self.close_chunk(chunk - 1, Some(command))
    }

    fn close_chunk(&mut self, number: u64, command: Option<u32>) -> String {
        self.producer.close_chunk(&mut self.stage, number, command)
    }

    fn chunk_exists(&mut self, number: u64) -> bool {
        self.producer.chunk_exists(&mut self.stage, number)
    }

    fn close_streams(&mut self, last_sequence: u64) {
        self.producer
            .close_stream(&mut self.stage, DATA, Some(last_sequence));
        self.producer.close_stream(&mut self.stage, METADATA, None);
    }

    /// The records in the arenas.
    fn census(&mut self) -> String {
        self.stage.census()
    }

    /// Files and empty directories of the session.
    fn names(&self) -> Vec<String> {
        stage_names(&self.stage, DIRECTORY)
    }

    /// The numbers of the packets in a data file, which has whole packets only.
    fn packets(&self, directory: &str) -> Vec<u64> {
        let bytes = self
            .stage
            .file(&format!("{DIRECTORY}/{directory}ust/chan_0"));
        numbers(&bytes)
    }

    /// The numbers of the packets that an index leads to, in its order.
    fn indexed(&self, directory: &str) -> Vec<u64> {
        let path = format!("{DIRECTORY}/{directory}ust");
        let bytes = self.stage.file(&format!("{path}/chan_0"));
        let records = self
            .stage
            .index_records(&format!("{path}/index/chan_0.idx"));
        let number = |offset: u64| numbers(&bytes[offset as usize..])[0];
        records
            .iter()
            .map(|record| number(record.offset_bytes))
            .collect()
    }

    /// Everybody goes, and nothing is left.
    fn end(mut self) {
        self.producer.leave(&mut self.stage);
        self.stage.pass(DRAIN_GRACE);
        self.stage.assert_empty();
    }
}

/// Files and empty directories below a directory.
fn stage_names(stage: &Stage, directory: &str) -> Vec<String> {
    let tree = stage.tree();
    let below: Vec<&str> = tree
        .iter()
        .filter_map(|name| name.strip_prefix(directory)?.strip_prefix('/'))
        .filter(|name| !name.is_empty())
        .collect();
    let has_content = |name: &str| {
        name.ends_with('/')
            && below
                .iter()
                .any(|other| *other != name && other.starts_with(name))
    };
    below
        .iter()
        .filter(|name| !has_content(name))
        .map(|name| (*name).to_owned())
        .collect()
}

/// The numbers of the packets in a data file, which has whole packets only.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    assert_eq!(bytes.len() % stage::PACKET_BYTES, 0, "a torn packet");
    let number = |packet: &[u8]| {
        let number = u64::from_be_bytes(*packet[8..].first_chunk().unwrap());
        assert_eq!(packet, stage::payload(DATA, number));
        number
    };
    bytes.chunks(stage::PACKET_BYTES).map(number).collect()
}

/// The files of the trace in a directory with packets.
fn trace(directory: &str) -> Vec<String> {
    ["chan_0", "index/chan_0.idx", "metadata"]
        .map(|name| format!("{directory}ust/{name}"))
        .to_vec()
}

/// The files of the trace in a directory where no packet is yet.
fn fresh_trace(directory: &str) -> Vec<String> {
    ["chan_0", "metadata"]
        .map(|name| format!("{directory}ust/{name}"))
        .to_vec()
}
