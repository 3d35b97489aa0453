//! Difficult surroundings: users without a home or a name, directories that cannot be written,
//! a log that no process reads, a limit of the size of files.

use crate::application::{self, Workload};
use crate::events::{self, assert_ascending, assert_complete};
use crate::layout::read_archives;
use crate::lttng::{Buffers, Producer};
use crate::nonsense::{self, VERSION};
use crate::ports::Ports;
use crate::process::{Process, eventually};
use crate::refusals::assert_records;
use crate::relay::{self, Relay, is_original, skipped};
use crate::sandbox;
use crate::skip;
use crate::{BRIEF, end, turn};
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// No system has a user of this number.
const STRANGER: u32 = 54_321;

/// For a shell that starts a relay.
const READ_ONLY: &str = "mount --bind /run /run && mount -o remount,bind,ro /run && exec \"$@\"";
/// The relay itself has the end from which it could be read.
const UNREAD: &str = "rm -f pipe; mkfifo pipe; exec 3<>pipe; exec \"$@\" 2>pipe";
/// Blocks of 512 bytes: four packets.
const SMALL: &str = "ulimit -f 128; exec \"$@\"";

/// More than four packets for each processor.
const MUCH: Workload = Workload {
    threads: 2,
    events_per_thread: 3_000,
    sleep_us: 20,
    payload_length: 100,
};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_user_without_a_name_and_a_home_records() {
    records_without_a_run_directory(|command, home| {
        let mut command = run_by_stranger(&command, home);
        command.env_remove("HOME").env_remove("LTTNG_HOME");
        command
    });
}

#[test]
fn a_user_whose_home_is_not_there_records() {
    records_without_a_run_directory(|command, home| {
        let mut command = run_by_stranger(&command, home);
        command.env("HOME", "/none").env_remove("LTTNG_HOME");
        command
    });
}

#[test]
fn a_user_whose_home_cannot_be_written_records() {
    records_without_a_run_directory(|command, home| {
        let own = home.join("own");
        fs::create_dir_all(&own).expect("a home");
        chown(&own, Some(STRANGER), Some(STRANGER)).expect("a home of the user's");
        fs::set_permissions(&own, Permissions::from_mode(0o555)).expect("a mode");
        let mut command = run_by_stranger(&command, home);
        command.env("HOME", own).env_remove("LTTNG_HOME");
        command
    });
}

#[test]
fn root_records_where_the_run_directory_of_the_system_cannot_be_written() {
    if skipped("it ends, with status 0") {
        return;
    }
    records_without_a_run_directory(|command, _| {
        let mut command = prefixed(
            &["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"],
            &command,
        );
        command.env_remove("LTTNG_HOME").env_remove("LTTNG_RUNDIR");
        command
    });
}

fn records_without_a_run_directory(surround: impl Fn(Command, &Path) -> Command) {
    let _turn = turn::take();
    if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        skip::say("since only root may become another user, or mount");
        return;
    }
    let relay = Relay::start_surrounded(surround);
    let producer = Producer::start();
    assert_records(&producer, &relay, "odd");
    if !is_original() {
        let log = relay.log();
        let warnings = log.lines().filter(|line| line.contains("no health socket"));
        assert_eq!(warnings.count(), 1, "{log}");
    }
    end([producer], relay);
}

