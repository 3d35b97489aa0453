//! Giving up: stops waiting for packets of a session whose data connections have ended.

use baton_components::keys::{SessionKey, StreamKey};
use baton_components::sweeps::Why;

use super::{Recorder, closing, pairing, rotation, sweep};
use crate::named;

/// Stops waiting for packets, unless a new connection brings some: rotations, closes and
/// commands about pending data go on without them.
pub fn give_up(recorder: &mut Recorder, key: SessionKey) {
    let Some(session) = recorder.entities.sessions.get_mut(key) else {
        // A timer may outlast its session.
        return;
    };
    session.given_up = true;
    sweep::begin(recorder, key, Why::GivenUp);
}

/// Stops waiting for packets of one stream.
pub fn give_up_stream(recorder: &mut Recorder, key: StreamKey) {
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
