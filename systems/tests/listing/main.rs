//! `/status`: JSON with a record for each session or stream.

mod crowd;
#[path = "../scenarios/stage.rs"]
#[allow(dead_code)] // Shared with the scenarios.
mod stage;

use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::limits::STATUS_PATIENCE;
use baton_components::wire::producer::{Command, CreateSession, SendIndex, Version};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::memory::Peer;
use baton_systems::settings::Settings;
use baton_systems::usage::Warning;
use serde_json::{Value, json};

use stage::{Producer, Stage, Viewer};

fn connect(stage: &mut Stage) -> Peer {
    let peer = stage.network.connect(Endpoint::Status, "monitor");
    stage.settle();
    peer
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: relay.example:5340\r\n\r\n").into_bytes()
}

fn settings() -> Settings {
    Settings {
        names: vec!["relay.example".to_owned()],
        ..Settings::default()
    }
}

/// The JSON of an answer in chunks.
fn read(answer: &[u8]) -> Value {
    let answer = std::str::from_utf8(answer).unwrap();
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let (chunk, after) = after.split_at(size);
        body.push_str(chunk);
        rest = after.strip_prefix("\r\n").unwrap();
        if size == 0 {
            assert_eq!(rest, "");
            return serde_json::from_str(&body).unwrap();
        }
    }
}

fn ask(stage: &mut Stage, path: &str) -> Value {
    let peer = connect(stage);
    let answer = stage.ask(&peer, &request(path));
    assert!(peer.is_closed());
    read(&answer)
}

#[test]
fn a_session_is_told_with_its_losses_and_viewers() {
    let mut stage = Stage::with(settings());
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    for sequence in 0..3 {
        producer.send_whole_packet(&mut stage, data, sequence);
    }
    producer.send_packet(&mut stage, data, 3, &stage::payload(data, 3));
    let description = SendIndex {
        packet_sequence: 7,
        events_discarded: 42,
        ..stage::index(data, 3)
    };
    producer.expect_ok(&mut stage, &Command::SendIndex(description));
    let viewer = Viewer::connect(&mut stage, 15);
    let attach = Request::Attach {
        session: 1,
        seek: SEEK_BEGINNING,
    };
    viewer.ask(&mut stage, attach);
    let status = ask(&mut stage, "/status");
    assert_eq!(status["schema"], 1);
    assert_eq!(status["relay"]["ready"], true);
    assert_eq!(status["totals"]["packets"], 4);
    assert_eq!(status["ports"][0]["port"], "control");
    assert_eq!(status["ports"][1]["received_bytes"], 4 * 96);
    assert_eq!(status["storage"]["free_bytes"], 600_000);
    let session = &status["sessions"][0];
    for (name, value) in [
        ("id", json!(1)),
        ("host", json!("host")),
        ("name", json!("session")),
        ("created", json!("2026-11-22T06:44:35Z")),
        ("state", json!("recording")),
        ("live", json!(true)),
        ("directory", json!("host/session-20261122-064435")),
        ("url", json!("net://relay.example:5344/host/host/session")),
        (
            "command",
            json!(
                "babeltrace2 --input-format=lttng-live 'net://relay.example:5344/host/host/session'"
            ),
        ),
        ("unreadable", Value::Null),
        ("data_connections", json!(1)),
        ("from", json!("producer")),
        ("streams", json!(2)),
        ("packets", json!(4)),
        ("bytes", json!(256)),
        ("events_discarded", json!(42)),
        ("chunk", json!(0)),
    ] {
        assert_eq!(session[name], value, "{name}");
    }
    assert_eq!(session["packets_lost"]["overwritten"], 4);
    assert_eq!(session["packets_lost"]["torn"], 0);
    let causes = session["packets_lost"].as_object().unwrap().keys();
    for cause in causes.map(String::as_str).chain(["events_discarded"]) {
        assert!(status["advice"][cause].is_string(), "{cause}");
    }
    let told = &session["viewers"][0];
    assert_eq!(told["peer"], "viewer");
    assert_eq!(told["packets"], 0);
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_eq!(ask(&mut stage, "/status")["sessions"], json!([]));
}

