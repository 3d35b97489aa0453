//! Waiting awake, for a moment, before waiting asleep.
//!
//! A peer that waits for an answer often has its next word ready within microseconds of
//! it. A processor that went to sleep meanwhile takes longer to wake than a relay takes
//! for a packet, on a virtual machine ten times as long. So where one answer follows the
//! other, the next word is waited for awake. Where they come one by one, or a few at a
//! time, a relay spends what it spends asleep.

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
    /// When the last answer was. None: its moment was waited for in vain.
    last: Option<Instant>,
    /// How many answers soon followed the one before, of late.
    run: u32,
}

/// How long, unless told otherwise: longer than most exchanges of a packet take, so that
/// the relay is awake throughout, and no longer than it takes to wake some processors.
pub const MOMENT: Duration = Duration::from_micros(100);

/// From what run on it is worthwhile to be awake: a moment in vain is little, beside as
/// many times of being woken.
const RUN_AWAKE: u32 = 16;
/// A longer run is not surer to go on.
const RUN_MAX: u32 = 64;

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
            last: None,
            run: 0,
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
            while self.is_awake() {
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
    fn is_awake(&mut self) -> bool {
        // Else there is no moment to go on with: the clock need not be read.
        let may_be = self.answered || (self.run >= RUN_AWAKE && self.last.is_some());
        may_be && self.is_awake_at(Instant::now())
    }

    fn is_awake_at(&mut self, now: Instant) -> bool {
        if mem::take(&mut self.answered) {
            self.count(now);
        }
        if self.run < RUN_AWAKE {
            return false;
        }
        let awake = self.last.is_some_and(|last| now < last + self.moment);
        if !awake && self.last.take().is_some() {
            self.run /= 2;
        }
        awake
    }

    /// An answer goes on with a run, or cuts it short. To be woken takes its time: what comes
    /// within two moments asleep comes within one awake.
    fn count(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            self.run = if now < last + 2 * self.moment {
                (self.run + 1).min(RUN_MAX)
            } else {
                self.run / 2
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Token, Waker};

    use super::*;

    /// A relay that answers, and looks for the next word once in its moment and once after
    /// it.
    struct Answers {
        busy_poll: BusyPoll,
        now: Instant,
        /// Moments that were waited for awake to their end.
        in_vain: u32,
    }

    impl Answers {
        fn new() -> Self {
            Self {
                busy_poll: BusyPoll::of(MOMENT),
                now: Instant::now(),
                in_vain: 0,
            }
        }

        /// Answers `count` times, each `pause` after the last; how many of them were
        /// waited on awake.
        fn answer(&mut self, count: u32, pause: Duration) -> u32 {
            let mut awake = 0;
            for _ in 0..count {
                self.busy_poll.answered();
                if self.busy_poll.is_awake_at(self.now) {
                    awake += 1;
                    let end = self.now + MOMENT;
                    let in_vain = pause > MOMENT && !self.busy_poll.is_awake_at(end);
                    self.in_vain += u32::from(in_vain);
                }
                self.now += pause;
            }
            awake
        }
    }

    #[test]
    fn who_asks_again_at_once_is_waited_for_awake() {
        let mut answers = Answers::new();
        let awake = answers.answer(10_000, MOMENT / 2);
        assert_eq!(awake, 10_000 - RUN_AWAKE);
    }

    #[test]
    fn who_does_not_is_waited_for_asleep() {
        let mut answers = Answers::new();
        assert_eq!(answers.answer(10_000, 3 * MOMENT), 0);
    }

    #[test]
    fn a_few_answers_at_a_time_are_not_waited_for_awake() {
        let mut answers = Answers::new();
        for _ in 0..1_000 {
            assert_eq!(answers.answer(RUN_AWAKE / 2, MOMENT / 10), 0);
            answers.now += 10 * MOMENT;
        }
    }

    #[test]
    fn a_long_run_is_waited_on_once_more_than_it_lasts() {
        let mut answers = Answers::new();
        for burst in 1..=1_000 {
            answers.answer(4 * RUN_AWAKE, MOMENT / 10);
            answers.answer(1, 10 * MOMENT);
            assert!(answers.in_vain <= burst);
        }
        assert!(answers.in_vain > 0);
    }

    #[test]
    fn whoever_is_a_little_late_is_seldom_waited_for_in_vain() {
        let mut answers = Answers::new();
        answers.answer(10_000, MOMENT * 3 / 2);
        assert!(answers.in_vain <= 10_000 / (RUN_AWAKE / 2));
    }

    #[test]
    fn one_answer_that_is_late_does_not_end_a_long_run() {
        let mut answers = Answers::new();
        answers.answer(1_000, MOMENT / 2);
        answers.answer(1, MOMENT * 10);
        assert_eq!(answers.answer(100, MOMENT / 2), 100);
    }

    #[test]
    fn events_are_found_awake_and_asleep() {
        for moment in [Duration::ZERO, Duration::from_mins(10)] {
            let mut busy_poll = BusyPoll::of(moment);
            busy_poll.run = RUN_MAX;
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(1);
            let waker = Waker::new(poll.registry(), Token(7)).unwrap();
            busy_poll.answered();
            assert_eq!(busy_poll.is_awake(), !moment.is_zero());
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
        // So long that to reckon with it fails.
        let mut busy_poll = BusyPoll::of(Duration::MAX);
        busy_poll.run = RUN_MAX;
        let mut poll = Poll::new().unwrap();
        busy_poll.answered();
        let patience = Some(Duration::from_millis(1));
        let mut events = Events::with_capacity(1);
        busy_poll.wait(&mut poll, &mut events, patience).unwrap();
        assert!(events.is_empty());
    }
}
