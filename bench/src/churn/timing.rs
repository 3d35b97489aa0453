//! Measuring time and memory, and statistics.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread so far, without that of other threads and programs.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// CPU time between two readings, less what a reading costs.
pub fn between(from: Duration, to: Duration) -> Duration {
    to.saturating_sub(from).saturating_sub(reading())
}

/// How long something took.
pub fn time(act: impl FnOnce()) -> Duration {
    let begun = cpu_time();
    act();
    between(begun, cpu_time())
}

fn reading() -> Duration {
    static COST: OnceLock<Duration> = OnceLock::new();
    *COST.get_or_init(|| {
        let pair = || {
            let begun = cpu_time();
            cpu_time().saturating_sub(begun)
        };
        let mut costs: Vec<Duration> = (0..1001).map(|_| pair()).collect();
        costs.sort_unstable();
        costs[costs.len() / 2]
    })
}

/// Resident memory of this process in bytes, without freed memory.
pub fn resident_bytes() -> u64 {
    // Otherwise memory of an earlier population would be reused without being counted.
    #[cfg(target_env = "gnu")]
    // SAFETY: it only gives pages back that no allocation is in; any thread may call it.
    unsafe {
        libc::malloc_trim(0);
    }
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// The middle of these, or 0 if there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 50.0)
}

/// The smallest of these that at least so many percent do not exceed; 0 if there are
/// none.
pub fn percentile(values: impl IntoIterator<Item = f64>, percent: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values = || (1..=200).rev().map(f64::from);
        assert!((percentile(values(), 50.0) - 100.0).abs() < f64::EPSILON);
        assert!((percentile(values(), 99.0) - 198.0).abs() < f64::EPSILON);
        assert!((percentile(values(), 100.0) - 200.0).abs() < f64::EPSILON);
        assert!((percentile(values(), 0.0) - 1.0).abs() < f64::EPSILON);
        assert!((median([3.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_measured_time_is_never_negative() {
        let later = Duration::from_secs(2);
        assert_eq!(between(later, later), Duration::ZERO);
        assert_eq!(between(later, Duration::from_secs(1)), Duration::ZERO);
        assert!(resident_bytes() > 0);
    }
}
