//! Sockets, and waiting for them.
//!
//! The token of a socket carries its connection's key: an event for a descriptor that
//! was closed and used again finds a stale key, and nothing else. Readiness is edge
//! triggered: what a system leaves unread it must come back for by itself.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_components::connection::Port;
use baton_components::keys::ConnectionKey;
use baton_systems::ports::{Network, Newcomer, Received, Transmitted};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::SendFlags;
use signal_hook_mio::v1_0::Signals;
use slotmap::{Key, KeyData, SecondaryMap};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::busy_poll::BusyPoll;
use super::health::Health;
use super::signals::{self, Stop};
use super::watch::Watch;

/// The network of this machine.
pub struct SocketNetwork {
    poll: Poll,
    busy_poll: BusyPoll,
    events: Events,
    signals: Signals,
    stop: Stop,
    idle: Idle,
    listeners: Vec<Listener>,
    /// Accepted, waiting for its key.
    newcomer: Option<TcpStream>,
    peers: SecondaryMap<ConnectionKey, Peer>,
    /// Those that cannot be waited for: the next poll reports them, and they end.
    unwatched: Vec<ConnectionKey>,
    /// Connections that there are descriptors for.
    peers_max: usize,
    watch: Watch,
    health: Option<Health>,
    arrivals: Arrivals,
}

/// What the last receive brought. One buffer for all peers: it stays in the
/// processor's cache, and a thousand peers need no thousand buffers.
#[derive(Debug)]
struct Arrivals {
    bytes: Vec<u8>,
    /// Whose they are, and how many.
    filled: Option<(ConnectionKey, usize)>,
}

/// Whether the last poll of a relay that stops found nothing to do.
#[derive(Clone, Debug, Default)]
pub struct Idle(Arc<AtomicBool>);

