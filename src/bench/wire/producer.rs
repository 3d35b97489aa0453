//! A producer: what a session daemon and a consumer daemon say for one session.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::reply::{self, Reply};
use baton_components::wire::producer::{
    AddStream, CloseStream, Command, CommandKind, CreateSession, CreateTraceChunk, DataPending,
    Minors, NONE, Origin, SendIndex, SendMetadata, Version, code,
};

use super::packet::{METADATA, Packets};
use super::relay::Target;

/// Where a trace's streams are, as a consumer daemon names it.
const PATH: &[u8] = b"ust/uid/1000/64-bit";
/// What we ask for; the relay's own may be lower.
const MINOR: u32 = 15;

#[derive(Debug)]
pub struct Producer {
    control: TcpStream,
    data: TcpStream,
    minor: u32,
    pub session: u64,
    metadata: u64,
    streams: Vec<Stream>,
    /// Replies to indexes that were not read.
    awaited: usize,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Stream {
    handle: u64,
    packets: Packets,
    last: Option<u64>,
}

/// What a producer is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub streams: usize,
    pub packet_bytes: usize,
    /// 0: not live.
    pub live_timer_us: u32,
}

impl Producer {
    /// Connects, creates a session named after `number`, and adds its streams.
    pub fn connect(target: &Target, number: u64, shape: Shape) -> io::Result<Self> {
        let control = TcpStream::connect(target.control)?;
        let data = TcpStream::connect(target.data)?;
        let mut producer = Self {
            control,
            data,
            minor: MINOR,
            session: 0,
            metadata: 0,
            streams: Vec::new(),
            awaited: 0,
            scratch: Vec::new(),
        };
        producer.negotiate()?;
        producer.create_session(number, shape.live_timer_us)?;
        for stream in 0..shape.streams {
            let handle = producer.add_stream(format!("load_{stream}").as_bytes())?;
            let packets = Packets::new(shape.packet_bytes);
            producer.streams.push(Stream {
                handle,
                packets,
                last: None,
            });
        }
        producer.metadata = producer.add_stream(b"metadata")?;
        producer.expect_ok(&Command::StreamsSent)?;
        Ok(producer)
    }

    pub fn send_metadata(&mut self) -> io::Result<()> {
        let command = SendMetadata {
            stream: self.metadata,
            padding_size: 0,
            bytes: METADATA.as_bytes(),
        };
        self.send(&Command::SendMetadata(command))
    }

