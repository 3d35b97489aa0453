//! Producers that play a recording to a relay on ports in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_components::path::RelativePath;
use baton_systems::memory::{Peer, Stage};
use baton_systems::settings::{HoldBack, Settings};

use crate::capture::{Capture, Tree};
use crate::dice::Dice;
use crate::schedule::{Act, ScheduledAct};

/// A relay as those that were recorded. Names have the time that producers say, and local time
/// was UTC, so what the clock shows is of no account.
pub fn relay_as_recorded() -> Stage {
    Stage::with(Settings {
        hold_back: HoldBack::Fixed(Duration::ZERO),
        ..Settings::default()
    })
}

/// How the bytes of a connection are cut on their way.
#[derive(Clone, Copy)]
pub enum Cuts {
    None,
    /// One receive, one byte; some at once in every second message, and in the middle
    /// of long ones, so that it takes seconds and not minutes.
    EveryByte,
    /// Random sizes: most of them small, some larger than a message.
    Seeded(u64),
}

impl Cuts {
    fn open(self, peer: &Peer, connection: usize) {
        match self {
            Self::None | Self::EveryByte => {}
            Self::Seeded(seed) => {
                let mut dice = Dice::new(seed + connection as u64);
                peer.cut_by(move || match dice.up_to(3) {
                    0 => 1 + dice.up_to(2000),
                    _ => 1 + dice.up_to(60),
                });
            }
        }
    }
}

/// The sizes for a message of `size` bytes that is sent in one go.
fn cut_every_byte(peer: &Peer, size: usize, is_coarse: bool) {
    let edge = if is_coarse { COARSE_BYTES } else { 1 };
    let mut sent = 0;
    peer.cut_by(move || {
        let middle = EDGE_BYTES..size.saturating_sub(EDGE_BYTES);
        let piece = if middle.contains(&sent) {
            (middle.end - sent).min(MIDDLE_BYTES)
        } else {
            edge
        };
        sent += piece;
        piece
    });
}

/// The producers of a capture.
pub struct Producers<'a> {
    capture: &'a Capture,
    cuts: Cuts,
    peers: BTreeMap<usize, Peer>,
    messages: usize,
}

impl<'a> Producers<'a> {
    pub fn new(capture: &'a Capture, cuts: Cuts) -> Self {
        Self {
            capture,
            cuts,
            peers: BTreeMap::new(),
            messages: 0,
        }
    }

    /// Does one step; the relay has done all about it when this returns.
    pub fn play(&mut self, stage: &mut Stage, step: &ScheduledAct) {
        if let (Act::Send(range), Some(peer)) = (&step.act, self.peers.get(&step.connection)) {
            assert!(
                range.is_empty() || !peer.is_closed(),
                "the relay closed connection {} before byte {}",
                step.connection,
                range.start
            );
        }
        self.try_play(stage, step);
    }

    /// The same, and the relay may have closed the connection.
    pub fn try_play(&mut self, stage: &mut Stage, step: &ScheduledAct) {
        let recorded = &self.capture.connections[step.connection];
        match &step.act {
            Act::Open => {
                let name = format!("producer-{:02}", step.connection);
                let peer = stage.network.connect(recorded.endpoint, &name);
                self.cuts.open(&peer, step.connection);
                self.peers.insert(step.connection, peer);
            }
            Act::Send(range) if range.is_empty() => self.peers[&step.connection].finish(),
            Act::Send(range) => {
                let peer = &self.peers[&step.connection];
                if matches!(self.cuts, Cuts::EveryByte) {
                    self.messages += 1;
                    cut_every_byte(peer, range.len(), self.messages.is_multiple_of(2));
                }
                peer.write(&recorded.sent[range.clone()]);
            }
        }
        stage.settle();
    }

    /// All that the relay sent, by connection.
    pub fn received(&self) -> BTreeMap<usize, Vec<u8>> {
        let received = |(number, peer): (&usize, &Peer)| (*number, peer.take_received());
        self.peers.iter().map(received).collect()
    }
}

/// Differences of two trees, one line each.
pub fn tree_differences(ours: &Tree, recorded: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let paths: BTreeSet<&RelativePath> = ours.keys().chain(recorded.keys()).collect();
    for path in paths {
        match (ours.get(path), recorded.get(path)) {
            (Some(ours), Some(recorded)) if ours == recorded => {}
            (Some(Some(ours)), Some(Some(recorded))) => {
                let same = ours.iter().zip(recorded).take_while(|(a, b)| a == b);
                lines.push(format!(
                    "{path}: {} bytes, {} in the recording, the first {} are the same",
                    ours.len(),
                    recorded.len(),
                    same.count()
                ));
            }
            (Some(_), Some(_)) => lines.push(format!("{path} is of another kind")),
            (Some(_), None) => lines.push(format!("{path} is not in the recording")),
            (None, _) => lines.push(format!("{path} is missing")),
        }
    }
    lines
}

/// Of a long message so much at both ends is cut finely.
const EDGE_BYTES: usize = 110;
const MIDDLE_BYTES: usize = 331;
/// Prime, so that cuts fall at other places in each message.
const COARSE_BYTES: usize = 7;
