//! Slices: a command with very much to do, and the end of a peer that has very much, are done some
//! in each tick, and others are served meanwhile.

use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::costs::{
    LEVELS_MADE_AT_ONCE, LIST_SLICE_SESSIONS, ROTATED_AT_ONCE, SHORT_TICK, STORAGE_CALL,
};
use baton_components::limits::{
    COMMIT_RETRY, DRAIN_GRACE, PROBE_AGE_MAX, SESSION_PATH_NAMES_MAX, STREAMS_SWEPT_PER_TICK,
};
use baton_components::wire::producer::{BeginDataPending, Command, CreateSession, code};
use baton_components::wire::viewer::reply::{self, Reply};
use baton_components::wire::viewer::{Request, RequestKind, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::settings::Settings;

use crate::stage::{self, PACKET_BYTES, Producer, Stage, Viewer, add_stream, create_chunk};

/// A producer with so many streams, whose handles it gives.
fn producer_of_many(stage: &mut Stage, streams: usize) -> (Producer, Vec<u64>) {
    let producer = Producer::numbered(stage, 1);
    let channels: Vec<String> = (0..streams)
        .map(|number| format!("chan_{number}"))
        .collect();
    let bytes: Vec<u8> = channels
        .iter()
        .flat_map(|channel| client::command(15, &add_stream("ust", channel)))
        .collect();
    let replies = producer.send(stage, &bytes);
    let handles: Vec<u64> = replies
        .chunks(12)
        .map(|reply| u64::from_be_bytes(*reply.first_chunk().unwrap()))
        .collect();
    assert_eq!(handles.len(), streams);
    producer.expect_ok(stage, &Command::StreamsSent);
    (producer, handles)
}

/// Runs a tick, in which somebody else gets a reply.
fn tick_beside(stage: &mut Stage, other: &Producer) {
    let question = Command::BeginDataPending(BeginDataPending { session: 0 });
    other.control.write(&client::command(15, &question));
    stage.tick();
    let answer = other.control.take_received();
    assert_eq!(answer, code::OK.to_be_bytes(), "after one tick");
}

#[test]
fn a_long_list_is_written_in_slices() {
    let mut stage = Stage::without_audit();
    let count = 3 * LIST_SLICE_SESSIONS as u64 + 1;
    let producers: Vec<_> = (0..count)
        .map(|at| Producer::numbered(&mut stage, at))
        .collect();
    let viewer = Viewer::connect(&mut stage, 14);
    let both = [Request::ListSessions, Request::CreateSession].map(client::request);
    viewer.peer.write(&both.concat());
    let mut received = Vec::new();
    let mut ticks = 0;
    while received.is_empty() {
        // Two sessions end meanwhile: one that was looked at, and one that was not.
        if ticks == 1 {
            for gone in [&producers[0], &producers[count as usize - 1]] {
                gone.control.finish();
                gone.data.finish();
            }
        }
        tick_beside(&mut stage, &producers[1]);
        received.extend(viewer.peer.take_received());
        ticks += 1;
    }
    assert!(ticks > 2, "{ticks}");
    stage.settle();
    received.extend(viewer.peer.take_received());
    let decoded = reply::decode(RequestKind::ListSessions, 14, &received).unwrap();
    let Some((Reply::ListSessions(entries), size)) = decoded else {
        panic!("no list: {decoded:?}");
    };
    let names = entries
        .iter()
        .map(|entry| String::from_utf8_lossy(entry.name).into_owned());
    let all = (0..count - 1).map(|at| format!("session-{at}"));
    assert!(names.eq(all));
    assert_eq!(received[size..], [0, 0, 0, 1], "the request behind it");
}

#[test]
fn a_viewer_that_leaves_while_its_list_is_written_leaves_nothing() {
    let mut stage = Stage::new();
    let count = 2 * LIST_SLICE_SESSIONS as u64;
    let producers: Vec<_> = (0..count)
        .map(|at| Producer::numbered(&mut stage, at))
        .collect();
    let viewer = Viewer::connect(&mut stage, 14);
    viewer.peer.write(&client::request(Request::ListSessions));
    stage.tick();
    viewer.peer.reset("gone");
    stage.settle();
    assert_eq!(stage.entities().connections.len(), 2 * producers.len());
}

#[test]
fn streams_of_a_session_that_ends_are_closed_in_slices() {
    let mut stage = Stage::new();
    let other = Producer::numbered(&mut stage, 2);
    let streams = 5 * STREAMS_SWEPT_PER_TICK / 2;
    let (producer, _) = producer_of_many(&mut stage, streams);
    let before = stage.entities().streams.len();
    producer.control.finish();
    producer.data.finish();
    let mut left = before;
    while left > 0 {
        tick_beside(&mut stage, &other);
        let now = stage.entities().streams.len();
        assert!(left - now <= STREAMS_SWEPT_PER_TICK, "{}", left - now);
        left = now;
    }
    stage.settle();
    assert_eq!(stage.entities().sessions.len(), 1);
}

/// Sweeps of earlier ticks are finished when the relay ends.
#[test]
fn a_relay_that_ends_in_the_midst_of_a_sweep_leaves_nothing() {
    let mut stage = Stage::new();
    let (producer, _) = producer_of_many(&mut stage, 3 * STREAMS_SWEPT_PER_TICK);
    let viewer = Viewer::connect(&mut stage, 15);
    viewer.ask(&mut stage, ATTACH);
    viewer.peer.reset("gone");
    producer.control.finish();
    stage.tick();
    stage.tick();
    assert!(!stage.entities().streams.is_empty());
    stage.relay.hang_up_all();
    stage.tick();
    assert_eq!(stage.relay.remains(), Vec::<String>::new());
}

#[test]
fn a_viewer_of_many_streams_leaves_them_in_slices() {
    let mut stage = Stage::new();
    let other = Producer::numbered(&mut stage, 2);
    let streams = 5 * STREAMS_SWEPT_PER_TICK / 2;
    let (_producer, _) = producer_of_many(&mut stage, streams);
    let viewers = [(); 2].map(|()| Viewer::connect(&mut stage, 15));
    for viewer in &viewers {
        viewer.ask(&mut stage, ATTACH);
    }
    assert_eq!(stage.entities().viewer_streams.len(), 2 * streams);
    viewers[0].peer.reset("gone");
    viewers[1]
        .peer
        .write(&client::request(Request::Detach { session: 2 }));
    let mut left = 2 * streams;
    for _ in 0..2 * streams {
        tick_beside(&mut stage, &other);
        let now = stage.entities().viewer_streams.len();
        assert!(left - now <= STREAMS_SWEPT_PER_TICK, "{}", left - now);
        left = now;
    }
    assert_eq!(left, 0);
}

#[test]
fn many_streams_are_rotated_in_slices() {
    let mut stage = Stage::new();
    let other = Producer::numbered(&mut stage, 2);
    let streams = 4 * ROTATED_AT_ONCE + 1;
    let (producer, handles) = producer_of_many(&mut stage, streams);
    producer.expect_ok(&mut stage, &create_chunk(1));
    let positions: Vec<_> = handles.iter().map(|stream| (*stream, 0)).collect();
    let rotation = stage::rotate(Some(1), &positions);
    producer.control.write(&client::command(15, &rotation));
    let rotated = |stage: &Stage| {
        let tree = stage.storage.tree();
        let names = tree.keys().map(ToString::to_string);
        names
            .filter(|name| name.contains("/.tmp_new_chunk/ust/chan_"))
            .count()
    };
    let mut done = 0;
    while done < streams {
        assert!(
            producer.control.take_received().is_empty(),
            "before all are rotated"
        );
        tick_beside(&mut stage, &other);
        let now = rotated(&stage);
        let calls = SHORT_TICK / STORAGE_CALL;
        assert!((now - done) as u64 <= calls, "{} in one tick", now - done);
        done = now;
    }
    stage.settle();
    assert_eq!(producer.control.take_received(), code::OK.to_be_bytes());
    // The next one begins with its first stream.
    producer.close_chunk(&mut stage, 0, None);
    producer.expect_ok(&mut stage, &create_chunk(2));
    producer.expect_ok(&mut stage, &stage::rotate(Some(2), &positions));
    assert_eq!(rotated(&stage), streams);
}

/// A stream that is not there ends the connection, wherever it stands among the others.
#[test]
fn a_rotation_fails_in_any_slice() {
    let mut stage = Stage::new();
    let (producer, handles) = producer_of_many(&mut stage, 3 * ROTATED_AT_ONCE);
    producer.expect_ok(&mut stage, &create_chunk(1));
    let mut positions: Vec<_> = handles.iter().map(|stream| (*stream, 0)).collect();
    positions[2 * ROTATED_AT_ONCE].0 = 12345;
    let reply = producer.ask(&mut stage, &stage::rotate(Some(1), &positions));
    assert_eq!(reply, code::INVALID.to_be_bytes());
    assert!(producer.control.is_closed());
}

#[test]
fn directories_of_deep_paths_are_made_in_slices() {
    let mut stage = Stage::new();
    let other = Producer::numbered(&mut stage, 2);
    let producer = Producer::numbered(&mut stage, 1);
    let paths = [0, 1].map(|at| format!("{at}{}", "/d".repeat(119)));
    for path in &paths {
        let command = client::command(15, &add_stream(path, "chan"));
        producer.control.write(&command);
    }
    let mut before = directories(&stage);
    let mut added = Vec::new();
    while added.len() < 24 {
        tick_beside(&mut stage, &other);
        added.extend(producer.control.take_received());
        let now = directories(&stage);
        let most = SHORT_TICK / STORAGE_CALL + LEVELS_MADE_AT_ONCE as u64;
        assert!(
            (now - before) as u64 <= most,
            "{} in one tick",
            now - before
        );
        before = now;
    }
    assert_eq!([&added[8..12], &added[20..24]], [code::OK.to_be_bytes(); 2]);
}

/// The last names of a path with very many become one.
#[test]
fn the_path_of_a_session_has_not_very_many_names() {
    let mut stage = Stage::new();
    let base = vec!["b"; 1000].join("/");
    let create = Command::CreateSession(CreateSession {
        base_path: base.as_bytes(),
        ..stage::session("deep")
    });
    let producer = Producer::connect(&mut stage, 15);
    producer.make(&mut stage, &create);
    let tree = stage.storage.tree();
    let deepest = tree.keys().map(|path| path.components().count()).max();
    assert_eq!(deepest, Some(SESSION_PATH_NAMES_MAX));
}

/// Attaches session 2, the second that was created.
const ATTACH: Request = Request::Attach {
    session: 2,
    seek: SEEK_BEGINNING,
};

#[test]
fn rotated_streams_make_their_directories_in_slices() {
    let mut stage = Stage::new();
    let other = Producer::numbered(&mut stage, 2);
    let producer = Producer::numbered(&mut stage, 1);
    let paths: Vec<_> = (0..ROTATED_AT_ONCE)
        .map(|at| format!("{at}{}", "/d".repeat(119)))
        .collect();
    let add = |path: &String| producer.add_stream(&mut stage, path, "chan");
    let handles: Vec<u64> = paths.iter().map(add).collect();
    producer.expect_ok(&mut stage, &create_chunk(1));
    let positions: Vec<_> = handles.iter().map(|stream| (*stream, 0)).collect();
    let rotation = client::command(15, &stage::rotate(Some(1), &positions));
    producer.control.write(&rotation);
    let mut before = directories(&stage);
    loop {
        tick_beside(&mut stage, &other);
        let now = directories(&stage);
        assert!(now - before <= 2 * 120, "{} in one tick", now - before);
        before = now;
        let reply = producer.control.take_received();
        if !reply.is_empty() {
            assert_eq!(reply, code::OK.to_be_bytes());
            break;
        }
    }
}

/// Where packets fit on the disk and their indexes do not, what is written waits for ever; what
/// waits for room does not.
#[test]
fn a_rotation_does_not_wait_for_room_on_a_full_disk() {
    let mut stage = Stage::with(Settings {
        files_max: 64,
        ..Settings::default()
    });
    let (producer, handles) = producer_of_many(&mut stage, 12);
    let used = stage.storage.used_bytes();
    let room = handles.len() * PACKET_BYTES;
    stage.storage.limit_bytes(Some(used + room as u64));
    for stream in &handles {
        let payload = stage::payload(*stream, 0);
        producer.send_packet(&mut stage, *stream, 0, &payload);
    }
    for stream in &handles {
        producer.send_index(&mut stage, *stream, 0);
    }
    producer.expect_ok(&mut stage, &create_chunk(1));
    let positions: Vec<_> = handles.iter().map(|stream| (*stream, 1)).collect();
    let rotation = client::command(15, &stage::rotate(Some(1), &positions));
    producer.control.write(&rotation);
    for _ in 0..10 {
        stage.pass(COMMIT_RETRY);
    }
    let reply = producer.control.take_received();
    assert_eq!(reply, code::OK.to_be_bytes());
}

#[test]
fn sweeps_wait_for_a_disk_that_does_not_answer_and_viewers_do_not() {
    let mut stage = Stage::with(Settings {
        probes_disk: true,
        ..Settings::default()
    });
    let _first = Producer::numbered(&mut stage, 0);
    let streams = 4 * STREAMS_SWEPT_PER_TICK;
    let (producer, _) = producer_of_many(&mut stage, streams);
    let viewer = Viewer::connect(&mut stage, 15);
    viewer.ask(&mut stage, ATTACH);
    producer.control.finish();
    producer.data.finish();
    let open = |stage: &Stage| {
        stage
            .entities()
            .sessions
            .iter()
            .map(|(_, it)| it.open_streams.len())
            .sum::<usize>()
    };
    while open(&stage) == streams {
        stage.tick();
    }
    stage.clock.advance(PROBE_AGE_MAX);
    stage.storage.hold_answers(true);
    stage.tick();
    let left = open(&stage);
    assert!((1..streams).contains(&left), "{left}");
    viewer.peer.reset("gone");
    stage.tick();
    while !stage.entities().viewer_streams.is_empty() {
        stage.tick();
        assert_eq!(open(&stage), left);
        assert_eq!(stage.network.timeout(), Some(Duration::ZERO), "it goes on");
    }
    assert_eq!(stage.storage.hanging_calls(), 0);
    stage.storage.hold_answers(false);
    stage.settle();
    assert_eq!(stage.entities().sessions.len(), 1);
}

/// A session whose packets come again on a new connection is not given up any more.
#[test]
fn a_new_data_connection_ends_a_sweep() {
    let mut stage = Stage::without_audit();
    let (producer, handles) = producer_of_many(&mut stage, 8 * STREAMS_SWEPT_PER_TICK);
    let [first, .., before, last] = handles[..] else {
        panic!("there are many");
    };
    producer.send_whole_packet(&mut stage, first, 0);
    producer.send_index(&mut stage, last, 0);
    producer.data.finish();
    stage.settle();
    stage.clock.advance(DRAIN_GRACE);
    stage.tick();
    let data = stage.network.connect(Endpoint::Data, "producer:data");
    data.write(&stage::packet_bytes(before, 0));
    stage.settle();
    data.write(&stage::packet_bytes(last, 0));
    stage.settle();
    let tally = &stage.entities().totals.tally;
    assert_eq!((tally.packets, tally.lost.total()), (3, 0));
}

/// Directories on the disk.
fn directories(stage: &Stage) -> usize {
    let content = stage.storage.tree().into_values();
    content.filter(Option::is_none).count()
}
