//! Giving up: stops waiting for packets of a session whose data connections have ended.

use baton_components::keys::StreamKey;

use super::{Recorder, closing, pairing, rotation};
use crate::named;

/// Stops waiting for packets of a stream, unless a new connection brings some: its rotation, close and
/// commands about pending data go on without them.
pub fn give_up(recorder: &mut Recorder, key: StreamKey) {
    pairing::give_up(recorder, key);
    if let Err(reason) = rotation::try_rotate(recorder, key) {
        let stream = recorder.entities.streams.get(key);
        let name = stream.map(|stream| named::stream(&recorder.entities, stream));
        tracing::error!("stream {}: {reason}", name.unwrap_or_default());
    }
    let stream = recorder.entities.streams.get(key);
    if stream.is_some_and(|stream| stream.rare().closing.is_some()) {
        closing::try_close(recorder, key);
    }
}
