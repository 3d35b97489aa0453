//! SEND_INDEX: the description of a packet, or a live beacon.

use baton_components::keys::SessionKey;
use baton_components::limits::DATA_PATIENCE;
use baton_components::session::Session;
use baton_components::wire::producer::{SendIndex, code, reply};

use super::Ingest;
use super::fault::{Fault, Reason};
use crate::deadlines::Timer;
use crate::record::Recorder;

/// A packet was announced: if no data connection brings any, a timer warns of that.
fn expect_data(ingest: &mut Ingest, own: SessionKey) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut ingest.record;
    let session = entities.sessions.get_mut(own);
    let is_alone = |session: &&mut Session| session.data_connections == 0 && !session.given_up;
    if let Some(session) = session.filter(is_alone)
        && !std::mem::replace(&mut session.is_data_watched, true)
    {
        let when = now.monotonic + DATA_PATIENCE;
        agenda.deadlines.at(when, Timer::Data(own));
    }
}

/// Records a description. The reply is the same whether the packet's bytes have come or
/// not.
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
            if command.packet_size_bits > 0 {
                expect_data(ingest, own);
            }
            reply::code(replies, code::OK);
            Ok(())
        }
        Err(reason) => {
            reply::code(replies, code::UNKNOWN_ERR);
            Err(Reason::abort(reason))
        }
    }
}
