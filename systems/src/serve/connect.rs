//! CONNECT and CREATE_SESSION: the first requests of a viewer's connection.

use baton_components::connection::Connection;
use baton_components::directory::Lot;
use baton_components::keys::ConnectionKey;
use baton_components::shares::AddressKey;
use baton_components::viewer_session::ViewerSession;
use baton_components::wire::viewer::reply::{self, ConnectReply};
use baton_components::wire::viewer::{
    CreateSessionStatus, KIND_COMMAND, KIND_NOTIFICATION, MAJOR, MINOR,
};

use super::fault::Rejection;
use super::{Caller, Serve};
use crate::chance;
use crate::entities::Entities;
use crate::reclaim::leave_session;

/// The reply has Baton's minor; both sides then use the lower one.
pub fn connect(
    serve: &mut Serve,
    key: ConnectionKey,
    major: u32,
    minor: u32,
    kind: u32,
    replies: &mut Vec<u8>,
) -> Result<(), Rejection> {
    if major != MAJOR {
        return Err(Rejection::Major(major));
    }
    let id = match kind {
        KIND_COMMAND => chance::id(&mut serve.chance, Lot::Viewer),
        KIND_NOTIFICATION => 0,
        _ => return Err(Rejection::Type(kind)),
    };
    let connection = serve.entities.connections.get_mut(key);
    if let Some(viewer) = connection.and_then(Connection::viewer_mut) {
        viewer.minor = Some(minor.min(MINOR));
    }
    ConnectReply::ours(id).encode(replies);
    Ok(())
}

/// Makes an empty viewer session for the connection, and drops its previous one with
/// everything attached: some viewers repeat this request.
pub fn create_session(serve: &mut Serve, caller: Caller, replies: &mut Vec<u8>) {
    let Entities {
        viewer_sessions,
        sessions,
        ..
    } = &mut *serve.entities;
    let before = caller
        .session
        .and_then(|key| Some((key, viewer_sessions.get(key)?)));
    if let Some((key, before)) = before {
        // Lists do not count it any more.
        for attachment in before.attached.values() {
            leave_session(sessions, key, &attachment.session);
        }
    }
    let connection = caller.connection;
    let address = serve.entities.connections.get(connection);
    let address = address.map_or_else(AddressKey::default, |connection| connection.address);
    let session = serve.entities.insert(|_| ViewerSession {
        connection,
        address,
        ..ViewerSession::default()
    });
    serve
        .entities
        .relink(caller.connection, |connection: &mut Connection, links| {
            if let Some(viewer) = connection.viewer_mut() {
                viewer.session = Some(links.hold(session));
            }
        });
    // From here on its connection has it.
    serve.entities.disown::<ViewerSession>(session);
    reply::session_created(replies, CreateSessionStatus::Ok);
}
