//! Rotations to another chunk, and what cuts them short.

use super::*;

#[test]
fn a_rotation_moves_streams_and_archives_their_chunk() {
    let (mut scene, viewer) = Scene::watched();
    scene.ok(&stage::create_chunk(1));
    assert_eq!(scene.stage.chunk_holders(0), 3, "the session, two streams");
    assert_eq!(scene.stage.chunk_holders(1), 1, "the session");
    let created = [vec![".tmp_new_chunk/".to_owned()], trace(".tmp_old_chunk/")].concat();
    assert_eq!(scene.names(), created);

    scene.rotate(Some(1), 1);
    assert_eq!(scene.stage.chunk_holders(0), 1, "the session");
    assert_eq!(scene.stage.chunk_holders(1), 3, "the session, two streams");
    let rotated = [fresh_trace(".tmp_new_chunk/"), trace(".tmp_old_chunk/")].concat();
    assert_eq!(scene.names(), rotated);
    assert!(scene.chunk_exists(0));

    let path = scene.close_chunk(0, Some(0));
    // Ours: the original tells the session's directory the first time.
    assert_eq!(path, format!("{DIRECTORY}/{ARCHIVE_0}"));
    assert_eq!(scene.stage.chunk_holders(0), 0);
    assert!(!scene.chunk_exists(0));
    let closed = [
        fresh_trace(&format!("{CHUNK_1}/")),
        trace(&format!("{ARCHIVE_0}/")),
    ]
    .concat();
    assert_eq!(scene.names(), closed);

    scene.packet(1);
    assert_eq!(scene.packets(&format!("{ARCHIVE_0}/")), [0]);
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), [1]);
    viewer.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn rotations_follow_each_other() {
    let mut scene = Scene::new();
    scene.rotate_to(1, 1, 0);
    scene.packet(1);
    let path = scene.rotate_to(2, 2, 0);
    assert_eq!(path, format!("{DIRECTORY}/{ARCHIVE_1}"));
    scene.packet(2);
    for (place, number) in [(ARCHIVE_0, 0), (ARCHIVE_1, 1), (CHUNK_2, 2)] {
        assert_eq!(scene.indexed(&format!("{place}/")), [number]);
    }
    // The last one, when the session is destroyed.
    scene.rotate(None, 3);
    scene.close_chunk(2, Some(0));
    scene.close_streams(2);
    assert!(
        scene
            .names()
            .iter()
            .all(|name| name.starts_with("archives/"))
    );
    scene.end();
}

#[test]
fn a_stopped_session_is_rotated_and_started_again() {
    let mut scene = Scene::new();
    scene.rotate(None, 1);
    scene.close_chunk(0, Some(0));
    assert!(!scene.chunk_exists(0));
    assert_eq!(scene.names(), trace(&format!("{ARCHIVE_0}/")));
    scene.ok(&stage::create_chunk(1));
    assert_eq!(scene.names()[0], format!("{CHUNK_1}/"));
    scene.rotate(Some(1), 1);
    scene.packet(1);
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), [1]);
    scene.end();
}

#[test]
fn a_rotation_waits_for_packets_that_lag() {
    let mut scene = Scene::new();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 3);
    assert_eq!(
        scene.stage.chunk_holders(0),
        2,
        "the session, the data stream"
    );
    assert_eq!(
        scene.stage.chunk_holders(1),
        3,
        "the session, the metadata, the rotation"
    );
    scene.close_chunk(0, Some(0));
    assert_eq!(scene.stage.chunk_holders(0), 1, "the data stream");
    let waiting = [
        ".tmp_old_chunk/ust/chan_0",
        ".tmp_old_chunk/ust/index/chan_0.idx",
        ".tmp_old_chunk/ust/metadata",
    ];
    assert_eq!(scene.names()[..3], waiting);
    scene.packet(1);
    assert!(scene.chunk_exists(0));
    scene.index(2);
    assert!(scene.chunk_exists(0));
    scene.bytes(2);
    assert!(!scene.chunk_exists(0));
    assert_eq!(scene.indexed(&format!("{ARCHIVE_0}/")), [0, 1, 2]);
    scene.packet(3);
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), [3]);
    scene.end();
}

/// The tracer's count passes over the position: the packet that jumps stays behind.
#[test]
fn a_rotation_is_passed_by_a_jump() {
    let mut scene = Scene::new();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 3);
    let jump = baton_components::wire::producer::SendIndex {
        packet_sequence: 7,
        ..stage::index(DATA, 1)
    };
    scene.bytes(1);
    scene.ok(&Command::SendIndex(jump));
    scene.packet(2);
    scene.close_chunk(0, Some(0));
    assert_eq!(scene.packets(&format!("{ARCHIVE_0}/")), [0, 1]);
    assert_eq!(scene.packets(&format!("{CHUNK_1}/")), [2]);
    scene.end();
}

