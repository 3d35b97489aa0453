//! The parsed metadata of a trace, the same for both formats (CTF 1.8 and CTF 2).

use baton_components::wire::TraceFormat;

use super::layout::Layout;

/// The parsed metadata of a trace.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    pub format: TraceFormat,
    pub clock: Clock,
    /// Layout of packet headers; none if they differ from those of LTTng's tracers.
    pub layout: Option<Layout>,
    /// UUID of the trace, equal in all its slices.
    pub uuid: Option<String>,
    /// Host and session of the recording, if the metadata has them.
    pub host: Option<String>,
    pub session: Option<String>,
}

/// Conversion from the cycles of a trace's clock to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Cycles in a second, never 0.
    pub frequency: u64,
    /// Time since the epoch at cycle 0.
    pub offset_s: i64,
    pub offset_cycles: u64,
}

/// Default for a trace without a clock: nanoseconds.
impl Default for Clock {
    fn default() -> Self {
        Self {
            frequency: NS_PER_S as u64,
            offset_s: 0,
            offset_cycles: 0,
        }
    }
}

impl Clock {
    /// Nanoseconds since the epoch.
    pub fn time_ns(&self, cycles: u64) -> i128 {
        // No overflow: the factors are below 2^65 and 2^30.
        let cycles = i128::from(self.offset_cycles) + i128::from(cycles);
        i128::from(self.offset_s) * NS_PER_S + cycles * NS_PER_S / i128::from(self.frequency)
    }

    /// The last cycle that is not after a moment; 0 if the moment is before cycle 0.
    pub fn cycles(&self, time_ns: i128) -> u64 {
        let since = time_ns.saturating_sub(i128::from(self.offset_s) * NS_PER_S);
        let cycles = since.saturating_mul(i128::from(self.frequency)) / NS_PER_S;
        let cycles = cycles.saturating_sub(self.offset_cycles.into());
        u64::try_from(cycles.max(0)).unwrap_or(u64::MAX)
    }
}

const NS_PER_S: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_tell_time_and_back() {
        let clock = Clock {
            frequency: 1000,
            offset_s: -1,
            offset_cycles: 500,
        };
        assert_eq!(clock.time_ns(0), -500_000_000);
        assert_eq!(clock.time_ns(1500), 1_000_000_000);
        assert_eq!(clock.cycles(1_000_999_999), 1500);
        assert_eq!(clock.cycles(i128::MIN), 0);
        assert_eq!(clock.cycles(i128::MAX), u64::MAX);
        let far = clock.time_ns(u64::MAX);
        assert_eq!(clock.cycles(far), u64::MAX);
    }
}
