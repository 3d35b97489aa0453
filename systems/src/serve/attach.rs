//! ATTACH_SESSION and DETACH_SESSION.

use baton_components::hold::Held;
use baton_components::keys::{SessionKey, StreamKey, ViewerSessionKey};
use baton_components::session::Session;
use baton_components::shares::Topic;
use baton_components::tally::Reading;
use baton_components::viewer_session::{Attachment, ViewerSession};
use baton_components::wire::viewer::{
    AttachStatus, DetachStatus, RequestKind, SEEK_BEGINNING, SEEK_LAST, reply,
};

use super::announce::{self, Seek};
use super::{Caller, Serve, list};
use crate::entities::Entities;
use crate::peers::{refusals, waiting};
use crate::reclaim::leave_session;
use crate::record::ring;
use crate::record::sweep;

pub fn attach(serve: &mut Serve, caller: Caller, id: u64, seek: u32, replies: &mut Vec<u8>) {
    let (viewer, session, seek) = match check(serve, caller, id, seek) {
        Ok(checked) => checked,
        Err(status) => {
            report_refusal(serve, caller, id, status);
            let counts = &mut serve.entities.totals.requests;
            counts[RequestKind::Attach as usize].refused += 1;
            return reply::attached(replies, status, &[]);
        }
    };
    let since_s = serve.now.unix_s;
    let entities = &mut serve.entities;
    let streams = entities.sessions.get(session);
    let streams = streams.map_or(0, |it| it.rare().kept_streams.len() + it.open_streams.len());
    if let Err(shortage) = announce::check_room(entities, viewer, streams) {
        let (agenda, now) = (&mut serve.agenda, &serve.now);
        return waiting::refuse(entities, agenda, now, caller.connection, &shortage);
    }
    entities.link(viewer, session, |viewer: &mut ViewerSession, session| {
        let attachment = Attachment::new(session, since_s);
        viewer.attached.insert(id, attachment);
    });
    let Entities {
        viewer_sessions,
        sessions,
        ..
    } = &mut **entities;
    let attached = viewer_sessions.get(viewer);
    let Some(attachment) = attached.and_then(|viewer| viewer.attached.get(&id)) else {
        return reply::attached(replies, AttachStatus::NoSession, &[]);
    };
    let record = &mut sessions[&attachment.session];
    record.viewers.insert(viewer);
    let kept = record.rare().kept_streams.iter();
    let readable: Vec<StreamKey> = kept.chain(record.open_streams.values()).copied().collect();
    let name = record.to_string();
    announce::prepare(entities, viewer, session, &readable, seek);
    begin_reading(entities, viewer, id, seek);
    let announced = announce::announce(entities, viewer, id);
    reply::attached(
        replies,
        AttachStatus::Ok,
        &announce::entries(entities, &announced),
    );
    let connection = entities.connections.get_mut(caller.connection);
    if let Some(connection) = connection {
        if let Some(viewer) = connection.viewer_mut() {
            viewer.has_only_listed = false;
        }
        tracing::info!(peer = connection.peer, "viewer attached to session {name}");
    }
}

/// Logs why a viewer does not get a session. Some ask for ever: of many only the first is
/// logged.
fn report_refusal(serve: &mut Serve, caller: Caller, id: u64, status: AttachStatus) {
    let session = serve.directory.sessions.get(&id);
    let session = session.and_then(|key| serve.entities.sessions.get(*key));
    let name = session.map_or_else(|| format!("number {id}"), Session::to_string);
    let why = match status {
        AttachStatus::NotLive => {
            "it is not live; create it with lttng create --live, or run the relay with --serve all"
        }
        AttachStatus::Unknown if session.is_some_and(Session::is_producer_gone) => "it is over",
        AttachStatus::Unknown if session.is_some() => {
            "its traces are in CTF 2, which viewers know since LTTng 2.15"
        }
        AttachStatus::Unknown => "there is none, or no more",
        AttachStatus::Already => "the viewer has it already",
        AttachStatus::SeekError => "the viewer asks for a position that is not defined",
        AttachStatus::NoSession => "the viewer has not sent CREATE_SESSION",
        AttachStatus::Ok => return,
    };
    let Entities {
        connections,
        shares,
        ..
    } = &mut *serve.entities;
    if let Some(connection) = connections.get(caller.connection)
        && let Some(before) = shares.refuse(connection.address, Topic::Session, serve.now.monotonic)
    {
        tracing::warn!(
            peer = connection.peer,
            "viewer is refused session {name}: {why}{}",
            refusals::more(before)
        );
    }
}

