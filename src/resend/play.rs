//! When what is sent: the packets of all streams in the order in which they ended, with
//! the gaps that were between their ends, and live beacons in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::Error;
use crate::trace::metadata;
use crate::trace::recording::{Packet, Packets, Recording};

/// How much faster than it was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    Times(f64),
    /// Without any gap.
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

/// Time as the sender has it.
pub trait Clock {
    /// Since some moment.
    fn now(&self) -> Duration;

    /// Returns at that time, or at once if it has passed.
    fn wait_until(&mut self, time: Duration);
}

/// Whoever takes what is played. Streams have the numbers of their [`Score`].
pub trait Sink {
    fn packet(&mut self, stream: usize, packet: &Packet) -> Result<(), Error>;

    /// The stream has nothing before this cycle of its clock that was not sent.
    fn beacon(&mut self, stream: usize, cycles: u64) -> Result<(), Error>;
}

/// All streams of a recording, and how far each was played.
#[derive(Debug)]
pub struct Score {
    streams: Vec<Part>,
    /// The next packets, those that ended first in front: when, and of which stream.
    due: BinaryHeap<Reverse<(i128, usize)>>,
}

#[derive(Debug)]
struct Part {
    clock: metadata::Clock,
    packets: Packets,
    next: Option<Packet>,
    /// Whoever listens knows everything up to this cycle.
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
                        Speed::Times(times) => first_ns + scaled(now - begun, times),
                    };
                    // A packet that is late has not ended for whoever listens.
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

    /// Tells of each stream that it has nothing before a moment, or before its next
    /// packet, where that is news.
    fn tell(&mut self, shown_ns: i128, sink: &mut impl Sink) -> Result<(), Error> {
        for (number, part) in self.streams.iter_mut().enumerate() {
            let cycles = part.clock.cycles(shown_ns);
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

    /// Looks at the next packet of a stream.
    fn advance(&mut self, stream: usize) -> Result<(), Error> {
        let part = &mut self.streams[stream];
        part.next = part.packets.next()?;
        if let Some(packet) = &part.next {
            let end_ns = part.clock.time_ns(packet.description.timestamp_end);
            self.due.push(Reverse((end_ns, stream)));
        }
        Ok(())
    }
}

impl Speed {
    /// How long a gap of the recording is.
    fn wait(self, gap_ns: i128) -> Duration {
        let Self::Times(times) = self else {
            return Duration::ZERO;
        };
        let seconds = gap_ns.max(0) as f64 / NS_PER_S / times;
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
/// A century: nobody waits longer, and sums of it do not overflow.
const GAP_MAX_S: f64 = 3.2e9;
