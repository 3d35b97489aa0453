//! Replies of the control connection: written by a relay, read by its peers.
//!
//! Each command but `SEND_METADATA` has exactly one, most of them the code
//! alone. [`super::code`] has the meanings of the codes.

use super::{CommandKind, Version};
use crate::wire::codec::{
    Reader, WireError, check_length, length_with_nul, partial, put_flag, put_name, put_u32, put_u64,
};

/// A reply of any command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `SEND_METADATA` has none.
    Nothing,
    /// The code alone: every command that has no variant here, and numbers
    /// that are no command.
    Code(u32),
    /// To `VERSION`: what the relay speaks.
    Version(Version),
    /// To `CREATE_SESSION`.
    SessionCreated {
        /// Relay session id, 0 on error.
        session: u64,
        /// Result.
        code: u32,
        /// Where the session is stored, below the relay's output directory.
        /// Empty below minor 11 and on error.
        path: &'a [u8],
    },
    /// To `ADD_STREAM`.
    StreamAdded {
        /// Handle of the stream; without meaning on error.
        stream: u64,
        /// Result.
        code: u32,
    },
    /// To `CLOSE_TRACE_CHUNK`.
    ChunkClosed {
        /// Result.
        code: u32,
        /// Where the chunk is stored, below the relay's output directory.
        path: Option<&'a [u8]>,
    },
    /// To `TRACE_CHUNK_EXISTS`.
    ChunkExists {
        /// Result.
        code: u32,
        /// Whether the chunk is in use.
        exists: bool,
    },
    /// To `GET_CONFIGURATION`.
    Configuration {
        /// Result.
        code: u32,
        /// See [`CLEAR_ALLOWED`].
        flags: u64,
    },
}

impl Reply<'_> {
    /// The result; OK where a reply has none.
    pub fn code(&self) -> u32 {
        match *self {
            Self::Nothing | Self::Version(_) => super::code::OK,
            Self::Code(code)
            | Self::SessionCreated { code, .. }
            | Self::StreamAdded { code, .. }
            | Self::ChunkClosed { code, .. }
            | Self::ChunkExists { code, .. }
            | Self::Configuration { code, .. } => code,
        }
    }

    /// The number of a session, or the handle of a stream, that was made.
    pub fn made(&self) -> Option<u64> {
        match *self {
            Self::SessionCreated {
                session: id, code, ..
            }
            | Self::StreamAdded { stream: id, code } => (code == super::code::OK).then_some(id),
            _ => None,
        }
    }

    /// Appends the reply as it goes to a connection of this minor.
    pub fn encode(&self, minor: u32, out: &mut Vec<u8>) {
        match *self {
            Self::Nothing => {}
            Self::Code(number) => code(out, number),
            Self::Version(version) => version.encode_payload(out),
            Self::SessionCreated {
                session,
                code,
                path,
            } => put_session(out, minor, session, code, path),
            Self::StreamAdded { stream, code } => stream_added(out, stream, code),
            Self::ChunkClosed { code, path } => chunk_closed(out, code, path),
            Self::ChunkExists { code, exists } => chunk_exists(out, code, exists),
            Self::Configuration { code, flags } => configuration(out, code, flags),
        }
    }
}

/// The reply to a `kind` command at the start of `bytes`, and how many of them
/// it takes; `None` if more must come first.
pub fn decode(
    kind: CommandKind,
    minor: u32,
    bytes: &[u8],
) -> Result<Option<(Reply<'_>, usize)>, WireError> {
    partial(bytes, |reader| read(kind, minor, reader))
}