/// Notes where the viewer begins to read, and so how much of the session is before it.
fn begin_reading(entities: &mut Entities, viewer: ViewerSessionKey, id: u64, seek: Seek) {
    let Entities {
        viewer_sessions,
        viewer_streams,
        sessions,
        streams,
        trace_files,
        ..
    } = entities;
    let Some(viewer) = viewer_sessions.get_mut(viewer) else {
        return;
    };
    let Some(attachment) = viewer.attached.get_mut(&id) else {
        return;
    };
    let followed = attachment.streams.iter();
    let followed = followed.filter_map(|id| viewer_streams.get(*viewer.streams.get(id)?));
    let packets = followed.map(|viewer_stream| {
        let stream = &streams[&viewer_stream.stream];
        // Files of earlier chunks are there for viewers that have not read them.
        let is_before = |file: &&Held<_>| trace_files[*file].ordinal < stream.chunk_ordinal;
        let before = stream.files.iter().take_while(is_before);
        let before: u64 = before.map(|file| trace_files[file].records()).sum();
        stream.tally.readable.saturating_sub(before)
    });
    let packets = match seek {
        Seek::Beginning => packets.sum(),
        Seek::Last => 0,
    };
    let span = &sessions[&attachment.session].span;
    attachment.reading = Reading::from(span, packets);
}

/// The conditions, in the order in which the protocol has them.
fn check(
    serve: &Serve,
    caller: Caller,
    id: u64,
    seek: u32,
) -> Result<(ViewerSessionKey, SessionKey, Seek), AttachStatus> {
    let viewer = caller.session.ok_or(AttachStatus::NoSession)?;
    let key = serve
        .directory
        .sessions
        .get(&id)
        .copied()
        .ok_or(AttachStatus::Unknown)?;
    let session = serve
        .entities
        .sessions
        .get(key)
        .filter(|session| serve.may_see(caller, session))
        .ok_or(AttachStatus::Unknown)?;
    if !ring::is_served(&serve.entities, key) {
        return Err(AttachStatus::NotLive);
    }
    if !list::is_readable(session, caller.minor) {
        return Err(AttachStatus::Unknown);
    }
    let seek = match seek {
        SEEK_BEGINNING => Seek::Beginning,
        // A session that is over has no packets after its newest, so it is read from its
        // beginning.
        SEEK_LAST if session.is_producer_gone() => Seek::Beginning,
        SEEK_LAST => Seek::Last,
        _ => return Err(AttachStatus::SeekError),
    };
    if serve
        .viewer_session(caller)
        .is_some_and(|viewer| viewer.attached.contains_key(&id))
    {
        return Err(AttachStatus::Already);
    }
    if session.is_producer_gone() && !serve.entities.sessions.is_owned(key) {
        return Err(AttachStatus::Unknown);
    }
    Ok((viewer, key, seek))
}

pub fn detach(serve: &mut Serve, caller: Caller, id: u64, replies: &mut Vec<u8>) {
    reply::detached(replies, try_detach(serve, caller, id));
}

fn try_detach(serve: &mut Serve, caller: Caller, id: u64) -> DetachStatus {
    let Some(viewer) = caller.session else {
        return DetachStatus::Error;
    };
    let Entities {
        viewer_sessions,
        sessions,
        ..
    } = &mut *serve.entities;
    let record = viewer_sessions.get_mut(viewer);
    let Some((by_id, attachment)) = record.and_then(|record| {
        let attachment = record.attached.get_mut(&id)?;
        Some((&mut record.streams, attachment))
    }) else {
        let known = serve.directory.sessions.get(&id);
        let known = known.and_then(|key| serve.entities.sessions.get(*key));
        let known = known.is_some_and(|session| serve.may_see(caller, session));
        return if known {
            DetachStatus::Error
        } else {
            DetachStatus::Unknown
        };
    };
    let streams = std::mem::take(&mut attachment.streams);
    let ended: Vec<_> = streams.iter().filter_map(|it| by_id.remove(it)).collect();
    leave_session(sessions, viewer, &attachment.session);
    for key in ended {
        sweep::leave(&mut serve.entities, &mut serve.agenda, key);
    }
    serve.entities.unlink(viewer, |viewer: &mut ViewerSession| {
        viewer.with_news.remove(&id);
        viewer.attached.remove(&id).map(|it| it.session)
    });
    DetachStatus::Ok
}
