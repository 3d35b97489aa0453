//! The network: connections and their bytes, over the sockets of this machine.
//!
//! Readiness is edge-triggered: a system that leaves bytes unread must come back by itself.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::keys::ConnectionKey;
use baton_components::limits::{ACCEPTS_PER_TICK, RECEIVE_BYTES_MAX};
use baton_systems::ports::{Network, Newcomer, Received, Transmitted};
use slotmap::SecondaryMap;

use super::counters::Counters;
use super::gate::{Gate, NextGate};
use super::handshakes::{Handshakes, Known};
use super::listeners::{self, Accepted, Listeners};
use super::peer::{Peer, Tls};
use super::reactor::{Reactor, Recipient};
use super::sockets::{Socket, Sockets};
use super::tcp_timeouts::TcpTimeouts;
use super::tls::session::READ_AT_ONCE;

/// The network of this machine.
pub struct SocketNetwork {
    reactor: Reactor,
    idle: Idle,
    listeners: Listeners,
    gate: Gate,
    next_gate: NextGate,
    /// Connections of before the gate, which it has not reviewed yet.
    unreviewed: Vec<ConnectionKey>,
    /// The connection that was accepted last, until it gets its key.
    newcomer: Option<Arriving>,
    handshakes: Handshakes,
    peers: SecondaryMap<ConnectionKey, Peer>,
    sockets: Sockets,
    /// Connections that the next poll reports without an event of their socket: those that the
    /// relay itself ends, those of which bytes came with the end of their handshake, and those
    /// that are behind.
    due: Vec<ConnectionKey>,
    /// Maximum number of connections, from the pool of descriptors.
    peers_max: usize,
    timeouts: TcpTimeouts,
    arrivals: Arrivals,
    counters: Counters,
}

/// A connection that was accepted, before it has a key.
#[derive(Debug)]
struct Arriving {
    accepted: Accepted,
    tls: Option<Tls>,
}

/// The bytes of the last receive. One buffer for all peers stays in the processor's cache,
/// and saves a buffer for each peer.
#[derive(Debug)]
struct Arrivals {
    bytes: Vec<u8>,
    /// For what TLS has to open.
    sealed: Vec<u8>,
    /// The connection that they came from, and their number.
    filled: Option<(ConnectionKey, usize)>,
}

/// Whether the last poll found no event, for the shutdown.
#[derive(Clone, Debug, Default)]
pub struct Idle(Arc<AtomicBool>);

impl Idle {
    pub fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Maximum size of one read.
const ARRIVALS_BYTES: usize = RECEIVE_BYTES_MAX;
/// Connections that a new gate reviews in one poll: a certificate may take half a millisecond
/// of cryptography.
const REVIEWS_PER_POLL: usize = 8;
/// Kept bytes of a peer are copied to the common buffer, before the bytes that follow, up
/// to this size. More of them stay where they are, so that a long message is not copied at
/// each receive.
const KEPT_COPIED_BYTES_MAX: usize = 16 * 1024;

impl SocketNetwork {
    /// A network without listeners. At most `peers_max` connections are open; further ones
    /// wait in the backlog.
    pub fn new(reactor: Reactor, idle: Idle, peers_max: usize, timeouts: TcpTimeouts) -> Self {
        Self {
            reactor,
            idle,
            listeners: Listeners::default(),
            gate: Gate::default(),
            next_gate: NextGate::default(),
            unreviewed: Vec::new(),
            newcomer: None,
            handshakes: Handshakes::default(),
            peers: SecondaryMap::new(),
            sockets: Sockets::default(),
            due: Vec::new(),
            peers_max,
            timeouts,
            arrivals: Arrivals {
                bytes: vec![0; KEPT_COPIED_BYTES_MAX + ARRIVALS_BYTES],
                sealed: vec![0; READ_AT_ONCE],
                filled: None,
            },
            counters: Counters::default(),
        }
    }

    /// Counts there whom it turns away.
    #[must_use]
    pub fn with_counters(self, counters: Counters) -> Self {
        Self { counters, ..self }
    }

    /// The reactor, which guests can run on too.
    pub fn reactor(&mut self) -> &mut Reactor {
        &mut self.reactor
    }

    /// For the conditions on peers, which can change.
    pub fn next_gate(&self) -> NextGate {
        self.next_gate.clone()
    }

    /// The sockets of its connections.
    pub fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    /// Listens, and returns the address, whose port the system may have chosen.
    pub fn listen(&mut self, endpoint: Endpoint, address: SocketAddr) -> io::Result<SocketAddr> {
        self.listen_on(endpoint, listeners::bind(address)?)
    }

