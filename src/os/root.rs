//! A directory from whose handle everything below it is reached.
//!
//! Every path is resolved beneath the handle: not even a symbolic link planted there
//! leads out.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use baton_components::path::RelativePath;
use rustix::fs::{Access, AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::directories::Directories;

#[derive(Debug)]
pub struct Root {
    handle: OwnedFd,
    /// The device and the number of the directory itself.
    identity: (u64, u64),
    /// None: nothing is to be held open.
    directories: Option<Directories>,
}

/// What group members may do is the umask's to say, nobody else may anything.
const DIRECTORY_MODE: u32 = 0o770;
const FILE_MODE: u32 = 0o660;

impl Root {
    /// Makes the directory if it is not there, and tries whether it can be used.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match rustix::fs::open(path, flags, Mode::empty()) {
            // It may be written to, and others not see by its locks that it is.
            Err(Errno::ACCESS) => rustix::fs::open(path, flags | OFlags::PATH, Mode::empty()),
            opened => opened,
        }?;
        rustix::fs::accessat(
            root.as_fd(),
            ".",
            Access::WRITE_OK | Access::EXEC_OK,
            AtFlags::EACCESS,
        )?;
        let it = rustix::fs::fstat(&root)?;
        Ok(Self {
            handle: root,
            identity: (it.st_dev, it.st_ino),
            directories: None,
        })
    }

    pub fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Whether the path leads here still.
    pub fn is_at(&self, path: &Path) -> bool {
        rustix::fs::stat(path).is_ok_and(|it| (it.st_dev, it.st_ino) == self.identity)
    }

    pub fn directory(&mut self, path: &RelativePath) -> Result<Arc<OwnedFd>, Errno> {
        let known = self.directories.as_mut();
        if let Some(known) = known.and_then(|known| known.find(path)) {
            return Ok(known);
        }
        let name: &[u8] = if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        };
        let opened = rustix::fs::openat2(
            &self.handle,
            name,
            OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        )?;
        let opened = Arc::new(opened);
        if let Some(known) = &mut self.directories {
            known.remember(path, &opened);
        }
        Ok(opened)
    }

    /// Whether directories that were used stay open for a while: a relay that does
    /// nothing holds nothing.
    pub fn keep_directories(&mut self, keep: bool) {
        if !keep {
            self.directories = None;
        } else if self.directories.is_none() {
            self.directories = Some(Directories::default());
        }
    }

    /// Makes a directory and those above it.
    pub fn make_directory(&mut self, path: &RelativePath) -> Result<(), Errno> {
        match self.directory(path) {
            Err(Errno::NOENT) => {}
            opened => return opened.map(drop),
        }
        if !self.claim_directory(path)? {
            self.directory(path)?;
        }
        Ok(())
    }

    /// Makes a directory and those above it; false if there is something of its name.
    pub fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, Errno> {
        let (above, name) = split(path).ok_or(Errno::NOENT)?;
        self.make_directory(&above)?;
        let above = self.directory(&above)?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Err(Errno::EXIST) => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Whether one of the first `count` names in a directory is sought.
    pub fn has_name(
        &mut self,
        directory: &RelativePath,
        count: usize,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = self
            .directory(directory)
            .and_then(|it| rustix::fs::openat(it, ".", flags, Mode::empty()));
        let opened = match opened {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
            opened => opened?,
        };
        for entry in Dir::new(opened)?.take(count) {
            if is_sought(entry?.file_name().to_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn exists(&mut self, path: &RelativePath) -> Result<bool, Errno> {
        let found = self.parent_of(path).and_then(|(parent, name)| {
            rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map(drop)
        });
        match found {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives something another name, if nothing has that.
    pub fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), Errno> {
        let (old_parent, old) = self.parent_of(from)?;
        let (new_parent, new) = self.parent_of(to)?;
        if let Some(known) = &mut self.directories {
            known.forget(from);
            known.forget(to);
        }
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&old_parent, old, &new_parent, new, flags) {
            // Some file systems, NFS among them, cannot be asked for that.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if self.exists(to)? {
                    return Err(Errno::EXIST);
                }
                rustix::fs::renameat(old_parent, old, new_parent, new)
            }
            renamed => renamed,
        }
    }

    /// Removes a name; none of that name is fine.
    pub fn unlink(&mut self, path: &RelativePath, flags: AtFlags) -> Result<(), Errno> {
        let unlinked = self
            .parent_of(path)
            .and_then(|(parent, name)| rustix::fs::unlinkat(parent, name, flags));
        match unlinked {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Makes a file, if there is nothing of that name.
    pub fn create_file(&mut self, path: &RelativePath) -> Result<File, Errno> {
        self.file(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file that is there.
    pub fn open_file(&mut self, path: &RelativePath) -> Result<File, Errno> {
        self.file(path, OFlags::RDWR)
    }

    fn file(&mut self, path: &RelativePath, flags: OFlags) -> Result<File, Errno> {
        let (parent, name) = self.parent_of(path)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(FILE_MODE))?;
        Ok(File::from(file))
    }

    /// The handle of a path's directory, and its last name.
    fn parent_of<'a>(&mut self, path: &'a RelativePath) -> Result<(Arc<OwnedFd>, &'a [u8]), Errno> {
        let (parent, name) = split(path).ok_or(Errno::ISDIR)?;
        Ok((self.directory(&parent)?, name))
    }
}

/// A path's directory, and its last name.
fn split(path: &RelativePath) -> Option<(RelativePath, &[u8])> {
    Some((path.parent()?, path.components().last()?))
}
