//! Probes: whether the disk takes changes now, found out by a thread that may wait for it.
//!
//! A file without a name is made in the output directory, and its times are set by each probe: as
//! for a new name, the file system has to be writable and its journal to go on. Where there are
//! no such files (NFS, FUSE) a directory is made and removed.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::root::Root;

/// The directory of a probe.
const NAME: &[u8] = b".baton-probe";

/// The file, for one thread after another.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Mutex<Option<File>>>);

impl Probe {
    /// Returns when the disk has answered.
    pub fn run(&self, root: &Root) -> Result<(), Errno> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return touch(file);
        }
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(root.handle(), ".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(made) => {
                *file = Some(made.into());
                Ok(())
            }
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                make_and_remove(root)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it has a file.
    pub fn has_file(&self) -> bool {
        // A thread that has the lock waits for the disk, with the file or to make it.
        self.0.try_lock().map_or(true, |file| file.is_some())
    }
}

fn touch(file: &File) -> Result<(), Errno> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    rustix::fs::futimens(file.as_fd(), &times)
}

fn make_and_remove(root: &Root) -> Result<(), Errno> {
    match rustix::fs::mkdirat(root.handle(), NAME, Mode::RWXU) {
        // One that was killed may have left it, or another relay makes it, too.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(root.handle(), NAME, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_probe_leaves_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let probe = Probe::default();
        for _ in 0..3 {
            probe.run(&root).unwrap();
            make_and_remove(&root).unwrap();
            fs::create_dir(directory.path().join(".baton-probe")).unwrap();
            make_and_remove(&root).unwrap();
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