fn read<'a>(
    kind: CommandKind,
    minor: u32,
    reader: &mut Reader<'a>,
) -> Result<Reply<'a>, WireError> {
    Ok(match kind {
        CommandKind::SendMetadata => Reply::Nothing,
        CommandKind::Version => Reply::Version(Version::read(reader)?),
        CommandKind::CreateSession => Reply::SessionCreated {
            session: reader.u64("session_id")?,
            code: reader.u32("ret_code")?,
            path: if minor < 11 {
                &[]
            } else {
                read_path(reader)?.unwrap_or(&[])
            },
        },
        CommandKind::AddStream => Reply::StreamAdded {
            stream: reader.u64("handle")?,
            code: reader.u32("ret_code")?,
        },
        CommandKind::CloseTraceChunk => Reply::ChunkClosed {
            code: reader.u32("ret_code")?,
            path: read_path(reader)?,
        },
        CommandKind::TraceChunkExists => Reply::ChunkExists {
            code: reader.u32("ret_code")?,
            exists: reader.flag("exists")?,
        },
        CommandKind::GetConfiguration => Reply::Configuration {
            code: reader.u32("ret_code")?,
            flags: reader.u64("configuration_flags")?,
        },
        CommandKind::StartData
        | CommandKind::CloseStream
        | CommandKind::DataPending
        | CommandKind::QuiescentControl
        | CommandKind::BeginDataPending
        | CommandKind::EndDataPending
        | CommandKind::SendIndex
        | CommandKind::StreamsSent
        | CommandKind::ResetMetadata
        | CommandKind::RotateStreams
        | CommandKind::CreateTraceChunk => Reply::Code(reader.u32("ret_code")?),
    })
}

/// A path and the length before it, which is 0 if there is none.
fn read_path<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, WireError> {
    let length = u64::from(reader.u32("path_length")?);
    // Without a limit a peer could make us wait for 4 GiB.
    check_length("path_length", length, 0, PATH_LENGTH_MAX)?;
    match length {
        0 => Ok(None),
        _ => reader.name("path", length).map(Some),
    }
}

/// The code alone.
pub fn code(out: &mut Vec<u8>, code: u32) {
    put_u32(out, code);
}

/// To `VERSION`: the relay's own version, whatever was asked.
pub fn version(out: &mut Vec<u8>) {
    let version = Version {
        major: MAJOR,
        minor: MINOR,
    };
    version.encode_payload(out);
}

/// To `CREATE_SESSION`, done. `path` is without NUL and, from minor 11, not
/// left out even if it is empty; below 11 it has no place.
pub fn session_created(out: &mut Vec<u8>, minor: u32, session: u64, path: &[u8]) {
    put_session(out, minor, session, super::code::OK, path);
}

/// To `CREATE_SESSION`, refused. From minor 11 on with an empty path and its NUL: a session
/// daemon reads the path before the result, and hangs if the path has no bytes.
pub fn session_refused(out: &mut Vec<u8>, minor: u32, code: u32) {
    put_session(out, minor, 0, code, &[]);
}

/// To `ADD_STREAM`.
pub fn stream_added(out: &mut Vec<u8>, stream: u64, code: u32) {
    put_u64(out, stream);
    put_u32(out, code);
}

/// To `CLOSE_TRACE_CHUNK`. `path` is without NUL, and on error empty: a consumer daemon
/// reads it before the code, and fails without one.
pub fn chunk_closed(out: &mut Vec<u8>, code: u32, path: Option<&[u8]>) {
    put_u32(out, code);
    put_path(out, path);
}

/// To `TRACE_CHUNK_EXISTS`.
pub fn chunk_exists(out: &mut Vec<u8>, code: u32, exists: bool) {
    put_u32(out, code);
    put_flag(out, exists);
}

/// To `GET_CONFIGURATION`.
pub fn configuration(out: &mut Vec<u8>, code: u32, flags: u64) {
    put_u32(out, code);
    put_u64(out, flags);
}

fn put_session(out: &mut Vec<u8>, minor: u32, session: u64, code: u32, path: &[u8]) {
    put_u64(out, session);
    put_u32(out, code);
    if minor >= 11 {
        put_path(out, Some(path));
    }
}

fn put_path(out: &mut Vec<u8>, path: Option<&[u8]>) {
    put_u32(out, path.map_or(0, length_with_nul));
    if let Some(path) = path {
        put_name(out, path);
    }
}

/// Major version of the protocol.
pub const MAJOR: u32 = 2;
/// Newest minor version of the protocol.
pub const MINOR: u32 = 15;
/// Flag of [`configuration`]: sessions may be cleared.
pub const CLEAR_ALLOWED: u64 = 1;

