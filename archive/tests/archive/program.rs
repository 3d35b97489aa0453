//! The program under test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::server::Store;

/// The output of a run, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    pub is_success: bool,
    pub output: String,
    pub errors: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            is_success: output.status.success(),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    /// It must have succeeded. Returns its output.
    #[track_caller]
    pub fn done(self) -> String {
        assert!(self.is_success, "{}{}", self.output, self.errors);
        self.output
    }

    /// It must have failed. Returns its errors.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(!self.is_success, "{}{}", self.output, self.errors);
        self.errors
    }
}

/// The program with these words, at a store.
pub fn command<W: AsRef<OsStr>>(store: &Store, words: impl IntoIterator<Item = W>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton-archive"));
    command
        .args(words)
        .args(["--endpoint", &store.endpoint, "--region", &store.region])
        // The machine's own settings must not matter.
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_ACCESS_KEY_ID", &store.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &store.secret)
        .stdin(Stdio::null());
    if store.path_style {
        command.arg("--path-style");
    }
    command
}

pub fn run(mut command: Command) -> Said {
    Said::of(&command.output().expect("baton-archive runs"))
}

/// `baton archive --once` of all that is finished, at once.
pub fn archive(store: &Store, directory: &Path) -> Said {
    run(archive_command(store, directory))
}

pub fn archive_command(store: &Store, directory: &Path) -> Command {
    let mut command = command(
        store,
        ["archive", "--once", "--quiet-period=0s", "--to", &store.url],
    );
    command.arg(directory);
    command
}

pub fn fetch(store: &Store, directory: &Path) -> Said {
    let mut command = command(store, ["fetch", &store.url]);
    command.arg(directory);
    run(command)
}

/// The chunks that are listed, each a line of JSON.
pub fn list(store: &Store) -> Vec<serde_json::Value> {
    let text = run(command(store, ["ls", &store.url, "--format=json"])).done();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines of JSON")
}

/// A run that goes on meanwhile.
pub fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("baton-archive runs")
}

pub fn end_of(child: Child) -> Said {
    Said::of(&child.wait_with_output().expect("an end"))
}
