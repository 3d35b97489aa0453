//! The cost of a command on one session beside many idle sessions.

use std::io;
use std::time::{Duration, Instant};

use super::load::LIVE_TIMER_US;
use super::measure::{Row, Unit};
use super::producer::{Producer, Shape};
use super::relay::Target;
use super::usage::Stopwatch;
use super::viewer::Viewer;

pub fn run(target: &Target, sessions: usize, scale: f64) -> io::Result<Vec<Row>> {
    let mut producers = Vec::new();
    for number in 0..sessions {
        producers.push(Producer::connect(target, number as u64, IDLE)?);
    }
    let Some(producer) = producers.last_mut() else {
        return Ok(Vec::new());
    };
    let session = producer.session;
    let repeat = Repeat {
        target,
        time: TIME_MAX.mul_f64(scale.min(1.0)),
    };
    let mut asker = Viewer::follow(target, session)?;
    let mut rows = vec![repeat.next_index("GET_NEXT_INDEX", &mut asker)?];
    rows.push(repeat.run("BEGIN, END_DATA_PENDING", || {
        producer.is_pending().map(|_| ())
    })?);
    rows.push(
        repeat.run("LIST_SESSIONS", || match asker.count_sessions()? {
            count if count == sessions => Ok(()),
            count => {
                let reason = format!("{count} of {sessions} sessions are listed");
                Err(io::Error::other(reason))
            }
        })?,
    );
    rows.push(repeat.run("ATTACH, DETACH_SESSION", || {
        asker.detach(session)?;
        asker.attach(session)
    })?);
    Ok(rows)
}

/// Runs a command again and again for some time.
#[derive(Clone, Copy, Debug)]
pub struct Repeat<'a> {
    pub target: &'a Target,
    pub time: Duration,
}

impl Repeat<'_> {
    pub fn run(&self, label: &str, mut ask: impl FnMut() -> io::Result<()>) -> io::Result<Row> {
        // The first of a kind finds nothing prepared.
        for _ in 0..WARM_UP {
            ask()?;
        }
        let stopwatch = Stopwatch::start(&self.target.process)?;
        let begun = Instant::now();
        let mut count = 0;
        while count < COUNT_MIN || begun.elapsed() < self.time {
            ask()?;
            count += 1;
        }
        let spent = stopwatch.stop()?;
        Ok(Row::new(label)
            .pace(spent.microseconds_each(count), Unit::Microseconds)
            .cpu(spent.cpu_microseconds_each(count), Unit::CpuMicroseconds))
    }

    /// GET_NEXT_INDEX for a stream without a new packet.
    pub fn next_index(&self, label: &str, viewer: &mut Viewer) -> io::Result<Row> {
        self.run(label, || {
            let stream = viewer.streams.first().copied();
            let stream = stream.ok_or_else(|| io::Error::other("the session has no stream"))?;
            if viewer.read_packet(stream)? {
                return Err(io::Error::other("a packet came that nobody sent"));
            }
            Ok(())
        })
    }
}

/// Opens sessions that viewers may attach, each with one empty stream.
pub const IDLE: Shape = Shape {
    streams: 1,
    packet_bytes: 0,
    live_timer_us: LIVE_TIMER_US,
};
pub const TIME_MAX: Duration = Duration::from_millis(300);
const WARM_UP: usize = 3;
const COUNT_MIN: usize = 10;
