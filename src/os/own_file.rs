//! A small file for other programs (pid file, port files), removed when the relay ends.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Removed when dropped, unless another relay has replaced it.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OwnFile {
    /// Writes a file atomically: a process that waits for it never reads a part.
    pub fn write(path: &Path, mode: u32, text: &str) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("."));
        // Other relays may write the same file at the same time.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        let metadata = file.as_file().metadata()?;
        file.persist(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// Takes ownership of an existing file, such as a socket.
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
    fn many_may_write_it_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = &directory.path().join("port");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        OwnFile::write(path, 0o644, "5344\n").unwrap();
                    }
                });
            }
        });
        // The owner of the old file has removed it, or another relay has just replaced it.
        let _ = fs::remove_file(path);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
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
