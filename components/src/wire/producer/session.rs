//! Commands about the connection and its session: version, configuration,
//! creation.

use crate::wire::TraceFormat;
use crate::wire::codec::{
    Reader, WireError, check_length, length_with_nul, put_fixed_name, put_flag, put_name,
    put_optional_u64, put_u32, put_u64,
};

/// `VERSION`, and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Must be 2 on both sides.
    pub major: u32,
    /// Both sides use the smaller one.
    pub minor: u32,
}

impl Version {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        Self::read(&mut Reader::new(payload))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            major: reader.u32("major")?,
            minor: reader.u32("minor")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u32(out, self.major);
        put_u32(out, self.minor);
    }
}

/// `GET_CONFIGURATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetConfiguration {
    /// The requested items. Only 0 is defined; others are refused elsewhere.
    pub flags: u64,
}

impl GetConfiguration {
    pub(super) fn decode_payload(payload: &[u8]) -> Result<Self, WireError> {
        Ok(Self {
            flags: Reader::new(payload).u64("query_flags")?,
        })
    }

    pub(super) fn encode_payload(self, out: &mut Vec<u8>) {
        put_u64(out, self.flags);
    }
}

/// `CREATE_SESSION`. Four layouts, by the connection's minor: empty below 4,
/// fixed fields below 11, then names of their own lengths, from 15 with the
/// trace format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateSession<'a> {
    /// Session name: at most 254 bytes, may be empty (always below 4).
    pub name: &'a [u8],
    /// Host name: at most 63 bytes below 11, then 255; may be empty.
    pub host: &'a [u8],
    /// Base path: at most 4095 bytes, empty if none (always below 11).
    pub base_path: &'a [u8],
    /// Period of the live timer in microseconds, 0 if the session is not live.
    pub live_timer_us: u32,
    /// The session records snapshots.
    pub snapshot: bool,
    /// The name has the creation time in it (from 11).
    pub name_holds_time: bool,
    /// Where the session comes from (from 11).
    pub origin: Option<Origin>,
    /// Format of the traces, as said from 15.
    pub trace_format: TraceFormat,
}

/// The session that a relay session is a part of, at its session daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// UUID of the daemon's process, not all zero.
    pub daemon: [u8; 16],
    /// Session id inside that daemon; 0 is one too.
    pub session: u64,
    /// Seconds since the epoch.
    pub creation_time_s: u64,
    /// The chunk the session is in now.
    pub current_chunk: Option<u64>,
}

impl<'a> CreateSession<'a> {
    pub(super) fn decode_payload(minor: u32, payload: &'a [u8]) -> Result<Self, WireError> {
        match minor {
            0..4 => Ok(Self::nameless()),
            4..11 => Self::decode_fixed(payload),
            _ => Self::decode_variable(minor, payload),
        }
    }

    /// The session description of a producer before 2.4.
    fn nameless() -> Self {
        Self {
            name: &[],
            host: &[],
            base_path: &[],
            live_timer_us: 0,
            snapshot: false,
            name_holds_time: false,
            origin: None,
            trace_format: TraceFormat::Ctf1,
        }
    }

