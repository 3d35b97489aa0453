//! Messages and replies, in bytes.

use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{self, Command, HEADER_SIZE, Header};
use baton_systems::client;

use crate::stage;

pub fn stored(name: &str) -> producer::CreateSession<'_> {
    producer::CreateSession {
        live_timer_us: 0,
        ..stage::session(name)
    }
}

pub fn snapshot(name: &str) -> producer::CreateSession<'_> {
    producer::CreateSession {
        snapshot: true,
        ..stored(name)
    }
}

pub fn close_stream(stream: u64, last_sequence: u64) -> Command<'static> {
    Command::CloseStream(producer::CloseStream {
        stream,
        last_sequence,
    })
}

pub fn begin(session: u64) -> Command<'static> {
    Command::BeginDataPending(producer::BeginDataPending { session })
}

pub fn ask(stream: u64, last_sequence: u64) -> Command<'static> {
    Command::DataPending(producer::DataPending {
        stream,
        last_sequence,
    })
}

pub fn quiescent(stream: u64) -> Command<'static> {
    Command::QuiescentControl(producer::QuiescentControl { stream })
}

pub fn metadata(stream: u64, bytes: &'static [u8]) -> Command<'static> {
    Command::SendMetadata(producer::SendMetadata {
        stream,
        padding_size: 0,
        bytes,
    })
}

pub fn packet_header(stream: u64, sequence: u64) -> PacketHeader {
    PacketHeader {
        stream,
        sequence,
        size: stage::PACKET_BYTES as u32,
        padding: 0,
    }
}

pub fn payload(minor: u32, command: &Command) -> Vec<u8> {
    client::command(minor, command)[HEADER_SIZE..].to_vec()
}

/// A message of any number.
pub fn numbered(command: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(command, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The header of a control message.
pub fn header(command: u32, payload_size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header {
        payload_size,
        command,
    };
    header.encode(&mut bytes);
    bytes
}

/// The reply that is a code alone.
pub fn code(code: u32) -> Vec<u8> {
    code.to_be_bytes().to_vec()
}

/// A number and a code, as ADD_STREAM and old CREATE_SESSIONs are answered.
pub fn id_and_code(id: u64, code: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &code.to_be_bytes()].concat()
}

/// A path with its NUL, after its length.
pub fn path(path: &str) -> Vec<u8> {
    let length = path.len() as u32 + 1;
    [&length.to_be_bytes()[..], path.as_bytes(), b"\0"].concat()
}

pub const OK: u32 = 10;
pub const UNKNOWN_ERR: u32 = 11;
pub const FATAL: u32 = 25;
pub const NOMEM: u32 = 26;
pub const INVALID: u32 = 97;
pub const INVALID_PROTOCOL: u32 = 152;
pub const FILE_CREATION: u32 = 153;
pub const NOTHING: &[u8] = &[];
pub const OUR_VERSION: &[u8] = &[0, 0, 0, 2, 0, 0, 0, 15];
