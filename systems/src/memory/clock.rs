//! A virtual clock: it advances when a test tells it to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_components::time::{CivilTime, Now, SECONDS_PER_DAY, date};

use super::lock::lock;
use crate::ports::{Clock, ClockPort};
use crate::usage::{Counts, Durations, Usage, Warning};

/// Handle of a clock; its clones are the same clock.
#[derive(Clone, Debug)]
pub struct MemoryClock {
    /// Time since the clock was made.
    passed: Arc<Mutex<Duration>>,
    start_unix_s: u64,
    offset_s: i32,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

impl MemoryClock {
    /// A clock that shows `unix_s`, on a relay whose local time is UTC.
    pub fn new(unix_s: u64) -> Self {
        Self {
            passed: Arc::default(),
            start_unix_s: unix_s,
            offset_s: 0,
            warnings: Arc::default(),
        }
    }

    /// The same clock on a relay whose local time is `offset_s` ahead of UTC.
    #[must_use]
    pub fn with_offset_s(self, offset_s: i32) -> Self {
        Self { offset_s, ..self }
    }

    /// The side that a relay reads.
    pub fn port(&self) -> ClockPort {
        ClockPort(Box::new(self.clone()))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *lock(&self.passed) += by;
    }

    /// Puts a line in the log.
    pub fn warn(&self, warning: Warning) {
        lock(&self.warnings).push(warning);
    }
}

impl Clock for MemoryClock {
    /// Different each second, as that of a real process.
    fn usage(&mut self) -> Usage {
        let passed = *lock(&self.passed);
        let mut ticks = Durations::default();
        ticks.add(passed);
        let counts = Counts {
            writes: ticks.clone(),
            strangers: [0, 1, 2, 3],
            failed_handshakes: [4, 5, 6, 7],
            certificate_expiry_s: Some(self.start_unix_s),
        };
        Usage {
            cpu: passed / 2,
            resident_bytes: 4_000_000 + passed.as_secs(),
            started_s: self.start_unix_s,
            disk_bytes: 1_000_000,
            disk_free_bytes: 600_000,
            ticks,
            counts,
            ..Usage::default()
        }
    }

    fn warnings(&mut self) -> Vec<Warning> {
        lock(&self.warnings).clone()
    }

    fn now(&mut self) -> Now {
        let monotonic = *lock(&self.passed);
        Now {
            monotonic,
            unix_s: self.start_unix_s + monotonic.as_secs(),
        }
    }

    fn civil(&self, unix_s: u64) -> Option<CivilTime> {
        let local_s = i64::try_from(unix_s)
            .ok()?
            .checked_add(i64::from(self.offset_s))?;
        let second_of_day = local_s.rem_euclid(SECONDS_PER_DAY).unsigned_abs();
        let (year, month, day) = date(local_s.div_euclid(SECONDS_PER_DAY))?;
        Some(CivilTime {
            year,
            month,
            day,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
            offset_s: self.offset_s,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(unix_s: u64, offset_s: i32) -> Option<String> {
        let clock = MemoryClock::new(0).with_offset_s(offset_s);
        clock.civil(unix_s).map(|time| time.chunk_stamp())
    }

    #[test]
    fn moments_have_their_dates() {
        // Checked with `date -u -d @N`.
        for (unix_s, expected) in [
            (0, "19700101T000000+0000"),
            (68_169_599, "19720228T235959+0000"),
            (68_169_600, "19720229T000000+0000"),
            (951_782_400, "20000229T000000+0000"),
            (951_868_800, "20000301T000000+0000"),
            (978_307_199, "20001231T235959+0000"),
            (1_795_331_211, "20261122T070651+0000"),
            (4_107_542_400, "21000301T000000+0000"),
            (253_402_300_799, "99991231T235959+0000"),
        ] {
            assert_eq!(stamp(unix_s, 0).as_deref(), Some(expected));
        }
    }

    #[test]
    fn local_time_is_ahead_or_behind() {
        assert_eq!(stamp(0, 19_800).unwrap(), "19700101T053000+0530");
        assert_eq!(stamp(0, -3600).unwrap(), "19691231T230000-0100");
    }

    #[test]
    fn a_moment_out_of_range_has_no_date() {
        assert_eq!(stamp(253_402_300_800, 0), None);
        assert_eq!(stamp(u64::MAX, 0), None);
        assert_eq!(stamp(i64::MAX.cast_unsigned(), 1), None);
    }

    #[test]
    fn time_passes_when_told() {
        let clock = MemoryClock::new(100);
        let mut port = clock.port();
        assert_eq!(port.now(), port.now());
        clock.advance(Duration::from_millis(2500));
        assert_eq!(port.now().monotonic, Duration::from_millis(2500));
        assert_eq!(port.now().unix_s, 102);
    }
}
