//! A sign in the output directory that a relay writes there.
//!
//! It goes when the relay ends in order. One that outlives its relay tells the next
//! that traces may be torn. Its name is hidden: readers of traces pass it over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = ".baton-running-";

/// The sign of this process; removed when dropped.
#[derive(Debug)]
pub struct Marker(PathBuf);

impl Marker {
    pub fn set(output: &Path) -> io::Result<Self> {
        let path = output.join(format!("{PREFIX}{}", std::process::id()));
        fs::write(&path, "")?;
        Ok(Self(path))
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // The whole output directory may be gone, and the sign with it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a relay that wrote to this directory did not end in order.
pub fn has_crashed(output: &Path) -> bool {
    markers(output).iter().any(|(_, running)| !running)
}

/// What relays tore was repaired.
pub fn forget_crashes(output: &Path) {
    for (marker, running) in markers(output) {
        if !running {
            let _ = fs::remove_file(marker);
        }
    }
}

/// Whether a relay is writing to this directory, or to one that it is in.
pub fn is_written(directory: &Path) -> bool {
    let directory = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_owned());
    directory
        .ancestors()
        .flat_map(markers)
        .any(|(_, running)| running)
}

/// The signs in a directory, and whether the relay of each is running.
fn markers(output: &Path) -> Vec<(PathBuf, bool)> {
    let Ok(entries) = fs::read_dir(output) else {
        return Vec::new();
    };
    let mut markers = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) {
            markers.push((entry.path(), is_running(pid)));
        }
    }
    markers
}

/// Whether a process lives: one that was killed and not waited for does not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    // The state follows the name, which stands in brackets.
    let state = stat.ok().and_then(|stat| {
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.chars().next()
    });
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_tells_of_a_crash_only_when_its_relay_is_gone() {
        let output = tempfile::tempdir().unwrap();
        let marker = Marker::set(output.path()).unwrap();
        assert!(!has_crashed(output.path()));
        assert!(is_written(output.path()));
        // No process has this number: it is above the kernel's limit.
        fs::write(output.path().join(".baton-running-99999999"), "").unwrap();
        assert!(has_crashed(output.path()));
        forget_crashes(output.path());
        assert!(!has_crashed(output.path()));
        drop(marker);
        assert!(!is_written(output.path()));
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
    }
}
