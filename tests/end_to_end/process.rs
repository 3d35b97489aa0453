//! Programs that a case starts: waiting for them with a deadline, and ending
//! them whatever happens to the case.
//!
//! Each one leads a process group of its own, so that what it started in turn
//! (a consumer daemon, say) ends with it.

use std::fmt::Display;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at: short beside everything that is waited for.
const POLL_PERIOD: Duration = Duration::from_millis(20);

/// A running program, with its output and its errors in files.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts `command`; the files `NAME.out` and `NAME.err` in `directory` take what it prints.
    pub fn spawn(command: &mut Command, directory: &Path, name: &str) -> Self {
        let output = directory.join(format!("{name}.out"));
        let errors = directory.join(format!("{name}.err"));
        let file = |path| File::create(path).expect("a file for the output of a program");
        let child = command
            .stdin(Stdio::null())
            .stdout(file(&output))
            .stderr(file(&errors))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.to_owned(),
            child,
            output,
            errors,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub fn output(&self) -> String {
        read_lossy(&self.output)
    }

    /// Its standard error so far.
    pub fn errors(&self) -> String {
        read_lossy(&self.errors)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        retry(within, || {
            let status = self.child.try_wait().expect("the state of a child");
            status.ok_or(format!("the end of {}", self.name))
        })
    }

    /// Waits until it has ended, with exit status 0.
    pub fn wait_for_success(&mut self, within: Duration) {
        let status = self.wait(within);
        assert!(
            status.success(),
            "{} ended with {status}; its standard error:\n{}",
            self.name,
            self.errors()
        );
    }

    /// Sends it a signal, named as `kill` names them.
    pub fn signal(&self, name: &str) {
        signal(name, &self.pid().to_string());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal("KILL", &format!("-{}", self.pid()));
        // A failure would mean that the child was waited for already.
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}:\n{}", self.name, self.errors());
        }
    }
}

/// Sends a signal to a process, or to a group when `target` begins with a minus sign.
///
/// That the target is gone already is no error: it could always have been a moment later.
pub fn signal(name: &str, target: &str) {
    Command::new("kill")
        .args(["-s", name, "--", target])
        .stderr(Stdio::null())
        .status()
        .expect("the program kill");
}

/// Waits until `condition` holds; `what` tells the reader of a failure what never came.
pub fn eventually(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    retry(within, || condition().then_some(()).ok_or(what));
}

/// Tries `attempt` until it succeeds.
pub fn retry<T, E: Display>(within: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) if Instant::now() > deadline => panic!("not within {within:?}: {error}"),
            Err(_) => thread::sleep(POLL_PERIOD),
        }
    }
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
