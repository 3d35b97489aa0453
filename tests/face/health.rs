//! The health socket: a request is answered, and clients that send none disturb no other.

use crate::daemons::Foreground;
use crate::skip;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_health_client_learns_that_all_components_are_healthy() {
    let relay = Foreground::start(&[]);
    for _ in 0..3 {
        assert_eq!(ask(&relay, &[0; 4]), [0; 8]);
    }
    relay.end("TERM");
}

#[test]
fn silent_and_wrong_clients_disturb_nobody() {
    let relay = Foreground::start(&[]);
    let silent: Vec<_> = (0..20).map(|_| connect(&relay)).collect();
    let mut half = connect(&relay);
    half.write_all(&[0, 0]).expect("half a question");
    assert!(ask(&relay, &77_u32.to_ne_bytes()).is_empty());
    assert_eq!(ask(&relay, &[0; 4]), [0; 8]);
    // Nor do they hold up its end.
    relay.end("TERM");
    drop((silent, half));
}

#[test]
fn the_client_library_of_lttng_sees_all_components_alive() {
    let relay = Foreground::start(&[]);
    let client = relay.relay.directory().join("client");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/face/health_client.c");
    let built = Command::new("cc")
        .arg(source)
        .args(["-l:liblttng-ctl.so.0", "-o"])
        .arg(&client)
        .output()
        .expect("a C compiler");
    let errors = String::from_utf8_lossy(&built.stderr);
    if errors.contains("cannot find -l") {
        skip::say("since the client library of LTTng is missing");
        return;
    }
    assert!(built.status.success(), "{errors}");
    let client = Command::new(client)
        .arg(relay.relay.health_socket())
        .output()
        .expect("a client");
    let expected = "0 Relay daemon dispatcher\n0 Relay daemon worker\n\
        0 Relay daemon listener\n0 Relay daemon live dispatcher\n\
        0 Relay daemon live worker\n0 Relay daemon live listener\n";
    assert_eq!(String::from_utf8_lossy(&client.stdout), expected);
    assert!(client.status.success());
    relay.end("TERM");
}

fn connect(relay: &Foreground) -> UnixStream {
    let socket = UnixStream::connect(relay.relay.health_socket()).expect("a health socket");
    let patience = Some(Duration::from_secs(5));
    socket.set_read_timeout(patience).expect("a deadline");
    socket
}

/// The answer to a question, up to the end of the connection.
fn ask(relay: &Foreground, question: &[u8]) -> Vec<u8> {
    let mut socket = connect(relay);
    socket.write_all(question).expect("a question");
    let mut answer = Vec::new();
    socket
        .read_to_end(&mut answer)
        .expect("an end of the answer");
    answer
}
