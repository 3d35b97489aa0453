//! One viewer: answers its requests until it goes. All sessions are over, so there is never
//! anything to wait for.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use baton_components::wire::TraceFormat;
use baton_components::wire::ctf_index::{self, IndexRecord, Version};
use baton_components::wire::producer::NONE;
use baton_components::wire::viewer::reply::{
    self, ConnectReply, IndexReply, MetadataReply, PacketReply,
};
use baton_components::wire::viewer::{
    AttachStatus, CreateSessionStatus, DetachStatus, HEADER_SIZE, Header, KIND_COMMAND,
    KIND_NOTIFICATION, MAJOR, MetadataStatus, NEW_METADATA, NewStreamsStatus, NextIndexStatus,
    PAYLOAD_SIZE_MAX, Request, RequestKind, SEEK_BEGINNING, SEEK_LAST, SessionEntry, StreamEntry,
    decode,
};

use crate::Error;

use super::content::Reader;
use super::library::{File, Library, Part, Stream, Trace};

/// How long a viewer may be silent in the middle of a request or a reply.
const SILENCE: Duration = Duration::from_mins(1);

/// Bytes of a reply that are read at once.
const PIECE: u64 = 4 << 20;

/// Records of an index that are read at once.
const BATCH: u64 = 1024;

/// Answers until the viewer closes the connection.
pub fn serve(client: &TcpStream, library: &Library, reader: &Reader) -> Result<(), Error> {
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(SILENCE))?;
    let mut viewer = Viewer {
        client,
        library,
        reader,
        minor: None,
        attached: BTreeMap::new(),
        places: BTreeMap::new(),
    };
    let mut replies = Vec::new();
    while let Some(request) = viewer.request()? {
        replies.clear();
        viewer.answer(request, &mut replies)?;
        viewer.send(&replies)?;
    }
    Ok(())
}

struct Viewer<'a> {
    client: &'a TcpStream,
    library: &'a Library,
    reader: &'a Reader,
    /// The protocol; none before CONNECT.
    minor: Option<u32>,
    /// By the numbers of sessions.
    attached: BTreeMap<u64, Vec<Trace>>,
    /// By the handles of streams.
    places: BTreeMap<u64, Position>,
}

/// Where a viewer is in a stream.
struct Position {
    session: u64,
    trace: usize,
    /// None: the metadata.
    stream: Option<usize>,
    /// Of metadata: the times that it was asked for.
    asked: u32,
    /// Of data: the file, its next record, and those that were read ahead.
    part: usize,
    record: u64,
    batch: VecDeque<IndexRecord>,
    /// Least number of the next packet: snapshots may have the same packets.
    sequence: u64,
    is_over: bool,
}

