//! Busy polling: poll for events for a short time before sleeping.
//!
//! A peer that waits for a reply often sends its next message within microseconds of it.
//! The wake-up of an idle processor takes longer than the relay's work for a packet, on a
//! virtual machine ten times as long. So a relay that is asked to busy-polls while exchanges
//! follow each other quickly (a *run*). With single messages, or short runs, it sleeps. Where
//! processors wake fast, busy polling saves little and costs CPU time.

use std::io;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

/// The decision whether to busy-poll, and until when.
#[derive(Debug)]
pub struct BusyPoll {
    /// Time of busy polling after a reply. Zero: never.
    moment: Duration,
    /// A reply was sent since the last wait.
    answered: bool,
    /// Time of the last reply. None: no message followed within its moment.
    last: Option<Instant>,
    /// Length of the current run of quick exchanges.
    run: u32,
}

/// Default time of busy polling: none. It pays only where processors wake slowly.
pub const DEFAULT: Duration = Duration::ZERO;

/// Minimum run of quick exchanges before busy polling starts. Below this, a wasted spin
/// costs more CPU time than the wake-ups that it saves.
const RUN_AWAKE: u32 = 16;
/// Maximum of the counter, so that busy polling ends soon after a long run.
const RUN_MAX: u32 = 64;

impl BusyPoll {
    /// Busy-polls for `moment` after a reply, if there is a second processor for the peer.
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

    /// A reply was sent.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    /// Waits for events, at most for `patience`; for ever without.
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
                // The peer may be waiting for this processor.
                thread::yield_now();
            }
        }
        poll.poll(events, patience)
    }

    /// Whether to poll again, or to sleep now.
    fn is_awake(&mut self) -> bool {
        // In the other cases there is no moment to continue, so the clock is not read.
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

    /// A reply extends a run, or halves it. Sleeping adds the time of a wake-up: an
    /// exchange that takes two moments asleep takes one with busy polling.
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

    /// Longer than most exchanges of a packet.
    const MOMENT: Duration = Duration::from_micros(100);

    /// A relay that replies, and polls for the next message once in its moment and once
    /// after it.
    struct Answers {
        busy_poll: BusyPoll,
        now: Instant,
        /// Moments of busy polling without a message.
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

        /// Replies `count` times, each `pause` after the last. Returns after how many of
        /// them it busy-polled.
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
    fn quick_exchanges_are_busy_polled() {
        let mut answers = Answers::new();
        let awake = answers.answer(10_000, MOMENT / 2);
        assert_eq!(awake, 10_000 - RUN_AWAKE);
    }

    #[test]
    fn slow_exchanges_are_not_busy_polled() {
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
    fn slightly_late_messages_waste_few_spins() {
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
    fn a_timeout_below_the_moment_is_not_busy_polled() {
        // So long that adding it overflows.
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
