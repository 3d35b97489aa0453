//! The peers of a family: a producer's two connections and a viewer's, in memory.

use std::io;

use baton_components::connection::Port;
use baton_components::wire::TraceFormat;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::reply::{self, Reply};
use baton_components::wire::producer::{
    AddStream, CloseStream, Command, CommandKind, CreateSession, CreateTraceChunk, Minors, NONE,
    Origin, SendIndex, Version, code,
};
use baton_components::wire::viewer::{KIND_COMMAND, MAJOR, Request, SEEK_BEGINNING};
use baton_systems::memory::{MemoryNetwork, Peer};

use super::Act;
use crate::churn::family::DATA_STREAMS;

/// Where the streams of a session are.
const PATH: &[u8] = b"ust/uid/1000/64-bit";
const PRODUCER_MINOR: u32 = 15;
/// Entries of a fixed size.
const VIEWER_MINOR: u32 = 4;
/// Small: bytes are no entities.
const PACKET_BYTES: usize = 64;

pub struct Peers {
    number: u64,
    control: Peer,
    data: Peer,
    live: Peer,
    session: u64,
    /// Handles: data streams, then metadata.
    streams: Vec<u64>,
}

impl Peers {
    /// Three connections that wait to be accepted.
    pub fn connect(network: &MemoryNetwork, number: u64) -> Self {
        Self {
            number,
            control: network.connect(Port::Control, "producer:control"),
            data: network.connect(Port::Data, "producer:data"),
            live: network.connect(Port::Live, "viewer"),
            session: 0,
            streams: Vec::new(),
        }
    }

    /// Writes what is said; it arrives in the next tick.
    pub fn say(&self, act: Act) {
        match act {
            Act::Connect => {}
            Act::CreateSession => self.create_session(),
            Act::CreateChunk => self.command(&[Command::CreateTraceChunk(CreateTraceChunk {
                chunk: 0,
                creation_time_s: 0,
                override_name: None,
            })]),
            Act::AddStreams => self.add_streams(),
            Act::FirstPackets => {
                self.describe(0);
                self.send_packets(0);
            }
            Act::Describe => self.describe(1),
            Act::SendPackets => self.send_packets(1),
            Act::CreateViewerSession => self.request(&[
                Request::Connect {
                    major: MAJOR,
                    minor: VIEWER_MINOR,
                    kind: KIND_COMMAND,
                },
                Request::CreateSession,
            ]),
            Act::Attach => self.request(&[Request::Attach {
                session: self.session,
                seek: SEEK_BEGINNING,
            }]),
            Act::NextIndex => {
                let ask = |stream: &u64| Request::NextIndex { stream: *stream };
                let requests: Vec<Request> = self.data_streams().iter().map(ask).collect();
                self.request(&requests);
            }
            Act::Detach => self.request(&[Request::Detach {
                session: self.session,
            }]),
            Act::LeaveViewer => self.live.finish(),
            Act::CloseStreams => self.close_streams(),
            Act::LeaveProducer => {
                self.control.finish();
                self.data.finish();
            }
            Act::LeaveAll => {
                self.control.finish();
                self.data.finish();
                self.live.finish();
            }
        }
    }

    /// Reads the replies: the relay must have done what was said.
    pub fn hear(&mut self, act: Act) -> io::Result<()> {
        let control = self.control.take_received();
        let live = self.live.take_received();
        let expected: &[CommandKind] = match act {
            Act::CreateSession => &[CommandKind::Version, CommandKind::CreateSession],
            Act::CreateChunk => &[CommandKind::CreateTraceChunk],
            Act::AddStreams => &[CommandKind::AddStream; DATA_STREAMS as usize + 1],
            Act::FirstPackets | Act::Describe => &[CommandKind::SendIndex; DATA_STREAMS as usize],
            Act::CloseStreams => &[CommandKind::CloseStream; DATA_STREAMS as usize + 1],
            _ => &[],
        };
        let mut rest = &control[..];
        for kind in expected {
            let decoded = reply::decode(*kind, PRODUCER_MINOR, rest).map_err(io::Error::other)?;
            let (reply, size) = decoded.ok_or_else(|| refused(kind.name()))?;
            match reply {
                Reply::Version(_) | Reply::Code(code::OK) => {}
                Reply::SessionCreated {
                    session,
                    code: code::OK,
                    ..
                } => self.session = session,
                Reply::StreamAdded {
                    stream,
                    code: code::OK,
                } => self.streams.push(stream),
                _ => return Err(refused(kind.name())),
            }
            rest = &rest[size..];
        }
        let live_bytes = match act {
            Act::CreateViewerSession => 20 + 4,
            // An index for each.
            Act::NextIndex => 64 * DATA_STREAMS as usize,
            _ => live.len(),
        };
        if live.len() == live_bytes {
            Ok(())
        } else {
            Err(refused(act.name()))
        }
    }

