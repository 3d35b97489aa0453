//! Repair of hidden chunks: a rotation gave them temporary names, and the relay was killed
//! in the middle of it, or the disk refused to rename them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use baton_systems::ports::Clock;
use rustix::fs::{CWD, RenameFlags};

use super::{Change, Listing, Obstacle, Walk};
use crate::os::clock::SystemClock;
use crate::trace::slices::{ARCHIVES, HiddenChunk, chunk_number, hidden_chunk};

impl Walk<'_> {
    /// Renames hidden chunks of a session as the rotation would have: the old one into the
    /// archives, the new one into the session's directory. Returns whether anything was
    /// renamed.
    pub fn bring_back(&mut self, session: &Path, listing: &Listing) -> bool {
        let mut hidden = Vec::new();
        for name in &listing.directories {
            let Some(chunk) = hidden_chunk(name) else {
                continue;
            };
            let path = session.join(name);
            match times(&path) {
                Ok(Some((begin, end))) => hidden.push((chunk, begin, end, path)),
                // Nothing was recorded in it.
                Ok(None) => {}
                Err(reason) => self.failed(&path, reason.into()),
            }
        }
        hidden.sort();
        let next = next_number(session, listing);
        let mut moved = false;
        for (count, (chunk, begin, end, path)) in (0..).zip(hidden) {
            let number = next.saturating_add(count);
            let to = match chunk {
                HiddenChunk::Old if session.join(ARCHIVES).is_symlink() => {
                    self.failed(&session.join(ARCHIVES), Obstacle::NoFile);
                    continue;
                }
                HiddenChunk::Old => {
                    session
                        .join(ARCHIVES)
                        .join(format!("{}-{}-{number}", stamp(begin), stamp(end)))
                }
                HiddenChunk::New => session.join(format!("{}-{number}", stamp(begin))),
            };
            match self.try_bring_back(&path, &to) {
                Ok(()) => {
                    moved |= !self.plan.dry_run;
                    self.done(&path, Change::BroughtBack { to });
                }
                Err(reason) => self.failed(&path, reason),
            }
        }
        moved
    }

    fn try_bring_back(&mut self, from: &Path, to: &Path) -> Result<(), Obstacle> {
        self.ask_writers(from)?;
        if !self.plan.dry_run {
            if let Some(above) = to.parent() {
                fs::create_dir_all(above)?;
            }
            rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
                .map_err(io::Error::from)?;
        }
        Ok(())
    }
}

/// The next free number of a chunk in a session.
fn next_number(session: &Path, listing: &Listing) -> u64 {
    let archives = Listing::read(&session.join(ARCHIVES));
    let archives = archives.map_or(Vec::new(), |archives| archives.directories);
    let names = listing.directories.iter().chain(&archives);
    let numbers = names.filter_map(|name: &OsString| chunk_number(name));
    numbers.max().map_or(0, |number| number.saturating_add(1))
}

/// Earliest and latest modification time of the files below a directory; none if there are
/// no files.
fn times(directory: &Path) -> io::Result<Option<(i64, i64)>> {
    let mut span: Option<(i64, i64)> = None;
    let mut add = |begin: i64, end: i64| {
        let (first, last) = span.unwrap_or((begin, end));
        span = Some((first.min(begin), last.max(end)));
    };
    let listing = Listing::read(directory)?;
    let path = |name: &OsString| -> PathBuf { directory.join(name) };
    for name in &listing.files {
        let time = fs::symlink_metadata(path(name))?.mtime();
        add(time, time);
    }
    for name in &listing.directories {
        if let Some((begin, end)) = times(&path(name))? {
            add(begin, end);
        }
    }
    Ok(span)
}

fn stamp(unix_s: i64) -> String {
    let time = SystemClock::new().civil(u64::try_from(unix_s).unwrap_or(0));
    time.map_or_else(String::new, |time| time.chunk_stamp())
}
