//! Ages, by a clock that may jump.
//!
//! Files finished in this run have an age by the monotonic clock. Files of earlier runs
//! have one by the date, and a date that jumps forward would make everything old: it is
//! believed when it has held for [`DATE_PATIENCE`]. A date that jumps back is believed at
//! once, since it makes nothing old.

use std::time::Duration;

use baton_components::limits::DATE_PATIENCE;
use baton_components::time::Now;

use super::ledger::Finished;

#[derive(Clone, Copy, Debug, Default)]
pub struct Calendar {
    /// The date at the start of the monotonic clock that is believed, in seconds since 1970.
    origin_s: Option<i128>,
    /// A later one, and since when it has held.
    later: Option<(i128, Duration)>,
}

impl Calendar {
    /// The clock was read.
    pub fn read(&mut self, now: Now) {
        let passed = i128::from(now.monotonic.as_secs());
        let origin = i128::from(now.unix_s) - passed;
        let believed = *self.origin_s.get_or_insert(origin);
        if origin <= believed + SLACK_S {
            self.origin_s = Some(believed.min(origin));
            self.later = None;
            return;
        }
        let (since_origin, since) = *self.later.get_or_insert((origin, now.monotonic));
        if (origin - since_origin).abs() > SLACK_S {
            self.later = Some((origin, now.monotonic));
        } else if now.monotonic.saturating_sub(since) >= DATE_PATIENCE {
            self.origin_s = Some(since_origin);
            self.later = None;
        }
    }

    /// How old something is that was finished then.
    pub fn age(&self, finished: Finished, now: Duration) -> Duration {
        match finished {
            Finished::Now(_, at) => now.saturating_sub(at),
            Finished::Before(at_s) => {
                let date = self.origin_s.unwrap_or(0) + i128::from(now.as_secs());
                let passed = (date - i128::from(at_s)).max(0);
                Duration::from_secs(u64::try_from(passed).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Seconds by which two dates may differ that are the same: clocks are read in whole ones.
const SLACK_S: i128 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn now(passed_s: u64, unix_s: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(passed_s),
            unix_s,
        }
    }

    #[test]
    fn a_date_that_jumps_makes_nothing_old_at_once() {
        let mut calendar = Calendar::default();
        let hour = 3600;
        calendar.read(now(10, 1_000_000));
        let found = Finished::Before(1_000_000 - hour);
        let age = |calendar: &Calendar, at| calendar.age(found, Duration::from_secs(at)).as_secs();
        assert_eq!(age(&calendar, 10), hour);
        // Ten years ahead, for a moment.
        calendar.read(now(20, 1_000_010 + 87_600 * hour));
        assert_eq!(age(&calendar, 20), hour + 10);
        calendar.read(now(30, 1_000_020));
        assert_eq!(age(&calendar, 30), hour + 20);
        // Back by a day: nothing has an age before it was made.
        calendar.read(now(40, 1_000_030 - 24 * hour));
        assert_eq!(age(&calendar, 40), 0);
        // Files that this run finished have no date.
        let own = Finished::Now(1, Duration::from_secs(15));
        assert_eq!(calendar.age(own, Duration::from_secs(40)).as_secs(), 25);
        // The date was wrong at the start, and is right from now on.
        let patience = DATE_PATIENCE.as_secs();
        for passed in [50, 50 + patience / 2, 50 + patience] {
            calendar.read(now(passed, 1_000_000 + passed));
        }
        let passed = 50 + patience;
        assert_eq!(age(&calendar, passed), hour + passed);
    }
}
