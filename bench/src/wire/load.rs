//! Throughput: ingest, catch up, and sessions.

use std::io;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;

use super::measure::{Row, Unit, percentile, sorted};
use super::producer::{Producer, Shape};
use super::relay::Target;
use super::stored;
use super::usage::{Spent, Stopwatch};
use super::viewer::Viewer;

/// Producers that send packets and their indexes, each as fast as it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Ingest {
    pub producers: usize,
    pub streams: usize,
    pub packet_bytes: usize,
    /// Packets of a producer that are sent before the first is answered.
    pub window: usize,
    /// Viewers that are attached to the first producer's session and ask for nothing.
    pub viewers: usize,
}

/// Sends the packets of all producers, and checks that all are in the relay's files at the
/// end.
pub fn ingest(target: &Target, load: &Ingest, bytes: usize) -> io::Result<Vec<Row>> {
    let shape = Shape {
        streams: load.streams,
        packet_bytes: load.packet_bytes,
        live_timer_us: if load.viewers > 0 { LIVE_TIMER_US } else { 0 },
    };
    let packets = (bytes / load.packet_bytes / load.producers).clamp(PACKETS_MIN, PACKETS_MAX);
    let mut connected = Vec::new();
    for number in 0..load.producers {
        let mut producer = Producer::connect(target, number as u64, shape)?;
        producer.send_metadata()?;
        connected.push(producer);
    }
    let session = connected.first().map_or(0, |producer| producer.session);
    let attached = (0..load.viewers).map(|_| Viewer::follow(target, session));
    let attached = attached.collect::<io::Result<Vec<Viewer>>>()?;
    let start = Barrier::new(load.producers + 1);
    let (mut producers, spent) = std::thread::scope(|scope| {
        let threads: Vec<_> = connected
            .into_iter()
            .map(|mut producer| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let mut waits = Vec::with_capacity(packets);
                    for packet in 0..packets {
                        waits.push(producer.send_packet(packet % load.streams, load.window)?);
                    }
                    producer.settle()?;
                    Ok((producer, waits))
                })
            })
            .collect();
        let stopwatch = Stopwatch::start(&target.process)?;
        start.wait();
        let producers = threads.into_iter().map(join);
        let producers = producers.collect::<io::Result<Vec<_>>>()?;
        Ok::<_, io::Error>((producers, stopwatch.stop()?))
    })?;
    for (producer, _) in &mut producers {
        producer.close_streams()?;
    }
    drop(attached);
    let amount = load.producers * packets * load.packet_bytes;
    stored::await_packets(&target.traces, amount as u64)?;
    let mut rows = vec![bytes_row(target, amount, spent)?];
    if load.window == 1 {
        let waits = producers.iter().flat_map(|(_, waits)| waits);
        let waits = sorted(waits.map(|wait| wait.as_secs_f64() * 1e6));
        for (label, percent) in [("reply p50", 50.0), ("reply p99", 99.0)] {
            let wait = percentile(&waits, percent).unwrap_or(0.0);
            rows.push(Row::new(label).pace(wait, Unit::Microseconds));
        }
    }
    Ok(rows)
}

/// A viewer reads packets that were recorded before it attached.
pub fn catch_up(target: &Target, packet_bytes: usize, bytes: usize) -> io::Result<Row> {
    let shape = Shape {
        streams: 1,
        packet_bytes,
        live_timer_us: LIVE_TIMER_US,
    };
    let packets = (bytes / packet_bytes).clamp(PACKETS_MIN, PACKETS_MAX);
    let mut producer = Producer::connect(target, 0, shape)?;
    producer.send_metadata()?;
    for _ in 0..packets {
        producer.send_packet(0, 16)?;
    }
    producer.settle()?;
    let stopwatch = Stopwatch::start(&target.process)?;
    let mut viewer = Viewer::follow(target, producer.session)?;
    for stream in viewer.streams.clone() {
        while viewer.packets < packets as u64 && viewer.read_packet(stream)? {}
    }
    let spent = stopwatch.stop()?;
    let expected = (packets * packet_bytes) as u64;
    if viewer.bytes != expected {
        let reason = format!("{} of {expected} bytes came", viewer.bytes);
        return Err(io::Error::other(reason));
    }
    bytes_row(target, packets * packet_bytes, spent)
}

/// Creates and destroys sessions of four data streams and metadata, one after another.
pub fn churn(target: &Target, sessions: usize, with_data: bool) -> io::Result<Row> {
    let shape = Shape {
        streams: 4,
        packet_bytes: 4 * 1024,
        live_timer_us: 0,
    };
    let packets = if with_data { 2 * shape.streams } else { 0 };
    let stopwatch = Stopwatch::start(&target.process)?;
    for number in 0..sessions {
        let mut producer = Producer::connect(target, number as u64, shape)?;
        if with_data {
            producer.send_metadata()?;
        }
        for packet in 0..packets {
            producer.send_packet(packet % shape.streams, 1)?;
        }
        producer.close_streams()?;
    }
    let spent = stopwatch.stop()?;
    let expected = sessions * packets * shape.packet_bytes;
    stored::await_packets(&target.traces, expected as u64)?;
    with_peak(spent.row_of_sessions(sessions), target)
}

pub fn join<T>(thread: ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    let panicked = |_| Err(io::Error::other("a thread of the load panicked"));
    thread.join().unwrap_or_else(panicked)
}

fn bytes_row(target: &Target, amount: usize, spent: Spent) -> io::Result<Row> {
    with_peak(spent.row_of_bytes(amount), target)
}

fn with_peak(row: Row, target: &Target) -> io::Result<Row> {
    let peak = target.process.memory()?.peak_bytes;
    Ok(row.memory(peak as f64 / 1e6, Unit::Megabytes))
}

pub const LIVE_TIMER_US: u32 = 1_000_000;
const PACKETS_MIN: usize = 16;
/// Limit for small packets: these are enough for a stable figure.
const PACKETS_MAX: usize = 32 * 1024;
