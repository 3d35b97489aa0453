//! A relay in a directory of its own, and the commands that look at it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::ports::{Ports, free_port, local};
use crate::process::{Process, eventually};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub const BATON: &str = env!("CARGO_BIN_EXE_baton");

/// Where a relay is, whether it runs or not.
#[derive(Debug)]
pub struct Place {
    pub ports: Ports,
    pub status_port: u16,
    pub output: PathBuf,
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let output = directory.path().join("traces");
        fs::create_dir(&output).expect("a directory");
        Self {
            ports: Ports::free(),
            status_port: free_port(),
            output,
            directory,
        }
    }

    /// Writes what an archiver notes, as if it had looked so many seconds ago.
    pub fn note_archive(&self, age_s: u64, waiting_chunks: u64, failing_chunks: u64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let note = serde_json::json!({
            "to": "s3://traces/<b>lab\u{1b}[31m",
            "looked_s": now.expect("a time").as_secs() - age_s,
            "waiting_chunks": waiting_chunks,
            "waiting_bytes": waiting_chunks * 1_000_000_000,
            "failing_chunks": failing_chunks,
        });
        let path = self.output.join(".baton-archiver");
        fs::write(path, note.to_string()).expect("a note");
    }

    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// The options of its relay.
    pub fn options(&self) -> Vec<String> {
        let url = |port| format!("tcp://{}", local(port));
        vec![
            format!("--control-port={}", url(self.ports.control)),
            format!("--data-port={}", url(self.ports.data)),
            format!("--live-port={}", url(self.ports.live)),
            format!("--status-port={}", url(self.status_port)),
            format!("--output={}", self.output.display()),
        ]
    }

    pub fn status_address(&self) -> SocketAddr {
        local(self.status_port)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.status_address())
    }

    /// `baton` with nothing of this machine's configuration.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LTTNG_HOME", self.home())
            .env("LTTNG_RUNDIR", self.home().join("run"))
            .env("LC_ALL", "C");
        command
    }

    /// Starts its relay, with more options.
    pub fn start(&self, options: &[&str]) -> Process {
        let mut command = self.command(BATON);
        // A machine whose disk is nearly full has room for a few packets.
        command.args(["relay", "--min-free=0"]);
        command.args(self.options()).args(options);
        self.run(&mut command)
    }

    /// Starts a relay by some command, and waits until it listens.
    pub fn run(&self, command: &mut Command) -> Process {
        let relay = Process::spawn(command, self.home(), "relay");
        eventually("a relay", PATIENCE, || {
            TcpStream::connect(local(self.ports.live)).is_ok()
        });
        relay
    }

    /// Runs `baton` with these words to its end.
    pub fn baton(&self, words: &[&str]) -> Output {
        let mut command = self.command(BATON);
        command.args(words).output().expect("the program")
    }
}

/// The output of a program.
pub fn printed(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(all).expect("text")
}
