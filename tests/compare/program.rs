//! One of the two programs, and what comes of a command line.

use crate::lines::Line;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(10);

const LISTEN: &str =
    "-C tcp://127.0.0.1:9961 -D tcp://127.0.0.1:9962 -L tcp://127.0.0.1:9963 -o {}/traces";

#[derive(Debug)]
pub struct Program(&'static str);

/// The visible result of a command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// None: it runs.
    status: Option<i32>,
    output: String,
    error: String,
}

impl Program {
    pub fn new(path: &'static str) -> Self {
        Self(path)
    }

    /// A program that has not ended within `patience` runs.
    pub fn run(&self, line: &Line, patience: Duration) -> Outcome {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        if !line.file.is_empty() {
            fs::create_dir(here.join(".lttng")).expect("a directory");
            fs::write(here.join(".lttng/lttng.conf"), line.file).expect("a file");
            fs::write(here.join("file"), line.file).expect("a file");
        }
        let file = |name| File::create(here.join(name)).expect("a file for output");
        let words = line.words.replace("LISTEN", LISTEN);
        let words = words.replace("{}", &here.to_string_lossy());
        let mut command = Command::new(self.0);
        command
            .arg0("lttng-relayd")
            .args(words.split_whitespace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", here)
            .env("LTTNG_RUNDIR", here.join("run"))
            .current_dir(here)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"));
        if let Some((name, value)) = line.variable {
            command.env(name, value);
        }
        let mut child = command.spawn().expect("a program");
        let deadline = Instant::now() + patience;
        let mut status = None;
        while status.is_none() && Instant::now() < deadline {
            status = child.try_wait().expect("a state");
            thread::sleep(PERIOD);
        }
        // A daemon is no child of ours: it is known by its directory.
        end_all(here);
        let _ = child.wait();
        Outcome {
            status: status.map(|status| status.code().unwrap_or(-1)),
            output: first_line(&here.join("out"), here),
            error: first_line(&here.join("err"), here),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            None => formatter.write_str("runs")?,
            Some(status) => write!(formatter, "{status}")?,
        }
        for text in [&self.output, &self.error] {
            if !text.is_empty() {
                write!(formatter, " `{text}`")?;
            }
        }
        Ok(())
    }
}

/// Ends the processes that this row started, whose ports are free afterwards. Again as long as
/// there are any: one may have forked meanwhile.
fn end_all(here: &Path) {
    loop {
        let started: Vec<u32> = processes().filter(|pid| is_of(*pid, here)).collect();
        if started.is_empty() {
            return;
        }
        for pid in &started {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
        }
        while started.iter().any(|pid| is_alive(*pid)) {
            thread::sleep(PERIOD);
        }
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process has this directory as its home.
fn is_of(pid: u32, here: &Path) -> bool {
    let home = format!("HOME={}\0", here.display());
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environment).contains(&home)
}

/// A process that has ended has closed its sockets, though nobody may have asked for its status.
fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|rest| !rest.starts_with('Z'))
}

/// Without the time and the place that some messages of the original have.
fn first_line(path: &Path, here: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let line = line.replace(&*here.to_string_lossy(), "{}");
    match line
        .strip_prefix("PERROR - ")
        .and_then(|rest| rest.split_once("]: "))
    {
        Some((_, message)) => {
            let end = message.rfind(" (in ").unwrap_or(message.len());
            format!("PERROR: {}", &message[..end])
        }
        None => line.trim().to_owned(),
    }
}
