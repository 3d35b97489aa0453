//! What this machine could do at best: the bare calls of a relay's work on loopback,
//! without any protocol, into the directory that relays write to.
//!
//! Only the thread is counted that stands where the relay would.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::spawn;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, SpliceFlags};
use rustix::time::{ClockId, clock_gettime};

use super::exchange;
use super::measure::{Row, Unit};
use super::usage::Spent;

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
    /// Moves so many bytes, or does what stands for them.
    pub fn run(self, directory: &Path, bytes: usize) -> io::Result<Row> {
        let (near, far) = connection(&TcpListener::bind("127.0.0.1:0")?)?;
        let mut file = tempfile::tempfile_in(directory)?;
        match self {
            Self::ReceiveAndWrite { buffer_bytes } => {
                let sender = spawn(move || send(far, bytes));
                let watch = ThreadWatch::start();
                receive_and_write(near, &mut file, buffer_bytes)?;
                let spent = watch.stop();
                finish(sender)?;
                check(&file, bytes)?;
                Ok(spent.row_of_bytes(bytes))
            }
            Self::Splice => {
                let sender = spawn(move || send(far, bytes));
                let watch = ThreadWatch::start();
                splice(&near, &file)?;
                let spent = watch.stop();
                finish(sender)?;
                check(&file, bytes)?;
                Ok(spent.row_of_bytes(bytes))
            }
            Self::SendFile => {
                io::copy(&mut io::repeat(1).take(bytes as u64), &mut file)?;
                let receiver = spawn(move || receive(far, bytes));
                let watch = ThreadWatch::start();
                send_file(&near, &file, bytes)?;
                let spent = watch.stop();
                finish(receiver)?;
                Ok(spent.row_of_bytes(bytes))
            }
            Self::PingPong => {
                let messages = bytes / (4 * 1024) + 1;
                let asker = spawn(move || ask(far, messages));
                let watch = ThreadWatch::start();
                answer(near, messages)?;
                let spent = watch.stop();
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

/// Both ends of a connection.
pub fn connection(listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let far = TcpStream::connect(listener.local_addr()?)?;
    let (near, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
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

pub fn check(file: &File, bytes: usize) -> io::Result<()> {
    match file.metadata()?.len() {
        length if length == bytes as u64 => Ok(()),
        length => Err(io::Error::other(format!("{length} of {bytes} bytes came"))),
    }
}

pub fn finish(peer: std::thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    let panicked = |_| Err(io::Error::other("a thread of the load panicked"));
    peer.join().unwrap_or_else(panicked)
}

/// Time and this thread's CPU time from here on.
pub struct ThreadWatch {
    cpu: Duration,
    begun: Instant,
}

impl ThreadWatch {
    pub fn start() -> Self {
        Self {
            cpu: thread_cpu(),
            begun: Instant::now(),
        }
    }

    pub fn stop(&self) -> Spent {
        Spent {
            elapsed: self.begun.elapsed(),
            cpu: thread_cpu().saturating_sub(self.cpu),
        }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Small packets are many: fewer of them tell as much.
fn packets(bytes: usize, packet_bytes: usize) -> usize {
    (bytes / packet_bytes).clamp(1, PACKETS_MAX)
}

/// As if each session had brought so much.
const SESSION_BYTES: usize = 512 * 1024;
const PACKETS_MAX: usize = 32 * 1024;
/// What a pipe may hold without privileges.
const PIECE_BYTES: usize = 1024 * 1024;
/// SEND_INDEX and its reply.
pub const INDEX_BYTES: usize = 104;
pub const REPLY_BYTES: usize = 4;
