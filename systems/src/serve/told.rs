//! Requests and replies as text, for the log at level TRACE (`-vv`).

use baton_components::connection::Connection;
use baton_components::keys::ConnectionKey;
use baton_components::session::Session;
use baton_components::wire::viewer::reply::{self, Reply};
use baton_components::wire::viewer::{NextIndexStatus, Request, RequestKind, SEEK_BEGINNING};

use super::Serve;
use crate::named;

/// A request with what it is about.
pub fn request(serve: &Serve, key: ConnectionKey, request: &Request) -> String {
    let name = request.kind().name();
    let session = |id| session(serve, id);
    let stream = |id| stream(serve, key, id);
    match *request {
        Request::Connect { major, minor, .. } => format!("{name} {major}.{minor}"),
        Request::Attach {
            session: id,
            seek: SEEK_BEGINNING,
        } => format!("{name} {} from its beginning", session(id)),
        Request::Attach { session: id, .. } => format!("{name} {} from now", session(id)),
        Request::Detach { session: id } | Request::NewStreams { session: id } => {
            format!("{name} {}", session(id))
        }
        Request::NextIndex { stream: id } | Request::Metadata { stream: id } => {
            format!("{name} {}", stream(id))
        }
        Request::Packet {
            stream: id,
            offset,
            length,
        } => format!("{name} {}: {length} bytes at {offset}", stream(id)),
        Request::ListSessions | Request::CreateSession => name.to_owned(),
    }
}

/// The reply to a request of that kind, or its head, if the rest comes from a file.
pub fn reply(kind: RequestKind, minor: u32, bytes: &[u8]) -> String {
    let Ok(Some((reply, _))) = reply::decode(kind, minor, bytes) else {
        return "its bytes come from the file".to_owned();
    };
    match reply {
        Reply::Connect(reply) => format!("{}.{}", reply.major, reply.minor),
        Reply::ListSessions(sessions) => format!("{} sessions", sessions.len()),
        Reply::Attach(status, streams) => format!("{}, {} streams", status.name(), streams.len()),
        Reply::NextIndex(index) if index.status == NextIndexStatus::Ok => {
            let bytes = index.packet_size_bits / 8;
            format!("OK, {bytes} bytes at {}", index.offset_bytes)
        }
        Reply::NextIndex(index) => index.status.name().to_owned(),
        Reply::Packet(packet, _) => packet.status.name().to_owned(),
        Reply::Metadata(metadata, _) => {
            format!("{}, {} bytes", metadata.status.name(), metadata.length)
        }
        Reply::NewStreams(status, streams) => {
            format!("{}, {} streams", status.name(), streams.len())
        }
        Reply::CreateSession(status) => status.name().to_owned(),
        Reply::Detach(status) => status.name().to_owned(),
    }
}

fn session(serve: &Serve, id: u64) -> String {
    let session = serve.directory.sessions.get(&id);
    let session = session.and_then(|key| serve.entities.sessions.get(*key));
    session.map_or_else(|| "an unknown session".to_owned(), Session::to_string)
}

fn stream(serve: &Serve, key: ConnectionKey, id: u64) -> String {
    let entities = &serve.entities;
    let viewer = entities.connections.get(key).and_then(Connection::viewer);
    let viewer = viewer.and_then(|viewer| viewer.session.as_ref());
    let streams = viewer.map(|viewer| &entities.viewer_sessions[viewer].streams);
    let stream = streams.and_then(|streams| streams.get(&id));
    let stream = stream.and_then(|key| entities.viewer_streams.get(*key));
    stream.map_or_else(
        || "an unknown stream".to_owned(),
        |stream| named::stream(entities, &entities.streams[&stream.stream]),
    )
}
