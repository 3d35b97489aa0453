//! The system's clocks and its time zone.

use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use baton_components::time::{CivilTime, Now};
use baton_systems::ports::Clock;
use baton_systems::usage::{Durations, Usage, Warning};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};

use super::counters::Counters;
use super::lookout::Lookout;
use super::usage::Output;
use super::{recent, usage};

pub struct SystemClock {
    /// A monotonic time, in nanoseconds.
    started_ns: u64,
    started_s: u64,
    zone: TimeZone,
    /// The output directory, of which the usage tells.
    output: Option<Lookout<Output>>,
    /// The last reading: the tick has lasted since.
    last_ns: Option<u64>,
    ticks: Durations,
    counters: Counters,
}

impl SystemClock {
    pub fn new() -> Self {
        Self {
            started_ns: monotonic_ns(),
            started_s: unix_s(),
            zone: zone(),
            output: None,
            last_ns: None,
            ticks: Durations::default(),
            counters: Counters::default(),
        }
    }

    /// Its usage tells of that output directory.
    #[must_use]
    pub fn with_output(self, output: &Path) -> Self {
        let path = output.to_owned();
        Self {
            output: Some(Lookout::new(move || Output::at(&path))),
            ..self
        }
    }

    /// Its usage has these counts.
    #[must_use]
    pub fn with_counters(self, counters: Counters) -> Self {
        Self { counters, ..self }
    }
}

/// The time zone of this machine. Without TZ it is read from its file: jiff looks up its name
/// first, for which it reads the whole list of zones and keeps that in memory.
fn zone() -> TimeZone {
    let local = || TimeZone::tzif("", &fs::read(LOCAL_TIME).ok()?).ok();
    let local = env::var_os("TZ").is_none().then(local).flatten();
    local.unwrap_or_else(TimeZone::system)
}

const LOCAL_TIME: &str = "/etc/localtime";

/// Seconds since 1970, as of some milliseconds ago: this clock is read in each tick, and is not
/// read from the hardware. One that is set before 1970 reads as 1970.
fn unix_s() -> u64 {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    u64::try_from(time.tv_sec).unwrap_or(0)
}

fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

impl Clock for SystemClock {
    fn now(&mut self) -> Now {
        let now_ns = monotonic_ns();
        self.last_ns = Some(now_ns);
        Now {
            monotonic: Duration::from_nanos(now_ns.saturating_sub(self.started_ns)),
            unix_s: unix_s(),
        }
    }

    fn tick_ends(&mut self) {
        if let Some(last_ns) = self.last_ns {
            let spent_ns = monotonic_ns().saturating_sub(last_ns);
            self.ticks.add(Duration::from_nanos(spent_ns));
        }
    }

    fn usage(&mut self) -> Usage {
        let output = self.output.as_ref().map(Lookout::tell);
        usage::read(
            output.unwrap_or_default(),
            self.started_s,
            self.ticks.clone(),
            self.counters.read(),
        )
    }

    fn warnings(&mut self) -> Vec<Warning> {
        recent::lines()
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
            zone: TimeZone::UTC,
            ..SystemClock::new()
        };
        assert_eq!(
            clock.civil(1_793_750_400).unwrap().session_stamp(),
            "20261104-000000"
        );
        assert_eq!(clock.civil(u64::MAX), None);
        assert_eq!(clock.civil(1 << 60), None);
    }
}
