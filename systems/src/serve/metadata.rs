//! GET_METADATA: all metadata that the viewer does not have, in one reply.

use baton_components::connection::Extent;
use baton_components::hold::Held;
use baton_components::keys::{TraceFileKey, ViewerStreamKey};
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::viewer::MetadataStatus;
use baton_components::wire::viewer::reply::MetadataReply;

use super::{Caller, Serve, announce, body};
use crate::entities::Entities;
use crate::peers::receive::Pause;
use crate::record::ring;

/// Metadata that a viewer does not have. Whole messages of the producer: less could
/// not be parsed.
pub struct Unread {
    file: TraceFileKey,
    body: Extent,
}

/// Replies, unless the request waits: why.
pub fn answer(
    serve: &mut Serve,
    caller: Caller,
    handle: u64,
    replies: &mut Vec<u8>,
) -> Option<Pause> {
    let key = serve.viewer_stream(caller, handle).filter(|key| {
        let stream = serve.entities.viewer_streams.get(*key);
        stream.is_some_and(|stream| stream.metadata().is_some())
    });
    let Some(key) = key else {
        MetadataReply::without_bytes(MetadataStatus::Error).encode(replies);
        return None;
    };
    let Some(unread) = unread(&serve.entities, key) else {
        MetadataReply::without_bytes(MetadataStatus::NoNew).encode(replies);
        let is_past_waiting = serve.is_past_waiting(key);
        end_if_over(&mut serve.entities, key, is_past_waiting);
        return None;
    };
    let head = |out: &mut Vec<u8>| MetadataReply::ok(unread.body.size).encode(out);
    match body::reply(serve, caller.connection, unread.body, replies, head) {
        Ok(true) => advance(&mut serve.entities, key, &unread),
        Ok(false) => return Some(Pause::Disk),
        Err(error) => {
            tracing::error!("metadata cannot be served: {error}");
            MetadataReply::without_bytes(MetadataStatus::Error).encode(replies);
        }
    }
    None
}

/// The rest of the viewer's current metadata file, or of the file after it.
pub fn unread(entities: &Entities, key: ViewerStreamKey) -> Option<Unread> {
    let viewer_stream = entities.viewer_streams.get(key)?;
    let position = viewer_stream.metadata()?;
    let stream = &entities.streams[&viewer_stream.stream];
    let files = &entities.trace_files;
    let here = position.file.as_ref();
    let ordinal = here.map(|file| files[file].ordinal);
    let is_passed =
        |file: &Held<TraceFileKey>| ordinal.is_some_and(|ordinal| files[file].ordinal <= ordinal);
    let passed = stream.files.partition_point(is_passed);
    let later = stream.files.iter().skip(passed);
    let mut readable = here
        .into_iter()
        .chain(later)
        .filter(|file| !files[*file].cleared);
    readable.find_map(|held| {
        let file = &files[held];
        let size = file
            .committed
            .checked_sub(position.sent)
            .filter(|bytes| *bytes > 0)?;
        let body = Extent {
            file: file.data.key(),
            offset: position.sent,
            size,
        };
        let file = held.key();
        Some(Unread { file, body })
    })
}

fn advance(entities: &mut Entities, key: ViewerStreamKey, unread: &Unread) {
    entities.relink(key, |stream: &mut ViewerStream, links| {
        if let Some(position) = stream.metadata_mut() {
            position.file = Some(links.hold(unread.file));
            position.sent += unread.body.size;
        }
    });
    if let Some(viewer_stream) = entities.viewer_streams.get(key) {
        ring::forget_passed(entities, viewer_stream.stream.key());
    }
}

/// After NO_NEW for a closed metadata stream, ends its viewer stream, so that the next reply
/// is ERR; unless data streams are to be announced that need the metadata. This includes
/// streams without any bytes, such as those that were cleared: some viewers ask until they
/// get bytes or ERR.
fn end_if_over(entities: &mut Entities, key: ViewerStreamKey, is_past_waiting: bool) {
    let Some(viewer_stream) = entities.viewer_streams.get(key) else {
        // It has ended already.
        return;
    };
    let closed = entities.streams[&viewer_stream.stream].closed;
    let sent = viewer_stream.metadata().map_or(0, |position| position.sent);
    let file = viewer_stream.file();
    let waits = file.is_some_and(|file| entities.trace_files[file].waiting.is_some());
    let waits = waits && !is_past_waiting;
    let is_needed = sent > 0 && announce::is_needed(entities, viewer_stream);
    if closed && !waits && !is_needed {
        announce::end(entities, key);
    }
}
