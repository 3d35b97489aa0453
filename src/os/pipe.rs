//! Zero-copy from a socket to a file: `splice` through a pipe.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// Created at first use.
#[derive(Debug, Default)]
pub struct Pipe(Option<Ends>);

/// Pipes that are empty, for the bytes that wait to be written; its clones are the same pool.
#[derive(Clone, Debug, Default)]
pub struct Pipes(Arc<Mutex<Pool>>);

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Pipe>,
    /// Number of pipes that are in use.
    used: usize,
}

/// Maximum number of pipes: with so many in use, bytes are copied.
const PIPES_MAX: usize = 32;

impl Pipes {
    /// An empty pipe, if there is one.
    pub fn take(&self) -> Option<Pipe> {
        let mut pool = self.pool();
        if pool.used == PIPES_MAX {
            return None;
        }
        pool.used += 1;
        Some(pool.idle.pop().unwrap_or_default())
    }

    /// Takes back a pipe that is empty again.
    pub fn give_back(&self, pipe: Pipe) {
        let mut pool = self.pool();
        pool.used -= 1;
        pool.idle.push(pipe);
    }

    /// Closes the pipes that are not in use.
    pub fn close_idle(&self) {
        self.pool().idle.clear();
    }

    /// Number of pipes that are in use.
    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.pool().used
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Ends {
    out: OwnedFd,
    into: OwnedFd,
}

/// Maximum size of a pipe for an unprivileged process.
const PIPE_BYTES: usize = 1024 * 1024;

impl Pipe {
    /// Moves at most `length` bytes of a socket into the pipe, and returns how many. 0 if
    /// the socket has none, has ended or is broken (a receive then tells which), or if
    /// there is no pipe.
    pub fn fill(&mut self, from: BorrowedFd<'_>, length: u64) -> u64 {
        if self.0.is_none() {
            self.0 = Ends::new().ok();
        }
        let Some(ends) = &self.0 else { return 0 };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = rustix::pipe::splice(from, None, &ends.into, None, length as usize, flags);
        moved.unwrap_or(0) as u64
    }

    /// Moves the next bytes of the pipe to an offset of a file, which goes on to `end`. Those that
    /// cannot be written are dropped.
    pub fn empty_into(&mut self, file: &File, at: &mut u64, end: u64) -> io::Result<()> {
        while *at < end {
            let left = end - *at;
            let flags = SpliceFlags::MOVE;
            let moved = match &self.0 {
                Some(Ends { out, .. }) => {
                    rustix::pipe::splice(out, None, file, Some(&mut *at), left as usize, flags)
                }
                None => Ok(0),
            };
            let reason = match moved {
                Ok(0) => Errno::IO,
                Ok(_) | Err(Errno::INTR) => continue,
                Err(reason) => reason,
            };
            self.drop_bytes(left);
            return Err(reason.into());
        }
        Ok(())
    }

    /// Drops the next bytes of the pipe.
    pub fn drop_bytes(&mut self, mut count: u64) {
        let mut buffer = [0; 16 * 1024];
        while count > 0 {
            let Some(Ends { out, .. }) = &self.0 else {
                return;
            };
            let length = buffer.len().min(count as usize);
            match rustix::io::read(out, &mut buffer[..length]) {
                Ok(read @ 1..) => count -= read as u64,
                Err(Errno::INTR) => {}
                // The bytes behind them would be taken for others.
                Ok(0) | Err(_) => self.0 = None,
            }
        }
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (out, into) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller pipe works too, with more calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&into, PIPE_BYTES);
        Ok(Self { out, into })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn sockets() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    #[test]
    fn bytes_go_from_a_socket_to_their_place_in_a_file() {
        let (near, mut far) = sockets();
        let file = tempfile::tempfile().unwrap();
        let mut pipe = Pipe::default();
        assert_eq!(pipe.fill(near.as_fd(), 10), 0, "nothing has come");
        far.write_all(b"a packet and more").unwrap();
        let bytes = pipe.fill(near.as_fd(), 8);
        assert_eq!(bytes, 8);
        pipe.empty_into(&file, &mut 3, 3 + bytes).unwrap();
        let mut content = [0; 11];
        file.read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content, b"\0\0\0a packet");
        drop(far);
        assert_eq!(pipe.fill(near.as_fd(), 100), 9);
        pipe.empty_into(&file, &mut 0, 9).unwrap();
        assert_eq!(pipe.fill(near.as_fd(), 100), 0, "it has ended");
    }

    #[test]
    fn bytes_that_one_file_refused_are_not_written_to_the_next() {
        let (near, mut far) = sockets();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut pipe = Pipe::default();
        far.write_all(b"lost").unwrap();
        let bytes = pipe.fill(near.as_fd(), 10);
        assert_eq!(bytes, 4);
        far.write_all(b"kept").unwrap();
        assert_eq!(pipe.fill(near.as_fd(), 10), 4);
        assert!(pipe.empty_into(&full, &mut 0, 4).is_err());
        pipe.empty_into(&file, &mut 0, 4).unwrap();
        let mut content = [0; 4];
        file.read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content, b"kept");
    }
}
