//! Directories of traces: recorded trees of a real relay, and what is in a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::skip;

/// Traces that `lttng-relayd` 2.13 wrote: sessions, rotations, snapshots.
pub const OF_2_13: [&str; 6] = [
    "2.13-live-clear",
    "2.13-live-pid",
    "2.13-live-uid",
    "2.13-regenerate",
    "2.13-snapshot",
    "2.13-stream",
];

/// Traces that a later one wrote in CTF 2.
pub const OF_CTF_2: [&str; 2] = ["2.17-ctf2-live-pid", "2.17-ctf2-stream"];

/// An output directory of relays.
pub struct Output {
    directory: TempDir,
}

impl Output {
    /// The trees of these captures, each in a directory of its name.
    pub fn of(captures: &[&str]) -> Self {
        let output = Self::empty();
        for name in captures {
            let path = format!(
                "{}/../tests/captures/{name}/tree.tar.gz",
                env!("CARGO_MANIFEST_DIR")
            );
            let file = File::open(path).expect("a capture");
            let mut tree = tar::Archive::new(GzDecoder::new(file));
            tree.unpack(output.path().join(name)).expect("a tree");
        }
        output
    }

    pub fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn files(&self) -> Files {
        files(self.path())
    }
}

/// The files of a directory by their paths; not the hidden ones.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

pub fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    gather(directory, Path::new(""), &mut found);
    found
}

fn gather(directory: &Path, below: &Path, found: &mut Files) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("a name");
        let (name, path) = (entry.file_name(), entry.path());
        if entry.file_type().expect("a kind").is_dir() {
            gather(&path, &below.join(name), found);
        } else if !name.as_bytes().starts_with(b".") {
            found.insert(below.join(name), fs::read(path).expect("a file"));
        }
    }
}

/// Both have the same files, with the same bytes.
#[track_caller]
pub fn assert_same(found: &Files, expected: &Files) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (path, bytes) in expected {
        assert!(
            found.get(path) == Some(bytes),
            "{} has other bytes",
            path.display()
        );
    }
}

/// Babeltrace's output of a directory; none where it is missing.
pub fn events(directory: &Path) -> Option<String> {
    let Ok(read) = Command::new("babeltrace2").arg(directory).output() else {
        skip::say("in part, since there is no babeltrace2");
        return None;
    };
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    Some(String::from_utf8_lossy(&read.stdout).into_owned())
}

/// The note of the archiver for a relay.
pub const NOTE: &str = ".baton-archiver";

/// Names of hidden files in a directory and below, but for the note.
pub fn hidden(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            found.extend(hidden(&path));
        } else if path
            .file_name()
            .is_some_and(|it| it.as_bytes().starts_with(b".") && it != NOTE)
        {
            found.push(path);
        }
    }
    found
}