    fn decode_fixed(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            name: reader.fixed_name("session_name", FIXED_NAME_SIZE)?,
            host: reader.fixed_name("hostname", FIXED_HOST_SIZE)?,
            live_timer_us: reader.u32("live_timer")?,
            snapshot: reader.u32("snapshot")? != 0,
            ..Self::nameless()
        })
    }

    fn decode_variable(minor: u32, payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let name_length = u64::from(reader.u32("session_name_len")?);
        let host_length = u64::from(reader.u32("hostname_len")?);
        let base_path_length = u64::from(reader.u32("base_path_len")?);
        let live_timer_us = reader.u32("live_timer")?;
        let snapshot = reader.flag("snapshot")?;
        let name_holds_time = reader.flag("session_name_contains_creation_time")?;
        let origin = Origin {
            daemon: reader.array("sessiond_uuid")?,
            session: reader.u64("session_id")?,
            creation_time_s: reader.u64("creation_time")?,
            current_chunk: reader.optional_u64("current_chunk_id")?,
        };
        let trace_format = if minor < 15 {
            TraceFormat::Ctf1
        } else {
            read_trace_format(&mut reader)?
        };

        // All three must be there before the limits of each are looked at.
        let mut names =
            Reader::new(reader.bytes("names", name_length + host_length + base_path_length)?);
        check_length("session_name_len", name_length, 1, NAME_LENGTH_MAX)?;
        check_length("hostname_len", host_length, 1, HOST_LENGTH_MAX)?;
        check_length("base_path_len", base_path_length, 0, BASE_PATH_LENGTH_MAX)?;
        let name = names.name("session_name", name_length)?;
        let host = names.name("hostname", host_length)?;
        let base_path = match base_path_length {
            0 => &[],
            length => names.name("base_path", length)?,
        };
        if origin.daemon == [0; 16] {
            return Err(WireError::Value {
                field: "sessiond_uuid",
                value: 0,
                expected: "not all zero",
            });
        }
        Ok(Self {
            name,
            host,
            base_path,
            live_timer_us,
            snapshot,
            name_holds_time,
            origin: Some(origin),
            trace_format,
        })
    }

    /// From 11 on a missing origin is written as zeros, which no relay takes.
    pub(super) fn encode_payload(&self, minor: u32, out: &mut Vec<u8>) {
        match minor {
            0..4 => {}
            4..11 => {
                put_fixed_name(out, self.name, FIXED_NAME_SIZE as usize);
                put_fixed_name(out, self.host, FIXED_HOST_SIZE as usize);
                put_u32(out, self.live_timer_us);
                put_u32(out, u32::from(self.snapshot));
            }
            _ => self.encode_variable(minor, out),
        }
    }

    fn encode_variable(&self, minor: u32, out: &mut Vec<u8>) {
        let origin = self.origin.unwrap_or(Origin {
            daemon: [0; 16],
            session: 0,
            creation_time_s: 0,
            current_chunk: None,
        });
        put_u32(out, length_with_nul(self.name));
        put_u32(out, length_with_nul(self.host));
        put_u32(out, length_with_nul(self.base_path));
        put_u32(out, self.live_timer_us);
        put_flag(out, self.snapshot);
        put_flag(out, self.name_holds_time);
        out.extend_from_slice(&origin.daemon);
        put_u64(out, origin.session);
        put_u64(out, origin.creation_time_s);
        put_optional_u64(out, origin.current_chunk);
        if minor >= 15 {
            put_u32(out, self.trace_format.producer_number());
        }
        put_name(out, self.name);
        put_name(out, self.host);
        put_name(out, self.base_path);
    }
}

fn read_trace_format(reader: &mut Reader<'_>) -> Result<TraceFormat, WireError> {
    let number = reader.u32("trace_format")?;
    TraceFormat::from_producer_number(number).ok_or(WireError::Value {
        field: "trace_format",
        value: u64::from(number),
        expected: "1 (CTF 1.8) or 2 (CTF 2)",
    })
}

