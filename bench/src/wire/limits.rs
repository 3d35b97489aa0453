//! The machine's limits: the bare system calls of a relay's work on loopback, without any
//! protocol, into the directory that relays write to.
//!
//! Only the thread in the relay's place is measured.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::spawn;

use rustix::pipe::{PipeFlags, SpliceFlags};

use super::bare::{INDEX_BYTES, REPLY_BYTES, ThreadStopwatch, check, connection, finish};
use super::exchange;
use super::measure::{Row, Unit};

#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// From a socket through a buffer into a file.
    ReceiveAndWrite { buffer_bytes: usize },
    /// From a socket through a pipe into a file.
    Splice,
    /// From a file into a socket.
    SendFile,
    /// Messages as long as an index, and answers as long as a reply.
    PingPong,
    /// A producer waits for the reply to each of its packets.
    Produced { packet_bytes: usize },
    /// A viewer asks for one packet after the other.
    Viewed { packet_bytes: usize },
    /// Sessions come and go, and bring nothing.
    Opened,
}

impl Limit {
    /// Moves a number of bytes, or does equivalent work.
    pub fn run(self, directory: &Path, bytes: usize) -> io::Result<Row> {
        let (near, far) = connection(&TcpListener::bind("127.0.0.1:0")?)?;
        let mut file = tempfile::tempfile_in(directory)?;
        match self {
            Self::ReceiveAndWrite { buffer_bytes } => {
                let sender = spawn(move || send(far, bytes));
                let stopwatch = ThreadStopwatch::start();
                receive_and_write(near, &mut file, buffer_bytes)?;
                let spent = stopwatch.stop();
                finish(sender)?;
                check(&file, bytes)?;
                Ok(spent.row_of_bytes(bytes))
            }
            Self::Splice => {
                let sender = spawn(move || send(far, bytes));
                let stopwatch = ThreadStopwatch::start();
                splice(&near, &file)?;
                let spent = stopwatch.stop();
                finish(sender)?;
                check(&file, bytes)?;
                Ok(spent.row_of_bytes(bytes))
            }
            Self::SendFile => {
                io::copy(&mut io::repeat(1).take(bytes as u64), &mut file)?;
                let receiver = spawn(move || receive(far, bytes));
                let stopwatch = ThreadStopwatch::start();
                send_file(&near, &file, bytes)?;
                let spent = stopwatch.stop();
                finish(receiver)?;
                Ok(spent.row_of_bytes(bytes))
            }
            Self::PingPong => {
                let messages = bytes / (4 * 1024) + 1;
                let asker = spawn(move || ask(far, messages));
                let stopwatch = ThreadStopwatch::start();
                answer(near, messages)?;
                let spent = stopwatch.stop();
                finish(asker)?;
                Ok(Row::new("")
                    .pace(spent.microseconds_each(messages), Unit::Microseconds)
                    .cpu(spent.cpu_microseconds_each(messages), Unit::CpuMicroseconds))
            }
            Self::Produced { packet_bytes } => {
                exchange::produced(&mut file, packet_bytes, packets(bytes, packet_bytes))
            }
            Self::Viewed { packet_bytes } => {
                exchange::viewed(&mut file, packet_bytes, packets(bytes, packet_bytes))
            }
            Self::Opened => exchange::opened(directory, bytes / SESSION_BYTES + 1),
        }
    }
}

fn receive_and_write(mut from: TcpStream, to: &mut File, buffer_bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer_bytes];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
}

fn splice(from: &TcpStream, to: &File) -> io::Result<()> {
    let (out, into) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller one moves less at once.
    let _ = rustix::pipe::fcntl_setpipe_size(&into, PIECE_BYTES);
    let flags = SpliceFlags::MOVE;
    loop {
        let mut left = rustix::pipe::splice(from, None, &into, None, PIECE_BYTES, flags)?;
        if left == 0 {
            return Ok(());
        }
        while left > 0 {
            left -= rustix::pipe::splice(&out, None, to, None, left, flags)?;
        }
    }
}

fn send_file(to: &TcpStream, from: &File, bytes: usize) -> io::Result<()> {
    let mut offset = 0;
    while offset < bytes as u64 {
        if rustix::fs::sendfile(to, from, Some(&mut offset), PIECE_BYTES)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn answer(mut peer: TcpStream, messages: usize) -> io::Result<()> {
    let mut message = [0; INDEX_BYTES];
    for _ in 0..messages {
        peer.read_exact(&mut message)?;
        peer.write_all(&[0; REPLY_BYTES])?;
    }
    Ok(())
}

fn ask(mut peer: TcpStream, messages: usize) -> io::Result<()> {
    let mut reply = [0; REPLY_BYTES];
    for _ in 0..messages {
        peer.write_all(&[0; INDEX_BYTES])?;
        peer.read_exact(&mut reply)?;
    }
    Ok(())
}

fn send(mut to: TcpStream, bytes: usize) -> io::Result<()> {
    let piece = vec![1; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE_BYTES);
        to.write_all(&piece[..length])?;
        left -= length;
    }
    Ok(())
}

fn receive(mut from: TcpStream, bytes: usize) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE_BYTES);
        from.read_exact(&mut piece[..length])?;
        left -= length;
    }
    Ok(())
}

/// Small packets are many: fewer of them tell as much.
fn packets(bytes: usize, packet_bytes: usize) -> usize {
    (bytes / packet_bytes).clamp(1, PACKETS_MAX)
}

/// As if each session had brought so much.
const SESSION_BYTES: usize = 512 * 1024;
const PACKETS_MAX: usize = 32 * 1024;
/// Maximum size of a pipe for an unprivileged process.
const PIECE_BYTES: usize = 1024 * 1024;