impl Idle {
    pub fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Listener {
    port: Port,
    socket: TcpListener,
    state: Backlog,
    /// It was said that connections have to wait. Said once, until none does.
    has_said: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backlog {
    Empty,
    /// Connections may wait.
    Waiting,
    /// Connections wait, and there is no descriptor for them.
    Starved,
}

#[derive(Debug)]
struct Peer {
    socket: TcpStream,
    /// The begin of a message that is not whole, or what its reader left.
    kept: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output has left.
    sent: usize,
    /// Bytes that are not in the output wait for room.
    blocked: bool,
    /// The peer will send no more: only the read that finds it tells.
    read_closed: bool,
    /// Why it cannot be waited for.
    broken: Option<String>,
}

/// Tokens that no key has: a key's version, the upper half, is never 0.
const SIGNALS: Token = Token(0);
const FIRST_LISTENER: usize = 1;

/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Read at once.
const ARRIVALS_BYTES: usize = 256 * 1024;
/// What a peer kept is read on together with what follows, if it is no more than that;
/// more of it stays where it is, so that a long message is not copied at each receive.
const KEPT_COPIED_BYTES_MAX: usize = 16 * 1024;
/// An empty buffer of a peer that is larger than this is given back: most peers are idle
/// most of the time.
const BUFFER_KEPT_BYTES: usize = 1024;
/// How long to wait before a connection is tried again for which there was no
/// descriptor.
const STARVED_RETRY: Duration = Duration::from_millis(100);

impl SocketNetwork {
    /// A network without listeners. `stop` is asked by SIGINT and SIGTERM. Further
    /// connections than `peers_max` wait until one of those ends.
    pub fn new(
        stop: Stop,
        idle: Idle,
        peers_max: usize,
        watch: Watch,
        busy_poll: BusyPoll,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new(signals::TAKEN)?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        Ok(Self {
            poll,
            busy_poll,
            events: Events::with_capacity(EVENTS),
            signals,
            stop,
            idle,
            listeners: Vec::new(),
            newcomer: None,
            peers: SecondaryMap::new(),
            unwatched: Vec::new(),
            peers_max,
            watch,
            health: None,
            arrivals: Arrivals {
                bytes: vec![0; KEPT_COPIED_BYTES_MAX + ARRIVALS_BYTES],
                filled: None,
            },
        })
    }

    /// Listens, and gives the address: the system may have chosen its port.
    pub fn listen(&mut self, port: Port, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        self.listen_on(port, socket.into())
    }

    /// As [`Self::listen`], on a socket that listens already.
    pub fn listen_on(
        &mut self,
        port: Port,
        socket: std::net::TcpListener,
    ) -> io::Result<SocketAddr> {
        socket.set_nonblocking(true)?;
        // What is set on a listener, its connections have from the start. Replies are
        // whole when they are written: waiting for more would delay them.
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        self.watch.apply(&socket)?;
        let mut socket = TcpListener::from_std(socket);
        let address = socket.local_addr()?;
        let token = Token(FIRST_LISTENER + self.listeners.len());
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.listeners.push(Listener {
            port,
            socket,
            state: Backlog::Empty,
            has_said: false,
        });
        Ok(address)
    }

    /// Answers whoever asks for the relay's health there.
    pub fn answer_health(&mut self, socket: &Path) -> io::Result<()> {
        self.health = Some(Health::listen(socket, self.poll.registry())?);
        Ok(())
    }

    /// How long the poll may wait.
    fn patience(&self, timeout: Option<Duration>) -> Option<Duration> {
        let waits = |state| {
            self.listeners
                .iter()
                .any(|listener| listener.state == state)
        };
        if self.stop.is_asked() || !self.unwatched.is_empty() || waits(Backlog::Waiting) {
            Some(Duration::ZERO)
        } else if waits(Backlog::Starved) {
            Some(timeout.map_or(STARVED_RETRY, |timeout| timeout.min(STARVED_RETRY)))
        } else {
            timeout
        }
    }

    fn peer(&mut self, key: ConnectionKey) -> &mut Peer {
        self.peers
            .get_mut(key)
            .expect("law: a connection has a socket until it is closed")
    }
}

impl Network for SocketNetwork {
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) {
        let patience = self.patience(timeout);
        let waited = self
            .busy_poll
            .wait(&mut self.poll, &mut self.events, patience);
        if let Err(error) = waited {
            // A signal may end the wait, with no event; nothing else can happen to it. Who
            // waits anew waits for ever where signals come sooner than its time is over.
            assert!(
                error.kind() == io::ErrorKind::Interrupted,
                "cannot wait for events: {error}"
            );
        }
        readable.append(&mut self.unwatched);
        for event in &self.events {
            if event.token() == SIGNALS {
                if self.signals.pending().any(signals::stops) {
                    self.stop.ask();
                }
            } else if Health::owns(event.token()) {
                if let Some(health) = &mut self.health {
                    health.react(event.token(), self.poll.registry());
                }
            } else if let Some(listener) = self
                .listeners
                .get_mut(event.token().0.wrapping_sub(FIRST_LISTENER))
            {
                listener.state = Backlog::Waiting;
            } else {
                let key = ConnectionKey::from(KeyData::from_ffi(event.token().0 as u64));
                let Some(peer) = self.peers.get_mut(key) else {
                    continue;
                };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    peer.read_closed |= event.is_read_closed() || event.is_error();
                    readable.push(key);
                }
                if event.is_writable() && (peer.blocked || !peer.output.is_empty()) {
                    peer.blocked = false;
                    writable.push(key);
                }
            }
        }
        for listener in &mut self.listeners {
            if listener.state == Backlog::Starved {
                listener.state = Backlog::Waiting;
            }
        }
        self.idle.0.store(
            readable.is_empty() && writable.is_empty(),
            Ordering::Relaxed,
        );
    }

