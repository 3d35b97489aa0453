//! Daemons: what they leave, what they keep, and when their parent goes.

use crate::process::{Process, eventually};
use crate::relay::{self, Relay};
use crate::sandbox;
use crate::skip;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_daemon_leaves_its_console() {
    let relay = Relay::daemon(&["-d"]);
    assert_listens(&relay);
    for descriptor in 0..3 {
        assert_eq!(
            link(&relay, &format!("fd/{descriptor}")),
            Path::new("/dev/null")
        );
    }
    assert_eq!(link(&relay, "cwd"), Path::new("/"));
    assert_leads_a_session(&relay);
    relay.terminate();
}

#[test]
fn a_background_daemon_keeps_its_console() {
    let directory = sandbox::home();
    let mut command = relay::command(directory.path());
    let mut parent = Process::spawn(command.arg("-b"), directory.path(), "parent");
    parent.wait_for_success(PATIENCE);
    let console = directory.path().join("parent.err");
    let relay = Relay::running_in(directory);
    assert_listens(&relay);
    assert_eq!(link(&relay, "fd/0"), Path::new("/dev/null"));
    assert_eq!(link(&relay, "fd/2"), console);
    assert_leads_a_session(&relay);
    relay.terminate();
}

#[test]
fn a_working_directory_is_the_callers() {
    for mode in ["-d", "-b"] {
        let directory = sandbox::home();
        let place = directory.path().join("place");
        fs::create_dir(&place).expect("a directory");
        let mut command = relay::command(directory.path());
        command.args([mode, "--working-dir", "place"]);
        let mut parent = Process::spawn(&mut command, directory.path(), "parent");
        parent.wait_for_success(PATIENCE);
        let relay = Relay::running_in(directory);
        assert_eq!(link(&relay, "cwd"), place);
        relay.terminate();
    }
}

#[test]
fn a_daemon_that_cannot_start_leaves_nothing() {
    for mode in ["-d", "-b"] {
        let directory = sandbox::home();
        let mut command = relay::command(directory.path());
        let output = command
            .args([mode, "-w", "/none"])
            .output()
            .expect("lttng-relayd");
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected =
            "Error: Failed to change working directory to \"/none\": No such file or directory\n";
        assert_eq!(errors, expected);
        assert!(!relay::pid_file(directory.path()).exists());
    }
}

#[test]
fn files_have_the_modes_that_the_umask_leaves() {
    let directory = sandbox::home();
    // A longer old content leaves nothing.
    fs::write(relay::pid_file(directory.path()), "12345678901234\n").expect("a file");
    let status = shell(directory.path(), "umask 027; lttng-relayd \"$@\"")
        .args(options(directory.path(), "-d"))
        .status();
    assert!(status.expect("a shell").success());
    let relay = Relay::running_in(directory);
    let mode = |name: &str| {
        let metadata = fs::metadata(relay.directory().join(name)).expect("a file");
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(mode("pid"), 0o640);
    for port in ["control", "data", "live"] {
        assert_eq!(mode(&format!("run/relayd/{port}.port")), 0o640);
    }
    relay.terminate();
}

#[test]
fn the_parent_of_the_caller_learns_of_readiness() {
    for mode in ["-d", "-b", ""] {
        let directory = sandbox::home();
        let script = "trap 'echo ready' USR1; lttng-relayd -S \"$@\" & wait";
        let mut command = shell(directory.path(), script);
        command.args(options(directory.path(), mode));
        let shell = Process::spawn(&mut command, directory.path(), "shell");
        eventually("a signal", PATIENCE, || shell.output() == "ready\n");
        let relay = Relay::running_in(directory);
        assert_listens(&relay);
        relay.terminate();
    }
}

#[test]
fn only_the_right_signals_stop_a_relay() {
    for name in ["TERM", "INT"] {
        let relay = Foreground::start(&[]);
        for harmless in ["HUP", "USR1", "PIPE"] {
            relay.relay.signal(harmless);
        }
        assert_listens(&relay.relay);
        relay.end(name);
    }
}

#[test]
fn the_first_of_two_relays_leaves_the_ports_of_the_second() {
    let first = Foreground::start(&[]);
    let second_directory = sandbox::home();
    let mut command = relay::command(second_directory.path());
    command.env("LTTNG_RUNDIR", first.relay.directory().join("run"));
    assert!(command.arg("-d").status().expect("lttng-relayd").success());
    let second = Relay::running_in(second_directory);
    let ports = || ["control", "data", "live"].map(|port| first.relay.address(port));
    let before = ports();
    first.relay.signal("TERM");
    first.process.borrow_mut().wait_for_success(PATIENCE);
    assert_eq!(ports(), before);
    assert!(TcpStream::connect(before[0]).is_ok());
    second.signal("TERM");
    eventually("the end of the second", PATIENCE, || !second.is_running());
    first.relay.assert_gone();
}

#[test]
fn the_group_of_a_relay_of_root_may_ask_for_its_health() {
    if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        skip::say("since only root has such a relay");
        return;
    }
    let relay = Relay::daemon(&["-d", "-g", "nogroup"]);
    let of = |path: &Path| {
        let metadata = fs::metadata(path).expect("a file");
        (metadata.permissions().mode() & 0o7777, metadata.gid())
    };
    let run = relay.directory().join("run");
    let (mode, group) = of(&run);
    assert_eq!(mode, 0o755);
    assert_ne!(group, 0);
    assert_eq!(of(&run.join("relayd")), (0o755, group));
    assert_eq!(of(&relay.health_socket()), (0o660, group));
    relay.terminate();
}

