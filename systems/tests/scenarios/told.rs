//! The log's lines: names and not numbers, what is wrong, and what to do.

use baton_components::connection::Endpoint;
use baton_components::limits::{DATA_PATIENCE, DRAIN_GRACE, LISTED_NAMES_MAX};
use baton_components::wire::producer::{Command, CreateSession, Origin, SendIndex};
use baton_components::wire::viewer::{AttachStatus, Request, SEEK_BEGINNING};
use baton_systems::client;
use tracing::Level;

use crate::log::Log;
use crate::stage::{self, CREATED_S, Producer, Stage, Viewer};

fn numbered(name: &str, number: u64) -> CreateSession<'_> {
    CreateSession {
        origin: Some(Origin {
            daemon: [7; 16],
            session: number,
            creation_time_s: CREATED_S,
            ..Origin::default()
        }),
        ..stage::session(name)
    }
}

#[test]
fn a_session_begins_and_ends_by_its_name() {
    let mut stage = Stage::new();
    let log = Log::start();
    let producer = Producer::with_session(&mut stage, 15);
    let viewer = Viewer::connect(&mut stage, 15);
    viewer.ask(
        &mut stage,
        Request::Attach {
            session: 1,
            seek: SEEK_BEGINNING,
        },
    );
    let (_, data) = producer.add_trace(&mut stage, "ust/uid/0");
    producer.send_whole_packet(&mut stage, data, 0);
    producer.send_whole_packet(&mut stage, data, 1);
    producer.leave(&mut stage);
    viewer.leave(&mut stage);
    assert_eq!(
        log.take(),
        [
            "INFO live session session@host created in host/session-20261122-064435",
            "INFO viewer attached to session session@host peer=\"viewer\"",
            "INFO the producer of session session@host is gone",
            "INFO session session@host is over: 2 streams, 2 packets, 128 B; \
             0 lost here, 0 announced and never received",
        ]
    );
    stage.assert_empty();
}

#[test]
fn the_losses_of_a_session_are_in_its_last_line() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust/uid/0");
    producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
    let index = SendIndex {
        packet_sequence: 0,
        ..stage::index(data, 0)
    };
    producer.expect_ok(&mut stage, &Command::SendIndex(index));
    producer.send_packet(&mut stage, data, 1, &stage::payload(data, 1));
    let index = SendIndex {
        packet_sequence: 6,
        events_discarded: 97_948,
        ..stage::index(data, 1)
    };
    producer.expect_ok(&mut stage, &Command::SendIndex(index));
    let log = Log::start();
    producer.leave(&mut stage);
    let lines = log.take();
    let expected = "INFO session session@host is over: 2 streams, 2 packets, 128 B; 0 lost here, \
                    0 announced and never received; the tracer discarded 97948 events; \
                    the tracer overwrote 5 packets (channel chan)";
    assert_eq!(lines.last().map(String::as_str), Some(expected));
    stage.assert_empty();
}

