//! Entries of the lists in replies to viewers: sessions and streams.
//!
//! A name that is too long for its field is truncated, since viewers reject the whole list
//! otherwise.

use crate::wire::TraceFormat;
use crate::wire::codec::{
    Reader, WireError, check_length, put_fixed_name, put_u32, put_u64, truncated,
};

/// A session in the reply to `LIST_SESSIONS`. Two layouts, by the minor:
/// fixed fields below 15, then strings of their own lengths, without NUL, and
/// the trace format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEntry<'a> {
    /// Relay session id.
    pub session: u64,
    /// Period of the live timer in microseconds, 0 if the session is not live.
    pub live_timer_us: u32,
    /// Number of attached viewers; a relay says 0 or 1.
    pub clients: u32,
    /// Number of streams.
    pub streams: u32,
    /// Host name; below 15 at most 63 bytes of it are sent.
    pub host: &'a [u8],
    /// Session name; at most 254 bytes of it are sent.
    pub name: &'a [u8],
    /// Format of the traces; below 15 not sent, [`TraceFormat::Ctf1`] when
    /// read.
    pub trace_format: TraceFormat,
}

impl<'a> SessionEntry<'a> {
    /// Appends the entry as it goes to a viewer of this minor.
    pub fn encode(&self, minor: u32, out: &mut Vec<u8>) {
        put_u64(out, self.session);
        put_u32(out, self.live_timer_us);
        put_u32(out, self.clients);
        put_u32(out, self.streams);
        if minor < 15 {
            put_fixed_name(out, self.host, HOST_SIZE);
            put_fixed_name(out, self.name, NAME_SIZE);
            return;
        }
        let name = truncated(self.name, NAME_SIZE - 1);
        let host = truncated(self.host, STRINGS_SIZE_MAX - name.len());
        put_u32(out, host.len() as u32);
        put_u32(out, name.len() as u32);
        put_u32(out, self.trace_format.viewer_number());
        out.extend_from_slice(host);
        out.extend_from_slice(name);
    }

    pub(super) fn read(minor: u32, reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let mut entry = Self {
            session: reader.u64("session_id")?,
            live_timer_us: reader.u32("live_timer")?,
            clients: reader.u32("clients")?,
            streams: reader.u32("streams")?,
            host: &[],
            name: &[],
            trace_format: TraceFormat::Ctf1,
        };
        if minor < 15 {
            entry.host = reader.fixed_name("hostname", HOST_SIZE as u64)?;
            entry.name = reader.fixed_name("session_name", NAME_SIZE as u64)?;
            return Ok(entry);
        }
        let host_length = u64::from(reader.u32("hostname_len")?);
        let name_length = u64::from(reader.u32("session_name_len")?);
        let number = reader.u32("trace_format")?;
        let max = STRINGS_SIZE_MAX as u64;
        check_length("hostname_len", host_length, 0, max)?;
        check_length("session_name_len", name_length, 0, max - host_length)?;
        entry.trace_format = TraceFormat::from_viewer_number(number).ok_or(WireError::Value {
            field: "trace_format",
            value: u64::from(number),
            expected: "0 (CTF 1.8) or 1 (CTF 2)",
        })?;
        entry.host = reader.bytes("hostname", host_length)?;
        entry.name = reader.bytes("session_name", name_length)?;
        Ok(entry)
    }
}

/// A stream in the replies to `ATTACH_SESSION` and `GET_NEW_STREAMS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEntry<'a> {
    /// Handle of the stream, the key of all later requests.
    pub stream: u64,
    /// Groups the streams of one CTF trace.
    pub trace: u64,
    /// It is the metadata stream of its trace.
    pub metadata: bool,
    /// Path of the trace; at most 4095 bytes of it are sent.
    pub path: &'a [u8],
    /// Name of the stream; at most 254 bytes of it are sent.
    pub channel: &'a [u8],
}

impl<'a> StreamEntry<'a> {
    /// Bytes of an entry.
    pub const SIZE: usize = 20 + PATH_SIZE + CHANNEL_SIZE;

    /// Appends the entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.stream);
        put_u64(out, self.trace);
        put_u32(out, u32::from(self.metadata));
        put_fixed_name(out, self.path, PATH_SIZE);
        put_fixed_name(out, self.channel, CHANNEL_SIZE);
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            stream: reader.u64("id")?,
            trace: reader.u64("ctf_trace_id")?,
            metadata: reader.u32("metadata_flag")? != 0,
            path: reader.fixed_name("path_name", PATH_SIZE as u64)?,
            channel: reader.fixed_name("channel_name", CHANNEL_SIZE as u64)?,
        })
    }
}