#[test]
fn metadata_rotates_after_the_close() {
    let mut scene = Scene::new();
    scene.ok(&stage::create_chunk(1));
    scene.ok(&stage::rotate(Some(1), &[(DATA, 1)]));
    scene.close_chunk(0, Some(0));
    scene
        .producer
        .send_metadata(&mut scene.stage, METADATA, b" and more");
    assert!(scene.chunk_exists(0));
    scene.ok(&stage::rotate(Some(1), &[(METADATA, 0)]));
    assert!(!scene.chunk_exists(0));
    scene
        .producer
        .send_metadata(&mut scene.stage, METADATA, b"all of it");
    let metadata = |place: &str| {
        scene
            .stage
            .file(&format!("{DIRECTORY}/{place}/ust/metadata"))
    };
    assert_eq!(metadata(ARCHIVE_0), b"metadata and more");
    assert_eq!(metadata(CHUNK_1), b"all of it");
    scene.end();
}

/// Ours: the original leaves both chunks behind temporary names.
#[test]
fn both_chunks_stay_when_control_ends_between_create_and_close() {
    let (mut scene, viewer) = Scene::watched();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 1);
    scene.packet(1);
    scene.producer.leave(&mut scene.stage);
    viewer.leave(&mut scene.stage);
    scene.stage.assert_empty();
    assert_eq!(
        scene.names(),
        [trace(&format!("{CHUNK_0}/")), trace(&format!("{CHUNK_1}/"))].concat()
    );
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), [1]);
}

#[test]
fn a_new_chunk_goes_when_control_ends_before_any_stream_moved() {
    let mut scene = Scene::new();
    scene.ok(&stage::create_chunk(1));
    scene.producer.leave(&mut scene.stage);
    scene.stage.assert_empty();
    assert_eq!(scene.names(), trace(&format!("{CHUNK_0}/")));
}

/// Ours: the new chunk is let go with the stream, whoever still reads the stream.
#[test]
fn a_chunk_is_archived_when_control_ends_before_a_stream_left_it() {
    let (mut scene, viewer) = Scene::watched();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 3);
    scene.close_chunk(0, Some(0));
    scene.producer.leave(&mut scene.stage);
    assert!(scene.stage.stream(DATA).unwrap().rare().rotation.is_none());
    assert_eq!(scene.stage.chunk_holders(0), 0);
    let names = [
        vec![format!("{CHUNK_1}/ust/metadata")],
        trace(&format!("{ARCHIVE_0}/")),
    ];
    assert_eq!(scene.names(), names.concat());
    viewer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}

#[test]
fn two_sessions_share_their_chunks() {
    let mut scene = Scene::new();
    let other = Producer::create(&mut scene.stage, 15, stage::session("session"));
    other.expect_ok(&mut scene.stage, &stage::create_chunk(0));
    let (metadata, data) = other.add_trace(&mut scene.stage, "kernel");
    other.send_whole_packet(&mut scene.stage, data, 0);
    assert_eq!(
        scene.stage.chunk_holders(0),
        6,
        "two sessions, four streams"
    );

    scene.ok(&stage::create_chunk(1));
    let moved = scene.names();
    other.expect_ok(&mut scene.stage, &stage::create_chunk(1));
    assert_eq!(scene.names(), moved, "moved once");
    assert_eq!(scene.stage.chunk_holders(1), 2, "two sessions");

    scene.rotate(Some(1), 1);
    scene.close_chunk(0, Some(0));
    assert!(scene.chunk_exists(0));
    scene.producer.leave(&mut scene.stage);
    assert!(other.chunk_exists(&mut scene.stage, 0));

    let positions = [(metadata, 0), (data, 1)];
    other.expect_ok(&mut scene.stage, &stage::rotate(Some(1), &positions));
    let path = other.close_chunk(&mut scene.stage, 0, Some(0));
    assert_eq!(path, format!("{DIRECTORY}/{ARCHIVE_0}"));
    assert!(!other.chunk_exists(&mut scene.stage, 0), "archived once");
    assert_eq!(scene.packets(&format!("{ARCHIVE_0}/")), [0]);
    let kernel = format!("{DIRECTORY}/{ARCHIVE_0}/kernel/chan_0");
    assert_eq!(scene.stage.file(&kernel), stage::payload(data, 0));
    other.leave(&mut scene.stage);
    scene.end();
}

/// The order of a session daemon with two consumers: all create, all move, all close.
#[test]
fn two_sessions_rotate_side_by_side() {
    let mut scene = Scene::new();
    let other = Producer::create(&mut scene.stage, 15, stage::session("session"));
    other.expect_ok(&mut scene.stage, &stage::create_chunk(0));
    let (metadata, data) = other.add_trace(&mut scene.stage, "kernel");
    for (chunk, position) in [(1, 1), (2, 1)] {
        scene.ok(&stage::create_chunk(chunk));
        other.expect_ok(&mut scene.stage, &stage::create_chunk(chunk));
        let positions = [(metadata, 0), (data, 0)];
        other.expect_ok(&mut scene.stage, &stage::rotate(Some(chunk), &positions));
        scene.rotate(Some(chunk), position);
        let first = scene.close_chunk(chunk - 1, Some(0));
        let second = other.close_chunk(&mut scene.stage, chunk - 1, Some(0));
        assert_eq!(first, second);
        assert!(!scene.chunk_exists(chunk - 1));
    }
    let names = scene.names();
    assert!(
        names.iter().all(|name| !name.contains(".tmp")),
        "{names:#?}"
    );
    assert!(names.contains(&format!("{CHUNK_2}/kernel/metadata")));
    assert!(names.contains(&format!("{ARCHIVE_1}/kernel/metadata")));
    other.leave(&mut scene.stage);
    scene.end();
}
