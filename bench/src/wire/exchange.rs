//! What the bare calls of an exchange cost in which one peer waits for each answer: the
//! least that a relay of one thread can do for it, on this machine. No state, no checks,
//! no log; a wait for events, awake or asleep as Baton's, and the calls that move the bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::spawn;

use mio::{Events, Interest, Poll, Token};
use rustix::net::SendFlags;

use baton::busy_poll::{BusyPoll, MOMENT};

use super::limits::{self, INDEX_BYTES, REPLY_BYTES, ThreadWatch};
use super::measure::Row;
use super::viewer::PIECE_BYTES;

/// A producer sends packets, each with its index, and waits for the reply to that.
pub fn produced(file: &mut File, packet_bytes: usize, packets: usize) -> io::Result<Row> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (control, far_control) = limits::connection(&listener)?;
    let (data, far_data) = limits::connection(&listener)?;
    // As producers have it.
    far_data.set_nodelay(false)?;
    far_control.set_nodelay(false)?;
    let producer = spawn(move || produce(far_control, far_data, packet_bytes, packets));
    let watch = ThreadWatch::start();
    ingest(control, data, file, packet_bytes, packets)?;
    let spent = watch.stop();
    limits::finish(producer)?;
    limits::check(file, packets * packet_bytes)?;
    Ok(spent.row_of_bytes(packets * packet_bytes))
}

/// A viewer asks for the index of a packet, and then for the packet.
pub fn viewed(file: &mut File, packet_bytes: usize, packets: usize) -> io::Result<Row> {
    let bytes = packets * packet_bytes;
    io::copy(&mut io::repeat(1).take(bytes as u64), file)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (near, far) = limits::connection(&listener)?;
    let viewer = spawn(move || view(far, packet_bytes, packets));
    let watch = ThreadWatch::start();
    serve(near, file, packet_bytes, packets)?;
    let spent = watch.stop();
    limits::finish(viewer)?;
    Ok(spent.row_of_bytes(bytes))
}

/// Sessions without data come and go, one after another: two connections, a command after
/// the other, directories and files that are made and closed.
pub fn opened(directory: &Path, sessions: usize) -> io::Result<Row> {
    let directory = tempfile::tempdir_in(directory)?;
    let mut wait = Wait::new()?;
    let mut listener = mio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let registry = wait.poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let address = listener.local_addr()?;
    let producers = spawn(move || come_and_go(address, sessions));
    let watch = ThreadWatch::start();
    for session in 0..sessions {
        let mut control = wait.accept(&listener, CONTROL)?;
        let _data = wait.accept(&listener, DATA)?;
        let place = directory.path().join(session.to_string());
        record_nothing(&mut wait, &mut control, &place)?;
    }
    let spent = watch.stop();
    limits::finish(producers)?;
    Ok(spent.row_of_sessions(sessions))
}

/// Sockets, and waiting for them.
struct Wait {
    poll: Poll,
    events: Events,
    busy_poll: BusyPoll,
}

