//! Neighbours: latency of a light producer and a light viewer, alone and beside a bad peer.
//!
//! The producer sends a small packet at a time and waits for the reply to its index; then the
//! viewer asks for that packet. Both are measured from the first byte sent to the last that
//! came.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use super::commands::IDLE;
use super::latency::INTERVAL;
use super::load::LIVE_TIMER_US;
use super::measure::{Row, Unit, percentile, sorted};
use super::producer::{Producer, Shape};
use super::relay::Target;
use super::viewer::{self, Viewer};

/// The load of the bad peer, which sends as fast as it can.
#[derive(Clone, Copy, Debug)]
pub enum Bad {
    /// So many producers send packets of 1 MiB.
    Packets { producers: usize },
    /// So many viewers list so many sessions, again and again.
    Lists { viewers: usize, sessions: usize },
    /// A viewer sends requests without regard to the replies.
    Requests,
}

pub fn run(target: &Target, bad: Bad, packets: usize) -> io::Result<Vec<Row>> {
    let shape = Shape {
        streams: 1,
        packet_bytes: PACKET_BYTES,
        live_timer_us: LIVE_TIMER_US,
    };
    let mut producer = Producer::connect(target, 0, shape)?;
    producer.send_metadata()?;
    let mut viewer = Viewer::follow(target, producer.session)?;
    let mut crowd = Crowd::gather(target, bad)?;
    let mut rows = exchange(&mut producer, &mut viewer, "alone", packets)?;
    let before = target.process.memory()?.peak_bytes;
    let is_over = AtomicBool::new(false);
    let beside = scope(|scope| {
        let crowd = crowd.begin(scope, target, &is_over);
        sleep(ONSET);
        let rows = exchange(&mut producer, &mut viewer, "beside", packets);
        is_over.store(true, Ordering::Relaxed);
        for member in crowd {
            member
                .join()
                .map_err(|_| io::Error::other("a thread of the load panicked"))??;
        }
        rows
    })?;
    rows.extend(beside);
    let after = target.process.memory()?.peak_bytes;
    let more = after.saturating_sub(before) as f64 / 1e6;
    rows.push(Row::new("memory for it").memory(more, Unit::Megabytes));
    Ok(rows)
}

/// The rows of both light peers.
fn exchange(
    producer: &mut Producer,
    viewer: &mut Viewer,
    when: &str,
    packets: usize,
) -> io::Result<Vec<Row>> {
    let stream = viewer.streams.first().copied();
    let stream = stream.ok_or_else(|| io::Error::other("the session has no stream"))?;
    let (mut replies, mut reads) = (Vec::new(), Vec::new());
    let begin = Instant::now() + INTERVAL;
    for packet in 0..packets {
        let due = begin + INTERVAL * packet as u32;
        sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        producer.send_packet(0, 1)?;
        let asked = Instant::now();
        while !viewer.read_packet(stream)? {}
        replies.push((asked - sent).as_secs_f64() * 1e6);
        reads.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    let mut rows = Vec::new();
    for (who, times) in [("producer", replies), ("viewer", reads)] {
        let times = sorted(times.into_iter());
        for (label, percent) in [("p50", 50.0), ("p99", 99.0)] {
            let time = percentile(&times, percent).unwrap_or(0.0);
            rows.push(Row::new(format!("{who} {when}, {label}")).pace(time, Unit::Microseconds));
        }
    }
    Ok(rows)
}

/// The connections of the bad peer.
struct Crowd {
    bad: Bad,
    producers: Vec<Producer>,
}

impl Crowd {
    fn gather(target: &Target, bad: Bad) -> io::Result<Self> {
        let (count, shape) = match bad {
            Bad::Packets { producers } => (producers, LARGE),
            Bad::Lists { sessions, .. } => (sessions, IDLE),
            Bad::Requests => (0, IDLE),
        };
        let producers = (1..=count as u64).map(|number| Producer::connect(target, number, shape));
        let producers = producers.collect::<io::Result<_>>()?;
        Ok(Self { bad, producers })
    }

    /// Each member has a thread, until all `is_over`.
    fn begin<'scope, 'env>(
        &'env mut self,
        scope: &'scope std::thread::Scope<'scope, 'env>,
        target: &'env Target,
        is_over: &'env AtomicBool,
    ) -> Vec<ScopedJoinHandle<'scope, io::Result<()>>> {
        let goes_on = || !is_over.load(Ordering::Relaxed);
        match self.bad {
            Bad::Packets { .. } => {
                let send = |producer: &'env mut Producer| {
                    scope.spawn(move || {
                        // The disk may be the memory.
                        for _ in 0..LARGE_PACKETS_MAX {
                            if goes_on() {
                                producer.send_packet(0, 1)?;
                            }
                        }
                        Ok(())
                    })
                };
                self.producers.iter_mut().map(send).collect()
            }
            Bad::Lists { viewers, .. } => {
                let list = |_| {
                    scope.spawn(move || {
                        let mut viewer = Viewer::connect(target)?;
                        while goes_on() {
                            viewer.count_sessions()?;
                        }
                        Ok(())
                    })
                };
                (0..viewers).map(list).collect()
            }
            Bad::Requests => vec![scope.spawn(move || viewer::flood(target, is_over))],
        }
    }
}

const PACKET_BYTES: usize = 4 * 1024;
const LARGE: Shape = Shape {
    streams: 1,
    packet_bytes: 1 << 20,
    live_timer_us: 0,
};
const LARGE_PACKETS_MAX: usize = 30;
/// Until the crowd is under way.
const ONSET: Duration = Duration::from_millis(50);
