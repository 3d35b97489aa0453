//! Replies to viewers: encoded by a relay, decoded by Baton's own viewers (tests,
//! benchmarks).
//!
//! No reply has a header: its layout follows from the request, so one byte too many or too
//! few desynchronises the connection.

use super::{
    AttachStatus, CreateSessionStatus, DetachStatus, MAJOR, MINOR, MetadataStatus,
    NewStreamsStatus, NextIndexStatus, PacketStatus, RequestKind, SessionEntry, StreamEntry,
};
use crate::wire::codec::{Reader, WireError, partial, put_u32, put_u64, put_zeros};
use crate::wire::ctf_index::IndexRecord;

/// A reply of any request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// To `CONNECT`.
    Connect(ConnectReply),
    /// To `LIST_SESSIONS`.
    ListSessions(Vec<SessionEntry<'a>>),
    /// To `ATTACH_SESSION`: no streams unless the status is OK.
    Attach(AttachStatus, Vec<StreamEntry<'a>>),
    /// To `GET_NEXT_INDEX`.
    NextIndex(IndexReply),
    /// To `GET_PACKET`: no bytes unless the status is OK.
    Packet(PacketReply, &'a [u8]),
    /// To `GET_METADATA`: no bytes unless the status is OK.
    Metadata(MetadataReply, &'a [u8]),
    /// To `GET_NEW_STREAMS`: no streams unless the status is OK.
    NewStreams(NewStreamsStatus, Vec<StreamEntry<'a>>),
    /// To `CREATE_SESSION`.
    CreateSession(CreateSessionStatus),
    /// To `DETACH_SESSION`.
    Detach(DetachStatus),
}

impl Reply<'_> {
    /// Appends the reply as it goes to a viewer of this minor.
    pub fn encode(&self, minor: u32, out: &mut Vec<u8>) {
        match self {
            Self::Connect(reply) => reply.encode(out),
            Self::ListSessions(sessions) => session_list(out, minor, sessions),
            Self::Attach(status, streams) => attached(out, *status, streams),
            Self::NextIndex(reply) => reply.encode(out),
            Self::Packet(reply, bytes) => {
                reply.encode(out);
                out.extend_from_slice(bytes);
            }
            Self::Metadata(reply, bytes) => {
                reply.encode(out);
                out.extend_from_slice(bytes);
            }
            Self::NewStreams(status, streams) => new_streams(out, *status, streams),
            Self::CreateSession(status) => session_created(out, *status),
            Self::Detach(status) => detached(out, *status),
        }
    }
}

/// Reply to `CONNECT`, 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectReply {
    /// Number of the connection, informative; 0 for a notification connection.
    pub viewer_session: u64,
    /// The relay's own major version.
    pub major: u32,
    /// The relay's own minor version, whatever the viewer asked for.
    pub minor: u32,
}

impl ConnectReply {
    /// The reply of a relay that speaks what is written here.
    pub fn ours(viewer_session: u64) -> Self {
        Self {
            viewer_session,
            major: MAJOR,
            minor: MINOR,
        }
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.viewer_session);
        put_u32(out, self.major);
        put_u32(out, self.minor);
        // The kind of connection is not repeated.
        put_u32(out, 0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let reply = Self {
            viewer_session: reader.u64("viewer_session_id")?,
            major: reader.u32("major")?,
            minor: reader.u32("minor")?,
        };
        reader.u32("type")?;
        Ok(reply)
    }
}

/// Reply to `GET_NEXT_INDEX`, 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexReply {
    /// Begin of the packet in its data file, in bytes.
    pub offset_bytes: u64,
    /// Size of the packet in bits, padding included.
    pub packet_size_bits: u64,
    /// Size of the packet's content in bits.
    pub content_size_bits: u64,
    /// First time of the packet, in cycles of the trace's clock.
    pub timestamp_begin: u64,
    /// Last time of the packet, or the time until which the stream is
    /// inactive, in cycles of the trace's clock.
    pub timestamp_end: u64,
    /// Events the stream has lost so far.
    pub events_discarded: u64,
    /// Id of the CTF stream class, not the handle of the request.
    pub class: u64,
    /// Says which of the other fields have a meaning.
    pub status: NextIndexStatus,
    /// [`NEW_METADATA`](super::NEW_METADATA), [`NEW_STREAM`](super::NEW_STREAM).
    pub flags: u32,
}

impl IndexReply {
    /// A reply with the index of a packet.
    pub fn with_index(record: &IndexRecord) -> Self {
        Self {
            offset_bytes: record.offset_bytes,
            packet_size_bits: record.packet_size_bits,
            content_size_bits: record.content_size_bits,
            timestamp_begin: record.timestamp_begin,
            timestamp_end: record.timestamp_end,
            events_discarded: record.events_discarded,
            class: record.class,
            status: NextIndexStatus::Ok,
            flags: 0,
        }
    }

    /// A reply without an index: all its fields are 0.
    pub fn without_index(status: NextIndexStatus, flags: u32) -> Self {
        Self {
            offset_bytes: 0,
            packet_size_bits: 0,
            content_size_bits: 0,
            timestamp_begin: 0,
            timestamp_end: 0,
            events_discarded: 0,
            class: 0,
            status,
            flags,
        }
    }

    /// The stream has nothing until `timestamp_end`.
    pub fn inactive(timestamp_end: u64, class: u64, flags: u32) -> Self {
        Self {
            timestamp_end,
            class,
            ..Self::without_index(NextIndexStatus::Inactive, flags)
        }
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.offset_bytes);
        put_u64(out, self.packet_size_bits);
        put_u64(out, self.content_size_bits);
        put_u64(out, self.timestamp_begin);
        put_u64(out, self.timestamp_end);
        put_u64(out, self.events_discarded);
        put_u64(out, self.class);
        put_u32(out, self.status.number());
        put_u32(out, self.flags);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            offset_bytes: reader.u64("offset")?,
            packet_size_bits: reader.u64("packet_size")?,
            content_size_bits: reader.u64("content_size")?,
            timestamp_begin: reader.u64("timestamp_begin")?,
            timestamp_end: reader.u64("timestamp_end")?,
            events_discarded: reader.u64("events_discarded")?,
            class: reader.u64("stream_id")?,
            status: read_status(reader, NextIndexStatus::from_number)?,
            flags: reader.u32("flags")?,
        })
    }
}

