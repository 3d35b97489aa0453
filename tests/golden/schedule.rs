//! In which order a recording is played: as it was, or another that could have been.
//!
//! Each connection keeps its order, and a control connection its commands one by one:
//! a producer waits for each reply.

use std::collections::BTreeMap;
use std::ops::Range;

use baton_components::connection::Endpoint;
use baton_components::wire::producer::data::{HEADER_SIZE, PacketHeader};
use baton_components::wire::producer::{Command, NONE, code, reply::Reply};

use crate::capture::{Capture, What};
use crate::conversation::exchanges;
use crate::dice::Dice;

/// One thing that a producer does.
#[derive(Clone, Debug)]
pub struct ScheduledAct {
    pub connection: usize,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Open,
    /// Sends these bytes of the connection; none: the end.
    Send(Range<usize>),
}

/// The actions of producers, in the recorded order.
pub fn as_recorded(capture: &Capture) -> Vec<ScheduledAct> {
    capture
        .events
        .iter()
        .filter(|event| capture.connections[event.connection].endpoint != Endpoint::Live)
        .filter_map(|event| {
            let act = match &event.what {
                What::Opened => Act::Open,
                What::Sent(range) => Act::Send(range.clone()),
                What::Received => return None,
            };
            let connection = event.connection;
            Some(ScheduledAct { connection, act })
        })
        .collect()
}

/// How far data may lag behind control.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Until the reply to the producer that all of it has arrived, as in reality.
    Real,
    /// Past the end of the control connection too: as if the producer was killed.
    Endless,
}

/// Data comes up to `delay_max` control steps later than it did.
pub fn data_late(
    capture: &Capture,
    lag: Lag,
    delay_max: usize,
    dice: &mut Dice,
) -> Vec<ScheduledAct> {
    let lines = Lines::of(capture);
    let control = Control::of(capture, &lines.rest);
    let mut moved = Vec::new();
    for (connection, data) in &lines.data {
        let packets = packets(&capture.connections[*connection].sent);
        let mut last = 0;
        for (at, step) in data {
            let asked = match (&step.act, lag) {
                (Act::Send(range), Lag::Real) if !range.is_empty() => packets
                    .iter()
                    .filter(|packet| packet.end > range.start)
                    .map(|packet| control.latest(packet))
                    .min(),
                _ => None,
            };
            let latest = control
                .next_rotation(*at)
                .into_iter()
                .chain(asked)
                .min()
                .unwrap_or(lines.rest.len());
            last = last.max(at + dice.up_to(delay_max)).min(latest.max(last));
            moved.push((last, step.clone()));
        }
    }
    merge(lines.rest, moved)
}

/// All data comes as soon as the relay knows the streams that it is for.
pub fn data_early(capture: &Capture) -> Vec<ScheduledAct> {
    let lines = Lines::of(capture);
    let control = Control::of(capture, &lines.rest);
    let mut moved = Vec::new();
    for (connection, data) in &lines.data {
        let packets = packets(&capture.connections[*connection].sent);
        let opened = |step: &ScheduledAct| step.connection == *connection;
        let mut last = lines.rest.iter().position(opened).map_or(0, |at| at + 1);
        for (at, step) in data {
            let earliest = match &step.act {
                Act::Send(range) if !range.is_empty() => packets
                    .iter()
                    .filter(|packet| packet.start < range.end && packet.end > range.start)
                    .map(|packet| control.earliest(packet))
                    .max()
                    .unwrap_or(0),
                _ => *at,
            };
            last = last.max(earliest);
            moved.push((last, step.clone()));
        }
    }
    merge(lines.rest, moved)
}

/// The recorded steps, data apart.
struct Lines {
    /// All but what was sent on data connections.
    rest: Vec<ScheduledAct>,
    /// The bytes of each data connection, with the action that they precede.
    data: BTreeMap<usize, Vec<(usize, ScheduledAct)>>,
}

impl Lines {
    fn of(capture: &Capture) -> Self {
        let mut lines = Self {
            rest: Vec::new(),
            data: BTreeMap::new(),
        };
        for step in as_recorded(capture) {
            let endpoint = capture.connections[step.connection].endpoint;
            if endpoint == Endpoint::Data && matches!(step.act, Act::Send(_)) {
                let at = lines.rest.len();
                lines
                    .data
                    .entry(step.connection)
                    .or_default()
                    .push((at, step));
            } else {
                lines.rest.push(step);
            }
        }
        lines
    }
}

