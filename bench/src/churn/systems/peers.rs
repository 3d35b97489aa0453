//! The peers of a family: a producer's two connections and a viewer's, in memory.

use std::io;

use baton_components::connection::Endpoint;
use baton_components::wire::producer::reply::Reply;
use baton_components::wire::producer::{
    AddStream, CloseStream, Command, CreateSession, CreateTraceChunk, NONE, Origin, SendIndex,
    Version, code,
};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client::{Producer, Viewer, connect, description, packet};
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
    producer: Producer,
    viewer: Viewer,
    session: u64,
    /// Handles: data streams, then metadata.
    streams: Vec<u64>,
}

impl Peers {
    /// Three connections that wait to be accepted.
    pub fn connect(network: &MemoryNetwork, number: u64) -> Self {
        Self {
            number,
            control: network.connect(Endpoint::Control, "producer:control"),
            data: network.connect(Endpoint::Data, "producer:data"),
            live: network.connect(Endpoint::Live, "viewer"),
            producer: Producer::new(PRODUCER_MINOR),
            viewer: Viewer::default(),
            session: 0,
            streams: Vec::new(),
        }
    }

    /// Writes what is said; it arrives in the next tick.
    pub fn say(&mut self, act: Act) {
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
            Act::CreateViewerSession => {
                self.request(&[connect(VIEWER_MINOR), Request::CreateSession]);
            }
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

    /// Reads the replies, which must be successes.
    pub fn hear(&mut self, act: Act) -> io::Result<()> {
        self.producer.hear(&self.control.take_received());
        while let Some((command, reply)) = self.producer.reply().map_err(io::Error::other)? {
            if reply.code() != code::OK {
                return Err(refused(command.name()));
            }
            match reply {
                Reply::SessionCreated { session, .. } => self.session = session,
                Reply::StreamAdded { stream, .. } => self.streams.push(stream),
                _ => {}
            }
        }
        self.viewer.hear(&self.live.take_received());
        while self.viewer.reply().map_err(io::Error::other)?.is_some() {}
        if self.producer.due() > 0 || self.viewer.due().len() > 0 {
            return Err(refused(act.name()));
        }
        // Buffers of a population would be counted as its relay's memory.
        self.producer = Producer::new(PRODUCER_MINOR);
        self.viewer = Viewer::default();
        Ok(())
    }

    fn data_streams(&self) -> &[u64] {
        &self.streams[..DATA_STREAMS as usize]
    }

    fn create_session(&mut self) {
        let name = format!("churn-{}", self.number);
        let version = Version {
            major: 2,
            minor: PRODUCER_MINOR,
        };
        let session = CreateSession {
            name: name.as_bytes(),
            host: b"host",
            live_timer_us: 1_000_000,
            origin: Some(Origin {
                daemon: [7; 16],
                session: self.number,
                ..Origin::default()
            }),
            ..CreateSession::default()
        };
        self.command(&[Command::Version(version), Command::CreateSession(session)]);
    }

    fn add_streams(&mut self) {
        let names: Vec<String> = (0..DATA_STREAMS)
            .map(|cpu| format!("channel0_{cpu}"))
            .chain(["metadata".to_owned()])
            .collect();
        let mut commands: Vec<Command> = Vec::new();
        for name in &names {
            commands.push(Command::AddStream(AddStream {
                channel: name.as_bytes(),
                path: PATH,
                chunk: Some(0),
                ..AddStream::default()
            }));
        }
        commands.push(Command::StreamsSent);
        self.command(&commands);
    }

    fn describe(&mut self, sequence: u64) {
        let describe = |stream: &u64| {
            Command::SendIndex(SendIndex {
                timestamp_begin: sequence * 1000,
                timestamp_end: sequence * 1000 + 900,
                ..description(*stream, sequence, PACKET_BYTES)
            })
        };
        let commands: Vec<Command> = self.data_streams().iter().map(describe).collect();
        self.command(&commands);
    }

    fn send_packets(&self, sequence: u64) {
        let packet = |stream: &u64| packet(*stream, sequence, &[0; PACKET_BYTES]);
        let packets: Vec<u8> = self.data_streams().iter().flat_map(packet).collect();
        self.data.write(&packets);
    }

    fn close_streams(&mut self) {
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

    fn command(&mut self, commands: &[Command]) {
        let mut bytes = Vec::new();
        for command in commands {
            self.producer.say(command, &mut bytes);
        }
        self.control.write(&bytes);
    }

    fn request(&mut self, requests: &[Request]) {
        let mut bytes = Vec::new();
        for request in requests {
            self.viewer.say(*request, &mut bytes);
        }
        self.live.write(&bytes);
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::other(format!("the relay in memory refused {what}"))
}
