//! The producers' control connection: header, commands, replies; and in
//! [`data`] their data connection.
//!
//! A command is a 24-byte [`Header`] and a payload. [`decode`] makes a
//! [`Command`] of the payload, [`Command::encode`] the bytes of both. Layouts
//! of the commands stand in `session`, `stream`, `pending` and `chunk` by theme, those of
//! the replies in [`reply`].
//!
//! Other modules decide the reply to an error, and whether it ends the connection.

mod chunk;
pub mod code;
pub mod data;
mod kind;
mod pending;
pub mod reply;
mod session;
mod stream;

use byteorder::{BigEndian, ByteOrder};

use super::codec::{WireError, put_u32, put_u64};

pub use chunk::{
    CloseTraceChunk, CreateTraceChunk, RotateLayout, RotatePosition, RotatePositions,
    RotateStreams, TraceChunkExists,
};
pub use kind::{CommandKind, PAYLOAD_SIZE_MAX, SMALL_PAYLOAD_SIZE_MAX};
pub use pending::{BeginDataPending, DataPending, EndDataPending, QuiescentControl};
pub use session::{CreateSession, GetConfiguration, Origin, Version};
pub use stream::{AddStream, CloseStream, ResetMetadata, SendIndex, SendMetadata};

/// The header of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload. Not limited here: see [`CommandKind::payload_size_max`].
    pub payload_size: u64,
    /// Number of the command, which may be no [`CommandKind`].
    pub command: u32,
}

impl Header {
    /// Any 24 bytes are a header. Circuit id and command version are ignored.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        Self {
            payload_size: BigEndian::read_u64(&bytes[8..16]),
            command: BigEndian::read_u32(&bytes[16..20]),
        }
    }

    /// Appends the header, with 0 as circuit id and command version.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, 0);
        put_u64(out, self.payload_size);
        put_u32(out, self.command);
        put_u32(out, 0);
    }
}

/// The minors that select layouts. They differ only when a producer sends
/// `VERSION` again after `CREATE_SESSION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minors {
    /// Of the connection, set by `VERSION`: selects the layouts of
    /// `CREATE_SESSION` and `SEND_INDEX`.
    pub connection: u32,
    /// Of the session, taken from the connection when it was created: selects
    /// the layout of `ADD_STREAM`.
    pub session: u32,
}

impl Minors {
    /// The same minor for connection and session.
    pub fn both(minor: u32) -> Self {
        Self {
            connection: minor,
            session: minor,
        }
    }
}

