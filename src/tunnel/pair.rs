//! Two sockets of the tunnel: plain LTTng on this side, TLS on the other.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;

use baton_components::connection::Endpoint;
use baton_systems::ports::{Received, Transmitted};
use mio::net::TcpStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::os::tls::sealed::Sealed;
use crate::os::tls::session::Session;

pub struct Pair {
    pub endpoint: Endpoint,
    pub near: TcpStream,
    pub far: TcpStream,
    sealed: Sealed,
    /// Plain bytes for the relay, and how many of them were sent.
    outward: Vec<u8>,
    outward_sent: usize,
    /// Plain bytes for this machine.
    inward: Vec<u8>,
    inward_sent: usize,
    near_has_ended: bool,
    far_has_ended: bool,
    has_said_end: bool,
}

/// The state of a pair after a turn.
pub enum Then {
    /// One of its sockets has to be ready.
    Wait,
    GoOn,
    /// It is over; a failure is a sentence.
    End(Option<String>),
}

/// Rounds of a turn.
const ROUNDS: usize = 16;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// For what is read: empty between turns.
pub struct Buffers {
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            sealed: vec![0; READ_BYTES],
            plain: vec![0; READ_BYTES],
        }
    }
}

impl Pair {
    pub fn new(
        endpoint: Endpoint,
        near: TcpStream,
        far: TcpStream,
        config: Arc<ClientConfig>,
        relay: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            endpoint,
            near,
            far,
            sealed: Sealed::new(Session::client(config, relay)?),
            outward: Vec::new(),
            outward_sent: 0,
            inward: Vec::new(),
            inward_sent: 0,
            near_has_ended: false,
            far_has_ended: false,
            has_said_end: false,
        })
    }

    /// Moves bytes both ways, as far as that goes now.
    pub fn go_on(&mut self, buffers: &mut Buffers) -> Then {
        for _ in 0..ROUNDS {
            let moved = match (self.outward(buffers), self.inward(buffers)) {
                (Ok(out), Ok(into)) => out || into,
                (Err(failure), _) | (_, Err(failure)) => return Then::End(Some(failure)),
            };
            // The relay's end is the end of both ways: it reads nothing any more.
            if self.far_has_ended && self.inward.is_empty() {
                return Then::End(None);
            }
            if !moved {
                return Then::Wait;
            }
        }
        Then::GoOn
    }

    /// To the relay. Whether something moved; an error is a sentence.
    fn outward(&mut self, buffers: &mut Buffers) -> Result<bool, String> {
        let mut moved = false;
        if self.outward.is_empty() && !self.near_has_ended {
            match self.near.read(&mut buffers.plain) {
                Ok(0) => self.near_has_ended = true,
                Ok(count) => self.outward.extend_from_slice(&buffers.plain[..count]),
                Err(error) if is_later(&error) => {}
                // A program of this machine that was killed.
                Err(_) => self.near_has_ended = true,
            }
            moved = !self.outward.is_empty() || self.near_has_ended;
        }
        let before = self.outward_sent;
        let (far, plain) = (&self.far, &self.outward);
        match self
            .sealed
            .transmit(far, plain, &mut self.outward_sent, false)
        {
            Transmitted::All => {
                moved |= self.outward_sent > before;
                self.outward = Vec::new();
                self.outward_sent = 0;
            }
            Transmitted::Partly => return Ok(moved || self.outward_sent > before),
            // Bytes that the relay sent before that are read first.
            Transmitted::Broken(reason) => {
                self.near_has_ended = true;
                self.outward = Vec::new();
                self.outward_sent = 0;
                if self.far_has_ended {
                    return Err(reason);
                }
            }
        }
        if self.near_has_ended
            && !self.sealed.session.is_handshaking()
            && !std::mem::replace(&mut self.has_said_end, true)
        {
            self.sealed.close(&self.far);
        }
        Ok(moved)
    }

    /// From the relay. Whether something moved; an error is a sentence.
    fn inward(&mut self, buffers: &mut Buffers) -> Result<bool, String> {
        let mut moved = false;
        if self.inward.is_empty() && !self.far_has_ended {
            let Buffers { sealed, plain } = buffers;
            let mut end = 0;
            let far = &self.far;
            let received = self
                .sealed
                .receive_into(far, false, sealed, plain, &mut end);
            self.inward.extend_from_slice(&plain[..end]);
            moved = end > 0;
            match received {
                Received::Drained => moved |= self.sealed.is_behind,
                Received::More => moved = true,
                Received::Ended => {
                    self.far_has_ended = true;
                    moved = true;
                }
                Received::Broken(_) if self.near_has_ended => self.far_has_ended = true,
                Received::Broken(reason) => return Err(reason),
            }
        }
        while self.inward_sent < self.inward.len() {
            match self.near.write(&self.inward[self.inward_sent..]) {
                Ok(count) => {
                    self.inward_sent += count;
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nobody is there to read it.
                Err(_) => {
                    self.near_has_ended = true;
                    break;
                }
            }
        }
        self.inward = Vec::new();
        self.inward_sent = 0;
        if self.far_has_ended {
            // A peer that has gone need not be told.
            let _ = self.near.shutdown(Shutdown::Write);
        }
        Ok(moved)
    }
}

fn is_later(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}
