//! Live latency: time from a producer's send until a viewer has the packet.
//!
//! Each viewer follows a session of its own, since some relays allow one viewer per
//! session. The time is from the producer's `send` of a packet and its index until the
//! viewer has all bytes. A viewer asks for the next index, and again after a pause if there
//! is none, as Babeltrace does.

use std::io;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use super::load::LIVE_TIMER_US;
use super::measure::{Row, Unit, percentile, sorted};
use super::producer::{Producer, Shape};
use super::relay::Target;
use super::usage::Stopwatch;
use super::viewer::Viewer;

#[derive(Clone, Copy, Debug)]
pub struct Followed {
    pub viewers: usize,
    /// Pause after RETRY.
    pub pause: Duration,
}

pub fn run(target: &Target, followed: Followed, packets: usize) -> io::Result<Vec<Row>> {
    let shape = Shape {
        streams: 1,
        packet_bytes: PACKET_BYTES,
        live_timer_us: LIVE_TIMER_US,
    };
    let mut pairs = Vec::new();
    for number in 0..followed.viewers {
        let mut producer = Producer::connect(target, number as u64, shape)?;
        producer.send_metadata()?;
        let viewer = Viewer::follow(target, producer.session)?;
        pairs.push((producer, viewer));
    }
    let stopwatch = Stopwatch::start(&target.process)?;
    let begin = Instant::now() + INTERVAL;
    let mut threads = Vec::new();
    for (number, (producer, viewer)) in pairs.into_iter().enumerate() {
        // Producers do not send at the same moments.
        let offset = INTERVAL * number as u32 / followed.viewers as u32;
        threads.push((
            spawn(move || send(producer, begin + offset, packets)),
            spawn(move || follow(viewer, followed.pause, packets)),
        ));
    }
    let mut latencies = Vec::new();
    let mut producers = Vec::new();
    for (sender, follower) in threads {
        let panicked = |_| io::Error::other("a thread of the load panicked");
        let (producer, sent) = sender.join().map_err(panicked)??;
        let seen = follower.join().map_err(panicked)??;
        let each = sent.iter().zip(&seen);
        latencies.extend(each.map(|(sent, seen)| microseconds(*sent, *seen)));
        producers.push(producer);
    }
    let spent = stopwatch.stop()?;
    for mut producer in producers {
        producer.settle()?;
        producer.close_streams()?;
    }
    // A viewer without a pause keeps any relay busy.
    let cpu_us = (!followed.pause.is_zero())
        .then(|| spent.cpu_microseconds_each(packets * followed.viewers));
    rows(latencies, cpu_us)
}

/// When each packet had been sent.
fn send(
    mut producer: Producer,
    begin: Instant,
    packets: usize,
) -> io::Result<(Producer, Vec<Instant>)> {
    let mut sent = Vec::with_capacity(packets);
    for packet in 0..packets {
        let due = begin + INTERVAL * packet as u32;
        sleep(due.saturating_duration_since(Instant::now()));
        // Its replies are read at the end: who waits for them is late for the next.
        producer.send_packet(0, usize::MAX)?;
        sent.push(Instant::now());
    }
    Ok((producer, sent))
}

/// When each packet had come.
fn follow(mut viewer: Viewer, pause: Duration, packets: usize) -> io::Result<Vec<Instant>> {
    let mut seen = Vec::with_capacity(packets);
    while seen.len() < packets {
        let Some(stream) = viewer.streams.first().copied() else {
            let reason = format!("{} of {packets} packets came", seen.len());
            return Err(io::Error::other(reason));
        };
        if viewer.read_packet(stream)? {
            seen.push(Instant::now());
        } else {
            sleep(pause);
        }
    }
    Ok(seen)
}

fn rows(latencies: Vec<f64>, cpu_us: Option<f64>) -> io::Result<Vec<Row>> {
    let latencies = sorted(latencies.into_iter());
    let mut rows = Vec::new();
    for (label, percent) in PERCENTILES {
        let value =
            percentile(&latencies, percent).ok_or_else(|| io::Error::other("no packet came"))?;
        rows.push(Row::new(label).pace(value, Unit::Microseconds));
    }
    // It is told once, for all.
    if let (Some(first), Some(cpu_us)) = (rows.first_mut(), cpu_us) {
        *first = first.clone().cpu(cpu_us, Unit::CpuMicroseconds);
    }
    Ok(rows)
}

/// None where a packet came before its sender could look at the clock.
fn microseconds(sent: Instant, seen: Instant) -> f64 {
    seen.saturating_duration_since(sent).as_secs_f64() * 1e6
}

const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)];
const PACKET_BYTES: usize = 4 * 1024;
/// From one packet of a producer to the next.
pub const INTERVAL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_told_in_order_and_cpu_time_once() {
        let rows = rows((1..=1000).rev().map(f64::from).collect(), Some(7.0)).unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.label.as_str(), row.pace.unwrap().value))
            .collect();
        let expected = [
            ("p50", 500.0),
            ("p90", 900.0),
            ("p99", 990.0),
            ("max", 1000.0),
        ];
        assert_eq!(told, expected);
        let cpu: Vec<_> = rows.iter().map(|row| row.cpu.map(|it| it.value)).collect();
        assert_eq!(cpu, [Some(7.0), None, None, None]);
        assert!(super::rows(Vec::new(), None).is_err());
    }
}
