//! Histories of many sessions, drawn from a seed: whatever happens, there is no more on disk
//! than the cap and what is being written, what is left can be read, and what is not left was
//! counted.
//!
//! `BATON_HISTORIES` is how many are played, from `BATON_HISTORIES_FIRST` on.

use std::collections::BTreeMap;

use baton_components::path::RelativePath;
use baton_components::wire::viewer::NextIndexStatus;
use baton_systems::memory::Operation;

use super::{
    CAP, PACKET, attach, begin_named, blocks, capped, end, next_packet, payload, put, rotate, send,
    used,
};
use crate::stage::{Producer, Stage, Viewer};

/// The names on disk: files with their sizes.
type Sizes = BTreeMap<RelativePath, Option<u64>>;

/// Numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

struct Recording {
    /// The number in its name.
    number: u64,
    producer: Producer,
    metadata: u64,
    data: u64,
    sequence: u64,
    chunk: u64,
    viewer: Option<Reader>,
}

struct Reader {
    viewer: Viewer,
    stream: u64,
    /// The packet that it would read next, if none was removed.
    next: u64,
}

struct History {
    dice: Dice,
    stage: Stage,
    recordings: Vec<Recording>,
    sessions: u64,
    streams_max: u64,
    /// Of the relay that runs: its first session, and packets that it received and that a
    /// clear deleted.
    first_session: u64,
    sent: u64,
    cleared: u64,
    /// The relay before may have been killed half way through the removal of a chunk. Metadata
    /// goes first there: what is left is no trace for readers.
    was_cut: bool,
}

const FOREIGN: [(&str, u64); 2] = [("host/theirs/ust/chan_0", 5 << 20), ("notes", 10)];

impl History {
    fn new(seed: u64) -> Self {
        let mut stage = Stage::with(capped(CAP));
        for (path, size) in FOREIGN {
            put(&stage, path, &vec![9; size as usize]);
        }
        // Removals take a while on every other disk.
        if seed % 2 == 1 {
            let mut late = Dice(!seed);
            stage.storage.answer_late(move || late.roll(6));
        }
        stage.settle();
        Self {
            dice: Dice(seed),
            stage,
            recordings: Vec::new(),
            sessions: 0,
            streams_max: 0,
            first_session: 1,
            sent: 0,
            cleared: 0,
            was_cut: false,
        }
    }

    fn step(&mut self) {
        let count = self.recordings.len() as u64;
        match self.dice.roll(42) {
            0 if count < 3 => self.begin(),
            1 if count > 1 => self.end(),
            2 if count > 0 => self.rotate(Some(0)),
            3 if count > 0 => self.clear(),
            4 if count > 0 => self.watch(),
            5 => self.restart(),
            6 => {
                let seconds = self.dice.roll(20);
                self.stage.pass(std::time::Duration::from_secs(seconds));
            }
            40 => self.snapshot(),
            41 if count > 0 => self.restart_in_a_removal(),
            _ if count == 0 => self.begin(),
            7..12 => self.look(),
            _ => self.send(),
        }
        self.check();
    }

    fn pick(&mut self) -> usize {
        self.dice.roll(self.recordings.len() as u64) as usize
    }

    fn begin(&mut self) {
        self.sessions += 1;
        let name = format!("s{}", self.sessions);
        let (producer, metadata, data) = begin_named(&mut self.stage, &name);
        self.recordings.push(Recording {
            number: self.sessions,
            producer,
            metadata,
            data,
            sequence: 0,
            chunk: 0,
            viewer: None,
        });
        self.streams_max = self.streams_max.max(self.recordings.len() as u64);
    }

    fn end(&mut self) {
        let at = self.pick();
        self.end_at(at);
    }

    fn end_at(&mut self, at: usize) {
        let recording = self.recordings.swap_remove(at);
        if let Some(reader) = recording.viewer {
            reader.viewer.leave(&mut self.stage);
        }
        end(
            &mut self.stage,
            &recording.producer,
            &[recording.data, recording.metadata],
        );
    }

    /// A session of a few packets that is over at once.
    fn snapshot(&mut self) {
        self.begin();
        let at = self.recordings.len() - 1;
        for _ in 0..=self.dice.roll(8) {
            self.send_to(at);
        }
        self.end_at(at);
    }

    fn rotate(&mut self, command: Option<u32>) {
        let at = self.pick();
        let Self {
            stage, recordings, ..
        } = self;
        let it = &mut recordings[at];
        let streams = [(it.metadata, 0), (it.data, it.sequence)];
        rotate(stage, &it.producer, it.chunk, &streams, command);
        it.chunk += 1;
        it.producer.send_metadata(stage, it.metadata, b"metadata");
    }

    fn clear(&mut self) {
        let left = |it: &Self| it.left(&it.stage.storage.sizes()) + it.removed();
        let before = left(self);
        self.rotate(Some(2));
        self.cleared += before - left(self);
    }

    fn send(&mut self) {
        let at = self.pick();
        self.send_to(at);
    }

    fn send_to(&mut self, at: usize) {
        let it = &mut self.recordings[at];
        send(&mut self.stage, &it.producer, it.data, it.sequence);
        it.sequence += 1;
        self.sent += 1;
    }

    fn watch(&mut self) {
        let at = self.pick();
        let it = &mut self.recordings[at];
        if it.viewer.is_none() {
            let session = self
                .stage
                .stream(it.data)
                .map(|stream| stream.session.key());
            let session = session.and_then(|key| self.stage.entities().sessions.get(key));
            let session = session.unwrap().id;
            let (viewer, stream) = attach(&mut self.stage, session, it.metadata, it.data);
            it.viewer = Some(Reader {
                viewer,
                stream,
                next: 0,
            });
        }
    }

