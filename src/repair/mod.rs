//! `baton repair`: makes the traces that a crash left behind readable.
//!
//! A relay that is killed leaves a torn packet at the end of a file, and after a loss of
//! power any file may be shorter. Readers then refuse the whole trace. Repair truncates a
//! data file to its last whole packet, and rewrites an index that does not match
//! ([`stream`]); it truncates metadata to its last whole declaration, and renames chunks
//! that an interrupted rotation left hidden ([`chunks`]). Bytes that are cut off are kept,
//! and every file changes atomically, so a repair that is killed makes nothing worse
//! ([`keep`]).

mod chunks;
mod keep;
mod stream;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use self::keep::Keeper;
use crate::os::shown;
use crate::os::writers::Writers;
use crate::os::{recording, said};
use crate::trace::description::Description;
use crate::trace::layout;
use crate::trace::metadata::{Survey, begins_metadata};
use crate::trace::slices::METADATA;

/// The options of a repair.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A trace, or a directory with traces at any depth.
    pub directory: PathBuf,
    /// Nothing is changed.
    pub dry_run: bool,
    /// Bytes that are cut off are not kept, and those that earlier repairs kept are removed.
    pub discard: bool,
}

/// A change of one file or directory, done or (in a dry run) planned.
#[derive(Debug, PartialEq, Eq)]
pub struct Repair {
    path: PathBuf,
    change: Change,
    dry_run: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Cut { from: u64, to: u64 },
    EndMended { from: u64, to: u64 },
    Written { packets: u64 },
    SetAside,
    BroughtBack { to: PathBuf },
    Removed,
}

impl fmt::Display for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.dry_run { "would be " } else { "" };
        write!(formatter, "{}: {is}", shown(&self.path))?;
        match &self.change {
            Change::Cut { from, to } => write!(formatter, "cut from {from} to {to} bytes"),
            Change::EndMended { from, to } => {
                write!(formatter, "mended at its end, from {from} to {to} bytes")
            }
            Change::Written { packets: 1 } => formatter.write_str("written anew, for 1 packet"),
            Change::Written { packets } => {
                write!(formatter, "written anew, for {packets} packets")
            }
            Change::SetAside => formatter.write_str("set aside: nothing of it can be read"),
            Change::BroughtBack { to } => {
                write!(formatter, "brought back as {}", shown(to))
            }
            Change::Removed => formatter.write_str("removed"),
        }
    }
}

/// A file that could not be read or repaired, with the reason, in one line.
#[derive(Debug, thiserror::Error)]
#[error("cannot repair {}: {reason}", shown(path))]
pub struct Failure {
    path: PathBuf,
    reason: Obstacle,
}

#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("{}", said(.0))]
    Io(#[from] io::Error),
    #[error("a relay is writing to it; repair it when the session is over")]
    Recorded,
    #[error("{writer} is writing to it; stop that first")]
    Written { writer: String },
    #[error("another repair is running on it; wait until it ends")]
    InRepair,
    #[error("it contains itself (a mount?)")]
    Loop,
    #[error("it is a link, or not a regular file; readers follow it, and repair does not")]
    NoFile,
    #[error("it has no metadata, and its packets cannot be read without")]
    NoMetadata,
    #[error("its metadata cannot be parsed: {0}")]
    Metadata(String),
    #[error("it does not begin with a packet, so it is not a data file of this trace")]
    NoData,
    #[error(
        "its index does not describe all its packets, and their headers are not those of \
         LTTng's tracers: it is left as it is"
    )]
    NoHeaders,
}

impl Obstacle {
    /// Whether a later repair may succeed.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Io(_) | Self::InRepair)
    }
}

/// The events of a repair.
pub trait Listener {
    fn done(&mut self, repair: &Repair);
    fn failed(&mut self, failure: &Failure);
}

/// The result of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub traces: u64,
    pub repairs: u64,
    pub failures: u64,
}

/// Repairs every trace at or below a directory, in the order of the paths. Symbolic links
/// below it are not followed.
pub fn repair(plan: &Plan, listener: &mut dyn Listener) -> Outcome {
    let mut walk = Walk {
        plan,
        keeper: Keeper {
            discard: plan.discard,
        },
        listener,
        outcome: Outcome::default(),
        writers: Writers::default(),
        may_do_more: false,
        above: Vec::new(),
        signs: Vec::new(),
    };
    walk.visit(&plan.directory);
    walk.forget_killed();
    walk.outcome
}

