//! The viewers' connection: header and requests; in [`reply`] the replies.
//!
//! A request is a 16-byte header and a payload whose size follows from the
//! command alone: what the header says about it is ignored, since some viewers
//! write it in their own byte order. Replies have no header.
//!
//! Layouts depend on the minor in one place only, the session list.

mod entry;
pub mod reply;
mod status;

use byteorder::{BigEndian, ByteOrder};

use super::codec::{Reader, WireError, put_u32, put_u64};
use super::numbered::numbered;

pub use entry::{SessionEntry, StreamEntry};
pub use status::{
    AttachStatus, CreateSessionStatus, DetachStatus, MetadataStatus, NewStreamsStatus,
    NextIndexStatus, PacketStatus,
};

/// The header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload as the viewer says; not to be relied on.
    pub payload_size: u64,
    /// Number of the command, which may be no [`RequestKind`].
    pub command: u32,
}

impl Header {
    /// Any 16 bytes are a header. The command version is ignored.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        Self {
            payload_size: BigEndian::read_u64(&bytes[0..8]),
            command: BigEndian::read_u32(&bytes[8..12]),
        }
    }

    /// Appends the header, with 0 as command version.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.payload_size);
        put_u32(out, self.command);
        put_u32(out, 0);
    }
}

numbered! {
    /// A command of the viewers' connection.
    pub enum RequestKind {
        /// Announces the viewer's version, first of all.
        Connect = 1, "CONNECT";
        /// Asks for the sessions of the relay.
        ListSessions = 2, "LIST_SESSIONS";
        /// Attaches to a session.
        Attach = 3, "ATTACH_SESSION";
        /// Asks for the next packet of a stream: where it is, not its bytes.
        NextIndex = 4, "GET_NEXT_INDEX";
        /// Asks for bytes of a stream.
        Packet = 5, "GET_PACKET";
        /// Asks for the metadata received since the last time.
        Metadata = 6, "GET_METADATA";
        /// Asks for the streams that are new since the last time.
        NewStreams = 7, "GET_NEW_STREAMS";
        /// Makes a viewer session.
        CreateSession = 8, "CREATE_SESSION";
        /// Detaches from a session (since 2.8, answered at any minor).
        Detach = 9, "DETACH_SESSION";
    }
}

impl RequestKind {
    /// Bytes of the payload, whatever the header says.
    pub fn payload_size(self) -> usize {
        match self {
            Self::ListSessions | Self::CreateSession => 0,
            Self::NextIndex | Self::Metadata | Self::NewStreams | Self::Detach => 8,
            Self::Connect | Self::Attach | Self::Packet => PAYLOAD_SIZE_MAX,
        }
    }
}

/// A request with its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `CONNECT`. The viewer session number in it has no meaning.
    Connect {
        /// Must be 2 on both sides.
        major: u32,
        /// Both sides use the smaller one.
        minor: u32,
        /// [`KIND_COMMAND`] or [`KIND_NOTIFICATION`]; others are refused
        /// elsewhere.
        kind: u32,
    },
    /// `LIST_SESSIONS`
    ListSessions,
    /// `ATTACH_SESSION`. The offset in it has no meaning.
    Attach {
        /// Relay session id.
        session: u64,
        /// [`SEEK_BEGINNING`] or [`SEEK_LAST`]; others are refused elsewhere.
        seek: u32,
    },
    /// `GET_NEXT_INDEX`
    NextIndex {
        /// Handle of a data stream.
        stream: u64,
    },
    /// `GET_PACKET`
    Packet {
        /// Handle of a data stream.
        stream: u64,
        /// Bytes from the start of the data file.
        offset: u64,
        /// Bytes wanted.
        length: u32,
    },
    /// `GET_METADATA`
    Metadata {
        /// Handle of a metadata stream.
        stream: u64,
    },
    /// `GET_NEW_STREAMS`
    NewStreams {
        /// Relay session id.
        session: u64,
    },
    /// `CREATE_SESSION`
    CreateSession,
    /// `DETACH_SESSION`
    Detach {
        /// Relay session id.
        session: u64,
    },
}

