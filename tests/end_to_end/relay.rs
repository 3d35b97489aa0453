//! The relay under test.
//!
//! It is Baton, or with `BATON_TEST_RELAY=lttng-relayd` in the environment the
//! original: cases that also pass against a foreign relay are known to test
//! what `LTTng` does, not what we believe it does.

use crate::journal;
use crate::layout;
use crate::ports::{self, Ports};
use crate::process::{Process, retry};
use crate::sandbox;
use crate::skip;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};
use tempfile::TempDir;

/// How long a relay may take to start, to let go of what it held, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a relay may take until it holds nothing: where a packet was announced and its data
/// connection ended first, it waits 10 s for another one that may bring it.
const IDLE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a line of the log may take to come.
const LINE_PATIENCE: Duration = Duration::from_secs(30);

/// How often to try to start one on ports that seemed to be free.
const ATTEMPTS: u32 = 5;

/// The variable that chooses the relay, and its one value.
const CHOICE: &str = "BATON_TEST_RELAY";

/// `no`: relays keep no journals.
const JOURNAL: &str = "BATON_TEST_JOURNAL";
const ORIGINAL: &str = "lttng-relayd";

/// For control, data and viewers.
const LISTENERS: usize = 3;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    // Before `directory`: fields are dropped in this order.
    process: Process,
    ports: Ports,
    output: PathBuf,
    options: Vec<String>,
    is_original: bool,
    directory: TempDir,
}

impl Relay {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more options, which both relays have.
    pub fn start_with(options: &[&str]) -> Self {
        let directory = sandbox::home();
        let output = directory.path().join("traces");
        Self::start_at(directory, output, options)
    }

    /// Starts one that writes to `output`, which is the case's own, with more options.
    pub fn start_in(output: &Path, options: &[&str]) -> Self {
        Self::start_at(sandbox::home(), output.to_owned(), options)
    }

    /// Starts one in odd surroundings: `surround` makes the command that starts it, from
    /// that of a relay and its home. It keeps no journal.
    pub fn start_surrounded(surround: impl Fn(Command, &Path) -> Command) -> Self {
        let directory = sandbox::home();
        let output = directory.path().join("traces");
        Self::start_by(directory, output, &[], |ports, output, home| {
            surround(without_journal(ports, output, home), home)
        })
    }

    /// Starts the original, whatever relay is under test.
    pub fn start_original() -> Self {
        let directory = sandbox::home();
        let output = directory.path().join("traces");
        let relay = Self::start_by(directory, output, &[], original);
        Self {
            is_original: true,
            ..relay
        }
    }

    fn start_at(directory: TempDir, output: PathBuf, options: &[&str]) -> Self {
        Self::start_by(directory, output, options, command)
    }

    fn start_by(
        directory: TempDir,
        output: PathBuf,
        options: &[&str],
        command: impl Fn(Ports, &Path, &Path) -> Command,
    ) -> Self {
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        // Somebody else may take a port before the relay does.
        let mut attempts = 0..ATTEMPTS;
        loop {
            let ports = Ports::free();
            let mut command = command(ports, &output, directory.path());
            command.args(&options);
            match listening(command, directory.path()) {
                Ok(process) => {
                    return Self {
                        process,
                        ports,
                        output,
                        options,
                        is_original: is_original(),
                        directory,
                    };
                }
                Err(errors) if attempts.next().is_none() => panic!("no relay starts:\n{errors}"),
                Err(_) => {}
            }
        }
    }

