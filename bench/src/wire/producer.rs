//! A producer: made-up packets, sent through a [`Client`] like any other's.

use std::io::{self, Write};

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, BeginDataPending, Command, CreateSession, CreateTraceChunk, DataPending,
    EndDataPending, NONE, Origin, SendIndex, SendMetadata,
};

use super::packet::{METADATA, Packets};
use super::relay::Target;
use baton::producer::Client;

/// What the names of all data streams begin with.
pub const CHANNEL: &str = "load_";
/// Where a trace's streams are, as a consumer daemon names it.
const PATH: &[u8] = b"ust/uid/1000/64-bit";

#[derive(Debug)]
pub struct Producer {
    client: Client,
    pub session: u64,
    metadata: u64,
    packet_bytes: usize,
    streams: Vec<Stream>,
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
        let mut client = Client::connect(target.control, target.data)?;
        client.negotiate()?;
        let session = create_session(&mut client, number, shape.live_timer_us)?;
        let metadata = add_stream(&mut client, b"metadata")?;
        let mut producer = Self {
            client,
            session,
            metadata,
            packet_bytes: shape.packet_bytes,
            streams: Vec::new(),
        };
        producer.add_streams(shape.streams)?;
        Ok(producer)
    }

    /// Adds data streams, and tells viewers of them.
    pub fn add_streams(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let name = format!("{CHANNEL}{}", self.streams.len());
            self.streams.push(Stream {
                handle: add_stream(&mut self.client, name.as_bytes())?,
                packets: Packets::new(self.packet_bytes),
                last: None,
            });
        }
        self.client.ask_ok(&Command::StreamsSent)
    }

    pub fn send_metadata(&mut self) -> io::Result<()> {
        let command = SendMetadata {
            stream: self.metadata,
            padding_size: 0,
            bytes: METADATA.as_bytes(),
        };
        self.client.send(&Command::SendMetadata(command))
    }

    /// Sends the next packet of a stream and its index; fewer than `window` replies
    /// stay unread.
    pub fn send_packet(&mut self, stream: usize, window: usize) -> io::Result<()> {
        let stream = &mut self.streams[stream];
        let (described, bytes) = stream.packets.next();
        stream.last = Some(described.sequence);
        let header = PacketHeader {
            stream: stream.handle,
            sequence: described.sequence,
            size: bytes.len() as u32,
            padding: 0,
        };
        if bytes.len() <= SMALL_BYTES {
            self.client.begin_packet(header, bytes)?;
        } else {
            self.client.begin_packet(header, &[])?;
            self.client.data().write_all(bytes)?;
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
        self.client.describe(index, window)
    }

    /// Waits until everything that was sent is on the relay's disk.
    pub fn settle(&mut self) -> io::Result<()> {
        self.client.catch_up()?;
        for stream in &self.streams {
            self.client.settle(DataPending {
                stream: stream.handle,
                last_sequence: stream.last.unwrap_or(NONE),
            })?;
        }
        Ok(())
    }

    /// Asks whether anything of the session is on its way.
    pub fn is_pending(&mut self) -> io::Result<bool> {
        let session = self.session;
        let begin = Command::BeginDataPending(BeginDataPending { session });
        self.client.ask_ok(&begin)?;
        let end = Command::EndDataPending(EndDataPending { session });
        self.client.is_pending(&end)
    }

    pub fn close_streams(&mut self) -> io::Result<()> {
        for stream in &self.streams {
            let last = stream.last.unwrap_or(NONE);
            self.client.close_stream(stream.handle, last)?;
        }
        self.client.close_stream(self.metadata, NONE)
    }
}

fn create_session(client: &mut Client, number: u64, live_timer_us: u32) -> io::Result<u64> {
    let name = format!("load-{number}");
    let mut daemon = [1; 16];
    daemon[..8].copy_from_slice(&number.to_be_bytes());
    let session = client.create_session(CreateSession {
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
    })?;
    client.ask_ok(&Command::CreateTraceChunk(CreateTraceChunk {
        chunk: 0,
        creation_time_s: 0,
        override_name: None,
    }))?;
    Ok(session)
}

fn add_stream(client: &mut Client, channel: &[u8]) -> io::Result<u64> {
    client.add_stream(AddStream {
        channel,
        path: PATH,
        tracefile_size: 0,
        tracefile_count: 0,
        chunk: Some(0),
    })
}

/// Up to here header and payload go in one write.
const SMALL_BYTES: usize = 16 * 1024;
