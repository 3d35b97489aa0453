//! Few descriptors for many files and many connections; and peers that vanish.

use crate::daemons::Foreground;
use crate::peer::Peer;
use crate::process::eventually;
use crate::relay::Relay;
use baton_components::wire::producer::{Command, Version};
use baton_systems::client::command;
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

const STREAMS: u64 = 500;
const PACKETS: u64 = 3;

#[test]
fn a_hundred_descriptors_are_enough_for_five_hundred_streams() {
    let relay = Foreground::start(&["--fd-pool-size", "100"]);
    let mut peer = Peer::connect(&relay.relay, "many");
    let streams: Vec<_> = (0..STREAMS)
        .map(|number| peer.add_stream(&format!("chan_{number}")))
        .collect();
    let text = |stream: u64, packet: u64| format!("packet {packet} of stream {stream};");
    for packet in 0..PACKETS {
        for stream in &streams {
            peer.send_packet(*stream, packet, text(*stream, packet).as_bytes());
        }
        assert!(descriptors(&relay.relay) <= 100);
    }
    for stream in &streams {
        peer.close_stream(*stream, PACKETS - 1);
    }
    drop(peer);
    let directory = relay.relay.output().join("host/many/ust");
    let relay = relay.end("TERM");
    for (number, stream) in streams.iter().enumerate() {
        let name = format!("chan_{number}");
        let expected: String = (0..PACKETS).map(|packet| text(*stream, packet)).collect();
        let found = fs::read_to_string(directory.join(&name)).expect("a file of a stream");
        assert_eq!(found, expected);
        let index = directory.join("index").join(format!("{name}.idx"));
        let size = fs::metadata(index).expect("an index").len();
        assert_eq!(size, INDEX_HEADER + PACKETS * INDEX_RECORD);
    }
    drop(relay);
}

#[test]
fn more_connections_than_descriptors_wait_their_turn() {
    let relay = Foreground::start(&["--fd-pool-size", "100"]);
    let mut first = Peer::connect(&relay.relay, "first");
    let stream = first.add_stream("chan_0");
    let address = relay.relay.address("control");
    let idle: Vec<_> = (0..110).map(|_| connect(address)).collect();
    // Earlier connections go on as before; later ones wait.
    first.send_packet(stream, 0, b"still here");
    eventually("a line in the log", PATIENCE, || {
        relay
            .errors()
            .contains("control connections wait in the backlog")
    });
    assert!(descriptors(&relay.relay) <= 100);
    drop(idle);
    let mut late = Peer::connect(&relay.relay, "late");
    late.add_stream("chan_0");
    first.send_packet(stream, 1, b" and now");
    drop((first, late));
    let lines = relay.errors();
    let said = lines
        .lines()
        .filter(|line| line.contains("wait in the backlog"));
    assert!(said.count() <= 2, "{lines}");
    relay.end("TERM");
}

/// Six hundred connections of one machine, silent, on each port; then a producer of another.
#[test]
fn one_address_keeps_no_other_out() {
    let relay = Foreground::start(&["--fd-pool-size", "100", "--address-share", "25"]);
    let mut idle = Vec::new();
    for port in ["data", "control", "live"] {
        let address = relay.relay.address(port);
        idle.extend((0..200).map(|_| connect(address)));
    }
    eventually("a line in the log", PATIENCE, || {
        relay
            .errors()
            .contains("are left for all; connection closed")
    });
    let mut other = connect_from([127, 0, 0, 2], relay.relay.address("control"));
    other.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let version = Command::Version(Version {
        major: 2,
        minor: 15,
    });
    other.write_all(&command(15, &version)).expect("a relay");
    other.read_exact(&mut [0; 8]).expect("a reply");
    let lines = relay.errors();
    let said = lines.lines().filter(|line| line.contains("127.0.0.1 has"));
    assert!((1..=2).contains(&said.count()), "{lines}");
    drop((idle, other));
    relay.end("TERM");
}

#[test]
fn a_relay_that_is_stopped_again_and_again_keeps_its_time() {
    let relay = Foreground::start(&["--fd-pool-size", "100"]);
    let address = relay.relay.address("control");
    let idle: Vec<_> = (0..110).map(|_| connect(address)).collect();
    eventually("a line in the log", PATIENCE, || {
        relay
            .errors()
            .contains("control connections wait in the backlog")
    });
    // All disconnect at once. No other event follows, so the waiting connection is accepted
    // by the retry after a tenth of a second. Each stop interrupts a wait.
    relay.relay.signal("STOP");
    drop(idle);
    thread::scope(|scope| {
        let late = scope.spawn(|| Peer::connect(&relay.relay, "late"));
        while !late.is_finished() {
            relay.relay.signal("STOP");
            relay.relay.signal("CONT");
            thread::sleep(Duration::from_millis(20));
        }
        late.join().expect("a late peer that was let in");
    });
    relay.end("TERM");
}

#[test]
fn connections_are_probed_unless_told_otherwise() {
    let relay = Foreground::start(&[]);
    for port in ["control", "data", "live"] {
        let peer = connect(relay.relay.address(port));
        eventually("a timer that probes", PATIENCE, || is_probed(&peer));
    }
    relay.end("TERM");
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("a connection")
}

fn connect_from(own: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from((own, 0));
    socket.bind(&own.into()).expect("another address");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

fn descriptors(relay: &Relay) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", relay.pid));
    entries.expect("the descriptors of the relay").count()
}

/// Whether the other end of a connection has a keep-alive timer.
fn is_probed(peer: &TcpStream) -> bool {
    let port = |address: std::io::Result<SocketAddr>| address.expect("an address").port();
    let ends = (port(peer.peer_addr()), port(peer.local_addr()));
    let table = fs::read_to_string("/proc/net/tcp").expect("a table of connections");
    table.lines().skip(1).any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let port = |column: usize| {
            let (_, port) = columns[column].split_once(':')?;
            u16::from_str_radix(port, 16).ok()
        };
        // Timer 2 is the one of keep-alive.
        (port(1), port(2)) == (Some(ends.0), Some(ends.1)) && columns[5].starts_with("02:")
    })
}

const INDEX_HEADER: u64 = 16;
const INDEX_RECORD: u64 = 72;
