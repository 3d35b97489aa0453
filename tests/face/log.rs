//! The log on standard error.

use crate::daemons::Foreground;
use crate::peer::Peer;
use crate::process::eventually;
use baton_components::wire::producer::{Command, GetConfiguration, Minors, Version};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;
use std::{fs, thread};

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

/// A line for each run of them, not one each.
#[test]
fn a_flood_of_refused_commands_is_no_flood_of_lines() {
    const REFUSED: usize = 20_000;
    let relay = Foreground::start(&[]);
    let mut control = TcpStream::connect(relay.relay.address("control")).expect("a relay");
    let mut hello = Vec::new();
    Command::Version(Version {
        major: 2,
        minor: 13,
    })
    .encode(Minors::both(0), &mut hello);
    control.write_all(&hello).expect("a relay");
    let mut command = Vec::new();
    // No relay knows such flags.
    let flags = Command::GetConfiguration(GetConfiguration { flags: 7 });
    flags.encode(Minors::both(13), &mut command);
    let mut sender = control.try_clone().expect("a socket");
    let writing = thread::spawn(move || {
        for _ in 0..REFUSED {
            sender.write_all(&command).expect("a relay that reads");
        }
    });
    let mut replies = vec![0; 8 + 12 * REFUSED];
    control.read_exact(&mut replies).expect("replies");
    writing.join().expect("a peer");
    control.shutdown(Shutdown::Both).expect("a connection");
    eventually("their number", PATIENCE, || {
        relay.errors().contains(" more command")
    });
    let errors = relay.errors();
    assert!(
        errors.contains("flags 0x7 are unknown; refused"),
        "{errors}"
    );
    // A line or two for each ten seconds that it took.
    assert!(errors.lines().count() < REFUSED / 100, "{errors}");
    let more = errors.lines().filter_map(|line| {
        let (_, rest) = line.split_once("connection: ")?;
        rest.split_once(" more command")?.0.parse::<usize>().ok()
    });
    let told = errors.matches("are unknown").count();
    assert_eq!(more.sum::<usize>() + told, REFUSED, "{errors}");
    relay.end("TERM");
}

#[test]
fn a_peer_forges_no_line() {
    let relay = Foreground::start(&["-v"]);
    let name = "demo\n2026-01-01T00:00:00Z ERROR all is lost\x1b[2J\u{202e}";
    drop(Peer::connect(&relay.relay, name));
    eventually("its session", PATIENCE, || {
        relay.errors().contains("is over")
    });
    let errors = relay.errors();
    let shown =
        r"session demo\n2026-01-01T00:00:00Z ERROR all is lost\u{1b}[2J\u{202e}@host created";
    assert!(errors.contains(shown), "{errors}");
    assert!(
        !errors.lines().any(|line| line.starts_with("2026-01-01")),
        "{errors}"
    );
    assert!(!errors.contains(ESCAPE), "{errors}");
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