/// Head of the reply to `GET_PACKET`, 12 bytes. The bytes come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketReply {
    /// Bytes follow only if it is OK.
    pub status: PacketStatus,
    /// Bytes that follow.
    pub length: u32,
    /// Always 0 today.
    pub flags: u32,
}

impl PacketReply {
    /// `length` bytes follow.
    pub fn ok(length: u32) -> Self {
        Self {
            status: PacketStatus::Ok,
            length,
            flags: 0,
        }
    }

    /// Nothing follows.
    pub fn error() -> Self {
        Self {
            status: PacketStatus::Error,
            length: 0,
            flags: 0,
        }
    }

    /// Appends the head alone.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.status.number());
        put_u32(out, self.length);
        put_u32(out, self.flags);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            status: read_status(reader, PacketStatus::from_number)?,
            length: reader.u32("len")?,
            flags: reader.u32("flags")?,
        })
    }
}

/// Head of the reply to `GET_METADATA`, 12 bytes. The bytes come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataReply {
    /// Bytes that follow. The first field here, unlike in [`PacketReply`].
    pub length: u64,
    /// Bytes follow only if it is OK.
    pub status: MetadataStatus,
}

impl MetadataReply {
    /// `length` bytes follow.
    pub fn ok(length: u64) -> Self {
        Self {
            length,
            status: MetadataStatus::Ok,
        }
    }

    /// Nothing follows.
    pub fn without_bytes(status: MetadataStatus) -> Self {
        Self { length: 0, status }
    }

    /// Appends the head alone.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.length);
        put_u32(out, self.status.number());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            length: reader.u64("len")?,
            status: read_status(reader, MetadataStatus::from_number)?,
        })
    }
}

/// The reply to a `kind` request at the start of `bytes`, and how many of them
/// it takes; `None` if more must come first.
pub fn decode(
    kind: RequestKind,
    minor: u32,
    bytes: &[u8],
) -> Result<Option<(Reply<'_>, usize)>, WireError> {
    partial(bytes, |reader| read(kind, minor, reader))
}

