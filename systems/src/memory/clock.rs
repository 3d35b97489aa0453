//! A clock that moves when it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_components::time::{CivilTime, Now};

use super::lock;
use crate::ports::{Clock, ClockPort};

/// Handle of a clock; its clones are the same clock.
#[derive(Clone, Debug)]
pub struct MemoryClock {
    /// What passed since the clock was made.
    passed: Arc<Mutex<Duration>>,
    start_unix_s: u64,
    offset_s: i32,
}

impl MemoryClock {
    /// A clock that shows `unix_s`, on a relay whose local time is UTC.
    pub fn new(unix_s: u64) -> Self {
        Self {
            passed: Arc::default(),
            start_unix_s: unix_s,
            offset_s: 0,
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
}

impl Clock for MemoryClock {
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

/// Year, month and day, `day` days after 1970-01-01; none outside of years 0 to 9999.
fn date(day: i64) -> Option<(i16, u8, u8)> {
    let mut year = 1970;
    let mut left = day;
    // Whole periods of 400 years at once: they all have as many days.
    let periods = left.div_euclid(DAYS_PER_400_YEARS);
    year += periods.checked_mul(400)?;
    left -= periods * DAYS_PER_400_YEARS;
    while left >= days_of_year(year) {
        left -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while left >= days_of_month(year, month) {
        left -= days_of_month(year, month);
        month += 1;
    }
    let year = i16::try_from(year)
        .ok()
        .filter(|year| (0..=9999).contains(year))?;
    Some((year, month, left.unsigned_abs() as u8 + 1))
}

fn days_of_year(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: i64, month: u8) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_400_YEARS: i64 = 146_097;

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
    fn every_day_follows_the_one_before() {
        let mut before = date(-1).unwrap();
        for day in 0..200_000 {
            let (year, month, number) = date(day).unwrap();
            let next_day = (year, month, number) == (before.0, before.1, before.2 + 1);
            let next_month = (year, month, number) == (before.0, before.1 + 1, 1);
            let next_year = (year, month, number) == (before.0 + 1, 1, 1) && before.1 == 12;
            assert!(next_day || next_month || next_year, "day {day}");
            before = (year, month, number);
        }
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
