//! ATTACH_SESSION and DETACH_SESSION.

use baton_components::keys::{SessionKey, StreamKey, ViewerSessionKey};
use baton_components::shown::Shown;
use baton_components::viewer_session::{Attachment, ViewerSession};
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::viewer::{
    AttachStatus, DetachStatus, SEEK_BEGINNING, SEEK_LAST, reply,
};

use super::announce::{self, Seek};
use super::{Caller, Serve, list};
use crate::reclaim::leave_session;
use crate::record::ring;

pub fn attach(serve: &mut Serve, caller: Caller, id: u64, seek: u32, replies: &mut Vec<u8>) {
    let (viewer, session, seek) = match check(serve, caller, id, seek) {
        Ok(checked) => checked,
        Err(status) => return reply::attached(replies, status, &[]),
    };
    let entities = &mut serve.entities;
    entities.relink(viewer, |viewer: &mut ViewerSession| {
        viewer.attached.insert(id, Attachment::new(session));
    });
    let Some(record) = entities.sessions.get_mut(session) else {
        return;
    };
    record.viewers.push(viewer);
    let kept = record.kept_streams.iter();
    let readable: Vec<StreamKey> = kept.chain(&record.open_streams).copied().collect();
    let name = Shown(&record.name).to_string();
    announce::prepare(entities, viewer, session, &readable, seek);
    let announced = announce::announce(entities, viewer, id);
    reply::attached(
        replies,
        AttachStatus::Ok,
        &announce::entries(entities, &announced),
    );
    if let Some(connection) = entities.connections.get(caller.connection) {
        tracing::info!(
            peer = connection.peer,
            session = id,
            "viewer attached to session {name}"
        );
    }
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
        .ok_or(AttachStatus::Unknown)?;
    if !ring::is_served(&serve.entities, key) {
        return Err(AttachStatus::NotLive);
    }
    if !list::is_readable(session, caller.minor) {
        return Err(AttachStatus::Unknown);
    }
    let seek = match seek {
        SEEK_BEGINNING => Seek::Beginning,
        // Nothing comes after the end: who asks for a session that is over wants it.
        SEEK_LAST if session.producer_gone => Seek::Beginning,
        SEEK_LAST => Seek::Last,
        _ => return Err(AttachStatus::SeekError),
    };
    if serve
        .viewer_session(caller)
        .is_some_and(|viewer| viewer.attached.contains_key(&id))
    {
        return Err(AttachStatus::Already);
    }
    if session.producer_gone && !serve.entities.sessions.is_owned(key) {
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
    let attached = serve
        .viewer_session(caller)
        .and_then(|viewer| viewer.attached.get(&id));
    let Some(session) = attached.map(|attachment| attachment.session) else {
        let known = serve.directory.sessions.get(&id);
        let known = known.is_some_and(|key| serve.entities.sessions.contains(*key));
        return if known {
            DetachStatus::Error
        } else {
            DetachStatus::Unknown
        };
    };
    let entities = &mut *serve.entities;
    let mut ended = Vec::new();
    if let Some(record) = entities.viewer_sessions.get_mut(viewer) {
        record.streams.retain(|_, key| {
            let stream = entities
                .viewer_streams
                .get(*key)
                .map(|viewer| viewer.stream);
            let stream = stream.and_then(|stream| entities.streams.get(stream));
            let kept = stream.is_some_and(|stream| stream.session != session);
            if !kept {
                ended.push(*key);
            }
            kept
        });
        record.traces.retain(|key, _| {
            entities
                .traces
                .get(*key)
                .is_some_and(|trace| trace.session != session)
        });
    }
    for key in ended {
        entities.disown::<ViewerStream>(key);
    }
    leave_session(entities, viewer, session);
    entities.relink(viewer, |viewer: &mut ViewerSession| {
        viewer.attached.remove(&id);
    });
    DetachStatus::Ok
}
