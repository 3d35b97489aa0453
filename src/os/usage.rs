//! Resource usage of this process: processor time, memory, descriptors, and the disk of its output.

use std::fs;
use std::path::Path;
use std::time::Duration;

use baton_systems::usage::{Archive, Counts, Durations, Usage};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::archiver;

/// The output directory as it is found: its disk, and the note of an archiver.
#[derive(Clone, Debug, Default)]
pub struct Output {
    bytes: u64,
    free_bytes: u64,
    archive: Option<Archive>,
}

impl Output {
    pub fn at(path: &Path) -> Self {
        let (bytes, free_bytes) = disk(path);
        Self {
            bytes,
            free_bytes,
            archive: archiver::read(path),
        }
    }
}

/// A reading. Figures that the system does not tell are 0.
pub fn read(output: Output, started_s: u64, ticks: Durations, counts: Counts) -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Usage {
        cpu: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default(),
        resident_bytes: kilobytes(&status, "VmRSS:") * 1024,
        virtual_bytes: kilobytes(&status, "VmSize:") * 1024,
        descriptors: descriptors(),
        descriptors_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        started_s,
        disk_bytes: output.bytes,
        disk_free_bytes: output.free_bytes,
        archive: output.archive,
        ticks,
        counts,
    }
}

/// A line such as `VmRSS:      5240 kB`.
fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The number of open descriptors: the size of their directory since Linux 6.2. They are
/// counted on older ones, which takes some milliseconds if there are many.
fn descriptors() -> u64 {
    let size = fs::metadata("/proc/self/fd").map_or(0, |directory| directory.len());
    if size > 0 {
        return size;
    }
    // One of them is that of the directory.
    fs::read_dir("/proc/self/fd").map_or(0, |names| names.count().saturating_sub(1) as u64)
}

/// The size of the file system, and what is left of it for this user.
pub fn disk(output: &Path) -> (u64, u64) {
    statvfs(output).map_or((0, 0), |disk| {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        (bytes(disk.f_blocks), bytes(disk.f_bavail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process_are_read() {
        let before = descriptors();
        let file = fs::File::open("/dev/null").unwrap();
        // Other tests of this process may open and close some, too.
        assert!(before > 2);
        let usage = read(
            Output::at(Path::new("/")),
            7,
            Durations::default(),
            Counts::default(),
        );
        drop(file);
        assert!(usage.cpu > Duration::ZERO);
        assert!(usage.resident_bytes > 1 << 20 && usage.virtual_bytes > usage.resident_bytes);
        assert!(usage.descriptors > 2 && usage.descriptors_max >= usage.descriptors);
        assert!(usage.disk_bytes >= usage.disk_free_bytes && usage.disk_bytes > 0);
        assert_eq!(usage.started_s, 7);
    }
}