/// A command with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `ADD_STREAM`
    AddStream(AddStream<'a>),
    /// `CREATE_SESSION`
    CreateSession(CreateSession<'a>),
    /// `START_DATA`
    StartData,
    /// `VERSION`
    Version(Version),
    /// `SEND_METADATA`
    SendMetadata(SendMetadata<'a>),
    /// `CLOSE_STREAM`
    CloseStream(CloseStream),
    /// `DATA_PENDING`
    DataPending(DataPending),
    /// `QUIESCENT_CONTROL`
    QuiescentControl(QuiescentControl),
    /// `BEGIN_DATA_PENDING`
    BeginDataPending(BeginDataPending),
    /// `END_DATA_PENDING`
    EndDataPending(EndDataPending),
    /// `SEND_INDEX`
    SendIndex(SendIndex),
    /// `STREAMS_SENT`
    StreamsSent,
    /// `RESET_METADATA`
    ResetMetadata(ResetMetadata),
    /// `ROTATE_STREAMS`
    RotateStreams(RotateStreams<'a>),
    /// `CREATE_TRACE_CHUNK`
    CreateTraceChunk(CreateTraceChunk<'a>),
    /// `CLOSE_TRACE_CHUNK`
    CloseTraceChunk(CloseTraceChunk),
    /// `TRACE_CHUNK_EXISTS`
    TraceChunkExists(TraceChunkExists),
    /// `GET_CONFIGURATION`
    GetConfiguration(GetConfiguration),
}

impl Command<'_> {
    /// Which command it is.
    pub fn kind(&self) -> CommandKind {
        match self {
            Self::AddStream(_) => CommandKind::AddStream,
            Self::CreateSession(_) => CommandKind::CreateSession,
            Self::StartData => CommandKind::StartData,
            Self::Version(_) => CommandKind::Version,
            Self::SendMetadata(_) => CommandKind::SendMetadata,
            Self::CloseStream(_) => CommandKind::CloseStream,
            Self::DataPending(_) => CommandKind::DataPending,
            Self::QuiescentControl(_) => CommandKind::QuiescentControl,
            Self::BeginDataPending(_) => CommandKind::BeginDataPending,
            Self::EndDataPending(_) => CommandKind::EndDataPending,
            Self::SendIndex(_) => CommandKind::SendIndex,
            Self::StreamsSent => CommandKind::StreamsSent,
            Self::ResetMetadata(_) => CommandKind::ResetMetadata,
            Self::RotateStreams(_) => CommandKind::RotateStreams,
            Self::CreateTraceChunk(_) => CommandKind::CreateTraceChunk,
            Self::CloseTraceChunk(_) => CommandKind::CloseTraceChunk,
            Self::TraceChunkExists(_) => CommandKind::TraceChunkExists,
            Self::GetConfiguration(_) => CommandKind::GetConfiguration,
        }
    }

    /// Appends header and payload as a producer of these minors sends them.
    ///
    /// Fields that the layout lacks are left out. Limits are not checked, so
    /// that a test can send what a relay must refuse.
    pub fn encode(&self, minors: Minors, out: &mut Vec<u8>) {
        let header_at = out.len();
        let mut header = Header {
            payload_size: 0,
            command: self.kind().number(),
        };
        header.encode(out);
        let payload_at = out.len();
        self.encode_payload(minors, out);
        // The size is known only now; the header takes the place kept for it.
        header.payload_size = (out.len() - payload_at) as u64;
        let mut bytes = Vec::with_capacity(HEADER_SIZE);
        header.encode(&mut bytes);
        if let Some(place) = out.get_mut(header_at..payload_at) {
            place.copy_from_slice(&bytes);
        }
    }

    /// Appends the payload alone. `ROTATE_STREAMS` gets the layout of 64-bit
    /// producers; [`RotateStreams::encode_payload`] writes the others.
    pub fn encode_payload(&self, minors: Minors, out: &mut Vec<u8>) {
        match self {
            Self::AddStream(command) => command.encode_payload(minors.session, out),
            Self::CreateSession(command) => command.encode_payload(minors.connection, out),
            Self::StartData | Self::StreamsSent => {}
            Self::Version(command) => command.encode_payload(out),
            Self::SendMetadata(command) => command.encode_payload(out),
            Self::CloseStream(command) => command.encode_payload(out),
            Self::DataPending(command) => command.encode_payload(out),
            Self::QuiescentControl(command) => command.encode_payload(out),
            Self::BeginDataPending(command) => command.encode_payload(out),
            Self::EndDataPending(command) => command.encode_payload(out),
            Self::SendIndex(command) => command.encode_payload(minors.connection, out),
            Self::ResetMetadata(command) => command.encode_payload(out),
            Self::RotateStreams(command) => command.encode_payload(RotateLayout::Padded7, out),
            Self::CreateTraceChunk(command) => command.encode_payload(out),
            Self::CloseTraceChunk(command) => command.encode_payload(out),
            Self::TraceChunkExists(command) => command.encode_payload(out),
            Self::GetConfiguration(command) => command.encode_payload(out),
        }
    }
}

/// The command that a whole `payload` holds.
///
/// Bytes after what the command needs are ignored, except in
/// `ROTATE_STREAMS`, whose size selects its layout.
///
/// `CREATE_TRACE_CHUNK` gets two kinds of answers from a relay, so its errors
/// can be told apart: [`WireError::Short`] is a payload under the fixed 20
/// bytes (no reply), any other variant is a bad override name (refused with
/// [`code::INVALID`]).
pub fn decode(kind: CommandKind, minors: Minors, payload: &[u8]) -> Result<Command<'_>, WireError> {
    Ok(match kind {
        CommandKind::AddStream => {
            Command::AddStream(AddStream::decode_payload(minors.session, payload)?)
        }
        CommandKind::CreateSession => {
            Command::CreateSession(CreateSession::decode_payload(minors.connection, payload)?)
        }
        CommandKind::StartData => Command::StartData,
        CommandKind::Version => Command::Version(Version::decode_payload(payload)?),
        CommandKind::SendMetadata => Command::SendMetadata(SendMetadata::decode_payload(payload)?),
        CommandKind::CloseStream => Command::CloseStream(CloseStream::decode_payload(payload)?),
        CommandKind::DataPending => Command::DataPending(DataPending::decode_payload(payload)?),
        CommandKind::QuiescentControl => {
            Command::QuiescentControl(QuiescentControl::decode_payload(payload)?)
        }
        CommandKind::BeginDataPending => {
            Command::BeginDataPending(BeginDataPending::decode_payload(payload)?)
        }
        CommandKind::EndDataPending => {
            Command::EndDataPending(EndDataPending::decode_payload(payload)?)
        }
        CommandKind::SendIndex => {
            Command::SendIndex(SendIndex::decode_payload(minors.connection, payload)?)
        }
        CommandKind::StreamsSent => Command::StreamsSent,
        CommandKind::ResetMetadata => {
            Command::ResetMetadata(ResetMetadata::decode_payload(payload)?)
        }
        CommandKind::RotateStreams => {
            Command::RotateStreams(RotateStreams::decode_payload(payload)?)
        }
        CommandKind::CreateTraceChunk => {
            Command::CreateTraceChunk(CreateTraceChunk::decode_payload(payload)?)
        }
        CommandKind::CloseTraceChunk => {
            Command::CloseTraceChunk(CloseTraceChunk::decode_payload(payload)?)
        }
        CommandKind::TraceChunkExists => {
            Command::TraceChunkExists(TraceChunkExists::decode_payload(payload)?)
        }
        CommandKind::GetConfiguration => {
            Command::GetConfiguration(GetConfiguration::decode_payload(payload)?)
        }
    })
}

/// Bytes of a [`Header`].
pub const HEADER_SIZE: usize = 24;

/// "None" in 64-bit fields that have no flag: all ones.
pub const NONE: u64 = u64::MAX;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Asserts that `command`, encoded and decoded, is the same, with trailing bytes too,
    /// and is refused if bytes are missing (except so many as `may_miss` allows). Returns
    /// the whole message.
    pub fn assert_round_trip(
        command: &Command<'_>,
        minors: Minors,
        may_miss: impl Fn(usize) -> bool,
    ) -> Vec<u8> {
        let kind = command.kind();
        let mut message = b"before".to_vec();
        command.encode(minors, &mut message);
        let message = message.split_off(6);
        let header = Header::decode(message.first_chunk().unwrap());
        let payload = &message[HEADER_SIZE..];
        assert_eq!(header.payload_size, payload.len() as u64);
        assert_eq!(CommandKind::from_number(header.command), Some(kind));
        assert_eq!(decode(kind, minors, payload).as_ref(), Ok(command));
        for missing in 1..=payload.len() {
            let cut = decode(kind, minors, &payload[..payload.len() - missing]);
            assert!(
                cut.is_err() || may_miss(missing),
                "{kind:?} without {missing}"
            );
        }
        if !matches!(
            command,
            Command::RotateStreams(_) | Command::SendMetadata(_)
        ) {
            let mut longer = payload.to_vec();
            longer.extend_from_slice(b"\x01\0\xff");
            assert_eq!(decode(kind, minors, &longer).as_ref(), Ok(command));
        }
        message
    }

    #[test]
    fn commands_without_a_payload_are_a_header() {
        for command in [Command::StartData, Command::StreamsSent] {
            let message = assert_round_trip(&command, Minors::both(15), |_| false);
            assert_eq!(message.len(), HEADER_SIZE);
        }
    }

    #[test]
    fn header_fields_have_their_places() {
        let mut bytes = [0; HEADER_SIZE];
        for (position, byte) in (0..).zip(&mut bytes) {
            *byte = position;
        }
        let header = Header {
            payload_size: 0x0809_0a0b_0c0d_0e0f,
            command: 0x1011_1213,
        };
        assert_eq!(Header::decode(&bytes), header);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_an_error(
            payload in prop::collection::vec(prop_oneof![Just(0), any::<u8>(), 0..20_u8], 0..200),
            connection in 0..20_u32,
            session in 0..20_u32,
        ) {
            for kind in CommandKind::ALL {
                let minors = Minors { connection, session };
                if let Ok(command) = decode(kind, minors, &payload) {
                    prop_assert_eq!(command.kind(), kind);
                    let mut out = Vec::new();
                    command.encode(minors, &mut out);
                    let again = decode(kind, minors, &out[HEADER_SIZE..]);
                    prop_assert_eq!(again.as_ref(), Ok(&command));
                }
            }
        }
    }
}
