//! A limit of bytes per second, for all requests together.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Pace {
    bytes_per_s: u64,
    /// When the next byte may go.
    next: Mutex<Instant>,
}

impl Pace {
    pub fn new(bytes_per_s: u64) -> Self {
        Self {
            bytes_per_s: bytes_per_s.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until as many bytes may go.
    fn take(&self, bytes: usize) {
        // No overflow: a piece has some kilobytes.
        let time = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_per_s);
        let now = Instant::now();
        let begin = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            // Unused bandwidth is not saved up.
            let begin = (*next).max(now);
            *next = begin + time;
            begin
        };
        thread::sleep(begin - now);
    }
}

/// A body that goes at a pace.
pub struct Paced<'a> {
    pub body: &'a [u8],
    pub pace: &'a Pace,
}

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(PIECE);
        let count = self.body.read(&mut buffer[..room])?;
        self.pace.take(count);
        Ok(count)
    }
}

/// Small enough that a slow pace is even.
const PIECE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_whole_and_takes_its_share_of_time() {
        let (pace, body) = (Pace::new(1 << 20), vec![7; 100 << 10]);
        let begun = Instant::now();
        let mut read = Vec::new();
        let mut paced = Paced {
            body: &body,
            pace: &pace,
        };
        paced.read_to_end(&mut read).unwrap();
        assert_eq!(read, body);
        // A tenth of a second's worth.
        let next = *pace.next.lock().unwrap();
        assert!(next >= begun + Duration::from_millis(97));
    }
}
