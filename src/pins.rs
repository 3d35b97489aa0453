//! `baton keep`: pins directories, so that no relay removes what is in them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use baton_components::path::{KEEP, OWN_PREFIX};

use crate::os::{said, shown};

/// The action.
#[derive(Debug)]
pub struct Plan {
    pub directories: Vec<PathBuf>,
    /// They need not be kept any more.
    pub is_release: bool,
}

/// Why a directory is not pinned, or not released.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is not a directory: name that of a trace, of a chunk or of a session", shown(.0))]
    NoDirectory(PathBuf),
    #[error("cannot {what} {}: {}", shown(path), said(reason))]
    Mark {
        what: &'static str,
        path: PathBuf,
        reason: io::Error,
    },
}

/// Pins or releases each of the directories.
pub fn run(plan: &Plan) -> Result<(), Error> {
    plan.directories
        .iter()
        .try_for_each(|directory| mark(directory, plan.is_release))
}

fn mark(directory: &Path, is_release: bool) -> Result<(), Error> {
    if !directory.is_dir() {
        return Err(Error::NoDirectory(directory.to_owned()));
    }
    let path = directory.join(format!("{OWN_PREFIX}{KEEP}"));
    let (what, done) = if is_release {
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        ("remove", removed)
    } else {
        let made = File::options().create(true).append(true).open(&path);
        ("make", made.map(drop))
    };
    done.map_err(|reason| Error::Mark { what, path, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_pinned_and_released_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join(".baton-keep");
        let plan = |is_release| Plan {
            directories: vec![directory.path().to_owned()],
            is_release,
        };
        for _ in 0..2 {
            run(&plan(false)).unwrap();
            assert!(mark.exists());
        }
        for _ in 0..2 {
            run(&plan(true)).unwrap();
            assert!(!mark.exists());
        }
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let plan = Plan {
            directories: vec![file],
            is_release: false,
        };
        let error = run(&plan).unwrap_err().to_string();
        assert!(error.contains("is not a directory"), "{error}");
    }
}
