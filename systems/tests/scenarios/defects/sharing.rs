//! Directories that several sessions share, and what each of them makes there.

use baton_components::wire::producer::{AddStream, Command, code};

use super::*;
use crate::stage::DIRECTORY;
use crate::stranger::named_chunk;

const CUSTOM: &str = "host/my/custom/path";

/// A snapshot session of a session daemon, in [`CUSTOM`].
fn snapshot_session(daemon: u8, session: u64) -> CreateSession<'static> {
    let command = stage::session("session");
    CreateSession {
        base_path: b"my/custom/path",
        snapshot: true,
        origin: command.origin.map(|origin| Origin {
            daemon: [daemon; 16],
            session,
            ..origin
        }),
        ..command
    }
}

/// Takes a snapshot: where its chunk says that it is, and its data stream.
fn take(stage: &mut Stage, daemon: u8, session: u64, name: &str) -> (Producer, String, u64) {
    let producer = Producer::create(stage, 13, snapshot_session(daemon, session));
    producer.expect_ok(stage, &named_chunk(0, name));
    let metadata = producer.add_stream(stage, "ust/uid/0", "metadata");
    let data = producer.add_stream(stage, "ust/uid/0", "chan_0");
    producer.send_metadata(stage, metadata, b"metadata");
    producer.send_packet(stage, data, 0, &stage::payload(data, 0));
    producer.close_stream(stage, data, Some(0));
    producer.close_stream(stage, metadata, None);
    let path = producer.close_chunk(stage, 0, None);
    (producer, path, data)
}

fn assert_taken(stage: &Stage, path: &str, data: u64) {
    let file = stage.file(&format!("{path}/ust/uid/0/chan_0"));
    assert_eq!(file, stage::payload(data, 0), "{path}");
}

