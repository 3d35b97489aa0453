//! The producers' data connection: the header before each packet's bytes.
//!
//! The connection has no other message and no reply. Padding is announced in
//! the header and not transmitted.

use byteorder::{BigEndian, ByteOrder};

use crate::wire::codec::{put_u32, put_u64};

/// The header of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketHeader {
    /// Handle of the stream, as given by the reply to `ADD_STREAM`.
    pub stream: u64,
    /// Network sequence number: counts the packets of the stream.
    pub sequence: u64,
    /// Bytes that follow.
    pub size: u32,
    /// Zero bytes that belong after them in the file. They are not sent.
    pub padding: u32,
}

impl PacketHeader {
    /// Any 32 bytes are a header. The circuit id (the first 8) is ignored.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        Self {
            stream: BigEndian::read_u64(&bytes[8..16]),
            sequence: BigEndian::read_u64(&bytes[16..24]),
            size: BigEndian::read_u32(&bytes[24..28]),
            padding: BigEndian::read_u32(&bytes[28..32]),
        }
    }

    /// Appends the header, with a circuit id of 0.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, 0);
        put_u64(out, self.stream);
        put_u64(out, self.sequence);
        put_u32(out, self.size);
        put_u32(out, self.padding);
    }
}

/// Bytes of a [`PacketHeader`].
pub const HEADER_SIZE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_have_their_places() {
        let mut bytes = [0; HEADER_SIZE];
        for (position, byte) in (0..).zip(&mut bytes) {
            *byte = position;
        }
        let header = PacketHeader {
            stream: 0x0809_0a0b_0c0d_0e0f,
            sequence: 0x1011_1213_1415_1617,
            size: 0x1819_1a1b,
            padding: 0x1c1d_1e1f,
        };
        assert_eq!(PacketHeader::decode(&bytes), header);
    }

    proptest! {
        #[test]
        fn headers_come_back(stream: u64, sequence: u64, size: u32, padding: u32) {
            let header = PacketHeader { stream, sequence, size, padding };
            let mut out = Vec::new();
            header.encode(&mut out);
            let bytes = out.first_chunk().copied();
            prop_assert_eq!(out.len(), HEADER_SIZE);
            prop_assert_eq!(bytes.map(|bytes| PacketHeader::decode(&bytes)), Some(header));
        }
    }
}
