//! GET_METADATA: all metadata that the viewer does not have, in one reply.

use baton_components::connection::Body;
use baton_components::keys::{TraceFileKey, ViewerStreamKey};
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::viewer::MetadataStatus;
use baton_components::wire::viewer::reply::MetadataReply;

use super::{Caller, Serve, announce, body};
use crate::entities::Entities;
use crate::record::ring;

/// Metadata that a viewer does not have. Whole messages of the producer: less could
/// not be parsed.
pub struct Unread {
    file: TraceFileKey,
    body: Body,
}

pub fn answer(serve: &mut Serve, caller: Caller, handle: u64, replies: &mut Vec<u8>) {
    let key = serve.viewer_stream(caller, handle).filter(|key| {
        let stream = serve.entities.viewer_streams.get(*key);
        stream.is_some_and(|stream| stream.metadata().is_some())
    });
    let Some(key) = key else {
        return MetadataReply::without_bytes(MetadataStatus::Error).encode(replies);
    };
    let Some(unread) = unread(&serve.entities, key) else {
        MetadataReply::without_bytes(MetadataStatus::NoNew).encode(replies);
        return end_if_over(&mut serve.entities, key);
    };
    let head = |out: &mut Vec<u8>| MetadataReply::ok(unread.body.remaining).encode(out);
    if let Err(error) = body::reply(serve, caller.connection, unread.body, replies, head) {
        tracing::error!("metadata cannot be served: {error}");
        return MetadataReply::without_bytes(MetadataStatus::Error).encode(replies);
    }
    advance(&mut serve.entities, key, &unread);
}

/// What is in the file that the viewer was in, or else in one that follows it.
pub fn unread(entities: &Entities, key: ViewerStreamKey) -> Option<Unread> {
    let viewer_stream = entities.viewer_streams.get(key)?;
    let position = viewer_stream.metadata()?;
    let stream = entities.streams.get(viewer_stream.stream)?;
    let here = position
        .file
        .and_then(|file| entities.trace_files.get(file));
    let ordinal = here.map(|file| file.ordinal);
    let later = stream.files.iter().copied().filter(|file| {
        let file = entities.trace_files.get(*file);
        file.is_some_and(|file| ordinal.is_none_or(|ordinal| file.ordinal > ordinal))
    });
    position.file.into_iter().chain(later).find_map(|key| {
        let file = entities.trace_files.get(key).filter(|file| !file.cleared)?;
        let remaining = file
            .size
            .checked_sub(position.sent)
            .filter(|bytes| *bytes > 0)?;
        let body = Body {
            file: file.data,
            offset: position.sent,
            remaining,
        };
        Some(Unread { file: key, body })
    })
}

fn advance(entities: &mut Entities, key: ViewerStreamKey, unread: &Unread) {
    entities.relink(key, |stream: &mut ViewerStream| {
        if let Some(position) = stream.metadata_mut() {
            position.file = Some(unread.file);
            position.sent += unread.body.remaining;
        }
    });
    if let Some(stream) = entities.viewer_streams.get(key).map(|viewer| viewer.stream) {
        ring::forget_passed(entities, stream);
    }
}

/// Once told that there is no more, the viewer does not hear of a closed stream again;
/// unless data streams are to come that need what it has. A stream of which nothing is
/// left to send, such as one that was cleared, is over as well: some viewers ask until
/// they get bytes or are told so.
fn end_if_over(entities: &mut Entities, key: ViewerStreamKey) {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        return;
    };
    let stream = entities.streams.get(viewer_stream.stream);
    let closed = stream.is_none_or(|stream| stream.closed);
    let sent = viewer_stream.metadata().map_or(0, |position| position.sent);
    let file = viewer_stream
        .file()
        .and_then(|file| entities.trace_files.get(file));
    let waits = file.is_some_and(|file| file.waiting.is_some());
    let is_needed = sent > 0 && announce::is_needed(entities, viewer_stream);
    if closed && !waits && !is_needed {
        announce::end(entities, key);
    }
}
