//! Clocks of producers against ours: the end of a session's last packet, by its tracer's
//! clock, against the time at which its index record was written, by ours.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::trace::index_file::IndexFile;
use crate::trace::slices::{Slice, find_slices};

/// Nanoseconds by which the tracer's clock is ahead, of the last packet below a directory;
/// none if there is no packet with a description that can be read.
pub fn ahead_ns(directory: &Path) -> Option<i128> {
    let mut slices = Vec::new();
    find_slices(directory, &mut slices).ok()?;
    let packets = slices.iter().flat_map(|slice| {
        let files = slice.files.iter();
        files.filter_map(|name| last_packet(slice, &slice.index(name)))
    });
    let latest = packets.max_by_key(|(written_ns, _)| *written_ns);
    latest.map(|(written_ns, end_ns)| end_ns - written_ns)
}

/// When the last record of an index was written, and when its packet ended.
fn last_packet(slice: &Slice, index: &Path) -> Option<(i128, i128)> {
    let status = fs::metadata(index).ok()?;
    let file = File::open(index).ok()?;
    let index = IndexFile::open(&file).ok()??;
    let record_size = index.version().record_size() as u64;
    let count = status.len().checked_sub(index.offset(0))? / record_size;
    let last = index.read(count.checked_sub(1)?).ok()?.pop()?;
    let written_ns = i128::from(status.mtime()) * 1_000_000_000 + i128::from(status.mtime_nsec());
    Some((
        written_ns,
        slice.description.clock.time_ns(last.timestamp_end),
    ))
}