    /// As [`Self::listen`], for connections that begin with a TLS handshake.
    pub fn listen_tls(
        &mut self,
        endpoint: Endpoint,
        address: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let socket = listeners::bind(address)?;
        let (reactor, timeouts) = (&self.reactor, &self.timeouts);
        self.listeners
            .add(reactor, endpoint, true, socket, timeouts)
    }

    /// As [`Self::listen`], on a socket that listens already.
    pub fn listen_on(&mut self, endpoint: Endpoint, socket: TcpListener) -> io::Result<SocketAddr> {
        self.listeners
            .add(&self.reactor, endpoint, false, socket, &self.timeouts)
    }

    /// Number of connections in their handshake.
    #[cfg(test)]
    pub fn open_handshakes(&self) -> usize {
        self.handshakes.len()
    }

    /// Timeout of the poll.
    fn patience(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.due.is_empty() && self.unreviewed.is_empty() {
            self.listeners.patience(self.handshakes.patience(timeout))
        } else {
            Some(Duration::ZERO)
        }
    }

    /// Takes the new gate, if there is one, and reviews some connections. Those that it does
    /// not let in end; the others stay as they are.
    fn review(&mut self) {
        if let Some(gate) = self.next_gate.take() {
            self.gate = gate;
            self.unreviewed = self.peers.keys().collect();
        }
        let rest = self.unreviewed.len().saturating_sub(REVIEWS_PER_POLL);
        for key in self.unreviewed.split_off(rest) {
            let Some(peer) = self.peers.get_mut(key) else {
                // It has ended.
                continue;
            };
            if let Err(reason) = self.gate.keeps(peer) {
                peer.break_off(reason);
                self.due.push(key);
            }
        }
    }

    /// The next connection to accept. Those with TLS are not accepted before their handshake
    /// is over.
    fn arriving(&mut self) -> Option<Arriving> {
        for _ in 0..ACCEPTS_PER_TICK {
            if let Some(Known {
                accepted,
                tls,
                rights,
            }) = self.handshakes.take_known()
            {
                let tls = Some(Tls {
                    sealed: tls,
                    rights,
                });
                return Some(Arriving { accepted, tls });
            }
            let has_room = self.peers.len() + self.handshakes.len() < self.peers_max;
            let (gate, counters) = (&self.gate, &self.counters);
            let accepted = self.listeners.accept(has_room, gate, counters)?;
            if !accepted.is_tls {
                let tls = None;
                return Some(Arriving { accepted, tls });
            }
            let (reactor, counters) = (&self.reactor, &self.counters);
            self.handshakes.begin(accepted, reactor, counters);
        }
        None
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
    ) -> bool {
        self.review();
        self.reactor.wait(self.patience(timeout));
        writable.extend_from_slice(&self.due);
        readable.append(&mut self.due);
        for (recipient, event) in self.reactor.events() {
            let key = match recipient {
                Recipient::Listener(number) => {
                    self.listeners.connected(number);
                    continue;
                }
                Recipient::Handshake(number) => {
                    self.handshakes.wake(number);
                    continue;
                }
                Recipient::Connection(key) => key,
            };
            let Some(peer) = self.peers.get_mut(key) else {
                continue;
            };
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                peer.read_closed |= event.is_read_closed() || event.is_error();
                readable.push(key);
            }
            if event.is_writable() {
                peer.push_own();
            }
            if event.is_writable() && (peer.socket.has_room() || !peer.output.is_empty()) {
                writable.push(key);
            }
        }
        let tls = self.gate.tls.as_deref();
        self.handshakes.work(tls, &self.counters);
        self.listeners.try_again();
        self.idle.0.store(
            readable.is_empty() && writable.is_empty(),
            Ordering::Relaxed,
        );
        self.reactor.was_woken()
    }

    fn accept(&mut self) -> Option<Newcomer> {
        let arriving = self.arriving()?;
        let rights = arriving.tls.as_ref().and_then(|tls| tls.rights.clone());
        let newcomer = Newcomer {
            endpoint: arriving.accepted.endpoint,
            peer: arriving.accepted.address.to_string(),
            has_tls: arriving.tls.is_some(),
            rights,
        };
        self.newcomer = Some(arriving);
        Some(newcomer)
    }

