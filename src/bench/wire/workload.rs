//! The workloads, and one run of each.

use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::producer::{Producer, Shape};
use super::relay::Target;
use super::viewer::Viewer;

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Producers send packets and their indexes.
    Ingest {
        producers: usize,
        streams: usize,
        packet_bytes: usize,
        window: usize,
    },
    /// One producer sends, and viewers that ask nothing are attached to its session.
    Watched { packet_bytes: usize, viewers: usize },
    /// Viewers read what was recorded.
    CatchUp { packet_bytes: usize },
    /// Sessions of four data streams and metadata come and go.
    Churn { with_data: bool },
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// What `per second` counts: bytes, or sessions.
    pub amount: f64,
    pub elapsed: Duration,
    pub cpu: Duration,
    pub peak_bytes: u64,
}

impl Workload {
    /// Those of the tables that performance is judged by.
    pub const ALL: [Self; 13] = [
        Self::ingest("4 KiB, waits", 1, 1, 4 * 1024, 1),
        Self::ingest("4 KiB, 64 in flight", 1, 1, 4 * 1024, 64),
        Self::ingest("4 KiB, 32 producers x 4", 32, 4, 4 * 1024, 1),
        Self::ingest("4 KiB, 128 producers x 2", 128, 2, 4 * 1024, 1),
        Self::ingest("64 KiB, 1 producer", 1, 1, 64 * 1024, 1),
        Self::ingest("64 KiB, 32 producers x 4", 32, 4, 64 * 1024, 1),
        Self::ingest("1 MiB, 1 producer", 1, 1, 1024 * 1024, 1),
        Self::watched("4 KiB, watched by 0", 4 * 1024, 0),
        Self::watched("4 KiB, watched by 64", 4 * 1024, 64),
        Self {
            name: "catch up, 64 KiB",
            kind: Kind::CatchUp {
                packet_bytes: 64 * 1024,
            },
        },
        Self {
            name: "catch up, 1 MiB",
            kind: Kind::CatchUp {
                packet_bytes: 1024 * 1024,
            },
        },
        Self {
            name: "sessions, no data",
            kind: Kind::Churn { with_data: false },
        },
        Self {
            name: "sessions, with data",
            kind: Kind::Churn { with_data: true },
        },
    ];

    const fn ingest(
        name: &'static str,
        producers: usize,
        streams: usize,
        packet_bytes: usize,
        window: usize,
    ) -> Self {
        Self {
            name,
            kind: Kind::Ingest {
                producers,
                streams,
                packet_bytes,
                window,
            },
        }
    }

    const fn watched(name: &'static str, packet_bytes: usize, viewers: usize) -> Self {
        Self {
            name,
            kind: Kind::Watched {
                packet_bytes,
                viewers,
            },
        }
    }

    /// Whether its amounts are bytes; else they are sessions.
    pub fn counts_bytes(&self) -> bool {
        !matches!(self.kind, Kind::Churn { .. })
    }

    pub fn run(&self, target: &Target, scale: f64) -> io::Result<Measure> {
        match self.kind {
            Kind::Ingest {
                producers,
                streams,
                packet_bytes,
                window,
            } => {
                let shape = Shape {
                    streams,
                    packet_bytes,
                    live_timer_us: 0,
                };
                let packets = scaled(INGEST_BYTES, scale) / packet_bytes / producers;
                let packets = packets.clamp(16, PACKETS_MAX);
                ingest(target, producers, shape, packets, window, 0)
            }
            Kind::Watched {
                packet_bytes,
                viewers,
            } => {
                let shape = Shape {
                    streams: 1,
                    packet_bytes,
                    live_timer_us: 1_000_000,
                };
                let packets = scaled(INGEST_BYTES, scale) / packet_bytes;
                ingest(
                    target,
                    1,
                    shape,
                    packets.clamp(16, PACKETS_MAX),
                    16,
                    viewers,
                )
            }
            Kind::CatchUp { packet_bytes } => catch_up(
                target,
                packet_bytes,
                scaled(INGEST_BYTES, scale) / packet_bytes,
            ),
            Kind::Churn { with_data } => {
                let sessions = if with_data { CHURN_WITH_DATA } else { CHURN };
                churn(target, scaled(sessions, scale), with_data)
            }
        }
    }
}

