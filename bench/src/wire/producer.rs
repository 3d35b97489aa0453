//! A producer of the load: sends generated packets through a [`Client`].

use std::io::{self, Write};
use std::time::{Duration, Instant};

use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, BeginDataPending, Command, CreateSession, CreateTraceChunk, DataPending,
    EndDataPending, NONE, Origin, SendIndex, SendMetadata,
};

use super::packet::{METADATA, Packets};
use super::relay::Target;
use baton::producer::{Client, MINOR};
use baton_systems::client::description;

/// Prefix of the names of all data streams.
pub const CHANNEL: &str = "load_";
/// The path of a trace, as a consumer daemon sends it.
const PATH: &[u8] = b"ust/uid/1000/64-bit";

#[derive(Debug)]
pub struct Producer {
    client: Client,
    pub session: u64,
    /// Handle of the metadata stream.
    pub metadata: u64,
    packet_bytes: usize,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    handle: u64,
    packets: Packets,
    last: Option<u64>,
}

/// The options of a producer.
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
        let (mut client, session) = create_session(target, number, shape.live_timer_us)?;
        client.ask_ok(&Command::CreateTraceChunk(CreateTraceChunk {
            chunk: 0,
            creation_time_s: 0,
            override_name: None,
        }))?;
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

    /// For commands that a producer of the load does not send.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Adds data streams, and publishes them.
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
    /// stay unread. Gives the time from sending the index until these came.
    pub fn send_packet(&mut self, stream: usize, window: usize) -> io::Result<Duration> {
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
            content_size_bits: described.content_bytes * 8,
            timestamp_begin: described.timestamp_begin,
            timestamp_end: described.timestamp_end,
            ..description(stream.handle, described.sequence, bytes.len())
        };
        let described = Instant::now();
        self.client.describe(index, window)?;
        Ok(described.elapsed())
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

    /// Asks whether data of the session is pending.
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

/// Connects and creates a session, which has no chunk yet. Gives its id, too.
pub fn create_session(
    target: &Target,
    number: u64,
    live_timer_us: u32,
) -> io::Result<(Client, u64)> {
    let mut client = Client::connect(target.control, target.data, MINOR)?;
    client.negotiate()?;
    let name = format!("load-{number}");
    let mut daemon = [1; 16];
    daemon[..8].copy_from_slice(&number.to_be_bytes());
    let session = client.create_session(CreateSession {
        name: name.as_bytes(),
        host: b"load",
        live_timer_us,
        origin: Some(Origin {
            daemon,
            session: number,
            ..Origin::default()
        }),
        ..CreateSession::default()
    })?;
    Ok((client, session))
}

fn add_stream(client: &mut Client, channel: &[u8]) -> io::Result<u64> {
    client.add_stream(AddStream {
        channel,
        path: PATH,
        chunk: Some(0),
        ..AddStream::default()
    })
}

/// Maximum size of a packet whose header and payload are sent with one write.
const SMALL_BYTES: usize = 16 * 1024;