    /// Kills it at whatever it does.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.wait(PATIENCE);
    }

    /// Starts another one in its place, after it has ended: same ports, options and output.
    pub fn restart(&mut self) {
        let home = self.directory.path();
        let mut command = command(self.ports, &self.output, home);
        command.args(&self.options);
        self.process = listening(command, home)
            .unwrap_or_else(|errors| panic!("no relay starts again:\n{errors}"));
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    pub fn control_address(&self) -> SocketAddr {
        ports::local(self.ports.control)
    }

    pub fn data_address(&self) -> SocketAddr {
        ports::local(self.ports.data)
    }

    pub fn live_address(&self) -> SocketAddr {
        ports::local(self.ports.live)
    }

    /// Where a producer sends to.
    pub fn producer_url(&self) -> String {
        format!("net://127.0.0.1:{}:{}", self.ports.control, self.ports.data)
    }

    /// Where Babeltrace reads a session of this machine.
    pub fn viewer_url(&self, session: &str) -> String {
        let (port, host) = (self.ports.live, sandbox::host());
        format!("net://127.0.0.1:{port}/host/{host}/{session}")
    }

    /// The directory of a session: its name is that of the session and the time of its creation.
    pub fn trace_directory(&self, session: &str) -> PathBuf {
        layout::dated_directory(&self.output().join(sandbox::host()), session)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.errors()
    }

    /// Waits for a line of the log with all of these parts, and gives it: lines are written
    /// by a thread of their own, a little after what they tell.
    pub fn wait_for_line(&self, parts: &[&str]) -> String {
        retry(LINE_PATIENCE, || {
            let log = self.log();
            let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
            let line = log.lines().find(is_it).map(str::to_owned);
            line.ok_or_else(|| format!("a line with {parts:?} in\n{log}"))
        })
    }

    /// Waits until it holds nothing that belongs to a producer or a viewer: no
    /// file, no directory of a trace, no connection.
    pub fn assert_idle(&self) {
        retry(IDLE_PATIENCE, || match self.held().as_slice() {
            [] => Ok(()),
            held => Err(format!("an idle relay still holds {held:#?}")),
        });
    }

    /// Waits until it holds nothing but files below a directory: a relay that serves all
    /// keeps sessions that are over.
    pub fn assert_keeps_only(&self, directory: &Path) {
        let directory = directory.canonicalize().unwrap_or_default();
        retry(PATIENCE, || {
            let mut held = self.held();
            held.retain(|held| !Path::new(held).starts_with(&directory));
            match held.as_slice() {
                [] => Ok(()),
                held => Err(format!("a relay that keeps sessions also holds {held:#?}")),
            }
        });
    }

    /// Its world.
    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// Its journal.
    pub fn journal(&self) -> PathBuf {
        journal(self.directory.path())
    }

    /// Ends it as an administrator would; it must end well, and a replay of its journal, if
    /// it keeps one, must do the same. Its traces stay until it is dropped.
    pub fn terminate(&mut self) {
        self.terminate_within(PATIENCE);
    }

    /// Ends one whose log says nothing.
    pub fn end_without_log(&mut self) {
        self.process.signal("TERM");
        self.process.wait_for_success(PATIENCE);
    }

    pub fn terminate_within(&mut self, within: Duration) {
        self.process.signal("TERM");
        self.process.wait_for_success(within);
        if !self.is_original {
            let log = self.log();
            let audit: Vec<_> = log.lines().filter(|line| line.contains("audit:")).collect();
            assert!(
                audit.iter().any(|line| line.contains("audit: clean"))
                    && !audit.iter().any(|line| line.contains("breach"))
                    && !audit.iter().any(|line| line.contains("records are left")),
                "the audit at the end of the relay: {audit:#?}"
            );
        }
        if self.journal().exists() {
            journal::assert_replays(&self.journal(), &self.output());
        }
    }

    /// Below it is everything that it writes.
    pub fn output(&self) -> PathBuf {
        self.output.clone()
    }

    /// The open descriptors that a relay without peers should not have.
    ///
    /// Standard input, output and errors belong to the test.
    fn held(&self) -> Vec<String> {
        // One without a disk has made no directory.
        let output = self.output();
        let output = output.canonicalize().unwrap_or(output);
        let mut held = Vec::new();
        let mut handles_of_output = 0;
        for (descriptor, target) in descriptors(self.process.pid()) {
            if Path::new(&target) == output {
                handles_of_output += 1;
            } else if target == self.journal().to_string_lossy() || is_memory(&target) {
            } else if fs::metadata(&descriptor).is_ok_and(|kind| kind.is_file())
                || Path::new(&target).starts_with(&output)
            {
                held.push(target);
            }
        }
        if handles_of_output > 1 {
            held.push(format!(
                "{handles_of_output} handles of {}",
                output.display()
            ));
        }
        let (listening, connected): (Vec<_>, Vec<_>) = tcp_sockets(self.process.pid())
            .into_iter()
            .partition(|socket| socket.state == LISTEN);
        if listening.len() < LISTENERS {
            held.push(format!("{} listening sockets", listening.len()));
        }
        held.extend(connected.into_iter().map(|socket| socket.line));
        held
    }
}

/// Whether it is the file that traces in memory are in; a relay has it all the time.
fn is_memory(target: &str) -> bool {
    target.starts_with("/memfd:baton")
}

/// Whether the relay under test is the original.
pub fn is_original() -> bool {
    env::var_os(CHOICE).is_some_and(|relay| relay == ORIGINAL)
}

