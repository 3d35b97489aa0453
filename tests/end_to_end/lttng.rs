//! A producer: a session daemon of `LTTng` with a world of its own, and what a
//! user does with it through the `lttng` command.

use crate::application::{self, Application, Workload};
use crate::process::{Process, retry, signal};
use crate::relay::Relay;
use crate::sandbox;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any healthy command takes; the client itself would wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Period of live sessions, in microseconds: short, so that the cases are.
const LIVE_TIMER_US: u32 = 100_000;

/// Who shares a ring buffer.
#[derive(Clone, Copy, Debug)]
pub enum Buffers {
    PerUser,
    PerProcess,
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
        application::install(&home.path().join("app"));
        let mut command = sandbox::command("lttng-sessiond", home.path());
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
        self.session(relay, name, buffers, &[&format!("--live={LIVE_TIMER_US}")])
    }

    /// Creates, sets up and starts a session that is only recorded.
    pub fn recorded_session<'a>(
        &'a self,
        relay: &Relay,
        name: &'a str,
        buffers: Buffers,
    ) -> Session<'a> {
        self.session(relay, name, buffers, &[])
    }

    pub fn launch(&self, workload: Workload) -> Application {
        let mut command = sandbox::command(self.home.path().join("app"), self.home.path());
        Application::spawn(&mut command, self.home.path(), workload)
    }

    /// Kills the consumer daemon, and with it both connections to the relay, at whatever it does.
    pub fn kill_consumer(&self) {
        let consumer = children(self.sessiond.pid())
            .into_iter()
            .find(|pid| program_name(*pid).as_deref() == Some("lttng-consumerd"))
            .expect("a consumer daemon");
        signal("KILL", &consumer.to_string());
    }

    /// Runs a command of the client; it must succeed. Returns its output.
    fn lttng(&self, arguments: &[&str]) -> String {
        self.try_lttng(arguments)
            .unwrap_or_else(|output| panic!("lttng {} fails:\n{output}", arguments.join(" ")))
    }

    fn try_lttng(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = sandbox::command("lttng", self.home.path());
        command
            .arg("--no-sessiond")
            // A member of the tracing group would be led to the daemon of root.
            .arg("--group=none")
            .args(arguments);
        let mut client = Process::spawn(&mut command, self.home.path(), "lttng");
        if client.wait(PATIENCE).success() {
            Ok(client.output())
        } else {
            Err(client.output() + &client.errors())
        }
    }

    fn session<'a>(
        &'a self,
        relay: &Relay,
        name: &'a str,
        buffers: Buffers,
        mode: &[&str],
    ) -> Session<'a> {
        let url = format!("--set-url={}", relay.producer_url());
        self.lttng(&[&["create", name, &url], mode].concat());
        let buffers = match buffers {
            Buffers::PerUser => "--buffers-uid",
            Buffers::PerProcess => "--buffers-pid",
        };
        let (session, channel) = (format!("--session={name}"), "--channel=ticks");
        self.lttng(&[
            "enable-channel",
            "--userspace",
            &session,
            buffers,
            // Small, for many packets; and no event is ever discarded.
            "--subbuf-size=16k",
            "--num-subbuf=4",
            "--blocking-timeout=inf",
            "ticks",
        ]);
        self.lttng(&["enable-event", "--userspace", &session, channel, "baton:*"]);
        let context = ["add-context", "--userspace", &session, channel];
        self.lttng(&[&context[..], &["--type=vpid"]].concat());
        self.lttng(&["start", name]);
        Session {
            producer: self,
            name,
        }
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
