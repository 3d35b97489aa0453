//! A network in memory.
//!
//! Readiness is edge-triggered, as in the real network: a connection is reported readable
//! when new bytes have arrived, and not again until more do. A system that leaves bytes
//! unread must remember that.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::keys::ConnectionKey;
use baton_components::rights::Rights;
use slotmap::SecondaryMap;

use super::lock::lock;
use crate::ports::{Network, NetworkPort, Newcomer, Received, Transmitted};

/// Handle of a network; its clones are the same network.
#[derive(Clone, Default)]
pub struct MemoryNetwork(Arc<Mutex<Wires>>);

/// The far end of a connection. Its bytes and its end arrive in order, from the
/// relay's next poll on.
#[derive(Clone)]
pub struct Peer {
    link: Arc<Mutex<Link>>,
    wires: Arc<Mutex<Wires>>,
}

impl MemoryNetwork {
    /// Without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// The side that a relay runs on. One relay, one port.
    pub fn port(&self) -> NetworkPort {
        NetworkPort(Box::new(RelaySide {
            wires: Arc::clone(&self.0),
            buffers: SecondaryMap::new(),
        }))
    }

    /// Connects to an endpoint of the relay, as `peer`. The connection is closed at once
    /// if the relay accepts no more.
    pub fn connect(&self, endpoint: Endpoint, peer: &str) -> Peer {
        self.connect_with(endpoint, peer, None)
    }

    /// As [`Self::connect`], as a peer whose rights are limited.
    pub fn connect_with(&self, endpoint: Endpoint, peer: &str, rights: Option<Rights>) -> Peer {
        let mut wires = lock(&self.0);
        let link = Link {
            closed: wires.refuses,
            ..Link::default()
        };
        let link = Arc::new(Mutex::new(link));
        if !wires.refuses {
            let newcomer = Newcomer {
                endpoint,
                peer: peer.to_owned(),
                // Certificates have rules.
                has_tls: rights.is_some(),
                rights: rights.map(Box::new),
            };
            wires.waiting.push_back((newcomer, Arc::clone(&link)));
        }
        Peer {
            link,
            wires: Arc::clone(&self.0),
        }
    }

    /// Holds back accepts: connections wait in the backlog meanwhile.
    pub fn hold_accepts(&self, hold: bool) {
        lock(&self.0).holds = hold;
    }

    /// Timeout of the last poll; none: for ever.
    pub fn timeout(&self) -> Option<Duration> {
        lock(&self.0).timeout
    }

    /// Whether another tick would find nothing to do: the last poll reported nothing
    /// and would have waited, and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        let wires = lock(&self.0);
        wires.quiet
            && wires.timeout != Some(Duration::ZERO)
            && (wires.holds || wires.waiting.is_empty())
            && wires.expected.is_empty()
    }
}

impl Peer {
    /// Sends bytes to the relay.
    pub fn write(&self, bytes: &[u8]) {
        self.send(Arrival::Bytes(bytes.to_vec()));
    }

    /// Sends nothing after what was written.
    pub fn finish(&self) {
        self.send(Arrival::End);
    }

    /// Breaks the connection, both ways: what has arrived can still be read, what is
    /// on its way is lost.
    pub fn reset(&self, reason: &str) {
        self.act(|link, _| {
            link.coming.clear();
            link.broken = Some(reason.to_owned());
            link.fresh = true;
        });
    }

