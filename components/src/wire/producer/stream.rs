//! Commands about one stream: its declaration, its metadata, the indexes of
//! its packets, its end.

use super::{NONE, PAYLOAD_SIZE_MAX};
use crate::wire::codec::{
    Reader, WireError, check_length, length_with_nul, put_fixed_name, put_name, put_u32, put_u64,
};

/// `ADD_STREAM`. Three layouts, by the session's minor: fixed names at 1, from
/// 2 with the limits of trace files, from 11 names of their own lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddStream<'a> {
    /// Name of the stream and of its file: at most 263 bytes, may be empty.
    pub channel: &'a [u8],
    /// Path of the trace: at most 254 bytes, may be empty.
    pub path: &'a [u8],
    /// Greatest size of a trace file in bytes, 0 if not limited (from 2).
    pub tracefile_size: u64,
    /// Number of trace files, 0 if not limited (from 2).
    pub tracefile_count: u64,
    /// The chunk the producer thinks the stream is in (from 11).
    pub chunk: Option<u64>,
}

impl<'a> AddStream<'a> {
    pub(super) fn decode_payload(minor: u32, payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        if !(1..11).contains(&minor) {
            return Self::read_variable(&mut reader);
        }
        let channel = reader.fixed_name("channel_name", FIXED_CHANNEL_SIZE)?;
        let path = reader.fixed_name("pathname", FIXED_PATH_SIZE)?;
        // The field is large; what may stand in it is not.
        check_length("pathname", path.len() as u64, 0, PATH_LENGTH_MAX - 1)?;
        let (tracefile_size, tracefile_count) = match minor {
            1 => (0, 0),
            _ => (
                reader.u64("tracefile_size")?,
                reader.u64("tracefile_count")?,
            ),
        };
        Ok(Self {
            channel,
            path,
            tracefile_size,
            tracefile_count,
            chunk: None,
        })
    }

    fn read_variable(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let channel_length = u64::from(reader.u32("channel_name_len")?);
        let path_length = u64::from(reader.u32("pathname_len")?);
        let tracefile_size = reader.u64("tracefile_size")?;
        let tracefile_count = reader.u64("tracefile_count")?;
        let chunk = reader.u64("trace_chunk_id")?;
        check_length("channel_name_len", channel_length, 1, CHANNEL_LENGTH_MAX)?;
        check_length("pathname_len", path_length, 1, PATH_LENGTH_MAX)?;
        Ok(Self {
            channel: reader.name("channel_name", channel_length)?,
            path: reader.name("pathname", path_length)?,
            tracefile_size,
            tracefile_count,
            chunk: Some(chunk),
        })
    }

    pub(super) fn encode_payload(&self, minor: u32, out: &mut Vec<u8>) {
        if (1..11).contains(&minor) {
            put_fixed_name(out, self.channel, FIXED_CHANNEL_SIZE as usize);
            put_fixed_name(out, self.path, FIXED_PATH_SIZE as usize);
            if minor > 1 {
                put_u64(out, self.tracefile_size);
                put_u64(out, self.tracefile_count);
            }
            return;
        }
        put_u32(out, length_with_nul(self.channel));
        put_u32(out, length_with_nul(self.path));
        put_u64(out, self.tracefile_size);
        put_u64(out, self.tracefile_count);
        put_u64(out, self.chunk.unwrap_or(0));
        put_name(out, self.channel);
        put_name(out, self.path);
    }
}

/// `SEND_METADATA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendMetadata<'a> {
    /// Handle of the metadata stream.
    pub stream: u64,
    /// Zero bytes that belong after [`bytes`](Self::bytes); not sent.
    pub padding_size: u32,
    /// The bytes to append; never empty.
    pub bytes: &'a [u8],
}

impl<'a> SendMetadata<'a> {
    pub(super) fn decode_payload(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let stream = reader.u64("stream_id")?;
        let padding_size = reader.u32("padding_size")?;
        let max = PAYLOAD_SIZE_MAX - 12;
        check_length("metadata", reader.remaining(), 1, max)?;
        Ok(Self {
            stream,
            padding_size,
            bytes: reader.rest(),
        })
    }

    pub(super) fn encode_payload(&self, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
        put_u32(out, self.padding_size);
        out.extend_from_slice(self.bytes);
    }
}

