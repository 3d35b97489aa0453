//! CPU time and memory of a process, from `/proc`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::measure::{Row, Unit};

/// The directory of a process in `/proc`.
#[derive(Clone, Debug)]
pub struct Process(PathBuf);

#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident_bytes: u64,
    pub peak_bytes: u64,
}

impl Process {
    pub fn new(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    pub fn id(&self) -> u32 {
        let name = self.0.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.parse().ok()).unwrap_or(0)
    }

    /// Whether all its threads are attached to a tracer.
    pub fn is_traced(&self) -> io::Result<bool> {
        for thread in fs::read_dir(self.0.join("task"))? {
            let status = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
            if status.contains("TracerPid:\t0\n") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// CPU time of its threads to the nanosecond. Threads that ended are not counted:
    /// neither Baton nor the original ends any while it serves.
    pub fn cpu(&self) -> io::Result<Duration> {
        match self.scheduled()? {
            Duration::ZERO => self.ticks(),
            time => Ok(time),
        }
    }

    /// Whether it is a zombie: it has ended, and was not waited for.
    #[cfg(test)]
    pub fn is_dead(&self) -> bool {
        let stat = fs::read_to_string(self.0.join("stat")).unwrap();
        stat.contains(") Z ")
    }

    pub fn memory(&self) -> io::Result<Memory> {
        let status = fs::read_to_string(self.0.join("status"))?;
        Ok(Memory {
            resident_bytes: status_bytes(&status, "VmRSS:"),
            peak_bytes: status_bytes(&status, "VmHWM:"),
        })
    }

    /// Nothing where the kernel does not count by the nanosecond.
    fn scheduled(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(self.0.join("task"))? {
            nanoseconds += first_number(&thread?.path().join("schedstat"));
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn ticks(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(self.0.join("stat"))?;
        // The name may hold anything, even blanks: fields count from its bracket on.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * MILLISECONDS_PER_TICK))
    }
}

/// Time and a process's CPU time from here on.
#[derive(Debug)]
pub struct Stopwatch<'a> {
    process: &'a Process,
    cpu: Duration,
    begun: Instant,
}

/// Time and CPU time measured by a [`Stopwatch`].
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub elapsed: Duration,
    pub cpu: Duration,
}

impl<'a> Stopwatch<'a> {
    pub fn start(process: &'a Process) -> io::Result<Self> {
        Ok(Self {
            process,
            cpu: process.cpu()?,
            begun: Instant::now(),
        })
    }

    pub fn stop(&self) -> io::Result<Spent> {
        let elapsed = self.begun.elapsed();
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        Ok(Spent { elapsed, cpu })
    }
}

impl Spent {
    pub fn cpu_microseconds_each(&self, count: usize) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count as f64
    }

    /// Bytes by the second, and CPU time for them.
    pub fn row_of_bytes(&self, bytes: usize) -> Row {
        let bytes = bytes as f64;
        let (elapsed, cpu) = (self.elapsed.as_secs_f64(), self.cpu.as_secs_f64());
        Row::new("")
            .pace(bytes / elapsed / 1e6, Unit::MegabytesPerSecond)
            .cpu(cpu / bytes * 1e9, Unit::CpuSecondsPerGigabyte)
    }

    /// Sessions by the second, and CPU time of one.
    pub fn row_of_sessions(&self, sessions: usize) -> Row {
        Row::new("")
            .pace(
                sessions as f64 / self.elapsed.as_secs_f64(),
                Unit::SessionsPerSecond,
            )
            .cpu(self.cpu_microseconds_each(sessions), Unit::CpuMicroseconds)
    }

    pub fn microseconds_each(&self, count: usize) -> f64 {
        self.elapsed.as_secs_f64() * 1e6 / count as f64
    }
}

/// Zero where there is none: a thread may end, and a kernel may lack the file.
fn first_number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn status_bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Linux counts CPU time of processes in hundredths of a second.
const MILLISECONDS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn both_ways_to_count_cpu_time_tell_the_same() {
        let mut busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let process = Process::new(busy.id());
        let mut ticks = Duration::ZERO;
        while ticks < Duration::from_millis(100) {
            std::thread::sleep(Duration::from_millis(10));
            ticks = process.ticks().unwrap();
        }
        let scheduled = process.scheduled().unwrap();
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(scheduled > ticks / 2, "{scheduled:?} of {ticks:?}");
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), 1 << 20);
        assert_eq!(status_bytes(status, "VmHWM:"), 2 << 20);
        assert_eq!(status_bytes(status, "VmSwap:"), 0);
    }
}