    /// The bytes that the relay sent since the last call.
    pub fn take_received(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.link).received)
    }

    /// Whether the relay has closed the connection.
    pub fn is_closed(&self) -> bool {
        lock(&self.link).closed
    }

    /// Delays bytes that are written from now on by this number of polls.
    pub fn delay_polls(&self, polls: u64) {
        lock(&self.link).delay_polls = polls;
    }

    /// One receive finds at most `size` bytes, the next poll reports more.
    pub fn cut_every(&self, size: usize) {
        self.cut_by(move || size);
    }

    /// Each receive finds at most as many bytes as `sizes` gives then, at least 1.
    pub fn cut_by(&self, sizes: impl FnMut() -> usize + Send + 'static) {
        lock(&self.link).cut = Some(Box::new(sizes));
    }

    /// Accepts no more bytes, except as many as [`Peer::accept_bytes`] allows.
    pub fn block(&self) {
        lock(&self.link).window = Some(0);
    }

    /// Accepts this number of further bytes, as a peer that blocked.
    pub fn accept_bytes(&self, count: usize) {
        self.act(|link, _| {
            if let Some(window) = &mut link.window {
                *window = window.saturating_add(count);
            }
        });
    }

    fn send(&self, arrival: Arrival) {
        self.act(|link, polls| {
            if link.broken.is_some() {
                return;
            }
            let last = link.coming.back().map_or(0, |(due, _)| *due);
            // A smaller delay than before does not change the order.
            let due = last.max(link.polls(polls) + 1 + link.delay_polls);
            link.coming.push_back((due, arrival));
        });
    }

    /// Does something that later polls may report. `act` gets the number of polls so far.
    fn act(&self, act: impl FnOnce(&mut Link, u64)) {
        let mut wires = lock(&self.wires);
        let mut link = lock(&self.link);
        act(&mut link, wires.polls);
        if let Some((key, _)) = link.adopted
            && link.is_expected()
        {
            wires.expected.insert(key);
        }
    }
}

/// The state shared by both sides.
#[derive(Default)]
struct Wires {
    waiting: VecDeque<(Newcomer, Arc<Mutex<Link>>)>,
    /// Accepted, and without its key yet.
    accepted: Option<Arc<Mutex<Link>>>,
    adopted: SecondaryMap<ConnectionKey, Arc<Mutex<Link>>>,
    /// Connections of which a later poll will report something without further actions: no
    /// other link is looked at.
    expected: BTreeSet<ConnectionKey>,
    /// Polls so far.
    polls: u64,
    holds: bool,
    refuses: bool,
    /// The last poll reported nothing.
    quiet: bool,
    timeout: Option<Duration>,
}

/// A connection.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own, seen from one side.
struct Link {
    /// Its key, and the number of polls before it got that.
    adopted: Option<(ConnectionKey, u64)>,
    delay_polls: u64,
    /// On its way to the relay, with the poll that it arrives in.
    coming: VecDeque<(u64, Arrival)>,
    /// Can be received.
    arrived: VecDeque<u8>,
    ended: bool,
    broken: Option<String>,
    cut: Option<Box<dyn FnMut() -> usize + Send>>,
    /// Something arrived that no poll has reported.
    fresh: bool,

    received: Vec<u8>,
    /// Bytes that the peer takes before it blocks; none: any number.
    window: Option<usize>,
    /// The relay has more than the peer took.
    blocked: bool,
    closed: bool,
}

enum Arrival {
    Bytes(Vec<u8>),
    End,
}

impl Link {
    /// How many of the network's polls it went through.
    fn polls(&self, network: u64) -> u64 {
        self.adopted.map_or(0, |(_, before)| network - before)
    }

    /// One more of the network's polls: what is due arrives. Whether it is readable, and
    /// writable.
    fn poll(&mut self, network: u64) -> (bool, bool) {
        let polls = self.polls(network);
        while let Some((_, arrival)) = self.coming.pop_front_if(|(due, _)| *due <= polls) {
            self.fresh = true;
            match arrival {
                Arrival::Bytes(bytes) => self.arrived.extend(bytes),
                Arrival::End => self.ended = true,
            }
        }
        let writable = self.blocked && (self.window != Some(0) || self.broken.is_some());
        self.blocked &= !writable;
        (std::mem::take(&mut self.fresh), writable)
    }

    /// A later poll will report something without further actions.
    fn is_expected(&self) -> bool {
        self.fresh || !self.coming.is_empty() || (self.blocked && self.window != Some(0))
    }

    fn receive(&mut self, input: &mut Vec<u8>, budget: usize) -> Received {
        let piece = self.cut.as_mut().map_or(usize::MAX, |cut| cut().max(1));
        let count = self.arrived.len().min(piece).min(budget);
        input.extend(self.arrived.drain(..count));
        if count == budget {
            return Received::More;
        }
        if !self.arrived.is_empty() {
            // The rest of it comes in another segment.
            self.fresh = true;
            return Received::Drained;
        }
        match &self.broken {
            Some(reason) => Received::Broken(reason.clone()),
            None if self.ended => Received::Ended,
            None => Received::Drained,
        }
    }

