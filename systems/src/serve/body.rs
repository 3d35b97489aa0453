//! The part of a reply that comes from a file: a packet, or metadata.
//!
//! It is read in slices as the viewer takes them, so a large packet costs no more
//! memory than a slice, and a viewer that stops reading costs nothing.

use baton_components::connection::{Body, Connection};
use baton_components::keys::ConnectionKey;
use baton_components::limits::BODY_SLICE_BYTES;

use super::Serve;
use crate::ports::StorageError;

/// The reply whose head was just written goes on with these bytes.
pub fn begin(serve: &mut Serve, key: ConnectionKey, body: Body) {
    set(serve, key, (body.remaining > 0).then_some(body));
}

/// Appends at most `room` bytes of the body in hand; whether it is finished.
pub fn append(
    serve: &mut Serve,
    key: ConnectionKey,
    room: usize,
    replies: &mut Vec<u8>,
) -> Result<bool, StorageError> {
    let viewer = serve
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    let Some(mut body) = viewer.and_then(|viewer| viewer.body) else {
        return Ok(true);
    };
    let slice = room.min(BODY_SLICE_BYTES).min(body.remaining as usize);
    let start = replies.len();
    replies.resize(start + slice, 0);
    serve
        .storage
        .read(body.file, body.offset, &mut replies[start..])?;
    body.offset += slice as u64;
    body.remaining -= slice as u64;
    set(serve, key, (body.remaining > 0).then_some(body));
    Ok(body.remaining == 0)
}

fn set(serve: &mut Serve, key: ConnectionKey, body: Option<Body>) {
    serve.entities.relink(key, |connection: &mut Connection| {
        if let Some(viewer) = connection.viewer_mut() {
            viewer.body = body;
        }
    });
}
