//! Two sockets of the tunnel: plain LTTng on this side, TLS on the other.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use baton_components::connection::Endpoint;
use baton_systems::ports::{Received, Transmitted};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::os::said;
use crate::os::tcp_timeouts::TcpTimeouts;
use crate::os::tls::sealed::Sealed;
use crate::os::tls::session::Session;

pub struct Pair {
    pub endpoint: Endpoint,
    near: TcpStream,
    far: TcpStream,
    /// Until the relay is reached: its addresses that were not tried yet, the next one last.
    untried: Option<Vec<SocketAddr>>,
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

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
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
    /// Connects to the first of the addresses of a relay that can be reached. An error is a
    /// sentence.
    pub fn new(
        endpoint: Endpoint,
        near: TcpStream,
        mut addresses: Vec<SocketAddr>,
        session: Session,
    ) -> Result<Self, String> {
        addresses.reverse();
        let far = connect(&mut addresses)?;
        prepare(&near).map_err(|reason| said(&reason))?;
        Ok(Self {
            endpoint,
            near,
            far,
            untried: Some(addresses),
            sealed: Sealed::new(session),
            outward: Vec::new(),
            outward_sent: 0,
            inward: Vec::new(),
            inward_sent: 0,
            near_has_ended: false,
            far_has_ended: false,
            has_said_end: false,
        })
    }

    /// Has both sockets polled, by one token.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.near, token, BOTH)?;
        registry.register(&mut self.far, token, BOTH)
    }

    /// Moves bytes both ways, as far as that goes now.
    pub fn go_on(&mut self, buffers: &mut Buffers, registry: &Registry, token: Token) -> Then {
        match self.reaches_relay(registry, token) {
            Ok(true) => {}
            Ok(false) => return Then::Wait,
            Err(failure) => return Then::End(Some(failure)),
        }
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

    /// Whether the relay is reached by now: if it is not at one address, the next is tried. An error
    /// is a sentence.
    fn reaches_relay(&mut self, registry: &Registry, token: Token) -> Result<bool, String> {
        while let Some(untried) = &mut self.untried {
            match is_connected(&self.far) {
                Ok(true) => self.untried = None,
                Ok(false) => return Ok(false),
                Err(reason) if untried.is_empty() => return Err(said(&reason)),
                Err(_) => {
                    // A socket that is closed is polled no longer.
                    self.far = connect(untried)?;
                    let registered = registry.register(&mut self.far, token, BOTH);
                    registered.map_err(|reason| said(&reason))?;
                }
            }
        }
        Ok(true)
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

/// Begins a connection to the last of the addresses to which that is possible, and removes those
/// that were tried. An error is a sentence.
fn connect(addresses: &mut Vec<SocketAddr>) -> Result<TcpStream, String> {
    let mut failure = "its name has no address".to_owned();
    while let Some(address) = addresses.pop() {
        let connected = TcpStream::connect(address).and_then(|far| prepare(&far).map(|()| far));
        match connected {
            Ok(far) => return Ok(far),
            Err(reason) => failure = said(&reason),
        }
    }
    Err(failure)
}

/// Whether a connection is there by now, or why it cannot be.
fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(reason) = socket.take_error()? {
        return Err(reason);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(reason) if reason.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(reason) => Err(reason),
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    TcpTimeouts::default().apply(socket)
}

fn is_later(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}
