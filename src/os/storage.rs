//! Directories and files on disk, below one output directory.
//!
//! Every path is opened from the handle of that directory and resolved beneath it:
//! not even a symbolic link planted there leads out.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use baton_systems::ports::{Storage, StorageError};
use rustix::fs::{Access, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use slotmap::SecondaryMap;

#[derive(Debug)]
pub struct FileStorage {
    output: PathBuf,
    root: OwnedFd,
    files: SecondaryMap<FileKey, Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// For messages.
    path: RelativePath,
}

/// What group members may do is the umask's to say, nobody else may anything.
const DIRECTORY_MODE: u32 = 0o770;
const FILE_MODE: u32 = 0o660;

impl FileStorage {
    /// Makes the output directory if it is not there.
    pub fn open(output: &Path) -> io::Result<Self> {
        let root = open_root(output)?;
        Ok(Self {
            output: output.to_owned(),
            root,
            files: SecondaryMap::new(),
        })
    }

    fn directory(&self, path: &RelativePath) -> Result<OwnedFd, Errno> {
        let name: &[u8] = if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        };
        rustix::fs::openat2(
            &self.root,
            name,
            OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        )
    }

    fn make_directory(&self, path: &RelativePath) -> Result<OwnedFd, Errno> {
        match self.directory(path) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        let Some((parent, name)) = split(path) else {
            return Err(Errno::NOENT);
        };
        let parent = self.make_directory(&parent)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(Errno::EXIST) => self.directory(path),
            Err(error) => Err(error),
        }
    }

    /// The handle of a path's directory, and its last name.
    fn parent_of<'a>(&self, path: &'a RelativePath) -> Result<(OwnedFd, &'a [u8]), Errno> {
        let (parent, name) = split(path).ok_or(Errno::ISDIR)?;
        Ok((self.directory(&parent)?, name))
    }

    fn unlink(&self, path: &RelativePath, flags: AtFlags) -> Result<(), Errno> {
        let unlinked = self
            .parent_of(path)
            .and_then(|(parent, name)| rustix::fs::unlinkat(parent, name, flags));
        match unlinked {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    fn make_file(&self, path: &RelativePath) -> Result<File, Errno> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let file = rustix::fs::openat(
            &parent,
            name,
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(FILE_MODE),
        )?;
        Ok(File::from(file))
    }

    /// The output directory may be removed while the relay runs, with its traces: it
    /// is made anew for the next session.
    fn find_root(&mut self) -> io::Result<()> {
        let known = rustix::fs::fstat(&self.root)?;
        let there = rustix::fs::stat(&self.output);
        if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (known.st_dev, known.st_ino)) {
            return Ok(());
        }
        self.root = open_root(&self.output)?;
        Ok(())
    }

    fn opened(&self, key: FileKey) -> &Open {
        self.files
            .get(key)
            .expect("law of holds: a file is used while somebody holds it")
    }

    fn error(&self, action: &'static str, path: &RelativePath, reason: &io::Error) -> StorageError {
        let path = self
            .output
            .join(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())));
        StorageError {
            action,
            path: path.display().to_string(),
            reason: said(reason),
        }
    }
}

impl Storage for FileStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = self
            .find_root()
            .and_then(|()| Ok(self.make_directory(path)?));
        made.map(drop)
            .map_err(|reason| self.error("make directory", path, &reason))
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let found = self.parent_of(path).and_then(|(parent, name)| {
            rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map(drop)
        });
        match found {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(reason) => Err(self.error("look at", path, &reason.into())),
        }
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let renamed = self.parent_of(from).and_then(|(old_parent, old)| {
            let (new_parent, new) = self.parent_of(to)?;
            rustix::fs::renameat(old_parent, old, new_parent, new)
        });
        renamed.map_err(|reason| self.error("rename", from, &reason.into()))
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        match self.unlink(path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(reason) => Err(self.error("remove directory", path, &reason.into())),
        }
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.unlink(path, AtFlags::empty())
            .map_err(|reason| self.error("remove file", path, &reason.into()))
    }

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        let file = self
            .make_file(path)
            .map_err(|reason| self.error("make file", path, &io::Error::from(reason)))?;
        self.files.insert(
            key,
            Open {
                file,
                path: path.clone(),
            },
        );
        Ok(())
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let Open { file, path } = self.opened(key);
        file.write_all_at(bytes, offset)
            .map_err(|reason| self.error("write to", path, &reason))
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let Open { file, path } = self.opened(key);
        file.read_exact_at(into, offset)
            .map_err(|reason| self.error("read from", path, &reason))
    }

    fn send(
        &mut self,
        key: FileKey,
        offset: u64,
        length: u64,
        to: BorrowedFd<'_>,
    ) -> Result<u64, StorageError> {
        let Open { file, path } = self.opened(key);
        let mut offset = offset;
        match rustix::fs::sendfile(to, file, Some(&mut offset), length as usize) {
            Ok(0) if length > 0 => {
                let reason = io::Error::from(io::ErrorKind::UnexpectedEof);
                Err(self.error("send from", path, &reason))
            }
            Ok(sent) => Ok(sent as u64),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(reason) => Err(self.error("send from", path, &reason.into())),
        }
    }

    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        let Open { file, path } = self.opened(key);
        file.set_len(size)
            .map_err(|reason| self.error("resize", path, &reason))
    }

    fn close(&mut self, key: FileKey) {
        self.files.remove(key);
    }
}

