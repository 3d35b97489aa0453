//! Requests of monitors by HTTP.

use baton_components::connection::Endpoint;
use baton_components::limits::{STATUS_CONNECTIONS_MAX, STATUS_PATIENCE};
use baton_components::wire::producer::{Command, CreateSession, SendIndex};
use baton_systems::memory::Peer;
use baton_systems::settings::Settings;

use crate::log::Log;
use crate::stage::{self, Producer, Stage};

fn connect(stage: &mut Stage) -> Peer {
    let peer = stage.network.connect(Endpoint::Status, "monitor");
    stage.settle();
    peer
}

/// Asks, and gives status line, headers and body.
fn ask(stage: &mut Stage, request: &str) -> (String, String, String) {
    let peer = connect(stage);
    let answer = stage.ask(&peer, request.as_bytes());
    assert!(peer.is_closed(), "{request}");
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status.to_owned(), headers.to_owned(), body.to_owned())
}

fn get(stage: &mut Stage, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, _, body) = ask(stage, &request);
    (status, body)
}

/// The value of a series.
fn value(page: &str, series: &str) -> u64 {
    let start = format!("{series} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{page}"));
    line.parse().unwrap()
}

fn metrics(stage: &mut Stage) -> String {
    let (status, page) = get(stage, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    page
}

#[test]
fn metrics_tell_what_came_and_what_is_lost() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
    producer.send_index(&mut stage, data, 0);
    producer.send_packet(&mut stage, data, 1, &stage::payload(data, 1));
    let description = SendIndex {
        packet_sequence: 6,
        events_discarded: 97_948,
        ..stage::index(data, 1)
    };
    producer.expect_ok(&mut stage, &Command::SendIndex(description));
    let page = metrics(&mut stage);
    for (series, expected) in [
        ("baton_packets_total", 2),
        ("baton_packet_bytes_total", 128),
        ("baton_events_discarded_total", 97_948),
        (r#"baton_packets_lost_total{reason="overwritten"}"#, 5),
        (r#"baton_packets_lost_total{reason="torn"}"#, 0),
        (r#"baton_connections{port="control"}"#, 1),
        (r#"baton_connections{port="data"}"#, 1),
        (r#"baton_connections_accepted_total{port="status"}"#, 1),
        (r#"baton_sessions{state="recording"}"#, 1),
        (r#"baton_sessions{state="ending"}"#, 0),
        (r#"baton_streams{state="open"}"#, 2),
        ("baton_sessions_created_total", 1),
        (r#"baton_commands_total{command="SEND_INDEX"}"#, 2),
        (r#"baton_commands_total{command="VERSION"}"#, 1),
        (r#"baton_commands_refused_total{command="VERSION"}"#, 0),
        (r#"baton_received_bytes_total{port="data"}"#, 192),
        (r#"baton_budget_used{of="streams"}"#, 2),
        (r#"baton_budget_limit{of="monitors"}"#, 16),
        ("baton_storage_free_bytes", 600_000),
        (r#"baton_tick_duration_seconds_bucket{le="+Inf"}"#, 1),
        (r#"baton_storage_write_seconds_bucket{le="+Inf"}"#, 1),
        ("baton_storage_write_seconds_count", 1),
        (r#"baton_strangers_total{port="live"}"#, 2),
        (r#"baton_tls_handshakes_failed_total{port="status"}"#, 7),
        ("baton_tick_duration_seconds_count", 1),
        (
            r#"baton_session_packets_total{host="host",session="session"}"#,
            2,
        ),
        (
            r#"baton_session_packets_lost_total{host="host",session="session"}"#,
            5,
        ),
        (r#"baton_session_streams{host="host",session="session"}"#, 2),
        ("baton_metrics_sessions_omitted", 0),
    ] {
        assert_eq!(value(&page, series), expected, "{series}");
    }
    producer.leave(&mut stage);
    stage.assert_empty();
    // The session is gone, what it counted is not.
    let page = metrics(&mut stage);
    assert_eq!(value(&page, "baton_events_discarded_total"), 97_948);
    assert_eq!(value(&page, r#"baton_connections{port="control"}"#), 0);
    assert!(!page.contains("session="));
    stage.assert_empty();
}

#[test]
fn a_monitor_that_reads_open_metrics_gets_it() {
    let mut stage = Stage::new();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\
                   Accept: application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1\r\n\r\n";
    let (_, headers, page) = ask(&mut stage, request);
    assert!(headers.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
    assert!(page.ends_with("\n# EOF\n"));
    assert!(page.contains("# TYPE baton_packets counter\nbaton_packets_total 0\n"));
    let plain = metrics(&mut stage);
    assert!(plain.contains("# TYPE baton_packets_total counter\nbaton_packets_total 0\n"));
    assert!(!plain.contains("# EOF"));
    let names = |page: &str| -> Vec<String> {
        let series = page.lines().filter(|line| !line.starts_with('#'));
        let names = series.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
        names.collect()
    };
    assert_eq!(names(&page), names(&plain));
}

#[test]
fn endings_of_connections_are_counted() {
    let mut stage = Stage::new();
    Producer::with_session(&mut stage, 15).leave(&mut stage);
    stage
        .network
        .connect(Endpoint::Control, "broken")
        .reset("reset");
    let faulty = stage.network.connect(Endpoint::Live, "faulty");
    stage.ask(&faulty, &[0xff; 64]);
    let page = metrics(&mut stage);
    for (port, how, count) in [
        ("control", "closed", 1),
        ("control", "broken", 1),
        ("live", "fault", 1),
        ("live", "closed", 0),
    ] {
        let series = format!(r#"baton_connections_closed_total{{port="{port}",how="{how}"}}"#);
        assert_eq!(value(&page, &series), count, "{series}");
    }
    stage.assert_empty();
}

#[test]
fn the_page_is_bounded() {
    let mut stage = Stage::new();
    let empty = metrics(&mut stage).lines().count();
    let names: Vec<_> = (0..300).map(|number| format!("session{number}")).collect();
    let mut producers = Vec::new();
    for name in &names {
        producers.push(Producer::create(&mut stage, 15, stage::session(name)));
    }
    let page = metrics(&mut stage);
    assert_eq!(value(&page, r#"baton_sessions{state="recording"}"#), 300);
    assert_eq!(value(&page, "baton_metrics_sessions_omitted"), 100);
    assert_eq!(page.lines().count(), empty + 200 * 8);
    assert!(empty + 200 * 8 <= 2_700, "{empty}");
    for producer in &producers {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

/// Consumers of one user's session have one name: a series is there once.
#[test]
fn sessions_of_one_name_are_summed() {
    let mut stage = Stage::new();
    let one = Producer::create(&mut stage, 15, stage::session("twin"));
    let other = Producer::create(&mut stage, 15, stage::session("twin"));
    let page = metrics(&mut stage);
    let series = r#"baton_session_streams{host="host",session="twin"}"#;
    assert_eq!(page.matches(series).count(), 1);
    for producer in [one, other] {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

#[test]
fn names_from_the_network_stay_in_their_labels() {
    let mut stage = Stage::new();
    let session = CreateSession {
        host: b"a\"} 1\n<b>\\",
        ..stage::session("é\"")
    };
    let producer = Producer::create(&mut stage, 15, session);
    let page = metrics(&mut stage);
    let series = r#"baton_session_streams{host="a\\\"} 1\\n<b>\\\\",session="é\\\""}"#;
    assert_eq!(value(&page, series), 0);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_relay_without_room_is_not_ready_and_says_why() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    let ready = ("HTTP/1.1 200 OK".to_owned(), "ready\n".to_owned());
    assert_eq!(get(&mut stage, "/readyz"), ready);
    stage.storage.limit_bytes(Some(stage.storage.used_bytes()));
    producer.send_whole_packet(&mut stage, data, 0);
    let (status, reasons) = get(&mut stage, "/readyz");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(reasons.starts_with("storage: "), "{reasons}");
    assert_eq!(value(&metrics(&mut stage), "baton_storage_writable"), 0);
    assert_eq!(get(&mut stage, "/livez").0, "HTTP/1.1 200 OK");
    stage.storage.limit_bytes(None);
    producer.send_whole_packet(&mut stage, data, 1);
    assert_eq!(get(&mut stage, "/readyz"), ready);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn requests_that_are_no_question_are_refused() {
    let mut stage = Stage::new();
    let host = "Host: localhost\r\n\r\n";
    for (request, status) in [
        (format!("GET /other HTTP/1.1\r\n{host}"), "404"),
        (format!("PUT /metrics HTTP/1.1\r\n{host}"), "405"),
        (
            "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            "421",
        ),
        ("GET /metrics HTTP/1.1\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} ", "a".repeat(1 << 20)), "431"),
        ("\u{1}\u{2}\u{3}".to_owned(), "400"),
    ] {
        let (line, headers, _) = ask(&mut stage, &request);
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
        assert!(headers.contains("Content-Security-Policy: default-src 'none'"));
        assert!(headers.contains("Connection: close"));
    }
    let head = format!("HEAD /metrics HTTP/1.1\r\n{host}");
    let (_, headers, body) = ask(&mut stage, &head);
    assert!(body.is_empty() && !headers.contains("Content-Length: 0"));
    stage.assert_empty();
}

/// Byte by byte, and with a second request behind it that is not answered.
#[test]
fn a_request_may_come_in_pieces() {
    let mut stage = Stage::new();
    let peer = connect(&mut stage);
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (last, first) = request.split_last().unwrap();
    for byte in first {
        assert_eq!(stage.ask(&peer, &[*byte]), []);
    }
    let answer = stage.ask(&peer, &[&[*last], &request[..]].concat());
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(peer.is_closed());
    stage.assert_empty();
}

#[test]
fn a_slow_monitor_has_five_seconds() {
    let mut stage = Stage::new();
    let slow = connect(&mut stage);
    assert_eq!(stage.ask(&slow, b"GET / HTTP/1.1\r\n"), []);
    let deaf = connect(&mut stage);
    deaf.block();
    deaf.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stage.settle();
    stage.pass(STATUS_PATIENCE / 2);
    assert!(!slow.is_closed() && !deaf.is_closed());
    stage.pass(STATUS_PATIENCE / 2);
    assert!(slow.is_closed() && deaf.is_closed());
    stage.assert_empty();
}

/// A browser opens connections before it needs them: that is no mistake, and fills no log.
#[test]
fn of_monitors_that_say_or_take_nothing_few_are_logged() {
    let mut stage = Stage::new();
    let log = Log::start();
    // Another one of the address, so that it is known meanwhile.
    let _control = stage.network.connect(Endpoint::Control, "10.0.0.9:1");
    for number in 0..2 {
        let silent = stage.network.connect(Endpoint::Status, "10.0.0.9:2");
        let deaf = stage.network.connect(Endpoint::Status, "10.0.0.9:3");
        deaf.block();
        deaf.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stage.settle();
        stage.pass(STATUS_PATIENCE);
        assert!(silent.is_closed() && deaf.is_closed());
        let lines = log.take();
        let told = lines.iter().filter(|it| it.contains("status connection"));
        let expected = usize::from(number == 0);
        assert_eq!(told.count(), expected, "{lines:#?}");
        assert!(number > 0 || lines[0].contains("the answer is not taken"));
    }
}

#[test]
fn a_monitor_that_takes_an_answer_late_gets_all_of_it() {
    let mut stage = Stage::new();
    let peer = connect(&mut stage);
    peer.block();
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(stage.ask(&peer, request), []);
    peer.accept_bytes(usize::MAX);
    stage.settle();
    assert!(peer.take_received().ends_with(b"\r\n\r\nok\n"));
    assert!(peer.is_closed());
    stage.assert_empty();
}

#[test]
fn the_page_has_files_of_its_own_and_asks_its_relay_alone() {
    let mut stage = Stage::new();
    for (path, content_type) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (status, headers, body) = ask(&mut stage, &request);
        assert_eq!(status, "HTTP/1.1 200 OK", "{path}");
        let expected = format!("Content-Type: {content_type}; charset=utf-8");
        assert!(headers.contains(&expected), "{headers}");
        let policy = "Content-Security-Policy: default-src 'none'; script-src 'self';";
        assert!(headers.contains(policy), "{headers}");
        // Nothing from elsewhere, and no markup made of text.
        for word in ["http://", "https://", "innerHTML", "eval(", "style=\""] {
            assert!(!body.contains(word), "{word} in {path}");
        }
    }
    stage.assert_empty();
}

/// All of them are accepted in one tick, at the end of which those that are refused are closed.
#[test]
fn a_crowd_of_one_address_keeps_no_other_out() {
    let mut stage = Stage::with(Settings {
        address_share_percent: 25,
        ..Settings::default()
    });
    let connect = |peer: &str| stage.network.connect(Endpoint::Status, peer);
    let crowd: Vec<_> = (0..2 * STATUS_CONNECTIONS_MAX)
        .map(|number| connect(&format!("10.0.0.1:{number}")))
        .collect();
    let other = connect("10.0.0.2:1");
    stage.settle();
    assert!(!other.is_closed());
    let open = crowd.iter().filter(|it| !it.is_closed()).count() as u64;
    assert_eq!(open, STATUS_CONNECTIONS_MAX * 3 / 4);
    stage.pass(STATUS_PATIENCE);
    stage.assert_empty();
}

#[test]
fn few_ask_at_the_same_time() {
    let mut stage = Stage::new();
    let mut peers = Vec::new();
    for _ in 0..=STATUS_CONNECTIONS_MAX {
        peers.push(connect(&mut stage));
    }
    let closed: Vec<_> = peers.iter().map(Peer::is_closed).collect();
    assert!(closed.ends_with(&[false, true]), "{closed:?}");
    assert_eq!(closed.iter().filter(|it| **it).count(), 1);
    peers[0].finish();
    stage.settle();
    assert_eq!(get(&mut stage, "/livez").1, "ok\n");
    stage.pass(STATUS_PATIENCE);
    stage.assert_empty();
}
