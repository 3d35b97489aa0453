//! Directories and files on disk, below one output directory.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use baton_systems::ports::{NAMES_LOOKED_AT, Storage, StorageError, Taken};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::open_files::OpenFiles;
use super::pipe::Pipe;
use super::recording::{self, Recordings};
use super::root::Root;
use super::{said, shown};

#[derive(Debug)]
pub struct FileStorage {
    output: PathBuf,
    root: Root,
    files: OpenFiles,
    pipe: Pipe,
    recordings: Recordings,
    /// Whether another relay wrote here when this one began.
    pub has_company: bool,
}

impl FileStorage {
    /// Makes the output directory if it is not there. At most `files_max` files have a
    /// descriptor at a time.
    pub fn open(output: &Path, files_max: usize) -> io::Result<Self> {
        let root = Root::open(output)?;
        let has_company = announce(&root);
        Ok(Self {
            output: output.to_owned(),
            root,
            files: OpenFiles::new(files_max),
            pipe: Pipe::default(),
            recordings: Recordings::default(),
            has_company,
        })
    }

    /// The output directory may be removed while the relay runs, with its traces: it
    /// is made anew for the next session.
    fn find_root(&mut self) -> io::Result<()> {
        if !self.root.is_at(&self.output) {
            self.root = Root::open(&self.output)?;
            announce(&self.root);
            self.recordings = Recordings::default();
        }
        Ok(())
    }

    /// Where no file is open, nothing else is.
    fn let_go(&mut self) {
        if self.files.is_empty() {
            self.root.keep_directories(false);
            self.pipe = Pipe::default();
        }
    }

    /// Does something with an open file.
    fn with_file<T>(
        &mut self,
        key: FileKey,
        action: &'static str,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, StorageError> {
        self.files
            .file(key, &mut self.root)
            .and_then(work)
            .map_err(|reason| self.error(action, self.files.path(key), &reason))
    }

    fn error(&self, action: &'static str, path: &RelativePath, reason: &io::Error) -> StorageError {
        StorageError {
            action,
            path: self.path(path),
            reason: said(reason),
        }
    }

    /// Where that is, for people.
    fn path(&self, path: &RelativePath) -> String {
        let path = std::ffi::OsStr::from_bytes(path.as_bytes());
        shown(&self.output.join(path)).to_string()
    }
}

/// Gives whether another relay writes here; not where that cannot be asked.
fn announce(root: &Root) -> bool {
    recording::announce(root.handle()).unwrap_or_else(|reason| {
        let reason = said(&reason);
        tracing::warn!("cannot lock the output directory: {reason}: another relay that starts there is not warned");
        false
    })
}