    fn adopt(&mut self, key: ConnectionKey) {
        let Some(Arriving { accepted, tls }) = self.newcomer.take() else {
            return;
        };
        let Accepted {
            mut socket,
            endpoint,
            ..
        } = accepted;
        let registered = match &tls {
            None => self.reactor.watch_connection(&mut socket, key),
            Some(_) => self.reactor.watch_known(&mut socket, key),
        };
        let socket = match &tls {
            None => self.sockets.insert(key, socket),
            // Storage does not find it, and leaves its bytes to be sealed and opened.
            Some(_) => Socket::apart(socket),
        };
        let mut peer = Peer::new(endpoint, socket);
        if tls.is_some() {
            self.due.push(key);
        }
        peer.tls = tls.map(Box::new);
        if let Err(error) = registered {
            tracing::warn!("cannot poll a new connection, it is closed: {error}");
            peer.break_off(error.to_string());
            self.due.push(key);
        }
        self.peers.insert(key, peer);
    }

    fn stop_accepting(&mut self) {
        self.listeners = Listeners::default();
        self.handshakes = Handshakes::default();
    }

    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received {
        let peer = self
            .peers
            .get_mut(key)
            .expect("law: a connection has a socket until it is closed");
        if let Some(reason) = &peer.broken {
            return Received::Broken(reason.clone());
        }
        let Arrivals {
            bytes,
            sealed,
            filled,
        } = &mut self.arrivals;
        let received = if peer.kept().len() > KEPT_COPIED_BYTES_MAX {
            *filled = None;
            let limit = bytes.len().min(budget);
            peer.receive_more(sealed, &mut bytes[..limit])
        } else {
            let mut end = peer.kept().len();
            bytes[..end].copy_from_slice(peer.kept());
            peer.forget_kept();
            let limit = bytes.len().min(end + budget);
            let received = peer.receive_into(sealed, &mut bytes[..limit], &mut end);
            *filled = Some((key, end));
            received
        };
        if peer.is_behind() {
            self.due.push(key);
        }
        received
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        match self.arrivals.filled {
            Some((owner, end)) if owner == key => &self.arrivals.bytes[..end],
            _ => self.peers.get(key).map_or(&[], |peer| peer.kept()),
        }
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        match self.arrivals.filled {
            Some((owner, end)) if owner == key => {
                peer.keep(&self.arrivals.bytes[count..end]);
                self.arrivals.filled = None;
            }
            _ => peer.consume_kept(count),
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
        let transmitted = self.peer(key).transmit(more);
        if transmitted == Transmitted::All {
            // A peer that has received the rest of a file sends its next message as soon.
            self.reactor.answered();
        }
        transmitted
    }

    fn acknowledge(&mut self, key: ConnectionKey) {
        // A peer that is gone needs no reply.
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.peer(key).socket.stream, true);
    }

