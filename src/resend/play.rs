//! The schedule of a replay: the packets of all streams in the order of their end times,
//! with the recorded gaps between these, and live beacons in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::Error;
use crate::trace::description;
use crate::trace::recording::{Packet, Packets, Recording};

/// Speed relative to the recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    Times(f64),
    /// Without gaps.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err("expected `max` or a number above 0, as 1, 10 or 0.5".into()),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(formatter, "{times}"),
            Self::Max => formatter.write_str("max"),
        }
    }
}

/// The sender's clock.
pub trait Clock {
    /// Time since a fixed moment.
    fn now(&self) -> Duration;

    /// Returns at that time, or at once if it has passed.
    fn wait_until(&mut self, time: Duration);
}

/// The receiver of packets and beacons. Streams have the numbers of their [`Score`].
pub trait Sink {
    fn packet(&mut self, stream: usize, packet: &Packet) -> Result<(), Error>;

    /// A beacon: the stream has no unsent event before this cycle of its clock.
    fn beacon(&mut self, stream: usize, cycles: u64) -> Result<(), Error>;
}

/// All streams of a recording, with the position of each.
#[derive(Debug)]
pub struct Score {
    streams: Vec<Part>,
    /// The next packet of each stream, a heap by end time.
    due: BinaryHeap<Reverse<(i128, usize)>>,
}

#[derive(Debug)]
struct Part {
    clock: description::Clock,
    packets: Packets,
    next: Option<Packet>,
    /// The receiver has everything up to this cycle.
    known: u64,
}

impl Score {
    /// Streams are numbered in the order of the traces and, in these, of the streams.
    pub fn of(recording: &Recording) -> Result<Self, Error> {
        let mut score = Self {
            streams: Vec::new(),
            due: BinaryHeap::new(),
        };
        for trace in &recording.traces {
            for stream in &trace.streams {
                score.streams.push(Part {
                    clock: trace.clock,
                    packets: stream.packets(),
                    next: None,
                    known: 0,
                });
                score.advance(score.streams.len() - 1)?;
            }
        }
        Ok(score)
    }

    /// Plays all packets. Every `period` of the clock, streams without packets get a
    /// beacon.
    pub fn play(
        mut self,
        speed: Speed,
        period: Duration,
        clock: &mut impl Clock,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        let begun = clock.now();
        let mut beat = begun + period;
        let Some(Reverse((first_ns, _))) = self.due.peek().copied() else {
            return Ok(());
        };
        let mut played_ns = first_ns;
        while let Some(Reverse((end_ns, stream))) = self.due.pop() {
            let due = begun + speed.wait(end_ns - first_ns);
            loop {
                clock.wait_until(due.min(beat));
                let now = clock.now();
                if now >= beat {
                    let shown_ns = match speed {
                        Speed::Max => played_ns,
                        Speed::Times(times) => first_ns + scaled(now.saturating_sub(begun), times),
                    };
                    // A late packet has not ended for the receiver.
                    self.tell(shown_ns.min(end_ns), sink)?;
                    beat = now + period;
                }
                if now >= due {
                    break;
                }
            }
            if let Some(packet) = self.streams[stream].next.take() {
                sink.packet(stream, &packet)?;
                let known = &mut self.streams[stream].known;
                *known = packet.description.timestamp_end.max(*known);
            }
            played_ns = end_ns;
            self.advance(stream)?;
        }
        Ok(())
    }

    /// Sends beacons for a moment, or for the begin of a stream's next packet if that is
    /// earlier, where they are new. The beacons of two streams never have the same time,
    /// since Babeltrace complains if it cannot order them.
    fn tell(&mut self, shown_ns: i128, sink: &mut impl Sink) -> Result<(), Error> {
        for (number, part) in self.streams.iter_mut().enumerate() {
            let cycles = part.clock.cycles(shown_ns).saturating_sub(number as u64);
            let next = part.next.as_ref();
            let begin = next.map_or(cycles, |packet| packet.description.timestamp_begin);
            let cycles = cycles.min(begin);
            if cycles > part.known {
                part.known = cycles;
                sink.beacon(number, cycles)?;
            }
        }
        Ok(())
    }

    /// Queues the next packet of a stream.
    fn advance(&mut self, stream: usize) -> Result<(), Error> {
        let part = &mut self.streams[stream];
        part.next = part.packets.next_packet()?;
        if let Some(packet) = &part.next {
            let end_ns = part.clock.time_ns(packet.description.timestamp_end);
            self.due.push(Reverse((end_ns, stream)));
        }
        Ok(())
    }
}

impl Speed {
    /// Duration of a gap of the recording, at this speed.
    fn wait(self, gap_ns: i128) -> Duration {
        let Self::Times(times) = self else {
            return Duration::ZERO;
        };
        let gap = u64::try_from(gap_ns.max(0)).unwrap_or(u64::MAX);
        let seconds = Duration::from_nanos(gap).as_secs_f64() / times;
        Duration::try_from_secs_f64(seconds.min(GAP_MAX_S)).unwrap_or(Duration::ZERO)
    }
}

/// Nanoseconds of the recording.
fn scaled(elapsed: Duration, times: f64) -> i128 {
    (elapsed.as_secs_f64() * times * NS_PER_S) as i128
}

/// The clock of this machine.
#[derive(Debug)]
pub struct WallClock(Instant);

impl WallClock {
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait_until(&mut self, time: Duration) {
        std::thread::sleep(time.saturating_sub(self.now()));
    }
}

