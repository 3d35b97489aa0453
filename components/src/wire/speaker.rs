//! Recognises the protocol of a peer by its first bytes, for peers that came to the wrong
//! port.

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::producer::{self, CommandKind};
use super::viewer::{self, RequestKind};

/// A protocol that a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaker {
    /// A producer's control connection, which begins with VERSION.
    Control,
    /// A producer's data connection, which begins with the header of a packet.
    Data,
    /// A viewer, which begins with CONNECT.
    Live,
    /// A web browser, or a monitor.
    Http,
    /// Any protocol in TLS.
    Tls,
}

impl Speaker {
    /// The protocol that these first bytes of a peer are of; none if more have to come, or no
    /// protocol here begins so.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let is_http = METHODS.iter().any(|method| bytes.starts_with(method));
        if is_http {
            return Some(Self::Http);
        }
        if let [
            HANDSHAKE,
            TLS_MAJOR,
            0..=TLS_MINOR_MAX,
            _,
            _,
            CLIENT_HELLO,
            ..,
        ] = bytes
        {
            return Some(Self::Tls);
        }
        if let Some(header) = bytes.first_chunk::<{ viewer::HEADER_SIZE }>()
            && is_connect(header)
        {
            return Some(Self::Live);
        }
        let header = bytes.first_chunk::<{ producer::HEADER_SIZE }>()?;
        if BigEndian::read_u64(&header[..8]) != CIRCUIT {
            return None;
        }
        let second = BigEndian::read_u64(&header[8..16]);
        let third = BigEndian::read_u64(&header[16..]);
        let version = u64::from(CommandKind::Version.number()) << 32;
        match (second, third) {
            (VERSION_SIZE, third) if third == version => Some(Self::Control),
            // The handle of a stream, and the number of its first packet.
            (HANDLE_LIKELY.., 0) => Some(Self::Data),
            _ => None,
        }
    }
}

/// Some viewers write the size of the payload in their own byte order.
fn is_connect(header: &[u8; viewer::HEADER_SIZE]) -> bool {
    let size = RequestKind::Connect.payload_size() as u64;
    let sizes = [
        BigEndian::read_u64(&header[..8]),
        LittleEndian::read_u64(&header[..8]),
    ];
    let command = viewer::Header::decode(header).command;
    sizes.contains(&size) && command == RequestKind::Connect.number()
}

/// Begins of requests; the last is that of HTTP/2.
const METHODS: [&[u8]; 8] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PRI * HTTP/2",
];

/// The type of a TLS record, and what it begins with.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Versions of TLS records: of SSL 3.0 to TLS 1.3.
const TLS_MAJOR: u8 = 3;
const TLS_MINOR_MAX: u8 = 4;

/// The circuit id of all producers.
const CIRCUIT: u64 = 0;
/// Bytes of the payload of VERSION.
const VERSION_SIZE: u64 = 8;
/// Handles are random numbers of 64 bits: as good as all are larger, and no size of a command
/// is.
const HANDLE_LIKELY: u64 = 1 << 32;

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::producer::data::PacketHeader;
    use crate::wire::producer::{Command, Minors, Version};
    use crate::wire::viewer::{KIND_COMMAND, Request};

    fn version() -> Vec<u8> {
        let mut bytes = Vec::new();
        let version = Version {
            major: 2,
            minor: 13,
        };
        Command::Version(version).encode(Minors::both(13), &mut bytes);
        bytes
    }

    fn connect() -> Vec<u8> {
        let mut bytes = Vec::new();
        let connect = Request::Connect {
            major: 2,
            minor: 4,
            kind: KIND_COMMAND,
        };
        connect.encode(&mut bytes);
        bytes
    }

    fn packet() -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = PacketHeader {
            stream: 0x1234_5678_9abc_def0,
            size: 4096,
            ..PacketHeader::default()
        };
        header.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_protocol_is_known_by_its_beginning() {
        let mut old_viewer = connect();
        old_viewer[..8].reverse();
        let hello = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for (bytes, speaker) in [
            (&version()[..], Speaker::Control),
            (&packet(), Speaker::Data),
            (&connect(), Speaker::Live),
            (&old_viewer, Speaker::Live),
            (b"GET / HTTP/1.0\r\n\r\n", Speaker::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Speaker::Http),
            (&hello, Speaker::Tls),
        ] {
            assert_eq!(Speaker::of(bytes), Some(speaker));
            // Never another one by less of it.
            for cut in 0..bytes.len() {
                let less = Speaker::of(&bytes[..cut]);
                assert!(less.is_none_or(|it| it == speaker), "{speaker:?} {cut}");
            }
        }
    }

    #[test]
    fn what_is_none_of_them_is_not_known() {
        for bytes in [&b""[..], b"GETTING", &[0; 64], &[22, 3, 9, 0, 0, 1]] {
            assert_eq!(Speaker::of(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let speaker = Speaker::of(&bytes);
            prop_assert!(!bytes.is_empty() || speaker.is_none());
        }
    }
}
