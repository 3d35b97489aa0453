//! The part of a reply that comes from a file: a packet, or metadata.
//!
//! A small one is read here and sent with its reply, for which the request may have to wait. A
//! large one is sent by `transmit` as the viewer reads it, and the viewer's next request waits
//! until then.

use baton_components::connection::{Body, Connection, Extent};
use baton_components::keys::ConnectionKey;
use baton_components::limits::BODY_COPIED_BYTES_MAX;

use super::Serve;
use crate::ports::StorageError;

/// Adds these bytes to the reply whose head `head` writes. False: the request waits for the disk.
pub fn reply(
    serve: &mut Serve,
    key: ConnectionKey,
    body: Extent,
    replies: &mut Vec<u8>,
    head: impl FnOnce(&mut Vec<u8>),
) -> Result<bool, StorageError> {
    if body.size > BODY_COPIED_BYTES_MAX {
        serve
            .entities
            .relink(key, |connection: &mut Connection, links| {
                if let Some(viewer) = connection.viewer_mut() {
                    viewer.body = Some(Body {
                        file: links.hold(body.file),
                        offset: body.offset,
                        remaining: body.size,
                    });
                }
            });
        head(replies);
        return Ok(true);
    }
    let start = replies.len();
    head(replies);
    let end_of_head = replies.len();
    replies.resize(end_of_head + body.size as usize, 0);
    let read = serve.read(key, body, &mut replies[end_of_head..]);
    if read != Ok(true) {
        // The head of the reply is removed again.
        replies.truncate(start);
    }
    read
}
