//! A TLS session on a socket: what of it waits to be sent, and what comes.

use std::io::{self, Read as _};

use baton_systems::ports::{Received, Transmitted};
use mio::net::TcpStream;
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::mistake;
use super::session::Session;
use crate::os::said;

#[derive(Debug)]
pub struct Sealed {
    pub session: Session,
    /// Sealed bytes, and how many of them were sent.
    outbox: Vec<u8>,
    sent: usize,
    /// Plain bytes that those of the outbox are made from.
    in_flight: usize,
    /// The last receive has left bytes in the socket: it had to open many for few.
    pub is_behind: bool,
}

/// Reads of one receive. A record may be almost all padding: what a peer costs is what has to be
/// opened, and the budget of a turn counts plain bytes.
const READS_PER_RECEIVE: usize = 4;
/// Size of a sealed record, at most.
const RECORD_BYTES_MAX: usize = 17 * 1024;
/// An empty outbox that is larger than this is freed.
const OUTBOX_KEPT_BYTES: usize = 1024;

impl Sealed {
    pub fn new(session: Session) -> Self {
        Self {
            session,
            outbox: Vec::new(),
            sent: 0,
            in_flight: 0,
            is_behind: false,
        }
    }

    /// Receives into `bytes`, from `end` on. `read_closed`: the socket reports its end at the
    /// next read. `buffer` is for the bytes of the socket.
    pub fn receive_into(
        &mut self,
        socket: &TcpStream,
        read_closed: bool,
        buffer: &mut [u8],
        bytes: &mut [u8],
        end: &mut usize,
    ) -> Received {
        self.is_behind = false;
        let mut fresh = 0..0;
        let mut is_drained = false;
        let mut reads = 0;
        loop {
            let opened = self.session.open(&buffer[fresh.clone()], bytes, end);
            // Its own messages, an alert among them.
            let pushed = self.push_own(socket);
            if let Err(error) = opened {
                return Received::Broken(format!("TLS: {}", mistake::sentence(&error)));
            }
            if let Err(error) = pushed {
                return Received::Broken(error.to_string());
            }
            if *end == bytes.len() {
                return Received::More;
            }
            if self.session.is_over() {
                return Received::Ended;
            }
            if is_drained {
                return Received::Drained;
            }
            if reads == READS_PER_RECEIVE {
                // It has its turn again in the next tick, after the others.
                self.is_behind = true;
                return Received::Drained;
            }
            reads += 1;
            let mut from = socket;
            // More would be held until the next receive; less may be no whole record.
            let most = buffer.len().min(bytes.len() - *end + RECORD_BYTES_MAX);
            fresh = match from.read(&mut buffer[..most]) {
                Ok(0) => return Received::Broken(format!("TLS: {}", self.cut())),
                Ok(count) => {
                    is_drained = count < most && !read_closed;
                    0..count
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Received::Drained;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0..0,
                Err(error) => return Received::Broken(said(&error)),
            };
        }
    }

    /// The meaning of a socket that has ended before its session.
    fn cut(&self) -> &'static str {
        if self.session.is_handshaking() {
            "the peer has closed the connection in the handshake: its port may have no TLS, or it \
             lets nobody in from here"
        } else {
            "the connection was cut, without the notice of its end"
        }
    }

    /// Sends plain bytes from `sent` on, as many as the peer accepts now; `sent` counts those
    /// that left whole.
    pub fn transmit(
        &mut self,
        socket: &TcpStream,
        plain: &[u8],
        sent: &mut usize,
        more: bool,
    ) -> Transmitted {
        loop {
            match self.push(socket, more) {
                Ok(true) => *sent += std::mem::take(&mut self.in_flight),
                Ok(false) => return Transmitted::Partly,
                Err(error) => return Transmitted::Broken(said(&error)),
            }
            if *sent == plain.len() && !self.session.has_own_output() {
                return Transmitted::All;
            }
            self.in_flight = self.session.seal(&plain[*sent..], &mut self.outbox);
        }
    }

    /// Whether messages of TLS itself wait, and no plain bytes do.
    pub fn has_own_output(&self) -> bool {
        self.in_flight == 0 && (!self.outbox.is_empty() || self.session.has_own_output())
    }

    /// Sends messages of TLS itself, if no plain bytes wait before them. Whether they left.
    pub fn push_own(&mut self, socket: &TcpStream) -> io::Result<bool> {
        if !self.has_own_output() {
            return Ok(true);
        }
        self.session.seal(&[], &mut self.outbox);
        self.push(socket, false)
    }

    /// Tells the peer that nothing follows, as far as it accepts that now.
    pub fn close(&mut self, socket: &TcpStream) {
        self.session.close(&mut self.outbox);
        // A peer that has gone need not be told.
        let _ = self.push(socket, false);
    }

    /// Sends what is in the outbox. Whether all of it left.
    fn push(&mut self, socket: &TcpStream, more: bool) -> io::Result<bool> {
        let flags = if more {
            SendFlags::NOSIGNAL | SendFlags::MORE
        } else {
            SendFlags::NOSIGNAL
        };
        while self.sent < self.outbox.len() {
            match rustix::net::send(socket, &self.outbox[self.sent..], flags) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sent = 0;
        if self.outbox.capacity() > OUTBOX_KEPT_BYTES {
            self.outbox = Vec::new();
        } else {
            self.outbox.clear();
        }
        Ok(true)
    }
}
