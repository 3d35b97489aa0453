//! Locks and signs of a relay in its output directory, for other processes: that it writes
//! there, in which directories it records, and afterwards that it was killed.
//!
//! A relay holds a shared lock on the output directory while it runs. While a session is
//! recorded it locks the number of the session's directory ([`range_lock`]), and a hidden
//! file, the sign, exists. The sign's name has a number that the relay locks as well: a
//! sign whose number is not locked was left by a relay that was killed.
//!
//! The sign goes with the last session, not with the relay: one that is killed while it
//! records nothing leaves nothing to repair, and where all sessions were removed, nothing is
//! left in the output directory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use baton_components::path::{OWN_PREFIX, RelativePath};
use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::range_lock::{self, Number};
use super::root::Root;

const SIGN: &str = "recording-";

/// The directories in which this relay records.
#[derive(Debug, Default)]
pub struct Recordings {
    /// The number of each directory, and the count of sessions that record there.
    directories: FxHashMap<RelativePath, (Number, u32)>,
    sign: Option<Number>,
}

impl Recordings {
    /// A session begins to record in a directory.
    pub fn begin(&mut self, root: &mut Root, path: &RelativePath) -> io::Result<()> {
        if let Some((_, sessions)) = self.directories.get_mut(path) {
            *sessions += 1;
            return Ok(());
        }
        if self.sign.is_none() {
            self.sign = Some(set_sign(root.handle())?);
        }
        let number = Number::of_inode(rustix::fs::fstat(root.directory(path)?)?.st_ino);
        range_lock::hold(root.handle(), number)?;
        self.directories.insert(path.clone(), (number, 1));
        Ok(())
    }

    /// A session that recorded there is over. With the last session of the relay the sign
    /// is removed: a sign that remains shows that the relay was killed.
    pub fn end(&mut self, root: &Root, path: &RelativePath) -> io::Result<()> {
        let Some((number, sessions)) = self.directories.get_mut(path) else {
            return Ok(());
        };
        *sessions -= 1;
        if *sessions > 0 {
            return Ok(());
        }
        let number = *number;
        self.directories.remove(path);
        range_lock::let_go(root.handle(), number)?;
        match self.sign.take_if(|_| self.directories.is_empty()) {
            Some(sign) => remove_sign(root.handle(), sign),
            None => Ok(()),
        }
    }
}

/// Locks the output directory while the descriptor is open. Returns whether another relay
/// has locked it too.
pub fn announce(output: impl AsFd) -> io::Result<bool> {
    let output = output.as_fd();
    let alone = rustix::fs::flock(output, FlockOperation::NonBlockingLockExclusive);
    rustix::fs::flock(output, FlockOperation::LockShared)?;
    match alone {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The relays that run on an output directory: processes that hold their shared lock.
pub fn relays(output: &Path) -> Vec<u32> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let Ok(inode) = fs::metadata(output).map(|it| it.ino()) else {
        return Vec::new();
    };
    let mut pids = Vec::new();
    for line in locks.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        if let [_, "FLOCK", _, "READ", pid, file, ..] = fields[..]
            && file.rsplit(':').next() == Some(inode.to_string().as_str())
            && let Ok(pid) = pid.parse()
            && !pids.contains(&pid)
        {
            pids.push(pid);
        }
    }
    pids
}

/// The signs of relays that were killed while they wrote to this directory.
pub fn signs_of_killed(output: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(output)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    signs_among(output, &names)
}

/// The names in a directory that are signs of relays that were killed.
pub fn signs_among(output: &Path, names: &[OsString]) -> io::Result<Vec<PathBuf>> {
    let mut signs = Vec::new();
    for name in names {
        if let Some(number) = name.to_str().and_then(number_of)
            && !range_lock::is_held(open(output)?, number)?
        {
            signs.push(output.join(name));
        }
    }
    Ok(signs)
}

/// Whether a relay records in this directory, or in one that it is in.
pub fn is_recorded(directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else {
        return false;
    };
    // The directory of a process of another user cannot be read.
    let chain: Vec<_> = directory
        .ancestors()
        .filter_map(|path| {
            let handle = open(path).ok()?;
            let inode = handle.metadata().ok()?.ino();
            Some((handle, Number::of_inode(inode)))
        })
        .collect();
    chain.iter().enumerate().any(|(depth, (output, _))| {
        range_lock::is_any_held(output).unwrap_or(false)
            && chain[..=depth]
                .iter()
                .any(|(_, number)| range_lock::is_held(output, *number).unwrap_or(false))
    })
}