/// Whether to leave out what the original cannot do, for `reason`; says so if it is left out.
pub fn skipped(reason: &str) -> bool {
    if is_original() {
        skip::say(format_args!("with {ORIGINAL}: {reason}"));
    }
    is_original()
}

/// Whether a case that is about journals cannot be run; says so.
pub fn skipped_without_journal() -> bool {
    if !keeps_journal() {
        skip::say("since relays keep no journals in this run");
    }
    !keeps_journal()
}

/// Whether relays keep journals here. One that does goes other ways with large packets
/// than one that does not, so the cases are run with and without.
fn keeps_journal() -> bool {
    !is_original() && env::var_os(JOURNAL).is_none_or(|choice| choice != "no")
}

/// The command line of a relay that writes to `output`, as the user whose home is `home`.
pub fn command(ports: Ports, output: &Path, home: &Path) -> Command {
    let mut command = without_journal(ports, output, home);
    if keeps_journal() {
        command.arg("--journal").arg(journal(home));
    }
    command
}

fn without_journal(ports: Ports, output: &Path, home: &Path) -> Command {
    if is_original() {
        original(ports, output, home)
    } else {
        let url = |port| format!("tcp://{}", ports::local(port));
        assert!(
            env::var_os(CHOICE).is_none(),
            "{CHOICE} is {ORIGINAL}, or not set at all"
        );
        // As the current user: the build directory may be closed to others.
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command.arg("relay").arg("--audit");
        command.args(["--control-port", &url(ports.control)]);
        command.args(["--data-port", &url(ports.data)]);
        command.args(["--live-port", &url(ports.live)]);
        command.args(["--status-port", "off"]);
        // A machine whose disk is nearly full has room for the traces of a test.
        command.args(["--min-free", "0"]);
        command.arg("--output").arg(output).env("LTTNG_HOME", home);
        command
    }
}

/// The command line of the original, whatever relay is under test.
pub fn original(ports: Ports, output: &Path, home: &Path) -> Command {
    let url = |port| format!("tcp://{}", ports::local(port));
    let mut command = sandbox::command(ORIGINAL, home);
    command.args(["-C", &url(ports.control), "-D", &url(ports.data)]);
    command.args(["-L", &url(ports.live), "-o"]).arg(output);
    command
}

fn journal(home: &Path) -> PathBuf {
    home.join("journal")
}

/// Starts a relay, and waits until it listens. If it ends instead, what it said.
fn listening(mut command: Command, home: &Path) -> Result<Process, String> {
    let mut process = Process::spawn(&mut command, home, "relay");
    let listens = retry(PATIENCE, || {
        let runs = process.is_running();
        // A relay that cannot listen ends; another one may listen there.
        let listens = listening_sockets(process.pid()) >= LISTENERS;
        (listens || !runs)
            .then_some(listens)
            .ok_or("the relay accepts connections")
    });
    if listens {
        Ok(process)
    } else {
        Err(process.errors())
    }
}

fn listening_sockets(pid: u32) -> usize {
    let sockets = tcp_sockets(pid);
    sockets
        .iter()
        .filter(|socket| socket.state == LISTEN)
        .count()
}

/// The descriptors of a process but its standard ones: their entries in `/proc`, and what they lead to.
fn descriptors(pid: u32) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    // A process that has ended has none.
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number: u32 = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            (number > 2).then(|| (entry.path(), target.to_string_lossy().into_owned()))
        })
        .collect()
}

fn socket_inode(target: &str) -> Option<String> {
    let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
    Some(inode.to_owned())
}

struct TcpSocket {
    state: String,
    inode: String,
    line: String,
}

/// The TCP sockets of a process.
fn tcp_sockets(pid: u32) -> Vec<TcpSocket> {
    let own: HashSet<_> = descriptors(pid)
        .iter()
        .filter_map(|(_, target)| socket_inode(target))
        .collect();
    let mut sockets: Vec<_> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .flat_map(|table| {
            let table = fs::read_to_string(table).unwrap_or_default();
            table
                .lines()
                .skip(1)
                .filter_map(tcp_socket)
                .collect::<Vec<_>>()
        })
        .collect();
    sockets.retain(|socket| own.contains(&socket.inode));
    sockets
}

fn tcp_socket(line: &str) -> Option<TcpSocket> {
    let columns: Vec<_> = line.split_whitespace().collect();
    Some(TcpSocket {
        state: (*columns.get(3)?).to_owned(),
        inode: (*columns.get(9)?).to_owned(),
        line: line.trim().to_owned(),
    })
}
