//! Viewers that follow a recording while it is played.

use std::collections::BTreeMap;

use baton_components::path::RelativePath;
use baton_components::wire::ctf_index::{HEADER_SIZE, IndexRecord, Version};
use baton_components::wire::viewer::{SEEK_BEGINNING, SEEK_LAST};

use baton_systems::memory::Stage;

use crate::capture::Capture;
use crate::dice::Dice;
use crate::producers::{Cuts, Producers, relay_as_recorded, tree_differences};
use crate::schedule::ScheduledAct;
use crate::viewer::Viewer;

/// A viewer that looks only at every n-th opportunity.
#[derive(Clone, Copy)]
pub struct Laziness(pub usize);

/// Follows from the start and gets every packet and all metadata, whatever comes
/// when.
pub fn from_the_beginning(
    capture: &Capture,
    steps: &[ScheduledAct],
    cuts: Cuts,
    window: usize,
    laziness: Laziness,
) {
    let mut dice = Dice::new(9);
    let mut stage = relay_as_recorded();
    let mut producers = Producers::new(capture, cuts);
    let mut viewer = Viewer::connect(&mut stage, minor(capture), window);
    let mut attached = false;
    for step in steps {
        producers.play(&mut stage, step);
        if !attached {
            attached = viewer.attach(&mut stage, SEEK_BEGINNING);
        } else if dice.up_to(laziness.0) == 0 && !viewer.finished {
            viewer.turn(&mut stage);
        }
    }
    leave(&mut stage, &mut viewer);
    compare(capture, &stage, &viewer, &BTreeMap::new());
}

/// Attaches in the middle: it gets the packets of existing streams that are completed from
/// then on, and all packets of later streams.
pub fn from_the_middle(capture: &Capture, steps: &[ScheduledAct]) {
    let mut stage = relay_as_recorded();
    let mut producers = Producers::new(capture, Cuts::None);
    let (first, second) = steps.split_at(steps.len() / 2);
    for step in first {
        producers.play(&mut stage, step);
    }
    let mut viewer = Viewer::connect(&mut stage, minor(capture), usize::MAX);
    assert!(
        viewer.attach(&mut stage, SEEK_LAST),
        "the session is listed"
    );
    let directory = capture.session_directory();
    let seen = viewer.data.values().map(|data| {
        let index = stage.storage.file(&index_path(&directory.join(&data.path)));
        (
            data.path.clone(),
            index.map_or(0, |index| records(&index).len()),
        )
    });
    let seen: BTreeMap<RelativePath, usize> = seen.collect();
    let passed: usize = seen.values().sum();
    assert!(
        passed > 0,
        "nothing was recorded before: the test tests nothing"
    );
    for step in second {
        producers.play(&mut stage, step);
        if !viewer.finished {
            viewer.turn(&mut stage);
        }
    }
    leave(&mut stage, &mut viewer);
    compare(capture, &stage, &viewer, &seen);
}

/// Reads to the end; then nothing may be left.
fn leave(stage: &mut Stage, viewer: &mut Viewer) {
    for _ in 0..TURNS_MAX {
        if viewer.finished {
            viewer.detach(stage);
            stage.assert_empty();
            return;
        }
        viewer.turn(stage);
    }
    panic!("the session does not end for its viewer");
}

/// The viewer has the content of the recorded files, without the packets that it was not to
/// get (`passed`, by stream).
fn compare(
    capture: &Capture,
    stage: &Stage,
    viewer: &Viewer,
    passed: &BTreeMap<RelativePath, usize>,
) {
    let lines = tree_differences(&stage.storage.tree(), &capture.tree);
    assert!(lines.is_empty(), "{}: {lines:#?}", capture.name);
    let directory = capture.session_directory();
    let mut seen = BTreeMap::new();
    for data in viewer.data.values() {
        assert_eq!(data.from_attach, passed.contains_key(&data.path));
        seen.insert(directory.join(&data.path), Some(data.bytes.clone()));
    }
    for metadata in viewer.metadata.values() {
        seen.insert(directory.join(&metadata.path), Some(metadata.bytes.clone()));
    }
    let is_index = |path: &RelativePath| {
        path.components()
            .any(|name| name == INDEX_DIRECTORY.as_bytes())
    };
    let mut expected = BTreeMap::new();
    for (path, bytes) in &capture.tree {
        let Some(bytes) = bytes.as_ref().filter(|_| !is_index(path)) else {
            continue;
        };
        let of_stream = passed
            .iter()
            .find(|(stream, _)| directory.join(stream) == *path);
        let start = of_stream.map_or(0, |(_, passed)| {
            let index = capture.tree.get(&index_path(path)).cloned().flatten();
            let records = records(&index.unwrap_or_default());
            records
                .get(*passed)
                .map_or(bytes.len(), |record| record.offset_bytes as usize)
        });
        expected.insert(path.clone(), Some(bytes[start..].to_vec()));
    }
    let lines = tree_differences(&seen, &expected);
    assert!(
        lines.is_empty(),
        "{}, as the viewer has it: {lines:#?}",
        capture.name
    );
}

fn records(index: &[u8]) -> Vec<IndexRecord> {
    let Ok(version) = Version::from_header(index) else {
        return Vec::new();
    };
    index[HEADER_SIZE..]
        .chunks_exact(version.record_size())
        .map(|record| IndexRecord::decode(version, record).expect("a whole record"))
        .collect()
}

/// The index file of a data file.
fn index_path(data: &RelativePath) -> RelativePath {
    let mut name = data.components().last().expect("a file").to_vec();
    name.extend_from_slice(b".idx");
    data.parent()
        .and_then(|directory| directory.child(INDEX_DIRECTORY).ok())
        .and_then(|directory| directory.child(name).ok())
        .expect("a file's path")
}

/// Protocol minor of the recorded viewers.
fn minor(capture: &Capture) -> u32 {
    if capture.name.starts_with("2.13-") {
        4
    } else {
        15
    }
}

const INDEX_DIRECTORY: &str = "index";
const TURNS_MAX: usize = 1000;