impl Request {
    /// Which command it is.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Connect { .. } => RequestKind::Connect,
            Self::ListSessions => RequestKind::ListSessions,
            Self::Attach { .. } => RequestKind::Attach,
            Self::NextIndex { .. } => RequestKind::NextIndex,
            Self::Packet { .. } => RequestKind::Packet,
            Self::Metadata { .. } => RequestKind::Metadata,
            Self::NewStreams { .. } => RequestKind::NewStreams,
            Self::CreateSession => RequestKind::CreateSession,
            Self::Detach { .. } => RequestKind::Detach,
        }
    }

    /// Appends header and payload, as today's viewers send them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = self.kind();
        let header = Header {
            payload_size: kind.payload_size() as u64,
            command: kind.number(),
        };
        header.encode(out);
        match *self {
            Self::Connect { major, minor, kind } => {
                put_u64(out, u64::MAX);
                put_u32(out, major);
                put_u32(out, minor);
                put_u32(out, kind);
            }
            Self::ListSessions | Self::CreateSession => {}
            Self::Attach { session, seek } => {
                put_u64(out, session);
                put_u64(out, 0);
                put_u32(out, seek);
            }
            Self::Packet {
                stream,
                offset,
                length,
            } => {
                put_u64(out, stream);
                put_u64(out, offset);
                put_u32(out, length);
            }
            Self::NextIndex { stream: id }
            | Self::Metadata { stream: id }
            | Self::NewStreams { session: id }
            | Self::Detach { session: id } => put_u64(out, id),
        }
    }
}

/// The request that a payload of [`RequestKind::payload_size`] bytes holds.
/// Bytes after them are ignored.
pub fn decode(kind: RequestKind, payload: &[u8]) -> Result<Request, WireError> {
    let mut reader = Reader::new(payload);
    Ok(match kind {
        RequestKind::Connect => {
            reader.u64("viewer_session_id")?;
            Request::Connect {
                major: reader.u32("major")?,
                minor: reader.u32("minor")?,
                kind: reader.u32("type")?,
            }
        }
        RequestKind::ListSessions => Request::ListSessions,
        RequestKind::Attach => {
            let session = reader.u64("session_id")?;
            reader.u64("offset")?;
            let seek = reader.u32("seek")?;
            Request::Attach { session, seek }
        }
        RequestKind::NextIndex => Request::NextIndex {
            stream: reader.u64("stream_id")?,
        },
        RequestKind::Packet => Request::Packet {
            stream: reader.u64("stream_id")?,
            offset: reader.u64("offset")?,
            length: reader.u32("len")?,
        },
        RequestKind::Metadata => Request::Metadata {
            stream: reader.u64("stream_id")?,
        },
        RequestKind::NewStreams => Request::NewStreams {
            session: reader.u64("session_id")?,
        },
        RequestKind::CreateSession => Request::CreateSession,
        RequestKind::Detach => Request::Detach {
            session: reader.u64("session_id")?,
        },
    })
}

/// Bytes of a [`Header`].
pub const HEADER_SIZE: usize = 16;
/// Bytes of the greatest payload of a request.
pub const PAYLOAD_SIZE_MAX: usize = 20;

/// Major version of the protocol.
pub const MAJOR: u32 = 2;
/// Newest minor version of the protocol.
pub const MINOR: u32 = 15;

/// Kind of connection in `CONNECT`: the only one with a use.
pub const KIND_COMMAND: u32 = 1;
/// Kind of connection in `CONNECT`: taken, without a meaning of its own.
pub const KIND_NOTIFICATION: u32 = 2;

/// Seek of `ATTACH_SESSION`: from the oldest packet there is.
pub const SEEK_BEGINNING: u32 = 1;
/// Seek of `ATTACH_SESSION`: from the newest packet on.
pub const SEEK_LAST: u32 = 2;