/// Consumers keep the connections of snapshots that they took.
#[test]
fn snapshots_of_one_session_daemon_share_a_path() {
    let mut stage = Stage::new();
    let mut producers = Vec::new();
    for (daemon, session, name, expected) in [
        (1, 0, "snapshot-1-T-0", format!("{CUSTOM}/snapshot-1-T-0")),
        (1, 1, "snapshot-1-U-0", format!("{CUSTOM}/snapshot-1-U-0")),
        (1, 2, "snapshot-1-U-0", format!("{CUSTOM}/snapshot-1-U-0-2")),
        (2, 0, "snapshot-1-T-0", format!("{CUSTOM}-2/snapshot-1-T-0")),
    ] {
        let (producer, path, data) = take(&mut stage, daemon, session, name);
        assert_eq!(path, expected);
        producers.push((producer, path, data));
    }
    for (producer, path, data) in &producers {
        assert_taken(&stage, path, *data);
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

/// Others close them.
#[test]
fn a_path_of_snapshots_is_known_when_their_sessions_are_over() {
    let mut stage = Stage::new();
    for (daemon, name, expected) in [
        (1, "a", format!("{CUSTOM}/a")),
        (1, "b", format!("{CUSTOM}/b")),
        (2, "c", format!("{CUSTOM}-2/c")),
        (1, "b", format!("{CUSTOM}/b-2")),
    ] {
        let (producer, path, data) = take(&mut stage, daemon, 0, name);
        producer.leave(&mut stage);
        assert_eq!(path, expected);
        assert_taken(&stage, &path, data);
    }
    stage.assert_empty();
}

/// Streams of its own directory would be among those of others.
#[test]
fn a_snapshot_without_a_name_has_a_directory_of_its_own() {
    let mut stage = Stage::new();
    for number in ["", "-2"] {
        let producer = Producer::create(&mut stage, 13, snapshot_session(1, 0));
        producer.expect_ok(&mut stage, &stage::create_chunk(0));
        let (_, data) = producer.add_trace(&mut stage, "ust");
        producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
        producer.leave(&mut stage);
        let path = format!("{CUSTOM}/20261122T064435+0000-0{number}/ust/chan_0");
        assert_eq!(stage.file(&path), stage::payload(data, 0));
    }
    stage.assert_empty();
}

/// The code in the reply, and the handle.
fn add(stage: &mut Stage, producer: &Producer, path: &str, ring: bool) -> (u32, u64) {
    let reply = producer.ask(
        stage,
        &Command::AddStream(AddStream {
            channel: b"chan",
            path: path.as_bytes(),
            tracefile_size: if ring { 64 } else { 0 },
            tracefile_count: u64::from(ring),
            chunk: None,
        }),
    );
    let code = u32::from_be_bytes(reply[8..].try_into().unwrap());
    (code, u64::from_be_bytes(*reply.first_chunk().unwrap()))
}

/// Each of up to three consumers has a session here, of one name and host.
#[test]
fn the_consumers_of_an_old_session_share_its_directory_and_no_trace() {
    let mut stage = Stage::new();
    let create = |stage: &mut Stage, name| Producer::create(stage, 8, stage::session(name));
    let consumers = [create(&mut stage, "session"), create(&mut stage, "session")];
    let stranger = create(&mut stage, "stranger");
    let home = "host/session-20261122-064435";
    for (who, path, expected) in [
        (0, "ust/uid/0/64-bit", code::OK),
        (1, "ust/uid/0/32-bit", code::OK),
        (0, "ust/uid/1/64-bit", code::OK),
        (1, "ust/uid/1/64-bit", code::UNKNOWN_ERR),
        (1, "ust/uid/1/64-bit/below", code::UNKNOWN_ERR),
        (1, "ust/uid/1/64-bit/index", code::UNKNOWN_ERR),
        (1, "ust/uid/1", code::UNKNOWN_ERR),
        (1, "ust", code::UNKNOWN_ERR),
        (1, "kernel", code::OK),
        (0, "kernel", code::UNKNOWN_ERR),
    ] {
        let path = format!("{home}/{path}");
        let (code, stream) = add(&mut stage, &consumers[who], &path, false);
        assert_eq!(code, expected, "consumer {who} at {path}");
        if code == code::OK {
            let packet = stage::payload(stream, 0);
            consumers[who].send_packet(&mut stage, stream, 0, &packet);
            assert_eq!(stage.file(&format!("{path}/chan")), packet);
        }
        let (code, _) = add(&mut stage, &stranger, &path, false);
        assert_eq!(code, code::UNKNOWN_ERR, "a stranger at {path}");
    }
    for producer in consumers.iter().chain([&stranger]) {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

/// A ring makes its files anew again and again.
#[test]
fn a_ring_that_came_first_takes_nothing_from_whom_it_was_meant_for() {
    for minor in [8, 15] {
        let mut stage = Stage::new();
        let stranger = Producer::create(&mut stage, 8, stage::session("stranger"));
        let path = format!("{DIRECTORY}/ust");
        let (code, ring) = add(&mut stage, &stranger, &path, true);
        assert_eq!(code, code::OK);
        let victim = Producer::create(&mut stage, minor, stage::session("session"));
        let own = if minor < 11 {
            // A whole path leaves no choice: it is told so at once.
            let (code, _) = add(&mut stage, &victim, &path, false);
            assert_eq!(code, code::UNKNOWN_ERR);
            format!("{DIRECTORY}-other/ust")
        } else {
            victim.expect_ok(&mut stage, &stage::create_chunk(0));
            "ust".to_owned()
        };
        let (code, stream) = add(&mut stage, &victim, &own, false);
        assert_eq!(code, code::OK);
        for sequence in 0..3 {
            victim.send_packet(
                &mut stage,
                stream,
                sequence,
                &stage::payload(stream, sequence),
            );
            stranger.send_packet(&mut stage, ring, sequence, &stage::payload(ring, sequence));
        }
        let packets = [0, 1, 2].map(|sequence| stage::payload(stream, sequence));
        let own = if minor < 11 {
            own
        } else {
            format!("{DIRECTORY}-2/ust")
        };
        assert_eq!(stage.file(&format!("{own}/chan")), packets.concat());
        assert_eq!(
            stage.file(&format!("{path}/chan_0")),
            stage::payload(ring, 2)
        );
        victim.leave(&mut stage);
        stranger.leave(&mut stage);
        stage.assert_empty();
    }
}

/// A rename would replace an empty directory without a word.
#[test]
fn empty_directories_of_others_are_kept() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let mut theirs = Vec::new();
    for name in [
        ".tmp_old_chunk",
        ".tmp_new_chunk",
        "20261122T064436+0000-1",
        "archives/20261122T064435+0000-20261122T064535+0000-0",
    ] {
        let path = format!("{DIRECTORY}/{name}");
        let path = RelativePath::parse(path.as_bytes()).unwrap();
        stage.storage.create_directory(&path).unwrap();
        theirs.push(path);
    }
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let positions = [(METADATA, 0), (DATA, 1)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    producer.close_chunk(&mut stage, 0, Some(0));
    producer.leave(&mut stage);
    let tree = stage.storage.tree();
    for path in &theirs {
        assert_eq!(tree.get(path), Some(&None), "{path} is gone");
        let below = tree
            .keys()
            .find(|it| *it != path && it.is_at_or_below(path));
        assert_eq!(below, None, "somebody adds to {path}");
    }
    let name = "archives/20261122T064435+0000-20261122T064535+0000-0-2";
    let archived = stage.file(&format!("{DIRECTORY}/{name}/ust/chan_0"));
    assert_eq!(archived, stage::payload(DATA, 0));
    stage.assert_empty();
}

/// Somebody made it in the directory of the session, before its first stream.
#[test]
fn a_directory_of_others_gets_no_trace() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    put_file(&stage, &format!("{DIRECTORY}/ust/notes"), b"mine");
    let (code, _) = add(&mut stage, &producer, "ust/uid/0", false);
    assert_eq!(code, code::UNKNOWN_ERR);
    let (code, stream) = add(&mut stage, &producer, "kernel", false);
    assert_eq!(code, code::OK);
    producer.send_packet(&mut stage, stream, 0, &stage::payload(stream, 0));
    producer.leave(&mut stage);
    let tree = stage.tree();
    let in_theirs = tree.iter().filter(|it| it.contains("/ust/"));
    assert_eq!(in_theirs.count(), 2, "{tree:#?}");
    stage.assert_empty();
}

/// The session goes on when its first chunk was closed, to stay where it is.
#[test]
fn a_chunk_that_stays_is_not_written_over_by_the_next() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let leave = stage::rotate(None, &[(METADATA, 0), (DATA, 1)]);
    producer.expect_ok(&mut stage, &leave);
    producer.close_chunk(&mut stage, 0, None);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let go_on = stage::rotate(Some(1), &[(METADATA, 0), (DATA, 1)]);
    producer.expect_ok(&mut stage, &go_on);
    producer.send_whole_packet(&mut stage, DATA, 1);
    for (directory, sequence) in [("", 0), ("/20261122T064436+0000-1", 1)] {
        let file = stage.file(&format!("{DIRECTORY}{directory}/ust/chan_0"));
        assert_eq!(file, stage::payload(DATA, sequence));
    }
    producer.leave(&mut stage);
    stage.assert_empty();
}
