//! The cast: producers on a stage, and the rotations that their session daemons lead.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use baton_components::limits::{DRAIN_GRACE, PROBE_AGE_MAX, REPLY_PATIENCE};
use baton_components::path::RelativePath;
use baton_systems::settings::Settings;

use super::disk::Disk;
use super::model::{self, Chunks, Close};
use super::producer::Producer;
use super::reader;
use super::script::{Act, Cue, Leaving, Script};
use super::stranger;
use super::viewer::{Scene, Viewer};
use crate::stage::{self, Stage};
use crate::stranger::STRANGERS;

pub struct Cast {
    pub stage: Stage,
    pub producers: Vec<Producer>,
    pub origins: BTreeMap<u64, Origin>,
    pub viewers: Vec<Viewer>,
    pub disk: Disk,
    /// How long scripts have let time go by since nobody waited for packets.
    idled: Duration,
}

/// A session of a session daemon: its consumers go through its chunks together.
#[derive(Default)]
pub struct Origin {
    pub chunks: Chunks,
    current: Option<u64>,
    next: u64,
    /// Messages of the rotation that is going on, each with its producer.
    moves: VecDeque<(usize, Move)>,
    /// The chunk that it closes.
    closing: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Create {
        chunk: u64,
        old: Option<u64>,
    },
    Sample {
        target: Option<u64>,
    },
    Rotate {
        target: Option<u64>,
    },
    Metadata {
        target: Option<u64>,
    },
    CloseChunk {
        chunk: u64,
        next: Option<u64>,
        close: Close,
    },
}

impl Cast {
    pub fn new(script: &Script) -> Self {
        let mut stage = Stage::with(Settings {
            probes_disk: script.probes,
            ..Settings::default()
        });
        if !script.lateness.is_empty() {
            let mut lateness = script.lateness.clone().into_iter().cycle();
            let next = move || lateness.next().unwrap_or_default();
            stage.storage.answer_late(next);
        }
        if !script.cold.is_empty() {
            let mut cold = script.cold.clone().into_iter().cycle();
            stage.storage.chill(move || cold.next().unwrap_or_default());
        }
        let mut origins = BTreeMap::<u64, Origin>::new();
        let mut producers = Vec::new();
        for (number, setup) in script.producers.iter().enumerate() {
            let origin = origins.entry(setup.origin).or_default();
            if setup.minor >= 11 {
                origin.chunks.create(0, None, false);
                origin.current = Some(0);
                origin.next = 1;
            }
            producers.push(Producer::arrive(&mut stage, number, setup.clone()));
        }
        let viewers = (0..script.viewers)
            .map(|_| Viewer::arrive(&mut stage))
            .collect();
        Self {
            stage,
            producers,
            origins,
            viewers,
            disk: Disk::default(),
            idled: Duration::ZERO,
        }
    }

    /// Does what is possible of a cue.
    pub fn perform(&mut self, cue: &Cue) {
        if let Act::Pass(millis) = cue.act {
            let time = Duration::from_millis(millis);
            if self.idled + time < IDLE_MAX {
                self.idled += time;
                self.stage.pass(time);
            }
            return;
        }
        if let Act::View(view) = &cue.act {
            if !self.viewers.is_empty() {
                let viewer = cue.who % self.viewers.len();
                let scene = Scene {
                    producers: &self.producers,
                    origins: &self.origins,
                };
                self.viewers[viewer].act(&mut self.stage, scene, view);
            }
            return;
        }
        if let Act::Attack {
            stranger,
            place,
            close,
        } = cue.act
        {
            let producer = &self.producers[cue.who % self.producers.len()];
            if !producer.control_open && !reader::is_anything_left(self, producer) {
                // A directory in which nothing was recorded, or all of it deleted.
                return;
            }
            let stranger = STRANGERS[stranger % STRANGERS.len()];
            let place = PLACES[place % PLACES.len()];
            let place = format!("{}{place}", producer.directory());
            let place = RelativePath::parse(place.as_bytes()).unwrap();
            let place = place.below(&RelativePath::parse(b"host").unwrap()).unwrap();
            let close = [None, Some(0), Some(2)][close];
            return stranger.attack(&mut self.stage, &place.to_string(), close);
        }
        if let Act::Fault(fault) = &cue.act {
            // It is not one for what others have written before.
            self.stage.settle();
            self.disk.arm(&self.stage, fault);
            self.producers[SUFFERER].is_suffering = true;
            return;
        }
        let who = cue.who % self.producers.len();
        if let Act::Intrude(intrusion) = &cue.act {
            return stranger::intrude(&mut self.stage, &self.producers[who], intrusion);
        }
        if who != SUFFERER {
            self.disk.mend(&self.stage);
        }
        let producer = &mut self.producers[who];
        producer.race = cue.race.filter(|_| producer.data_open);
        producer.cut = cue.cut;
        self.act(who, &cue.act);
        self.producers[who].race = None;
        self.producers[who].cut = 0;
    }

