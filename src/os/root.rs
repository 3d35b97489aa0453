//! A root directory: all paths are opened beneath its descriptor (`openat2`,
//! `RESOLVE_BENEATH`).
//!
//! So neither `..` nor a symbolic link in the directory leads out of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use baton_components::path::RelativePath;
use rustix::fs::{Access, AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::directories::Directories;
use super::page_cache;

#[derive(Debug)]
pub struct Root {
    handle: Arc<OwnedFd>,
    /// Device and inode number of the directory itself.
    identity: (u64, u64),
    /// The directory is on a file system without a disk.
    is_in_memory: bool,
    /// None: no directory is kept open.
    directories: Option<Directories>,
}

/// No access for others; the umask decides about the group.
const DIRECTORY_MODE: u32 = 0o770;
const FILE_MODE: u32 = 0o660;

impl Root {
    /// Whether [`Root::open`] can be expected to succeed. Makes nothing.
    pub fn check(path: &Path) -> io::Result<()> {
        let there = path.ancestors().find(|above| {
            // A symbolic link to nothing has its name, and a directory cannot get it.
            let found = rustix::fs::lstat(*above);
            !matches!(found, Err(Errno::NOENT))
        });
        let there = there.ok_or(Errno::NOENT)?;
        check_directory(there)
    }

    /// Creates the directory if it does not exist, and checks that it can be used.
    pub fn open(path: &Path) -> io::Result<Self> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path);
        made.map_err(|error| match error.kind() {
            // Something has its name.
            io::ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
            _ => error,
        })?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match rustix::fs::open(path, flags, Mode::empty()) {
            // A write-only directory works, but other processes do not see its locks.
            Err(Errno::ACCESS) => rustix::fs::open(path, flags | OFlags::PATH, Mode::empty()),
            opened => opened,
        }?;
        may_be_used(root.as_fd())?;
        opens_beneath(root.as_fd())?;
        let it = rustix::fs::fstat(&root)?;
        Ok(Self {
            identity: (it.st_dev, it.st_ino),
            is_in_memory: page_cache::is_all(&root),
            handle: Arc::new(root),
            directories: None,
        })
    }

    pub fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// The same directory for another thread.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            identity: self.identity,
            is_in_memory: self.is_in_memory,
            directories: None,
        }
    }

    /// Whether its files are on no disk.
    pub fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// Whether the path still leads to this directory.
    pub fn is_at(&self, path: &Path) -> bool {
        rustix::fs::stat(path).is_ok_and(|it| (it.st_dev, it.st_ino) == self.identity)
    }

    pub fn directory(&mut self, path: &RelativePath) -> Result<Arc<OwnedFd>, Errno> {
        let known = self.directories.as_mut();
        let found = known.and_then(|known| known.find_at_or_above(path));
        let opened = match found {
            Some((handle, rest)) if rest.is_root() => return Ok(handle),
            // A link there may lead out of that directory, and not out of this one.
            Some((handle, rest)) => match open_directory(&*handle, rest.as_bytes()) {
                Err(Errno::XDEV) => open_directory(&*self.handle, path.as_bytes()),
                opened => opened,
            },
            None => open_directory(&*self.handle, path.as_bytes()),
        };
        Ok(self.remember(path, opened?))
    }

    fn remember(&mut self, path: &RelativePath, handle: OwnedFd) -> Arc<OwnedFd> {
        let handle = Arc::new(handle);
        if let Some(known) = &mut self.directories {
            known.remember(path, &handle);
        }
        handle
    }

    /// Enables the cache of directories. An idle relay disables it, so that it holds no
    /// directory open.
    pub fn keep_directories(&mut self, keep: bool) {
        if !keep {
            self.directories = None;
        } else if self.directories.is_none() {
            self.directories = Some(Directories::default());
        }
    }

    /// Makes a directory and its parents, those that are missing, each in the one above it.
    pub fn make_directory(&mut self, path: &RelativePath) -> Result<Arc<OwnedFd>, Errno> {
        let mut missing = Vec::new();
        let mut there = path.clone();
        let mut handle = loop {
            match self.directory(&there) {
                Err(Errno::NOENT) => {
                    let above = there.parent().ok_or(Errno::NOENT)?;
                    missing.push(std::mem::replace(&mut there, above));
                }
                opened => break opened?,
            }
        };
        for path in missing.iter().rev() {
            match make(&handle, path.name()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            handle = Arc::new(open_directory(&*handle, path.name())?);
        }
        if let Some(known) = self.directories.as_mut().filter(|_| !missing.is_empty()) {
            known.remember(path, &handle);
        }
        Ok(handle)
    }

    /// Makes a directory and its parents; false if the name exists.
    pub fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, Errno> {
        let above = self.make_directory(&path.parent().ok_or(Errno::NOENT)?)?;
        match make(&above, path.name()) {
            Err(Errno::EXIST) => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Whether one of the first `count` names in a directory matches.
    pub fn has_name(
        &mut self,
        directory: &RelativePath,
        count: usize,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, Errno> {
        self.each_name(directory, count, &mut |name| is_sought(name))
    }

    /// Calls with each name in a directory until that gives true, for `count` of them at most.
    /// Returns whether one did.
    fn each_name(
        &mut self,
        directory: &RelativePath,
        count: usize,
        found: &mut dyn FnMut(&[u8]) -> bool,
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
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." && found(name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the names in a directory durable.
    pub fn sync_names(&mut self, directory: &RelativePath) -> Result<(), Errno> {
        let directory = self.directory(directory)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
        rustix::fs::fsync(opened)
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

    /// Renames without replacing: fails if the new name exists.
    pub fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), Errno> {
        let (old_parent, old) = self.parent_of(from)?;
        let (new_parent, new) = self.parent_of(to)?;
        if let Some(known) = &mut self.directories {
            known.forget(from);
            known.forget(to);
        }
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&old_parent, old, &new_parent, new, flags) {
            // Some file systems, NFS among them, do not support `RENAME_NOREPLACE`.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if self.exists(to)? {
                    return Err(Errno::EXIST);
                }
                rustix::fs::renameat(old_parent, old, new_parent, new)
            }
            renamed => renamed,
        }
    }

    /// Removes a name; it may be missing.
    pub fn unlink(&mut self, path: &RelativePath, flags: AtFlags) -> Result<(), Errno> {
        let unlinked = self
            .parent_of(path)
            .and_then(|(parent, name)| rustix::fs::unlinkat(parent, name, flags));
        match unlinked {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Creates a file; fails if the name exists.
    pub fn create_file(&mut self, path: &RelativePath) -> Result<File, Errno> {
        self.file(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file to append to it; it is made if it is missing.
    pub fn append_to(&mut self, path: &RelativePath) -> Result<File, Errno> {
        self.file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)
    }

    /// Writes a synced file beside a path, and gives its path.
    pub fn write_beside(&mut self, path: &RelativePath, bytes: &[u8]) -> io::Result<RelativePath> {
        let above = path.parent().ok_or(Errno::ISDIR)?;
        let beside = above.child([path.name(), b"~"].concat());
        let beside = beside.map_err(|_| Errno::INVAL)?;
        self.make_directory(&above)?;
        // One that was killed may have left it.
        self.unlink(&beside, AtFlags::empty())?;
        let mut file = self.create_file(&beside)?;
        file.write_all(bytes)?;
        rustix::fs::fdatasync(&file)?;
        Ok(beside)
    }

    /// Gives a file the name of another one.
    pub fn replace(&mut self, by: &RelativePath, path: &RelativePath) -> Result<(), Errno> {
        let (old_parent, old) = self.parent_of(by)?;
        let (new_parent, new) = self.parent_of(path)?;
        rustix::fs::renameat(old_parent, old, new_parent, new)
    }

    /// The metadata of a path; of a symbolic link, its own.
    pub fn stat(&mut self, path: &RelativePath) -> Result<Stat, Errno> {
        let (parent, name) = self.parent_of(path)?;
        rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The names in a directory; none if it is missing.
    pub fn names(&mut self, directory: &RelativePath) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = Vec::new();
        self.each_name(directory, usize::MAX, &mut |name| {
            names.push(name.to_vec());
            false
        })?;
        Ok(names)
    }

    /// Opens an existing file.
    pub fn open_file(&mut self, path: &RelativePath) -> Result<File, Errno> {
        self.file(path, OFlags::RDWR)
    }

    fn file(&mut self, path: &RelativePath, flags: OFlags) -> Result<File, Errno> {
        let (parent, name) = self.parent_of(path)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(FILE_MODE))?;
        Ok(File::from(file))
    }

    /// The descriptor of a path's directory, and its last name.
    fn parent_of<'a>(&mut self, path: &'a RelativePath) -> Result<(Arc<OwnedFd>, &'a [u8]), Errno> {
        let parent = path.parent().ok_or(Errno::ISDIR)?;
        Ok((self.directory(&parent)?, path.name()))
    }
}

/// Whether files may be made in a directory.
pub fn check_directory(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
    let there = rustix::fs::open(path, flags, Mode::empty())?;
    may_be_used(there.as_fd())?;
    opens_beneath(there.as_fd())
}

/// Whether the system has the call by which all files are opened.
fn opens_beneath(directory: BorrowedFd<'_>) -> io::Result<()> {
    match open_directory(directory, b".") {
        Err(Errno::NOSYS) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the system has no openat2, by which no path leads out of a directory: it takes Linux \
             5.6, and systemd refuses it with RestrictSUIDSGID=yes",
        )),
        opened => Ok(opened.map(drop)?),
    }
}

/// Whether names may be given and removed in a directory.
fn may_be_used(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(directory, ".", access, AtFlags::EACCESS)
}

/// Opens a directory below another, or that itself.
fn open_directory(above: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(
        above,
        if path.is_empty() { b"." } else { path },
        OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )
}

fn make(above: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::mkdirat(above, name, Mode::from_raw_mode(DIRECTORY_MODE))
}
