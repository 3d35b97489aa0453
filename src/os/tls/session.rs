//! A TLS connection as a filter between the bytes of a socket and the plain ones of a peer.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection};

#[derive(Debug)]
pub struct Session {
    inner: Connection,
    /// Bytes of the socket for which there was no room; seldom any.
    held: Vec<u8>,
}

/// Plain bytes that are sealed at once: a few records, which the processor's cache holds.
pub const SEALED_AT_ONCE: usize = 32 * 1024;
/// Bytes of a socket that are read at once: a record and more.
pub const READ_AT_ONCE: usize = 64 * 1024;

impl Session {
    /// The relay's side.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::of(ServerConnection::new(config)?.into()))
    }

    /// The client's side, of a connection to a relay of that name.
    pub fn client(config: Arc<ClientConfig>, relay: ServerName<'static>) -> Result<Self, Error> {
        Ok(Self::of(ClientConnection::new(config, relay)?.into()))
    }

    fn of(inner: Connection) -> Self {
        Self {
            inner,
            held: Vec::new(),
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    /// The peer's certificate, and those above it.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.inner.peer_certificates().unwrap_or_default()
    }

    /// Opens bytes of the socket: the plain ones go into `into`, from `end` on. Bytes that have no
    /// room there are kept, for a later call with no new bytes.
    pub fn open(&mut self, sealed: &[u8], into: &mut [u8], end: &mut usize) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let all;
        let mut left = if held.is_empty() {
            sealed
        } else {
            all = [&held, sealed].concat();
            &all[..]
        };
        loop {
            self.take_plain(into, end);
            if left.is_empty() {
                return Ok(());
            }
            if *end == into.len() && !self.inner.is_handshaking() {
                // A later call has room.
                self.held = left.to_vec();
                return Ok(());
            }
            if self.inner.read_tls(&mut left).is_err() {
                return Err(Error::PeerSentOversizedRecord);
            }
            self.inner.process_new_packets()?;
        }
    }

    fn take_plain(&mut self, into: &mut [u8], end: &mut usize) {
        while *end < into.len() {
            match self.inner.reader().read(&mut into[*end..]) {
                Ok(count @ 1..) => *end += count,
                // Nothing is there, or nothing will come.
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Whether the peer has said that nothing follows, and all was taken.
    pub fn is_over(&mut self) -> bool {
        let state = self.inner.process_new_packets();
        self.held.is_empty()
            && state.is_ok_and(|it| it.peer_has_closed() && it.plaintext_bytes_to_read() == 0)
    }

    /// Whether there is something for the socket that no plain bytes cause.
    pub fn has_own_output(&self) -> bool {
        self.inner.wants_write()
    }

    /// Seals plain bytes for the socket, with whatever else is for it. Gives how many of them
    /// were taken.
    pub fn seal(&mut self, plain: &[u8], into: &mut Vec<u8>) -> usize {
        let plain = &plain[..plain.len().min(SEALED_AT_ONCE)];
        // A buffer of the session has a limit, and is emptied here each time.
        let taken = self.inner.writer().write(plain).unwrap_or(0);
        self.drain(into);
        taken
    }

    /// Seals the notice that nothing follows.
    pub fn close(&mut self, into: &mut Vec<u8>) {
        self.inner.send_close_notify();
        self.drain(into);
    }

    fn drain(&mut self, into: &mut Vec<u8>) {
        while self.inner.wants_write() {
            let written: io::Result<usize> = self.inner.write_tls(into);
            written.expect("law: a vector takes all bytes");
        }
    }
}
