//! CTF index files: a header, then one record a packet, all big endian.
//!
//! A relay writes them next to the data files and reads them for viewers. This module has
//! the format only, no paths and no I/O.

use super::codec::{Reader, WireError, put_u64};

/// Version of an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Of sessions below minor 8.
    V1_0,
    /// With instance and number of the packet.
    V1_1,
}

impl Version {
    /// The version for a session of this minor (of the producer protocol).
    pub fn for_minor(session_minor: u32) -> Self {
        if session_minor < 8 {
            Self::V1_0
        } else {
            Self::V1_1
        }
    }

    /// Bytes of a record.
    pub fn record_size(self) -> usize {
        match self {
            Self::V1_0 => 56,
            Self::V1_1 => 72,
        }
    }

    /// The header of the file.
    pub fn header(&self) -> [u8; HEADER_SIZE] {
        let size = self.record_size() as u8;
        let [a, b, c, d] = MAGIC.to_be_bytes();
        [a, b, c, d, 0, 0, 0, 1, 0, 0, 0, self.minor(), 0, 0, 0, size]
    }

    /// The version of a file that begins with `bytes`.
    pub fn from_header(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32("magic")?;
        let major = reader.u32("major")?;
        let minor = reader.u32("minor")?;
        let record_size = reader.u32("record_length")?;
        expect("magic", magic == MAGIC, magic, "0xC1F1DCC1")?;
        expect("major", major == 1, major, "1")?;
        let (version, expected) = match minor {
            0 => (Self::V1_0, "56"),
            1 => (Self::V1_1, "72"),
            _ => return Err(unexpected("minor", minor, "0 or 1")),
        };
        let fits = record_size as usize == version.record_size();
        expect("record_length", fits, record_size, expected)?;
        Ok(version)
    }

    fn minor(self) -> u8 {
        match self {
            Self::V1_0 => 0,
            Self::V1_1 => 1,
        }
    }
}

/// Location and description of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRecord {
    /// Begin of the packet in its data file, in bytes.
    pub offset_bytes: u64,
    /// Size of the packet in bits, padding included.
    pub packet_size_bits: u64,
    /// Size of the packet's content in bits.
    pub content_size_bits: u64,
    /// First time of the packet, in cycles of the trace's clock.
    pub timestamp_begin: u64,
    /// Last time of the packet, in cycles of the trace's clock.
    pub timestamp_end: u64,
    /// Events the stream has lost so far.
    pub events_discarded: u64,
    /// Id of the CTF stream class.
    pub class: u64,
    /// Id of the stream in its class; all ones in 1.0.
    pub instance: u64,
    /// Number the tracer gave the packet; all ones in 1.0.
    pub packet_sequence: u64,
}

impl IndexRecord {
    /// Appends the record. 1.0 has no place for the last two fields.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        put_u64(out, self.offset_bytes);
        put_u64(out, self.packet_size_bits);
        put_u64(out, self.content_size_bits);
        put_u64(out, self.timestamp_begin);
        put_u64(out, self.timestamp_end);
        put_u64(out, self.events_discarded);
        put_u64(out, self.class);
        if version == Version::V1_1 {
            put_u64(out, self.instance);
            put_u64(out, self.packet_sequence);
        }
    }

    /// The record at the start of `bytes`.
    pub fn decode(version: Version, bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut record = Self {
            offset_bytes: reader.u64("offset")?,
            packet_size_bits: reader.u64("packet_size")?,
            content_size_bits: reader.u64("content_size")?,
            timestamp_begin: reader.u64("timestamp_begin")?,
            timestamp_end: reader.u64("timestamp_end")?,
            events_discarded: reader.u64("events_discarded")?,
            class: reader.u64("stream_id")?,
            instance: u64::MAX,
            packet_sequence: u64::MAX,
        };
        if version == Version::V1_1 {
            record.instance = reader.u64("stream_instance_id")?;
            record.packet_sequence = reader.u64("packet_seq_num")?;
        }
        Ok(record)
    }
}

fn expect(
    field: &'static str,
    holds: bool,
    value: u32,
    expected: &'static str,
) -> Result<(), WireError> {
    if holds {
        Ok(())
    } else {
        Err(unexpected(field, value, expected))
    }
}

fn unexpected(field: &'static str, value: u32, expected: &'static str) -> WireError {
    WireError::Value {
        field,
        value: u64::from(value),
        expected,
    }
}

/// Bytes before the first record.
pub const HEADER_SIZE: usize = 16;

/// First four bytes of an index file.
const MAGIC: u32 = 0xC1F1_DCC1;

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VERSIONS: [Version; 2] = [Version::V1_0, Version::V1_1];

    #[test]
    fn sample_of_a_file() {
        let mut file = Version::V1_0.header().to_vec();
        let record = IndexRecord {
            offset_bytes: 0,
            packet_size_bits: 1024,
            content_size_bits: 800,
            timestamp_begin: 1,
            timestamp_end: 2,
            events_discarded: 0,
            class: 0,
            instance: 3,
            packet_sequence: 4,
        };
        record.encode(Version::V1_0, &mut file);
        let header = [
            0xc1, 0xf1, 0xdc, 0xc1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x38,
        ];
        let mut expected = header.to_vec();
        for field in [0_u64, 0x400, 0x320, 1, 2, 0, 0] {
            expected.extend_from_slice(&field.to_be_bytes());
        }
        assert_eq!(file, expected);
        let header = Version::V1_1.header();
        assert_eq!(header[8..], [0, 0, 0, 1, 0, 0, 0, 72]);
    }

    #[test]
    fn minors_select_versions() {
        for minor in 0..=15 {
            let version = Version::for_minor(minor);
            assert_eq!(version == Version::V1_0, minor < 8);
        }
    }

    #[test]
    fn headers_come_back_and_nothing_else_does() {
        for version in VERSIONS {
            let header = version.header();
            assert_eq!(Version::from_header(&header), Ok(version));
            for position in 0..HEADER_SIZE {
                assert!(Version::from_header(&header[..position]).is_err());
                let mut other = header;
                other[position] ^= 0x80;
                assert!(Version::from_header(&other).is_err(), "byte {position}");
            }
            let mut mixed = header;
            mixed[11] ^= 1;
            assert!(Version::from_header(&mixed).is_err());
        }
    }

    proptest! {
        #[test]
        fn records_come_back(fields: [u64; 9]) {
            let [offset_bytes, packet_size_bits, content_size_bits, timestamp_begin,
                timestamp_end, events_discarded, class, instance, packet_sequence] = fields;
            for version in VERSIONS {
                let old = version == Version::V1_0;
                let record = IndexRecord {
                    offset_bytes,
                    packet_size_bits,
                    content_size_bits,
                    timestamp_begin,
                    timestamp_end,
                    events_discarded,
                    class,
                    instance: if old { u64::MAX } else { instance },
                    packet_sequence: if old { u64::MAX } else { packet_sequence },
                };
                let mut bytes = Vec::new();
                record.encode(version, &mut bytes);
                prop_assert_eq!(bytes.len(), version.record_size());
                prop_assert_eq!(IndexRecord::decode(version, &bytes), Ok(record));
                for cut in 0..bytes.len() {
                    prop_assert!(IndexRecord::decode(version, &bytes[..cut]).is_err());
                }
            }
        }
    }
}