/// Field of the host name, below minor 15.
const HOST_SIZE: usize = 64;
/// Field of the session name, below minor 15.
const NAME_SIZE: usize = 255;
/// Field of the path.
const PATH_SIZE: usize = 4096;
/// Field of the channel name.
const CHANNEL_SIZE: usize = 255;
/// Bytes of both strings of a session entry from minor 15: a viewer reads an
/// entry into 1682 bytes without looking at its size, and 32 are fixed.
const STRINGS_SIZE_MAX: usize = 1682 - 32;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::wire::testing::{any_name, hex};
    use proptest::prelude::*;

    fn sample() -> SessionEntry<'static> {
        SessionEntry {
            session: 1,
            live_timer_us: 200_000,
            clients: 0,
            streams: 3,
            host: b"vm",
            name: b"s1",
            trace_format: TraceFormat::Ctf1,
        }
    }

    fn encoded(entry: &SessionEntry<'_>, minor: u32) -> Vec<u8> {
        let mut out = Vec::new();
        entry.encode(minor, &mut out);
        out
    }

    #[test]
    fn sample_of_a_session() {
        let expected = hex(
            "00 00 00 00 00 00 00 01  00 03 0d 40  00 00 00 00  00 00 00 03
            00 00 00 02  00 00 00 02  00 00 00 00  76 6d  73 31",
        );
        assert_eq!(encoded(&sample(), 15), expected);
        for minor in [1, 4, 14] {
            let bytes = encoded(&sample(), minor);
            assert_eq!(bytes.len(), 339);
            assert_eq!(&bytes[20..24], b"vm\0\0");
            assert_eq!(&bytes[84..88], b"s1\0\0");
        }
        let ctf2 = SessionEntry {
            trace_format: TraceFormat::Ctf2,
            ..sample()
        };
        assert_eq!(encoded(&ctf2, 15)[31], 1);
    }

    #[test]
    fn long_names_are_cut() {
        let long = [b'x'; 5000];
        let entry = SessionEntry {
            host: &long,
            name: &long,
            ..sample()
        };
        let bytes = encoded(&entry, 15);
        assert_eq!(bytes.len(), 1682);
        let read = SessionEntry::read(15, &mut Reader::new(&bytes)).unwrap();
        assert_eq!((read.host.len(), read.name.len()), (1396, 254));
        let bytes = encoded(&entry, 14);
        let read = SessionEntry::read(14, &mut Reader::new(&bytes)).unwrap();
        assert_eq!((read.host.len(), read.name.len()), (63, 254));

        let stream = StreamEntry {
            stream: 1,
            trace: 1,
            metadata: false,
            path: &long,
            channel: &long,
        };
        let mut bytes = Vec::new();
        stream.encode(&mut bytes);
        assert_eq!(bytes.len(), 4371);
        let read = StreamEntry::read(&mut Reader::new(&bytes)).unwrap();
        assert_eq!((read.path.len(), read.channel.len()), (4095, 254));
    }

    #[test]
    fn lengths_and_formats_of_sessions_are_checked() {
        for (position, value) in [(20, 1), (22, 7), (24, 1), (26, 7), (31, 2)] {
            let mut bytes = encoded(&sample(), 15);
            bytes[position] = value;
            let error = SessionEntry::read(15, &mut Reader::new(&bytes)).unwrap_err();
            let short = matches!(error, WireError::Short { .. });
            assert!(!short, "byte {position}: {error}");
        }
    }

    proptest! {
        #[test]
        fn sessions_come_back(
            host in any_name(255),
            name in any_name(254),
            (session, live_timer_us, clients, streams) in any::<(u64, u32, u32, u32)>(),
            ctf2: bool,
            minor in 1..=15_u32,
        ) {
            let old = minor < 15;
            let entry = SessionEntry {
                session,
                live_timer_us,
                clients,
                streams,
                host: if old { truncated(&host, 63) } else { &host },
                name: &name,
                trace_format: if ctf2 && !old { TraceFormat::Ctf2 } else { TraceFormat::Ctf1 },
            };
            let bytes = encoded(&entry, minor);
            prop_assert_eq!(SessionEntry::read(minor, &mut Reader::new(&bytes)), Ok(entry));
            for cut in 0..bytes.len() {
                let cut = SessionEntry::read(minor, &mut Reader::new(&bytes[..cut]));
                let short = matches!(cut, Err(WireError::Short { .. }));
                prop_assert!(short);
            }
        }

        #[test]
        fn streams_come_back(
            (stream, trace, metadata) in any::<(u64, u64, bool)>(),
            path in any_name(300),
            channel in any_name(254),
        ) {
            let entry = StreamEntry { stream, trace, metadata, path: &path, channel: &channel };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), StreamEntry::SIZE);
            prop_assert_eq!(StreamEntry::read(&mut Reader::new(&bytes)), Ok(entry));
        }
    }
}
