//! Messages at the end: the sessions that it cuts off.

use baton_components::limits::LISTED_NAMES_MAX;
use baton_systems::entities::Entities;
use baton_systems::tick::Relay;

/// Logs the sessions whose producers are connected: these connect to no other relay, and lose
/// all that they record from now on.
pub fn warn_of_sessions(relay: &Relay) {
    let sessions = relay.read::<Entities>().sessions.iter();
    let mut cut_off: Vec<_> = sessions
        .map(|(_, session)| session)
        .filter(|session| !session.is_producer_gone())
        .collect();
    cut_off.sort_unstable_by_key(|session| session.id);
    for session in cut_off.iter().take(LISTED_NAMES_MAX) {
        tracing::warn!(
            "session {session} is cut off, since the relay stops: its producer does not connect \
             again, and what it records from now on is lost; when a relay runs again: \
             lttng destroy, then lttng create"
        );
    }
    let others = cut_off.len().saturating_sub(LISTED_NAMES_MAX);
    if others > 0 {
        tracing::warn!("{others} more sessions are cut off");
    }
}
