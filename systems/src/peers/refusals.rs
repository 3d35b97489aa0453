//! Commands that were refused, and how few lines of the log tell so.

/// Logs how many commands were refused without a line of their own.
pub fn report_more(peer: &str, count: u64) {
    if count > 0 {
        let noun = if count == 1 { "command" } else { "commands" };
        tracing::warn!(peer, "control connection: {count} more {noun} refused");
    }
}