#[test]
fn a_log_that_cannot_be_written_is_no_reason_to_end() {
    let _turn = turn::take();
    if skipped("its sockets get the numbers of standard streams that are closed") {
        return;
    }
    for redirection in [
        "2>/dev/full",
        "2>&-",
        "0<&- 1>&- 2>&-",
        "2</dev/null",
        // A pipe without a reader.
        "3<>pipe 2>pipe 3<&-",
    ] {
        let script = format!("rm -f pipe; mkfifo pipe; exec \"$@\" {redirection}");
        let mut relay = Relay::start_surrounded(|command, home| {
            let mut command = prefixed(&["sh", "-c", &script, "sh"], &command);
            command.current_dir(home);
            command
        });
        let producer = Producer::start();
        refuse_many(&relay, 10);
        assert_records(&producer, &relay, "unsaid");
        drop(producer);
        relay.assert_idle();
        relay.end_without_log();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let _turn = turn::take();
    if skipped("it waits for whoever reads its log") {
        return;
    }
    let mut relay = Relay::start_surrounded(|command, directory| {
        let mut command = prefixed(&["sh", "-c", UNREAD, "sh"], &command);
        command.current_dir(directory);
        command
    });
    let producer = Producer::start();
    // More than the pipe and the queue have room for.
    refuse_many(&relay, 300);
    assert_records(&producer, &relay, "unread");

    // The kept lines are read, with the count of dropped ones.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let pipe = relay.home().join("pipe");
    let mut reader = options.open(pipe).expect("a pipe");
    let mut log = Vec::new();
    eventually("a word on what is lost", PATIENCE, || {
        // It ends where there is nothing more for now.
        let _ = reader.read_to_end(&mut log);
        String::from_utf8_lossy(&log).contains("of the log could not be written")
    });
    let log = String::from_utf8_lossy(&log);
    assert_eq!(log.matches("could not be written").count(), 1);
    assert!(log.contains("producers connect to"), "{log}");
    drop(producer);
    relay.assert_idle();
    relay.end_without_log();
}

/// Each from a connection of its own, with a line of some four thousand bytes.
fn refuse_many(relay: &Relay, count: usize) {
    const CREATE_SESSION: u32 = 2;
    let hello = nonsense::command(VERSION, 8, &[0, 0, 0, 2, 0, 0, 0, 13]);
    let base = "../".repeat(1_300) + "\0";
    let mut payload = Vec::new();
    for length in [2, 2, base.len() as u32] {
        payload.extend(length.to_be_bytes());
    }
    // Timer and flags, an origin that is not all zeros, its session, time and chunk.
    payload.extend([0; 6]);
    payload.extend([1; 16]);
    payload.extend([0; 25]);
    payload.extend(b"s\0h\0");
    payload.extend(base.bytes());
    let create = nonsense::command(CREATE_SESSION, payload.len() as u64, &payload);
    for _ in 0..count {
        nonsense::say(relay.control_address(), &[&hello[..], &create].concat());
    }
}

/// `RLIMIT_FSIZE`: a file that is as large as it may become is a disk that is full.
#[test]
fn files_that_may_not_grow_cost_packets_and_nothing_else() {
    let _turn = turn::take();
    if skipped("the signal ends it") {
        return;
    }
    let mut relay =
        Relay::start_surrounded(|command, _| prefixed(&["sh", "-c", SMALL, "sh"], &command));
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "limited", Buffers::PerUser);
    let much = producer.launch(MUCH).finish();
    session.rotate();
    assert!(relay.is_running(), "the relay has ended");
    let late = producer.launch(BRIEF).finish();
    let directory = relay.trace_directory("limited");
    session.rotate();
    session.destroy();

    relay.wait_for_line(&["packets are being lost", "File too large"]);
    relay.wait_for_line(&["recording again"]);
    let seen = read_archives(&directory);
    let of_much = events::of(much, &seen).len();
    assert!(of_much > 0, "nothing was recorded");
    assert!(of_much < 6_000, "nothing was lost");
    assert_ascending(&seen, &[much, late]);
    assert_complete(&events::of(late, &seen), &[late]);
    end([producer], relay);
}

/// A relay that is started by another program.
pub fn prefixed(words: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(words[0]);
    outer.args(&words[1..]).arg(command.get_program());
    take_over(&mut outer, command);
    outer
}

#[test]
fn a_relay_that_may_not_open_files_safely_does_not_start() {
    if skipped("it opens files in another way") {
        return;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        return skip::say("since there is no strace");
    }
    let home = sandbox::home();
    let (ports, traces) = (Ports::free(), home.path().join("traces"));
    let refused = ["-e", "trace=openat2", "-e", "inject=openat2:error=ENOSYS"];
    let strace = [
        &["strace", "-D", "-f", "-qq", "-o", "/dev/null"][..],
        &refused,
    ]
    .concat();
    let command = prefixed(&strace, &relay::command(ports, &traces, home.path()));
    let mut relay = Process::spawn(&mut { command }, home.path(), "relay");
    assert!(!relay.wait(PATIENCE).success());
    let errors = relay.errors();
    let line = "the system has no openat2";
    assert!(
        errors.lines().count() == 1 && errors.contains(line) && errors.contains("RestrictSUIDSGID"),
        "{errors}"
    );
}

/// A copy of it where its user may run it.
fn run_by_stranger(command: &Command, home: &Path) -> Command {
    let program = home.join("program");
    let original = is_original().then_some(Path::new("/usr/bin/lttng-relayd"));
    application::copy(original.unwrap_or(command.get_program().as_ref()), &program);
    let traces = home.join("traces");
    fs::create_dir_all(&traces).expect("an output directory");
    chown(&traces, Some(STRANGER), Some(STRANGER)).expect("an output directory of the user's");
    let mut own = Command::new(program);
    take_over(&mut own, command);
    own.uid(STRANGER).gid(STRANGER);
    own
}

fn take_over(command: &mut Command, inner: &Command) {
    command.args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}
