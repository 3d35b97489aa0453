//! Commands about trace chunks (from 2.11): their creation, their end, the
//! question whether they are in use, and the rotation of streams from one to
//! the next.

use std::borrow::Cow;

use crate::wire::codec::{
    Reader, WireError, check_length, length_with_nul, put_name, put_optional_u32, put_u8, put_u32,
    put_u64, put_zeros,
};

/// `ROTATE_STREAMS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateStreams<'a> {
    /// Chunk that the streams move to; `None` is "to no chunk".
    pub new_chunk: Option<u64>,
    /// The streams to rotate, in this order. May be empty.
    pub positions: RotatePositions<'a>,
}

/// The streams of a rotation, as they are in its payload: there may be very many, of which some
/// are read at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatePositions<'a>(Cow<'a, [u8]>);

impl RotatePositions<'_> {
    /// Their number.
    pub fn len(&self) -> usize {
        self.0.len() / POSITION_SIZE
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `count` of them at most, after the first `done`.
    pub fn after(&self, done: usize, count: usize) -> impl Iterator<Item = RotatePosition> {
        let (positions, _) = self.0.as_chunks::<POSITION_SIZE>();
        let some = positions.iter().skip(done).take(count);
        some.map(|position| {
            let both = u128::from_be_bytes(*position);
            RotatePosition {
                stream: (both >> 64) as u64,
                position: both as u64,
            }
        })
    }
}

impl FromIterator<RotatePosition> for RotatePositions<'_> {
    fn from_iter<T: IntoIterator<Item = RotatePosition>>(positions: T) -> Self {
        let mut bytes = Vec::new();
        for position in positions {
            put_u64(&mut bytes, position.stream);
            put_u64(&mut bytes, position.position);
        }
        Self(Cow::Owned(bytes))
    }
}

/// Bytes of one: its stream and its position.
const POSITION_SIZE: usize = 16;

/// One stream of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatePosition {
    /// Handle of the stream.
    pub stream: u64,
    /// Number (the tracer's, not the network's) of the first packet that
    /// belongs to the new chunk. Without meaning for metadata streams.
    pub position: u64,
}

/// Number of padding bytes after `is_set`.
///
/// The structure was meant to be packed and is not, so the padding depends on the alignment
/// of 64-bit integers at the producer. It follows from the size of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateLayout {
    /// None.
    Packed,
    /// 3 bytes: 32-bit x86.
    Padded3,
    /// 7 bytes: 64-bit machines, the usual case.
    Padded7,
}

impl RotateLayout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Packed, Self::Padded3, Self::Padded7];

    fn padding_size(self) -> u64 {
        match self {
            Self::Packed => 0,
            Self::Padded3 => 3,
            Self::Padded7 => 7,
        }
    }

    /// The layout of a payload of `size` bytes for `count` streams.
    fn of(size: u64, count: u32) -> Option<Self> {
        let unpadded = 13 + 16 * u64::from(count);
        Self::ALL
            .into_iter()
            .find(|layout| unpadded + layout.padding_size() == size)
    }
}

impl<'a> RotateStreams<'a> {
    pub(super) fn decode_payload(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let count = reader.u32("stream_count")?;
        let size = payload.len() as u64;
        let layout = RotateLayout::of(size, count).ok_or(WireError::Size {
            field: "ROTATE_STREAMS",
            size,
            expected: "13, 16 or 20, and 16 for each stream it announces",
        })?;
        let is_set = reader.flag("new_chunk_id.is_set")?;
        // Stale bytes of the producer's memory.
        reader.bytes("padding", layout.padding_size())?;
        let value = reader.u64("new_chunk_id.value")?;
        // The size was compared with the count.
        let positions = reader.bytes("positions", u64::from(count) * POSITION_SIZE as u64)?;
        Ok(Self {
            new_chunk: is_set.then_some(value),
            positions: RotatePositions(Cow::Borrowed(positions)),
        })
    }

    /// Appends the payload alone, as a producer with this layout sends it but
    /// for the padding, which is 0.
    pub fn encode_payload(&self, layout: RotateLayout, out: &mut Vec<u8>) {
        put_u32(out, self.positions.len() as u32);
        put_u8(out, u8::from(self.new_chunk.is_some()));
        put_zeros(out, layout.padding_size() as usize);
        put_u64(out, self.new_chunk.unwrap_or(0));
        out.extend_from_slice(&self.positions.0);
    }
}

