//! GET_PACKET: bytes of a packet whose index the viewer has.

use baton_components::keys::FileKey;
use baton_components::viewer_stream::ViewerStream;
use baton_components::wire::viewer::reply::PacketReply;

use super::body::Extent;
use super::{Caller, Serve, body};

pub fn answer(
    serve: &mut Serve,
    caller: Caller,
    handle: u64,
    offset: u64,
    length: u32,
    replies: &mut Vec<u8>,
) {
    let sent = find(serve, caller, handle, offset, length).is_some_and(|file| {
        let size = u64::from(length);
        let body = Extent { file, offset, size };
        let head = |out: &mut Vec<u8>| PacketReply::ok(length).encode(out);
        body::reply(serve, caller.connection, &body, replies, head)
            .inspect_err(|error| tracing::error!("a packet cannot be served: {error}"))
            .is_ok()
    });
    if !sent {
        PacketReply::error().encode(replies);
    }
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
