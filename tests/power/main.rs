//! A loss of power at any moment: all that the relay calls safe is there afterwards, and is
//! readable when `baton repair` has been there.
//!
//! A relay in memory records what a producer sends, with rotations and clears, on a disk that
//! keeps of what was not synced any combination that a file system may
//! (`systems/src/memory/storage/power.rs`). The files that are left are written to a real disk,
//! and the real program repairs them.
//!
//! `BATON_TEST_POWER_SEEDS` is how many histories are played, from `BATON_TEST_POWER_FIRST` on.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)] // The scenarios use all of it.
#[path = "../../systems/tests/scenarios/stage.rs"]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;
use std::{env, fs};

use baton_components::path::RelativePath;
use baton_components::wire::producer::{
    AddStream, BeginDataPending, Command, DataPending, EndDataPending, QuiescentControl, SendIndex,
    code,
};
use baton_systems::client;
use baton_systems::lists::{self, List};
use baton_systems::memory::MemoryStorage;
use baton_systems::settings::{Amount, Settings, SyncWhen};

use stage::{Producer, Stage};

/// Histories in each run of the tests.
const SEEDS: u64 = 150;
const PERIOD: Duration = Duration::from_secs(5);
/// A cap that nothing reaches: with it the relay writes down which files it made.
const CAP: u64 = 1 << 30;

/// LTTng's packets, abridged; a clock of 1000 cycles a second.
const METADATA: &str = r#"/* CTF 1.8 */
typealias integer { size = 32; align = 8; } := uint32_t;
typealias integer { size = 64; align = 8; } := uint64_t;
trace {
	uuid = "2b1fd7a4-0000-4000-8000-000000000001"; byte_order = le;
	packet.header := struct { uint32_t magic; uint32_t stream_id; uint64_t stream_instance_id; };
};
env { hostname = "vm"; trace_name = "demo"; };
clock { name = "m"; freq = 1000; offset_s = 5; };
stream { packet.context := struct {
	uint64_t timestamp_begin; uint64_t timestamp_end;
	uint64_t content_size; uint64_t packet_size; uint64_t packet_seq_num;
}; };
"#;

const MORE_METADATA: &[u8] = b"event { name = \"e\"; id = 0; stream_id = 0; };\n";

const PACKET_BYTES: usize = 100;
const MAGIC: u32 = 0xC1FC_1FC1;
const TRACE: &str = "ust/uid/0/64-bit";

/// A packet: its stream, and its number there.
type Packet = (u64, u64);

fn packet((instance, sequence): Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    let bits = PACKET_BYTES as u64 * 8;
    for number in [
        instance,
        sequence * 10 + 1,
        sequence * 10 + 9,
        bits,
        bits,
        sequence,
    ] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(PACKET_BYTES, 0x33);
    bytes
}

/// The packet that these bytes are; none if they are no whole one.
fn read(bytes: &[u8]) -> Option<Packet> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let found = (number(8)?, number(48)?);
    (bytes == packet(found)).then_some(found)
}

struct History {
    draw: fastrand::Rng,
    stage: Stage,
    producer: Producer,
    session: u64,
    metadata: u64,
    /// Handles of data streams, and the number of the next packet of each.
    data: Vec<(u64, u64)>,
    chunk: u64,
    /// Packets of the current chunk, and of those that were archived.
    current: BTreeSet<Packet>,
    archived: BTreeSet<Packet>,
    /// The relay has said that these are safe.
    safe: BTreeSet<Packet>,
    /// Those of them whose chunks have not moved since: with caps the next relay counts them.
    counted: BTreeSet<Packet>,
}

impl History {
    fn begin(seed: u64) -> Self {
        let mut draw = fastrand::Rng::with_seed(seed);
        let sync = if draw.bool() {
            SyncWhen::Chunk
        } else {
            SyncWhen::Every(PERIOD)
        };
        let settings = Settings {
            sync,
            durable_replies: sync != SyncWhen::Chunk,
            max_size: if draw.bool() {
                Amount::Bytes(CAP)
            } else {
                Amount::Unlimited
            },
            ..Settings::default()
        };
        let storage = MemoryStorage::new();
        storage.keep_changes();
        if draw.bool() {
            let mut late = fastrand::Rng::with_seed(seed);
            storage.answer_late(move || late.u64(0..8));
        }
        let mut stage = Stage::on(storage, settings);
        let producer = Producer::with_session(&mut stage, 15);
        let session = stage.entities().sessions.iter().next().unwrap().1.id;
        let limit = if draw.u8(0..3) == 0 { 350 } else { 0 };
        let add = |stage: &mut Stage, channel: &str| {
            let stream = AddStream {
                channel: channel.as_bytes(),
                path: TRACE.as_bytes(),
                chunk: Some(0),
                tracefile_size: if channel == "metadata" { 0 } else { limit },
                ..AddStream::default()
            };
            producer.make(stage, &Command::AddStream(stream))
        };
        let metadata = add(&mut stage, "metadata");
        let data = vec![(add(&mut stage, "ch_0"), 0), (add(&mut stage, "ch_1"), 0)];
        let mut history = Self {
            draw,
            stage,
            producer,
            session,
            metadata,
            data,
            chunk: 0,
            current: BTreeSet::new(),
            archived: BTreeSet::new(),
            safe: BTreeSet::new(),
            counted: BTreeSet::new(),
        };
        history.send_metadata();
        history
    }

