//! Strays: peers that come to the wrong port are closed, and told apart in the log.

use baton_components::connection::Endpoint;
use baton_components::limits::REFUSALS_LOGGED_EVERY;
use baton_components::wire::producer::{Command, Version};
use baton_systems::client;

use crate::log::Log;
use crate::stage::{self, Producer, Stage, Viewer};

/// A speaker's name, its first bytes, and the ports that it is told.
fn speakers() -> [(&'static str, Vec<u8>, &'static [&'static str]); 5] {
    let version = Command::Version(Version {
        major: 2,
        minor: 13,
    });
    let hello = vec![22, 3, 1, 0, 5, 1, 0, 0, 1, 3];
    [
        (
            "a producer's commands",
            client::command(13, &version),
            &["5342", "5343"],
        ),
        (
            "a producer's packets",
            client::packet(0xfeed_beef_0000_0001, 0, &[0; 64]),
            &["5342", "5343"],
        ),
        (
            "a viewer",
            client::request(client::connect(4)),
            &["net://HOST:5344"],
        ),
        (
            "an HTTP request",
            b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            &["5342", "5343", "5344", "http://HOST:5340"],
        ),
        ("a TLS handshake", hello, &["tls://"]),
    ]
}

fn own(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Control => "a producer's commands",
        Endpoint::Data => "a producer's packets",
        Endpoint::Live => "a viewer",
        Endpoint::Status => "an HTTP request",
    }
}

#[test]
fn a_stray_is_told_where_to_go_and_nobody_else_notices() {
    for (speaker, bytes, told) in speakers() {
        for endpoint in Endpoint::ALL.into_iter().filter(|it| own(*it) != speaker) {
            for piece in [usize::MAX, 24] {
                let mut stage = Stage::new();
                stage.change(|settings| settings.ports.status = Some(5340));
                let producer = Producer::with_session(&mut stage, 15);
                let (_, data) = producer.add_trace(&mut stage, "ust/uid/0");
                let viewer = Viewer::connect(&mut stage, 15);
                let log = Log::start();
                let stray = stage.network.connect(endpoint, "10.0.0.9:7");
                stray.cut_every(piece);
                stray.write(&bytes);
                stage.settle();
                let line = log.take_one();
                let what = format!("{speaker} at {}: {line}", endpoint.name());
                assert!(stray.is_closed(), "{what}");
                assert_eq!(stray.take_received(), [], "{what}");
                let head = format!("WARN {} connection, which is for ", endpoint.name());
                assert!(line.starts_with(&head), "{what}");
                assert!(line.contains(&format!("{speaker} came")), "{what}");
                assert!(line.contains("peer=\"10.0.0.9:7\""), "{what}");
                for part in told {
                    assert!(line.contains(part), "{what}");
                }
                producer.send_whole_packet(&mut stage, data, 0);
                viewer.leave(&mut stage);
                producer.leave(&mut stage);
                stage.assert_empty();
            }
        }
    }
}

#[test]
fn an_http_request_is_told_of_no_port_where_there_is_none() {
    let mut stage = Stage::new();
    let log = Log::start();
    let stray = stage.network.connect(Endpoint::Control, "10.0.0.9:7");
    stray.write(b"GET / HTTP/1.0\r\n\r\n");
    stage.settle();
    let line = log.take_one();
    assert!(line.contains("answers none (--status-port)"), "{line}");
    stage.assert_empty();
}

#[test]
fn of_many_strays_from_one_address_few_are_logged() {
    let mut stage = Stage::new();
    let log = Log::start();
    // One that stays, so that the address is known meanwhile.
    let _stays = stage.network.connect(Endpoint::Data, "10.0.0.9:1");
    let mut knock = || {
        let stray = stage.network.connect(Endpoint::Control, "10.0.0.9:7");
        stray.write(b"GET /metrics HTTP/1.1\r\n\r\n");
        stage.settle();
        assert!(stray.is_closed());
        log.take()
    };
    assert_eq!(knock().len(), 1);
    for _ in 0..10 {
        assert_eq!(knock(), [""; 0]);
    }
    // Another mistake is not hidden by them.
    let stray = stage.network.connect(Endpoint::Live, "10.0.0.9:8");
    stray.write(b"GET / HTTP/1.1\r\n\r\n");
    stage.settle();
    let line = log.take_one();
    assert!(!line.contains("more refused"), "{line}");
    stage.pass(REFUSALS_LOGGED_EVERY);
    let stray = stage.network.connect(Endpoint::Control, "10.0.0.9:9");
    stray.write(b"GET / HTTP/1.1\r\n\r\n");
    stage.settle();
    let line = log.take_one();
    assert!(line.contains("(10 more refused before)"), "{line}");
}

/// A handle is a random number, and may be a small one.
#[test]
fn a_producer_and_a_viewer_at_their_ports_are_no_strays() {
    let mut stage = Stage::new();
    let log = Log::start();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust/uid/0");
    producer.data.cut_every(1);
    producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
    producer.send_index(&mut stage, data, 0);
    let viewer = Viewer::connect(&mut stage, 4);
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    let strays = log.take().into_iter().filter(|line| line.contains("WARN"));
    assert_eq!(strays.collect::<Vec<_>>(), [""; 0]);
    stage.assert_empty();
}
