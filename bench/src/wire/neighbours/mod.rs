//! Neighbours: latency of a light producer and a light viewer, alone and beside a bad peer.
//!
//! The producer sends a small packet at a time and waits for the reply to its index; then the
//! viewer asks for that packet. Both are measured from the first byte sent to the last that
//! came. After them some producers come newly: each connects, creates a session and adds a
//! stream.

mod commands;
mod connections;
mod floods;
mod packets;
mod slow_disk;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::commands::IDLE;
use super::latency::INTERVAL;
use super::load::LIVE_TIMER_US;
use super::measure::{Row, Unit, percentile, sorted};
use super::producer::{Producer, Shape};
use super::relay::Target;
use super::viewer::Viewer;

/// The load of the bad peer, which sends as fast as it can if nothing else is said.
#[derive(Clone, Copy, Debug)]
pub enum Bad {
    /// So many producers send packets of 1 MiB.
    Packets { producers: usize },
    /// So many viewers list so many sessions, again and again.
    Lists { viewers: usize, sessions: usize },
    /// A viewer sends requests without regard to the replies.
    Requests,
    /// A producer sends 20 packets a second, and each write of them takes so long.
    SlowDisk { write: Duration },
    /// Viewers ask for the new streams of a session with so many traces.
    NewStreams { traces: usize },
    /// A producer creates and deletes so many chunks at once, again and again.
    Chunks { burst: usize },
    /// A producer adds so many streams, each below many directories of its own.
    DeepPaths { streams: usize },
    /// A producer rotates a stream whose packet has much padding, again and again.
    Padding { bytes: u32 },
    /// So many connections announce large messages and send a part.
    HalfMessages { connections: usize },
    /// Producers fill rings of two files with so many packets each, and describe none.
    SmallRing { packets: usize },
    /// So many data connections of another address send nothing.
    Silence { connections: usize },
    /// A producer sends so many pieces of metadata with much padding, again and again.
    PaddedMetadata { pieces: usize },
}

/// A thread of the bad peer, until the flag is set.
type Member = Box<dyn FnOnce(&AtomicBool) -> io::Result<()> + Send>;

impl Bad {
    /// Connects what must be there before the first measurement.
    fn gather(self, target: &Target) -> io::Result<Vec<Member>> {
        match self {
            Self::Packets { producers } => floods::packets(target, producers),
            Self::Lists { viewers, sessions } => floods::lists(target, viewers, sessions),
            Self::Requests => Ok(floods::requests(target)),
            Self::SlowDisk { write } => slow_disk::member(target, write),
            Self::NewStreams { traces } => commands::new_streams(target, traces),
            Self::Chunks { burst } => Ok(commands::chunks(target, burst)),
            Self::DeepPaths { streams } => Ok(commands::deep_paths(target, streams)),
            Self::Padding { bytes } => Ok(packets::padding(target, bytes)),
            Self::HalfMessages { connections } => Ok(connections::halves(target, connections)),
            Self::SmallRing { packets } => Ok(packets::small_ring(target, packets)),
            Self::Silence { connections } => Ok(connections::silence(target, connections)),
            Self::PaddedMetadata { pieces } => Ok(commands::padded_metadata(target, pieces)),
        }
    }
}

pub fn run(target: &Target, bad: Bad, packets: usize) -> io::Result<Vec<Row>> {
    let shape = Shape {
        streams: 1,
        packet_bytes: PACKET_BYTES,
        live_timer_us: LIVE_TIMER_US,
    };
    let mut producer = Producer::connect(target, 0, shape)?;
    producer.send_metadata()?;
    let mut light = Light {
        target,
        viewer: Viewer::follow(target, producer.session)?,
        producer,
        newcomers: 0,
    };
    let members = bad.gather(target)?;
    let mut rows = light.exchange("alone", packets)?;
    let before = target.process.memory()?.peak_bytes;
    let is_over = &AtomicBool::new(false);
    let beside = scope(|scope| {
        let begin = |member: Member| scope.spawn(move || member(is_over));
        let threads: Vec<_> = members.into_iter().map(begin).collect();
        sleep(ONSET);
        let rows = light.exchange("beside", packets);
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread
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

/// The light peers.
struct Light<'a> {
    target: &'a Target,
    producer: Producer,
    viewer: Viewer,
    /// Producers that came newly so far.
    newcomers: u64,
}

impl Light<'_> {
    /// The rows of all light peers.
    fn exchange(&mut self, when: &str, packets: usize) -> io::Result<Vec<Row>> {
        let stream = self.viewer.streams.first().copied();
        let stream = stream.ok_or_else(|| io::Error::other("the session has no stream"))?;
        let (mut replies, mut reads) = (Vec::new(), Vec::new());
        let begin = Instant::now() + INTERVAL;
        for packet in 0..packets {
            let due = begin + INTERVAL * packet as u32;
            sleep(due.saturating_duration_since(Instant::now()));
            let sent = Instant::now();
            self.producer.send_packet(0, 1)?;
            let asked = Instant::now();
            while !self.viewer.read_packet(stream)? {
                if !self.viewer.streams.contains(&stream) {
                    return Err(io::Error::other("the stream has ended before its time"));
                }
            }
            replies.push(asked - sent);
            reads.push(asked.elapsed());
        }
        let mut arrivals = Vec::new();
        for _ in 0..packets.div_ceil(PACKETS_PER_NEWCOMER) {
            sleep(INTERVAL);
            arrivals.push(self.newcomer()?);
        }
        let mut rows = Vec::new();
        for (who, times) in [
            ("producer", replies),
            ("viewer", reads),
            ("newcomer", arrivals),
        ] {
            let times = sorted(times.iter().map(|time| time.as_secs_f64() * 1e6));
            for (label, percent) in [("p50", 50.0), ("p99", 99.0)] {
                let time = percentile(&times, percent).unwrap_or(0.0);
                let label = format!("{who} {when}, {label}");
                rows.push(Row::new(label).pace(time, Unit::Microseconds));
            }
        }
        Ok(rows)
    }

    /// Time until a new producer has its session and its stream.
    fn newcomer(&mut self) -> io::Result<Duration> {
        self.newcomers += 1;
        let came = Instant::now();
        Producer::connect(self.target, FIRST_NEWCOMER + self.newcomers, IDLE)?;
        Ok(came.elapsed())
    }
}

/// A member that acts again and again, each time as a new peer with a number of its own, at
/// most so often. The relay may refuse it at one of its bounds: the next one takes its place.
fn again(
    target: &Target,
    times_max: u64,
    act: impl Fn(&Target, u64, &AtomicBool) -> io::Result<()> + Send + 'static,
) -> Member {
    let target = target.clone();
    Box::new(move |is_over| {
        for number in (1..=times_max).take_while(|_| goes_on(is_over)) {
            if act(&target, number, is_over).is_err() {
                sleep(REFUSED_PAUSE);
            }
        }
        Ok(())
    })
}

fn goes_on(is_over: &AtomicBool) -> bool {
    !is_over.load(Ordering::Relaxed)
}

/// For peers that only stay connected.
fn await_end(is_over: &AtomicBool) {
    while goes_on(is_over) {
        sleep(INTERVAL);
    }
}

const PACKET_BYTES: usize = 4 * 1024;
/// Until the bad peer is under way.
const ONSET: Duration = Duration::from_millis(50);
const PACKETS_PER_NEWCOMER: usize = 20;
/// Greater than the numbers of all other producers.
const FIRST_NEWCOMER: u64 = 1 << 32;
const REFUSED_PAUSE: Duration = Duration::from_millis(1);
