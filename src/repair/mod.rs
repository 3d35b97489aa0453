//! `baton repair`: makes the traces that a crash left behind readable.
//!
//! A relay that is killed leaves a packet torn at the end of a file, and a machine that
//! loses power any file shorter than it was. Readers then refuse the whole trace. A data
//! file is cut back to its last whole packet ([`stream`]) and its index written anew where
//! it tells of others; metadata ends with its last whole declaration; what the middle of a
//! rotation hides gets a name that readers see ([`chunks`]). What is cut off is kept
//! ([`keep`]), and every file changes in one step: a repair that is killed leaves nothing
//! worse.

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
use crate::trace::metadata::{Description, Survey, begins_metadata};
use crate::trace::slices::METADATA;

/// What is to be done.
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

/// A file that could not be read or mended, and why. One line for people.
#[derive(Debug, thiserror::Error)]
#[error("cannot repair {}: {reason}", shown(path))]
pub struct Failure {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{}", said(.0))]
    Io(#[from] io::Error),
    #[error("a relay is writing to it; repair it when the session is over")]
    Recorded,
    #[error("{writer} is writing to it; stop that first")]
    Written { writer: String },
    #[error("another repair is at work on it; wait until it ends")]
    InRepair,
    #[error("it contains itself (a mount?)")]
    Loop,
    #[error("it is a link, or no file at all; readers go there, and repair does not")]
    NoFile,
    #[error("it has no metadata, and its packets cannot be read without")]
    NoMetadata,
    #[error("its metadata cannot be understood: {0}")]
    Metadata(String),
    #[error("it does not begin with a packet, so it is no file of this trace")]
    NoData,
    #[error(
        "its index does not describe all its packets, and their headers are not those of \
         LTTng's tracers: it is left as it is"
    )]
    NoHeaders,
}

impl Reason {
    /// Whether the same repair may do more another time.
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
    /// Something failed that may not fail another time.
    may_do_more: bool,
    /// The directories that lead here, by device and inode.
    above: Vec<(u64, u64)>,
    /// Of relays that were killed.
    signs: Vec<PathBuf>,
}

/// The names in a directory, in order.
struct Listing {
    files: Vec<OsString>,
    directories: Vec<OsString>,
    /// Links, and what else is no file.
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

    fn failed(&mut self, path: &Path, reason: Reason) {
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

    fn try_visit(&mut self, directory: &Path) -> Result<(), Reason> {
        let it = fs::metadata(directory)?;
        let identity = (it.dev(), it.ino());
        if self.above.contains(&identity) {
            return Err(Reason::Loop);
        }
        let mut listing = Listing::read(directory)?;
        if self.plan.discard {
            self.discard(directory, &listing);
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

    /// Removes what earlier repairs cut off.
    fn discard(&mut self, directory: &Path, listing: &Listing) {
        for name in listing.files.iter().filter(|name| keep::is_kept(name)) {
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

    /// Repairs the trace that a directory is, if it is one.
    fn repair_trace(&mut self, directory: &Path, listing: &Listing) -> Result<(), Reason> {
        let Some(trace) = Trace::find(directory, listing)? else {
            return Ok(());
        };
        self.outcome.traces += 1;
        for name in listing.others.iter().filter(|name| is_visible(name)) {
            self.failed(&directory.join(name), Reason::NoFile);
        }
        self.ask_writers(directory)?;
        let _alone = (!self.plan.dry_run)
            .then(|| keep_others_out(directory))
            .transpose()?;
        let described = self.repair_metadata(&trace)?;
        let has_data = trace
            .data
            .iter()
            .any(|name| fs::metadata(directory.join(name)).is_ok_and(|it| it.len() > 0));
        let layout = match described {
            Some(Ok(description)) => description.layout,
            Some(Err(reason)) => return Err(Reason::Metadata(reason)),
            None if has_data => return Err(Reason::NoMetadata),
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

    /// Whether somebody writes to a trace, or to what is in a directory.
    fn ask_writers(&mut self, directory: &Path) -> Result<(), Reason> {
        if recording::is_recorded(directory) {
            return Err(Reason::Recorded);
        }
        let listing = Listing::read(directory)?;
        for name in &listing.files {
            let it = fs::symlink_metadata(directory.join(name))?;
            if let Some(writer) = self.writers.of(&it) {
                let writer = writer.to_string();
                return Err(Reason::Written { writer });
            }
        }
        for name in &listing.directories {
            self.ask_writers(&directory.join(name))?;
        }
        Ok(())
    }

    /// Makes metadata end with a whole declaration. Gives what it describes then; none if
    /// nothing of it is whole.
    fn repair_metadata(
        &mut self,
        trace: &Trace,
    ) -> Result<Option<Result<Description, String>>, Reason> {
        let path = trace.directory.join(METADATA);
        let Some(file) = &trace.metadata else {
            return Ok(None);
        };
        let survey = Survey::of(file)?;
        if survey.text.is_empty() {
            // Readers refuse all that is near such a file, and pass over a directory
            // without.
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

    /// All that can be done for relays that were killed here is done.
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
    /// None: there is none.
    metadata: Option<File>,
    /// Names of the data files.
    data: Vec<&'d OsStr>,
}

impl<'d> Trace<'d> {
    fn find(directory: &'d Path, listing: &'d Listing) -> Result<Option<Self>, Reason> {
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
        let mut begin = [0; 16];
        let count = io::Read::read(&mut &file, &mut begin)?;
        // Other programs have files of that name.
        let is_it = is_indexed || begins_metadata(&begin[..count]);
        trace.metadata = Some(file);
        Ok(is_it.then_some(trace))
    }
}

/// Whether readers look at what has this name.
fn is_visible(name: &OsStr) -> bool {
    !name.as_bytes().starts_with(b".")
}

/// Opens a file for reading; not where a link leads.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// No other repair is at work in a directory while this is open.
fn keep_others_out(directory: &Path) -> Result<File, Reason> {
    let handle = File::open(directory)?;
    match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(Errno::WOULDBLOCK) => Err(Reason::InRepair),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
