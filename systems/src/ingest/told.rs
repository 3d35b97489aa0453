//! Commands and replies as text, for the log at level TRACE (`-vv`).
//!
//! Streams are named by their channels, since a handle is an access right.

use baton_components::directory::Directory;
use baton_components::shown::Shown;
use baton_components::wire::producer::reply::{self, Reply};
use baton_components::wire::producer::{
    Command, CommandKind, CreateSession, NONE, SendIndex, code,
};

use crate::entities::Entities;
use crate::named;

/// A command with what it is about.
pub fn command(entities: &Entities, directory: &Directory, command: &Command) -> String {
    let name = command.kind().name();
    let stream = |handle| stream(entities, directory, handle);
    match command {
        Command::Version(version) => format!("{name} {}.{}", version.major, version.minor),
        Command::CreateSession(session) => format!("{name} {}", created(session)),
        Command::AddStream(added) => {
            let (channel, path) = (Shown(added.channel), Shown(added.path));
            format!("{name} {channel} in {path}")
        }
        Command::SendMetadata(sent) => {
            format!("{name} {}: {} bytes", stream(sent.stream), sent.bytes.len())
        }
        Command::CloseStream(closed) => match closed.last_sequence {
            NONE => format!("{name} {}", stream(closed.stream)),
            last => format!(
                "{name} {}: packet {last} is the last",
                stream(closed.stream)
            ),
        },
        Command::DataPending(asked) => {
            let packet = asked.last_sequence;
            format!("{name} {}: packet {packet}", stream(asked.stream))
        }
        Command::QuiescentControl(it) => format!("{name} {}", stream(it.stream)),
        Command::SendIndex(index) => {
            format!("{name} {}: {}", stream(index.stream), described(index))
        }
        Command::ResetMetadata(reset) => format!("{name} {}", stream(reset.stream)),
        Command::RotateStreams(rotated) => {
            let count = rotated.positions.len();
            match rotated.new_chunk {
                Some(chunk) => format!("{name} to chunk {chunk}: {count} streams"),
                None => format!("{name} to no chunk: {count} streams"),
            }
        }
        Command::CreateTraceChunk(created) => match created.override_name {
            Some(own) => format!("{name} {}, called {}", created.chunk, Shown(own)),
            None => format!("{name} {}", created.chunk),
        },
        Command::CloseTraceChunk(closed) => match closed.command {
            Some(0) => format!("{name} {}: archive it", closed.chunk),
            Some(2) => format!("{name} {}: delete it", closed.chunk),
            _ => format!("{name} {}", closed.chunk),
        },
        Command::TraceChunkExists(asked) => format!("{name} {}", asked.chunk),
        Command::StartData
        | Command::StreamsSent
        | Command::BeginDataPending(_)
        | Command::EndDataPending(_)
        | Command::GetConfiguration(_) => name.to_owned(),
    }
}

/// The reply to a command of that kind.
pub fn reply(kind: CommandKind, minor: u32, bytes: &[u8]) -> String {
    let decoded = reply::decode(kind, minor, bytes);
    let Some((reply, _)) = decoded.ok().flatten().filter(|_| !bytes.is_empty()) else {
        return "no reply".to_owned();
    };
    let result = match kind {
        CommandKind::DataPending | CommandKind::EndDataPending => code::pending_name(reply.code()),
        _ => code::name(reply.code()),
    };
    match reply {
        Reply::Version(version) => format!("{result}, {}.{}", version.major, version.minor),
        Reply::SessionCreated {
            session,
            path,
            code: code::OK,
            ..
        } => format!("{result}, number {session} in {}", Shown(path)),
        Reply::ChunkClosed {
            code: code::OK,
            path: Some(path),
        } => format!("{result}, in {}", Shown(path)),
        Reply::ChunkExists { exists: true, .. } => format!("{result}, it is in use"),
        Reply::ChunkExists { .. } => format!("{result}, it is not in use"),
        _ => result.to_owned(),
    }
}

/// The name of an open stream.
pub fn stream(entities: &Entities, directory: &Directory, handle: u64) -> String {
    let stream = directory.streams.get(&handle);
    let stream = stream.and_then(|key| entities.streams.get(*key));
    stream.map_or_else(
        || "an unknown stream".to_owned(),
        |stream| named::stream(entities, stream),
    )
}

fn created(session: &CreateSession) -> String {
    let mut text = format!("{}@{}", Shown(session.name), Shown(session.host));
    if session.snapshot {
        text += ", snapshots";
    }
    if session.live_timer_us > 0 {
        text += ", live";
    }
    text
}

fn described(index: &SendIndex) -> String {
    if index.packet_size_bits == 0 {
        return format!("no event before {}", index.timestamp_end);
    }
    let bytes = index.packet_size_bits / 8;
    format!("packet {} of {bytes} bytes", index.sequence)
}