    fn data_streams(&self) -> &[u64] {
        &self.streams[..DATA_STREAMS as usize]
    }

    fn create_session(&self) {
        let name = format!("churn-{}", self.number);
        let version = Version {
            major: 2,
            minor: PRODUCER_MINOR,
        };
        let session = CreateSession {
            name: name.as_bytes(),
            host: b"host",
            base_path: b"",
            live_timer_us: 1_000_000,
            snapshot: false,
            name_holds_time: false,
            origin: Some(Origin {
                daemon: [7; 16],
                session: self.number,
                creation_time_s: 0,
                current_chunk: None,
            }),
            trace_format: TraceFormat::Ctf1,
        };
        self.command(&[Command::Version(version), Command::CreateSession(session)]);
    }

    fn add_streams(&self) {
        let names: Vec<String> = (0..DATA_STREAMS)
            .map(|cpu| format!("channel0_{cpu}"))
            .chain(["metadata".to_owned()])
            .collect();
        let mut commands: Vec<Command> = Vec::new();
        for name in &names {
            commands.push(Command::AddStream(AddStream {
                channel: name.as_bytes(),
                path: PATH,
                tracefile_size: 0,
                tracefile_count: 0,
                chunk: Some(0),
            }));
        }
        commands.push(Command::StreamsSent);
        self.command(&commands);
    }

    fn describe(&self, sequence: u64) {
        let describe = |stream: &u64| {
            Command::SendIndex(SendIndex {
                stream: *stream,
                sequence,
                packet_size_bits: PACKET_BYTES as u64 * 8,
                content_size_bits: PACKET_BYTES as u64 * 8,
                timestamp_begin: sequence * 1000,
                timestamp_end: sequence * 1000 + 900,
                events_discarded: 0,
                class: 0,
                instance: 0,
                packet_sequence: sequence,
            })
        };
        let commands: Vec<Command> = self.data_streams().iter().map(describe).collect();
        self.command(&commands);
    }

    fn send_packets(&self, sequence: u64) {
        let mut bytes = Vec::new();
        for stream in self.data_streams() {
            PacketHeader {
                stream: *stream,
                sequence,
                size: PACKET_BYTES as u32,
                padding: 0,
            }
            .encode(&mut bytes);
            bytes.extend_from_slice(&[0; PACKET_BYTES]);
        }
        self.data.write(&bytes);
    }

    fn close_streams(&self) {
        let last = |at: usize| if at < DATA_STREAMS as usize { 1 } else { NONE };
        let close = |(at, stream): (usize, &u64)| {
            Command::CloseStream(CloseStream {
                stream: *stream,
                last_sequence: last(at),
            })
        };
        let commands: Vec<Command> = self.streams.iter().enumerate().map(close).collect();
        self.command(&commands);
    }

    fn command(&self, commands: &[Command]) {
        let mut bytes = Vec::new();
        for command in commands {
            command.encode(Minors::both(PRODUCER_MINOR), &mut bytes);
        }
        self.control.write(&bytes);
    }

    fn request(&self, requests: &[Request]) {
        let mut bytes = Vec::new();
        for request in requests {
            request.encode(&mut bytes);
        }
        self.live.write(&bytes);
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::other(format!("the relay in memory refused {what}"))
}
