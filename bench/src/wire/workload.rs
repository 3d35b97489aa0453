//! The workloads: their names and amounts.

use std::io;
use std::time::Duration;

use super::latency::{self, Followed};
use super::limits::Limit;
use super::load::{self, Ingest};
use super::measure::Row;
use super::neighbours::{self, Bad};
use super::relay::Target;
use super::{commands, idle};

/// One row of the tables, or several.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    pub subject: Subject,
}

/// A workload, with its name.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// Each relay under this load.
    Relay(Load),
    /// This machine without a relay, with the number of bytes to move.
    Machine { limit: Limit, bytes: usize },
}

/// The work of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    kind: Kind,
    scale: f64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ingest(Ingest),
    CatchUp { packet_bytes: usize },
    Sessions { count: usize, with_data: bool },
    Latency(Followed),
    Neighbours(Bad),
    Commands { sessions: usize },
    Idle { sessions: usize, streams: usize },
    Connections { count: usize },
}

impl Workload {
    /// All of them, in the order of the tables that performance is judged by. Counts
    /// are multiplied by `scale`; there are no more connections than Baton gives to one
    /// address: three quarters of half the descriptors.
    pub fn all(scale: f64, descriptors: u64) -> Vec<Self> {
        let mut kinds = Vec::new();
        loads(scale, &mut kinds);
        for (name, viewers, pause) in LATENCIES {
            kinds.push((
                format!("live latency, {name}"),
                Kind::Latency(Followed { viewers, pause }),
            ));
        }
        bad_neighbours(scale, &mut kinds);
        for count in COMMANDS_AMONG {
            let sessions = scaled(count, scale);
            let name = format!("commands among {sessions}");
            kinds.push((name, Kind::Commands { sessions }));
        }
        let room = (descriptors as usize / 2 * 3 / 4).saturating_sub(OTHER_DESCRIPTORS);
        for (count, streams) in IDLE {
            // A session has two connections.
            let sessions = scaled(count, scale).min((room / 2).max(1));
            let name = format!("idle, {sessions} x {streams} streams");
            kinds.push((name, Kind::Idle { sessions, streams }));
        }
        let count = scaled(CONNECTIONS, scale).min(room.max(1));
        kinds.push(("idle, connections".to_owned(), Kind::Connections { count }));
        let load = |kind| Subject::Relay(Load { kind, scale });
        let loads = kinds.into_iter().map(|(name, kind)| (name, load(kind)));
        let bytes = scaled(BYTES, scale);
        let limits = LIMITS.map(|(name, limit)| {
            let subject = Subject::Machine { limit, bytes };
            (format!("limits, {name}"), subject)
        });
        let workload = |(name, subject)| Self { name, subject };
        loads.chain(limits).map(workload).collect()
    }
}

impl Load {
    /// The limit of descriptors that the relay starts with; none: that of this process.
    pub fn descriptors(&self) -> Option<u64> {
        match self.kind {
            Kind::Neighbours(Bad::Silence { .. }) => Some(DESCRIPTORS_BY_DEFAULT),
            _ => None,
        }
    }

    /// Loads a relay once.
    pub fn run(&self, target: &Target) -> io::Result<Vec<Row>> {
        let bytes = scaled(BYTES, self.scale);
        let one = |row: io::Result<Row>| row.map(|row| vec![row]);
        match self.kind {
            Kind::Ingest(load) => load::ingest(target, &load, bytes),
            Kind::CatchUp { packet_bytes } => one(load::catch_up(target, packet_bytes, bytes)),
            Kind::Sessions { count, with_data } => one(load::churn(target, count, with_data)),
            Kind::Latency(followed) => {
                let packets = scaled(LATENCY_PACKETS, self.scale);
                latency::run(target, followed, packets.max(LATENCY_PACKETS_MIN))
            }
            Kind::Neighbours(bad) => {
                let packets = scaled(LATENCY_PACKETS, self.scale);
                neighbours::run(target, bad, packets.max(LATENCY_PACKETS_MIN))
            }
            Kind::Commands { sessions } => commands::run(target, sessions, self.scale),
            Kind::Idle { sessions, streams } => {
                idle::sessions(target, sessions, streams, self.scale)
            }
            Kind::Connections { count } => idle::connections(target, count, self.scale),
        }
    }
}

fn loads(scale: f64, kinds: &mut Vec<(String, Kind)>) {
    for (name, producers, streams, packet_bytes, window, viewers) in INGESTS {
        let load = Ingest {
            producers,
            streams,
            packet_bytes,
            window,
            viewers,
        };
        kinds.push((name.to_owned(), Kind::Ingest(load)));
    }
    for (name, packet_bytes) in CATCH_UPS {
        kinds.push((name.to_owned(), Kind::CatchUp { packet_bytes }));
    }
    for (name, count, with_data) in SESSIONS {
        let count = scaled(count, scale);
        kinds.push((name.to_owned(), Kind::Sessions { count, with_data }));
    }
}

