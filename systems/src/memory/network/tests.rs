//! Tests of the network in memory.

use slotmap::SlotMap;

use super::*;

struct Test {
    handle: MemoryNetwork,
    port: NetworkPort,
    keys: SlotMap<ConnectionKey, ()>,
}

impl Test {
    fn new() -> Self {
        let handle = MemoryNetwork::new();
        Self {
            port: handle.port(),
            handle,
            keys: SlotMap::default(),
        }
    }

    fn connect(&mut self) -> (Peer, ConnectionKey) {
        let peer = self.handle.connect(Endpoint::Control, "test");
        let newcomer = self.port.accept().unwrap();
        assert_eq!(
            (newcomer.endpoint, newcomer.peer.as_str()),
            (Endpoint::Control, "test")
        );
        let key = self.keys.insert(());
        self.port.adopt(key);
        (peer, key)
    }

    /// How often a poll reports something readable, and writable.
    fn poll(&mut self) -> (usize, usize) {
        let (mut readable, mut writable) = (Vec::new(), Vec::new());
        self.port.poll(None, &mut readable, &mut writable);
        (readable.len(), writable.len())
    }
}

const BUDGET: usize = 100;

#[test]
fn bytes_arrive_with_the_next_poll_and_are_reported_once() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    assert_eq!(test.poll(), (0, 0));
    peer.write(b"one");
    peer.write(b"two");
    assert!(!test.handle.is_idle());
    assert_eq!(test.port.receive(key, BUDGET), Received::Drained);
    assert_eq!(test.port.input(key), b"");
    assert_eq!(test.poll(), (1, 0));
    assert_eq!(test.poll(), (0, 0));
    assert!(test.handle.is_idle());
    assert_eq!(test.port.receive(key, BUDGET), Received::Drained);
    test.port.consume(key, 4);
    assert_eq!(test.port.input(key), b"wo");
}

#[test]
fn a_spent_budget_says_that_there_may_be_more() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    peer.write(b"hello");
    peer.finish();
    test.poll();
    assert_eq!(test.port.receive(key, 3), Received::More);
    assert_eq!(test.port.receive(key, 2), Received::More);
    assert_eq!(test.poll(), (0, 0));
    assert_eq!(test.port.receive(key, 2), Received::Ended);
    assert_eq!(test.port.input(key), b"hello");
}

#[test]
fn the_end_comes_after_the_bytes() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    peer.write(b"bye");
    peer.finish();
    assert_eq!(test.poll(), (1, 0));
    assert_eq!(test.port.receive(key, BUDGET), Received::Ended);
    assert_eq!(test.port.input(key), b"bye");
    assert!(!peer.is_closed());
    test.port.close(key);
    assert!(peer.is_closed());
    assert_eq!(test.port.input(key), b"");
}

#[test]
fn cuts_are_reported_one_by_one() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    let mut sizes = [2, 0, 9].into_iter();
    peer.cut_by(move || sizes.next().unwrap_or(1));
    peer.write(b"hello");
    peer.finish();
    for (input, received) in [
        (&b"he"[..], Received::Drained),
        (b"hel", Received::Drained),
        (b"hello", Received::Ended),
    ] {
        assert!(!test.handle.is_idle());
        assert_eq!(test.poll(), (1, 0));
        assert_eq!(test.port.receive(key, BUDGET), received);
        assert_eq!(test.port.input(key), input);
    }
}

#[test]
fn delayed_bytes_keep_their_order() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    peer.delay_polls(2);
    peer.write(b"late");
    peer.delay_polls(0);
    peer.write(b"r");
    assert_eq!(test.poll(), (0, 0));
    assert!(!test.handle.is_idle());
    assert_eq!(test.poll(), (0, 0));
    assert_eq!(test.poll(), (1, 0));
    assert_eq!(test.port.receive(key, BUDGET), Received::Drained);
    assert_eq!(test.port.input(key), b"later");
}

#[test]
fn a_broken_connection_gives_what_had_arrived() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    peer.write(b"arrived");
    test.poll();
    peer.write(b"lost");
    peer.reset("reset by peer");
    peer.write(b"never sent");
    assert_eq!(test.poll(), (1, 0));
    let broken = Received::Broken("reset by peer".to_owned());
    assert_eq!(test.port.receive(key, BUDGET), broken);
    assert_eq!(test.port.input(key), b"arrived");
    test.port.send(key, b"reply");
    let broken = Transmitted::Broken("reset by peer".to_owned());
    assert_eq!(test.port.transmit(key, false), broken);
    assert_eq!(peer.take_received(), b"");
}

#[test]
fn a_blocked_peer_is_reported_when_it_takes_more() {
    let mut test = Test::new();
    let (peer, key) = test.connect();
    test.port.send(key, b"first");
    assert_eq!(test.port.transmit(key, false), Transmitted::All);
    peer.block();
    peer.accept_bytes(2);
    test.port.send(key, b"second");
    assert_eq!(test.port.transmit(key, false), Transmitted::Partly);
    assert_eq!(test.port.unsent(key), 4);
    assert_eq!(test.poll(), (0, 0));
    assert_eq!(peer.take_received(), b"firstse");
    peer.accept_bytes(9);
    assert!(!test.handle.is_idle());
    assert_eq!(test.poll(), (0, 1));
    assert_eq!(test.poll(), (0, 0));
    assert_eq!(test.port.transmit(key, false), Transmitted::All);
    assert_eq!(peer.take_received(), b"cond");
}

#[test]
fn connections_wait_while_held_and_are_closed_when_refused() {
    let mut test = Test::new();
    test.handle.hold_accepts(true);
    let waiting = test.handle.connect(Endpoint::Live, "waiting");
    assert!(test.port.accept().is_none());
    test.handle.hold_accepts(false);
    assert_eq!(test.port.accept().unwrap().peer, "waiting");
    test.port.adopt(ConnectionKey::default());
    let late = test.handle.connect(Endpoint::Live, "late");
    test.port.stop_accepting();
    let later = test.handle.connect(Endpoint::Live, "later");
    assert!(test.port.accept().is_none());
    assert!(late.is_closed() && later.is_closed() && !waiting.is_closed());
}

#[test]
fn bytes_from_before_the_accept_are_reported_after_it() {
    let mut test = Test::new();
    let early = test.handle.connect(Endpoint::Data, "early");
    early.write(b"early");
    early.finish();
    assert_eq!(test.poll(), (0, 0));
    assert!(!test.handle.is_idle());
    test.port.accept().unwrap();
    let key = test.keys.insert(());
    test.port.adopt(key);
    assert_eq!(test.poll(), (1, 0));
    assert_eq!(test.port.receive(key, BUDGET), Received::Ended);
    assert_eq!(test.port.input(key), b"early");
}
