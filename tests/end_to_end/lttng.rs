//! A producer: a session daemon of `LTTng` with a world of its own, and what a
//! user does with it through the `lttng` command.

use crate::application::{self, Application, Workload};
use crate::process::{Process, retry, signal};
use crate::relay::Relay;
use crate::sandbox;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any healthy command takes; the client itself would wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a user is to know what was refused.
const ATTEMPT_PATIENCE: Duration = Duration::from_secs(10);

/// Period of live sessions, in microseconds: short, so that the cases are.
const LIVE_TIMER_US: u32 = 100_000;

/// The scope of ring buffers.
#[derive(Clone, Copy, Debug)]
pub enum Buffers {
    PerUser,
    PerProcess,
}

/// The mode of a session.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Viewers can follow it.
    Live,
    Recorded,
    /// They stay in the ring buffers until a snapshot is asked for.
    Snapshot,
}

/// The options of a session.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    pub mode: Mode,
    pub buffers: Buffers,
    /// The path of the URL: empty, or `/` and the directory to record to.
    pub base_path: &'a str,
    /// More options of the channel.
    pub channel: &'a [&'a str],
}

impl Setup<'_> {
    /// Without a base path, and without limits.
    pub const fn new(mode: Mode, buffers: Buffers) -> Self {
        Self {
            mode,
            buffers,
            base_path: "",
            channel: &[],
        }
    }
}

/// A session daemon and its consumer daemons.
#[derive(Debug)]
pub struct Producer {
    // Before `home`: fields are dropped in this order.
    sessiond: Process,
    home: TempDir,
}

impl Producer {
    pub fn start() -> Self {
        let home = sandbox::home();
        let command = sandbox::command("lttng-sessiond", home.path());
        Self::start_with(home, command)
    }

    /// One on a machine of another name; none where this one cannot be given another.
    pub fn start_on(host: &str) -> Option<Self> {
        let home = sandbox::home();
        let command = sandbox::command_on(host, "lttng-sessiond", home.path())?;
        Some(Self::start_with(home, command))
    }

    fn start_with(home: TempDir, mut command: Command) -> Self {
        application::install(&home.path().join("app"));
        command.arg("--no-kernel");
        let sessiond = Process::spawn(&mut command, home.path(), "sessiond");
        let producer = Self { sessiond, home };
        retry(PATIENCE, || producer.try_lttng(&["list"]));
        producer
    }

    /// Creates, sets up and starts a session that viewers can follow.
    pub fn live_session<'a>(
        &'a self,
        relay: &Relay,
        name: &'a str,
        buffers: Buffers,
    ) -> Session<'a> {
        self.session(relay, name, Setup::new(Mode::Live, buffers))
    }

    /// Creates, sets up and starts a session that is only recorded.
    pub fn recorded_session<'a>(
        &'a self,
        relay: &Relay,
        name: &'a str,
        buffers: Buffers,
    ) -> Session<'a> {
        self.session(relay, name, Setup::new(Mode::Recorded, buffers))
    }

    /// Creates, sets up and starts a session.
    pub fn session<'a>(&'a self, relay: &Relay, name: &'a str, setup: Setup<'_>) -> Session<'a> {
        self.session_at(&relay.producer_url(), name, setup)
    }

    /// The same, where the relay is reached by that URL.
    pub fn session_at<'a>(&'a self, url: &str, name: &'a str, setup: Setup<'_>) -> Session<'a> {
        let url = format!("--set-url={url}{}", setup.base_path);
        let live = format!("--live={LIVE_TIMER_US}");
        let mode: &[_] = match setup.mode {
            Mode::Live => &[&*live],
            Mode::Recorded => &[],
            Mode::Snapshot => &["--snapshot"],
        };
        self.lttng(&[&["create", name, &url], mode].concat());
        self.set_up(name, setup)
    }

    /// Creates, sets up and starts a session whose snapshots go to a path of the relay's,
    /// which is an output that was added to it.
    pub fn session_of_snapshots<'a>(
        &'a self,
        relay: &Relay,
        name: &'a str,
        path: &str,
    ) -> Session<'a> {
        self.lttng(&["create", name, "--snapshot", "--no-output"]);
        let url = format!("{}{path}", relay.producer_url());
        let session = format!("--session={name}");
        self.lttng(&["snapshot", "add-output", &session, &url]);
        self.set_up(name, Setup::new(Mode::Snapshot, Buffers::PerUser))
    }

    fn set_up<'a>(&'a self, name: &'a str, setup: Setup<'_>) -> Session<'a> {
        // No event of a recording is ever discarded; a snapshot overwrites.
        let full: &[_] = match setup.mode {
            Mode::Live | Mode::Recorded => &["--blocking-timeout=inf"],
            Mode::Snapshot => &["--overwrite"],
        };
        let buffers = match setup.buffers {
            Buffers::PerUser => "--buffers-uid",
            Buffers::PerProcess => "--buffers-pid",
        };
        let (session, channel) = (format!("--session={name}"), "--channel=ticks");
        let enable = ["enable-channel", "--userspace", &session, buffers];
        // Small, for many packets.
        let size = ["--subbuf-size=16k", "--num-subbuf=4"];
        self.lttng(&[&enable[..], &size, full, setup.channel, &["ticks"]].concat());
        self.lttng(&["enable-event", "--userspace", &session, channel, "baton:*"]);
        let context = ["add-context", "--userspace", &session, channel];
        self.lttng(&[&context[..], &["--type=vpid"]].concat());
        self.lttng(&["start", name]);
        Session {
            producer: self,
            name,
        }
    }

    pub fn launch(&self, workload: Workload) -> Application {
        let mut command = sandbox::command(self.home.path().join("app"), self.home.path());
        Application::spawn(&mut command, self.home.path(), workload)
    }

    /// Kills the consumer daemon, and with it both connections to the relay, at whatever it does.
    pub fn kill_consumer(&self) {
        signal("KILL", &self.consumer().to_string());
    }

    /// The process that is connected to the relay.
    pub fn consumer(&self) -> u32 {
        children(self.sessiond.pid())
            .into_iter()
            .find(|pid| program_name(*pid).as_deref() == Some("lttng-consumerd"))
            .expect("a consumer daemon")
    }

    /// Runs a command of the client, which may fail and may not hang. Returns what it said.
    pub fn attempt(&self, arguments: &[&str]) -> Result<String, String> {
        self.try_lttng_within(ATTEMPT_PATIENCE, arguments)
    }

    /// Runs a command of the client; it must succeed. Returns its output.
    fn lttng(&self, arguments: &[&str]) -> String {
        self.try_lttng(arguments)
            .unwrap_or_else(|output| panic!("lttng {} fails:\n{output}", arguments.join(" ")))
    }

    fn try_lttng(&self, arguments: &[&str]) -> Result<String, String> {
        self.try_lttng_within(PATIENCE, arguments)
    }

    fn try_lttng_within(&self, within: Duration, arguments: &[&str]) -> Result<String, String> {
        let mut client = self.client(arguments, "lttng");
        if client.wait(within).success() {
            Ok(client.output())
        } else {
            Err(client.output() + &client.errors())
        }
    }

    /// Starts a command of the client; its output goes to files that are called `name`.
    pub fn client(&self, arguments: &[&str], name: &str) -> Process {
        let mut command = sandbox::command("lttng", self.home.path());
        command
            .arg("--no-sessiond")
            // A member of the tracing group would be led to the daemon of root.
            .arg("--group=none")
            .args(arguments);
        Process::spawn(&mut command, self.home.path(), name)
    }
}