impl Wait {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4),
            busy_poll: BusyPoll::new(MOMENT),
        })
    }

    fn wait(&mut self) -> io::Result<()> {
        self.busy_poll.wait(&mut self.poll, &mut self.events, None)
    }

    fn watch(&mut self, token: Token, socket: TcpStream) -> io::Result<mio::net::TcpStream> {
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::TcpStream::from_std(socket);
        self.register(token, &mut socket)?;
        Ok(socket)
    }

    fn accept(
        &mut self,
        listener: &mio::net::TcpListener,
        token: Token,
    ) -> io::Result<mio::net::TcpStream> {
        loop {
            match listener.accept() {
                Ok((mut socket, _)) => {
                    self.register(token, &mut socket)?;
                    return Ok(socket);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn register(&self, token: Token, socket: &mut mio::net::TcpStream) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket, token, interest)
    }
}

fn come_and_go(relay: SocketAddr, sessions: usize) -> io::Result<()> {
    let mut reply = [0; REPLY_BYTES];
    for _ in 0..sessions {
        let mut control = TcpStream::connect(relay)?;
        let _data = TcpStream::connect(relay)?;
        for _ in 0..SESSION_COMMANDS {
            control.write_all(&[0; INDEX_BYTES])?;
            control.read_exact(&mut reply)?;
        }
    }
    Ok(())
}

fn record_nothing(
    wait: &mut Wait,
    control: &mut mio::net::TcpStream,
    place: &Path,
) -> io::Result<()> {
    let mut command = [0; INDEX_BYTES];
    let mut files = Vec::new();
    let mut below = place.to_owned();
    let mut commands = 0;
    while commands < SESSION_COMMANDS {
        wait.wait()?;
        if received(control, &mut command)?.is_none() {
            continue;
        }
        if commands < SESSION_DIRECTORIES {
            std::fs::create_dir(&below)?;
            below.push("directory");
        } else if files.len() < SESSION_FILES {
            let name = format!("stream_{commands}");
            files.push(File::create(place.join(name))?);
        }
        control.write_all(&[0; REPLY_BYTES])?;
        wait.busy_poll.answered();
        commands += 1;
    }
    Ok(())
}

fn produce(
    mut control: TcpStream,
    mut data: TcpStream,
    packet_bytes: usize,
    packets: usize,
) -> io::Result<()> {
    let packet = vec![1; packet_bytes];
    let mut reply = [0; REPLY_BYTES];
    for _ in 0..packets {
        data.write_all(&packet)?;
        control.write_all(&[0; INDEX_BYTES])?;
        control.read_exact(&mut reply)?;
    }
    // The last packet may be read after its reply was: nothing ends before.
    control.read(&mut reply).map(drop)
}

fn ingest(
    control: TcpStream,
    data: TcpStream,
    file: &mut File,
    packet_bytes: usize,
    packets: usize,
) -> io::Result<()> {
    let mut wait = Wait::new()?;
    let mut peers = [wait.watch(CONTROL, control)?, wait.watch(DATA, data)?];
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut indexes = packets;
    let mut left = packets * packet_bytes;
    while left > 0 || indexes > 0 {
        wait.wait()?;
        // The reply leaves before the packet is written.
        for token in [CONTROL, DATA] {
            if !wait.events.iter().any(|event| event.token() == token) {
                continue;
            }
            let peer = &mut peers[token.0];
            while let Some(count) = received(peer, &mut buffer)? {
                if token == CONTROL {
                    peer.write_all(&[0; REPLY_BYTES])?;
                    wait.busy_poll.answered();
                    indexes -= 1;
                } else {
                    file.write_all(&buffer[..count])?;
                    left -= count;
                }
                if count < buffer.len() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn view(mut relay: TcpStream, packet_bytes: usize, packets: usize) -> io::Result<()> {
    let mut piece = vec![0; PACKET_REPLY_BYTES + piece_bytes(packet_bytes)];
    for _ in 0..packets {
        relay.write_all(&[0; NEXT_INDEX_BYTES])?;
        relay.read_exact(&mut piece[..INDEX_REPLY_BYTES])?;
        for _ in 0..packet_bytes / piece_bytes(packet_bytes) {
            relay.write_all(&[0; GET_PACKET_BYTES])?;
            relay.read_exact(&mut piece)?;
        }
    }
    Ok(())
}

fn serve(viewer: TcpStream, file: &File, packet_bytes: usize, packets: usize) -> io::Result<()> {
    let mut wait = Wait::new()?;
    let mut viewer = wait.watch(CONTROL, viewer)?;
    let mut request = [0; GET_PACKET_BYTES];
    let mut sent = 0;
    let mut end = 0;
    while end < (packets * packet_bytes) as u64 || sent < end {
        wait.wait()?;
        if let Some(count) = received(&mut viewer, &mut request)? {
            if count == NEXT_INDEX_BYTES {
                viewer.write_all(&[0; INDEX_REPLY_BYTES])?;
            } else {
                let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
                rustix::net::send(&viewer, &[0; PACKET_REPLY_BYTES], flags)?;
                end += piece_bytes(packet_bytes) as u64;
            }
            wait.busy_poll.answered();
        }
        // What the viewer does not take now it takes after the next event.
        while sent < end {
            let length = (end - sent) as usize;
            match rustix::fs::sendfile(&viewer, file, Some(&mut sent), length) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// What a viewer asks for at once.
fn piece_bytes(packet_bytes: usize) -> usize {
    packet_bytes.min(PIECE_BYTES as usize)
}

/// Nothing if there is none.
fn received(peer: &mut mio::net::TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match peer.read(buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

const CONTROL: Token = Token(0);
const DATA: Token = Token(1);
const LISTENER: Token = Token(2);
/// What a relay receives at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// What a session of four data streams and metadata takes.
const SESSION_COMMANDS: usize = 15;
const SESSION_DIRECTORIES: usize = 5;
const SESSION_FILES: usize = 5;
/// GET_NEXT_INDEX, GET_PACKET and their replies.
const NEXT_INDEX_BYTES: usize = 24;
const INDEX_REPLY_BYTES: usize = 64;
const GET_PACKET_BYTES: usize = 36;
const PACKET_REPLY_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_through() {
        for packet_bytes in [4 << 10, 1 << 20] {
            let mut file = tempfile::tempfile().unwrap();
            produced(&mut file, packet_bytes, 20).unwrap();
            viewed(&mut tempfile::tempfile().unwrap(), packet_bytes, 20).unwrap();
        }
        opened(&std::env::temp_dir(), 3).unwrap();
    }
}