    fn accept(&mut self) -> Option<Newcomer> {
        for listener in &mut self.listeners {
            while listener.state == Backlog::Waiting {
                let accepted = if self.peers.len() < self.peers_max {
                    listener.socket.accept()
                } else {
                    Err(io::Error::other(
                        "as many are open as the descriptor pool allows",
                    ))
                };
                match accepted {
                    Ok((socket, address)) => {
                        self.newcomer = Some(socket);
                        return Some(Newcomer {
                            port: listener.port,
                            peer: address.to_string(),
                        });
                    }
                    Err(error) => listener.refuse(&error),
                }
            }
        }
        None
    }

    fn adopt(&mut self, key: ConnectionKey) {
        let Some(mut socket) = self.newcomer.take() else {
            return;
        };
        let token = Token(key.data().as_ffi() as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, token, interest);
        let broken = registered.err().map(|error| {
            tracing::warn!("a new connection cannot be watched, and is closed: {error}");
            self.unwatched.push(key);
            error.to_string()
        });
        self.peers.insert(
            key,
            Peer {
                socket,
                kept: Vec::new(),
                output: Vec::new(),
                sent: 0,
                blocked: false,
                read_closed: false,
                broken,
            },
        );
    }

    fn stop_accepting(&mut self) {
        self.listeners.clear();
    }

    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received {
        let peer = self
            .peers
            .get_mut(key)
            .expect("law: a connection has a socket until it is closed");
        if let Some(reason) = &peer.broken {
            return Received::Broken(reason.clone());
        }
        if peer.kept.len() > KEPT_COPIED_BYTES_MAX {
            return peer.receive_more(budget);
        }
        let arrivals = &mut self.arrivals;
        let mut end = peer.kept.len();
        arrivals.bytes[..end].copy_from_slice(&peer.kept);
        peer.kept.clear();
        let limit = arrivals.bytes.len().min(end + budget);
        let received = peer.receive_into(&mut arrivals.bytes[..limit], &mut end);
        arrivals.filled = Some((key, end));
        received
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        match self.arrivals.filled {
            Some((owner, end)) if owner == key => &self.arrivals.bytes[..end],
            _ => self.peers.get(key).map_or(&[], |peer| &peer.kept),
        }
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        match self.arrivals.filled {
            Some((owner, end)) if owner == key => {
                peer.kept
                    .extend_from_slice(&self.arrivals.bytes[count..end]);
                self.arrivals.filled = None;
            }
            _ => drop(peer.kept.drain(..count)),
        }
        if peer.kept.is_empty() && peer.kept.capacity() > BUFFER_KEPT_BYTES {
            peer.kept = Vec::new();
        }
    }

    fn send(&mut self, key: ConnectionKey, bytes: &[u8]) {
        self.peer(key).output.extend_from_slice(bytes);
    }

    fn unsent(&self, key: ConnectionKey) -> usize {
        self.peers
            .get(key)
            .map_or(0, |peer| peer.output.len() - peer.sent)
    }

    fn transmit(&mut self, key: ConnectionKey, more: bool) -> Transmitted {
        let peer = self.peer(key);
        let flags = if more {
            SendFlags::NOSIGNAL | SendFlags::MORE
        } else {
            SendFlags::NOSIGNAL
        };
        while peer.sent < peer.output.len() {
            match rustix::net::send(&peer.socket, &peer.output[peer.sent..], flags) {
                Ok(count) => peer.sent += count,
                Err(Errno::AGAIN) => return Transmitted::Partly,
                Err(Errno::INTR) => {}
                Err(error) => {
                    peer.forget_output();
                    return Transmitted::Broken(io::Error::from(error).to_string());
                }
            }
        }
        peer.forget_output();
        // A peer that takes the rest of a file is as near to its next word.
        self.busy_poll.answered();
        Transmitted::All
    }

