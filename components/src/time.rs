//! Clock readings, and times in the names of directories.

use std::fmt;
use std::time::Duration;

use bevy_ecs::resource::Resource;

/// The clock reading of this tick, the same for every system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Resource)]
pub struct Now {
    /// Since some fixed moment; never goes back.
    pub monotonic: Duration,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix_s: u64,
}

/// A moment on the relay's own calendar and clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    /// Year of the Gregorian calendar.
    pub year: i16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// How far local time is ahead of UTC, in seconds.
    pub offset_s: i32,
}

impl CivilTime {
    /// `YYYYMMDD-HHMMSS`, as in the name of a session's directory.
    pub fn session_stamp(&self) -> String {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }

    /// `YYYYMMDDTHHMMSS+HHMM`, as in the name of a chunk's directory.
    pub fn chunk_stamp(&self) -> String {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            offset_s,
        } = self;
        let sign = if *offset_s < 0 { '-' } else { '+' };
        let minutes = offset_s.abs() / 60;
        format!(
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}{sign}{:02}{:02}",
            minutes / 60,
            minutes % 60
        )
    }
}

/// A moment in UTC as RFC 3339 has it, such as `2026-11-22T07:06:51Z`.
#[derive(Clone, Copy, Debug)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.min(LAST_SECOND).cast_signed();
        let (year, month, day) =
            date(seconds / SECONDS_PER_DAY).expect("law: the last year has four digits");
        let second = seconds % SECONDS_PER_DAY;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let second = second % 60;
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The end of year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// Year, month and day, `day` days after 1970-01-01; none outside of years 0 to 9999.
pub fn date(day: i64) -> Option<(i16, u8, u8)> {
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

/// Of a day without leap seconds.
pub const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_400_YEARS: i64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_fixed_width() {
        let mut time = CivilTime {
            year: 2026,
            month: 1,
            day: 2,
            hour: 3,
            minute: 4,
            second: 5,
            offset_s: 19_800,
        };
        assert_eq!(time.session_stamp(), "20260102-030405");
        assert_eq!(time.chunk_stamp(), "20260102T030405+0530");
        time.offset_s = -3600;
        assert_eq!(time.chunk_stamp(), "20260102T030405-0100");
    }

    #[test]
    fn moments_are_shown_in_utc() {
        for (unix_s, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_331_211, "2026-11-22T07:06:51Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Utc(unix_s).to_string(), shown);
        }
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
}
