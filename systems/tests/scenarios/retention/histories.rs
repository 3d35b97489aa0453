//! Histories of many sessions, drawn from a seed: whatever happens, there is no more on disk
//! than the cap and what is being written, and what is left can be read.

use std::collections::BTreeMap;

use baton_components::path::RelativePath;
use baton_systems::memory::MemoryStorage;

use super::{
    CAP, PACKET, attach, begin_named, capped, end, next_index, on_disk, put, rotate, send, used,
};
use crate::stage::{Producer, Stage, Viewer};

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
    producer: Producer,
    metadata: u64,
    data: u64,
    sequence: u64,
    chunk: u64,
    viewer: Option<(Viewer, u64)>,
}

struct History {
    dice: Dice,
    stage: Stage,
    recordings: Vec<Recording>,
    sessions: u64,
    streams_max: u64,
}

const FOREIGN: [(&str, usize); 2] = [("host/theirs/ust/chan_0", 5 << 20), ("notes", 10)];

impl History {
    fn new(seed: u64) -> Self {
        let stage = Stage::with(capped(CAP));
        for (path, size) in FOREIGN {
            put(&stage, path, &vec![9; size]);
        }
        Self {
            dice: Dice(seed),
            stage,
            recordings: Vec::new(),
            sessions: 0,
            streams_max: 0,
        }
    }

    fn step(&mut self) {
        let count = self.recordings.len() as u64;
        match self.dice.roll(40) {
            0 if count < 3 => self.begin(),
            1 if count > 1 => self.end(),
            2 if count > 0 => self.rotate(Some(0)),
            3 if count > 0 => self.rotate(Some(2)),
            4 if count > 0 => self.watch(),
            5 => self.restart(),
            6 => {
                let seconds = self.dice.roll(20);
                self.stage.pass(std::time::Duration::from_secs(seconds));
            }
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
        let recording = self.recordings.swap_remove(at);
        if let Some((viewer, _)) = recording.viewer {
            viewer.leave(&mut self.stage);
        }
        end(
            &mut self.stage,
            &recording.producer,
            &[recording.data, recording.metadata],
        );
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

    fn send(&mut self) {
        let at = self.pick();
        let it = &mut self.recordings[at];
        send(&mut self.stage, &it.producer, it.data, it.sequence);
        it.sequence += 1;
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
            it.viewer = Some(attach(&mut self.stage, session, it.metadata, it.data));
        }
    }

    fn look(&mut self) {
        let at = self.pick();
        if let Some((viewer, stream)) = &self.recordings[at].viewer {
            next_index(&mut self.stage, viewer, *stream);
        }
    }

    /// The relay is killed, and another one starts.
    fn restart(&mut self) {
        let storage = self.stage.storage.elsewhere();
        self.recordings.clear();
        self.stage = Stage::on(storage, capped(CAP));
        self.stage.settle();
    }

    fn check(&mut self) {
        let foreign: u64 = FOREIGN
            .iter()
            .map(|(_, size)| (*size as u64).next_multiple_of(4096))
            .sum();
        let there = on_disk(&self.stage.storage) - foreign;
        // Files that were just made, and the metadata of all that is left.
        let slack = self.streams_max * (PACKET as u64 + 3 * 4096);
        assert!(there <= CAP + slack, "{there} bytes are on disk");
        let used = used(&self.stage);
        assert!(
            used.abs_diff(there) <= slack,
            "{used} are counted, {there} are there"
        );
        for (path, size) in FOREIGN {
            assert_eq!(self.stage.file(path).len(), size);
        }
        check_traces(&self.stage.storage);
    }
}

/// Every data file has its metadata and whole packets, and its index the same number.
fn check_traces(storage: &MemoryStorage) {
    let tree: BTreeMap<RelativePath, Option<Vec<u8>>> = storage.tree();
    for (path, bytes) in &tree {
        let Some(bytes) = bytes else { continue };
        let is_ours = path.as_bytes().starts_with(b"host/s");
        if !is_ours || !path.name().starts_with(b"chan") || path.name().ends_with(b".idx") {
            continue;
        }
        assert_eq!(bytes.len() % PACKET, 0, "{path}");
        let trace = path.parent().unwrap();
        let metadata = tree.get(&trace.child("metadata").unwrap());
        assert!(
            metadata.is_some_and(Option::is_some),
            "{path} has no metadata"
        );
        let index = trace.child("index").unwrap();
        let index = index.child([path.name(), b".idx"].concat()).unwrap();
        let Some(Some(index)) = tree.get(&index) else {
            assert!(bytes.is_empty(), "{path} has no index");
            continue;
        };
        assert_eq!((index.len() - 16) / 72, bytes.len() / PACKET, "{path}");
    }
}

#[test]
fn whatever_happens_the_cap_holds_and_what_is_left_can_be_read() {
    let seeds = std::env::var("BATON_HISTORIES").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(8);
    for seed in 0..seeds {
        let failed = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..150 {
                history.step();
            }
        });
        assert!(failed.is_ok(), "seed {seed}");
    }
}
