//! The common parts of runs with bare system calls: both ends of a connection, sizes of
//! messages, and the CPU time of the thread in the relay's place.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::usage::Spent;

/// Both ends of a connection.
pub fn connection(listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let far = TcpStream::connect(listener.local_addr()?)?;
    let (near, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

pub fn check(file: &File, bytes: usize) -> io::Result<()> {
    match file.metadata()?.len() {
        length if length == bytes as u64 => Ok(()),
        length => Err(io::Error::other(format!("{length} of {bytes} bytes came"))),
    }
}

pub fn finish(peer: std::thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    let panicked = |_| Err(io::Error::other("a thread of the load panicked"));
    peer.join().unwrap_or_else(panicked)
}

/// Time and this thread's CPU time from here on.
pub struct ThreadStopwatch {
    cpu: Duration,
    begun: Instant,
}

impl ThreadStopwatch {
    pub fn start() -> Self {
        Self {
            cpu: thread_cpu(),
            begun: Instant::now(),
        }
    }

    pub fn stop(&self) -> Spent {
        Spent {
            elapsed: self.begun.elapsed(),
            cpu: thread_cpu().saturating_sub(self.cpu),
        }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// SEND_INDEX and its reply.
pub const INDEX_BYTES: usize = 104;
pub const REPLY_BYTES: usize = 4;
