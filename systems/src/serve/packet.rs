//! GET_PACKET: bytes of a packet whose index the viewer has.

use baton_components::connection::Extent;
use baton_components::keys::FileKey;
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::viewer::reply::PacketReply;

use super::{Caller, Serve, body};
use crate::peers::receive::Pause;

/// Replies, unless the request waits: why.
pub fn answer(
    serve: &mut Serve,
    caller: Caller,
    handle: u64,
    offset: u64,
    length: u32,
    replies: &mut Vec<u8>,
) -> Option<Pause> {
    let Some(file) = find(serve, caller, handle, offset, length) else {
        PacketReply::error().encode(replies);
        return None;
    };
    let size = u64::from(length);
    let body = Extent { file, offset, size };
    let head = |out: &mut Vec<u8>| PacketReply::ok(length).encode(out);
    match body::reply(serve, caller.connection, body, replies, head) {
        Ok(true) => {}
        Ok(false) => return Some(Pause::Disk),
        Err(error) => {
            tracing::error!("a packet cannot be served: {error}");
            PacketReply::error().encode(replies);
        }
    }
    None
}

/// The file that has these bytes, if they are complete and the viewer has an index
/// that reaches as far.
fn find(serve: &Serve, caller: Caller, handle: u64, offset: u64, length: u32) -> Option<FileKey> {
    let key = serve.viewer_stream(caller, handle)?;
    let viewer_stream = serve.entities.viewer_streams.get(key);
    let readable = viewer_stream
        .and_then(ViewerStream::packets)?
        .readable
        .as_ref()?;
    let end = offset.checked_add(u64::from(length))?;
    (end <= readable.end).then_some(readable.file.key())
}
