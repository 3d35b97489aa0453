//! LIST_SESSIONS: the sessions whose producer is there, and those that are kept, in
//! the order of their creation.

use std::borrow::Cow;
use std::ops::Bound;

use baton_components::connection::{Connection, SessionList};
use baton_components::costs::LIST_SLICE_SESSIONS;
use baton_components::session::Session;
use baton_components::wire::TraceFormat;
use baton_components::wire::viewer::{SessionEntry, reply};

use super::{Caller, Serve};

/// The minor since which viewers know CTF 2.
const CTF2_MINOR: u32 = 15;

/// Writes the reply, or a slice of it if that is long. False: there is more to write in a later
/// turn. A session that comes or goes meanwhile is in the list, or is not.
pub fn list(serve: &mut Serve, caller: Caller, replies: &mut Vec<u8>) -> bool {
    let has_attached = serve
        .viewer_session(caller)
        .is_some_and(|viewer| !viewer.attached.is_empty());
    let connection = serve.entities.connections.get_mut(caller.connection);
    let unfinished = connection.and_then(Connection::viewer_mut).and_then(|it| {
        it.has_only_listed = !has_attached;
        it.list.take()
    });
    if unfinished.is_none() && serve.directory.listed.len() <= LIST_SLICE_SESSIONS {
        let (begin, mut list) = (replies.len(), SessionList::begin(std::mem::take(replies)));
        write_slice(serve, caller, &mut list);
        reply::end_session_list(&mut list.bytes[begin..], list.count);
        *replies = list.bytes;
        return true;
    }
    let mut list = unfinished.unwrap_or_else(|| Box::new(SessionList::begin(Vec::new())));
    let is_whole = write_slice(serve, caller, &mut list);
    if is_whole {
        reply::end_session_list(&mut list.bytes, list.count);
        if replies.is_empty() {
            // It may be very long.
            *replies = list.bytes;
        } else {
            replies.append(&mut list.bytes);
        }
    } else {
        let connection = serve.entities.connections.get_mut(caller.connection);
        if let Some(viewer) = connection.and_then(Connection::viewer_mut) {
            viewer.list = Some(list);
        }
    }
    is_whole
}

/// Writes the next entries. Returns whether those were the last.
fn write_slice(serve: &Serve, caller: Caller, list: &mut SessionList) -> bool {
    let Serve {
        directory,
        entities,
        ..
    } = serve;
    let rest = (Bound::Excluded(list.after), Bound::Unbounded);
    let mut rest = directory.listed.range(rest);
    for (id, key) in rest.by_ref().take(LIST_SLICE_SESSIONS) {
        list.after = *id;
        let session = entities.sessions.get(*key);
        if let Some(session) = session
            .filter(|session| is_readable(session, caller.minor) && serve.may_see(caller, session))
        {
            list.count += 1;
            entry(session, &name(serve, session)).encode(caller.minor, &mut list.bytes);
        }
    }
    rest.next().is_none()
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
