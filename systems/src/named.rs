//! The names of records in log lines, which users know: no numbers.

use baton_components::connection::Connection;
use baton_components::keys::ConnectionKey;
use baton_components::shown::Shown;
use baton_components::stream::Stream;

use crate::entities::Entities;

/// ` of session SESSION@HOST`; nothing for a connection without one.
pub fn of_session(entities: &Entities, connection: ConnectionKey) -> String {
    let connection = entities.connections.get(connection);
    let session = connection.and_then(Connection::session);
    session.map_or_else(String::new, |session| {
        format!(" of session {}", entities.sessions[session])
    })
}

/// `CHANNEL of SESSION@HOST`. (A session's is its `Display`.)
pub fn stream(entities: &Entities, stream: &Stream) -> String {
    let session = &entities.sessions[&stream.session];
    format!("{} of {session}", Shown(&stream.channel))
}
