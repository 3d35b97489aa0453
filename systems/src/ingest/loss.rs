//! Packets that do not come: one that broke off, and those of a session whose data
//! connections have ended.

use baton_components::keys::{SessionKey, StreamKey};

use super::{Ingest, index, rotation};
use crate::record::closing;
use crate::record::trace_files;

/// The connection that brought a packet of the stream ended before its last byte. Nothing
/// else is lost: the packet may come again, or the next one.
pub fn cut_torn(ingest: &mut Ingest, stream: StreamKey) {
    let Some(stream) = ingest.entities.streams.get_mut(stream) else {
        return;
    };
    stream.arriving = None;
    let file = stream.current_file();
    if let Some(file) = file.and_then(|file| ingest.entities.trace_files.get_mut(file)) {
        trace_files::cut(&mut ingest.storage, file);
    }
}

/// No packet comes any more, unless by a new connection. What waits for one goes on:
/// rotations, closes, questions whether all is there.
pub fn give_up(ingest: &mut Ingest, key: SessionKey) {
    let Some(session) = ingest.entities.sessions.get_mut(key) else {
        return;
    };
    session.given_up = true;
    for key in session.open_streams.clone() {
        index::give_up(ingest, key);
        if let Err(reason) = rotation::try_rotate(ingest, key) {
            tracing::error!("{reason}");
        }
        let stream = ingest.entities.streams.get(key);
        if stream.is_some_and(|stream| stream.closing.is_some()) {
            closing::try_close(
                &mut ingest.entities,
                &mut ingest.directory,
                &mut ingest.storage,
                key,
            );
        }
    }
    closing::keep(&mut ingest.entities, &mut ingest.agenda.kept, key);
}