impl Viewer<'_> {
    fn request(&mut self) -> Result<Option<Request>, Error> {
        let mut head = [0; HEADER_SIZE];
        // Between requests it may think as long as it likes.
        self.client.set_read_timeout(None)?;
        match self.client.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other?,
        };
        self.client.set_read_timeout(Some(SILENCE))?;
        self.client.read_exact(&mut head[1..])?;
        let number = Header::decode(&head).command;
        let kind = RequestKind::from_number(number);
        let kind =
            kind.ok_or_else(|| Error::Other(format!("it sent the unknown command {number}")))?;
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        let payload = &mut payload[..kind.payload_size()];
        self.client.read_exact(payload)?;
        let request = decode(kind, payload);
        request
            .map(Some)
            .map_err(|error| Error::Other(error.to_string()))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.client.write_all(bytes)?)
    }

    fn answer(&mut self, request: Request, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(minor) = self.minor else {
            return self.connect(request, out);
        };
        match request {
            Request::Connect { .. } => {
                return Err(Error::Other("it connects twice".to_owned()));
            }
            Request::ListSessions => self.list(minor, out),
            Request::CreateSession => reply::session_created(out, CreateSessionStatus::Ok),
            Request::Attach { session, seek } => self.attach(minor, session, seek, out)?,
            Request::Detach { session } => {
                let status = match self.attached.remove(&session) {
                    Some(_) => DetachStatus::Ok,
                    None => DetachStatus::Unknown,
                };
                self.places.retain(|_, place| place.session != session);
                reply::detached(out, status);
            }
            Request::NewStreams { session } => {
                let mut places = self.places.values().filter(|it| it.session == session);
                let is_known = self.attached.contains_key(&session);
                let status = match places.all(|it| it.is_over || it.stream.is_none()) {
                    _ if !is_known => NewStreamsStatus::Error,
                    true => NewStreamsStatus::Hup,
                    false => NewStreamsStatus::Ok,
                };
                reply::new_streams(out, status, &[]);
            }
            Request::NextIndex { stream } => self.next_index(stream).encode(out),
            Request::Metadata { stream } => self.metadata(stream, out)?,
            Request::Packet {
                stream,
                offset,
                length,
            } => self.packet(stream, offset, length, out)?,
        }
        Ok(())
    }

    fn connect(&mut self, request: Request, out: &mut Vec<u8>) -> Result<(), Error> {
        match request {
            Request::Connect { major, minor, kind }
                if major == MAJOR && [KIND_COMMAND, KIND_NOTIFICATION].contains(&kind) =>
            {
                self.minor = Some(minor);
                ConnectReply::ours(1).encode(out);
                Ok(())
            }
            _ => Err(Error::Other(
                "it does not speak the live protocol 2".to_owned(),
            )),
        }
    }

    fn list(&self, minor: u32, out: &mut Vec<u8>) {
        let sessions = self.library.sessions.iter().zip(0..);
        let readable = sessions.filter(|(session, _)| is_readable(session.is_ctf_2, minor));
        let entries: Vec<_> = readable
            .map(|(session, number)| SessionEntry {
                session: number,
                live_timer_us: 0,
                clients: 0,
                streams: 0,
                host: session.host.as_bytes(),
                name: session.name.as_bytes(),
                trace_format: if session.is_ctf_2 {
                    TraceFormat::Ctf2
                } else {
                    TraceFormat::Ctf1
                },
            })
            .collect();
        reply::session_list(out, minor, &entries);
    }

    fn attach(
        &mut self,
        minor: u32,
        number: u64,
        seek: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let sessions = &self.library.sessions;
        let session = usize::try_from(number).ok().and_then(|at| sessions.get(at));
        let session = session.filter(|session| is_readable(session.is_ctf_2, minor));
        let refusal = match session {
            None => Some(AttachStatus::Unknown),
            Some(_) if self.attached.contains_key(&number) => Some(AttachStatus::Already),
            // A session that is over is read from its beginning.
            Some(_) if ![SEEK_BEGINNING, SEEK_LAST].contains(&seek) => {
                Some(AttachStatus::SeekError)
            }
            Some(_) => None,
        };
        let (None, Some(session)) = (refusal, session) else {
            reply::attached(out, refusal.unwrap_or(AttachStatus::Unknown), &[]);
            return Ok(());
        };
        let traces = session.traces(self.reader)?;
        let mut entries = Vec::new();
        for (trace, of) in traces.iter().enumerate() {
            let metadata = [(None, &b"metadata"[..])];
            let data = of.streams.iter().enumerate();
            let data = data.map(|(at, stream)| (Some(at), &stream.name[..]));
            for (stream, name) in metadata.into_iter().chain(data) {
                let handle = self.places.last_key_value().map_or(1, |(last, _)| last + 1);
                self.places.insert(
                    handle,
                    Position {
                        session: number,
                        trace,
                        stream,
                        asked: 0,
                        part: 0,
                        record: 0,
                        batch: VecDeque::new(),
                        sequence: 0,
                        is_over: false,
                    },
                );
                entries.push(StreamEntry {
                    stream: handle,
                    trace: (number << 32) + trace as u64,
                    metadata: stream.is_none(),
                    path: &of.path,
                    channel: name,
                });
            }
        }
        reply::attached(out, AttachStatus::Ok, &entries);
        self.attached.insert(number, traces);
        Ok(())
    }

    fn next_index(&mut self, handle: u64) -> IndexReply {
        let fault = IndexReply::without_index(NextIndexStatus::Error, 0);
        let Some(place) = self.places.get_mut(&handle) else {
            return fault;
        };
        let traces = self.attached.get(&place.session);
        let trace = traces.and_then(|traces| traces.get(place.trace));
        let stream = place.stream.and_then(|at| trace?.streams.get(at));
        let (session, number) = (place.session, place.trace);
        let next = match stream {
            None => return IndexReply::without_index(NextIndexStatus::Hup, 0),
            Some(stream) => next_record(place, stream, self.reader),
        };
        let reply = match next {
            Ok(Some(record)) => IndexReply::with_index(&record),
            Ok(None) => {
                place.is_over = true;
                IndexReply::without_index(NextIndexStatus::Hup, 0)
            }
            Err(error) => {
                crate::say(format_args!("baton serve: {error}"));
                fault
            }
        };
        let is_metadata = |it: &&Position| it.session == session && it.trace == number;
        let mut metadata = self.places.values().filter(is_metadata);
        let is_news = metadata.any(|it| it.stream.is_none() && it.asked == 0);
        let flags = if is_news { NEW_METADATA } else { 0 };
        IndexReply { flags, ..reply }
    }

    fn metadata(&mut self, handle: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let place = self
            .places
            .get_mut(&handle)
            .filter(|it| it.stream.is_none());
        let Some(place) = place else {
            MetadataReply::without_bytes(MetadataStatus::Error).encode(out);
            return Ok(());
        };
        place.asked += 1;
        let traces = self.attached.get(&place.session);
        let trace = traces.and_then(|traces| traces.get(place.trace));
        match (place.asked, trace) {
            (1, Some(trace)) if trace.metadata.bytes > 0 => {
                MetadataReply::ok(trace.metadata.bytes).encode(out);
                let bytes = trace.metadata.bytes;
                send_part(self.client, self.reader, &trace.metadata, 0..bytes, out)
            }
            // Some viewers ask until they get an error.
            (1 | 2, _) => {
                MetadataReply::without_bytes(MetadataStatus::NoNew).encode(out);
                Ok(())
            }
            _ => {
                MetadataReply::without_bytes(MetadataStatus::Error).encode(out);
                Ok(())
            }
        }
    }

    fn packet(
        &mut self,
        handle: u64,
        offset: u64,
        length: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let stream = self.places.get(&handle).and_then(|place| {
            let trace = self.attached.get(&place.session)?.get(place.trace)?;
            trace.streams.get(place.stream?)
        });
        let end = offset.checked_add(length.into());
        let found = match (stream, end) {
            (Some(stream), Some(end)) if length > 0 => stream.find(&(offset..end)),
            _ => None,
        };
        let Some((part, range)) = found else {
            PacketReply::error().encode(out);
            return Ok(());
        };
        PacketReply::ok(length).encode(out);
        send_part(self.client, self.reader, &part.data, range, out)
    }
}