    /// Sends the next packet of a stream and its index; at most `window` replies stay
    /// unread.
    pub fn send_packet(&mut self, stream: usize, window: usize) -> io::Result<()> {
        let stream = &mut self.streams[stream];
        let (described, bytes) = stream.packets.next();
        stream.last = Some(described.sequence);
        self.scratch.clear();
        PacketHeader {
            stream: stream.handle,
            sequence: described.sequence,
            size: bytes.len() as u32,
            padding: 0,
        }
        .encode(&mut self.scratch);
        if bytes.len() <= SMALL_BYTES {
            self.scratch.extend_from_slice(bytes);
            self.data.write_all(&self.scratch)?;
        } else {
            self.data.write_all(&self.scratch)?;
            self.data.write_all(bytes)?;
        }
        let index = SendIndex {
            stream: stream.handle,
            sequence: described.sequence,
            packet_size_bits: bytes.len() as u64 * 8,
            content_size_bits: described.content_bytes * 8,
            timestamp_begin: described.timestamp_begin,
            timestamp_end: described.timestamp_end,
            events_discarded: 0,
            class: 0,
            instance: 0,
            packet_sequence: described.sequence,
        };
        self.send(&Command::SendIndex(index))?;
        self.awaited += 1;
        while self.awaited >= window {
            self.read_code()?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is on the relay's disk.
    pub fn settle(&mut self) -> io::Result<()> {
        while self.awaited > 0 {
            self.read_code()?;
        }
        for stream in 0..self.streams.len() {
            let Stream { handle, last, .. } = self.streams[stream];
            let question = DataPending {
                stream: handle,
                last_sequence: last.unwrap_or(NONE),
            };
            while self.ask_code(&Command::DataPending(question))? == code::PENDING {
                std::thread::sleep(PENDING_RETRY);
            }
        }
        Ok(())
    }

    pub fn close_streams(&mut self) -> io::Result<()> {
        for stream in 0..self.streams.len() {
            let Stream { handle, last, .. } = self.streams[stream];
            let command = CloseStream {
                stream: handle,
                last_sequence: last.unwrap_or(NONE),
            };
            self.expect_ok(&Command::CloseStream(command))?;
        }
        let command = CloseStream {
            stream: self.metadata,
            last_sequence: NONE,
        };
        self.expect_ok(&Command::CloseStream(command))
    }

    fn negotiate(&mut self) -> io::Result<()> {
        let command = Command::Version(Version {
            major: 2,
            minor: MINOR,
        });
        match self.ask(&command)? {
            Answer::Minor(minor) => self.minor = minor.min(MINOR),
            other => return Err(unexpected(&command, &other)),
        }
        Ok(())
    }

    fn create_session(&mut self, number: u64, live_timer_us: u32) -> io::Result<()> {
        let name = format!("load-{number}");
        let mut daemon = [1; 16];
        daemon[..8].copy_from_slice(&number.to_be_bytes());
        let command = Command::CreateSession(CreateSession {
            name: name.as_bytes(),
            host: b"load",
            base_path: b"",
            live_timer_us,
            snapshot: false,
            name_holds_time: false,
            origin: Some(Origin {
                daemon,
                session: number,
                creation_time_s: 0,
                current_chunk: None,
            }),
            trace_format: TraceFormat::Ctf1,
        });
        match self.ask(&command)? {
            Answer::Id(id) => self.session = id,
            other => return Err(unexpected(&command, &other)),
        }
        self.expect_ok(&Command::CreateTraceChunk(CreateTraceChunk {
            chunk: 0,
            creation_time_s: 0,
            override_name: None,
        }))
    }

    fn add_stream(&mut self, channel: &[u8]) -> io::Result<u64> {
        let command = Command::AddStream(AddStream {
            channel,
            path: PATH,
            tracefile_size: 0,
            tracefile_count: 0,
            chunk: Some(0),
        });
        match self.ask(&command)? {
            Answer::Id(id) => Ok(id),
            other => Err(unexpected(&command, &other)),
        }
    }

    fn expect_ok(&mut self, command: &Command) -> io::Result<()> {
        match self.ask_code(command)? {
            code::OK => Ok(()),
            other => Err(unexpected(command, &Answer::Code(other))),
        }
    }

    fn ask_code(&mut self, command: &Command) -> io::Result<u32> {
        match self.ask(command)? {
            Answer::Code(code) => Ok(code),
            other => Err(unexpected(command, &other)),
        }
    }

    fn ask(&mut self, command: &Command) -> io::Result<Answer> {
        self.send(command)?;
        self.read_answer(command.kind())
    }

    fn send(&mut self, command: &Command) -> io::Result<()> {
        self.scratch.clear();
        command.encode(Minors::both(self.minor), &mut self.scratch);
        self.control.write_all(&self.scratch)
    }

    fn read_code(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4];
        self.control.read_exact(&mut bytes)?;
        self.awaited -= 1;
        match u32::from_be_bytes(bytes) {
            code::OK => Ok(()),
            other => Err(io::Error::other(format!(
                "an index was answered with {other}"
            ))),
        }
    }

    /// Reads exactly one reply.
    fn read_answer(&mut self, kind: CommandKind) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        loop {
            match reply::decode(kind, self.minor, &bytes) {
                Ok(Some((reply, _))) => return Ok(Answer::from(&reply)),
                Ok(None) => {
                    // Replies come one at a time: byte by byte never reads too far.
                    let mut byte = [0];
                    self.control.read_exact(&mut byte)?;
                    bytes.push(byte[0]);
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

/// What matters of a reply.
#[derive(Debug)]
enum Answer {
    Code(u32),
    Minor(u32),
    Id(u64),
}

impl From<&Reply<'_>> for Answer {
    fn from(reply: &Reply<'_>) -> Self {
        match *reply {
            Reply::Version(version) => Self::Minor(version.minor),
            Reply::SessionCreated {
                session: id,
                code: code::OK,
                ..
            }
            | Reply::StreamAdded {
                stream: id,
                code: code::OK,
            } => Self::Id(id),
            Reply::SessionCreated { code, .. }
            | Reply::StreamAdded { code, .. }
            | Reply::Code(code)
            | Reply::ChunkClosed { code, .. }
            | Reply::ChunkExists { code, .. }
            | Reply::Configuration { code, .. } => Self::Code(code),
            Reply::Nothing => Self::Code(code::OK),
        }
    }
}

fn unexpected(command: &Command, answer: &Answer) -> io::Error {
    io::Error::other(format!(
        "{} was answered with {answer:?}",
        command.kind().name()
    ))
}

/// Asked without a pause the original answers questions and never takes the data.
const PENDING_RETRY: Duration = Duration::from_millis(5);

/// Up to here header and payload go in one write.
const SMALL_BYTES: usize = 16 * 1024;