fn read<'a>(
    kind: RequestKind,
    minor: u32,
    reader: &mut Reader<'a>,
) -> Result<Reply<'a>, WireError> {
    Ok(match kind {
        RequestKind::Connect => Reply::Connect(ConnectReply::read(reader)?),
        RequestKind::ListSessions => {
            let count = reader.u32("sessions_count")?;
            Reply::ListSessions(read_entries(reader, count, |reader| {
                SessionEntry::read(minor, reader)
            })?)
        }
        RequestKind::Attach => {
            let status = read_status(reader, AttachStatus::from_number)?;
            Reply::Attach(status, read_streams(reader, status == AttachStatus::Ok)?)
        }
        RequestKind::NextIndex => Reply::NextIndex(IndexReply::read(reader)?),
        RequestKind::Packet => {
            let reply = PacketReply::read(reader)?;
            let bytes = match reply.status {
                PacketStatus::Ok => reader.bytes("packet", u64::from(reply.length))?,
                _ => &[],
            };
            Reply::Packet(reply, bytes)
        }
        RequestKind::Metadata => {
            let reply = MetadataReply::read(reader)?;
            let bytes = match reply.status {
                MetadataStatus::Ok => reader.bytes("metadata", reply.length)?,
                _ => &[],
            };
            Reply::Metadata(reply, bytes)
        }
        RequestKind::NewStreams => {
            let status = read_status(reader, NewStreamsStatus::from_number)?;
            Reply::NewStreams(
                status,
                read_streams(reader, status == NewStreamsStatus::Ok)?,
            )
        }
        RequestKind::CreateSession => {
            Reply::CreateSession(read_status(reader, CreateSessionStatus::from_number)?)
        }
        RequestKind::Detach => Reply::Detach(read_status(reader, DetachStatus::from_number)?),
    })
}

/// The count of streams, and the streams if `any` follow.
fn read_streams<'a>(reader: &mut Reader<'a>, any: bool) -> Result<Vec<StreamEntry<'a>>, WireError> {
    let count = reader.u32("streams_count")?;
    read_entries(reader, if any { count } else { 0 }, StreamEntry::read)
}

/// `count` entries. Memory is allocated as they are read, since the count is not trusted.
fn read_entries<'a, T>(
    reader: &mut Reader<'a>,
    count: u32,
    read: impl Fn(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    (0..count).map(|_| read(reader)).collect()
}

fn read_status<T>(
    reader: &mut Reader<'_>,
    from_number: impl FnOnce(u32) -> Option<T>,
) -> Result<T, WireError> {
    let number = reader.u32("status")?;
    from_number(number).ok_or(WireError::Value {
        field: "status",
        value: u64::from(number),
        expected: "a status of this reply",
    })
}

/// To `LIST_SESSIONS`.
pub fn session_list(out: &mut Vec<u8>, minor: u32, sessions: &[SessionEntry<'_>]) {
    put_u32(out, sessions.len() as u32);
    for session in sessions {
        session.encode(minor, out);
    }
}

/// To `LIST_SESSIONS`, written entry by entry: its begin. The number of entries is said at the end
/// ([`end_session_list`]).
pub fn begin_session_list(out: &mut Vec<u8>) {
    put_u32(out, 0);
}

/// Says the number of entries of a list that begins at the begin of `list`.
pub fn end_session_list(list: &mut [u8], count: u32) {
    if let Some(begin) = list.first_chunk_mut() {
        *begin = count.to_be_bytes();
    }
}

/// To `ATTACH_SESSION`. `streams` are left out unless the status is OK.
pub fn attached(out: &mut Vec<u8>, status: AttachStatus, streams: &[StreamEntry<'_>]) {
    put_u32(out, status.number());
    put_streams(out, status == AttachStatus::Ok, streams);
}

/// To `GET_NEW_STREAMS`. `streams` are left out unless the status is OK.
pub fn new_streams(out: &mut Vec<u8>, status: NewStreamsStatus, streams: &[StreamEntry<'_>]) {
    put_u32(out, status.number());
    put_streams(out, status == NewStreamsStatus::Ok, streams);
}

/// To `CREATE_SESSION`.
pub fn session_created(out: &mut Vec<u8>, status: CreateSessionStatus) {
    put_u32(out, status.number());
}

/// To `DETACH_SESSION`.
pub fn detached(out: &mut Vec<u8>, status: DetachStatus) {
    put_u32(out, status.number());
}

/// To a command number that is none.
pub fn unknown_command(out: &mut Vec<u8>) {
    put_u32(out, UNKNOWN_COMMAND);
}

fn put_streams(out: &mut Vec<u8>, any: bool, streams: &[StreamEntry<'_>]) {
    if !any {
        put_zeros(out, 4);
        return;
    }
    put_u32(out, streams.len() as u32);
    for stream in streams {
        stream.encode(out);
    }
}

/// The reply to an unknown command.
pub const UNKNOWN_COMMAND: u32 = 11;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
