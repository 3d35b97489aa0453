//! LIST_SESSIONS: the sessions whose producer is there, and those that are kept, in
//! the order of their creation.

use std::borrow::Cow;

use baton_components::connection::Connection;
use baton_components::session::Session;
use baton_components::wire::TraceFormat;
use baton_components::wire::viewer::{SessionEntry, reply};

use super::{Caller, Serve};

/// The minor since which viewers know CTF 2.
const CTF2_MINOR: u32 = 15;

pub fn list(serve: &mut Serve, caller: Caller, replies: &mut Vec<u8>) {
    let has_attached = serve
        .viewer_session(caller)
        .is_some_and(|viewer| !viewer.attached.is_empty());
    let connection = serve.entities.connections.get_mut(caller.connection);
    if let Some(viewer) = connection.and_then(Connection::viewer_mut) {
        viewer.has_only_listed = !has_attached;
    }
    let sessions = &serve.entities.sessions;
    let listed: Vec<(&Session, Cow<[u8]>)> = serve
        .directory
        .listed
        .values()
        .filter_map(|key| sessions.get(*key))
        .filter(|session| is_readable(session, caller.minor) && serve.may_see(caller, session))
        .map(|session| (session, name(serve, session)))
        .collect();
    let entries: Vec<SessionEntry> = listed
        .iter()
        .map(|(session, name)| entry(session, name))
        .collect();
    reply::session_list(replies, caller.minor, &entries);
}

/// Viewers attach every session of the name that they look for: the running one has
/// it, one that is over has its start time added.
fn name<'a>(serve: &Serve, session: &'a Session) -> Cow<'a, [u8]> {
    if !session.is_producer_gone() {
        return Cow::Borrowed(&session.name);
    }
    match serve.clock.civil(session.created_s) {
        Some(time) => {
            let stamp = time.session_stamp();
            Cow::Owned([&session.name, b"-".as_slice(), stamp.as_bytes()].concat())
        }
        None => Cow::Borrowed(&session.name),
    }
}

/// Whether a viewer of this minor can read the session's trace format.
pub fn is_readable(session: &Session, minor: u32) -> bool {
    session.trace_format == TraceFormat::Ctf1 || minor >= CTF2_MINOR
}

fn entry<'a>(session: &'a Session, name: &'a [u8]) -> SessionEntry<'a> {
    SessionEntry {
        session: session.id,
        live_timer_us: session.live_timer_us,
        clients: session.viewers.len() as u32,
        streams: session.stream_count,
        host: &session.host,
        name,
        trace_format: session.trace_format,
    }
}
