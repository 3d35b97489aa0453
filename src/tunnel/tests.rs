//! Tunnels to relays whose name has several addresses, or takes long to be looked up.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;

use super::*;
use crate::os::tls::trial::Trial;

/// A tunnel for viewers to that port of a relay at these addresses.
fn plan(trial: &Trial, port: u16) -> Plan {
    Plan {
        host: "localhost".to_owned(),
        relay_ports: [0, 0, port],
        ca: trial.path("ca.pem"),
        identity: None,
        minimum: Minimum::default(),
        listen: Ipv4Addr::LOCALHOST.into(),
        ports: [None, None, Some(0)],
    }
}

impl Tunnel<'_> {
    fn connection(&self) -> TcpStream {
        let address = self.listeners[0].1.local_addr().unwrap();
        TcpStream::connect(address).unwrap()
    }

    /// Takes turns until a handshake begins at the relay, and returns its connection there.
    fn comes_to(&mut self, relay: &TcpListener) -> TcpStream {
        relay.set_nonblocking(true).unwrap();
        let mut events = Events::with_capacity(EVENTS);
        let mut connection = loop {
            assert!(self.turn(&mut events).unwrap());
            if let Ok((connection, _)) = relay.accept() {
                break connection;
            }
        };
        connection.set_nonblocking(true).unwrap();
        let mut byte = [0];
        while connection.read(&mut byte).is_err() {
            assert!(self.turn(&mut events).unwrap());
        }
        assert_eq!(byte, [0x16]);
        connection
    }
}

/// A name may have an address of IPv6, and its relay listen at that of IPv4 alone.
#[test]
fn the_next_address_is_tried_if_nothing_listens_at_the_first() {
    let trial = Trial::new();
    let relay = TcpListener::bind("127.0.0.2:0").unwrap();
    let plan = plan(&trial, relay.local_addr().unwrap().port());
    let addresses = ["127.0.0.1:0", "[::1]:0", "127.0.0.2:0"];
    let addresses = addresses.map(|it| it.parse().unwrap());
    let mut tunnel = Tunnel::start(&plan, move || Ok(addresses.to_vec())).unwrap();
    let _near = tunnel.connection();
    tunnel.comes_to(&relay);
}

#[test]
fn open_connections_go_on_while_a_name_is_looked_up() {
    let trial = Trial::new();
    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(&trial, relay.local_addr().unwrap().port());
    let (answer, answers) = mpsc::channel();
    let answers = std::sync::Mutex::new(answers);
    let resolve = move || Ok(answers.lock().unwrap().recv().unwrap_or_default());
    let mut tunnel = Tunnel::start(&plan, resolve).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    answer.send(vec![address]).unwrap();
    let _near = tunnel.connection();
    let far = tunnel.comes_to(&relay);

    // Another one comes, and the name server does not answer.
    let _waits = tunnel.connection();
    let mut events = Events::with_capacity(EVENTS);
    while tunnel.waiting.is_empty() {
        tunnel.turn(&mut events).unwrap();
    }
    assert_eq!(tunnel.pairs.len(), 1);
    drop(far);
    while !tunnel.pairs.is_empty() {
        tunnel.turn(&mut events).unwrap();
    }
    answer.send(vec![address]).unwrap();
    tunnel.comes_to(&relay);
}