struct Walk<'a> {
    plan: &'a Plan,
    keeper: Keeper,
    listener: &'a mut dyn Listener,
    outcome: Outcome,
    writers: Writers,
    /// A failure that a later repair may not have.
    may_do_more: bool,
    /// The parent directories, by device and inode.
    above: Vec<(u64, u64)>,
    /// Signs of relays that were killed.
    signs: Vec<PathBuf>,
}

/// The names in a directory, in order.
struct Listing {
    files: Vec<OsString>,
    directories: Vec<OsString>,
    /// Links, and other names that are not regular files.
    others: Vec<OsString>,
}

impl Listing {
    fn read(directory: &Path) -> io::Result<Self> {
        let mut listing = Self {
            files: Vec::new(),
            directories: Vec::new(),
            others: Vec::new(),
        };
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                listing.directories.push(entry.file_name());
            } else if kind.is_file() {
                listing.files.push(entry.file_name());
            } else {
                listing.others.push(entry.file_name());
            }
        }
        listing.files.sort();
        listing.directories.sort();
        listing.others.sort();
        Ok(listing)
    }
}

impl Walk<'_> {
    fn done(&mut self, path: &Path, change: Change) {
        self.outcome.repairs += 1;
        self.listener.done(&Repair {
            path: path.to_owned(),
            change,
            dry_run: self.plan.dry_run,
        });
    }

    fn failed(&mut self, path: &Path, reason: Obstacle) {
        self.outcome.failures += 1;
        self.may_do_more |= reason.may_pass();
        self.listener.failed(&Failure {
            path: path.to_owned(),
            reason,
        });
    }

    fn visit(&mut self, directory: &Path) {
        if let Err(reason) = self.try_visit(directory) {
            self.failed(directory, reason);
        }
    }

    fn try_visit(&mut self, directory: &Path) -> Result<(), Obstacle> {
        let it = fs::metadata(directory)?;
        let identity = (it.dev(), it.ino());
        if self.above.contains(&identity) {
            return Err(Obstacle::Loop);
        }
        let mut listing = Listing::read(directory)?;
        if self.plan.discard {
            self.remove(directory, &listing, keep::is_kept);
        }
        self.signs
            .extend(recording::signs_among(directory, &listing.files)?);
        if self.bring_back(directory, &listing) {
            listing = Listing::read(directory)?;
        }
        if let Err(reason) = self.repair_trace(directory, &listing) {
            self.failed(directory, reason);
        }
        self.above.push(identity);
        for name in &listing.directories {
            self.visit(&directory.join(name));
        }
        self.above.pop();
        Ok(())
    }

    /// Removes what earlier repairs left in a directory.
    fn remove(&mut self, directory: &Path, listing: &Listing, is_left: fn(&OsStr) -> bool) {
        for name in listing.files.iter().filter(|name| is_left(name)) {
            let path = directory.join(name);
            let removed = if self.plan.dry_run {
                Ok(())
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Ok(()) => self.done(&path, Change::Removed),
                Err(reason) => self.failed(&path, reason.into()),
            }
        }
    }

    /// Repairs a directory, if it is a trace.
    fn repair_trace(&mut self, directory: &Path, listing: &Listing) -> Result<(), Obstacle> {
        let Some(trace) = Trace::find(directory, listing)? else {
            return Ok(());
        };
        self.outcome.traces += 1;
        for name in listing.others.iter().filter(|name| is_visible(name)) {
            self.failed(&directory.join(name), Obstacle::NoFile);
        }
        self.ask_writers(directory)?;
        let _alone = (!self.plan.dry_run)
            .then(|| keep_others_out(directory))
            .transpose()?;
        // Of a repair that was killed. No other is at work here.
        self.remove(directory, listing, keep::is_new);
        let indexes = stream::index_directory(directory);
        if indexes.is_dir() && !indexes.is_symlink() {
            self.remove(&indexes, &Listing::read(&indexes)?, keep::is_new);
        }
        let described = self.repair_metadata(&trace)?;
        let has_data = trace
            .data
            .iter()
            .any(|name| fs::metadata(directory.join(name)).is_ok_and(|it| it.len() > 0));
        let layout = match described {
            Some(Ok(description)) => description.layout,
            Some(Err(reason)) => return Err(Obstacle::Metadata(reason)),
            None if has_data => return Err(Obstacle::NoMetadata),
            None => return Ok(()),
        };
        for name in &trace.data {
            let path = directory.join(name);
            if let Err(reason) = self.repair_stream(&path, layout.as_ref()) {
                self.failed(&path, reason);
            }
        }
        Ok(())
    }

    /// Refuses a trace, or a directory, to which another process writes.
    fn ask_writers(&mut self, directory: &Path) -> Result<(), Obstacle> {
        if recording::is_recorded(directory) {
            return Err(Obstacle::Recorded);
        }
        let listing = Listing::read(directory)?;
        for name in &listing.files {
            let it = fs::symlink_metadata(directory.join(name))?;
            if let Some(writer) = self.writers.of(&it) {
                let writer = writer.to_string();
                return Err(Obstacle::Written { writer });
            }
        }
        for name in &listing.directories {
            self.ask_writers(&directory.join(name))?;
        }
        Ok(())
    }

    /// Truncates metadata to its last whole declaration, and returns its description; none
    /// if no declaration is whole.
    fn repair_metadata(
        &mut self,
        trace: &Trace,
    ) -> Result<Option<Result<Description, String>>, Obstacle> {
        let path = trace.directory.join(METADATA);
        let Some(file) = &trace.metadata else {
            return Ok(None);
        };
        let survey = Survey::of(file)?;
        if survey.text.is_empty() {
            // Readers refuse all traces near such a file, and ignore a directory without
            // metadata.
            if !self.plan.dry_run {
                self.keeper.set_aside(&path)?;
            }
            self.done(&path, Change::SetAside);
            return Ok(None);
        }
        if !survey.is_whole() {
            let from = survey.size;
            let to = survey.whole + survey.mended.len() as u64;
            if !self.plan.dry_run {
                self.keeper.mend_end(&path, survey.whole, &survey.mended)?;
            }
            let is_cut = survey.mended.is_empty();
            self.done(
                &path,
                if is_cut {
                    Change::Cut { from, to }
                } else {
                    Change::EndMended { from, to }
                },
            );
        }
        Ok(Some(Description::parse(survey.text)))
    }

    /// Removes the signs of killed relays, once everything is repaired.
    fn forget_killed(&mut self) {
        if self.plan.dry_run || self.may_do_more {
            return;
        }
        for sign in std::mem::take(&mut self.signs) {
            if let Err(reason) = fs::remove_file(&sign) {
                self.failed(&sign, reason.into());
            }
        }
    }
}

