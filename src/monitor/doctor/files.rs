//! Other relays in the output directory, killed or running.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Finding;
use crate::config::Config;
use crate::os::recording;

pub fn examine(config: &Config, findings: &mut Vec<Finding>) {
    let output = config.output.display();
    let killed = recording::signs_of_killed(&config.output).unwrap_or_default();
    if !killed.is_empty() {
        findings.push(Finding::wrong(
            "killed",
            format!("a relay was killed while it recorded in {output}"),
            "its last packets may be torn, and readers stop there",
            format!("baton repair {output}"),
        ));
    }
    let inode = fs::metadata(&config.output).map(|it| it.ino());
    let relays = inode.map(|inode| {
        lockers(
            inode,
            &fs::read_to_string("/proc/locks").unwrap_or_default(),
        )
    });
    if let Ok([one, other, ..]) = relays.as_deref() {
        findings.push(Finding::wrong(
            "second-relay",
            format!("more than one relay writes to {output}"),
            format!("processes {one} and {other} have it open"),
            format!("kill {other}; or start it with another --output"),
        ));
    }
}

/// The processes that hold the shared lock of relays on a directory.
fn lockers(inode: u64, locks: &str) -> Vec<u32> {
    let mut pids = Vec::new();
    for line in locks.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        if let [_, "FLOCK", _, _, pid, file, ..] = fields[..]
            && file.rsplit(':').next() == Some(inode.to_string().as_str())
            && let Ok(pid) = pid.parse()
            && !pids.contains(&pid)
        {
            pids.push(pid);
        }
    }
    pids
}
