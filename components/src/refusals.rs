//! Refusals: how few of many are logged.

use std::time::Duration;

use crate::limits::REFUSALS_LOGGED_EVERY;

/// Rate limit of the log for refusals of one peer, which may ask any number of times.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Time of the last line in the log.
    logged_at: Option<Duration>,
    /// Number of refusals since then.
    unlogged: u64,
}

impl Refusals {
    /// Counts a refusal. If it is to be logged: the number of refusals before it that were
    /// not.
    pub fn add(&mut self, now: Duration) -> Option<u64> {
        let run = self
            .logged_at
            .filter(|at| now < *at + REFUSALS_LOGGED_EVERY);
        if run.is_some() {
            self.unlogged += 1;
            return None;
        }
        self.logged_at = Some(now);
        Some(self.take_unlogged())
    }

    /// Number of refusals that were not logged.
    pub fn take_unlogged(&mut self) -> u64 {
        std::mem::take(&mut self.unlogged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_refusals_few_are_logged() {
        let mut refusals = Refusals::default();
        let begin = Duration::from_secs(1);
        assert_eq!(refusals.add(begin), Some(0));
        for millisecond in 0..9_999 {
            assert_eq!(
                refusals.add(begin + Duration::from_millis(millisecond)),
                None
            );
        }
        // Refusals go on: one line for each interval.
        assert_eq!(refusals.add(begin + REFUSALS_LOGGED_EVERY), Some(9_999));
        assert_eq!(refusals.add(begin + REFUSALS_LOGGED_EVERY), None);
        assert_eq!(refusals.take_unlogged(), 1);
        assert_eq!(refusals.take_unlogged(), 0);
        assert_eq!(refusals.add(begin + 3 * REFUSALS_LOGGED_EVERY), Some(0));
    }
}