    fn close(&mut self, key: ConnectionKey) {
        // Closing the descriptor removes it from the poll.
        self.sockets.remove(key);
        if let Some(mut peer) = self.peers.remove(key) {
            peer.say_end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write as _};

    use socket2::SockRef;

    use super::*;
    use crate::addresses::Allowed;
    use crate::os::busy_poll::{self, BusyPoll};
    use crate::os::signals::Stop;

    /// A network of so many connections at most, and its address.
    fn network(peers_max: usize) -> (SocketNetwork, SocketAddr) {
        let reactor = Reactor::new(Stop::default(), BusyPoll::new(busy_poll::DEFAULT)).unwrap();
        let timeouts = TcpTimeouts::default();
        let mut network = SocketNetwork::new(reactor, Idle::default(), peers_max, timeouts);
        let address = network
            .listen(Endpoint::Control, "127.0.0.1:0".parse().unwrap())
            .unwrap();
        (network, address)
    }

    /// A network that has accepted a connection, and its peer.
    fn accepted() -> (SocketNetwork, std::net::TcpStream) {
        let (mut network, address) = network(1);
        let peer = std::net::TcpStream::connect(address).unwrap();
        network.poll(None, &mut Vec::new(), &mut Vec::new());
        network.accept().unwrap();
        (network, peer)
    }

    #[test]
    fn a_connection_that_cannot_be_waited_for_ends() {
        let (mut network, mut peer) = accepted();
        // It is registered already: the kernel refuses a second registration.
        let socket = &mut network.newcomer.as_mut().unwrap().accepted.socket;
        let mut keys = slotmap::SlotMap::<ConnectionKey, ()>::with_key();
        let key = keys.insert(());
        network.reactor.watch_connection(socket, key).unwrap();
        network.adopt(key);
        assert_eq!(network.patience(None), Some(Duration::ZERO));
        let mut readable = Vec::new();
        network.poll(None, &mut readable, &mut Vec::new());
        // Its end is an event of its own.
        readable.dedup();
        assert_eq!(readable, [key]);
        assert!(matches!(network.receive(key, 1), Received::Broken(_)));
        network.close(key);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(network.due.is_empty());
    }

    fn producers(list: &str) -> Gate {
        Gate {
            producers: Allowed::parse(list).unwrap(),
            ..Gate::default()
        }
    }

    #[test]
    fn a_stranger_is_closed_at_accept_and_others_come_in() {
        let (mut network, _peer) = accepted();
        network.newcomer = None;
        let address = network
            .listen(Endpoint::Live, "127.0.0.1:0".parse().unwrap())
            .unwrap();
        let control = network
            .listen(Endpoint::Control, "127.0.0.1:0".parse().unwrap())
            .unwrap();
        network.next_gate().put(producers("none,192.0.2.0/24"));
        let mut strangers = [(); 3].map(|()| std::net::TcpStream::connect(control).unwrap());
        let _viewer = std::net::TcpStream::connect(address).unwrap();
        let newcomer = loop {
            network.poll(None, &mut Vec::new(), &mut Vec::new());
            if let Some(newcomer) = network.accept() {
                break newcomer;
            }
        };
        assert_eq!(newcomer.endpoint, Endpoint::Live);
        while network.accept().is_some() {}
        for stranger in &mut strangers {
            assert_eq!(stranger.read(&mut [0]).unwrap_or(0), 0);
        }
    }

    #[test]
    fn a_new_gate_ends_those_alone_that_it_does_not_let_in() {
        for (list, ends) in [("192.0.2.0/24", false), ("none,192.0.2.0/24", true)] {
            let (mut network, mut peer) = accepted();
            let mut keys = slotmap::SlotMap::<ConnectionKey, ()>::with_key();
            let key = keys.insert(());
            network.adopt(key);
            network.next_gate().put(producers(list));
            let (mut readable, mut writable) = (Vec::new(), Vec::new());
            network.poll(Some(Duration::ZERO), &mut readable, &mut writable);
            let broken = matches!(network.receive(key, 1), Received::Broken(_));
            assert_eq!(broken, ends, "{list}");
            if ends {
                assert!(readable.contains(&key) && writable.contains(&key));
                assert!(matches!(
                    network.transmit(key, false),
                    Transmitted::Broken(_)
                ));
                network.close(key);
                assert_eq!(peer.read(&mut [0]).unwrap(), 0);
            }
        }
    }

    #[test]
    fn a_new_gate_reviews_some_connections_at_a_time_and_all_in_the_end() {
        let count = 2 * REVIEWS_PER_POLL + 1;
        // With room for one more, so that none waits to be accepted.
        let (mut network, address) = network(count + 1);
        let mut keys = slotmap::SlotMap::<ConnectionKey, ()>::with_key();
        let mut peers = Vec::new();
        while keys.len() < count {
            peers.push(std::net::TcpStream::connect(address).unwrap());
            network.poll(None, &mut Vec::new(), &mut Vec::new());
            while network.accept().is_some() {
                network.adopt(keys.insert(()));
            }
        }
        network.next_gate().put(producers("none,192.0.2.0/24"));
        let is_broken = |peer: &Peer| peer.broken.is_some();
        for ended in [REVIEWS_PER_POLL, 2 * REVIEWS_PER_POLL, count] {
            network.poll(None, &mut Vec::new(), &mut Vec::new());
            let broken = network.peers.values().filter(|peer| is_broken(peer));
            assert_eq!(broken.count(), ended);
            network.due.clear();
            let goes_on = network.patience(None) == Some(Duration::ZERO);
            assert_eq!(goes_on, ended < count);
        }
    }

    #[test]
    fn a_message_takes_the_memory_of_what_has_come() {
        let (mut network, mut peer) = accepted();
        let mut keys = slotmap::SlotMap::<ConnectionKey, ()>::with_key();
        let key = keys.insert(());
        network.adopt(key);
        let mut sent = 0;
        for size in [KEPT_COPIED_BYTES_MAX + 1, 1, 1000, 100_000] {
            peer.write_all(&vec![7; size]).unwrap();
            sent += size;
            while network.input(key).len() < sent {
                let received = network.receive(key, ARRIVALS_BYTES);
                assert!(matches!(received, Received::Drained | Received::More));
                network.consume(key, 0);
            }
            let kept = &network.peers[key].kept;
            assert_eq!(*kept, vec![7; sent]);
            assert!(
                kept.capacity() <= 2 * sent,
                "{} for {sent}",
                kept.capacity()
            );
        }
    }

    #[test]
    fn a_connection_is_watched_as_its_listener_was_told() {
        let timeouts = TcpTimeouts::default();
        let (network, _peer) = accepted();
        let newcomer = network.newcomer.unwrap();
        let socket = SockRef::from(&newcomer.accepted.socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            timeouts.keep_alive.unwrap().idle.unwrap()
        );
    }
}
