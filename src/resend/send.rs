//! The sender of a replay: speaks to a relay as a session daemon and a consumer daemon do.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use baton_components::shown::Shown;
use baton_components::wire::TraceFormat;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{
    AddStream, CloseTraceChunk, Command, CreateSession, CreateTraceChunk, DataPending, NONE,
    Origin, RotatePosition, RotatePositions, RotateStreams, SendIndex, SendMetadata,
};

use super::Error;
use super::play::Sink;
use crate::producer::Client;
use crate::progress::Progress;
use crate::trace::TraceError;
use crate::trace::recording::{Packet, Recording};

/// A session at a relay: its streams were created, with all metadata.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    metadata: Vec<u64>,
    streams: Vec<Sent>,
    /// The first bytes of a packet.
    head: Vec<u8>,
    progress: Progress,
}

/// Send state of a stream.
#[derive(Debug)]
struct Sent {
    handle: u64,
    class: u64,
    /// Number of the next packet.
    sequence: u64,
    /// The tracer's number of the next packet, if it has numbers.
    position: Option<u64>,
}

impl Sender {
    /// Creates the session, its streams and their metadata. When viewers see the streams
    /// all metadata is there.
    // Long because: it is what a producer says first, in its order.
    pub fn announce(mut client: Client, recording: &Recording) -> Result<Self, Error> {
        client.hurry()?;
        client.negotiate()?;
        let minor = client.minor();
        if minor < MINOR_MIN {
            return Err(Error::TooOld { minor });
        }
        if recording.format == TraceFormat::Ctf2 && minor < MINOR_OF_CTF2 {
            return Err(Error::NoCtf2 { minor });
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        client.create_session(CreateSession {
            name: recording.session.as_bytes(),
            host: recording.host.as_bytes(),
            live_timer_us: super::PERIOD.as_micros() as u32,
            origin: Some(Origin {
                // Each replay has its own session id.
                daemon: (now.as_nanos() << 32 | u128::from(std::process::id())).to_be_bytes(),
                session: 0,
                creation_time_s: now.as_secs(),
                current_chunk: None,
            }),
            trace_format: recording.format,
            ..CreateSession::default()
        })?;
        client.ask_ok(&Command::CreateTraceChunk(CreateTraceChunk {
            chunk: CHUNK,
            creation_time_s: now.as_secs(),
            override_name: None,
        }))?;
        let mut sender = Self {
            client,
            metadata: Vec::new(),
            streams: Vec::new(),
            head: Vec::new(),
            progress: Progress::over(recording.bytes(), true),
        };
        for trace in &recording.traces {
            for stream in &trace.streams {
                let handle = sender.add_stream(&stream.channel, &trace.path)?;
                sender.streams.push(Sent {
                    handle,
                    class: stream.class,
                    sequence: 0,
                    position: None,
                });
            }
            let metadata = sender.add_stream(b"metadata", &trace.path)?;
            sender.metadata.push(metadata);
            sender.send_metadata(metadata, &trace.metadata)?;
        }
        sender.client.ask_ok(&Command::StreamsSent)?;
        Ok(sender)
    }

    fn add_stream(&mut self, channel: &[u8], path: &Path) -> Result<u64, Error> {
        let path = path.as_os_str().as_bytes();
        if path.len() > PATH_BYTES_MAX {
            return Err(Error::LongPath(Shown(path).to_string()));
        }
        Ok(self.client.add_stream(AddStream {
            channel,
            path,
            chunk: Some(CHUNK),
            ..AddStream::default()
        })?)
    }

    fn send_metadata(&mut self, stream: u64, path: &Path) -> Result<(), Error> {
        let fault = |error: io::Error| TraceError::new(path, crate::os::said(&error));
        let mut file = File::open(path).map_err(fault)?;
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let wanted = (&mut file).take(METADATA_PIECE_BYTES);
            if { wanted }.read_to_end(&mut piece).map_err(fault)? == 0 {
                return Ok(());
            }
            self.client.send(&Command::SendMetadata(SendMetadata {
                stream,
                padding_size: 0,
                bytes: &piece,
            }))?;
        }
    }

