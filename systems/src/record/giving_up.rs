//! Giving up: packets of a session whose data connections have ended do not come.

use baton_components::keys::SessionKey;

use super::{Recorder, closing, pairing, rotation};

/// No packet comes any more, unless by a new connection. What waits for one goes on:
/// rotations, closes, questions whether all is there.
pub fn give_up(recorder: &mut Recorder, key: SessionKey) {
    let Some(session) = recorder.entities.sessions.get_mut(key) else {
        return;
    };
    session.given_up = true;
    for key in session.open_streams.clone() {
        pairing::give_up(recorder, key);
        if let Err(reason) = rotation::try_rotate(recorder, key) {
            tracing::error!("{reason}");
        }
        let stream = recorder.entities.streams.get(key);
        if stream.is_some_and(|stream| stream.closing.is_some()) {
            closing::try_close(recorder, key);
        }
    }
    closing::keep(recorder, key);
}