/// `CREATE_TRACE_CHUNK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateTraceChunk<'a> {
    /// Chunk id, counted from 0 in each session of a session daemon.
    pub chunk: u64,
    /// Seconds since the epoch.
    pub creation_time_s: u64,
    /// Name to use instead of a generated one: 1 to 254 bytes.
    pub override_name: Option<&'a [u8]>,
}

impl<'a> CreateTraceChunk<'a> {
    /// [`WireError::Short`] only for a payload without the fixed fields: a bad
    /// name gets another reply, so it must be another variant, even if it is
    /// bad for not being inside the payload.
    pub(super) fn decode_payload(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let chunk = reader.u64("chunk_id")?;
        let creation_time_s = reader.u64("creation_timestamp")?;
        let length = u64::from(reader.u32("override_name_length")?);
        let override_name = if length == 0 {
            None
        } else {
            check_length("override_name_length", length, 0, reader.remaining())?;
            let name = reader.name("override_name", length)?;
            check_length("override_name", name.len() as u64, 1, OVERRIDE_NAME_MAX)?;
            Some(name)
        };
        Ok(Self {
            chunk,
            creation_time_s,
            override_name,
        })
    }

    pub(super) fn encode_payload(&self, out: &mut Vec<u8>) {
        put_u64(out, self.chunk);
        put_u64(out, self.creation_time_s);
        put_u32(out, self.override_name.map_or(0, length_with_nul));
        if let Some(name) = self.override_name {
            put_name(out, name);
        }
    }
}

/// `CLOSE_TRACE_CHUNK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseTraceChunk {
    /// Chunk id.
    pub chunk: u64,
    /// Seconds since the epoch.
    pub close_time_s: u64,
    /// The action on the chunk when it has no users any more, undecoded: 0 is archive, 1
    /// nothing, 2 delete; others are refused elsewhere.
    pub command: Option<u32>,
}

impl CloseTraceChunk {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            chunk: reader.u64("chunk_id")?,
            close_time_s: reader.u64("close_timestamp")?,
            command: reader.optional_u32("close_command")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.chunk);
        put_u64(out, self.close_time_s);
        put_optional_u32(out, self.command);
    }
}

/// `TRACE_CHUNK_EXISTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceChunkExists {
    /// Chunk id.
    pub chunk: u64,
}

impl TraceChunkExists {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        Ok(Self {
            chunk: Reader::new(payload).u64("chunk_id")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.chunk);
    }
}

