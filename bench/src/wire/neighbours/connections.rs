//! Bad peers with connections: half messages, and silence.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

use baton::producer::MINOR;
use baton_components::wire::producer::{
    Command, CommandKind, CreateSession, Header, Origin, PAYLOAD_SIZE_MAX, Version,
};
use baton_systems::client::Producer;

use super::super::relay::Target;
use super::{Member, again, await_end, goes_on};

/// So many connections before VERSION, and as many with a session: all announce the largest
/// message. Some send half of it if the relay reads so much, the others a few bytes. They
/// have another address than all other peers, which would share their limit of memory.
pub fn halves(target: &Target, connections: usize) -> Vec<Member> {
    let connections = connections as u64;
    let mut members = Vec::new();
    for (has_session, halves) in [(false, HALVES), (true, HALVES)] {
        for half in 0..halves {
            let first = half << 16;
            members.push(again(
                target,
                connections,
                move |target, number, is_over| {
                    let mut peer = begin(target, first + number, has_session)?;
                    send(&mut peer, PAYLOAD_SIZE_MAX / 2, is_over)?;
                    await_end(is_over);
                    Ok(())
                },
            ));
        }
        let target = target.clone();
        members.push(Box::new(move |is_over| {
            let mut peers = Vec::new();
            for number in (1..=connections).take_while(|_| goes_on(is_over)) {
                let number = (HALVES << 16) + number;
                let peer = begin(&target, number, has_session).and_then(|mut peer| {
                    send(&mut peer, FEW_BYTES, is_over)?;
                    Ok(peer)
                });
                // One that was refused does not stay.
                peers.extend(peer.ok());
            }
            await_end(is_over);
            Ok(())
        }));
    }
    members
}

/// A control connection on which the header of the largest message was sent.
fn begin(target: &Target, number: u64, has_session: bool) -> io::Result<TcpStream> {
    let mut peer = connect_from(OTHER_ADDRESS, target.control)?;
    if has_session {
        create_session(&mut peer, number)?;
    }
    let mut header = Vec::new();
    Header {
        payload_size: PAYLOAD_SIZE_MAX,
        command: CommandKind::SendMetadata.number(),
    }
    .encode(&mut header);
    peer.write_all(&header)?;
    peer.set_write_timeout(Some(WRITE_MAX))?;
    Ok(peer)
}

fn create_session(peer: &mut TcpStream, number: u64) -> io::Result<()> {
    let name = format!("half-{number}");
    let mut producer = Producer::new(MINOR);
    for command in [
        Command::Version(Version {
            major: 2,
            minor: MINOR,
        }),
        Command::CreateSession(CreateSession {
            name: name.as_bytes(),
            host: b"load",
            origin: Some(Origin {
                daemon: [2; 16],
                session: number,
                ..Origin::default()
            }),
            ..CreateSession::default()
        }),
    ] {
        let mut bytes = Vec::new();
        producer.say(&command, &mut bytes);
        peer.write_all(&bytes)?;
        while producer.reply().map_err(io::Error::other)?.is_none() {
            producer.read_from(peer)?;
        }
    }
    Ok(())
}

/// Sends so many bytes, or those that the relay reads until all is over.
fn send(peer: &mut TcpStream, bytes: u64, is_over: &AtomicBool) -> io::Result<()> {
    let piece = vec![1; PIECE_BYTES];
    let mut left = bytes as usize;
    while left > 0 && goes_on(is_over) {
        match peer.write(&piece[..left.min(PIECE_BYTES)]) {
            Ok(sent) => left -= sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// So many data connections that stay, of another address than all other peers. Those that
/// the relay closes come again.
pub fn silence(target: &Target, connections: usize) -> Vec<Member> {
    let data = target.data;
    vec![Box::new(move |is_over| {
        let mut silent = Vec::new();
        while goes_on(is_over) {
            while silent.len() < connections && goes_on(is_over) {
                match connect_from(OTHER_ADDRESS, data) {
                    Ok(peer) => silent.push(peer),
                    Err(_) => break,
                }
            }
            std::thread::sleep(LOOK_AGAIN);
            silent.retain(is_open);
        }
        Ok(())
    })]
}

fn connect_from(address: Ipv4Addr, relay: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(address, 0))?;
    rustix::net::connect(&socket, &relay)?;
    Ok(TcpStream::from(socket))
}

fn is_open(peer: &TcpStream) -> bool {
    let seen = peer
        .set_nonblocking(true)
        .and_then(|()| peer.peek(&mut [0]));
    seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Connections that send half a message, before VERSION and after each.
const HALVES: u64 = 16;
const FEW_BYTES: u64 = 16;
const PIECE_BYTES: usize = 64 * 1024;
const WRITE_MAX: Duration = Duration::from_millis(50);
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