    fn acknowledge(&mut self, key: ConnectionKey) {
        // A peer that is gone needs no answer.
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.peer(key).socket, true);
    }

    fn descriptor(&self, key: ConnectionKey) -> Option<BorrowedFd<'_>> {
        self.peers.get(key).map(|peer| peer.socket.as_fd())
    }

    fn source(&self, key: ConnectionKey) -> Option<BorrowedFd<'_>> {
        self.descriptor(key)
    }

    fn wait_for_room(&mut self, key: ConnectionKey) {
        self.peer(key).blocked = true;
    }

    fn close(&mut self, key: ConnectionKey) {
        // Closing the descriptor takes it out of the poll.
        self.peers.remove(key);
    }
}

impl Listener {
    /// What an accept that failed says of those that wait.
    fn refuse(&mut self, error: &io::Error) {
        self.state = match error.kind() {
            io::ErrorKind::WouldBlock => Backlog::Empty,
            // The peer gave up meanwhile, or a signal came: the next may be there.
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Backlog::Waiting,
            _ => Backlog::Starved,
        };
        match self.state {
            Backlog::Empty => self.has_said = false,
            Backlog::Starved if !self.has_said => {
                self.has_said = true;
                tracing::warn!("{} connections have to wait: {error}", self.port.name());
            }
            Backlog::Waiting | Backlog::Starved => {}
        }
    }
}

impl Peer {
    /// Fills `bytes` from `end` on.
    fn receive_into(&mut self, bytes: &mut [u8], end: &mut usize) -> Received {
        while *end < bytes.len() {
            let wanted = bytes.len() - *end;
            match self.socket.read(&mut bytes[*end..]) {
                Ok(0) => return Received::Ended,
                Ok(count) => {
                    *end += count;
                    // All there was: the next byte brings its own event.
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

    /// Goes on with a message of which much has come.
    fn receive_more(&mut self, budget: usize) -> Received {
        let mut bytes = std::mem::take(&mut self.kept);
        let mut end = bytes.len();
        bytes.resize(end + budget, 0);
        let received = self.receive_into(&mut bytes, &mut end);
        bytes.truncate(end);
        self.kept = bytes;
        received
    }

    fn forget_output(&mut self) {
        self.sent = 0;
        if self.output.capacity() > BUFFER_KEPT_BYTES {
            self.output = Vec::new();
        } else {
            self.output.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::busy_poll::MOMENT;

    /// A network that has accepted a connection, and its peer.
    fn accepted() -> (SocketNetwork, std::net::TcpStream) {
        let mut network = SocketNetwork::new(
            Stop::default(),
            Idle::default(),
            1,
            Watch::default(),
            BusyPoll::new(MOMENT),
        )
        .unwrap();
        let address = network
            .listen(Port::Control, "127.0.0.1:0".parse().unwrap())
            .unwrap();
        let peer = std::net::TcpStream::connect(address).unwrap();
        network.poll(None, &mut Vec::new(), &mut Vec::new());
        network.accept().unwrap();
        (network, peer)
    }

    #[test]
    fn a_connection_that_cannot_be_waited_for_ends() {
        let (mut network, mut peer) = accepted();
        // It is in the poll already: the kernel refuses it a second time.
        let socket = network.newcomer.as_mut().unwrap();
        let registry = network.poll.registry();
        registry
            .register(socket, Token(usize::MAX), Interest::WRITABLE)
            .unwrap();
        let mut keys = slotmap::SlotMap::<ConnectionKey, ()>::with_key();
        let key = keys.insert(());
        network.adopt(key);
        assert_eq!(network.patience(None), Some(Duration::ZERO));
        let mut readable = Vec::new();
        network.poll(None, &mut readable, &mut Vec::new());
        assert_eq!(readable, [key]);
        assert!(matches!(network.receive(key, 1), Received::Broken(_)));
        network.close(key);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(network.unwatched.is_empty());
    }

    #[test]
    fn a_connection_is_watched_as_its_listener_was_told() {
        let watch = Watch::default();
        let (network, _peer) = accepted();
        let socket = network.newcomer.unwrap();
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            watch.keep_alive.unwrap().idle.unwrap()
        );
    }
}