    fn act(&mut self, who: usize, act: &Act) {
        let Self {
            stage, producers, ..
        } = self;
        let producer = &mut producers[who];
        if let Act::Deliver(amount) = act {
            return producer.deliver(stage, *amount);
        }
        if !producer.control_open {
            return;
        }
        match *act {
            Act::Produce {
                stream,
                size,
                padding,
                jump,
            } => producer.produce(stream, size, padding, jump),
            Act::Describe { stream, newer } => producer.describe(stage, stream, newer),
            Act::Beacon { stream } => producer.beacon(stage, stream),
            Act::Metadata { size, padding } => producer.send_metadata(stage, size, padding),
            Act::Add(limit) => producer.add(stage, limit),
            Act::Publish => {
                producer.race = None;
                producer.publish(stage);
            }
            Act::Pending => {
                producer.race = None;
                producer.ask_pending(stage);
            }
            Act::CloseStream { stream } => producer.close_stream(stage, stream),
            Act::Leave(leaving) => self.leave(who, leaving),
            Act::Rotate {
                close,
                late_metadata,
            } => self.rotate(who, close, late_metadata),
            Act::Stop { close } => self.stop(who, close),
            Act::Advance => {
                if let Some(origin) = self.origin(who)
                    && let Some((who, next)) = origin.moves.pop_front()
                {
                    self.advance(who, next);
                }
            }
            Act::Deliver(_)
            | Act::Pass(_)
            | Act::View(_)
            | Act::Fault(_)
            | Act::Intrude(_)
            | Act::Attack { .. } => {}
        }
    }

    fn origin(&mut self, who: usize) -> Option<&mut Origin> {
        let setup = &self.producers[who].setup;
        self.origins
            .get_mut(&setup.origin)
            .filter(|_| setup.minor >= 11)
    }

    fn consumers(&self, origin: u64) -> Vec<usize> {
        let producers = self.producers.iter();
        producers
            .filter(|it| it.setup.origin == origin && it.control_open)
            .map(|it| it.number)
            .collect()
    }

    /// Begins to go on to the next chunk, when the last rotation is complete.
    fn rotate(&mut self, who: usize, close: Close, late_metadata: bool) {
        self.finish(who);
        let consumers = self.consumers(self.producers[who].setup.origin);
        let Some(origin) = self.origin(who).filter(|it| it.next < CHUNKS_MAX) else {
            return;
        };
        let (chunk, old) = (origin.next, origin.current);
        if old.is_none() && consumers.is_empty() {
            return;
        }
        origin.next += 1;
        // Only the last chunk is closed without a command, by every session daemon
        // known: it goes back to where the next one wants to be too.
        let close = match close {
            Close::Nothing => Close::Archive,
            close => close,
        };
        origin.current = Some(chunk);
        origin.closing = old;
        let target = Some(chunk);
        let all = |it: Move| consumers.iter().map(move |who| (*who, it));
        origin.moves.extend(all(Move::Create { chunk, old }));
        for who in &consumers {
            origin.moves.push_back((*who, Move::Sample { target }));
            origin.moves.push_back((*who, Move::Rotate { target }));
        }
        if !late_metadata {
            origin.moves.extend(all(Move::Metadata { target }));
        }
        if let Some(old) = old {
            let next = target;
            origin.moves.extend(all(Move::CloseChunk {
                chunk: old,
                next,
                close,
            }));
        }
        if late_metadata {
            origin.moves.extend(all(Move::Metadata { target }));
        }
    }

