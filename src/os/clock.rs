//! The system's clocks and its time zone.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use baton_components::time::{CivilTime, Now};
use baton_systems::ports::Clock;
use jiff::Timestamp;
use jiff::tz::TimeZone;

#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    zone: TimeZone,
}

impl SystemClock {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            zone: TimeZone::system(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Now {
        // A clock set before 1970 reads as 1970.
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            monotonic: self.started.elapsed(),
            unix_s: unix.as_secs(),
        }
    }

    fn civil(&self, unix_s: u64) -> Option<CivilTime> {
        let second = i64::try_from(unix_s).ok()?;
        let zoned = Timestamp::from_second(second)
            .ok()?
            .to_zoned(self.zone.clone());
        Some(CivilTime {
            year: zoned.year(),
            month: zoned.month().cast_unsigned(),
            day: zoned.day().cast_unsigned(),
            hour: zoned.hour().cast_unsigned(),
            minute: zoned.minute().cast_unsigned(),
            second: zoned.second().cast_unsigned(),
            offset_s: zoned.offset().seconds(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_the_calendar_are_none() {
        let clock = SystemClock {
            started: Instant::now(),
            zone: TimeZone::UTC,
        };
        assert_eq!(
            clock.civil(1_793_750_400).unwrap().session_stamp(),
            "20261104-000000"
        );
        assert_eq!(clock.civil(u64::MAX), None);
        assert_eq!(clock.civil(1 << 60), None);
    }
}