    fn transmit(&mut self, output: &mut Vec<u8>) -> Transmitted {
        if let Some(reason) = &self.broken {
            return Transmitted::Broken(reason.clone());
        }
        let count = self.window.map_or(output.len(), |w| w.min(output.len()));
        self.received.extend(output.drain(..count));
        if let Some(window) = &mut self.window {
            *window -= count;
        }
        self.blocked = !output.is_empty();
        if self.blocked {
            Transmitted::Partly
        } else {
            Transmitted::All
        }
    }
}

/// The port. Buffers are here and not with the rest, since `input` lends one.
struct RelaySide {
    wires: Arc<Mutex<Wires>>,
    buffers: SecondaryMap<ConnectionKey, Buffers>,
}

#[derive(Default)]
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl RelaySide {
    fn link(&self, key: ConnectionKey) -> Option<Arc<Mutex<Link>>> {
        lock(&self.wires).adopted.get(key).cloned()
    }
}

impl Network for RelaySide {
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) -> bool {
        let mut wires = lock(&self.wires);
        let Wires {
            adopted,
            expected,
            polls,
            ..
        } = &mut *wires;
        *polls += 1;
        let before = (readable.len(), writable.len());
        expected.retain(|key| {
            let Some(link) = adopted.get(*key) else {
                return false;
            };
            let mut link = lock(link);
            let (reads, writes) = link.poll(*polls);
            if reads {
                readable.push(*key);
            }
            if writes {
                writable.push(*key);
            }
            link.is_expected()
        });
        wires.timeout = timeout;
        wires.quiet = (readable.len(), writable.len()) == before;
        false
    }

    fn accept(&mut self) -> Option<Newcomer> {
        let mut wires = lock(&self.wires);
        if wires.holds {
            return None;
        }
        let (newcomer, link) = wires.waiting.pop_front()?;
        wires.accepted = Some(link);
        Some(newcomer)
    }

    fn adopt(&mut self, key: ConnectionKey) {
        let mut wires = lock(&self.wires);
        if let Some(link) = wires.accepted.take() {
            let expected = {
                let mut link = lock(&link);
                link.adopted = Some((key, wires.polls));
                link.is_expected()
            };
            if expected {
                wires.expected.insert(key);
            }
            wires.adopted.insert(key, link);
            self.buffers.insert(key, Buffers::default());
        }
    }

    fn stop_accepting(&mut self) {
        let mut wires = lock(&self.wires);
        wires.refuses = true;
        for (_, link) in wires.waiting.drain(..) {
            lock(&link).closed = true;
        }
    }

    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received {
        let (Some(link), Some(buffers)) = (self.link(key), self.buffers.get_mut(key)) else {
            return Received::Broken(UNKNOWN.to_owned());
        };
        // Lock order: the wires first.
        let mut wires = lock(&self.wires);
        let mut link = lock(&link);
        let received = link.receive(&mut buffers.input, budget);
        if link.fresh {
            wires.expected.insert(key);
        }
        received
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        self.buffers
            .get(key)
            .map_or(&[], |buffers| &buffers.input[..])
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        if let Some(buffers) = self.buffers.get_mut(key) {
            buffers.input.drain(..count);
        }
    }

    fn send(&mut self, key: ConnectionKey, bytes: &[u8]) {
        if let Some(buffers) = self.buffers.get_mut(key) {
            buffers.output.extend_from_slice(bytes);
        }
    }

    fn unsent(&self, key: ConnectionKey) -> usize {
        self.buffers
            .get(key)
            .map_or(0, |buffers| buffers.output.len())
    }

    fn transmit(&mut self, key: ConnectionKey, _: bool) -> Transmitted {
        match (self.link(key), self.buffers.get_mut(key)) {
            (Some(link), Some(buffers)) => lock(&link).transmit(&mut buffers.output),
            _ => Transmitted::Broken(UNKNOWN.to_owned()),
        }
    }

    fn close(&mut self, key: ConnectionKey) {
        self.buffers.remove(key);
        let mut wires = lock(&self.wires);
        wires.expected.remove(&key);
        if let Some(link) = wires.adopted.remove(key) {
            let mut link = lock(&link);
            link.closed = true;
            link.adopted = None;
        }
    }
}

const UNKNOWN: &str = "the connection is closed";

#[cfg(test)]
mod tests;