    /// Begins to leave the chunk for none.
    fn stop(&mut self, who: usize, close: Close) {
        self.finish(who);
        let consumers = self.consumers(self.producers[who].setup.origin);
        let Some(origin) = self.origin(who) else {
            return;
        };
        let Some(chunk) = origin.current.take() else {
            return;
        };
        if close == Close::Nothing {
            origin.next = CHUNKS_MAX;
        }
        origin.closing = Some(chunk);
        let target = None;
        for who in &consumers {
            origin.moves.push_back((*who, Move::Sample { target }));
            origin.moves.push_back((*who, Move::Rotate { target }));
        }
        let all = |it: Move| consumers.iter().map(move |who| (*who, it));
        origin.moves.extend(all(Move::Metadata { target }));
        origin.moves.extend(all(Move::CloseChunk {
            chunk,
            next: None,
            close,
        }));
        for who in consumers {
            self.producers[who].is_tracing = false;
        }
    }

    /// Completes the rotation that is going on: a session daemon waits for that
    /// before it begins another.
    fn finish(&mut self, who: usize) {
        self.producers[who].race = None;
        while let Some((who, next)) = self.origin(who).and_then(|it| it.moves.pop_front()) {
            self.advance(who, next);
        }
        let consumers = self.consumers(self.producers[who].setup.origin);
        for who in &consumers {
            self.producers[*who].drain(&mut self.stage);
        }
        let Some(chunk) = self.origin(who).and_then(|it| it.closing) else {
            return;
        };
        let Self {
            stage, producers, ..
        } = self;
        // Those who left have packets on their way.
        let origin = producers[who].setup.origin;
        for gone in producers.iter_mut() {
            if gone.setup.origin == origin && !gone.control_open {
                gone.deliver(stage, usize::MAX);
                gone.end_data(stage, false);
            }
        }
        self.pass();
        let Self {
            stage, producers, ..
        } = self;
        if producers[who].control_open && !producers[who].is_suffering {
            let exists = producers[who].peers.chunk_exists(stage, chunk);
            assert!(!exists, "chunk {chunk} is left by all, and exists");
        }
    }

    /// Lets so much time pass that no stream waits for a connection that is not known.
    fn pass(&mut self) {
        self.idled = Duration::ZERO;
        self.stage.pass(GRACE);
        for producer in &mut self.producers {
            producer.models.iter_mut().for_each(model::Session::pass);
        }
    }

    fn advance(&mut self, who: usize, next: Move) {
        let Self {
            stage,
            producers,
            origins,
            ..
        } = self;
        let producer = &mut producers[who];
        if !producer.control_open {
            return;
        }
        let chunks = origins
            .get_mut(&producer.setup.origin)
            .map(|it| &mut it.chunks);
        match next {
            Move::Create { chunk, old } => {
                producer.expect_ok(stage, &stage::create_chunk(chunk));
                producer.chunk = Some(chunk);
                if let Some(chunks) = chunks {
                    chunks.create(chunk, old, producer.rotated);
                }
            }
            Move::Sample { target } => producer.sample(target),
            Move::Rotate { target } => {
                producer.rotate(stage, target);
                producer.is_tracing |= target.is_some();
            }
            Move::Metadata { target } => producer.rotate_metadata(stage, target),
            Move::CloseChunk { chunk, next, close } => {
                let command = match close {
                    Close::Nothing => None,
                    Close::Archive => Some(0),
                    Close::Delete => Some(2),
                };
                producer.close_chunk(stage, &stage::close_chunk(chunk, command));
                if let Some(chunks) = chunks {
                    chunks.close(chunk, next, close, producer.rotated);
                }
                producer.rotated |= close == Close::Archive;
                producer.chunk = next;
            }
        }
    }