const NS_PER_S: f64 = 1e9;
/// Maximum wait, a century: sums of it do not overflow.
const GAP_MAX_S: f64 = 3.2e9;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::trace::testing::{Made, data_file, trace};

    /// A virtual clock that advances when the sender waits.
    #[derive(Clone, Default)]
    struct Counted(Rc<Cell<Duration>>);

    impl Clock for Counted {
        fn now(&self) -> Duration {
            self.0.get()
        }

        fn wait_until(&mut self, time: Duration) {
            self.0.set(self.now().max(time));
        }
    }

    /// A log of packets and beacons with their times, in milliseconds.
    struct Notes {
        clock: Counted,
        taken: Vec<(u128, String)>,
        /// Time to send a packet.
        packet_takes: Duration,
    }

    impl Sink for Notes {
        fn packet(&mut self, stream: usize, packet: &Packet) -> Result<(), Error> {
            let end = packet.description.timestamp_end;
            let now = self.clock.now();
            self.taken
                .push((now.as_millis(), format!("{stream} to {end}")));
            self.clock.wait_until(now + self.packet_takes);
            Ok(())
        }

        fn beacon(&mut self, stream: usize, cycles: u64) -> Result<(), Error> {
            let now = self.clock.now().as_millis();
            self.taken.push((now, format!("{stream} at {cycles}")));
            Ok(())
        }
    }

    /// Two streams of a clock of 1000 cycles a second.
    const FIRST: [Made; 3] = [(0, 1000, 0), (1000, 1300, 1), (4000, 4500, 2)];
    const SECOND: [Made; 2] = [(100, 1200, 0), (2900, 3200, 1)];

    fn played(speed: Speed, packet_takes: Duration) -> Vec<(u128, String)> {
        let directory = tempfile::tempdir().unwrap();
        trace(directory.path(), "u");
        data_file(directory.path(), "a", 0, &FIRST, true);
        data_file(directory.path(), "b", 1, &SECOND, false);
        let score = Score::of(&Recording::find(directory.path()).unwrap()).unwrap();
        let mut clock = Counted::default();
        // The clock's offset is not 0.
        clock.wait_until(Duration::from_secs(50));
        let mut notes = Notes {
            clock: clock.clone(),
            taken: Vec::new(),
            packet_takes,
        };
        let period = Duration::from_secs(1);
        score.play(speed, period, &mut clock, &mut notes).unwrap();
        let taken = notes.taken.into_iter();
        taken.map(|(at, what)| (at - 50_000, what)).collect()
    }

    fn notes(notes: &[(u128, &str)]) -> Vec<(u128, String)> {
        let notes = notes.iter();
        notes.map(|(at, what)| (*at, (*what).to_owned())).collect()
    }

    #[test]
    fn gaps_are_those_between_the_ends_of_packets() {
        let expected = [
            (0, "0 to 1000"),
            (200, "1 to 1200"),
            (300, "0 to 1300"),
            // The beacon a second after the beginning, which is the end of the first
            // packet.
            (1000, "0 at 2000"),
            (1000, "1 at 1999"),
            // Not beyond the beginning of the next packet.
            (2000, "0 at 3000"),
            (2000, "1 at 2900"),
            (2200, "1 to 3200"),
            (3000, "0 at 4000"),
            (3000, "1 at 3999"),
            (3500, "0 to 4500"),
        ];
        assert_eq!(played(Speed::Times(1.0), Duration::ZERO), notes(&expected));
    }

    #[test]
    fn gaps_shrink_and_grow_with_the_speed() {
        let fast = [
            (0, "0 to 1000"),
            (20, "1 to 1200"),
            (30, "0 to 1300"),
            (220, "1 to 3200"),
            (350, "0 to 4500"),
        ];
        assert_eq!(played(Speed::Times(10.0), Duration::ZERO), notes(&fast));
        let slow = played(Speed::Times(0.5), Duration::ZERO);
        let packets: Vec<_> = slow
            .iter()
            .filter(|(_, what)| what.contains("to"))
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(packets, [0, 400, 600, 4400, 7000]);
        // Half a second of the recording a second.
        assert_eq!(slow[3], (1000, "0 at 1500".into()));
    }

    #[test]
    fn without_gaps_beacons_tell_what_was_played() {
        let expected = [
            (0, "0 to 1000"),
            (600, "1 to 1200"),
            // A second has passed, with no news of either stream.
            (1200, "0 to 1300"),
            (1800, "1 to 3200"),
            (2400, "0 at 3200"),
            (2400, "0 to 4500"),
        ];
        let played = played(Speed::Max, Duration::from_millis(600));
        assert_eq!(played, notes(&expected));
    }

    #[test]
    fn a_late_sender_sends_at_once_and_no_beacon_is_early() {
        let played = played(Speed::Times(1.0), Duration::from_secs(2));
        let expected = [
            (0, "0 to 1000"),
            (2000, "1 at 100"),
            (2000, "1 to 1200"),
            (4000, "1 at 1299"),
            (4000, "0 to 1300"),
            (6000, "0 at 3200"),
            (6000, "1 at 2900"),
            (6000, "1 to 3200"),
            (8000, "0 at 4000"),
            (8000, "1 at 4499"),
            (8000, "0 to 4500"),
        ];
        assert_eq!(played, notes(&expected));
    }

    #[test]
    fn speeds_are_read() {
        for text in ["1", "10", "0.5", "max"] {
            assert_eq!(text.parse::<Speed>().unwrap().to_string(), text);
        }
        for text in ["", "0", "-1", "nan", "inf", "fast", "Max"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