/// A directory with metadata, or with an index, as relays make it.
struct Trace<'d> {
    directory: &'d Path,
    /// None: it has no metadata.
    metadata: Option<File>,
    /// Names of the data files.
    data: Vec<&'d OsStr>,
}

impl<'d> Trace<'d> {
    fn find(directory: &'d Path, listing: &'d Listing) -> Result<Option<Self>, Obstacle> {
        let names = listing.files.iter().map(OsString::as_os_str);
        let (metadata, data): (Vec<_>, Vec<_>) = names
            .filter(|name| is_visible(name))
            .partition(|name| *name == METADATA);
        let is_indexed = data
            .iter()
            .any(|name| stream::index_path(&directory.join(name)).is_file());
        let mut trace = Self {
            directory,
            metadata: None,
            data,
        };
        if metadata.is_empty() {
            return Ok(is_indexed.then_some(trace));
        }
        let path = directory.join(METADATA);
        let file = open(&path)?;
        // Other programs have files of that name.
        let is_it = is_indexed
            || match begin_of(&file)?.as_slice() {
                [] => trace.may_lack_metadata()?,
                begin => begins_metadata(begin),
            };
        trace.metadata = Some(file);
        Ok(is_it.then_some(trace))
    }

    /// Whether it is a trace whose metadata did not come, by its data files, or by its name
    /// where there is none yet.
    fn may_lack_metadata(&self) -> io::Result<bool> {
        for name in &self.data {
            let file = open(&self.directory.join(name))?;
            if !layout::may_begin_packet(&begin_of(&file)?) {
                return Ok(false);
            }
        }
        Ok(!self.data.is_empty() || is_named_by_lttng(self.directory))
    }
}

/// Whether producers of LTTng name directories so: `kernel`, `ust/uid/1000/64-bit`,
/// `ust/pid/app-7-20261129-231231`.
fn is_named_by_lttng(directory: &Path) -> bool {
    let is_below = |end| {
        directory
            .ancestors()
            .skip(1)
            .take(2)
            .any(|it| it.ends_with(end))
    };
    directory.ends_with("kernel") || is_below("ust/uid") || is_below("ust/pid")
}

fn begin_of(file: &File) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, 16), &mut begin)?;
    Ok(begin)
}

/// Whether readers look at this name: it is not hidden.
fn is_visible(name: &OsStr) -> bool {
    !name.as_bytes().starts_with(b".")
}

/// Opens a file for reading, without following a link.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// A lock: no other repair works in a directory while this is open.
fn keep_others_out(directory: &Path) -> Result<File, Obstacle> {
    let handle = File::open(directory)?;
    match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(Errno::WOULDBLOCK) => Err(Obstacle::InRepair),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
