//! GET_METADATA: all metadata that the viewer does not have, in one reply.

use baton_components::connection::Body;
use baton_components::keys::ViewerStreamKey;
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::viewer::MetadataStatus;
use baton_components::wire::viewer::reply::MetadataReply;

use super::{Caller, Serve, announce, body};

pub fn answer(serve: &mut Serve, caller: Caller, handle: u64, replies: &mut Vec<u8>) {
    let key = serve.viewer_stream(caller, handle);
    let sent = key.and_then(|key| serve.entities.viewer_streams.get(key));
    let sent = sent
        .and_then(ViewerStream::metadata)
        .map(|position| position.sent);
    let (Some(key), Some(sent)) = (key, sent) else {
        return MetadataReply::without_bytes(MetadataStatus::Error).encode(replies);
    };
    let Some(unread) = unread(serve, key, sent) else {
        MetadataReply::without_bytes(MetadataStatus::NoNew).encode(replies);
        return end_if_over(serve, key, sent);
    };
    let head = |out: &mut Vec<u8>| MetadataReply::ok(unread.remaining).encode(out);
    if let Err(error) = body::reply(serve, caller.connection, unread, replies, head) {
        tracing::error!("metadata cannot be served: {error}");
        return MetadataReply::without_bytes(MetadataStatus::Error).encode(replies);
    }
    let stream = serve.entities.viewer_streams.get_mut(key);
    if let Some(position) = stream.and_then(ViewerStream::metadata_mut) {
        position.sent += unread.remaining;
    }
}

/// The bytes that were received and not sent to this viewer. Whole messages of the
/// producer: less could not be parsed.
fn unread(serve: &Serve, key: ViewerStreamKey, sent: u64) -> Option<Body> {
    let entities = &serve.entities;
    let stream = entities
        .streams
        .get(entities.viewer_streams.get(key)?.stream)?;
    let remaining = stream
        .metadata_received
        .checked_sub(sent)
        .filter(|bytes| *bytes > 0)?;
    let file = entities.trace_files.get(stream.current_file()?)?.data;
    Some(Body {
        file,
        offset: sent,
        remaining,
    })
}

/// Once told that there is no more, the viewer does not hear of a closed stream
/// again.
fn end_if_over(serve: &mut Serve, key: ViewerStreamKey, sent: u64) {
    let entities = &serve.entities;
    let stream = entities
        .viewer_streams
        .get(key)
        .and_then(|key| entities.streams.get(key.stream));
    if sent > 0 && stream.is_some_and(|stream| stream.closed) {
        announce::end(&mut serve.entities, key);
    }
}
