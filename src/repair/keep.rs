//! Atomic changes of files, and backups of the bytes that are cut off: in a hidden file
//! beside, whose name has the file's name and the offset.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

use baton_components::path::OWN_PREFIX;
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::open;

#[derive(Debug)]
pub struct Keeper {
    /// No backups (`--discard`).
    pub discard: bool,
}

/// Whether a repair keeps something under that name.
pub fn is_kept(name: &OsStr) -> bool {
    is_own(name, CUT)
}

/// Whether a repair was about to give what is there another name.
pub fn is_new(name: &OsStr) -> bool {
    is_own(name, NEW)
}

fn is_own(name: &OsStr, kind: &str) -> bool {
    let own = name.as_bytes().strip_prefix(OWN_PREFIX.as_bytes());
    own.is_some_and(|own| own.starts_with(kind.as_bytes()))
}

impl Keeper {
    /// Saves a file's bytes from an offset on.
    pub fn keep(&self, path: &Path, file: &File, offset: u64) -> io::Result<()> {
        if self.discard {
            return Ok(());
        }
        let size = file.metadata()?.len();
        let mut kept = new_beside(path)?;
        copy(file, offset, size, kept.as_file_mut())?;
        imitate(kept.as_file(), file)?;
        kept.as_file().sync_all()?;
        kept.persist(free_name(path, offset)?)?;
        sync_directory(path)
    }

    /// Truncates a file, and saves the rest.
    pub fn cut(&self, path: &Path, size: u64) -> io::Result<()> {
        let file = File::options().read(true).write(true).open(path)?;
        self.keep(path, &file, size)?;
        file.set_len(size)?;
        file.sync_all()
    }

    /// Truncates a file and appends other bytes.
    pub fn mend_end(&self, path: &Path, size: u64, end: &[u8]) -> io::Result<()> {
        if end.is_empty() {
            return self.cut(path, size);
        }
        let old = open(path)?;
        self.replace(path, |new| {
            copy(&old, 0, size, &mut &*new)?;
            new.write_all_at(end, size)
        })
    }

    /// Replaces a file by another, and saves the part that differs.
    pub fn replace(
        &self,
        path: &Path,
        write: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let old = open(path)?;
        let new = new_beside(path)?;
        write(new.as_file())?;
        imitate(new.as_file(), &old)?;
        new.as_file().sync_all()?;
        let same = common(&old, new.as_file())?;
        if same < old.metadata()?.len() {
            self.keep(path, &old, same)?;
        }
        new.persist(path)?;
        sync_directory(path)
    }

    /// Renames a file to a hidden name, or removes it.
    pub fn set_aside(&self, path: &Path) -> io::Result<()> {
        if self.discard {
            fs::remove_file(path)?;
        } else {
            let kept = free_name(path, 0)?;
            fs::rename(path, kept)?;
        }
        sync_directory(path)
    }
}

/// A free name for the backup of a file from an offset on.
fn free_name(path: &Path, offset: u64) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    let stem = [OWN_PREFIX.as_bytes(), CUT.as_bytes(), name].concat();
    let mut count = 1;
    loop {
        let number = match count {
            1 => String::new(),
            _ => format!("-{count}"),
        };
        let end = format!("-{offset}{number}");
        let name = [&stem[..], end.as_bytes()].concat();
        let kept = path.with_file_name(OsStr::from_bytes(&name));
        if !kept.try_exists()? {
            return Ok(kept);
        }
        count += 1;
    }
}

fn new_beside(path: &Path) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(&format!("{OWN_PREFIX}{NEW}"))
        .tempfile_in(directory)
}

/// Copies a part of a file; holes are preserved.
fn copy(from: &File, begin: u64, end: u64, to: &mut (impl Write + Seek)) -> io::Result<()> {
    let mut at = begin;
    while at < end {
        let data = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data.min(end),
            Err(Errno::NXIO) => end,
            Err(error) => return Err(error.into()),
        };
        if data == end {
            break;
        }
        let hole = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(data))?.min(end);
        to.seek(SeekFrom::Start(data - begin))?;
        rustix::fs::seek(from, rustix::fs::SeekFrom::Start(data))?;
        let copied = io::copy(&mut from.take(hole - data), to)?;
        if copied < hole - data {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at = hole;
    }
    Ok(())
}

/// Copies mode and owner from another file; the owner only if that is allowed.
fn imitate(new: &File, old: &File) -> io::Result<()> {
    let it = old.metadata()?;
    let _ = fchown(new, Some(it.uid()), Some(it.gid()));
    new.set_permissions(it.permissions())
}

/// Length of the common prefix of two files.
fn common(one: &File, other: &File) -> io::Result<u64> {
    let [mut left, mut right] = [(); 2].map(|()| vec![0; BLOCK]);
    let mut same = 0;
    loop {
        let size = one.read_at(&mut left, same)?;
        let count = other.read_at(&mut right[..size], same)?;
        let pairs = left[..count].iter().zip(&right[..count]);
        let equal = pairs.take_while(|(left, right)| left == right).count();
        same += equal as u64;
        if equal < count || count == 0 {
            return Ok(same);
        }
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

const CUT: &str = "cut-";
const NEW: &str = "new-";
const BLOCK: usize = 64 * 1024;
/// Maximum of the original name in a backup's name, so that the whole name has at most 255
/// bytes.
const NAME_BYTES_MAX: usize = 200;