/// `SEND_INDEX`: describes a packet, or is a live beacon if the packet's size
/// is 0. Two layouts, by the connection's minor: the last two fields are there
/// from 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendIndex {
    /// Handle of the stream.
    pub stream: u64,
    /// Network sequence number of the packet.
    pub sequence: u64,
    /// Size of the packet in bits, padding included; 0 in a beacon.
    pub packet_size_bits: u64,
    /// Size of the packet's content in bits.
    pub content_size_bits: u64,
    /// First time of the packet, in cycles of the trace's clock.
    pub timestamp_begin: u64,
    /// Last time of the packet, or time of the beacon, in cycles of the
    /// trace's clock.
    pub timestamp_end: u64,
    /// Events the stream has lost so far.
    pub events_discarded: u64,
    /// Id of the CTF stream class, which is not the handle.
    pub class: u64,
    /// Id of the stream in its class, [`NONE`] below 8.
    pub instance: u64,
    /// Number the tracer gave the packet, [`NONE`] below 8.
    pub packet_sequence: u64,
}

impl SendIndex {
    pub(super) fn decode_payload(minor: u32, payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut index = Self {
            stream: reader.u64("relay_stream_id")?,
            sequence: reader.u64("net_seq_num")?,
            packet_size_bits: reader.u64("packet_size")?,
            content_size_bits: reader.u64("content_size")?,
            timestamp_begin: reader.u64("timestamp_begin")?,
            timestamp_end: reader.u64("timestamp_end")?,
            events_discarded: reader.u64("events_discarded")?,
            class: reader.u64("stream_id")?,
            instance: NONE,
            packet_sequence: NONE,
        };
        if minor >= 8 {
            index.instance = reader.u64("stream_instance_id")?;
            index.packet_sequence = reader.u64("packet_seq_num")?;
        }
        Ok(index)
    }

    pub(super) fn encode_payload(&self, minor: u32, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
        put_u64(out, self.sequence);
        put_u64(out, self.packet_size_bits);
        put_u64(out, self.content_size_bits);
        put_u64(out, self.timestamp_begin);
        put_u64(out, self.timestamp_end);
        put_u64(out, self.events_discarded);
        put_u64(out, self.class);
        if minor >= 8 {
            put_u64(out, self.instance);
            put_u64(out, self.packet_sequence);
        }
    }
}

/// `CLOSE_STREAM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseStream {
    /// Handle of the stream.
    pub stream: u64,
    /// Network sequence number of the last packet, [`NONE`] if none was sent.
    pub last_sequence: u64,
}

impl CloseStream {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            stream: reader.u64("stream_id")?,
            last_sequence: reader.u64("last_net_seq_num")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
        put_u64(out, self.last_sequence);
    }
}

/// `RESET_METADATA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetMetadata {
    /// Handle of the metadata stream.
    pub stream: u64,
    /// Version of the metadata that will follow; informative.
    pub version: u64,
}

impl ResetMetadata {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            stream: reader.u64("stream_id")?,
            version: reader.u64("version")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
        put_u64(out, self.version);
    }
}