/// A path with its NUL, in a reply.
const PATH_LENGTH_MAX: u64 = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::code::{FATAL, OK};
    use super::*;
    use crate::wire::testing::{any_name, hex};
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn assert_round_trip(kind: CommandKind, minor: u32, reply: &Reply<'_>) {
        let mut bytes = written(|out| reply.encode(minor, out));
        let size = bytes.len();
        for cut in 0..size {
            assert_eq!(
                decode(kind, minor, &bytes[..cut]),
                Ok(None),
                "{kind:?} at {cut}"
            );
        }
        bytes.extend_from_slice(b"more");
        assert_eq!(decode(kind, minor, &bytes), Ok(Some((*reply, size))));
    }

    #[test]
    fn samples() {
        assert_eq!(written(version), hex("00000002 0000000f"));
        assert_eq!(
            written(|out| configuration(out, OK, CLEAR_ALLOWED)),
            hex("0000000a 0000000000000001")
        );
        let mut created = hex("0000000000000001 0000000a 00000016");
        created.extend_from_slice(b"vm/st-20261122-064435\0");
        assert_eq!(created.len(), 38);
        assert_eq!(
            written(|out| session_created(out, 13, 1, b"vm/st-20261122-064435")),
            created
        );
        assert_eq!(
            written(|out| session_created(out, 10, 1, b"vm")),
            hex("0000000000000001 0000000a")
        );
        assert_eq!(
            written(|out| session_refused(out, 15, FATAL)),
            hex("0000000000000000 00000019 00000001 00")
        );
        assert_eq!(
            written(|out| session_refused(out, 4, FATAL)),
            hex("0000000000000000 00000019")
        );
        assert_eq!(
            written(|out| stream_added(out, 1, OK)),
            hex("0000000000000001 0000000a")
        );
        assert_eq!(
            written(|out| chunk_exists(out, OK, true)),
            hex("0000000a 01")
        );
        assert_eq!(
            written(|out| chunk_closed(out, OK, Some(b"a"))),
            hex("0000000a 00000002 61 00")
        );
        assert_eq!(
            written(|out| chunk_closed(out, 26, None)),
            hex("0000001a 00000000")
        );
    }

    #[test]
    fn metadata_has_no_reply() {
        assert_round_trip(CommandKind::SendMetadata, 15, &Reply::Nothing);
    }

    #[test]
    fn a_path_without_end_is_refused() {
        let bytes = hex("0000000a 00001001");
        assert!(decode(CommandKind::CloseTraceChunk, 15, &bytes).is_err());
        let bytes = hex("0000000a 00000002 6161");
        assert!(decode(CommandKind::CloseTraceChunk, 15, &bytes).is_err());
    }

    proptest! {
        #[test]
        fn replies_come_back(
            (one, code, minor2) in any::<(u64, u32, u32)>(),
            flag: bool,
            path in any_name(60),
            minor in 1..=15_u32,
        ) {
            for kind in CommandKind::ALL {
                let reply = match kind {
                    CommandKind::SendMetadata => Reply::Nothing,
                    CommandKind::Version => {
                        Reply::Version(Version { major: code, minor: minor2 })
                    }
                    CommandKind::CreateSession => Reply::SessionCreated {
                        session: one,
                        code,
                        path: if minor < 11 { &[] } else { &path },
                    },
                    CommandKind::AddStream => Reply::StreamAdded { stream: one, code },
                    CommandKind::CloseTraceChunk => {
                        Reply::ChunkClosed { code, path: flag.then_some(&path[..]) }
                    }
                    CommandKind::TraceChunkExists => Reply::ChunkExists { code, exists: flag },
                    CommandKind::GetConfiguration => Reply::Configuration { code, flags: one },
                    _ => Reply::Code(code),
                };
                assert_round_trip(kind, minor, &reply);
            }
        }

        #[test]
        fn any_bytes_are_a_reply_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            minor in 0..20_u32,
        ) {
            for kind in CommandKind::ALL {
                if let Ok(Some((_, used))) = decode(kind, minor, &bytes) {
                    prop_assert!(used <= bytes.len());
                }
            }
        }
    }
}