/// Bytes of an override name, without its NUL.
const OVERRIDE_NAME_MAX: u64 = 254;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::wire::producer::tests::assert_round_trip;
    use crate::wire::producer::{Command, Minors};
    use crate::wire::testing::{any_name, hex};
    use proptest::prelude::*;

    fn sample() -> RotateStreams<'static> {
        let position = |(stream, position)| RotatePosition { stream, position };
        RotateStreams {
            new_chunk: Some(1),
            positions: [(1, 2), (2, 1)].map(position).into_iter().collect(),
        }
    }

    #[test]
    fn positions_are_read_some_at_a_time() {
        let positions = sample().positions;
        assert_eq!(positions.len(), 2);
        let streams = |done, count| positions.after(done, count).map(|it| it.stream);
        assert_eq!(streams(0, 1).collect::<Vec<_>>(), [1]);
        assert_eq!(streams(1, 5).collect::<Vec<_>>(), [2]);
        assert_eq!(streams(2, 5).count(), 0);
    }

    #[test]
    fn sample_of_rotate_streams() {
        let sent = hex("00000002  01 deadbeefdeadbe  0000000000000001
             0000000000000001 0000000000000002
             0000000000000002 0000000000000001");
        assert_eq!(sent.len(), 52);
        assert_eq!(RotateStreams::decode_payload(&sent), Ok(sample()));
        let mut ours = Vec::new();
        sample().encode_payload(RotateLayout::Padded7, &mut ours);
        assert_eq!(ours[..5], sent[..5]);
        assert_eq!(ours[5..12], [0; 7]);
        assert_eq!(ours[12..], sent[12..]);
    }

    #[test]
    fn rotate_streams_comes_in_three_sizes_only() {
        for count in [0, 1, 2] {
            let mut rotation = sample();
            rotation.positions = rotation.positions.after(0, count).collect();
            let mut sizes = Vec::new();
            for layout in RotateLayout::ALL {
                let mut payload = Vec::new();
                rotation.encode_payload(layout, &mut payload);
                sizes.push(payload.len() - 16 * count);
                assert_eq!(
                    RotateStreams::decode_payload(&payload),
                    Ok(rotation.clone())
                );
            }
            assert_eq!(sizes, [13, 16, 20]);
            for size in (0..60).filter(|size| !sizes.contains(&(size - 16 * count.min(size / 16))))
            {
                let mut payload = vec![0; size];
                if size > 3 {
                    payload[3] = count as u8;
                }
                assert!(
                    RotateStreams::decode_payload(&payload).is_err(),
                    "{size} bytes"
                );
            }
        }
        // 16 times this count, in 32 bits, is 16.
        let mut payload = vec![0; 36];
        payload[..4].copy_from_slice(&hex("10000001"));
        let error = RotateStreams::decode_payload(&payload).unwrap_err();
        assert!(matches!(error, WireError::Size { size: 36, .. }));
    }

    #[test]
    fn sample_of_close_trace_chunk() {
        let close = Command::CloseTraceChunk(CloseTraceChunk {
            chunk: 0,
            close_time_s: 0x1234,
            command: Some(2),
        });
        let message = assert_round_trip(&close, Minors::both(13), |_| false);
        assert_eq!(
            message[24..],
            hex("0000000000000000 0000000000001234 01 00000002")
        );
    }

    #[test]
    fn a_bad_override_name_is_not_a_short_payload() {
        let payload = |length: u32, bytes: &[u8]| {
            let mut out = vec![0; 16];
            put_u32(&mut out, length);
            out.extend_from_slice(bytes);
            out
        };
        for size in 0..20 {
            let error = CreateTraceChunk::decode_payload(&payload(0, &[])[..size]).unwrap_err();
            assert!(matches!(error, WireError::Short { .. }), "{size} bytes");
        }
        let long = [b'x'; 255];
        for (length, bytes) in [
            (4, &b"abc"[..]),
            (u32::MAX, b"abc\0"),
            (3, b"abc\0"),
            (1, b"\0"),
            (256, &[&long[..], b"\0"].concat()),
        ] {
            let error = CreateTraceChunk::decode_payload(&payload(length, bytes)).unwrap_err();
            assert!(
                !matches!(error, WireError::Short { .. }),
                "{length}: {error}"
            );
        }
        let longest = [&long[..254], b"\0"].concat();
        let payload = payload(255, &longest);
        let command = CreateTraceChunk::decode_payload(&payload).unwrap();
        assert_eq!(command.override_name.map(<[u8]>::len), Some(254));
    }

    proptest! {
        #[test]
        fn rotations_come_back(
            new_chunk: Option<u64>,
            positions in prop::collection::vec(any::<(u64, u64)>(), 0..5),
            minor in 11..=15_u32,
        ) {
            let positions = positions.into_iter()
                .map(|(stream, position)| RotatePosition { stream, position })
                .collect();
            let rotation = RotateStreams { new_chunk, positions };
            for layout in RotateLayout::ALL {
                let mut payload = Vec::new();
                rotation.encode_payload(layout, &mut payload);
                let decoded = RotateStreams::decode_payload(&payload);
                prop_assert_eq!(decoded.as_ref(), Ok(&rotation));
            }
            // Without 4 or 7 bytes it has the size of another layout.
            let command = Command::RotateStreams(rotation);
            assert_round_trip(&command, Minors::both(minor), |missing| [4, 7].contains(&missing));
        }

        #[test]
        fn chunk_commands_come_back(
            chunk: u64,
            time_s: u64,
            command: Option<u32>,
            name in prop::option::of(any_name(254)),
            minor in 11..=15_u32,
        ) {
            let override_name = name.as_deref().filter(|name| !name.is_empty());
            for command in [
                Command::CreateTraceChunk(CreateTraceChunk {
                    chunk,
                    creation_time_s: time_s,
                    override_name,
                }),
                Command::CloseTraceChunk(CloseTraceChunk { chunk, close_time_s: time_s, command }),
                Command::TraceChunkExists(TraceChunkExists { chunk }),
            ] {
                assert_round_trip(&command, Minors::both(minor), |_| false);
            }
        }
    }
}
