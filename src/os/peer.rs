//! The network's side of a connection: its socket, and buffers for both directions.

use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;

use baton_components::connection::Endpoint;
use baton_components::rights::Rights;
use baton_systems::ports::{Received, Transmitted};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::sockets::Socket;
use super::tls::sealed::Sealed;

#[derive(Debug)]
pub struct Peer {
    pub endpoint: Endpoint,
    pub socket: Arc<Socket>,
    pub tls: Option<Box<Tls>>,
    /// The begin of an incomplete message, or bytes that the systems left unread; the first
    /// of it, up to `done`, are done with. They are not moved out of the way: messages that
    /// wait for their turn would be copied once for each of them.
    pub(super) kept: Vec<u8>,
    done: usize,
    pub output: Vec<u8>,
    /// Number of bytes of the output that were sent.
    pub sent: usize,
    /// The peer has closed its side; the next read reports it.
    pub read_closed: bool,
    /// The reason why the relay ends it: it could not be registered with the poll, or may be
    /// connected no longer.
    pub broken: Option<String>,
}

/// TLS of a connection, and what its peer may do.
#[derive(Debug)]
pub struct Tls {
    pub sealed: Box<Sealed>,
    pub rights: Option<Box<Rights>>,
}

/// An empty buffer of a peer that is larger than this is freed: most peers are idle most of
/// the time.
const BUFFER_KEPT_BYTES: usize = 1024;

impl Peer {
    pub fn new(endpoint: Endpoint, socket: Arc<Socket>) -> Self {
        Self {
            endpoint,
            socket,
            tls: None,
            kept: Vec::new(),
            done: 0,
            output: Vec::new(),
            sent: 0,
            read_closed: false,
            broken: None,
        }
    }

    /// Ends the connection from this side, for that reason.
    pub fn break_off(&mut self, reason: String) {
        // Zero-copy transfers fail too then. A peer that has gone is no failure.
        let _ = self.socket.stream.shutdown(Shutdown::Both);
        self.broken = Some(reason);
    }

    /// Bytes that the systems left unread.
    pub fn kept(&self) -> &[u8] {
        &self.kept[self.done..]
    }

    /// Receives into `bytes`, from `end` on. `sealed` is a buffer for what TLS has to open.
    pub fn receive_into(
        &mut self,
        sealed: &mut [u8],
        bytes: &mut [u8],
        end: &mut usize,
    ) -> Received {
        if let Some(tls) = &mut self.tls {
            let socket = &self.socket.stream;
            return tls
                .sealed
                .receive_into(socket, self.read_closed, sealed, bytes, end);
        }
        while *end < bytes.len() {
            let wanted = bytes.len() - *end;
            match (&self.socket.stream).read(&mut bytes[*end..]) {
                Ok(0) => return Received::Ended,
                Ok(count) => {
                    *end += count;
                    // The socket is drained: the next byte causes its own event.
                    if count < wanted && !self.read_closed {
                        return Received::Drained;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Received::Drained;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Received::Broken(error.to_string()),
            }
        }
        Received::More
    }

    /// Receives more of a message of which much has come, through a buffer, so that no room is
    /// made for bytes that do not come.
    pub fn receive_more(&mut self, sealed: &mut [u8], buffer: &mut [u8]) -> Received {
        self.kept.drain(..std::mem::take(&mut self.done));
        let mut end = 0;
        let received = self.receive_into(sealed, buffer, &mut end);
        self.kept.extend_from_slice(&buffer[..end]);
        received
    }

    /// Sends as much of the output as the peer accepts now.
    pub fn transmit(&mut self, more: bool) -> Transmitted {
        if let Some(reason) = &self.broken {
            return Transmitted::Broken(reason.clone());
        }
        if let Some(tls) = &mut self.tls {
            let (socket, output) = (&self.socket.stream, &self.output);
            let transmitted = tls.sealed.transmit(socket, output, &mut self.sent, more);
            if transmitted != Transmitted::Partly {
                self.forget_output();
            }
            return transmitted;
        }
        let flags = if more {
            SendFlags::NOSIGNAL | SendFlags::MORE
        } else {
            SendFlags::NOSIGNAL
        };
        while self.sent < self.output.len() {
            match rustix::net::send(&self.socket.stream, &self.output[self.sent..], flags) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Transmitted::Partly,
                Err(Errno::INTR) => {}
                Err(error) => {
                    self.forget_output();
                    return Transmitted::Broken(io::Error::from(error).to_string());
                }
            }
        }
        self.forget_output();
        Transmitted::All
    }

    /// Whether the last receive left bytes in the socket, of which no event tells.
    pub fn is_behind(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.sealed.is_behind)
    }

    /// The socket takes more: messages of TLS itself leave, which no system knows of.
    pub fn push_own(&mut self) {
        if let Some(tls) = &mut self.tls {
            // A socket that is broken reports that to its reader.
            let _ = tls.sealed.push_own(&self.socket.stream);
        }
    }

    /// Says the end of the connection to the peer, where TLS asks for that.
    pub fn say_end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.sealed.close(&self.socket.stream);
        }
    }

    /// Keeps bytes that the systems left unread.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Drops the first kept bytes, which were consumed.
    pub fn consume_kept(&mut self, count: usize) {
        self.done += count;
        if self.done == self.kept.len() {
            self.forget_kept();
        }
    }

    /// Nothing is kept any more.
    pub fn forget_kept(&mut self) {
        self.done = 0;
        forget(&mut self.kept);
    }

    fn forget_output(&mut self) {
        self.sent = 0;
        forget(&mut self.output);
    }
}

fn forget(buffer: &mut Vec<u8>) {
    if buffer.capacity() > BUFFER_KEPT_BYTES {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