#[test]
fn streams_of_a_session_are_told() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    producer.send_whole_packet(&mut stage, data, 0);
    // Its packet does not come.
    let described = Command::SendIndex(stage::index(data, 1));
    producer.expect_ok(&mut stage, &described);
    let status = {
        let peer = connect(&mut stage);
        let request = b"GET /status/sessions/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        read(&stage.ask(&peer, request))
    };
    assert_eq!(status["session"]["name"], "session");
    let url = "net://localhost:5344/host/host/session";
    assert_eq!(status["session"]["url"], url);
    let streams = status["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2);
    assert_eq!(streams[0]["metadata"], true);
    for (name, value) in [
        ("channel", json!("chan_0")),
        ("trace", json!("ust")),
        ("packets", json!(1)),
        ("bytes", json!(64)),
        ("packets_lost", json!(0)),
        ("pending", json!(1)),
    ] {
        assert_eq!(streams[1][name], value, "{name}");
    }
    let peer = connect(&mut stage);
    let answer = stage.ask(
        &peer,
        b"GET /status/sessions/2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert!(answer.starts_with(b"HTTP/1.1 404 "));
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn why_a_session_cannot_be_followed_is_told() {
    let mut stage = Stage::with(settings());
    let session = CreateSession {
        live_timer_us: 0,
        ..stage::session("recorded")
    };
    let producer = Producer::create(&mut stage, 15, session);
    let status = ask(&mut stage, "/status");
    let session = &status["sessions"][0];
    assert_eq!(session["command"], Value::Null);
    let why = session["unreadable"].as_str().unwrap();
    assert!(why.starts_with("it is not live: "), "{why}");
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// A viewer's figures: packets that it got, packets that it has not, and their time in ns.
fn lag(stage: &mut Stage) -> (u64, u64, u64) {
    let status = ask(stage, "/status");
    let viewer = &status["sessions"][0]["viewers"][0];
    let number = |name| viewer[name].as_u64().unwrap();
    let seconds = viewer["lag_seconds"].as_f64().unwrap();
    (
        number("packets"),
        number("lag_packets"),
        Duration::from_secs_f64(seconds).as_nanos() as u64,
    )
}

/// The stream's wire id for viewers: the memory's chance gives it.
fn next_index(stage: &mut Stage, viewer: &Viewer) {
    let streams = &stage.entities().streams;
    let data = streams.iter().map(|(_, stream)| stream);
    let data = data.filter(|stream| !stream.is_metadata());
    let stream = data.map(|stream| stream.viewer_id).next().unwrap();
    let answer = viewer.ask(stage, Request::NextIndex { stream });
    assert_eq!(answer[59], 1, "an index is there: {answer:?}");
}

#[test]
fn a_viewer_lags_by_what_it_has_not_read() {
    let mut stage = Stage::with(settings());
    let producer = Producer::with_session(&mut stage, 15);
    let (metadata, data) = producer.add_trace(&mut stage, "ust");
    producer.send_metadata(&mut stage, metadata, b"meta");
    for sequence in 0..3 {
        producer.send_whole_packet(&mut stage, data, sequence);
    }
    let viewer = Viewer::connect(&mut stage, 15);
    let attach = Request::Attach {
        session: 1,
        seek: SEEK_BEGINNING,
    };
    viewer.ask(&mut stage, attach);
    // From 100 to 2900 ns.
    assert_eq!(lag(&mut stage), (0, 3, 2800));
    next_index(&mut stage, &viewer);
    assert_eq!(lag(&mut stage), (1, 2, 2000));
    for _ in 0..2 {
        next_index(&mut stage, &viewer);
    }
    assert_eq!(lag(&mut stage), (3, 0, 0));
    for sequence in 3..5 {
        producer.send_whole_packet(&mut stage, data, sequence);
    }
    assert_eq!(lag(&mut stage), (3, 2, 2000));
    // Cleared packets cannot be read any more.
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let rotate = stage::rotate(Some(1), &[(metadata, 0), (data, 5)]);
    producer.expect_ok(&mut stage, &rotate);
    producer.close_chunk(&mut stage, 0, Some(2));
    assert_eq!(lag(&mut stage), (3, 0, 0));
    producer.send_whole_packet(&mut stage, data, 5);
    assert_eq!(lag(&mut stage), (3, 1, 3000));
    next_index(&mut stage, &viewer);
    assert_eq!(lag(&mut stage), (4, 0, 0));
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn names_from_the_network_stay_in_their_strings() {
    let mut stage = Stage::new();
    let session = CreateSession {
        host: b"a\"} 1\n<b>\\\xff",
        ..stage::session("é\"\u{202e}\u{1b}[31m")
    };
    let producer = Producer::create(&mut stage, 15, session);
    let peer = stage.network.connect(Endpoint::Status, "monitor");
    let answer = stage.ask(&peer, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let is_printable = |byte: &u8| !byte.is_ascii_control() || b"\r\n".contains(byte);
    assert!(answer.iter().all(is_printable));
    let status = read(&answer);
    assert_eq!(status["sessions"][0]["host"], "a\"} 1\n<b>\\\u{fffd}");
    assert_eq!(status["sessions"][0]["name"], "é\"\u{202e}\u{1b}[31m");
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn the_last_warnings_are_told() {
    let mut stage = Stage::with(settings());
    stage.clock.warn(Warning {
        unix_s: 1_795_331_211,
        is_error: true,
        text: "stream 2: packets are being lost".to_owned(),
    });
    let status = ask(&mut stage, "/status");
    let expected = json!([{
        "time": "2026-11-22T07:06:51Z",
        "level": "error",
        "text": "stream 2: packets are being lost",
    }]);
    assert_eq!(status["warnings"], expected);
}

/// Without chunks, the end of the connection is the end of the answer.
#[test]
fn a_monitor_of_http_1_0_is_answered() {
    let mut stage = Stage::new();
    let peer = connect(&mut stage);
    let answer = stage.ask(&peer, b"GET /status HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("Transfer-Encoding"));
    let status: Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["sessions"], json!([]));
    let peer = connect(&mut stage);
    let answer = stage.ask(&peer, b"HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.ends_with(b"Connection: close\r\n\r\n") && peer.is_closed());
    stage.assert_empty();
}

/// Many producers, each with a session of so many streams.
fn crowd(stage: &mut Stage, sessions: usize, streams_each: usize) -> Vec<Peer> {
    let mut peers = Vec::new();
    for number in 0..sessions {
        let name = format!("session{number}");
        let mut commands = vec![
            Command::Version(Version {
                major: 2,
                minor: 15,
            }),
            Command::CreateSession(stage::session(&name)),
            stage::create_chunk(0),
        ];
        let stream = || stage::add_stream("ust", "channel0_0");
        commands.extend(std::iter::repeat_with(stream).take(streams_each));
        let peer = stage.network.connect(Endpoint::Control, "producer");
        for command in &commands {
            peer.write(&client::command(15, command));
        }
        peers.push(peer);
        if number % 64 == 63 {
            stage.settle();
        }
    }
    stage.settle();
    let entities = stage.entities();
    assert_eq!(entities.sessions.len(), sessions);
    assert_eq!(entities.streams.len(), sessions * streams_each);
    peers
}

#[test]
fn a_slow_monitor_gets_a_long_list_and_one_that_stops_does_not() {
    let mut stage = Stage::without_audit();
    let producers = crowd(&mut stage, 1500, 0);
    let [slow, deaf] = [(); 2].map(|()| {
        let peer = connect(&mut stage);
        peer.block();
        peer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
        peer
    });
    stage.settle();
    let mut answer = Vec::new();
    let mut waits = 0;
    while !slow.is_closed() {
        slow.accept_bytes(200_000);
        stage.pass(STATUS_PATIENCE.saturating_sub(Duration::from_millis(200)));
        answer.extend(slow.take_received());
        waits += 1;
        assert!(waits < 20, "it gets on");
    }
    assert!(waits > 2 && deaf.is_closed());
    let status = read(&answer);
    assert_eq!(status["sessions"].as_array().unwrap().len(), 1500);
    assert!(deaf.take_received().is_empty());
    for producer in &producers {
        producer.finish();
    }
    stage.settle();
    stage.assert_empty();
}

/// A tick writes a bounded part of a list, whatever there is, and a page of figures does not
/// grow beyond its bound.
#[test]
fn a_large_relay_answers_in_slices() {
    const SESSIONS: usize = 10_000;
    const STREAMS_EACH: usize = 10;
    let mut stage = Stage::without_audit();
    crowd(&mut stage, SESSIONS, STREAMS_EACH);

    let peer = connect(&mut stage);
    let metrics = stage.ask(&peer, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let lines = String::from_utf8(metrics).unwrap().lines().count();
    assert!(lines <= 2700, "{lines}");

    let peer = connect(&mut stage);
    peer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (mut answer, mut ticks, mut largest) = (Vec::new(), 0, 0);
    while !peer.is_closed() {
        stage.tick();
        let slice = peer.take_received();
        let records = slice.windows(6).filter(|it| it == b"{\"id\":").count();
        largest = largest.max(records);
        answer.extend(slice);
        ticks += 1;
    }
    assert!(largest > 10 && largest <= 64, "{largest} in one tick");
    assert!(ticks >= SESSIONS / largest);
    let status = read(&answer);
    assert_eq!(status["sessions"].as_array().unwrap().len(), SESSIONS);
}
