//! How long requests that fail are tried again: exponential backoff with jitter.

use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;
use crate::say;

/// How long one request is tried again; none: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Option<Duration>);

impl Patience {
    pub fn attempts(self) -> Attempts {
        Attempts {
            patience: self,
            begun: None,
            failed: 0,
            told: None,
        }
    }
}

/// The attempts of one request.
pub struct Attempts {
    patience: Patience,
    /// When the first attempt failed.
    begun: Option<Instant>,
    failed: u32,
    told: Option<Instant>,
}

impl Attempts {
    /// Waits until it is worth another attempt; false if there shall be none.
    pub fn wait(&mut self, fault: &StoreError) -> bool {
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        let passed = now.duration_since(begun);
        let delay = delay(self.failed);
        self.failed += 1;
        let left = match self.patience.0 {
            Some(limit) => limit.saturating_sub(passed),
            None => Duration::MAX,
        };
        if left.is_zero() {
            return false;
        }
        let is_due = |told: Instant| now.duration_since(told) >= REMINDER;
        // The first failures of many are over before anybody has read of them.
        if self.failed >= TOLD_FROM && self.told.is_none_or(is_due) {
            self.told = Some(now);
            say(format_args!("baton: {fault}; trying again"));
        }
        thread::sleep(delay.min(left));
        true
    }
}

/// Between half and all of a time that doubles.
fn delay(failed: u32) -> Duration {
    let full = FIRST.saturating_mul(1 << failed.min(10)).min(LONGEST);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// How often a failure that goes on is told.
const REMINDER: Duration = Duration::from_mins(1);
const TOLD_FROM: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute() {
        for (failed, longest) in [(0, FIRST), (3, FIRST * 8), (40, LONGEST)] {
            let delay = delay(failed);
            assert!(
                longest / 2 <= delay && delay <= longest,
                "{failed}: {delay:?}"
            );
        }
    }

    #[test]
    fn no_patience_is_one_attempt() {
        let fault = StoreError::NoCredentials;
        assert!(!Patience(Some(Duration::ZERO)).attempts().wait(&fault));
    }
}