    fn send_metadata(&mut self) {
        let (stage, metadata) = (&mut self.stage, self.metadata);
        self.producer
            .send_metadata(stage, metadata, METADATA.as_bytes());
    }

    fn play(&mut self) {
        for _ in 0..self.draw.u32(1..40) {
            match self.draw.u8(0..16) {
                0..8 => self.send(),
                8..10 => self.rotate(Some(ARCHIVE)),
                10 => self.rotate(Some(DELETE)),
                11..13 => self.stage.pass(PERIOD / 3),
                13 => self.stage.pass(PERIOD),
                14 => self.ask(),
                15 if self.draw.bool() => self.add_metadata(),
                _ => self.stage.tick(),
            }
            self.look();
        }
        // The rest of it would come.
        if self.draw.bool() {
            let (stream, sequence) = self.data[0];
            let bytes = client::packet(stream, sequence, &packet((stream, sequence)));
            self.producer.data.write(&bytes[..bytes.len() - 30]);
            self.stage.tick();
        }
    }

    /// An event appears.
    fn add_metadata(&mut self) {
        let (stage, metadata) = (&mut self.stage, self.metadata);
        self.producer.send_metadata(stage, metadata, MORE_METADATA);
    }

    fn send(&mut self) {
        let at = self.draw.usize(0..self.data.len());
        let (stream, sequence) = self.data[at];
        self.data[at].1 += 1;
        let bytes = packet((stream, sequence));
        let index = SendIndex {
            timestamp_begin: sequence * 10 + 1,
            timestamp_end: sequence * 10 + 9,
            class: 0,
            instance: stream,
            ..client::description(stream, sequence, PACKET_BYTES)
        };
        let stage = &mut self.stage;
        self.producer.expect_ok(stage, &Command::SendIndex(index));
        self.producer.send_packet(stage, stream, sequence, &bytes);
        self.current.insert((stream, sequence));
    }

    fn rotate(&mut self, close: Option<u32>) {
        let next = self.chunk + 1;
        let stage = &mut self.stage;
        let mut positions = self.data.clone();
        positions.push((self.metadata, 0));
        self.producer.expect_ok(stage, &stage::create_chunk(next));
        self.producer
            .expect_ok(stage, &stage::rotate(Some(next), &positions));
        self.producer.close_chunk(stage, self.chunk, close);
        self.chunk = next;
        let left = std::mem::take(&mut self.current);
        self.counted.retain(|packet| !left.contains(packet));
        if close == Some(ARCHIVE) {
            self.archived.extend(left);
        } else {
            self.safe.retain(|packet| !left.contains(packet));
        }
        self.send_metadata();
    }

    /// The producer asks whether all has arrived.
    fn ask(&mut self) {
        let (stage, session) = (&mut self.stage, self.session);
        let ok = |stage: &mut Stage, command| self.producer.expect_ok(stage, &command);
        ok(
            stage,
            Command::BeginDataPending(BeginDataPending { session }),
        );
        for (stream, next) in self.data.iter().filter(|(_, next)| *next > 0) {
            let command = DataPending {
                stream: *stream,
                last_sequence: next - 1,
            };
            self.producer.code(stage, &Command::DataPending(command));
        }
        let stream = self.metadata;
        ok(
            stage,
            Command::QuiescentControl(QuiescentControl { stream }),
        );
        let end = Command::EndDataPending(EndDataPending { session });
        let is_durable = stage.settings().durable_replies;
        if self.producer.code(stage, &end) == code::NOT_PENDING && is_durable {
            self.safe.extend(&self.current);
            self.safe.extend(&self.archived);
        }
    }

    /// A monitor looks at the syncs.
    fn look(&mut self) {
        let syncs = self.stage.entities().totals.syncs;
        if syncs.pending > 0 || syncs.dirty_files > 0 || syncs.failed > 0 {
            return;
        }
        let mut safe = self.archived.clone();
        if matches!(self.stage.settings().sync, SyncWhen::Every(_)) {
            safe.extend(&self.current);
        }
        self.safe.extend(&safe);
        if self.stage.settings().caps().are_set() {
            self.counted = safe;
        }
    }
}