#[test]
fn what_a_user_does_to_a_session_has_a_line() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let log = Log::start();
    for (number, command) in [(0, Some(0)), (1, Some(2)), (2, None)] {
        producer.expect_ok(&mut stage, &stage::create_chunk(number + 1));
        producer.close_chunk(&mut stage, number, command);
    }
    let lines = log.take();
    let archive =
        "host/session-20261122-064435/archives/20261122T064435+0000-20261122T064535+0000-0";
    assert_eq!(
        lines,
        [
            format!("INFO session session@host has rotated: the archive is {archive}"),
            "INFO session session@host was cleared: what it recorded since the last rotation is deleted".to_owned(),
        ]
    );
    producer.leave(&mut stage);

    let snapshots = CreateSession {
        snapshot: true,
        live_timer_us: 0,
        ..numbered("snaps", 2)
    };
    let producer = Producer::create(&mut stage, 15, snapshots);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    log.take();
    producer.close_chunk(&mut stage, 0, None);
    let line = log.take_one();
    assert!(
        line.starts_with("INFO session snaps@host: a snapshot is in host/snaps-"),
        "{line}"
    );
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_viewer_that_is_refused_has_a_line() {
    let mut stage = Stage::new();
    let recorded = CreateSession {
        live_timer_us: 0,
        ..stage::session("recorded")
    };
    let producer = Producer::create(&mut stage, 15, recorded);
    let viewer = Viewer::connect(&mut stage, 15);
    let attach = |session| Request::Attach {
        session,
        seek: SEEK_BEGINNING,
    };
    let log = Log::start();
    let reply = viewer.ask(&mut stage, attach(1));
    assert_eq!(reply[..4], AttachStatus::NotLive.number().to_be_bytes());
    let line = log.take_one();
    assert!(
        line.starts_with("WARN viewer is refused session recorded@host: it is not live"),
        "{line}"
    );
    assert!(line.contains("lttng create --live"), "{line}");
    // Many of them are one line.
    viewer.ask(&mut stage, attach(2));
    assert_eq!(log.take(), [""; 0]);
    viewer.leave(&mut stage);
    let viewer = Viewer::connect_from(&mut stage, "10.0.0.2:1", 15);
    log.take();
    viewer.ask(&mut stage, attach(9));
    let line = log.take_one();
    assert!(line.contains("session number 9: there is none"), "{line}");
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_viewer_that_finds_no_session_of_its_name_leaves_a_line_with_the_names() {
    let mut stage = Stage::new();
    let log = Log::start();
    let look = |stage: &mut Stage, address: &str, attaches: bool| {
        let viewer = Viewer::connect_from(stage, address, 15);
        viewer.ask(stage, Request::ListSessions);
        if attaches {
            viewer.ask(
                stage,
                Request::Attach {
                    session: 1,
                    seek: SEEK_BEGINNING,
                },
            );
        }
        log.take();
        viewer.leave(stage);
        log.take()
    };
    assert_eq!(
        look(&mut stage, "10.0.0.1:1", false),
        ["INFO viewer left without a session: there is none peer=\"10.0.0.1:1\""]
    );
    let recorded = CreateSession {
        live_timer_us: 0,
        ..numbered("recorded", 2)
    };
    let mut producers = vec![
        Producer::create(&mut stage, 15, numbered("live", 1)),
        Producer::create(&mut stage, 15, recorded),
    ];
    assert_eq!(
        look(&mut stage, "10.0.0.2:1", false),
        [
            "INFO viewer left without a session: there are live@host, recorded@host (not live) \
             peer=\"10.0.0.2:1\""
        ]
    );
    assert_eq!(look(&mut stage, "10.0.0.3:1", true), [""; 0]);
    for number in 3..20 {
        producers.push(Producer::create(&mut stage, 15, numbered("more", number)));
    }
    let lines = look(&mut stage, "10.0.0.4:1", false);
    let more = format!("{} more", 19 - LISTED_NAMES_MAX);
    assert!(lines.len() == 1 && lines[0].contains(&more), "{lines:#?}");
    for producer in producers {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

#[test]
fn announced_packets_that_do_not_come_have_a_line_once() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust/uid/0");
    let log = Log::start();
    producer.expect_ok(&mut stage, &stage::beacon(data, 1));
    stage.pass(2 * DATA_PATIENCE);
    assert_eq!(log.take(), [""; 0], "a beacon announces no packet");
    producer.send_index(&mut stage, data, 0);
    stage.pass(DATA_PATIENCE / 2);
    assert_eq!(log.take(), [""; 0]);
    stage.pass(DATA_PATIENCE);
    let line = log.take_one();
    for part in [
        "WARN session session@host",
        "from producer to port 5343",
        "firewall, or a wrong --data-url?",
    ] {
        assert!(line.contains(part), "{line}");
    }
    producer.send_index(&mut stage, data, 1);
    stage.pass(2 * DATA_PATIENCE);
    assert_eq!(log.take(), [""; 0]);
    producer.leave(&mut stage);
    stage.pass(2 * DRAIN_GRACE);
    stage.assert_empty();
}

#[test]
fn a_session_whose_packets_come_late_has_no_line() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust/uid/0");
    let log = Log::start();
    producer.send_index(&mut stage, data, 0);
    stage.pass(DATA_PATIENCE / 2);
    producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
    stage.pass(2 * DATA_PATIENCE);
    assert_eq!(log.take(), [""; 0]);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_command_after_a_restart_says_what_to_do() {
    let mut stage = Stage::new();
    let producer = Producer::connect(&mut stage, 15);
    let log = Log::start();
    producer.ask(&mut stage, &stage::create_chunk(1));
    let line = log.take_one();
    assert!(
        line.contains("CREATE_TRACE_CHUNK 1: no session was created"),
        "{line}"
    );
    assert!(line.contains("lttng destroy, then lttng create"), "{line}");
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_refused_command_names_its_session() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let log = Log::start();
    let second = Command::CreateSession(stage::session("second"));
    assert_eq!(producer.try_make(&mut stage, &second), None);
    let line = log.take_one();
    let expected = "WARN control connection of session session@host: \
                    CREATE_SESSION second@host, live: this connection has a session already; refused";
    assert!(line.starts_with(expected), "{line}");
    // Of many refusals the others are one line.
    assert_eq!(producer.try_make(&mut stage, &second), None);
    assert_eq!(log.take(), [""; 0]);
    producer.leave(&mut stage);
    let lines = log.take();
    let expected = "WARN control connection of session session@host: 1 more command refused";
    assert!(
        lines.iter().any(|line| line.starts_with(expected)),
        "{lines:#?}"
    );
    stage.assert_empty();
}

#[test]
fn what_is_refused_names_its_stream() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (metadata, data) = producer.add_trace(&mut stage, "ust/uid/0");
    let log = Log::start();
    producer.send_packet(&mut stage, metadata, 0, &[0; 8]);
    let line = log.take_one();
    let expected = "WARN data connection: a packet of stream metadata of session@host: \
                    the stream is a metadata stream; connection closed";
    assert!(line.starts_with(expected), "{line}");
    producer.send_index(&mut stage, data, 0);
    let index = Command::SendIndex(stage::index(data, 0));
    producer.ask(&mut stage, &index);
    let lines = log.take();
    let expected = "WARN control connection of session session@host: SEND_INDEX chan_0 of \
                    session@host: packet 0 of 64 bytes: the description of packet 0 came before; \
                    connection closed";
    assert!(lines[0].starts_with(expected), "{lines:#?}");
    stage.pass(2 * DRAIN_GRACE);
    stage.assert_empty();
}

/// A handle is an access right: it is in no log.
#[test]
fn each_command_and_reply_is_traced_by_name() {
    let mut stage = Stage::new();
    let log = Log::from(Level::TRACE);
    let producer = Producer::with_session(&mut stage, 15);
    // Handles of streams, and what viewers get for them.
    let numbers = [0x1111_2222, 0x3333_4444, 0x5555_6666, 0x7777_8888];
    stage.chance.load(&numbers);
    let (metadata, data) = producer.add_trace(&mut stage, "ust/uid/0");
    producer.send_metadata(&mut stage, metadata, b"metadata");
    producer.send_whole_packet(&mut stage, data, 0);
    producer.expect_ok(&mut stage, &stage::beacon(data, 2_000));
    let viewer = Viewer::connect(&mut stage, 15);
    for request in [
        Request::ListSessions,
        Request::Attach {
            session: 1,
            seek: SEEK_BEGINNING,
        },
        Request::NewStreams { session: 1 },
        Request::Detach { session: 1 },
    ] {
        viewer.ask(&mut stage, request);
    }
    producer.close_stream(&mut stage, data, Some(0));
    producer.leave(&mut stage);
    viewer.leave(&mut stage);
    let lines = log.take();
    for expected in [
        "VERSION 2.15: OK, 2.15",
        "CREATE_SESSION session@host, live: OK, number 1 in host/session-20261122-064435",
        "CREATE_TRACE_CHUNK 0: OK",
        "ADD_STREAM chan_0 in ust/uid/0: OK",
        "STREAMS_SENT: OK",
        "SEND_METADATA metadata of session@host: 8 bytes: no reply",
        "packet 0 of chan_0 of session@host begins: 64 bytes",
        "SEND_INDEX chan_0 of session@host: packet 0 of 64 bytes: OK",
        "SEND_INDEX chan_0 of session@host: no event before 2000: OK",
        "CONNECT 2.15: 2.15",
        "CREATE_SESSION: OK",
        "LIST_SESSIONS: 1 sessions",
        "ATTACH_SESSION session@host from its beginning: OK, 2 streams",
        "GET_NEW_STREAMS session@host: OK, 0 streams",
        "DETACH_SESSION session@host: OK",
        "CLOSE_STREAM chan_0 of session@host: packet 0 is the last: OK",
    ] {
        let traced = format!("TRACE {expected}");
        let is_it = |line: &&String| line.starts_with(&traced);
        assert!(
            lines.iter().any(|line| is_it(&line)),
            "{expected} in {lines:#?}"
        );
    }
    assert!([metadata, data].iter().all(|it| *it >= numbers[0]));
    for handle in [metadata, data].into_iter().chain(numbers) {
        let handle = handle.to_string();
        assert!(
            !lines.iter().any(|line| line.contains(&handle)),
            "{lines:#?}"
        );
    }
    stage.assert_empty();
}

/// The names are any bytes.
#[test]
fn a_name_makes_no_line_of_its_own() {
    let mut stage = Stage::new();
    let log = Log::from(Level::TRACE);
    let session = CreateSession {
        host: b"h\x1b[31m",
        ..stage::session("a\nWARN b")
    };
    let producer = Producer::connect(&mut stage, 15);
    producer.try_make(&mut stage, &Command::CreateSession(session));
    let viewer = stage.network.connect(Endpoint::Live, "viewer");
    viewer.write(&client::request(client::connect(4)));
    stage.settle();
    producer.leave(&mut stage);
    viewer.finish();
    stage.settle();
    let lines = log.take();
    assert!(
        lines
            .iter()
            .any(|line| line.contains(r"a\nWARN b@h\u{1b}[31m")),
        "{lines:#?}"
    );
    assert!(
        !lines.iter().any(|line| line.starts_with("WARN b")),
        "{lines:#?}"
    );
    stage.assert_empty();
}
