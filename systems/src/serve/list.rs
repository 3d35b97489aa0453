//! LIST_SESSIONS: the sessions whose producer is there, and those that are kept, in
//! the order of their creation.

use std::borrow::Cow;

use baton_components::session::Session;
use baton_components::wire::TraceFormat;
use baton_components::wire::viewer::{SessionEntry, reply};

use super::{Caller, Serve};
use crate::entities::Entities;

/// The minor since which viewers know CTF 2.
const CTF2_MINOR: u32 = 15;

pub fn list(serve: &Serve, caller: Caller, replies: &mut Vec<u8>) {
    let sessions = &serve.entities.sessions;
    let listed: Vec<(&Session, Cow<[u8]>)> = serve
        .directory
        .sessions
        .values()
        .filter_map(|key| Some((*key, sessions.get(*key)?)))
        .filter(|(key, session)| !session.producer_gone || sessions.is_owned(*key))
        .filter(|(_, session)| is_readable(session, caller.minor))
        .map(|(_, session)| (session, name(serve, session)))
        .collect();
    let entries: Vec<SessionEntry> = listed
        .iter()
        .map(|(session, name)| entry(&serve.entities, session, name))
        .collect();
    reply::session_list(replies, caller.minor, &entries);
}

/// Viewers attach every session of the name that they look for: the running one has
/// it, one that is over has its start time added.
fn name<'a>(serve: &Serve, session: &'a Session) -> Cow<'a, [u8]> {
    match serve.clock.civil(session.created_s) {
        Some(time) if session.producer_gone => {
            let stamp = time.session_stamp();
            Cow::Owned([&session.name, b"-".as_slice(), stamp.as_bytes()].concat())
        }
        _ => Cow::Borrowed(&session.name),
    }
}

/// Whether a viewer of this minor can read the session's trace format.
pub fn is_readable(session: &Session, minor: u32) -> bool {
    session.trace_format == TraceFormat::Ctf1 || minor >= CTF2_MINOR
}

fn entry<'a>(entities: &Entities, session: &'a Session, name: &'a [u8]) -> SessionEntry<'a> {
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
        name,
        trace_format: session.trace_format,
    }
}
