//! [`Delayed`]: a value whose changes become visible after a delay.
//!
//! Times are rounded up to a grain, so that the queue of changes is short even if the value
//! changes all the time.

use std::collections::VecDeque;
use std::time::Duration;

/// Maximum number of queued changes of one value, but for one or two.
const GRAINS: u32 = 16;

/// The visible value, and the later values that are not visible yet.
#[derive(Clone, Debug, Default)]
pub struct Delayed<T> {
    seen: T,
    /// Queued values, with the time (monotonic) when each becomes visible, soonest first.
    coming: VecDeque<(Duration, T)>,
}

impl<T: Copy> Delayed<T> {
    /// A value that is visible from the start.
    pub fn new(seen: T) -> Self {
        Self {
            seen,
            coming: VecDeque::new(),
        }
    }

    /// Changes the value now; the change becomes visible after `delay`.
    pub fn set(&mut self, now: Duration, delay: Duration, value: T) {
        while let Some((_, seen)) = self.coming.pop_front_if(|(due, _)| *due <= now) {
            self.seen = seen;
        }
        let due = round_up(now + delay, delay / GRAINS);
        match self.coming.back_mut() {
            Some((last, coming)) if *last >= due => *coming = value,
            _ => self.coming.push_back((due, value)),
        }
    }

    /// The visible value.
    pub fn get(&self, now: Duration) -> T {
        let passed = self.coming.partition_point(|(due, _)| *due <= now);
        let last = passed.checked_sub(1).and_then(|at| self.coming.get(at));
        last.map_or(self.seen, |(_, value)| *value)
    }

    /// Time when the next value becomes visible.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let mut coming = self.coming.iter().map(|(due, _)| *due);
        coming.find(|due| *due > now)
    }
}

fn round_up(time: Duration, grain: Duration) -> Duration {
    match grain.as_nanos() {
        0 => time,
        grain => {
            let rest = grain - 1 - (time.as_nanos() + grain - 1) % grain;
            time + Duration::from_nanos(u64::try_from(rest).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(16);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_change_is_seen_when_its_time_has_come_and_not_before() {
        let mut value = Delayed::new(0);
        value.set(ms(1), DELAY, 1);
        value.set(ms(3), DELAY, 2);
        assert_eq!(value.get(ms(16)), 0);
        assert_eq!(value.next(ms(16)), Some(ms(17)));
        assert_eq!(value.get(ms(17)), 1);
        assert_eq!(value.next(ms(17)), Some(ms(19)));
        assert_eq!(value.get(ms(19)), 2);
        assert_eq!(value.next(ms(19)), None);
        value.set(ms(30), DELAY, 3);
        assert_eq!(value.get(ms(45)), 2);
        assert_eq!(value.get(ms(46)), 3);
    }

    #[test]
    fn a_change_is_never_seen_too_early_and_at_most_one_grain_too_late() {
        for micros in 0..5000 {
            let now = Duration::from_micros(micros);
            let mut value = Delayed::new(0);
            value.set(now, DELAY, 1);
            let due = value.next(now).unwrap();
            assert!(due >= now + DELAY && due < now + DELAY + ms(1), "{due:?}");
        }
    }

    #[test]
    fn a_value_that_changes_all_the_time_takes_little() {
        let mut value = Delayed::new(0);
        for micros in 0..100_000 {
            value.set(Duration::from_micros(micros), DELAY, micros);
            assert!(value.coming.len() <= GRAINS as usize + 1);
        }
    }
}