fn open_root(output: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(output)?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
    let root = rustix::fs::open(output, flags, Mode::empty())?;
    rustix::fs::accessat(
        root.as_fd(),
        ".",
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )?;
    Ok(root)
}

/// A path's directory, and its last name.
fn split(path: &RelativePath) -> Option<(RelativePath, &[u8])> {
    Some((path.parent()?, path.components().last()?))
}

/// The reason alone, without the number that Rust adds.
fn said(reason: &io::Error) -> String {
    let text = reason.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use slotmap::SlotMap;

    use super::*;

    struct Test {
        output: tempfile::TempDir,
        storage: FileStorage,
        keys: SlotMap<FileKey, ()>,
    }

    impl Test {
        fn new() -> Self {
            let output = tempfile::tempdir().unwrap();
            let storage = FileStorage::open(output.path()).unwrap();
            Self {
                output,
                storage,
                keys: SlotMap::default(),
            }
        }

        fn create(&mut self, path: &str) -> Result<FileKey, StorageError> {
            let key = self.keys.insert(());
            self.storage.create_file(key, &relative(path)).map(|()| key)
        }

        fn at(&self, path: &str) -> PathBuf {
            self.output.path().join(path)
        }
    }

    fn relative(path: &str) -> RelativePath {
        RelativePath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn nothing_planted_leads_out_of_the_output_directory() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "precious").unwrap();
        let mut test = Test::new();
        symlink(outside.path(), test.at("host")).unwrap();
        symlink(outside.path().join("file"), test.at("chan_0")).unwrap();
        symlink("..", test.at("up")).unwrap();
        for path in ["host/session", "up/session"] {
            assert!(
                test.storage.create_directory(&relative(path)).is_err(),
                "{path}"
            );
        }
        for path in ["host/file", "up/file"] {
            assert!(test.create(path).is_err(), "{path}");
        }
        assert!(test.storage.remove_file(&relative("host/file")).is_err());
        assert!(
            test.storage
                .rename(&relative("chan_0"), &relative("host/x"))
                .is_err()
        );
        // A link where a file is to be made is replaced, not followed.
        let key = test.create("chan_0").unwrap();
        test.storage.write(key, 0, b"ours").unwrap();
        assert_eq!(fs::read(test.at("chan_0")).unwrap(), b"ours");
        assert_eq!(fs::read(outside.path().join("file")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_that_stay_inside_are_followed() {
        let mut test = Test::new();
        fs::create_dir(test.at("real")).unwrap();
        symlink("real", test.at("link")).unwrap();
        test.create("link/file").unwrap();
        assert!(test.at("real/file").exists());
    }

    #[test]
    fn an_output_directory_that_was_removed_is_made_anew() {
        let mut test = Test::new();
        let output = test.at("below");
        test.storage = FileStorage::open(&output).unwrap();
        test.storage.create_directory(&relative("one")).unwrap();
        fs::remove_dir_all(&output).unwrap();
        test.storage
            .create_directory(&relative("two/three"))
            .unwrap();
        test.create("two/three/file").unwrap();
        assert!(output.join("two/three/file").exists());
    }

    #[test]
    fn a_replaced_file_stays_with_whoever_has_it_open() {
        let mut test = Test::new();
        let old = test.create("file").unwrap();
        test.storage.write(old, 0, b"old").unwrap();
        let new = test.create("file").unwrap();
        test.storage.write(new, 0, b"new").unwrap();
        let mut bytes = [0; 3];
        test.storage.read(old, 0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"old");
        assert!(test.storage.read(old, 1, &mut bytes).is_err());
        test.storage.resize(new, 5).unwrap();
        assert_eq!(fs::read(test.at("file")).unwrap(), b"new\0\0");
    }

    #[test]
    fn errors_say_what_and_where_and_why() {
        let mut test = Test::new();
        fs::write(test.at("file"), "").unwrap();
        let error = test
            .storage
            .create_directory(&relative("file/below"))
            .unwrap_err();
        let path = test.at("file/below");
        let expected = format!("cannot make directory {}: Not a directory", path.display());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn only_empty_directories_are_removed() {
        let mut test = Test::new();
        test.storage.create_directory(&relative("a/b")).unwrap();
        test.storage.remove_directory(&relative("a")).unwrap();
        assert!(test.storage.exists(&relative("a/b")).unwrap());
        test.storage.remove_directory(&relative("a/b")).unwrap();
        test.storage.remove_directory(&relative("a")).unwrap();
        test.storage.remove_directory(&relative("a")).unwrap();
        assert!(!test.storage.exists(&relative("a")).unwrap());
    }
}
