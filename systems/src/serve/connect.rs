//! CONNECT and CREATE_SESSION: how a viewer begins.

use baton_components::connection::Connection;
use baton_components::directory::Lot;
use baton_components::keys::ConnectionKey;
use baton_components::viewer_session::ViewerSession;
use baton_components::wire::viewer::reply::{self, ConnectReply};
use baton_components::wire::viewer::{
    CreateSessionStatus, KIND_COMMAND, KIND_NOTIFICATION, MAJOR, MINOR,
};

use super::viewer::Reason;
use super::{Caller, Serve};
use crate::chance;

/// The reply tells our own minor; both sides then use the lower one.
pub fn connect(
    serve: &mut Serve,
    key: ConnectionKey,
    major: u32,
    minor: u32,
    kind: u32,
    replies: &mut Vec<u8>,
) -> Result<(), Reason> {
    if major != MAJOR {
        return Err(Reason::Major(major));
    }
    let id = match kind {
        KIND_COMMAND => chance::id(&mut serve.chance, Lot::Viewer),
        KIND_NOTIFICATION => 0,
        _ => return Err(Reason::Type(kind)),
    };
    let connection = serve.entities.connections.get_mut(key);
    if let Some(viewer) = connection.and_then(Connection::viewer_mut) {
        viewer.minor = Some(minor.min(MINOR));
    }
    ConnectReply::ours(id).encode(replies);
    Ok(())
}

/// Gives the connection an empty viewer session. One that it had goes, with all that
/// it had attached: some viewers do this again and again.
pub fn create_session(serve: &mut Serve, caller: Caller, replies: &mut Vec<u8>) {
    let session = serve.entities.insert(ViewerSession::default());
    serve
        .entities
        .relink(caller.connection, |connection: &mut Connection| {
            if let Some(viewer) = connection.viewer_mut() {
                viewer.session = Some(session);
            }
        });
    // From here on its connection has it.
    serve.entities.disown::<ViewerSession>(session);
    reply::session_created(replies, CreateSessionStatus::Ok);
}
