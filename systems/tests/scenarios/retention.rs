//! Retention: which chunks and files go above a cap, and which stay.

mod histories;
mod reserve;

use std::time::Duration;

use baton_components::path::RelativePath;
use baton_components::wire::producer::{Command, SendIndex};
use baton_components::wire::viewer::reply::{self, Reply};
use baton_components::wire::viewer::{NextIndexStatus, Request, RequestKind, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::lists::{self, List};
use baton_systems::memory::{MemoryStorage, Operation};
use baton_systems::settings::{Amount, MaxAge, MaxChunks, Settings};

use crate::stage::{self, DIRECTORY, Producer, Stage, Viewer};

const KIB: u64 = 1 << 10;
/// Size of a packet here: the relay counts whole blocks.
const PACKET: usize = 64 << 10;
const CAP: u64 = 4 << 20;

fn capped(cap: u64) -> Settings {
    Settings {
        max_size: Amount::Bytes(cap),
        ..Settings::default()
    }
}

fn payload(stream: u64, sequence: u64) -> Vec<u8> {
    let mut bytes = stage::payload(stream, sequence);
    bytes.resize(PACKET, 0x33);
    bytes
}

/// Sends a packet of [`PACKET`] bytes, with its index.
fn send(stage: &mut Stage, producer: &Producer, stream: u64, sequence: u64) {
    producer.send_packet(stage, stream, sequence, &payload(stream, sequence));
    let index = SendIndex {
        timestamp_begin: sequence * 1000 + 100,
        timestamp_end: sequence * 1000 + 900,
        class: stage::CLASS,
        ..client::description(stream, sequence, PACKET)
    };
    producer.expect_ok(stage, &Command::SendIndex(index));
}

/// Bytes of blocks of all files on disk, but for the lists of what was made.
fn on_disk(storage: &MemoryStorage) -> u64 {
    blocks(storage.sizes().iter())
}

/// The same of these.
fn blocks<'a>(sizes: impl Iterator<Item = (&'a RelativePath, &'a Option<u64>)>) -> u64 {
    let files = sizes.filter_map(|(path, size)| {
        let is_list = path.as_bytes().starts_with(b".baton-chunks");
        size.filter(|_| !is_list)
    });
    files.map(|size| size.next_multiple_of(4096)).sum()
}

fn used(stage: &Stage) -> u64 {
    stage.entities().totals.stock.used_bytes
}

