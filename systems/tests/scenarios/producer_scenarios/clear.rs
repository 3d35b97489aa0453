//! Chunks that are deleted.

use baton_components::limits::NAMES_REMOVED_AT_ONCE;
use baton_components::wire::producer::code;

use super::*;

/// `CLOSE_TRACE_CHUNK` commands.
const ARCHIVE: u32 = 0;
const DELETE: u32 = 2;

#[test]
fn a_clear_deletes_files_while_a_viewer_reads() {
    let (mut scene, viewer) = Scene::watched();
    scene.packet(1);
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 2);
    assert_eq!(scene.close_chunk(0, Some(DELETE)), DIRECTORY);
    assert!(!scene.chunk_exists(0));
    assert_eq!(
        scene.names(),
        fresh_trace(""),
        "the new chunk takes the place of the old"
    );
    assert_eq!(scene.packets(""), [0; 0]);
    scene.packet(2);
    assert_eq!(scene.indexed(""), [2]);
    viewer.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_clear_that_is_not_allowed_deletes_nothing() {
    let mut scene = Scene::new();
    scene
        .stage
        .change(|settings| settings.clear_allowed = false);
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 1);
    let reply = scene
        .producer
        .ask(&mut scene.stage, &stage::close_chunk(0, Some(DELETE)));
    assert_eq!(
        reply,
        [&code::INVALID_PROTOCOL.to_be_bytes()[..], &[0, 0, 0, 1, 0]].concat()
    );
    assert!(scene.producer.control.is_closed());
    scene.producer.data.finish();
    scene.stage.assert_empty();
    let names = [
        trace(&format!("{CHUNK_0}/")),
        fresh_trace(&format!("{CHUNK_1}/")),
    ]
    .concat();
    assert_eq!(scene.names(), names);
}

#[test]
fn a_clear_waits_for_packets_on_their_way() {
    let mut scene = Scene::new();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 2);
    scene.close_chunk(0, Some(DELETE));
    assert!(scene.chunk_exists(0));
    scene.packet(1);
    assert!(!scene.chunk_exists(0));
    scene.packet(2);
    assert_eq!(scene.names(), trace(""));
    assert_eq!(scene.indexed(""), [2]);
    scene.end();
}

#[test]
fn a_clear_after_a_rotation_keeps_the_archives() {
    let mut scene = Scene::new();
    scene.rotate_to(1, 1, ARCHIVE);
    scene.packet(1);
    scene.rotate_to(2, 2, DELETE);
    scene.packet(2);
    let names = [
        trace(&format!("{CHUNK_2}/")),
        trace(&format!("{ARCHIVE_0}/")),
    ]
    .concat();
    assert_eq!(scene.names(), names);
    assert_eq!(scene.indexed(&format!("{CHUNK_2}/")), [2]);
    scene.end();
}

#[test]
fn a_stopped_session_is_cleared_and_started_again() {
    let mut scene = Scene::new();
    scene.rotate(None, 1);
    assert_eq!(scene.stage.chunk_holders(0), 1, "the session");
    assert_eq!(scene.close_chunk(0, Some(DELETE)), DIRECTORY);
    assert!(!scene.chunk_exists(0));
    assert_eq!(scene.names(), [""; 0]);
    assert!(
        scene.stage.tree().contains(&format!("{DIRECTORY}/")),
        "never removed"
    );
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 1);
    scene.packet(1);
    assert_eq!(scene.indexed(""), [1]);
    scene.end();
}

#[test]
fn a_clear_is_over_when_the_disk_has_removed_the_files() {
    let mut scene = Scene::new();
    scene.packet(1);
    scene.stage.storage.hold_answers(true);
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 2);
    assert_eq!(scene.close_chunk(0, Some(DELETE)), DIRECTORY);
    scene.packet(2);
    assert_eq!(scene.indexed(""), [2], "recording goes on meanwhile");
    assert!(scene.chunk_exists(0), "its files are there");
    let names = [trace(".tmp_old_chunk/"), trace("")].concat();
    assert_eq!(scene.names(), names);
    scene.stage.storage.hold_answers(false);
    scene.stage.settle();
    assert!(!scene.chunk_exists(0));
    assert_eq!(scene.names(), trace(""));
    scene.end();
}

#[test]
fn a_relay_names_what_the_disk_has_not_removed() {
    let mut scene = Scene::new();
    scene.stage.storage.hold_answers(true);
    scene.rotate_to(1, 1, DELETE);
    let place = format!("{DIRECTORY}/.tmp_old_chunk");
    assert_eq!(
        scene.stage.relay.unanswered(),
        [format!("files are being removed in {place}")]
    );
    scene.stage.storage.hold_answers(false);
    scene.end();
}

#[test]
fn a_clear_of_many_files_is_done_step_by_step() {
    let mut scene = Scene::new();
    scene.stage.storage.answer_late(|| 2);
    let mut positions = vec![(METADATA, 0), (DATA, 0)];
    for number in 0..NAMES_REMOVED_AT_ONCE {
        let directory = format!("ust/{number}");
        let stream = scene
            .producer
            .add_stream(&mut scene.stage, &directory, "chan_0");
        positions.push((stream, 0));
    }
    scene.ok(&stage::rotate(None, &positions));
    scene.close_chunk(0, Some(DELETE));
    assert!(!scene.chunk_exists(0));
    assert_eq!(scene.names(), [""; 0]);
    scene.end();
}

/// A viewer goes on reading a file that it has open.
#[test]
fn files_that_a_viewer_has_open_are_deleted() {
    let (mut scene, viewer) = Scene::watched();
    let first = viewer.ask(&mut scene.stage, Request::NextIndex { stream: DATA });
    assert_eq!(first[56..60], [0, 0, 0, 1], "{first:?}");
    scene.rotate_to(1, 1, DELETE);
    assert_eq!(scene.names(), fresh_trace(""));
    assert!(!scene.chunk_exists(0));
    viewer.leave(&mut scene.stage);
    assert_eq!(
        scene.stage.storage.open_files(),
        2,
        "those of the new chunk"
    );
    scene.end();
}

#[test]
fn an_application_exits_after_a_clear_and_leaves_nothing() {
    let (mut scene, viewer) = Scene::watched();
    scene.rotate_to(1, 1, DELETE);
    scene.close_streams(0);
    assert_eq!(scene.stage.chunk_holders(0), 0);
    assert_eq!(scene.stage.chunk_holders(1), 1, "the session");
    assert_eq!(scene.names(), fresh_trace(""));
    viewer.leave(&mut scene.stage);
    assert_eq!(scene.census(), "2 connections, 1 sessions, 1 chunks");
    scene.end();
}