    fn leave(&mut self, who: usize, leaving: Leaving) {
        let Self {
            stage, producers, ..
        } = self;
        let producer = &mut producers[who];
        producer.race = None;
        match leaving {
            Leaving::Orderly => {
                while producer.control_open && producer.open_stream(0).is_some() {
                    producer.close_stream(stage, 0);
                }
                if producer.control_open {
                    producer.close_metadata(stage);
                }
                producer.end_control(stage, false);
            }
            Leaving::ControlFirst => producer.end_control(stage, false),
            Leaving::DataFirst => {
                producer.end_data(stage, false);
                producer.end_control(stage, false);
            }
            Leaving::Reset => {
                producer.end_control(stage, true);
                producer.end_data(stage, true);
            }
            Leaving::ResetDataFirst => {
                producer.end_data(stage, true);
                producer.end_control(stage, true);
            }
        }
    }

    /// The disk is good again.
    pub fn mend(&mut self) {
        self.disk.mend(&self.stage);
    }

    /// Everybody breaks off while the disk does not answer.
    pub fn leave_a_dead_disk(&mut self) {
        self.stage.pass(PROBE_AGE_MAX);
        self.stage.storage.hold_answers(true);
        for producer in &mut self.producers {
            producer.deliver(&mut self.stage, usize::MAX);
            if producer.control_open {
                producer.peers.control.reset("reset");
            }
            producer.end_data(&mut self.stage, false);
        }
        self.stage.pass(2 * DRAIN_GRACE);
        assert_eq!(self.stage.storage.hanging_calls(), 0);
        self.stage.storage.hold_answers(false);
        self.stage.settle();
        for viewer in &mut self.viewers {
            viewer.leave(&mut self.stage);
        }
        self.stage.pass(2 * DRAIN_GRACE);
        self.stage.pass(REPLY_PATIENCE);
    }

    /// Everybody leaves, in its own way.
    pub fn leave_all(&mut self) {
        for who in 0..self.producers.len() {
            if who != SUFFERER {
                self.disk.mend(&self.stage);
            }
            if self.producers[who].control_open {
                self.leave(who, self.producers[who].setup.leaving);
            }
            let producer = &mut self.producers[who];
            producer.deliver(&mut self.stage, usize::MAX);
            producer.end_data(&mut self.stage, false);
        }
        self.pass();
        let scene = Scene {
            producers: &self.producers,
            origins: &self.origins,
        };
        for viewer in &mut self.viewers {
            viewer.read_to_the_end(&mut self.stage, scene);
            viewer.leave(&mut self.stage);
        }
        // Viewers that went away without taking their replies.
        self.stage.pass(REPLY_PATIENCE);
    }
}

/// Where strangers go, as seen from the directory of a session.
const PLACES: [&str; 9] = [
    "",
    "/x",
    "/ust",
    "/ust/uid/0",
    "/ust/uid/1/x",
    "/archives",
    "/.tmp_old_chunk",
    "/.tmp_new_chunk/ust",
    "/20261122T064436+0000-1",
];

/// Only what it does meets a bad disk.
const SUFFERER: usize = 0;
const CHUNKS_MAX: u64 = 8;
/// As long as a drain may take, and more; not so long that slow viewers are sent away.
const GRACE: Duration = Duration::from_secs(11);
/// Less than a drain may take, with all that passes unnoticed.
const IDLE_MAX: Duration = Duration::from_secs(4);