/// A started session of a producer.
#[derive(Debug)]
pub struct Session<'a> {
    producer: &'a Producer,
    name: &'a str,
}

impl<'a> Session<'a> {
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Stops tracing; returns when the relay has all that was traced.
    pub fn stop(&self) {
        self.producer.lttng(&["stop", self.name]);
    }

    pub fn start(&self) {
        self.producer.lttng(&["start", self.name]);
    }

    /// Archives what was recorded since the last time; returns when that is done.
    ///
    /// Returns what the client says where the archive is: a path below the
    /// output directory of the relay.
    pub fn rotate(&self) -> PathBuf {
        let output = self.producer.lttng(&["rotate", self.name]);
        let location = output
            .split_once("tcp://127.0.0.1/")
            .and_then(|(_, rest)| rest.split_once(" ["));
        match location {
            Some((path, _)) => path.into(),
            None => panic!("no location in:\n{output}"),
        }
    }

    /// Begins what [`Self::rotate`] does.
    pub fn begin_to_rotate(&self) -> Process {
        self.producer.client(&["rotate", self.name], "rotate")
    }

    /// Rotates by itself from now on. The schedule is an option of `lttng enable-rotation`.
    pub fn rotate_by_itself(&self, schedule: &str) {
        let session = format!("--session={}", self.name);
        self.producer
            .lttng(&["enable-rotation", &session, schedule]);
    }

    /// Forgets what was recorded since the last rotation; returns when that is done.
    pub fn clear(&self) {
        self.producer.lttng(&["clear", self.name]);
    }

    /// The client's output for a `clear` that must fail.
    pub fn refused_clear(&self) -> String {
        let cleared = self.producer.try_lttng(&["clear", self.name]);
        cleared.expect_err("a refusal to clear")
    }

    /// Sends what is in the ring buffers, with more options of `lttng snapshot record`.
    pub fn record_snapshot(&self, options: &[&str]) {
        let session = format!("--session={}", self.name);
        let record = ["snapshot", "record", &session];
        self.producer.lttng(&[&record[..], options].concat());
    }

    /// Sends the metadata once more, in place of what was sent.
    pub fn regenerate_metadata(&self) {
        let session = format!("--session={}", self.name);
        self.producer.lttng(&["regenerate", "metadata", &session]);
    }

    /// Stops tracing and ends the session; returns when the relay has everything.
    pub fn destroy(self) {
        self.producer.lttng(&["destroy", self.name]);
    }
}

fn children(parent: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").expect("the list of processes");
    numbers
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

fn program_name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