/// A relay that this process waits for.
pub struct Foreground {
    process: std::cell::RefCell<Process>,
    pub relay: Relay,
}

impl Foreground {
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[])
    }

    /// Starts one with more in its environment.
    pub fn start_with(options: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = sandbox::home();
        let mut command = relay::command(directory.path());
        command.args(options).envs(variables.iter().copied());
        let process = Process::spawn(&mut command, directory.path(), "relay");
        let live = directory.path().join("run/relayd/live.port");
        let pid = relay::pid_file(directory.path());
        eventually("a relay", PATIENCE, || live.exists() && pid.exists());
        Self {
            process: process.into(),
            relay: Relay::running_in(directory),
        }
    }

    /// Ends it; it takes a second at most, says that all is well, and leaves nothing.
    pub fn end(self, signal: &str) -> Relay {
        let begun = Instant::now();
        self.relay.signal(signal);
        self.process.borrow_mut().wait_for_success(PATIENCE);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "it took {took:?} to end");
        self.relay.assert_gone();
        self.relay
    }

    /// Waits until it has ended by itself.
    pub fn wait(&self) -> ExitStatus {
        self.process.borrow_mut().wait(PATIENCE)
    }

    pub fn errors(&self) -> String {
        self.process.borrow().errors()
    }
}

fn shell(directory: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]);
    relay::surround(&mut command, directory);
    command
}

/// The arguments of [`relay::command`], for a shell.
fn options(directory: &Path, mode: &str) -> Vec<std::ffi::OsString> {
    let command = relay::command(directory);
    let words = command.get_args().map(ToOwned::to_owned);
    words
        .chain((!mode.is_empty()).then(|| mode.into()))
        .collect()
}

fn assert_listens(relay: &Relay) {
    for port in ["control", "data", "live"] {
        let connected = TcpStream::connect(relay.address(port));
        assert!(connected.is_ok(), "{port}: {connected:?}");
    }
}

fn assert_leads_a_session(relay: &Relay) {
    let state = fs::read_to_string(format!("/proc/{}/stat", relay.pid)).expect("a process");
    let session = state
        .rsplit(')')
        .next()
        .and_then(|it| it.split_whitespace().nth(3));
    assert_eq!(session, Some(&*relay.pid.to_string()));
}

fn link(relay: &Relay, name: &str) -> std::path::PathBuf {
    fs::read_link(format!("/proc/{}/{name}", relay.pid)).expect("a link of a process")
}
