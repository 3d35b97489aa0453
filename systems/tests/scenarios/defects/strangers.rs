//! Strangers: producers that name the places of others. Nothing that a session did not
//! make itself is removed, emptied, written to, renamed or added to.

use std::collections::BTreeMap;

use baton_systems::settings::Settings;

use super::*;
use crate::stranger::{STRANGERS, named_chunk};

/// Where the victim's session is.
const HOME: &str = "host/a/b/c";

/// The kind of the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    New,
    Rotated,
    Snapshot,
    Old,
}

/// How far it is when strangers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// It has a session, and no stream yet.
    Created,
    Recording,
    Over,
    /// It records, or is over, with another relay on the same disk than the strangers'.
    RecordingElsewhere,
    OverElsewhere,
}

/// Below the host's directory: above the victim's, that, and below it.
const PLACES: [&str; 12] = [
    "a",
    "a/b",
    "a/b/c",
    "a/b/c/x",
    "a/b/c/ust",
    "a/b/c/ust/uid",
    "a/b/c/ust/uid/0",
    "a/b/c/ust/uid/0/x",
    "a/b/c/archives",
    "a/b/c/snap",
    "a/b/c/snap/ust/uid/0",
    "a/b/c/20261122T064436+0000-1",
];

struct Victim {
    producer: Producer,
    kind: Kind,
    data: u64,
}

impl Victim {
    fn arrive(stage: &mut Stage, kind: Kind) -> Self {
        let session = CreateSession {
            base_path: b"a/b/c",
            snapshot: kind == Kind::Snapshot,
            ..stage::session("victim")
        };
        let minor = if kind == Kind::Old { 8 } else { 15 };
        let producer = Producer::create(stage, minor, session);
        match kind {
            Kind::New | Kind::Rotated => producer.expect_ok(stage, &stage::create_chunk(0)),
            Kind::Snapshot => producer.expect_ok(stage, &named_chunk(0, "snap")),
            Kind::Old => {}
        }
        let data = 0;
        Self {
            producer,
            kind,
            data,
        }
    }

    fn begin(&mut self, stage: &mut Stage) {
        let path = match self.kind {
            Kind::Old => format!("{HOME}/ust/uid/0"),
            _ => "ust/uid/0".to_owned(),
        };
        let (metadata, data) = self.producer.add_trace(stage, &path);
        self.data = data;
        self.producer.send_metadata(stage, metadata, b"metadata");
        self.producer.send_whole_packet(stage, data, 0);
        if self.kind == Kind::Rotated {
            self.producer.expect_ok(stage, &stage::create_chunk(1));
            let positions = [(metadata, 0), (data, 1)];
            let rotate = stage::rotate(Some(1), &positions);
            self.producer.expect_ok(stage, &rotate);
            self.producer.close_chunk(stage, 0, Some(0));
            self.producer.send_metadata(stage, metadata, b"metadata");
            self.producer.send_whole_packet(stage, data, 1);
        }
    }

    fn go_on(&self, stage: &mut Stage) {
        let sequence = if self.kind == Kind::Rotated { 2 } else { 1 };
        self.producer.send_whole_packet(stage, self.data, sequence);
    }
}

/// All that is in a directory.
fn content(stage: &Stage, directory: &str) -> BTreeMap<String, Option<Vec<u8>>> {
    let directory = RelativePath::parse(directory.as_bytes()).unwrap();
    let tree = stage.storage.tree().into_iter();
    tree.filter(|(path, _)| path.is_at_or_below(&directory))
        .map(|(path, bytes)| (path.to_string(), bytes))
        .collect()
}

fn attack_from_everywhere(kind: Kind, moment: Moment) {
    let mut stage = Stage::new();
    let mut victim = Victim::arrive(&mut stage, kind);
    if moment != Moment::Created {
        victim.begin(&mut stage);
    }
    if matches!(moment, Moment::Over | Moment::OverElsewhere) {
        victim.producer.leave(&mut stage);
    }
    let is_elsewhere = matches!(moment, Moment::OverElsewhere | Moment::RecordingElsewhere);
    let mut elsewhere =
        is_elsewhere.then(|| Stage::on(stage.storage.elsewhere(), Settings::default()));
    // To another relay the directory that several snapshots are in is nobody's.
    let own = match kind {
        Kind::Snapshot if is_elsewhere => format!("{HOME}/snap"),
        _ => HOME.to_owned(),
    };
    let before = content(&stage, &own);
    let mut closes = [None, Some(0), Some(2)].into_iter().cycle();
    for stranger in STRANGERS {
        for place in PLACES {
            let stage_of_stranger = elsewhere.as_mut().unwrap_or(&mut stage);
            stranger.attack(stage_of_stranger, place, closes.next().unwrap());
            let now = content(&stage, &own);
            assert_eq!(now, before, "{kind:?} {moment:?}: {stranger:?} at {place}");
        }
    }
    match moment {
        Moment::Created => victim.begin(&mut stage),
        Moment::Recording | Moment::RecordingElsewhere => victim.go_on(&mut stage),
        Moment::Over | Moment::OverElsewhere => return stage.assert_empty(),
    }
    let garbage = content(&stage, &own).into_iter().find(|(_, bytes)| {
        let mut bytes = bytes.iter().flat_map(|bytes| bytes.windows(7));
        bytes.any(|bytes| bytes == b"garbage")
    });
    assert_eq!(garbage.map(|(path, _)| path), None, "{kind:?} {moment:?}");
    victim.producer.leave(&mut stage);
    stage.assert_empty();
}

const LATER_MOMENTS: [Moment; 4] = [
    Moment::Recording,
    Moment::Over,
    Moment::RecordingElsewhere,
    Moment::OverElsewhere,
];

#[test]
fn a_session_is_out_of_reach_of_strangers() {
    attack_from_everywhere(Kind::New, Moment::Created);
    for moment in LATER_MOMENTS {
        attack_from_everywhere(Kind::New, moment);
    }
}

#[test]
fn a_session_that_has_rotated_is_out_of_reach_of_strangers() {
    for moment in LATER_MOMENTS {
        attack_from_everywhere(Kind::Rotated, moment);
    }
}

#[test]
fn a_snapshot_is_out_of_reach_of_strangers() {
    attack_from_everywhere(Kind::Snapshot, Moment::Created);
    for moment in LATER_MOMENTS {
        attack_from_everywhere(Kind::Snapshot, moment);
    }
}

#[test]
fn a_session_of_an_old_producer_is_out_of_reach_of_strangers() {
    for moment in LATER_MOMENTS {
        attack_from_everywhere(Kind::Old, moment);
    }
}