    /// A viewer reads on, and misses nothing that is there.
    fn look(&mut self) {
        let at = self.pick();
        let Self {
            stage, recordings, ..
        } = self;
        let it = &mut recordings[at];
        let Some(reader) = &mut it.viewer else {
            return;
        };
        let (status, begin) = next_packet(stage, &reader.viewer, reader.stream);
        if status != NextIndexStatus::Ok {
            return;
        }
        let sequence = begin / 1000;
        let (due, data) = (reader.next, it.data);
        assert!(sequence >= due, "{sequence} comes after {due}");
        reader.next = sequence + 1;
        if sequence == due {
            return;
        }
        let current = format!("host/s{}-", it.number);
        let tree = stage.storage.tree();
        let files = tree.iter().filter(|(path, _)| {
            let is_archive = path.names().any(|name| name.as_bytes() == b"archives");
            path.as_bytes().starts_with(current.as_bytes()) && !is_archive && is_data(path)
        });
        for (path, bytes) in files {
            for bytes in bytes.iter().flat_map(|bytes| bytes.chunks(PACKET)) {
                let missed = (due..sequence).find(|it| bytes == payload(data, *it));
                assert_eq!(missed, None, "it is in {path}, and was not read");
            }
        }
    }

    /// The relay is killed, and another one starts.
    fn restart(&mut self) {
        let storage = self.stage.storage.elsewhere();
        self.recordings.clear();
        self.stage = Stage::on(storage, capped(CAP));
        self.stage.settle();
        self.first_session = self.sessions + 1;
        (self.sent, self.cleared) = (0, 0);
    }

    /// The same while it removes something.
    fn restart_in_a_removal(&mut self) {
        let at = self.pick();
        let nth = 1 + self.dice.roll(8);
        let storage = &self.stage.storage;
        storage.fail(Operation::Remove, nth, "the machine stops");
        for _ in 0..16 {
            self.send_to(at);
        }
        self.stage.storage.forget_faults();
        self.restart();
        self.was_cut = true;
    }

    /// Packets on disk that the relay that runs has received.
    fn left(&self, sizes: &Sizes) -> u64 {
        let data = sizes.iter().filter(|(path, _)| is_data(path));
        let ours = data.filter(|(path, _)| number(path) >= Some(self.first_session));
        let files = ours.filter_map(|(_, size)| *size);
        files.map(|size| size / PACKET as u64).sum()
    }

    fn removed(&self) -> u64 {
        let removed = &self.stage.entities().totals.stock.removed;
        removed.iter().map(|removed| removed.packets).sum()
    }

    fn check(&mut self) {
        let sizes = self.stage.storage.sizes();
        let is_foreign = |path: &RelativePath| {
            let mut foreign = FOREIGN.iter();
            foreign.any(|(it, _)| path.as_bytes() == it.as_bytes())
        };
        let there = blocks(sizes.iter().filter(|(path, _)| !is_foreign(path)));
        // Files that were just made, and the metadata of all that is left.
        let slack = self.streams_max * (PACKET as u64 + 3 * 4096);
        assert!(there <= CAP + slack, "{there} bytes are on disk");
        let used = used(&self.stage);
        assert!(
            used.abs_diff(there) <= slack,
            "{used} are counted, {there} are there"
        );
        for (path, size) in FOREIGN {
            let path = RelativePath::parse(path.as_bytes()).unwrap();
            assert_eq!(sizes.get(&path), Some(&Some(size)), "{path}");
        }
        for path in sizes.keys().filter(|path| is_data(path)) {
            let is_cut = self.was_cut && number(path) < Some(self.first_session);
            check_file(&sizes, path, is_cut);
        }
        let known = self.left(&sizes) + self.removed() + self.cleared;
        assert_eq!(self.sent, known, "of {} packets", self.sent);
    }
}

/// The number of the session that a file is of.
fn number(path: &RelativePath) -> Option<u64> {
    let name = path.as_bytes().strip_prefix(b"host/s")?;
    let digits = name.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether it is a file of packets of a session.
fn is_data(path: &RelativePath) -> bool {
    let name = path.name();
    number(path).is_some() && name.starts_with(b"chan") && !name.ends_with(b".idx")
}

/// A data file has its metadata and whole packets, and its index the same number.
fn check_file(sizes: &Sizes, path: &RelativePath, is_cut: bool) {
    let size_of = |path: &RelativePath| sizes.get(path).copied().flatten();
    let size = size_of(path).unwrap();
    assert_eq!(size % PACKET as u64, 0, "{path}");
    let trace = path.parent().unwrap();
    let metadata = size_of(&trace.child("metadata").unwrap());
    assert!(metadata.is_some() || is_cut, "{path} has no metadata");
    let index = trace.child("index").unwrap();
    let index = index.child([path.name(), b".idx"].concat()).unwrap();
    let Some(index) = size_of(&index) else {
        assert_eq!(size, 0, "{path} has no index");
        return;
    };
    assert_eq!((index - 16) / 72, size / PACKET as u64, "{path}");
}

#[test]
fn whatever_happens_the_cap_holds_and_what_is_left_can_be_read() {
    let number = |name, default| {
        let given = std::env::var(name).ok();
        given.map_or(default, |text| text.parse().expect("a number"))
    };
    let first = number("BATON_HISTORIES_FIRST", 0);
    let seeds: u64 = number("BATON_HISTORIES", 8);
    for seed in first..first + seeds {
        let failed = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..150 {
                history.step();
            }
        });
        assert!(failed.is_ok(), "seed {seed}");
    }
}