    /// Ends the session as `lttng destroy` does: waits until the relay has everything,
    /// takes the streams out of their chunk, and closes both.
    pub fn finish(mut self) -> Result<(), Error> {
        self.client.catch_up()?;
        for sent in &self.streams {
            self.client.settle(DataPending {
                stream: sent.handle,
                last_sequence: sent.last(),
            })?;
        }
        let position = |sent: &Sent| {
            let position = sent.position?;
            let stream = sent.handle;
            Some(RotatePosition { stream, position })
        };
        // The relay needs the tracer's packet numbers to rotate a stream. Without numbers
        // it is only closed.
        if let Some(positions) = self.streams.iter().map(position).collect() {
            self.leave_chunk(positions)?;
            let metadata = self.metadata.iter().map(|stream| RotatePosition {
                stream: *stream,
                position: 0,
            });
            self.leave_chunk(metadata.collect())?;
        }
        self.client
            .ask_ok(&Command::CloseTraceChunk(CloseTraceChunk {
                chunk: CHUNK,
                close_time_s: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs(),
                command: None,
            }))?;
        for stream in &self.metadata {
            self.client.close_stream(*stream, NONE)?;
        }
        for sent in &self.streams {
            self.client.close_stream(sent.handle, sent.last())?;
        }
        self.progress.finish();
        Ok(())
    }

    fn leave_chunk(&mut self, positions: RotatePositions) -> io::Result<()> {
        self.client.ask_ok(&Command::RotateStreams(RotateStreams {
            new_chunk: None,
            positions,
        }))
    }
}

impl Sent {
    fn last(&self) -> u64 {
        self.sequence.checked_sub(1).unwrap_or(NONE)
    }
}

impl Sink for Sender {
    fn packet(&mut self, stream: usize, packet: &Packet) -> Result<(), Error> {
        let sent = &mut self.streams[stream];
        let described = packet.description;
        let size = described.packet_size_bits / 8;
        let fault = |error: io::Error| TraceError::new(&packet.path, crate::os::said(&error));
        let changed = || TraceError::new(&packet.path, "it has changed meanwhile");
        let mut file = File::open(&packet.path).map_err(fault)?;
        file.seek(SeekFrom::Start(described.offset_bytes))
            .map_err(fault)?;
        self.head.clear();
        let head = (&mut file).take(size.min(HEAD_BYTES));
        let head = { head }.read_to_end(&mut self.head).map_err(fault)? as u64;
        let header = PacketHeader {
            stream: sent.handle,
            sequence: sent.sequence,
            size: u32::try_from(size).map_err(|_| changed())?,
            padding: 0,
        };
        self.client.begin_packet(header, &self.head)?;
        let rest = io::copy(&mut file.take(size - head), self.client.data());
        let rest = rest.map_err(|reason| self.client.data_broke(&reason))?;
        if head + rest < size {
            return Err(changed().into());
        }
        let index = SendIndex {
            stream: sent.handle,
            sequence: sent.sequence,
            packet_size_bits: described.packet_size_bits,
            content_size_bits: described.content_size_bits,
            timestamp_begin: described.timestamp_begin,
            timestamp_end: described.timestamp_end,
            events_discarded: described.events_discarded,
            class: described.class,
            instance: described.instance,
            packet_sequence: described.packet_sequence,
        };
        sent.sequence += 1;
        sent.position = described.packet_sequence.checked_add(1);
        self.client.describe(index, WINDOW)?;
        self.progress.add(size);
        Ok(())
    }

    fn beacon(&mut self, stream: usize, cycles: u64) -> Result<(), Error> {
        let sent = &self.streams[stream];
        let index = SendIndex {
            stream: sent.handle,
            sequence: sent.last(),
            timestamp_end: cycles,
            class: sent.class,
            ..SendIndex::default()
        };
        Ok(self.client.describe(index, WINDOW)?)
    }
}

/// The one chunk of a replay: chunks of the recording are put together.
const CHUNK: u64 = 0;
/// Protocol minor of the session.
const MINOR_MIN: u32 = 11;
const MINOR_OF_CTF2: u32 = 15;
/// Maximum length of a trace's path in the protocol, without the NUL.
const PATH_BYTES_MAX: usize = 254;
/// Pipelining: descriptions in flight, since a round trip for each would limit the speed.
const WINDOW: usize = 64;
/// First bytes of a packet, sent with its header in one write; the rest is sent with
/// zero-copy.
const HEAD_BYTES: u64 = 64 * 1024;
const METADATA_PIECE_BYTES: u64 = 1 << 20;