fn bad_neighbours(scale: f64, kinds: &mut Vec<(String, Kind)>) {
    let of = |amount| scaled(amount, scale);
    let write = Duration::from_millis;
    #[rustfmt::skip]
    let all = [
        ("large packets",             Bad::Packets { producers: of(100) }),
        ("long lists",                Bad::Lists { viewers: 4, sessions: of(2000) }),
        ("requests without end",      Bad::Requests),
        ("a slow disk, 100 ms",       Bad::SlowDisk { write: write(100) }),
        ("a slow disk, 1 s",          Bad::SlowDisk { write: write(1000) }),
        ("new streams",               Bad::NewStreams { traces: of(2000) }),
        ("chunks",                    Bad::Chunks { burst: of(2800) }),
        ("deep paths",                Bad::DeepPaths { streams: of(800) }),
        ("padding",                   Bad::Padding { bytes: of(1 << 30) as u32 }),
        ("half messages",             Bad::HalfMessages { connections: of(100) }),
        ("a ring of two 1-byte files", Bad::SmallRing { packets: of(1100) }),
        ("silent connections",        Bad::Silence { connections: of(600) }),
        ("padded metadata",           Bad::PaddedMetadata { pieces: of(200) }),
    ];
    for (name, bad) in all {
        kinds.push((format!("neighbours, {name}"), Kind::Neighbours(bad)));
    }
}

fn scaled(amount: usize, scale: f64) -> usize {
    (amount as f64 * scale).max(1.0) as usize
}

/// Name, producers, streams of each, bytes of a packet, packets in flight, viewers.
#[rustfmt::skip]
const INGESTS: [(&str, usize, usize, usize, usize, usize); 9] = [
    ("4 KiB, waits",               1, 1,    4 << 10,  1,  0),
    ("4 KiB, 64 in flight",        1, 1,    4 << 10, 64,  0),
    ("4 KiB, 32 producers x 4",   32, 4,    4 << 10,  1,  0),
    ("4 KiB, 128 producers x 2", 128, 2,    4 << 10,  1,  0),
    ("64 KiB, 1 producer",         1, 1,   64 << 10,  1,  0),
    ("64 KiB, 32 producers x 4",  32, 4,   64 << 10,  1,  0),
    ("1 MiB, 1 producer",          1, 1, 1024 << 10,  1,  0),
    ("4 KiB, watched by 1",        1, 1,    4 << 10, 16,  1),
    ("4 KiB, watched by 64",       1, 1,    4 << 10, 16, 64),
];

const CATCH_UPS: [(&str, usize); 3] = [
    ("catch up, 4 KiB", 4 << 10),
    ("catch up, 64 KiB", 64 << 10),
    ("catch up, 1 MiB", 1 << 20),
];

/// Name, sessions, whether they have data.
const SESSIONS: [(&str, usize, bool); 2] = [
    ("sessions, no data", 1500, false),
    ("sessions, with data", 60, true),
];

/// Name, viewers, pause.
const LATENCIES: [(&str, usize, Duration); 4] = [
    ("1 viewer without pause", 1, Duration::ZERO),
    ("1 viewer", 1, Duration::from_millis(1)),
    ("4 viewers", 4, Duration::from_millis(1)),
    ("16 viewers", 16, Duration::from_millis(1)),
];

const COMMANDS_AMONG: [usize; 3] = [1, 100, 2000];

/// Sessions, data streams of each.
const IDLE: [(usize, usize); 3] = [(2000, 10), (2000, 50), (10_000, 10)];

const CONNECTIONS: usize = 10_000;
/// Listeners, files, the asking viewer: far fewer are needed.
const OTHER_DESCRIPTORS: usize = 100;

const LIMITS: [(&str, Limit); 10] = [
    (
        "receive and write, 64 KiB",
        Limit::ReceiveAndWrite {
            buffer_bytes: 64 << 10,
        },
    ),
    (
        "receive and write, 1 MiB",
        Limit::ReceiveAndWrite {
            buffer_bytes: 1 << 20,
        },
    ),
    ("splice", Limit::Splice),
    ("sendfile", Limit::SendFile),
    ("index and reply", Limit::PingPong),
    (
        "a producer waits, 4 KiB",
        Limit::Produced {
            packet_bytes: 4 << 10,
        },
    ),
    (
        "a producer waits, 64 KiB",
        Limit::Produced {
            packet_bytes: 64 << 10,
        },
    ),
    (
        "a viewer asks, 64 KiB",
        Limit::Viewed {
            packet_bytes: 64 << 10,
        },
    ),
    (
        "a viewer asks, 1 MiB",
        Limit::Viewed {
            packet_bytes: 1 << 20,
        },
    ),
    ("sessions", Limit::Opened),
];

/// Those of a process on most systems.
const DESCRIPTORS_BY_DEFAULT: u64 = 1024;
/// Bytes of packets in a run.
const BYTES: usize = 512 << 20;
/// Packets that each viewer sees in a run.
const LATENCY_PACKETS: usize = 400;
/// Fewer have no percentiles.
const LATENCY_PACKETS_MIN: usize = 10;
