//! GET_NEW_STREAMS: streams that the viewer was not told of, or the end of a session.

use baton_components::session::Session;
use baton_components::wire::viewer::{NewStreamsStatus, reply};

use super::{Caller, Serve, announce};

pub fn answer(serve: &mut Serve, caller: Caller, id: u64, replies: &mut Vec<u8>) {
    let session = serve
        .viewer_session(caller)
        .and_then(|viewer| viewer.attached.get(&id));
    let session = session.map(|attachment| attachment.session.key());
    let (Some(viewer), Some(session)) = (caller.session, session) else {
        return reply::new_streams(replies, NewStreamsStatus::Error, &[]);
    };
    let entities = &mut serve.entities;
    if let Some(viewer) = entities.viewer_sessions.get_mut(viewer) {
        viewer.unheeded = None;
    }
    let announced = announce::announce(entities, viewer, id);
    let gone = entities
        .sessions
        .get(session)
        .is_none_or(Session::is_producer_gone);
    let open = entities
        .viewer_sessions
        .get(viewer)
        .and_then(|viewer| viewer.attached.get(&id));
    let open = open.map_or(0, |attachment| attachment.open_data);
    // A viewer forgets a session that is over, with all that it has not read.
    if gone && open == 0 {
        return reply::new_streams(replies, NewStreamsStatus::Hup, &[]);
    }
    let entries = announce::entries(entities, &announced);
    reply::new_streams(replies, NewStreamsStatus::Ok, &entries);
}
