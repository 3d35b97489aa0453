//! SEND_INDEX: the description of a packet, or a live beacon.

use baton_components::keys::SessionKey;
use baton_components::wire::producer::{SendIndex, code, reply};

use super::Ingest;
use super::fault::{Fault, Reason};

/// Takes a description. The answer is the same whether the packet's bytes have come
/// or not.
pub fn send(
    ingest: &mut Ingest,
    own: SessionKey,
    command: SendIndex,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let taken = ingest
        .stream_of(own, command.stream)
        .and_then(|stream| Ok(ingest.record.describe(stream, command)?));
    match taken {
        Ok(()) => {
            reply::code(replies, code::OK);
            Ok(())
        }
        Err(reason) => {
            reply::code(replies, code::UNKNOWN_ERR);
            Err(Reason::abort(reason))
        }
    }
}