/// Field of the channel name, minors 1 to 10.
const FIXED_CHANNEL_SIZE: u64 = 264;
/// Field of the path, minors 1 to 10.
const FIXED_PATH_SIZE: u64 = 4096;
/// Channel name with its NUL, from minor 11.
const CHANNEL_LENGTH_MAX: u64 = 264;
/// Path with its NUL, at every minor.
const PATH_LENGTH_MAX: u64 = 255;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::wire::producer::tests::assert_round_trip;
    use crate::wire::producer::{Command, Minors};
    use crate::wire::testing::{any_name, hex};
    use proptest::prelude::*;

    fn sample() -> AddStream<'static> {
        AddStream {
            channel: b"ch_0",
            path: b"ust/uid/0/64-bit",
            tracefile_size: 0,
            tracefile_count: 0,
            chunk: Some(0),
        }
    }

    fn payload(command: &AddStream<'_>, minor: u32) -> Vec<u8> {
        let mut out = Vec::new();
        command.encode_payload(minor, &mut out);
        out
    }

    #[test]
    fn sample_of_add_stream() {
        let mut expected =
            hex("00000005 00000011 0000000000000000 0000000000000000 0000000000000000");
        expected.extend_from_slice(b"ch_0\0ust/uid/0/64-bit\0");
        assert_eq!(payload(&sample(), 11), expected);
        assert_eq!(expected.len(), 54);
        assert_eq!(AddStream::decode_payload(15, &expected), Ok(sample()));
    }

    #[test]
    fn sample_of_close_stream() {
        let close = Command::CloseStream(CloseStream {
            stream: 3,
            last_sequence: NONE,
        });
        let message = assert_round_trip(&close, Minors::both(13), |_| false);
        assert_eq!(message[24..], hex("0000000000000003 ffffffffffffffff"));
    }

    #[test]
    fn layouts_have_their_sizes() {
        for (minor, size) in [(1, 4360), (2, 4376), (10, 4376), (11, 54), (15, 54)] {
            assert_eq!(payload(&sample(), minor).len(), size, "minor {minor}");
        }
    }

    #[test]
    fn paths_are_limited_at_every_minor() {
        let long = [b'p'; 255];
        for minor in 1..=15 {
            let ok = AddStream {
                path: &long[..254],
                ..sample()
            };
            let decoded =
                AddStream::decode_payload(minor, &payload(&ok, minor)).map(|it| it.path.len());
            assert_eq!(decoded, Ok(254));
            let too_long = payload(
                &AddStream {
                    path: &long,
                    ..sample()
                },
                minor,
            );
            let error = AddStream::decode_payload(minor, &too_long).unwrap_err();
            assert!(
                matches!(error, WireError::Length { .. }),
                "minor {minor}: {error}"
            );
        }
    }

    #[test]
    fn cut_streams_are_refused() {
        for minor in [1, 2, 10, 11, 15] {
            let bytes = payload(&sample(), minor);
            for cut in 0..bytes.len() {
                let cut = AddStream::decode_payload(minor, &bytes[..cut]);
                assert!(matches!(cut, Err(WireError::Short { .. })));
            }
        }
    }

    #[test]
    fn channel_names_are_limited() {
        let long = [b'c'; 264];
        let ok = payload(
            &AddStream {
                channel: &long[..263],
                ..sample()
            },
            11,
        );
        assert!(AddStream::decode_payload(11, &ok).is_ok());
        let too_long = payload(
            &AddStream {
                channel: &long,
                ..sample()
            },
            11,
        );
        assert!(AddStream::decode_payload(11, &too_long).is_err());
        let mut unterminated = payload(&sample(), 10);
        unterminated[..264].fill(b'c');
        assert!(AddStream::decode_payload(10, &unterminated).is_err());
        for position in [3, 7] {
            let mut no_length = payload(&sample(), 11);
            no_length[position] = 0;
            assert!(AddStream::decode_payload(11, &no_length).is_err());
        }
    }

    #[test]
    fn metadata_must_have_bytes() {
        let bytes = [0; 12];
        let error = SendMetadata::decode_payload(&bytes).unwrap_err();
        assert!(matches!(error, WireError::Length { length: 0, .. }));
    }

    proptest! {
        #[test]
        fn streams_come_back(
            channel in any_name(263),
            path in any_name(254),
            (tracefile_size, tracefile_count, chunk) in any::<(u64, u64, u64)>(),
            minor in 11..=15_u32,
        ) {
            let command = AddStream {
                channel: &channel,
                path: &path,
                tracefile_size,
                tracefile_count,
                chunk: Some(chunk),
            };
            assert_round_trip(&Command::AddStream(command), Minors::both(minor), |_| false);
        }

        #[test]
        fn old_streams_come_back(
            channel in any_name(263),
            path in any_name(254),
            (size, count) in any::<(u64, u64)>(),
            minor in 1..=10_u32,
        ) {
            let command = AddStream {
                channel: &channel,
                path: &path,
                tracefile_size: if minor == 1 { 0 } else { size },
                tracefile_count: if minor == 1 { 0 } else { count },
                chunk: None,
            };
            let bytes = payload(&command, minor);
            prop_assert_eq!(AddStream::decode_payload(minor, &bytes), Ok(command));
            let cut = AddStream::decode_payload(minor, &bytes[..bytes.len() - 1]);
            prop_assert!(cut.is_err());
        }

        #[test]
        fn metadata_comes_back(
            stream: u64,
            padding_size: u32,
            bytes in prop::collection::vec(any::<u8>(), 1..50),
        ) {
            let command = SendMetadata { stream, padding_size, bytes: &bytes };
            let command = Command::SendMetadata(command);
            // Metadata that is shorter is metadata still.
            assert_round_trip(&command, Minors::both(11), |missing| missing < bytes.len());
        }

        #[test]
        fn indexes_come_back(fields: [u64; 10], minor in 4..=15_u32) {
            let [stream, sequence, packet_size_bits, content_size_bits, timestamp_begin,
                timestamp_end, events_discarded, class, instance, packet_sequence] = fields;
            let old = minor < 8;
            let index = Command::SendIndex(SendIndex {
                stream,
                sequence,
                packet_size_bits,
                content_size_bits,
                timestamp_begin,
                timestamp_end,
                events_discarded,
                class,
                instance: if old { NONE } else { instance },
                packet_sequence: if old { NONE } else { packet_sequence },
            });
            let message = assert_round_trip(&index, Minors::both(minor), |_| false);
            prop_assert_eq!(message.len(), if old { 24 + 64 } else { 24 + 80 });
        }

        #[test]
        fn small_commands_come_back(stream: u64, other: u64, minor in 1..=15_u32) {
            for command in [
                Command::CloseStream(CloseStream { stream, last_sequence: other }),
                Command::ResetMetadata(ResetMetadata { stream, version: other }),
            ] {
                assert_round_trip(&command, Minors::both(minor), |_| false);
            }
        }
    }
}
