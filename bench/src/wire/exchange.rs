//! The cost of the bare system calls of an exchange in which one peer waits for each reply:
//! the lower bound for a single-threaded relay on this machine. No state, no checks, no
//! log; only a wait for events, with busy polling as Baton's, and the calls that move the
//! bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::spawn;

use mio::{Events, Interest, Poll, Token};
use rustix::net::SendFlags;

use baton::busy_poll::{self, BusyPoll};

use super::bare::{self, INDEX_BYTES, REPLY_BYTES, ThreadStopwatch};
use super::measure::Row;
use super::viewer::PIECE_BYTES;

/// A producer sends packets, each with its index, and waits for the reply to that.
pub fn produced(file: &mut File, packet_bytes: usize, packets: usize) -> io::Result<Row> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (control, far_control) = bare::connection(&listener)?;
    let (data, far_data) = bare::connection(&listener)?;
    // As producers have it.
    far_data.set_nodelay(false)?;
    far_control.set_nodelay(false)?;
    let producer = spawn(move || produce(far_control, far_data, packet_bytes, packets));
    let stopwatch = ThreadStopwatch::start();
    ingest(control, data, file, packet_bytes, packets)?;
    let spent = stopwatch.stop();
    bare::finish(producer)?;
    bare::check(file, packets * packet_bytes)?;
    Ok(spent.row_of_bytes(packets * packet_bytes))
}

/// A viewer asks for the index of a packet, and then for the packet.
pub fn viewed(file: &mut File, packet_bytes: usize, packets: usize) -> io::Result<Row> {
    let bytes = packets * packet_bytes;
    io::copy(&mut io::repeat(1).take(bytes as u64), file)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (near, far) = bare::connection(&listener)?;
    let viewer = spawn(move || view(far, packet_bytes, packets));
    let stopwatch = ThreadStopwatch::start();
    serve(near, file, packet_bytes, packets)?;
    let spent = stopwatch.stop();
    bare::finish(viewer)?;
    Ok(spent.row_of_bytes(bytes))
}

/// Creates and ends sessions without data, one after another: two connections, commands,
/// directories and files that are created and closed.
pub fn opened(directory: &Path, sessions: usize) -> io::Result<Row> {
    let directory = tempfile::tempdir_in(directory)?;
    let mut wait = Wait::new()?;
    let mut listener = mio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let registry = wait.poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let address = listener.local_addr()?;
    let producers = spawn(move || come_and_go(address, sessions));
    let stopwatch = ThreadStopwatch::start();
    for session in 0..sessions {
        let mut control = wait.accept(&listener, CONTROL)?;
        let _data = wait.accept(&listener, DATA)?;
        let place = directory.path().join(session.to_string());
        record_nothing(&mut wait, &mut control, &place)?;
    }
    let spent = stopwatch.stop();
    bare::finish(producers)?;
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
            busy_poll: BusyPoll::new(busy_poll::DEFAULT),
        })
    }

    fn wait(&mut self) -> io::Result<()> {
        self.busy_poll.wait(&mut self.poll, &mut self.events, None)
    }

    fn adopt(&mut self, token: Token, socket: TcpStream) -> io::Result<mio::net::TcpStream> {
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
    let mut peers = [wait.adopt(CONTROL, control)?, wait.adopt(DATA, data)?];
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
    let mut viewer = wait.adopt(CONTROL, viewer)?;
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
        // The rest is sent after the next event.
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

/// Bytes per GET_PACKET of a viewer.
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
/// Bytes per receive of a relay.
const BUFFER_BYTES: usize = 256 * 1024;
/// Number of commands of a session of four data streams and metadata.
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