/// Field of the session name, minors 4 to 10.
const FIXED_NAME_SIZE: u64 = 255;
/// Field of the host name, minors 4 to 10.
const FIXED_HOST_SIZE: u64 = 64;
/// Session name with its NUL, from minor 11.
const NAME_LENGTH_MAX: u64 = 255;
/// Host name with its NUL, from minor 11.
const HOST_LENGTH_MAX: u64 = 256;
/// Base path with its NUL, from minor 11.
const BASE_PATH_LENGTH_MAX: u64 = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::wire::producer::tests::assert_round_trip;
    use crate::wire::producer::{Command, CommandKind, Minors, decode};
    use crate::wire::testing::{any_name, hex};
    use proptest::prelude::*;

    fn sample() -> CreateSession<'static> {
        CreateSession {
            name: b"st",
            host: b"vm",
            origin: Some(Origin {
                daemon: [7; 16],
                session: 0,
                creation_time_s: 9,
                current_chunk: None,
            }),
            ..CreateSession::nameless()
        }
    }

    fn payload(command: &CreateSession<'_>, minor: u32) -> Vec<u8> {
        let mut out = Vec::new();
        command.encode_payload(minor, &mut out);
        out
    }

    #[test]
    fn samples_of_version_and_configuration() {
        let version = Command::Version(Version {
            major: 2,
            minor: 15,
        });
        assert_eq!(
            assert_round_trip(&version, Minors::both(0), |_| false),
            hex("0000000000000000 0000000000000008 00000005 00000000  00000002 0000000f")
        );
        let configuration = Command::GetConfiguration(GetConfiguration { flags: 0 });
        assert_eq!(
            assert_round_trip(&configuration, Minors::both(0), |_| false),
            hex("0000000000000000 0000000000000008 00000016 00000000  0000000000000000")
        );
    }

    #[test]
    fn samples_of_create_session() {
        let head = "00000003 00000003 00000001  00000000  00 00
            07070707070707070707070707070707  0000000000000000  0000000000000009
            00 0000000000000000";
        let names = "73 74 00  76 6d 00  00";
        for (minor, size, format) in [(13, "42", ""), (15, "46", "00000001")] {
            let header = format!("0000000000000000 00000000000000{size} 00000002 00000000");
            assert_eq!(
                assert_round_trip(
                    &Command::CreateSession(sample()),
                    Minors::both(minor),
                    |_| false
                ),
                hex(&[&header, head, format, names].concat())
            );
        }
    }

    #[test]
    fn layouts_have_their_sizes() {
        for (minor, size) in [
            (0, 0),
            (3, 0),
            (4, 327),
            (10, 327),
            (11, 66),
            (14, 66),
            (15, 70),
        ] {
            assert_eq!(payload(&sample(), minor).len(), size, "minor {minor}");
        }
        // Minors 1 to 3 send nothing and may send anything.
        let junk = CreateSession::decode_payload(3, b"junk");
        assert_eq!(junk, Ok(CreateSession::nameless()));
    }

    #[test]
    fn a_base_path_may_have_no_nul_when_it_has_no_byte() {
        let mut bytes = payload(&sample(), 11);
        bytes[11] = 0;
        bytes.pop();
        assert_eq!(CreateSession::decode_payload(11, &bytes), Ok(sample()));
    }

    #[test]
    fn bytes_after_an_embedded_nul_are_ignored() {
        let mut bytes = payload(
            &CreateSession {
                name: b"s/t",
                ..sample()
            },
            11,
        );
        bytes[60] = 0;
        let decoded = CreateSession::decode_payload(11, &bytes).unwrap();
        assert_eq!(decoded.name, b"s");
        assert_eq!(decoded.host, b"vm");
    }

    #[test]
    fn each_field_is_checked() {
        let long = [b'x'; 4096];
        let field_of = |minor: u32, bytes: &[u8]| match CreateSession::decode_payload(minor, bytes)
            .unwrap_err()
        {
            WireError::Short { field, .. }
            | WireError::Length { field, .. }
            | WireError::Unterminated { field }
            | WireError::Value { field, .. }
            | WireError::Size { field, .. } => field,
        };
        let changed = |position: usize, value: u8| {
            let mut bytes = payload(&sample(), 15);
            bytes[position] = value;
            field_of(15, &bytes)
        };
        assert_eq!(changed(0, 0xff), "names");
        assert_eq!(changed(3, 0), "session_name_len");
        assert_eq!(changed(7, 0), "hostname_len");
        assert_eq!(changed(62, 0), "trace_format");
        assert_eq!(changed(62, 3), "trace_format");
        assert_eq!(changed(65, b'x'), "session_name");
        assert_eq!(changed(68, b'x'), "hostname");
        assert_eq!(changed(69, b'x'), "base_path");
        let long_name = CreateSession {
            name: &long[..255],
            ..sample()
        };
        assert_eq!(field_of(11, &payload(&long_name, 11)), "session_name_len");
        let long_host = CreateSession {
            host: &long[..256],
            ..sample()
        };
        assert_eq!(field_of(11, &payload(&long_host, 11)), "hostname_len");
        let long_path = CreateSession {
            base_path: &long,
            ..sample()
        };
        assert_eq!(field_of(11, &payload(&long_path, 11)), "base_path_len");
        let nobody = CreateSession {
            origin: None,
            ..sample()
        };
        assert_eq!(field_of(11, &payload(&nobody, 11)), "sessiond_uuid");
        assert_eq!(field_of(4, &[b'x'; 327]), "session_name");
    }

    proptest! {
        #[test]
        fn sessions_come_back(
            name in any_name(254),
            host in any_name(255),
            base_path in any_name(300),
            (live_timer_us, snapshot, name_holds_time, ctf2) in any::<(u32, bool, bool, bool)>(),
            (session, creation_time_s, current_chunk) in any::<(u64, u64, Option<u64>)>(),
            daemon: [u8; 16],
            minor in 1..=15_u32,
        ) {
            prop_assume!(daemon != [0; 16]);
            let origin = Origin { daemon, session, creation_time_s, current_chunk };
            let given = CreateSession {
                name: &name,
                host: &host,
                base_path: &base_path,
                live_timer_us,
                snapshot,
                name_holds_time,
                origin: Some(origin),
                trace_format: if ctf2 { TraceFormat::Ctf2 } else { TraceFormat::Ctf1 },
            };
            let known = match minor {
                0..4 => CreateSession::nameless(),
                4..11 => CreateSession {
                    name: &name,
                    host: &host[..host.len().min(63)],
                    live_timer_us,
                    snapshot,
                    ..CreateSession::nameless()
                },
                11..15 => CreateSession { trace_format: TraceFormat::Ctf1, ..given },
                _ => given,
            };
            prop_assert_eq!(payload(&given, minor), payload(&known, minor));
            assert_round_trip(&Command::CreateSession(known), Minors::both(minor), |_| false);
        }

        #[test]
        fn small_commands_come_back(one: u64, major: u32, minor: u32) {
            for command in [
                Command::Version(Version { major, minor }),
                Command::GetConfiguration(GetConfiguration { flags: one }),
            ] {
                assert_round_trip(&command, Minors::both(minor), |_| false);
            }
        }

        #[test]
        fn near_misses_of_a_session_do_not_panic(
            position in 0..70_usize,
            value: u8,
            minor in 4..=15_u32,
        ) {
            let mut bytes = payload(&sample(), minor);
            if let Some(byte) = bytes.get_mut(position) {
                *byte = value;
            }
            let _ = decode(CommandKind::CreateSession, Minors::both(minor), &bytes);
        }
    }
}