const ARCHIVE: u32 = 0;
const DELETE: u32 = 2;

type Tree = BTreeMap<RelativePath, Option<Vec<u8>>>;

/// The packets in files that are in the lists of what was made.
fn listed(tree: &Tree) -> BTreeSet<Packet> {
    let mut found = BTreeSet::new();
    for (path, content) in tree {
        let Some(bytes) = content.as_ref().filter(|_| is_list(path)) else {
            continue;
        };
        let list = List::decode(bytes);
        let is_data = |file: &&RelativePath| {
            let name = file.name();
            name.starts_with(b"ch_") && !name.ends_with(b".idx")
        };
        for file in list.files.iter().filter(is_data) {
            let content = tree.get(&list.directory.join(file));
            let bytes = content.and_then(Option::as_deref).unwrap_or_default();
            found.extend(bytes.chunks(PACKET_BYTES).filter_map(read));
        }
    }
    found
}

fn is_list(path: &RelativePath) -> bool {
    path.parent() == Some(lists::directory())
}

/// Writes what is left to a real disk.
fn write(tree: &Tree, to: &Path) {
    let at = |path: &RelativePath| to.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
    for (path, content) in tree {
        match content {
            None => fs::create_dir(at(path)).unwrap(),
            Some(bytes) => fs::write(at(path), bytes).unwrap(),
        }
    }
}

fn repair(directory: &Path) -> String {
    let output = Program::new(env!("CARGO_BIN_EXE_baton"))
        .arg("repair")
        .arg(directory)
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Whether bytes are a line so many times; the last one may lack its end.
fn is_repeated(bytes: &[u8], line: &[u8]) -> bool {
    let mut lines = bytes.chunks(line.len());
    lines.all(|it| it.trim_ascii_end() == line.trim_ascii_end())
}

/// The packets that a reader finds at or below a directory.
fn packets(directory: &Path, found: &mut BTreeSet<Packet>) -> Result<(), String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            packets(&path, found)?;
        } else {
            files.push(path);
        }
    }
    let metadata = directory.join("metadata");
    let text = fs::read(&metadata).unwrap_or_default();
    let more = text.strip_prefix(METADATA.as_bytes());
    if !more.is_some_and(|more| is_repeated(more, MORE_METADATA)) {
        return Ok(());
    }
    for file in files.iter().filter(|file| **file != metadata) {
        let bytes = fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        let index = directory.join("index").join(format!("{name}.idx"));
        let count = bytes.len() / PACKET_BYTES;
        let indexed = fs::metadata(index).map(|it| it.len());
        if indexed.is_ok_and(|size| count > 0 && size != 16 + 72 * count as u64) {
            return Err(format!("{} has another index", file.display()));
        }
        // A packet that was not synced may have zeros.
        found.extend(bytes.chunks(PACKET_BYTES).filter_map(read));
        if bytes.len() % PACKET_BYTES != 0 {
            return Err(format!("{} is torn", file.display()));
        }
    }
    Ok(())
}

fn check(seed: u64) -> usize {
    let mut history = History::begin(seed);
    history.play();
    for _ in 0..2 {
        let directory = tempfile::tempdir_in(place()).unwrap();
        let (storage, draw) = (&history.stage.storage, &mut history.draw);
        let tree = storage.after_power_loss(&mut |below| draw.u64(0..below));
        let listed = listed(&tree);
        let unlisted: Vec<_> = history.counted.difference(&listed).collect();
        assert!(
            unlisted.is_empty(),
            "seed {seed}: {unlisted:?} are in no list"
        );
        write(&tree, directory.path());
        let said = repair(directory.path());
        let mut found = BTreeSet::new();
        let read = packets(directory.path(), &mut found);
        let missing: Vec<_> = history.safe.difference(&found).collect();
        if !missing.is_empty() || read.is_err() {
            let kept = directory.keep();
            panic!(
                "seed {seed}: of {} that are safe {missing:?} are missing in {}; {read:?}\n{said}",
                history.safe.len(),
                kept.display()
            );
        }
    }
    history.safe.len()
}

/// Memory, if there is a disk in it.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let temporary = env::temp_dir();
    if memory.is_dir() {
        memory.to_owned()
    } else {
        temporary
    }
}

fn number(name: &str, default: u64) -> u64 {
    let given = env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn all_that_is_called_safe_is_there_after_a_loss_of_power() {
    let first = number("BATON_TEST_POWER_FIRST", 0);
    let seeds = number("BATON_TEST_POWER_SEEDS", SEEDS);
    let safe: usize = (first..first + seeds).map(check).sum();
    assert!(safe as u64 >= seeds, "only {safe} packets were called safe");
    eprintln!("{seeds} histories, {safe} packets that were called safe are there");
}
