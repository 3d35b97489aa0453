//! The log on standard error.

use crate::daemons::Foreground;
use crate::peer::Peer;
use crate::process::{Process, eventually};
use crate::{relay, sandbox};
use baton_components::wire::producer::{Command, GetConfiguration, Version};
use baton_systems::client::command;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process;
use std::time::Duration;
use std::{fs, thread};

const PATIENCE: Duration = Duration::from_secs(5);

const SIGABRT: i32 = 6;

/// Begin of an escape sequence.
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
    let hello = Command::Version(Version {
        major: 2,
        minor: 13,
    });
    let hello = command(13, &hello);
    control.write_all(&hello).expect("a relay");
    // No relay knows such flags.
    let flags = Command::GetConfiguration(GetConfiguration { flags: 7 });
    let refused = command(13, &flags);
    let mut sender = control.try_clone().expect("a socket");
    let writing = thread::spawn(move || {
        for _ in 0..REFUSED {
            sender.write_all(&refused).expect("a relay that reads");
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

/// As log rotation does it: the file is renamed, and SIGHUP has it opened anew.
#[test]
fn a_log_file_is_opened_anew() {
    let directory = sandbox::home();
    let (log, old) = (directory.path().join("log"), directory.path().join("log.1"));
    fs::write(&log, "before\n").expect("a file");
    let option = format!("--log-file={}", log.display());
    let relay = Foreground::start(&[&option]);
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let warnings = |path: &Path| text(path).matches("WARN control").count();
    knock(&relay);
    eventually("a line", PATIENCE, || warnings(&log) == 1);
    assert!(text(&log).starts_with("before\n"), "{}", text(&log));
    assert!(!text(&log).contains(ESCAPE), "{}", text(&log));

    fs::rename(&log, &old).expect("a file that can be renamed");
    relay.relay.signal("HUP");
    eventually("a new file", PATIENCE, || log.exists());
    knock(&relay);
    eventually("a line in it", PATIENCE, || warnings(&log) == 1);
    assert_eq!(warnings(&old), 1);

    // Where it cannot be opened, the log goes on in the old one.
    fs::remove_file(&log).expect("a file");
    fs::rename(&old, directory.path().join("log.2")).expect("a file");
    fs::create_dir(&log).expect("a directory in the way");
    relay.relay.signal("HUP");
    knock(&relay);
    assert_eq!(relay.errors(), "");
    relay.end("TERM");
}

#[test]
fn journald_is_told_levels_and_no_times() {
    let directory = sandbox::home();
    let script = "JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec baton relay \"$@\"";
    let mut command = process::Command::new("sh");
    command.args(["-c", script, "sh"]);
    command.args(relay::ANY_PORTS);
    command.arg("--output").arg(relay::output(directory.path()));
    command
        .arg("--pid-file")
        .arg(relay::pid_file(directory.path()));
    relay::surround(&mut command, directory.path());
    let mut process = Process::spawn(&mut command, directory.path(), "relay");
    eventually("a relay", PATIENCE, || process.errors().contains("try: "));
    let relay = relay::Relay::running_in(directory);
    let mut peer = TcpStream::connect(relay.address("control")).expect("a relay");
    peer.write_all(&[0xff; 64]).expect("a relay");
    eventually("a warning", PATIENCE, || {
        process.errors().contains("\n<4>control")
    });
    let errors = process.errors();
    assert!(!errors.contains("WARN"), "{errors}");
    relay.signal("TERM");
    process.wait_for_success(PATIENCE);
    assert!(
        process.errors().contains("\n<6>stopping\n"),
        "{}",
        process.errors()
    );
}

#[test]
fn a_daemon_says_where_its_log_is() {
    let start = |options: &[&str]| {
        let directory = sandbox::home();
        let mut command = process::Command::new("baton");
        command
            .arg("relay")
            .args(relay::ANY_PORTS)
            .arg("-d")
            .args(options);
        command.arg("--output").arg(relay::output(directory.path()));
        command
            .arg("--pid-file")
            .arg(relay::pid_file(directory.path()));
        relay::surround(&mut command, directory.path());
        let mut parent = Process::spawn(&mut command, directory.path(), "parent");
        parent.wait_for_success(PATIENCE);
        (relay::Relay::running_in(directory), parent.errors())
    };
    let (relay, errors) = start(&[]);
    let place = if Path::new("/dev/log").exists() {
        "the log goes on in syslog; --log-file names a file"
    } else {
        "nothing is logged; name a file with --log-file"
    };
    assert!(errors.contains(place), "{errors}");
    relay.terminate();
    let (relay, errors) = start(&["--log-file", "log"]);
    let log = relay.directory().join("log");
    let line = format!("baton: the log goes on in {}\n", log.display());
    assert!(errors.ends_with(&line), "{errors}");
    relay.signal("TERM");
    eventually("the last line", PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("stopping"))
    });
    eventually("the end of the relay", PATIENCE, || !relay.is_running());
}

/// Says what is no command, and is refused with a warning.
fn be_refused(relay: &Foreground) {
    knock(relay);
    eventually("a warning", PATIENCE, || relay.errors().contains("WARN"));
}

fn knock(relay: &Foreground) {
    let mut connection = TcpStream::connect(relay.relay.address("control")).expect("a relay");
    connection.write_all(&[0xff; 64]).expect("a relay");
}

/// Sends a packet that cannot be recorded: its index would be where a file is.
fn lose_a_packet(relay: &Foreground) {
    let mut peer = Peer::connect(&relay.relay, "lost");
    let stream = peer.add_stream("channel_0");
    let trace = relay.relay.output().join("host/lost/ust");
    fs::write(trace.join("index"), "in the way").expect("a directory of a trace");
    peer.send_bytes(stream, 0, &[0; 100]);
}
