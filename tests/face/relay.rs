//! A relay started by the name of the original, on ports that the system chooses.

use crate::process::{self, Process, eventually};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long a relay may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A relay in a directory of its own: output, run directory, pid file.
#[derive(Debug)]
pub struct Relay {
    pub pid: u32,
    run_directory: PathBuf,
    directory: TempDir,
}

impl Relay {
    /// Starts a daemon; returns when `lttng-relayd` does.
    pub fn daemon(options: &[&str]) -> Self {
        let directory = crate::sandbox::home();
        let mut command = command(directory.path());
        let mut parent = Process::spawn(command.args(options), directory.path(), "parent");
        parent.wait_for_success(PATIENCE);
        assert_eq!(parent.errors(), "");
        Self::running_in(directory)
    }

    /// One that was started with [`command`] in this directory, and is ready.
    pub fn running_in(directory: TempDir) -> Self {
        let run_directory = run_directory(directory.path());
        Self::running_with(directory, run_directory)
    }

    /// The same, where it chose another run directory.
    pub fn running_with(directory: TempDir, run_directory: PathBuf) -> Self {
        let text = fs::read_to_string(pid_file(directory.path())).expect("a pid file");
        let pid = text.strip_suffix('\n').expect("a whole line").parse();
        Self {
            pid: pid.expect("nothing but a number in the pid file"),
            run_directory,
            directory,
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn run_directory(&self) -> &Path {
        &self.run_directory
    }

    pub fn output(&self) -> PathBuf {
        output(self.directory())
    }

    pub fn health_socket(&self) -> PathBuf {
        let name = format!("health-{}", self.pid);
        self.run_directory.join("relayd").join(name)
    }

    /// Where a port listens, as its file says.
    pub fn address(&self, port: &str) -> SocketAddr {
        let path = self.run_directory.join(format!("relayd/{port}.port"));
        let text = fs::read_to_string(path).expect("a port file");
        let number = text.strip_suffix('\n').expect("a whole line");
        (Ipv4Addr::LOCALHOST, number.parse().expect("a port")).into()
    }

    pub fn live_address(&self) -> SocketAddr {
        self.address("live")
    }

    /// Where a producer sends to.
    pub fn producer_url(&self) -> String {
        let (control, data) = (self.address("control"), self.address("data"));
        format!("net://127.0.0.1:{}:{}", control.port(), data.port())
    }

    /// Where Babeltrace reads a session of this machine.
    pub fn viewer_url(&self, session: &str) -> String {
        let (port, host) = (self.live_address().port(), crate::sandbox::host());
        format!("net://127.0.0.1:{port}/host/{host}/{session}")
    }

    pub fn signal(&self, name: &str) {
        process::signal(name, &self.pid.to_string());
    }

    pub fn is_running(&self) -> bool {
        is_running(self.pid)
    }

    /// Ends it, and looks for what it should have taken with it.
    pub fn terminate(&self) {
        self.signal("TERM");
        eventually("the end of the relay", PATIENCE, || !self.is_running());
        self.assert_gone();
    }

    pub fn assert_gone(&self) {
        let left = fs::read_dir(self.run_directory.join("relayd")).expect("a run directory");
        let left: Vec<_> = left
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert!(left.is_empty(), "left in the run directory: {left:?}");
        assert!(!pid_file(self.directory()).exists());
        // The recorded files stay.
        let output = self.output();
        let mut own = if output.exists() {
            names(&output)
        } else {
            Vec::new()
        };
        own.retain(|name| name.starts_with('.'));
        assert!(own.is_empty(), "left in the output directory: {own:?}");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal("KILL");
        }
    }
}

/// `lttng-relayd` with everything in one directory, on ports of the system's choice.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("lttng-relayd");
    command.args(ANY_PORTS);
    command.arg("--output").arg(output(directory));
    command.arg("--pid-file").arg(pid_file(directory));
    surround(&mut command, directory);
    command
}

/// Ports of the system's choice, for this machine.
pub const ANY_PORTS: [&str; 4] = [
    "--dynamic-port-allocation",
    "--live-port=tcp://127.0.0.1:0",
    "--control-port=tcp://127.0.0.1:0",
    "--data-port=tcp://127.0.0.1",
];

/// The environment of a relay: nothing of this machine's own configuration.
pub fn surround(command: &mut Command, directory: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_lttng-relayd"));
    let mut path = program
        .parent()
        .expect("a directory")
        .as_os_str()
        .to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command
        .env("PATH", path)
        .env("LTTNG_HOME", directory)
        .env("LTTNG_RUNDIR", run_directory(directory))
        .current_dir(directory);
}

fn run_directory(directory: &Path) -> PathBuf {
    directory.join("run")
}

/// The names in a directory.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries
        .map(|entry| name(entry.expect("an entry")))
        .collect()
}

pub fn pid_file(directory: &Path) -> PathBuf {
    directory.join("pid")
}

pub fn output(directory: &Path) -> PathBuf {
    directory.join("traces")
}

/// Whether a process runs. A zombie does not.
pub fn is_running(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = state.rsplit(')').next().unwrap_or_default();
    !matches!(state.trim_start().chars().next(), None | Some('Z' | 'X'))
}
