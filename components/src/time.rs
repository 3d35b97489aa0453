//! Time as it stands in names on disk, and as it passes.

use std::time::Duration;

use bevy_ecs::resource::Resource;

/// The reading of the clock for this tick: every system of a tick sees the same.
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
    pub year: i16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
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
}
