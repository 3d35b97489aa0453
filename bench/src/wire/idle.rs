//! The cost of idle peers: memory of sessions, streams and connections, and CPU time of a
//! relay whose peers send nothing.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use super::commands::{IDLE, Repeat, TIME_MAX};
use super::measure::{Row, Unit};
use super::producer::{Producer, Shape};
use super::relay::Target;
use super::usage::Stopwatch;
use super::viewer::Viewer;

/// Opens idle sessions, each with a number of data streams and metadata.
pub fn sessions(
    target: &Target,
    sessions: usize,
    streams: usize,
    scale: f64,
) -> io::Result<Vec<Row>> {
    let process = &target.process;
    let resident = || Ok::<_, io::Error>(process.memory()?.resident_bytes as f64);
    sleep(SETTLE);
    let empty = resident()?;
    let shape = Shape { streams: 0, ..IDLE };
    let mut producers = Vec::new();
    for number in 0..sessions {
        producers.push(Producer::connect(target, number as u64, shape)?);
    }
    let bare = resident()?;
    for producer in &mut producers {
        producer.add_streams(streams)?;
    }
    let full = resident()?;
    sleep(SETTLE);
    let stopwatch = Stopwatch::start(process)?;
    sleep(QUIET.mul_f64(scale.min(1.0)));
    let quiet = stopwatch.stop()?;
    let each = |bytes: f64, count: usize| bytes / 1e3 / count as f64;
    Ok(vec![
        Row::new("before").memory(empty / 1e6, Unit::Megabytes),
        Row::new("all of them").memory(full / 1e6, Unit::Megabytes),
        Row::new("a session").memory(each(bare - empty, sessions), Unit::Kilobytes),
        Row::new("a stream").memory(each(full - bare, sessions * streams), Unit::Kilobytes),
        Row::new(format!("{} s of silence", QUIET.as_secs())).cpu(
            quiet.cpu.as_secs_f64() * 1e3 / scale.min(1.0),
            Unit::CpuMilliseconds,
        ),
    ])
}

/// Requests of one viewer, first alone and then beside idle connections.
pub fn connections(target: &Target, count: usize, scale: f64) -> io::Result<Vec<Row>> {
    let producer = Producer::connect(target, 0, IDLE)?;
    let mut asker = Viewer::follow(target, producer.session)?;
    let repeat = Repeat {
        target,
        time: TIME_MAX.mul_f64(scale.min(1.0)),
    };
    let alone = repeat.next_index("GET_NEXT_INDEX alone", &mut asker)?;
    let before = target.process.memory()?.resident_bytes as f64;
    let silent = (0..count).map(|_| Viewer::connect(target));
    let silent = silent.collect::<io::Result<Vec<Viewer>>>()?;
    let after = target.process.memory()?.resident_bytes as f64;
    let label = format!("GET_NEXT_INDEX beside {count}");
    let beside = repeat.next_index(&label, &mut asker)?;
    drop(silent);
    let each = (after - before) / 1e3 / count as f64;
    let memory = Row::new("a connection").memory(each, Unit::Kilobytes);
    Ok(vec![alone, beside, memory])
}

/// Time until the relay's earlier work is done.
const SETTLE: Duration = Duration::from_millis(200);
const QUIET: Duration = Duration::from_secs(5);