fn scaled(amount: usize, scale: f64) -> usize {
    (amount as f64 * scale).max(1.0) as usize
}

fn ingest(
    target: &Target,
    producers: usize,
    shape: Shape,
    packets: usize,
    window: usize,
    viewers: usize,
) -> io::Result<Measure> {
    let mut connected = Vec::new();
    for number in 0..producers {
        let mut producer = Producer::connect(target, number as u64, shape)?;
        producer.send_metadata()?;
        connected.push(producer);
    }
    let session = connected.first().map_or(0, |producer| producer.session);
    let attached = (0..viewers).map(|_| Viewer::attach(target, session));
    let attached = attached.collect::<io::Result<Vec<Viewer>>>()?;
    let start = Barrier::new(producers + 1);
    let (mut producers, measure) = std::thread::scope(|scope| {
        let threads: Vec<_> = connected
            .into_iter()
            .map(|mut producer| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for packet in 0..packets {
                        producer.send_packet(packet % shape.streams, window)?;
                    }
                    producer.settle()?;
                    Ok(producer)
                })
            })
            .collect();
        let amount = (producers * packets * shape.packet_bytes) as f64;
        let watch = Watch::start(target)?;
        start.wait();
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a producer panicked")))
        });
        let producers = joined.collect::<io::Result<Vec<Producer>>>()?;
        Ok::<_, io::Error>((producers, watch.stop(amount)?))
    })?;
    for producer in &mut producers {
        producer.close_streams()?;
    }
    drop(attached);
    Ok(measure)
}

fn catch_up(target: &Target, packet_bytes: usize, packets: usize) -> io::Result<Measure> {
    let shape = Shape {
        streams: 1,
        packet_bytes,
        live_timer_us: 1_000_000,
    };
    let mut producer = Producer::connect(target, 0, shape)?;
    producer.send_metadata()?;
    for _ in 0..packets {
        producer.send_packet(0, 16)?;
    }
    producer.settle()?;
    let watch = Watch::start(target)?;
    let mut viewer = Viewer::attach(target, producer.session)?;
    for stream in viewer.streams.clone() {
        while viewer.packets < packets as u64 && viewer.read_packet(stream)? {}
    }
    let expected = (packets * packet_bytes) as u64;
    if viewer.bytes != expected {
        return Err(io::Error::other(format!(
            "{} of {expected} bytes came",
            viewer.bytes
        )));
    }
    watch.stop(viewer.bytes as f64)
}

fn churn(target: &Target, sessions: usize, with_data: bool) -> io::Result<Measure> {
    let shape = Shape {
        streams: 4,
        packet_bytes: 4 * 1024,
        live_timer_us: 0,
    };
    let watch = Watch::start(target)?;
    for number in 0..sessions {
        let mut producer = Producer::connect(target, number as u64, shape)?;
        if with_data {
            producer.send_metadata()?;
            for packet in 0..2 * shape.streams {
                producer.send_packet(packet % shape.streams, 1)?;
            }
        }
        producer.close_streams()?;
    }
    watch.stop(sessions as f64)
}

/// Time and CPU time from here on.
struct Watch<'a> {
    target: &'a Target,
    cpu: Duration,
    begun: Instant,
}

impl<'a> Watch<'a> {
    fn start(target: &'a Target) -> io::Result<Self> {
        Ok(Self {
            target,
            cpu: target.usage()?.cpu,
            begun: Instant::now(),
        })
    }

    fn stop(self, amount: f64) -> io::Result<Measure> {
        let elapsed = self.begun.elapsed();
        let usage = self.target.usage()?;
        Ok(Measure {
            amount,
            elapsed,
            cpu: usage.cpu.saturating_sub(self.cpu),
            peak_bytes: usage.peak_bytes,
        })
    }
}

/// Bytes of packets in a run.
const INGEST_BYTES: usize = 512 << 20;
/// Runs of small packets end sooner: they take long enough.
const PACKETS_MAX: usize = 32 * 1024;
/// Sessions in a run.
const CHURN: usize = 1500;
const CHURN_WITH_DATA: usize = 60;