impl Storage for FileStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let found = self.find_root();
        self.root.keep_directories(true);
        let made = found.and_then(|()| Ok(self.root.make_directory(path)?));
        self.let_go();
        made.map_err(|reason| self.error("make directory", path, &reason))
    }

    fn begin_recording(&mut self, directory: &RelativePath) {
        if let Err(reason) = self.recordings.begin(&mut self.root, directory) {
            let (path, reason) = (self.path(directory), said(&reason));
            tracing::warn!(
                "cannot lock {path}: {reason}: baton repair cannot see that it is being recorded; \
                 do not repair it before the session is over"
            );
        }
    }

    fn end_recording(&mut self, directory: &RelativePath) {
        if let Err(reason) = self.recordings.end(&self.root, directory) {
            let (path, reason) = (self.path(directory), said(&reason));
            tracing::warn!(
                "cannot unlock {path}: {reason}: baton repair may refuse it until this relay ends"
            );
        }
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let found = self.find_root();
        self.root.keep_directories(true);
        let claimed = found.and_then(|()| Ok(self.root.claim_directory(path)?));
        self.let_go();
        claimed.map_err(|reason| self.error("make directory", path, &reason))
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        self.root
            .exists(path)
            .map_err(|reason| self.error("look at", path, &reason.into()))
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        self.root
            .has_name(directory, NAMES_LOOKED_AT, is_sought)
            .map_err(|reason| self.error("look at", directory, &reason.into()))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        self.root
            .rename(from, to)
            .map_err(|reason| self.error("rename", from, &reason.into()))?;
        self.files.renamed(from, to);
        Ok(())
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        match self.root.unlink(path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(reason) => Err(self.error("remove directory", path, &reason.into())),
        }
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.files
            .keep_nameless(path, &mut self.root)
            .and_then(|()| Ok(self.root.unlink(path, AtFlags::empty())?))
            .map_err(|reason| self.error("remove file", path, &reason))
    }

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        self.root.keep_directories(true);
        let made = self.files.create(key, path, &mut self.root);
        self.let_go();
        made.map_err(|reason| self.error("make file", path, &reason))
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.with_file(key, "write to", |file| file.write_all_at(bytes, offset))
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        self.with_file(key, "read from", |file| file.read_exact_at(into, offset))
    }

    fn send(
        &mut self,
        key: FileKey,
        offset: u64,
        length: u64,
        to: BorrowedFd<'_>,
    ) -> Result<u64, StorageError> {
        self.with_file(key, "send from", |file| {
            let mut offset = offset;
            match rustix::fs::sendfile(to, file, Some(&mut offset), length as usize) {
                Ok(0) if length > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => Ok(sent as u64),
                Err(Errno::AGAIN | Errno::INTR) => Ok(0),
                Err(reason) => Err(reason.into()),
            }
        })
    }

    fn take(&mut self, key: FileKey, offset: u64, length: u64, from: BorrowedFd<'_>) -> Taken {
        let pipe = &mut self.pipe;
        let mut bytes = 0;
        let opened = self.files.file(key, &mut self.root);
        let written = opened.and_then(|file| {
            bytes = pipe.fill(from, length);
            pipe.empty_into(file, offset, bytes)
        });
        let written =
            written.map_err(|reason| self.error("write to", self.files.path(key), &reason));
        Taken { bytes, written }
    }

    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        self.with_file(key, "resize", |file| file.set_len(size))
    }

    fn close(&mut self, key: FileKey) {
        self.files.close(key);
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
            let storage = FileStorage::open(output.path(), 10).unwrap();
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
        // A link where a file or a directory is to be made is somebody's: nothing is made.
        assert!(test.create("chan_0").is_err());
        symlink("nowhere", test.at("dangling")).unwrap();
        for path in ["host", "chan_0", "dangling"] {
            let claimed = test.storage.claim_directory(&relative(path));
            assert_eq!(claimed, Ok(false), "{path}");
        }
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
        test.storage = FileStorage::open(&output, 10).unwrap();
        test.storage.create_directory(&relative("one")).unwrap();
        fs::remove_dir_all(&output).unwrap();
        test.storage
            .create_directory(&relative("two/three"))
            .unwrap();
        test.create("two/three/file").unwrap();
        assert!(output.join("two/three/file").exists());
    }

    #[test]
    fn a_removed_file_stays_with_whoever_has_it_open() {
        let mut test = Test::new();
        let old = test.create("file").unwrap();
        test.storage.write(old, 0, b"old").unwrap();
        test.storage.remove_file(&relative("file")).unwrap();
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
    fn what_is_there_is_never_replaced() {
        let mut test = Test::new();
        fs::write(test.at("file"), "theirs").unwrap();
        fs::create_dir_all(test.at("empty/below")).unwrap();
        fs::remove_dir(test.at("empty/below")).unwrap();
        test.storage.create_directory(&relative("ours")).unwrap();
        let ours = test.create("ours/file").unwrap();
        for there in ["file", "empty"] {
            assert!(test.create(there).is_err());
            assert_eq!(test.storage.claim_directory(&relative(there)), Ok(false));
            for from in ["ours", "ours/file"] {
                let renamed = test.storage.rename(&relative(from), &relative(there));
                assert!(renamed.is_err(), "{from} to {there}");
            }
        }
        test.storage.write(ours, 0, b"ours").unwrap();
        assert_eq!(fs::read(test.at("file")).unwrap(), b"theirs");
        assert_eq!(fs::read(test.at("ours/file")).unwrap(), b"ours");
        assert_eq!(fs::read_dir(test.at("empty")).unwrap().count(), 0);
        assert_eq!(test.storage.claim_directory(&relative("a/b")), Ok(true));
        assert_eq!(test.storage.claim_directory(&relative("a/b")), Ok(false));
    }

    #[test]
    fn names_are_looked_for_in_a_directory_itself() {
        let mut test = Test::new();
        test.storage
            .create_directory(&relative("a/sought"))
            .unwrap();
        fs::write(test.at("a/file"), "").unwrap();
        let mut has = |path| {
            let directory = relative(path);
            test.storage.has_name(&directory, |name| name == b"sought")
        };
        assert_eq!(has("a"), Ok(true));
        for path in ["", "a/sought", "a/file", "none", "none/below"] {
            assert_eq!(has(path), Ok(false), "{path}");
        }
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