/// Viewers know CTF 2 since this minor.
fn is_readable(is_ctf_2: bool, minor: u32) -> bool {
    !is_ctf_2 || minor >= 15
}

/// Sends a part of a file after what is in `out`, which is empty then, or has the last piece.
fn send_part(
    mut client: &TcpStream,
    reader: &Reader,
    file: &File,
    range: std::ops::Range<u64>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + PIECE);
        out.extend(reader.read(&file.content, at..end)?);
        at = end;
        if at < range.end {
            client.write_all(out)?;
            out.clear();
        }
    }
    Ok(())
}

fn next_record(
    place: &mut Position,
    stream: &Stream,
    reader: &Reader,
) -> Result<Option<IndexRecord>, Error> {
    while let Some(part) = stream.parts.get(place.part) {
        if place.batch.is_empty() {
            place.batch = read_batch(part, place.record, reader)?.into();
            place.record += place.batch.len() as u64;
        }
        if let Some(record) = place.batch.pop_front() {
            if record.packet_sequence < place.sequence {
                continue;
            }
            if record.packet_sequence != NONE {
                place.sequence = record.packet_sequence + 1;
            }
            return Ok(Some(IndexRecord {
                offset_bytes: record.offset_bytes.saturating_add(part.begin),
                ..record
            }));
        }
        place.part += 1;
        place.record = 0;
    }
    Ok(None)
}

/// Records of a file's index; none at its end.
fn read_batch(part: &Part, first: u64, reader: &Reader) -> Result<Vec<IndexRecord>, Error> {
    let damaged = |_| Error::Other("an index is damaged".to_owned());
    let index = &part.index;
    let header_size = ctf_index::HEADER_SIZE as u64;
    if index.bytes < header_size {
        return Ok(Vec::new());
    }
    let header = reader.read(&index.content, 0..header_size)?;
    let version = Version::from_header(&header).map_err(damaged)?;
    let size = version.record_size() as u64;
    let begin = header_size + first * size;
    let records = (index.bytes.saturating_sub(begin) / size).min(BATCH);
    let bytes = reader.read(&index.content, begin..begin + records * size)?;
    let records = bytes.chunks_exact(size as usize);
    let records = records.map(|record| IndexRecord::decode(version, record));
    records.collect::<Result<_, _>>().map_err(damaged)
}
