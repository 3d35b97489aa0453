//! Rate limit of log lines about what is refused.

/// Logs the number of refused commands that were not logged. `session`: as
/// [`named::of_session`](crate::named::of_session) gives it.
pub fn report_more(peer: &str, session: &str, count: u64) {
    if count > 0 {
        let noun = if count == 1 { "command" } else { "commands" };
        tracing::warn!(
            peer,
            "control connection{session}: {count} more {noun} refused"
        );
    }
}

/// The end of a line about a refusal: how many before it have no line of their own.
pub fn more(count: u64) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(" ({count} more refused before)")
    }
}
