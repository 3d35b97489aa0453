//! A bad peer whose disk is slow: strace delays the relay's writes to its data files.
//!
//! A tracer stops its process at each system call, slow or not. So the light peers are measured
//! alone below strace, too, which then delays nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::load::LIVE_TIMER_US;
use super::super::producer::{CHANNEL, Producer, Shape};
use super::super::relay::Target;
use super::{Member, PACKET_BYTES, goes_on};

/// A producer that sends 20 packets a second, each write of which takes so long.
pub fn member(target: &Target, write: Duration) -> io::Result<Vec<Member>> {
    let shape = Shape {
        streams: 1,
        packet_bytes: PACKET_BYTES,
        live_timer_us: LIVE_TIMER_US,
    };
    let mut producer = Producer::connect(target, NUMBER, shape)?;
    producer.send_packet(0, 1)?;
    producer.settle()?;
    let mut files = Vec::new();
    data_files(&target.traces, false, &mut files)?;
    let quick = Tracer::attach(target, &files, Duration::ZERO)?;
    let target = target.clone();
    Ok(vec![Box::new(move |is_over| {
        drop(quick);
        let slow = Tracer::attach(&target, &files, write)?;
        let begin = Instant::now();
        for packet in (0..).take_while(|_| goes_on(is_over)) {
            let due = begin + INTERVAL * packet;
            sleep(due.saturating_duration_since(Instant::now()));
            producer.send_packet(0, usize::MAX)?;
        }
        drop(slow);
        producer.settle()
    })])
}

/// Collects the data files of the session.
fn data_files(directory: &Path, is_below: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            let is_session = name.starts_with(&format!("load-{NUMBER}"));
            data_files(&path, is_below || is_session, files)?;
        } else if is_below && name.starts_with(CHANNEL) && !name.ends_with(".idx") {
            files.push(path);
        }
    }
    Ok(())
}

/// A strace of the relay; it detaches when this is dropped.
struct Tracer(Child);

impl Tracer {
    /// From now on writes to these files begin so much later.
    fn attach(target: &Target, files: &[PathBuf], delay: Duration) -> io::Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-p"]);
        command.arg(target.process.id().to_string());
        command.args(["-e", &format!("trace={CALLS}")]);
        if !delay.is_zero() {
            let delay_us = delay.as_micros();
            command.args(["-e", &format!("inject={CALLS}:delay_enter={delay_us}")]);
        }
        for file in files {
            command.arg("-P").arg(file);
        }
        let command = command.stdin(Stdio::null()).stderr(Stdio::null());
        let strace = command.spawn();
        let absent = |_| io::Error::other("there is no strace to slow the disk down");
        let mut tracer = Self(strace.map_err(absent)?);
        while !target.process.is_traced()? {
            if tracer.0.try_wait()?.is_some() {
                return Err(io::Error::other("strace may not attach the relay"));
            }
            sleep(LOOK_AGAIN);
        }
        Ok(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some(id) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        // It does not detach from a relay that was killed while a write of it was delayed.
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begun.elapsed() < DETACHES_IN {
            sleep(LOOK_AGAIN);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Number of the session: names of other sessions do not begin with it.
const NUMBER: u64 = 77;
/// From one packet to the next.
const INTERVAL: Duration = Duration::from_millis(50);
/// Those with which relays write packets.
const CALLS: &str = "pwrite64,pwritev,pwritev2,write,writev,splice,ftruncate";
const LOOK_AGAIN: Duration = Duration::from_millis(1);
const DETACHES_IN: Duration = Duration::from_secs(5);