fn open(directory: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    File::options()
        .read(true)
        .custom_flags(flags)
        .open(directory)
}

/// Creates a sign. Its number is locked before, so that no process sees the sign without
/// the lock.
fn set_sign(output: BorrowedFd<'_>) -> io::Result<Number> {
    loop {
        let number = fastrand::u64(..);
        let sign = Number::from(number);
        range_lock::hold(output, sign)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match rustix::fs::openat(output, name_of(sign), flags, Mode::from_raw_mode(SIGN_MODE)) {
            Ok(_) => return Ok(sign),
            Err(Errno::EXIST) => range_lock::let_go(output, sign)?,
            Err(error) => {
                range_lock::let_go(output, sign)?;
                return Err(error.into());
            }
        }
    }
}

fn remove_sign(output: BorrowedFd<'_>, sign: Number) -> io::Result<()> {
    match rustix::fs::unlinkat(output, name_of(sign), AtFlags::empty()) {
        // The output directory may have been removed, with the sign.
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    range_lock::let_go(output, sign)
}

fn name_of(sign: Number) -> String {
    format!("{OWN_PREFIX}{SIGN}{sign}")
}

fn number_of(name: &str) -> Option<Number> {
    let number = name.strip_prefix(OWN_PREFIX)?.strip_prefix(SIGN)?;
    u64::from_str_radix(number, 16).ok().map(Number::from)
}

const SIGN_MODE: u32 = 0o660;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> RelativePath {
        RelativePath::parse(path.as_bytes()).unwrap()
    }

    struct Test {
        output: tempfile::TempDir,
        root: Root,
        recordings: Recordings,
    }

    impl Test {
        fn new() -> Self {
            let output = tempfile::tempdir().unwrap();
            let mut root = Root::open(output.path()).unwrap();
            for path in ["host/one/ust", "host/other"] {
                root.make_directory(&at(path)).unwrap();
            }
            Self {
                output,
                root,
                recordings: Recordings::default(),
            }
        }

        fn begin(&mut self, path: &str) {
            self.recordings.begin(&mut self.root, &at(path)).unwrap();
        }

        fn end(&mut self, path: &str) {
            self.recordings.end(&self.root, &at(path)).unwrap();
        }

        fn is_recorded(&self, path: &str) -> bool {
            is_recorded(&self.output.path().join(path))
        }

        fn signs(&self) -> usize {
            let entries = fs::read_dir(self.output.path()).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name());
            names.filter(|name| name != "host").count()
        }
    }

    #[test]
    fn a_session_is_recorded_until_the_last_of_its_directory_is_over() {
        let mut test = Test::new();
        assert_eq!(test.signs(), 0);
        test.begin("host/one");
        test.begin("host/one");
        assert!(test.is_recorded("host/one"));
        assert!(test.is_recorded("host/one/ust"));
        assert!(!test.is_recorded("host/other"));
        assert!(!test.is_recorded("host"));
        assert!(!test.is_recorded(""));
        test.begin("host/other");
        test.end("host/one");
        assert!(test.is_recorded("host/one"));
        test.end("host/one");
        assert!(!test.is_recorded("host/one/ust"));
        assert_eq!(test.signs(), 1);
        test.end("host/other");
        assert_eq!(test.signs(), 0);
        // No session began there.
        test.end("host/one");
    }

    #[test]
    fn a_sign_tells_of_a_killed_relay_when_its_relay_is_gone() {
        let mut test = Test::new();
        test.begin("host/one");
        assert!(signs_of_killed(test.output.path()).unwrap().is_empty());
        // The kernel closes the descriptor like this when a process is killed.
        test.root = Root::open(test.output.path()).unwrap();
        assert_eq!(signs_of_killed(test.output.path()).unwrap().len(), 1);
        assert!(!test.is_recorded("host/one"));
        test.recordings = Recordings::default();
        test.begin("host/one");
        test.end("host/one");
        // Its own sign is removed, that of the other stays.
        assert_eq!(signs_of_killed(test.output.path()).unwrap().len(), 1);
    }

    #[test]
    fn relays_see_each_other() {
        let output = tempfile::tempdir().unwrap();
        let relay = || Root::open(output.path()).unwrap();
        let one = relay();
        assert!(!announce(one.handle()).unwrap());
        let other = relay();
        assert!(announce(other.handle()).unwrap());
        drop(one);
        assert!(announce(relay().handle()).unwrap());
        drop(other);
        assert!(!announce(relay().handle()).unwrap());
    }
}
