//! Waiting awake, for a moment, before waiting asleep.
//!
//! A peer that waits for an answer often has its next word ready within microseconds of
//! it. A processor that went to sleep meanwhile takes longer to wake than a relay takes
//! for a packet, on a virtual machine ten times as long. So whoever was answered is waited
//! for awake. Where that is in vain it is tried less and less often: a relay that is asked
//! now and then spends what it spends asleep.

use std::io;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

/// When to wait awake, and until when.
#[derive(Debug)]
pub struct BusyPoll {
    /// How long after an answer. Zero: never.
    moment: Duration,
    /// A peer was answered since the last wait.
    answered: bool,
    /// The end of the moment after the last answer.
    until: Option<Instant>,
    /// Answers after which to sleep at once.
    asleep: u32,
    /// How many that will be when it was in vain once more.
    asleep_next: u32,
}

/// How long, unless told otherwise: longer than most exchanges of a packet take, so that
/// the relay is awake throughout, and no longer than it takes to wake some processors.
pub const MOMENT: Duration = Duration::from_micros(100);

/// After how many answers, at the most, it is tried again. A [`MOMENT`] in vain is less
/// than half a microsecond for each of them.
const ASLEEP_MAX: u32 = 256;

impl BusyPoll {
    /// Waits awake for `moment` after an answer, where there is a second processor for the
    /// peer to run on.
    pub fn new(moment: Duration) -> Self {
        let alone = thread::available_parallelism().is_ok_and(|count| count.get() == 1);
        Self::of(if alone { Duration::ZERO } else { moment })
    }

    fn of(moment: Duration) -> Self {
        Self {
            moment,
            answered: false,
            until: None,
            asleep: 0,
            asleep_next: 1,
        }
    }

    /// A peer was sent what it waits for.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    /// Waits for events, for ever without `patience`.
    pub fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        patience: Option<Duration>,
    ) -> io::Result<()> {
        let has_time = patience.is_none_or(|patience| patience >= self.moment);
        if has_time && !self.moment.is_zero() {
            while (self.answered || self.until.is_some()) && self.is_awake(Instant::now()) {
                poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    return Ok(());
                }
                // Whoever shares the processor may be the one that is waited for.
                thread::yield_now();
            }
        }
        poll.poll(events, patience)
    }

    /// Whether to look again, or to sleep now.
    fn is_awake(&mut self, now: Instant) -> bool {
        if mem::take(&mut self.answered) {
            self.begin(now);
        }
        match self.until {
            Some(until) if now < until => true,
            Some(_) => {
                self.until = None;
                self.asleep = self.asleep_next;
                self.asleep_next = (2 * self.asleep_next).min(ASLEEP_MAX);
                false
            }
            None => false,
        }
    }

    /// An answer begins a moment, or is one of those that do not.
    fn begin(&mut self, now: Instant) {
        if self.until.is_some() {
            // The next answer came within the moment of the last.
            self.asleep_next = 1;
        }
        self.until = (self.asleep == 0).then_some(now + self.moment);
        self.asleep = self.asleep.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use mio::{Token, Waker};

    use super::*;

    /// Answers `count` times, each `pause` after the last, and counts the moments that
    /// were waited for awake.
    fn moments(busy_poll: &mut BusyPoll, count: u32, pause: Duration) -> u32 {
        let mut now = Instant::now();
        let mut awake = 0;
        for _ in 0..count {
            busy_poll.answered();
            awake += u32::from(busy_poll.is_awake(now));
            now += pause;
            busy_poll.is_awake(now);
        }
        awake
    }

    #[test]
    fn who_asks_again_at_once_is_always_waited_for_awake() {
        let mut busy_poll = BusyPoll::of(MOMENT);
        assert_eq!(moments(&mut busy_poll, 10_000, MOMENT / 2), 10_000);
    }

    #[test]
    fn who_does_not_is_waited_for_awake_ever_less_often() {
        let mut busy_poll = BusyPoll::of(MOMENT);
        // After 1, 2, 4 .. 256 others.
        assert_eq!(moments(&mut busy_poll, 1 + 511, MOMENT * 2), 9);
        assert_eq!(moments(&mut busy_poll, 257 * 100, MOMENT * 2), 100);
    }

    #[test]
    fn who_begins_to_ask_at_once_is_soon_waited_for_awake() {
        let mut busy_poll = BusyPoll::of(MOMENT);
        moments(&mut busy_poll, 10_000, MOMENT * 2);
        let awake = moments(&mut busy_poll, 10_000, MOMENT / 2);
        assert!(awake >= 10_000 - ASLEEP_MAX, "{awake}");
    }

    #[test]
    fn a_moment_ends_when_it_is_over_and_begins_with_the_next_answer() {
        let mut busy_poll = BusyPoll::of(MOMENT);
        let begin = Instant::now();
        assert!(!busy_poll.is_awake(begin), "nobody was answered");
        busy_poll.answered();
        assert!(busy_poll.is_awake(begin));
        let soon = begin + MOMENT / 2;
        assert!(busy_poll.is_awake(soon));
        busy_poll.answered();
        assert!(busy_poll.is_awake(soon));
        assert!(busy_poll.is_awake(begin + MOMENT));
        assert!(!busy_poll.is_awake(soon + MOMENT));
        assert!(!busy_poll.is_awake(soon + MOMENT), "nobody was answered");
    }

    #[test]
    fn events_are_found_awake_and_asleep() {
        for moment in [Duration::ZERO, Duration::from_mins(10)] {
            let mut busy_poll = BusyPoll::of(moment);
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(1);
            let waker = Waker::new(poll.registry(), Token(7)).unwrap();
            busy_poll.answered();
            thread::scope(|scope| {
                scope.spawn(|| waker.wake().unwrap());
                while events.is_empty() {
                    busy_poll.wait(&mut poll, &mut events, None).unwrap();
                }
            });
            assert_eq!(events.iter().next().unwrap().token(), Token(7));
        }
    }

    #[test]
    fn who_has_less_time_than_a_moment_is_not_kept_for_it() {
        let mut busy_poll = BusyPoll::of(Duration::MAX);
        let mut poll = Poll::new().unwrap();
        busy_poll.answered();
        let patience = Some(Duration::from_millis(1));
        let mut events = Events::with_capacity(1);
        busy_poll.wait(&mut poll, &mut events, patience).unwrap();
        assert!(events.is_empty());
    }
}
