//! The search in `/proc` for other processes with files open for writing.
//!
//! Baton holds locks ([`super::recording`]). Other relays, and session daemons that record
//! to this machine's disk, hold none: they are found by their open files. Processes of
//! other users, or in other namespaces, may be invisible.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// A process, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    name: String,
    id: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (process {})", self.name, self.id)
    }
}

/// The writers of files. The list is a second old at most.
#[derive(Debug, Default)]
pub struct Writers {
    /// By device and inode.
    files: FxHashMap<(u64, u64), Process>,
    looked: Option<Instant>,
}

impl Writers {
    /// The process that has a file open for writing.
    pub fn of(&mut self, file: &Metadata) -> Option<Process> {
        if self.looked.is_none_or(|looked| looked.elapsed() > AGE_MAX) {
            self.look();
        }
        self.files.get(&(file.dev(), file.ino())).cloned()
    }

    fn look(&mut self) {
        self.files.clear();
        self.looked = Some(Instant::now());
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let name = process.file_name();
            let id = name.to_str().and_then(|name| name.parse().ok());
            if let Some(id) = id.filter(|id| *id != std::process::id()) {
                // Skips processes that end meanwhile, and those of other users.
                let _ = self.look_at(&process.path(), id);
            }
        }
    }

    fn look_at(&mut self, process: &Path, id: u32) -> io::Result<()> {
        for descriptor in fs::read_dir(process.join("fd"))?.flatten() {
            let Ok(file) = fs::metadata(descriptor.path()) else {
                continue;
            };
            if file.is_file() && is_written(process, &descriptor.file_name()) {
                let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
                let name = name.trim_end().to_owned();
                self.files
                    .insert((file.dev(), file.ino()), Process { name, id });
            }
        }
        Ok(())
    }
}

fn is_written(process: &Path, descriptor: &OsStr) -> bool {
    let told = fs::read_to_string(process.join("fdinfo").join(descriptor));
    let flags = told.ok().and_then(|told| {
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"))?;
        i32::from_str_radix(flags.trim(), 8).ok()
    });
    flags.is_some_and(|flags| matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR))
}

/// A search costs some milliseconds, so a repair of thousands of traces reuses the result.
const AGE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn another_process_is_found_by_what_it_writes() {
        let directory = tempfile::tempdir().unwrap();
        let [read, written] = ["read", "written"].map(|name| {
            let path = directory.path().join(name);
            File::create(&path).unwrap();
            path
        });
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(File::open(&read).unwrap())
            .stdout(File::options().append(true).open(&written).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut writers = Writers::default();
        let mut of = |path: &Path| writers.of(&fs::metadata(path).unwrap());
        let writer = of(&written).expect("a writer").to_string();
        assert!(writer.ends_with(&format!("(process {})", child.id())));
        assert_eq!(of(&read), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