/// A packet of a data connection.
struct Packet {
    stream: u64,
    sequence: u64,
    start: usize,
    end: usize,
}

fn packets(mut sent: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut start = 0;
    while let Some(header) = sent.first_chunk::<HEADER_SIZE>() {
        let header = PacketHeader::decode(header);
        let size = HEADER_SIZE + header.size as usize;
        packets.push(Packet {
            stream: header.stream,
            sequence: header.sequence,
            start,
            end: start + size,
        });
        start += size;
        sent = &sent[size..];
    }
    packets
}

/// Constraints from the control connections on the arrival of data.
#[derive(Default)]
struct Control {
    /// The step after which a stream is known, and the one in which its connection
    /// ends.
    streams: BTreeMap<u64, (usize, usize)>,
    /// Steps that ask whether all data of a stream up to a packet has arrived, with the reply
    /// that it has.
    stored: Vec<(usize, u64, u64)>,
    /// Steps that ask whether a chunk is still in use, with the reply that it is not.
    left: Vec<usize>,
    /// Steps that rotate.
    rotated: Vec<usize>,
}

impl Control {
    fn of(capture: &Capture, steps: &[ScheduledAct]) -> Self {
        let mut control = Self::default();
        for (number, connection) in capture.connections.iter().enumerate() {
            if connection.endpoint != Endpoint::Control {
                continue;
            }
            // The step that sends the byte at `offset`, or the end.
            let step_of = |offset: usize| {
                steps.iter().position(|step| {
                    step.connection == number
                        && matches!(&step.act, Act::Send(range)
                            if range.contains(&offset) || (range.is_empty() && range.start == offset))
                })
            };
            let end = step_of(connection.sent.len()).expect("the end of a connection");
            for exchange in exchanges(&connection.sent, &connection.received) {
                let step = step_of(exchange.end - 1).expect("a byte that was sent");
                match (&exchange.command, exchange.reply) {
                    (Command::AddStream(_), Reply::StreamAdded { stream, .. }) => {
                        control.streams.insert(stream, (step + 1, end));
                    }
                    (Command::DataPending(asked), Reply::Code(code::NOT_PENDING))
                        if asked.last_sequence != NONE =>
                    {
                        let stored = (step, asked.stream, asked.last_sequence);
                        control.stored.push(stored);
                    }
                    (Command::TraceChunkExists(_), Reply::ChunkExists { exists: false, .. }) => {
                        control.left.push(step);
                    }
                    (Command::RotateStreams(_), _) => control.rotated.push(step),
                    _ => {}
                }
            }
        }
        control
    }

    /// A producer that rotates again has seen the rotation before complete: what is
    /// after `step` and before which data of then must have come.
    fn next_rotation(&self, step: usize) -> Option<usize> {
        let mut left = self.left.iter().filter(|left| **left >= step);
        left.find(|left| self.rotated.iter().any(|rotated| rotated > left))
            .copied()
    }

    /// The first step before which the packet can come.
    fn earliest(&self, packet: &Packet) -> usize {
        self.streams[&packet.stream].0
    }

    /// The last step before which the packet must have come.
    fn latest(&self, packet: &Packet) -> usize {
        let (_, end) = self.streams[&packet.stream];
        let covers =
            |stream: u64, sequence: u64| stream == packet.stream && sequence >= packet.sequence;
        let stored = self.stored.iter();
        let stored = stored.filter(|(_, stream, sequence)| covers(*stream, *sequence));
        stored.map(|(step, ..)| *step).min().unwrap_or(end).min(end)
    }
}

/// The steps, with each of `moved` before the one that it names.
fn merge(rest: Vec<ScheduledAct>, mut moved: Vec<(usize, ScheduledAct)>) -> Vec<ScheduledAct> {
    // Stable: each connection keeps its order.
    moved.sort_by_key(|(at, _)| *at);
    let mut moved = moved.into_iter().peekable();
    let mut steps = Vec::new();
    for (number, step) in rest.into_iter().enumerate() {
        while let Some((_, step)) = moved.next_if(|(at, _)| *at <= number) {
            steps.push(step);
        }
        steps.push(step);
    }
    steps.extend(moved.map(|(_, step)| step));
    steps
}
