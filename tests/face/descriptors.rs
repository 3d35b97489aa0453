//! Few descriptors for many files and many connections; and peers that vanish.

use crate::daemons::Foreground;
use crate::peer::Peer;
use crate::process::eventually;
use crate::relay::Relay;
use std::fs;
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
    // Who was there goes on as before; who came too late waits.
    first.send_packet(stream, 0, b"still here");
    eventually("a line in the log", PATIENCE, || {
        relay.errors().contains("control connections have to wait")
    });
    assert!(descriptors(&relay.relay) <= 100);
    drop(idle);
    let mut late = Peer::connect(&relay.relay, "late");
    late.add_stream("chan_0");
    first.send_packet(stream, 1, b" and now");
    drop((first, late));
    let lines = relay.errors();
    let said = lines.lines().filter(|line| line.contains("have to wait"));
    assert!(said.count() <= 2, "{lines}");
    relay.end("TERM");
}

#[test]
fn a_relay_that_is_stopped_again_and_again_keeps_its_time() {
    let relay = Foreground::start(&["--fd-pool-size", "100"]);
    let address = relay.relay.address("control");
    let idle: Vec<_> = (0..110).map(|_| connect(address)).collect();
    eventually("a line in the log", PATIENCE, || {
        relay.errors().contains("control connections have to wait")
    });
    // All go at once: when there is room nothing else happens, so who waits is looked at
    // again when a tenth of a second is over. Each stop ends a wait.
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