/// Flag of index and packet replies: there is metadata to fetch.
pub const NEW_METADATA: u32 = 1;
/// Flag of index and packet replies: there are streams to ask for.
pub const NEW_STREAM: u32 = 2;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::wire::testing::hex;
    use proptest::prelude::*;

    fn assert_round_trip(request: Request) -> Vec<u8> {
        let kind = request.kind();
        let mut message = Vec::new();
        request.encode(&mut message);
        let header = Header::decode(message.first_chunk().unwrap());
        let payload = &message[HEADER_SIZE..];
        assert_eq!(RequestKind::from_number(header.command), Some(kind));
        assert_eq!(header.payload_size, payload.len() as u64);
        assert_eq!(payload.len(), kind.payload_size());
        assert_eq!(decode(kind, payload), Ok(request));
        for cut in 0..payload.len() {
            assert!(decode(kind, &payload[..cut]).is_err());
        }
        message
    }

    #[test]
    fn samples() {
        let connect = Request::Connect {
            major: 2,
            minor: 4,
            kind: KIND_COMMAND,
        };
        let attach = Request::Attach {
            session: 1,
            seek: SEEK_LAST,
        };
        let packet = Request::Packet {
            stream: 2,
            offset: 4096,
            length: 4096,
        };
        for (request, sample) in [
            (
                connect,
                "00 00 00 00 00 00 00 14  00 00 00 01  00 00 00 00
                 ff ff ff ff ff ff ff ff  00 00 00 02  00 00 00 04  00 00 00 01",
            ),
            (
                Request::CreateSession,
                "00 00 00 00 00 00 00 00  00 00 00 08  00 00 00 00",
            ),
            (
                Request::ListSessions,
                "00 00 00 00 00 00 00 00  00 00 00 02  00 00 00 00",
            ),
            (
                attach,
                "00 00 00 00 00 00 00 14  00 00 00 03  00 00 00 00
                 00 00 00 00 00 00 00 01  00 00 00 00 00 00 00 00  00 00 00 02",
            ),
            (
                Request::NextIndex { stream: 2 },
                "00 00 00 00 00 00 00 08  00 00 00 04  00 00 00 00  00 00 00 00 00 00 00 02",
            ),
            (
                packet,
                "00 00 00 00 00 00 00 14  00 00 00 05  00 00 00 00
                 00 00 00 00 00 00 00 02  00 00 00 00 00 00 10 00  00 00 10 00",
            ),
            (
                Request::Metadata { stream: 3 },
                "00 00 00 00 00 00 00 08  00 00 00 06  00 00 00 00  00 00 00 00 00 00 00 03",
            ),
            (
                Request::NewStreams { session: 1 },
                "00 00 00 00 00 00 00 08  00 00 00 07  00 00 00 00  00 00 00 00 00 00 00 01",
            ),
            (
                Request::Detach { session: 1 },
                "00 00 00 00 00 00 00 08  00 00 00 09  00 00 00 00  00 00 00 00 00 00 00 01",
            ),
        ] {
            assert_eq!(assert_round_trip(request), hex(sample), "{request:?}");
        }
    }

    #[test]
    fn a_size_in_another_byte_order_is_no_matter() {
        let bytes = hex("14 00 00 00 00 00 00 00  00 00 00 05  00 00 00 00");
        let header = Header::decode(bytes.first_chunk().unwrap());
        let kind = RequestKind::from_number(header.command).unwrap();
        assert_eq!((kind, kind.payload_size()), (RequestKind::Packet, 20));
    }

    #[test]
    fn numbers_come_back() {
        for kind in RequestKind::ALL {
            assert_eq!(RequestKind::from_number(kind.number()), Some(kind));
            assert!(kind.payload_size() <= PAYLOAD_SIZE_MAX);
        }
        assert_eq!(RequestKind::ALL.len(), 9);
        for number in [0, 10, u32::MAX] {
            assert_eq!(RequestKind::from_number(number), None);
        }
    }

    proptest! {
        #[test]
        fn requests_come_back(one in any::<u64>(), two in any::<u64>(), (a, b, c) in any::<(u32, u32, u32)>()) {
            for request in [
                Request::Connect { major: a, minor: b, kind: c },
                Request::ListSessions,
                Request::Attach { session: one, seek: a },
                Request::NextIndex { stream: one },
                Request::Packet { stream: one, offset: two, length: a },
                Request::Metadata { stream: one },
                Request::NewStreams { session: one },
                Request::CreateSession,
                Request::Detach { session: one },
            ] {
                assert_round_trip(request);
            }
        }

        #[test]
        fn any_payload_of_the_right_size_is_a_request(bytes: [u8; 24]) {
            for kind in RequestKind::ALL {
                let request = decode(kind, &bytes).unwrap();
                prop_assert_eq!(request.kind(), kind);
            }
        }
    }
}
