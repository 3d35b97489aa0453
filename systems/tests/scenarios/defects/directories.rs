//! Directories: what others left in them, and sessions that want the same one.

use baton_components::wire::producer::{Command, Origin, code};

use super::*;
use crate::stage::DIRECTORY;

const ARCHIVE_0: &str = "archives/20261122T064435+0000-20261122T064535+0000-0";

/// The whole rotation from chunk 0 to chunk 1.
fn rotate(stage: &mut Stage, producer: &Producer, command: u32) -> String {
    producer.expect_ok(stage, &stage::create_chunk(1));
    let positions = [(METADATA, 0), (DATA, 1)];
    producer.expect_ok(stage, &stage::rotate(Some(1), &positions));
    producer.close_chunk(stage, 0, Some(command))
}

fn end(mut stage: Stage, producers: &[Producer]) {
    for producer in producers {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

/// In the original a rotation fails, and all later data is lost; or the stale files are
/// archived with the new chunk.
#[test]
fn stale_temporary_directories_do_not_stop_a_rotation() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let left = [".tmp_old_chunk/ust/chan_0", ".tmp_new_chunk/ust/chan_0"];
    for name in left {
        put_file(&stage, &format!("{DIRECTORY}/{name}"), b"stale");
    }
    rotate(&mut stage, &producer, 0);
    producer.send_whole_packet(&mut stage, DATA, 1);
    let path = format!("{DIRECTORY}/{ARCHIVE_0}/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(DATA, 0));
    let path = format!("{DIRECTORY}/20261122T064436+0000-1/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(DATA, 1));
    for name in left {
        assert_eq!(stage.file(&format!("{DIRECTORY}/{name}")), b"stale");
    }
    end(stage, &[producer]);
}

/// In the original the chunk stays behind its temporary name, and the producer is told
/// that all went well.
#[test]
fn an_archive_of_that_name_is_kept_and_the_new_one_too() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    put_file(
        &stage,
        &format!("{DIRECTORY}/{ARCHIVE_0}/ust/chan_0"),
        b"older",
    );
    rotate(&mut stage, &producer, 0);
    assert!(!producer.chunk_exists(&mut stage, 0));
    let older = format!("{DIRECTORY}/{ARCHIVE_0}/ust/chan_0");
    assert_eq!(stage.file(&older), b"older");
    let newer = format!("{DIRECTORY}/{ARCHIVE_0}-2/ust/chan_0");
    assert_eq!(stage.file(&newer), stage::payload(DATA, 0));
    assert!(!stage.tree().iter().any(|name| name.contains(".tmp")));
    end(stage, &[producer]);
}

/// In the original too; but its directory stays behind a temporary name, with an error.
#[test]
fn foreign_files_survive_a_clear() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    put_file(&stage, &format!("{DIRECTORY}/ust/notes"), b"mine");
    rotate(&mut stage, &producer, 2);
    assert!(!producer.chunk_exists(&mut stage, 0));
    let notes: Vec<String> = stage
        .tree()
        .into_iter()
        .filter(|it| it.ends_with("/notes"))
        .collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(stage.file(&notes[0]), b"mine");
    producer.send_whole_packet(&mut stage, DATA, 1);
    let path = format!("{DIRECTORY}/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(DATA, 1));
    end(stage, &[producer]);
}

/// A name that the new chunk's files want is taken by then.
#[test]
fn foreign_files_beside_the_session_stop_no_clear() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    put_file(&stage, &format!("{DIRECTORY}/ust/notes"), b"mine");
    let positions = [(METADATA, 0), (DATA, 1)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    let reply = producer.ask(&mut stage, &stage::close_chunk(0, Some(2)));
    assert_eq!(stage.file(&format!("{DIRECTORY}/ust/notes")), b"mine");
    // The new chunk cannot move to where it belongs: the producer is told.
    assert_eq!(reply[..4], code::UNKNOWN_ERR.to_be_bytes());
    end(stage, &[producer]);
}

/// In the original both write to the same files, and most of it is lost.
#[test]
fn two_living_sessions_have_two_directories() {
    let mut stage = Stage::new();
    let first = recording(&mut stage);
    let second = Producer::create(&mut stage, 15, numbered_session(1));
    second.expect_ok(&mut stage, &stage::create_chunk(0));
    let (_, data) = second.add_trace(&mut stage, "ust");
    second.send_whole_packet(&mut stage, data, 0);
    first.send_whole_packet(&mut stage, DATA, 1);
    let both = [stage::payload(DATA, 0), stage::payload(DATA, 1)].concat();
    assert_eq!(stage.file(&format!("{DIRECTORY}/ust/chan_0")), both);
    let path = format!("{DIRECTORY}-2/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(data, 0));
    end(stage, &[first, second]);
}

/// The original makes no directory for such a name.
#[test]
fn sessions_with_the_same_long_name_have_two_directories() {
    let mut stage = Stage::new();
    let name = "n".repeat(254);
    let of_origin = |number| {
        let mut session = stage::session(&name);
        session.origin = session.origin.map(|origin| Origin {
            session: number,
            ..origin
        });
        session
    };
    let first = Producer::create(&mut stage, 15, of_origin(0));
    let second = Producer::create(&mut stage, 15, of_origin(1));
    let directory = |id| stage.session(id).expect("a session").directory.clone();
    let names = [directory(1), directory(2)].map(|path| {
        let name = path.components().last().expect("a name");
        String::from_utf8(name.to_vec()).expect("a name in ASCII")
    });
    let (begin, end) = ("n".repeat(222), "-20261122-064435");
    assert!(
        names[0].starts_with(&begin) && names[0].ends_with(end),
        "{names:?}"
    );
    assert!(
        names[1].starts_with(&begin[..220]) && names[1].ends_with("-2"),
        "{names:?}"
    );
    assert_eq!(names.map(|name| name.len()), [255, 255]);
    self::end(stage, &[first, second]);
}

/// In the original the earlier trace is written over without a word.
#[test]
fn traces_of_an_earlier_session_are_not_overwritten() {
    let mut stage = Stage::new();
    let first = recording(&mut stage);
    first.leave(&mut stage);
    let second = Producer::with_session(&mut stage, 15);
    let (_, data) = second.add_trace(&mut stage, "ust");
    second.send_whole_packet(&mut stage, data, 0);
    assert_eq!(
        stage.file(&format!("{DIRECTORY}/ust/chan_0")),
        stage::payload(DATA, 0)
    );
    let path = format!("{DIRECTORY}-2/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(data, 0));
    end(stage, &[second]);
}

/// Their paths are whole, so there is no directory of ours to give them.
#[test]
fn traces_of_an_earlier_session_of_an_old_producer_are_not_overwritten() {
    let mut stage = Stage::new();
    let record = |stage: &mut Stage| {
        let old = Producer::create(stage, 8, stage::session("session"));
        let reply = old.ask(stage, &stage::add_stream("h/session/ust", "chan_0"));
        let handle = u64::from_be_bytes(*reply.first_chunk().unwrap());
        if reply[8..] == code::OK.to_be_bytes() {
            old.send_packet(stage, handle, 0, &stage::payload(handle, 0));
        }
        old
    };
    let first = record(&mut stage);
    let second = record(&mut stage);
    assert_eq!(stage.file("h/session/ust/chan_0"), stage::payload(1, 0));
    end(stage, &[first, second]);
}

/// In the original the directories are renamed before the command is refused, and stay
/// so for ever.
#[test]
fn a_chunk_too_many_hides_nothing() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let refused = producer.code(&mut stage, &stage::create_chunk(2));
    assert_eq!(refused, code::INVALID_PROTOCOL);
    producer.leave(&mut stage);
    assert!(!stage.tree().iter().any(|name| name.contains(".tmp")));
    end(stage, &[]);
}

/// The same with a command that does not exist.
#[test]
fn a_close_of_an_unknown_kind_hides_nothing() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let reply = producer.ask(&mut stage, &stage::close_chunk(0, Some(3)));
    assert_eq!(reply[..4], code::INVALID.to_be_bytes());
    producer.leave(&mut stage);
    assert!(!stage.tree().iter().any(|name| name.contains(".tmp")));
    let path = format!("{DIRECTORY}/20261122T064435+0000-0/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(DATA, 0));
    end(stage, &[]);
}

/// The original dies of it.
#[test]
fn a_second_session_on_a_connection_leaves_the_first_as_it_was() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let tree = stage.tree();
    let again = Command::CreateSession(stage::session("again"));
    let reply = producer.ask(&mut stage, &again);
    assert_eq!(reply[8..12], code::FATAL.to_be_bytes());
    assert_eq!(stage.tree(), tree);
    producer.send_whole_packet(&mut stage, DATA, 1);
    let records = stage.index_records(&format!("{DIRECTORY}/ust/index/chan_0.idx"));
    assert_eq!(records.len(), 2);
    end(stage, &[producer]);
}

/// The chunk that is current is created again: in the original its files stay behind a
/// temporary name until it is closed.
#[test]
fn the_current_chunk_created_again_stays_where_it_is() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let tree = stage.tree();
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    assert_eq!(stage.tree(), tree);
    end(stage, &[producer]);
}
