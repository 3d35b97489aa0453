//! LIST_SESSIONS: the sessions whose producer is there, in the order of their
//! creation.

use baton_components::session::Session;
use baton_components::wire::TraceFormat;
use baton_components::wire::viewer::{SessionEntry, reply};

use super::{Caller, Serve};
use crate::entities::Entities;

/// The minor since which viewers know CTF 2.
const CTF2_MINOR: u32 = 15;

pub fn list(serve: &Serve, caller: Caller, replies: &mut Vec<u8>) {
    let entities = &serve.entities;
    let entries: Vec<SessionEntry> = serve
        .directory
        .sessions
        .values()
        .filter_map(|key| entities.sessions.get(*key))
        .filter(|session| !session.producer_gone && is_readable(session, caller.minor))
        .map(|session| entry(entities, session))
        .collect();
    reply::session_list(replies, caller.minor, &entries);
}

/// Whether a viewer of this minor can read the session's trace format.
pub fn is_readable(session: &Session, minor: u32) -> bool {
    session.trace_format == TraceFormat::Ctf1 || minor >= CTF2_MINOR
}

fn entry<'a>(entities: &Entities, session: &'a Session) -> SessionEntry<'a> {
    let viewers = session
        .viewers
        .iter()
        .filter(|key| entities.viewer_sessions.contains(**key));
    SessionEntry {
        session: session.id,
        live_timer_us: session.live_timer_us,
        clients: viewers.count() as u32,
        streams: session.stream_count,
        host: &session.host,
        name: &session.name,
        trace_format: session.trace_format,
    }
}
