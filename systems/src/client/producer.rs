//! A producer: the control connection of a session daemon and a consumer daemon, and the
//! packets of their data connection.

use std::io::{self, Read};

use baton_components::wire::codec::WireError;
use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::reply::{self, Reply};
use baton_components::wire::producer::{Command, CommandKind, Minors, SendIndex};

use super::Replies;

/// A producer's side of a control connection.
#[derive(Debug, Default)]
pub struct Producer {
    minor: u32,
    replies: Replies<CommandKind>,
}

impl Producer {
    /// A producer of this minor. It changes to the relay's minor if that is lower.
    pub fn new(minor: u32) -> Self {
        Self {
            minor,
            replies: Replies::default(),
        }
    }

    /// The minor in use.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Replies that are due.
    pub fn due(&self) -> usize {
        self.replies.due.len()
    }

    /// Appends a command to the bytes to send.
    pub fn say(&mut self, command: &Command, out: &mut Vec<u8>) {
        command.encode(Minors::both(self.minor), out);
        // The only command without a reply.
        if command.kind() != CommandKind::SendMetadata {
            self.replies.due.push_back(command.kind());
        }
    }

    /// Adds bytes that the relay sent.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.replies.hear(bytes);
    }

    /// Reads from the relay with one call.
    pub fn read_from(&mut self, connection: &mut impl Read) -> io::Result<()> {
        self.replies.read_from(connection)
    }

    /// The next reply, once it is complete, with the command that it answers.
    pub fn reply(&mut self) -> Result<Option<(CommandKind, Reply<'_>)>, WireError> {
        let replies = &mut self.replies;
        let Some(kind) = replies.due.front().copied() else {
            return Ok(None);
        };
        let bytes = &replies.buffer[replies.begin..replies.end];
        let Some((reply, size)) = reply::decode(kind, self.minor, bytes)? else {
            return Ok(None);
        };
        replies.due.pop_front();
        replies.begin += size;
        if let Reply::Version(relay) = reply {
            self.minor = self.minor.min(relay.minor);
        }
        Ok(Some((kind, reply)))
    }
}

/// Encodes a command in the layout of a minor.
pub fn command(minor: u32, command: &Command) -> Vec<u8> {
    let mut bytes = Vec::new();
    command.encode(Minors::both(minor), &mut bytes);
    bytes
}

/// Encodes a packet for the data connection, without padding.
pub fn packet(stream: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let header = PacketHeader {
        stream,
        sequence,
        size: payload.len() as u32,
        padding: 0,
    };
    headed(&header, payload)
}

/// Encodes a header and bytes, whose number may differ from the header's size.
pub fn headed(header: &PacketHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// The description of a packet with this number of bytes, all of them content, without
/// times.
pub fn description(stream: u64, sequence: u64, bytes: usize) -> SendIndex {
    SendIndex {
        stream,
        sequence,
        packet_size_bits: bytes as u64 * 8,
        content_size_bits: bytes as u64 * 8,
        packet_sequence: sequence,
        ..SendIndex::default()
    }
}
