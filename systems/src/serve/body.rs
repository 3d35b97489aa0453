//! The part of a reply that comes from a file: a packet, or metadata.
//!
//! A small one is read here and leaves with its reply. A large one is sent by
//! `transmit` as the viewer takes it, and the viewer's next request waits until then.

use baton_components::connection::{Body, Connection};
use baton_components::keys::ConnectionKey;
use baton_components::limits::BODY_COPIED_BYTES_MAX;

use super::Serve;
use crate::ports::StorageError;

/// The reply whose head `head` writes goes on with these bytes.
pub fn reply(
    serve: &mut Serve,
    key: ConnectionKey,
    body: Body,
    replies: &mut Vec<u8>,
    head: impl FnOnce(&mut Vec<u8>),
) -> Result<(), StorageError> {
    if body.remaining > BODY_COPIED_BYTES_MAX {
        serve.entities.relink(key, |connection: &mut Connection| {
            if let Some(viewer) = connection.viewer_mut() {
                viewer.body = Some(body);
            }
        });
        head(replies);
        return Ok(());
    }
    let start = replies.len();
    head(replies);
    let end_of_head = replies.len();
    replies.resize(end_of_head + body.remaining as usize, 0);
    let read = serve
        .storage
        .read(body.file, body.offset, &mut replies[end_of_head..]);
    // What cannot be read is not promised.
    read.inspect_err(|_| replies.truncate(start))
}
