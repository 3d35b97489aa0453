//! A small file that tells others of this relay, and goes with it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Removed when dropped, unless another relay has put its own there meanwhile.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OwnFile {
    /// Writes a file that appears whole: whoever waits for it never reads a part.
    pub fn write(path: &Path, mode: u32, text: &str) -> io::Result<Self> {
        let mut temporary = OsString::from(path);
        temporary.push(".tmp");
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                let metadata = file.metadata()?;
                fs::rename(&temporary, path)?;
                Ok((metadata.dev(), metadata.ino()))
            });
        match written {
            Ok(identity) => Ok(Self {
                path: path.to_owned(),
                identity,
            }),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Takes a file that was made otherwise: a socket, say.
    pub fn adopt(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        })
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|it| (it.dev(), it.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_longer_file_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        fs::write(&path, "12345678901234\n").unwrap();
        let file = OwnFile::write(&path, 0o644, "116\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "116\n");
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_file_of_another_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let one = OwnFile::write(&path, 0o644, "1\n").unwrap();
        let other = OwnFile::write(&path, 0o644, "2\n").unwrap();
        drop(one);
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_cannot_be_made_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(OwnFile::write(&path, 0o644, "1\n").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
