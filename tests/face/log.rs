//! The log on standard error.

use crate::daemons::Foreground;
use crate::peer::Peer;
use crate::process::eventually;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

const SIGABRT: i32 = 6;

/// What begins a change of colour on a terminal.
const ESCAPE: char = '\x1b';

#[test]
fn colours_are_for_terminals_and_whoever_asks() {
    for (value, colored) in [("always", true), ("never", false), ("", false)] {
        let relay = Foreground::start_with(&[], &[("LTTNG_TERM_COLOR", value)]);
        be_refused(&relay);
        assert_eq!(relay.errors().contains(ESCAPE), colored, "{value:?}");
        relay.end("TERM");
    }
}

#[test]
fn the_first_error_ends_a_relay_that_is_told_so() {
    let relay = Foreground::start_with(&[], &[("LTTNG_ABORT_ON_ERROR", "1")]);
    // A peer's doing is no error.
    be_refused(&relay);
    lose_a_packet(&relay);
    assert_eq!(relay.wait().signal(), Some(SIGABRT));
    let errors = relay.errors();
    let last = errors.lines().last().expect("a line");
    assert!(last.contains("ERROR"), "{errors}");
}

#[test]
fn an_error_ends_no_other() {
    let relay = Foreground::start(&[]);
    lose_a_packet(&relay);
    eventually("an error", PATIENCE, || relay.errors().contains("ERROR"));
    relay.end("TERM");
}

/// Says what is no command, and is refused with a warning.
fn be_refused(relay: &Foreground) {
    let mut connection = TcpStream::connect(relay.relay.address("control")).expect("a relay");
    connection.write_all(&[0xff; 64]).expect("a relay");
    eventually("a warning", PATIENCE, || relay.errors().contains("WARN"));
}

/// Sends a packet that cannot be recorded: its index would be where a file is.
fn lose_a_packet(relay: &Foreground) {
    let mut peer = Peer::connect(&relay.relay, "lost");
    let stream = peer.add_stream("channel_0");
    let trace = relay.relay.output().join("host/lost/ust");
    fs::write(trace.join("index"), "in the way").expect("a directory of a trace");
    peer.send_bytes(stream, 0, &[0; 100]);
}