fn names_below(stage: &Stage, directory: &str) -> Vec<String> {
    let tree = stage.tree();
    let below = tree.iter().filter_map(|name| name.strip_prefix(directory));
    below
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A live session with one trace.
fn begin(stage: &mut Stage) -> (Producer, u64, u64) {
    begin_named(stage, "session")
}

fn begin_named(stage: &mut Stage, name: &str) -> (Producer, u64, u64) {
    let mut session = stage::session(name);
    let number = name.trim_start_matches('s').parse().unwrap_or(0);
    if let Some(origin) = &mut session.origin {
        origin.session = number;
    }
    let producer = Producer::create(stage, 15, session);
    producer.expect_ok(stage, &stage::create_chunk(0));
    let (metadata, data) = producer.add_trace(stage, "ust");
    producer.send_metadata(stage, metadata, b"metadata");
    (producer, metadata, data)
}

/// Ends a session; its files stay.
fn end(stage: &mut Stage, producer: &Producer, streams: &[u64]) {
    for stream in streams {
        producer.close_stream(stage, *stream, None);
    }
    producer.leave(stage);
}

#[test]
fn a_live_session_keeps_its_newest_packets_and_its_metadata() {
    let mut stage = Stage::with(capped(CAP));
    let (producer, metadata, data) = begin(&mut stage);
    let packets = 200;
    for sequence in 0..packets {
        send(&mut stage, &producer, data, sequence);
        stage.settle();
        assert!(on_disk(&stage.storage) <= CAP, "after packet {sequence}");
        assert_eq!(used(&stage), on_disk(&stage.storage), "after {sequence}");
    }
    let ust = format!("{DIRECTORY}/ust");
    assert_eq!(stage.file(&format!("{ust}/metadata")), b"metadata");
    // The end of the stream is left, without a gap.
    let mut files: Vec<_> = names_below(&stage, &format!("{ust}/"));
    // The first packet was too large for the first file.
    files.retain(|name| name.starts_with("chan_0") && name != "chan_0_0");
    let number = |name: &str| name.rsplit_once('_').unwrap().1.parse::<u64>().unwrap();
    files.sort_by_key(|name| number(name));
    assert!(number(&files[0]) > 1, "{files:?}");
    let mut left = Vec::new();
    for name in &files {
        left.extend(stage.file(&format!("{ust}/{name}")));
        let records = stage.index_records(&format!("{ust}/index/{name}.idx"));
        let bytes = stage.file(&format!("{ust}/{name}")).len();
        assert_eq!(records.len() * PACKET, bytes, "{name}");
    }
    let count = (left.len() / PACKET) as u64;
    assert!(count * PACKET as u64 > CAP / 2, "{count} packets are left");
    let expected: Vec<u8> = (packets - count..packets)
        .flat_map(|sequence| payload(data, sequence))
        .collect();
    assert!(left == expected);
    let removed = stage.entities().totals.stock.removed[0];
    assert_eq!(removed.packets, packets - count);
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

#[test]
fn packets_wait_for_a_disk_that_removes_slowly_and_none_is_lost() {
    let mut stage = Stage::with(capped(CAP));
    let (producer, metadata, data) = begin(&mut stage);
    stage.storage.hold_answers(true);
    let packets = 200;
    for sequence in 0..packets {
        send(&mut stage, &producer, data, sequence);
        let there = on_disk(&stage.storage);
        let slack = PACKET as u64 + 3 * 4096;
        assert!(there <= CAP + slack, "{there} after packet {sequence}");
    }
    stage.storage.hold_answers(false);
    stage.settle();
    assert_eq!(used(&stage), on_disk(&stage.storage));
    let removed = stage.entities().totals.stock.removed[0];
    let sizes = stage.storage.sizes();
    let left = sizes.iter().filter_map(|(path, size)| {
        let is_data = path.name().starts_with(b"chan_0_") && !path.name().ends_with(b".idx");
        size.filter(|_| is_data)
    });
    let left = left.sum::<u64>() / PACKET as u64;
    assert_eq!(removed.packets + left, packets);
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

#[test]
fn the_list_of_a_long_session_is_of_what_is_there() {
    let mut stage = Stage::with(capped(CAP));
    let (producer, metadata, data) = begin(&mut stage);
    let list = |stage: &Stage| {
        let tree = stage.storage.tree();
        let is_list = |path: &RelativePath| path.parent() == Some(lists::directory());
        let mut lists = tree.into_iter().filter(|(path, _)| is_list(path));
        let (_, list) = lists.next().unwrap();
        assert!(lists.next().is_none());
        list.unwrap()
    };
    let mut largest = 0;
    for sequence in 0..700 {
        send(&mut stage, &producer, data, sequence);
        largest = largest.max(list(&stage).len());
    }
    assert!(largest < 30_000, "{largest} bytes for one session");
    let list = List::decode(&list(&stage));
    let mut files = names_below(&stage, &format!("{DIRECTORY}/"));
    files.retain(|name| !name.ends_with('/'));
    for name in &files {
        let path = RelativePath::parse(name.as_bytes()).unwrap();
        assert!(list.files.contains(&path), "{name} is not listed");
    }
    // The next relay knows of it, and leaves nothing.
    let storage = stage.storage.elsewhere();
    drop(stage);
    let mut stage = Stage::on(storage, capped(CAP));
    stage.settle();
    record(&mut stage, "other", 100);
    assert!(
        names_below(&stage, DIRECTORY).is_empty(),
        "{:#?}",
        stage.tree()
    );
    drop((producer, metadata, data));
    stage.assert_empty();
}

fn next_index(stage: &mut Stage, viewer: &Viewer, stream: u64) -> (NextIndexStatus, u64) {
    let index = ask_index(stage, viewer, stream);
    (index.status, index.offset_bytes)
}

/// The next packet: when it begins.
fn next_packet(stage: &mut Stage, viewer: &Viewer, stream: u64) -> (NextIndexStatus, u64) {
    let index = ask_index(stage, viewer, stream);
    (index.status, index.timestamp_begin)
}

fn ask_index(stage: &mut Stage, viewer: &Viewer, stream: u64) -> reply::IndexReply {
    let bytes = viewer.ask(stage, Request::NextIndex { stream });
    match reply::decode(RequestKind::NextIndex, 15, &bytes) {
        Ok(Some((Reply::NextIndex(index), _))) => index,
        other => panic!("{other:?}"),
    }
}

/// A viewer of a session, which has the metadata; and the number of its data stream.
fn attach(stage: &mut Stage, session: u64, metadata: u64, data: u64) -> (Viewer, u64) {
    let viewer = Viewer::connect(stage, 15);
    let attach = Request::Attach {
        session,
        seek: SEEK_BEGINNING,
    };
    viewer.ask(stage, attach);
    let id = |handle| stage.stream(handle).unwrap().viewer_id;
    let (metadata, data) = (id(metadata), id(data));
    viewer.ask(stage, Request::Metadata { stream: metadata });
    (viewer, data)
}

fn packet(stage: &mut Stage, viewer: &Viewer, stream: u64, offset: u64) -> Vec<u8> {
    let length = PACKET as u32;
    let packet = Request::Packet {
        stream,
        offset,
        length,
    };
    viewer.ask(stage, packet)[12..].to_vec()
}

#[test]
fn a_viewer_that_sleeps_holds_its_packet_for_a_while_and_goes_on_at_the_oldest() {
    let mut stage = Stage::with(capped(CAP));
    let (producer, metadata, data) = begin(&mut stage);
    for sequence in 0..5 {
        send(&mut stage, &producer, data, sequence);
    }
    let (viewer, stream) = attach(&mut stage, 1, metadata, data);
    assert_eq!(
        next_index(&mut stage, &viewer, stream).0,
        NextIndexStatus::Ok
    );
    let mut sequence = 5;
    // Until its file has been removed, and is held for the packet that it may ask for.
    while stage.entities().totals.stock.leaving_bytes == 0 {
        send(&mut stage, &producer, data, sequence);
        sequence += 1;
    }
    assert!(used(&stage) <= CAP);
    assert_eq!(used(&stage), on_disk(&stage.storage));
    assert!(packet(&mut stage, &viewer, stream, 0) == payload(data, 0));
    // It sleeps: after a while nothing is held.
    for _ in 0..12 {
        stage.pass(Duration::from_secs(1));
    }
    assert_eq!(stage.entities().totals.stock.leaving_bytes, 0);
    assert_eq!(used(&stage), on_disk(&stage.storage));
    // It is told so for that packet, and goes on at the oldest there is.
    assert!(packet(&mut stage, &viewer, stream, 0).is_empty());
    let (status, offset) = next_index(&mut stage, &viewer, stream);
    assert_eq!((status, offset), (NextIndexStatus::Ok, 0));
    let removed = stage.entities().totals.stock.removed[0].packets;
    let read = packet(&mut stage, &viewer, stream, offset);
    assert!(read == payload(data, removed));
    viewer.leave(&mut stage);
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

/// Records `packets` in a session of that name, which ends.
fn record(stage: &mut Stage, name: &str, packets: u64) {
    let producer = Producer::create(stage, 15, stage::session(name));
    producer.expect_ok(stage, &stage::create_chunk(0));
    let (metadata, data) = producer.add_trace(stage, "ust");
    producer.send_metadata(stage, metadata, b"metadata");
    for sequence in 0..packets {
        send(stage, &producer, data, sequence);
    }
    end(stage, &producer, &[data, metadata]);
}

fn directory(name: &str) -> String {
    format!("host/{name}-20261122-064435")
}

/// Puts a file on the disk that no relay made.
fn put(stage: &Stage, path: &str, bytes: &[u8]) {
    let path = RelativePath::parse(path.as_bytes()).unwrap();
    stage.storage.put(&path, bytes);
}

#[test]
fn sessions_that_are_over_go_first_and_what_others_made_stays() {
    let mut stage = Stage::with(capped(CAP));
    for name in ["one", "two", "three"] {
        record(&mut stage, name, 16);
    }
    put(&stage, &format!("{}/ust/notes", directory("one")), b"mine");
    put(&stage, "host/theirs/ust/chan_0", &vec![7; 9 << 20]);
    assert!(used(&stage) < CAP);
    record(&mut stage, "four", 32);
    let tree = stage.tree();
    let names: Vec<_> = tree
        .iter()
        .filter(|name| !name.starts_with(".baton"))
        .collect();
    let has = |name: &str| names.iter().any(|it| it.starts_with(&directory(name)));
    assert_eq!(
        names_below(&stage, &directory("one")),
        ["/", "/ust/", "/ust/notes"]
    );
    assert!(has("three") && has("four"), "{names:#?}");
    // Of a session of which nothing is left, no directory is.
    record(&mut stage, "five", 32);
    assert!(
        !names_below(&stage, "host/")
            .iter()
            .any(|it| it.starts_with("two"))
    );
    assert_eq!(
        stage.file(&format!("{}/ust/notes", directory("one"))),
        b"mine"
    );
    assert_eq!(stage.file("host/theirs/ust/chan_0").len(), 9 << 20);
    stage.assert_empty();
}

#[test]
fn recordings_of_earlier_runs_are_found_and_go_first() {
    let mut stage = Stage::with(capped(CAP));
    record(&mut stage, "one", 16);
    record(&mut stage, "two", 16);
    // This one is killed with it.
    let (producer, _, data) = begin(&mut stage);
    for sequence in 0..4 {
        send(&mut stage, &producer, data, sequence);
    }
    let before = used(&stage);
    let storage = stage.storage.elsewhere();
    drop(stage);
    put_aside(&storage);
    let mut stage = Stage::on(storage, capped(CAP));
    stage.settle();
    assert_eq!(used(&stage), before);
    record(&mut stage, "three", 40);
    assert!(
        names_below(&stage, &directory("one")).is_empty(),
        "{:#?}",
        stage.tree()
    );
    assert!(!names_below(&stage, &directory("three")).is_empty());
    assert_eq!(stage.file("host/mine").len(), 8 << 20);
    assert!(on_disk(&stage.storage) - (8 << 20) <= CAP);
    stage.assert_empty();
}

#[test]
fn a_chunk_is_found_again_whose_rotation_was_cut_short() {
    let mut stage = Stage::with(capped(CAP));
    let (producer, metadata, data) = begin(&mut stage);
    send(&mut stage, &producer, data, 0);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let streams = [(metadata, 0), (data, 1)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &streams));
    producer.send_metadata(&mut stage, metadata, b"metadata");
    let before = used(&stage);
    let storage = stage.storage.elsewhere();
    drop(stage);
    let mut stage = Stage::on(storage, capped(CAP));
    stage.settle();
    assert_eq!(used(&stage), before);
    assert_eq!(used(&stage), on_disk(&stage.storage));
    record(&mut stage, "other", 100);
    assert!(
        names_below(&stage, DIRECTORY).is_empty(),
        "{:#?}",
        stage.tree()
    );
    stage.assert_empty();
}

fn put_aside(storage: &MemoryStorage) {
    let path = RelativePath::parse(b"host/mine").unwrap();
    storage.put(&path, &vec![1; 8 << 20]);
}

#[test]
fn a_removal_that_was_cut_short_goes_on_after_a_restart() {
    for nth in 1..8 {
        let mut stage = Stage::with(capped(CAP));
        record(&mut stage, "one", 32);
        stage
            .storage
            .fail(Operation::Remove, nth, "the machine stops");
        record(&mut stage, "two", 32);
        let storage = stage.storage.elsewhere();
        drop(stage);
        let mut stage = Stage::on(storage, capped(CAP));
        stage.settle();
        record(&mut stage, "three", 32);
        assert!(
            names_below(&stage, &directory("one")).is_empty(),
            "{nth}: {:#?}",
            stage.tree()
        );
        assert!(names_below(&stage, ".baton-removed/").is_empty());
        assert_eq!(used(&stage), on_disk(&stage.storage));
        stage.assert_empty();
    }
}

#[test]
fn pinned_chunks_stay_and_count() {
    let mut stage = Stage::with(capped(CAP));
    record(&mut stage, "one", 16);
    let pin = format!("{}/", directory("one"));
    let pin = RelativePath::parse(pin.as_bytes()).unwrap();
    stage
        .storage
        .put(&pin.join(&RelativePath::own("keep")), b"");
    for name in ["two", "three", "four"] {
        record(&mut stage, name, 32);
    }
    assert!(!names_below(&stage, &format!("{}/ust/", directory("one"))).is_empty());
    assert!(names_below(&stage, &directory("two")).is_empty());
    assert_eq!(used(&stage), on_disk(&stage.storage));
    // Until it need not be kept any more.
    stage.storage.take(&pin.join(&RelativePath::own("keep")));
    stage.pass(Duration::from_mins(11));
    record(&mut stage, "five", 32);
    assert!(
        names_below(&stage, &directory("one")).is_empty(),
        "{:#?}",
        stage.tree()
    );
    stage.assert_empty();
}

#[test]
fn chunks_that_an_archive_has_go_first_and_their_marks_with_them() {
    let mut stage = Stage::with(capped(CAP));
    record(&mut stage, "one", 16);
    record(&mut stage, "two", 16);
    let two = RelativePath::parse(format!("{}/", directory("two")).as_bytes()).unwrap();
    for mark in ["archived", "archiving"] {
        stage.storage.put(&two.join(&RelativePath::own(mark)), b"");
    }
    // The next survey sees it.
    stage.pass(Duration::from_mins(11));
    record(&mut stage, "three", 40);
    assert!(
        names_below(&stage, &directory("two")).is_empty(),
        "{:#?}",
        stage.tree()
    );
    assert!(!names_below(&stage, &directory("one")).is_empty());
    stage.assert_empty();
}

#[test]
fn a_pinned_session_keeps_its_files_while_it_is_recorded() {
    let mut stage = Stage::with(capped(CAP));
    let (producer, metadata, data) = begin(&mut stage);
    for (below, first) in [("", 0), ("/ust", 150)] {
        let pin = RelativePath::parse(format!("{DIRECTORY}{below}/").as_bytes()).unwrap();
        let pin = pin.join(&RelativePath::own("keep"));
        stage.storage.put(&pin, b"");
        let before = names_below(&stage, DIRECTORY);
        for sequence in first..first + 150 {
            send(&mut stage, &producer, data, sequence);
        }
        let after = names_below(&stage, DIRECTORY);
        let gone: Vec<_> = before.iter().filter(|it| !after.contains(it)).collect();
        assert_eq!(gone, [""; 0]);
        stage.storage.take(&pin);
    }
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

/// Rotates a session with these streams to the next chunk, and closes the one before.
fn rotate(
    stage: &mut Stage,
    producer: &Producer,
    chunk: u64,
    streams: &[(u64, u64)],
    command: Option<u32>,
) {
    producer.expect_ok(stage, &stage::create_chunk(chunk + 1));
    producer.expect_ok(stage, &stage::rotate(Some(chunk + 1), streams));
    producer.close_chunk(stage, chunk, command);
}

#[test]
fn a_session_keeps_so_many_archives() {
    let mut stage = Stage::with(Settings {
        max_chunks: MaxChunks(Some(2)),
        ..Settings::default()
    });
    let (producer, metadata, data) = begin(&mut stage);
    for chunk in 0..5 {
        send(&mut stage, &producer, data, chunk);
        let streams = [(metadata, 0), (data, chunk + 1)];
        rotate(&mut stage, &producer, chunk, &streams, Some(0));
        producer.send_metadata(&mut stage, metadata, b"metadata");
        stage.settle();
        assert_eq!(used(&stage), on_disk(&stage.storage));
    }
    let mut archives = names_below(&stage, &format!("{DIRECTORY}/archives/"));
    archives.retain(|name| name.ends_with('/') && !name.contains("/u"));
    assert_eq!(archives.len(), 2, "{archives:?}");
    assert!(archives[1].contains("-4/"), "{archives:?}");
    assert_eq!(stage.entities().totals.stock.removed[3].chunks, 3);
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

#[test]
fn files_that_are_made_when_their_chunk_ends_go_with_it() {
    let mut stage = Stage::with(Settings {
        max_chunks: MaxChunks(Some(0)),
        ..Settings::default()
    });
    let (producer, metadata, data) = begin(&mut stage);
    let index = client::description(data, 0, PACKET);
    producer.expect_ok(&mut stage, &Command::SendIndex(index));
    let streams = [(metadata, 0), (data, 1)];
    rotate(&mut stage, &producer, 0, &streams, Some(0));
    // The last packet makes the index file, and then its chunk has no user any more.
    producer.send_packet(&mut stage, data, 0, &payload(data, 0));
    producer.send_metadata(&mut stage, metadata, b"metadata");
    stage.settle();
    assert_eq!(stage.entities().totals.stock.removed[3].chunks, 1);
    let archives = names_below(&stage, &format!("{DIRECTORY}/archives"));
    assert_eq!(archives, ["/"]);
    end(&mut stage, &producer, &[data, metadata]);
    assert!(
        names_below(&stage, "host/").is_empty(),
        "{:#?}",
        stage.tree()
    );
    stage.assert_empty();
}

#[test]
fn old_chunks_go_and_no_young_one() {
    let hour = Duration::from_hours(1);
    let settings = Settings {
        max_age: MaxAge(Some(2 * hour)),
        ..Settings::default()
    };
    let mut stage = Stage::with(settings.clone());
    record(&mut stage, "one", 2);
    stage.pass(hour);
    record(&mut stage, "two", 2);
    stage.pass(hour + Duration::from_mins(2));
    assert!(names_below(&stage, &directory("one")).is_empty());
    assert!(!names_below(&stage, &directory("two")).is_empty());
    stage.pass(hour);
    assert!(
        names_below(&stage, "host/").is_empty(),
        "{:#?}",
        stage.tree()
    );
    assert_eq!(used(&stage), 0);
    stage.assert_empty();
}

#[test]
fn archives_of_recorded_sessions_go_when_each_is_old() {
    let hour = Duration::from_hours(1);
    let mut stage = Stage::with(Settings {
        max_age: MaxAge(Some(3 * hour)),
        ..Settings::default()
    });
    // The one of the later name has the older archive.
    let sessions = ["s1", "s2"].map(|name| begin_named(&mut stage, name));
    for (producer, metadata, data) in sessions.iter().rev() {
        send(&mut stage, producer, *data, 0);
        let streams = [(*metadata, 0), (*data, 1)];
        rotate(&mut stage, producer, 0, &streams, Some(0));
        producer.send_metadata(&mut stage, *metadata, b"metadata");
        stage.pass(hour);
    }
    let has_archive = |stage: &Stage, name| {
        let archives = names_below(stage, &format!("{}/archives/", directory(name)));
        archives.iter().any(|name| name.ends_with("metadata"))
    };
    assert!(has_archive(&stage, "s1") && has_archive(&stage, "s2"));
    stage.pass(hour + Duration::from_mins(2));
    assert!(has_archive(&stage, "s1"), "{:#?}", stage.tree());
    assert!(!has_archive(&stage, "s2"), "{:#?}", stage.tree());
    stage.pass(hour);
    assert!(!has_archive(&stage, "s1"), "{:#?}", stage.tree());
    for (producer, metadata, data) in &sessions {
        end(&mut stage, producer, &[*data, *metadata]);
    }
    stage.assert_empty();
}

#[test]
fn a_session_has_a_cap_of_its_own() {
    let mut stage = Stage::with(Settings {
        max_session_size: Amount::Bytes(CAP),
        ..Settings::default()
    });
    record(&mut stage, "one", 32);
    let (producer, metadata, data) = begin(&mut stage);
    for sequence in 0..150 {
        send(&mut stage, &producer, data, sequence);
    }
    assert!(used(&stage) <= CAP + 33 * PACKET as u64 + 8 * KIB);
    assert!(!names_below(&stage, &directory("one")).is_empty());
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

#[test]
fn without_a_cap_nothing_is_cut_or_listed() {
    let mut stage = Stage::new();
    record(&mut stage, "one", 2);
    let tree = stage.tree();
    assert!(
        tree.iter().all(|name| !name.contains(".baton")),
        "{tree:#?}"
    );
    assert!(tree.contains(&format!("{}/ust/chan_0", directory("one"))));
    stage.assert_empty();
}
