//! A producer of the cast: what it made, what of it is on its way, and the models of
//! where it must stand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use baton_components::wire::producer::data::{HEADER_SIZE, PacketHeader};
use baton_components::wire::producer::{self, Command, NONE, RotatePosition, SendIndex, code};
use baton_systems::client;
use baton_systems::memory::Peer;

use super::model::{self, Limit, Packet};
use super::script::Setup;
use crate::stage::{self, CLASS, Stage};

#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
pub struct Producer {
    /// That of its session.
    directory: String,
    pub peers: stage::Producer,
    pub setup: Setup,
    /// Its place in the cast.
    pub number: usize,
    /// Its session's number on the wire.
    pub session: u64,
    pub streams: Vec<Stream>,
    pub metadata: Metadata,
    /// One for each order of events that may have been.
    pub models: Vec<model::Session>,
    /// The chunk that its new streams go to.
    pub chunk: Option<u64>,
    pub rotated: bool,
    /// Packets are made.
    pub is_tracing: bool,
    /// Streams and where they leave their chunk, sampled and not yet told.
    pub positions: Vec<(usize, u64)>,
    pub control_open: bool,
    pub data_open: bool,
    pub race: Option<usize>,
    /// Bytes of one receive; 0: all there are.
    pub cut: usize,
    /// Whether errors are expected.
    pub is_suffering: bool,
    /// When it last said something (monotonic).
    pub last_said: Duration,
    on_its_way: VecDeque<OnItsWay>,
}

pub struct Stream {
    pub handle: u64,
    pub limit: Limit,
    /// As its producer sees it.
    pub chunk: Option<u64>,
    pub is_published: bool,
    pub is_closed: bool,
    pub packets: Vec<Packet>,
    pub next_count: u64,
    /// The beacon that holds since no packet was described.
    pub beacon: Option<u64>,
    /// All that were sent, and when (monotonic).
    pub beacons: Vec<(u64, Duration)>,
    /// When each packet was described, by number (monotonic).
    pub described: BTreeMap<u64, Duration>,
    undescribed: Vec<Packet>,
}

/// A trace's metadata: all of it is sent again into each chunk.
pub struct Metadata {
    pub handle: u64,
    pub text: Vec<u8>,
    pub files: BTreeMap<u64, Vec<u8>>,
    /// Where messages end in them.
    pub ends: BTreeSet<usize>,
    pub chunk: Option<u64>,
}

struct OnItsWay {
    stream: usize,
    packet: Packet,
    sent: usize,
}

/// Bytes of a packet that arrive: its header with the `first`, its end with the `last`.
struct Arrival {
    stream: usize,
    packet: Packet,
    first: bool,
    last: bool,
}

impl Producer {
    /// Connects, and adds its streams to chunk 0, which is there then.
    pub fn arrive(stage: &mut Stage, number: usize, setup: Setup) -> Self {
        let peers = stage::Producer::connect(stage, setup.minor);
        let mut producer = Self {
            peers,
            number,
            session: 0,
            directory: format!("host/old{number}"),
            streams: Vec::new(),
            metadata: Metadata {
                handle: 0,
                text: Vec::new(),
                files: BTreeMap::new(),
                ends: BTreeSet::new(),
                chunk: Some(0),
            },
            models: vec![model::Session::default()],
            chunk: Some(0),
            rotated: false,
            is_tracing: true,
            positions: Vec::new(),
            control_open: true,
            data_open: true,
            race: None,
            cut: 0,
            is_suffering: false,
            last_said: Duration::ZERO,
            on_its_way: VecDeque::new(),
            setup,
        };
        let name = producer.name();
        let mut session = stage::session(&name);
        session.base_path = producer.setup.base.as_bytes();
        if let Some(origin) = &mut session.origin {
            origin.session = producer.setup.origin;
            origin.current_chunk = producer.setup.joins.then_some(0);
        }
        let reply = producer.ask(stage, &Command::CreateSession(session));
        assert_eq!(reply[8..12], code::OK.to_be_bytes(), "{reply:?}");
        producer.session = u64::from_be_bytes(*reply.first_chunk().unwrap());
        if let Some(directory) = reply.get(16..) {
            let directory = directory.strip_suffix(b"\0").unwrap().to_vec();
            producer.directory = String::from_utf8(directory).unwrap();
        }
        if producer.has_chunks() && !producer.setup.joins {
            producer.expect_ok(stage, &stage::create_chunk(0));
        }
        producer.metadata.handle = producer.add_to_trace(stage, "metadata", None).unwrap();
        for limit in producer.setup.streams.clone() {
            producer.add(stage, limit);
        }
        producer.publish(stage);
        producer
    }

    pub fn has_chunks(&self) -> bool {
        self.setup.minor >= 11
    }

    fn name(&self) -> String {
        format!("session{}", self.setup.origin)
    }

    /// The directory of its session.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The directory of its trace, in a chunk.
    pub fn trace(&self) -> String {
        let buffers = if self.setup.per_process { "pid" } else { "uid" };
        format!("ust/{buffers}/{}", self.number)
    }

    /// Sends a command and gives its reply. `apply` tells the models what it means.
    fn command(
        &mut self,
        stage: &mut Stage,
        command: &Command,
        apply: impl Fn(&mut model::Session),
    ) -> Vec<u8> {
        let bytes = client::command(self.setup.minor, command);
        self.last_said = stage.now();
        let mut earlier = Vec::new();
        if let Some(amount) = self.race.take() {
            let (bytes, arrivals) = self.take(amount);
            // Nobody suffers in a race.
            earlier.clone_from(&self.models);
            for model in &mut earlier {
                tell(model, &arrivals);
                apply(model);
            }
            for model in &mut self.models {
                apply(model);
                tell(model, &arrivals);
            }
            // The race is open only if the packets come all at once.
            write_cut(&self.peers.data, &bytes, 0);
        } else if !self.is_suffering {
            self.models.iter_mut().for_each(apply);
        }
        for model in earlier {
            if !self.models.contains(&model) {
                self.models.push(model);
            }
        }
        write_cut(&self.peers.control, &bytes, self.cut);
        run(stage, self.cut);
        let reply = self.peers.control.take_received();
        if self.is_suffering && self.peers.control.is_closed() {
            self.control_open = false;
            self.peers.data.finish();
            self.data_open = false;
        }
        reply
    }

    fn ask(&mut self, stage: &mut Stage, command: &Command) -> Vec<u8> {
        self.command(stage, command, |_| {})
    }

    fn expect_code(
        &mut self,
        stage: &mut Stage,
        command: &Command,
        code: u32,
        apply: impl Fn(&mut model::Session),
    ) {
        let reply = self.command(stage, command, apply);
        if !self.is_suffering {
            assert_eq!(reply, code.to_be_bytes(), "{command:?}");
        }
    }

    pub fn expect_ok(&mut self, stage: &mut Stage, command: &Command) {
        self.expect_code(stage, command, code::OK, |_| {});
    }

    fn add_to_trace(&mut self, stage: &mut Stage, channel: &str, limit: Limit) -> Option<u64> {
        let path = if self.has_chunks() {
            self.trace()
        } else {
            format!("{}/{}", self.directory(), self.trace())
        };
        let (tracefile_size, tracefile_count) = limit.unwrap_or((0, 0));
        let command = Command::AddStream(producer::AddStream {
            channel: channel.as_bytes(),
            path: path.as_bytes(),
            tracefile_size,
            tracefile_count,
            chunk: self.chunk,
        });
        let reply = self.ask(stage, &command);
        if self.is_suffering && reply.get(8..) != Some(&code::OK.to_be_bytes()) {
            return None;
        }
        assert_eq!(reply[8..], code::OK.to_be_bytes(), "{reply:?}");
        Some(u64::from_be_bytes(*reply.first_chunk().unwrap()))
    }

    pub fn add(&mut self, stage: &mut Stage, limit: Limit) {
        let Some(chunk) = self
            .chunk
            .filter(|_| self.streams.len() < STREAMS_MAX && self.is_tracing)
        else {
            return;
        };
        let channel = channel(self.streams.len());
        if let Some(handle) = self.add_to_trace(stage, &channel, limit) {
            self.streams.push(Stream {
                handle,
                limit,
                chunk: Some(chunk),
                is_published: false,
                is_closed: false,
                packets: Vec::new(),
                next_count: 0,
                beacon: None,
                beacons: Vec::new(),
                described: BTreeMap::new(),
                undescribed: Vec::new(),
            });
            for model in &mut self.models {
                model.add(limit, chunk);
            }
        }
    }

    pub fn publish(&mut self, stage: &mut Stage) {
        self.expect_ok(stage, &Command::StreamsSent);
        for (stream, model) in self.streams.iter_mut().zip(&self.models[0].streams) {
            stream.is_published |= !model.closed;
        }
    }

    /// A stream that is open, counted around.
    pub fn open_stream(&self, wish: usize) -> Option<usize> {
        let open = || (0..self.streams.len()).filter(|it| !self.streams[*it].is_closed);
        open().nth(wish % open().count().max(1))
    }

    pub fn produce(&mut self, wish: usize, size: u64, padding: u64, jump: u64) {
        let Some(stream) = self.open_stream(wish).filter(|_| self.is_tracing) else {
            return;
        };
        let made = &mut self.streams[stream];
        let packet = Packet {
            number: made.packets.len() as u64,
            count: made.next_count + jump,
            size,
            // A packet of no bytes at all would be described as a beacon.
            padding: if size == 0 { padding.max(1) } else { padding },
        };
        made.next_count = packet.count + 1;
        made.packets.push(packet);
        made.undescribed.push(packet);
        self.on_its_way.push_back(OnItsWay {
            stream,
            packet,
            sent: 0,
        });
    }

    /// Takes bytes from what is on its way; tells what they mean.
    fn take(&mut self, amount: usize) -> (Vec<u8>, Vec<Arrival>) {
        let (mut bytes, mut arrivals) = (Vec::new(), Vec::new());
        while let Some(front) = self.on_its_way.front_mut() {
            let stream = front.stream;
            let whole = message(self.streams[stream].handle, front.packet);
            let from = front.sent;
            let to = whole.len().min(from.saturating_add(amount - bytes.len()));
            if to == from {
                break;
            }
            bytes.extend_from_slice(&whole[from..to]);
            front.sent = to;
            if to >= HEADER_SIZE {
                arrivals.push(Arrival {
                    stream,
                    packet: front.packet,
                    first: from < HEADER_SIZE,
                    last: to == whole.len(),
                });
            }
            if to == whole.len() {
                self.on_its_way.pop_front();
            }
        }
        (bytes, arrivals)
    }

    pub fn deliver(&mut self, stage: &mut Stage, amount: usize) {
        let (bytes, arrivals) = self.take(amount);
        if bytes.is_empty() || !self.data_open {
            return;
        }
        if !self.is_suffering {
            for model in &mut self.models {
                tell(model, &arrivals);
            }
        }
        self.last_said = stage.now();
        write_cut(&self.peers.data, &bytes, self.cut);
        run(stage, self.cut);
    }

    pub fn describe(&mut self, stage: &mut Stage, wish: usize, newer: usize) {
        let Some(stream) = self.open_stream(wish) else {
            return;
        };
        let made = &mut self.streams[stream];
        if made.undescribed.is_empty() {
            return;
        }
        let packet = made.undescribed.remove(newer % made.undescribed.len());
        made.beacon = None;
        made.described.insert(packet.number, stage.now());
        let command = Command::SendIndex(description(made.handle, packet));
        self.expect_code(stage, &command, code::OK, |model| {
            model.describe(stream, packet);
        });
    }

    /// Nothing happens in the stream before the oldest packet that was not described.
    pub fn beacon(&mut self, stage: &mut Stage, wish: usize) {
        let Some(stream) = self.open_stream(wish) else {
            return;
        };
        let made = &mut self.streams[stream];
        let oldest = made.undescribed.iter().map(|packet| packet.number).min();
        let time = begin(oldest.unwrap_or(made.packets.len() as u64));
        // While a packet lacks a half it says nothing.
        if !self.models[0].streams[stream].has_waiting() {
            made.beacon = Some(time);
        }
        made.beacons.push((time, stage.now()));
        let command = stage::beacon(made.handle, time);
        self.expect_ok(stage, &command);
    }

    /// Describes and delivers all that was made.
    pub fn drain(&mut self, stage: &mut Stage) {
        for stream in 0..self.streams.len() {
            self.describe_all(stage, stream);
        }
        self.deliver(stage, usize::MAX);
    }

    fn describe_all(&mut self, stage: &mut Stage, stream: usize) {
        while self.control_open && !self.streams[stream].undescribed.is_empty() {
            let made = &mut self.streams[stream];
            let packet = made.undescribed.remove(0);
            made.beacon = None;
            made.described.insert(packet.number, stage.now());
            let command = Command::SendIndex(description(made.handle, packet));
            self.expect_code(stage, &command, code::OK, |model| {
                model.describe(stream, packet);
            });
        }
    }

    pub fn send_metadata(&mut self, stage: &mut Stage, size: usize, padding: usize) {
        let from = self.metadata.text.len();
        let more: Vec<u8> = (from..from + size)
            .map(|at| b'a' + (at % 26) as u8)
            .collect();
        if let Some(chunk) = self.metadata.chunk {
            self.metadata.text.extend_from_slice(&more);
            self.metadata.text.resize(from + size + padding, 0);
            self.write_metadata(stage, chunk, &more, padding);
        }
    }

    fn write_metadata(&mut self, stage: &mut Stage, chunk: u64, bytes: &[u8], padding: usize) {
        let file = self.metadata.files.entry(chunk).or_default();
        file.extend_from_slice(bytes);
        file.resize(file.len() + padding, 0);
        self.metadata.ends.insert(file.len());
        let command = producer::SendMetadata {
            stream: self.metadata.handle,
            padding_size: padding as u32,
            bytes,
        };
        let reply = self.ask(stage, &Command::SendMetadata(command));
        assert!(reply.is_empty(), "{reply:?}");
    }

    /// Asks whether anything is under way, and compares with the model.
    pub fn ask_pending(&mut self, stage: &mut Stage) {
        if self.is_suffering {
            return;
        }
        let session = self.session;
        let begin = producer::BeginDataPending { session };
        self.expect_ok(stage, &Command::BeginDataPending(begin));
        for number in 0..self.streams.len() {
            let stream = &self.streams[number];
            if stream.is_closed {
                continue;
            }
            let last = stream.packets.last().map(|packet| packet.number);
            let question = producer::DataPending {
                stream: stream.handle,
                last_sequence: last.unwrap_or(NONE),
            };
            // The models differ in where packets stand, not in which are there.
            let pending = self.models[0].streams[number].is_pending(last);
            let question = Command::DataPending(question);
            self.expect_code(stage, &question, u32::from(pending), |_| {});
        }
        let question = producer::QuiescentControl {
            stream: self.metadata.handle,
        };
        self.expect_ok(stage, &Command::QuiescentControl(question));
        let closing = (0..self.streams.len())
            .any(|it| self.streams[it].is_closed && !self.models[0].streams[it].closed);
        let end = Command::EndDataPending(producer::EndDataPending { session });
        self.expect_code(stage, &end, u32::from(closing), |_| {});
    }

    /// Finds where each stream leaves its chunk for the next.
    pub fn sample(&mut self, target: Option<u64>) {
        self.positions = (0..self.streams.len())
            .filter(|it| !self.streams[*it].is_closed && self.streams[*it].chunk != target)
            .map(|it| (it, self.streams[it].next_count))
            .collect();
    }

    pub fn rotate(&mut self, stage: &mut Stage, target: Option<u64>) {
        let mut positions = std::mem::take(&mut self.positions);
        positions.retain(|(stream, _)| !self.streams[*stream].is_closed);
        let wire = |(stream, position): &(usize, u64)| RotatePosition {
            stream: self.streams[*stream].handle,
            position: *position,
        };
        let command = Command::RotateStreams(producer::RotateStreams {
            new_chunk: target,
            positions: positions.iter().map(wire).collect(),
        });
        self.expect_code(stage, &command, code::OK, |model| {
            for (stream, position) in &positions {
                model.rotate(*stream, target, *position);
            }
        });
        for (stream, _) in positions {
            self.streams[stream].chunk = target;
        }
    }

    pub fn rotate_metadata(&mut self, stage: &mut Stage, target: Option<u64>) {
        let command = stage::rotate(target, &[(self.metadata.handle, 0)]);
        self.expect_ok(stage, &command);
        self.metadata.chunk = target;
        let text = self.metadata.text.clone();
        if let Some(chunk) = target.filter(|_| !text.is_empty() && self.control_open) {
            let (first, rest) = text.split_at(text.len().div_ceil(2));
            self.write_metadata(stage, chunk, first, 0);
            if !rest.is_empty() && self.control_open {
                self.write_metadata(stage, chunk, rest, 0);
            }
        }
    }

    pub fn close_stream(&mut self, stage: &mut Stage, wish: usize) {
        let Some(stream) = self.open_stream(wish) else {
            return;
        };
        self.describe_all(stage, stream);
        if !self.control_open {
            return;
        }
        let made = &mut self.streams[stream];
        made.is_closed = true;
        let last = made.packets.last().map(|packet| packet.number);
        let command = Command::CloseStream(producer::CloseStream {
            stream: made.handle,
            last_sequence: last.unwrap_or(NONE),
        });
        self.expect_code(stage, &command, code::OK, |model| model.close(stream, last));
    }

    pub fn close_metadata(&mut self, stage: &mut Stage) {
        let command = Command::CloseStream(producer::CloseStream {
            stream: self.metadata.handle,
            last_sequence: NONE,
        });
        self.expect_ok(stage, &command);
    }

    pub fn close_chunk(&mut self, stage: &mut Stage, command: &Command) {
        let reply = self.ask(stage, command);
        if !self.is_suffering {
            assert_eq!(reply[..4], code::OK.to_be_bytes(), "{command:?}");
        }
    }

    pub fn end_control(&mut self, stage: &mut Stage, broken: bool) {
        if !std::mem::replace(&mut self.control_open, false) {
            return;
        }
        if broken {
            self.peers.control.reset("reset by peer");
        } else {
            self.peers.control.finish();
        }
        self.models.iter_mut().for_each(model::Session::end_control);
        self.is_tracing = false;
        stage.settle();
    }

    pub fn end_data(&mut self, stage: &mut Stage, broken: bool) {
        if !std::mem::replace(&mut self.data_open, false) {
            return;
        }
        if broken {
            self.peers.data.reset("reset by peer");
        } else {
            self.peers.data.finish();
        }
        self.models.iter_mut().for_each(model::Session::end_data);
        stage.settle();
    }
}

/// Sends bytes in pieces of that size, or larger ones if they would be too many.
fn write_cut(peer: &Peer, bytes: &[u8], cut: usize) {
    peer.cut_every(match cut {
        0 => usize::MAX,
        cut => cut.max(bytes.len() / RECEIVES_MAX),
    });
    peer.write(bytes);
}

/// Does what came at once, in as many ticks as it has turns.
fn run(stage: &mut Stage, cut: usize) {
    if cut == 0 {
        stage.tick();
        while stage.relay.goes_on() || stage.storage.is_busy() {
            stage.tick();
        }
    } else {
        stage.settle();
    }
}

fn tell(model: &mut model::Session, arrivals: &[Arrival]) {
    for it in arrivals {
        model.bytes(it.stream, it.packet, it.first, it.last);
    }
}

/// The name of a data stream.
pub fn channel(stream: usize) -> String {
    format!("chan_{stream}")
}

/// A packet as it goes over the wire.
fn message(handle: u64, packet: Packet) -> Vec<u8> {
    let header = PacketHeader {
        stream: handle,
        sequence: packet.number,
        size: packet.size as u32,
        padding: packet.padding as u32,
    };
    client::headed(&header, &payload(handle, packet))
}

/// The bytes of a packet: like those of no other.
pub fn payload(handle: u64, packet: Packet) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packet.size as usize + 8);
    let mut word = handle << 40 | packet.number << 16 | packet.count | 1 << 63;
    while (bytes.len() as u64) < packet.size {
        bytes.extend_from_slice(&word.to_be_bytes());
        word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    }
    bytes.truncate(packet.size as usize);
    bytes
}

/// When the first event of a packet is.
pub fn begin(number: u64) -> u64 {
    number * 1000 + 100
}

pub fn description(handle: u64, packet: Packet) -> SendIndex {
    SendIndex {
        stream: handle,
        sequence: packet.number,
        packet_size_bits: packet.total() * 8,
        content_size_bits: packet.size * 8,
        timestamp_begin: begin(packet.number),
        timestamp_end: begin(packet.number) + 800,
        events_discarded: packet.count - packet.number,
        class: CLASS,
        instance: handle,
        packet_sequence: packet.count,
    }
}

/// Receives of one message, or so.
const RECEIVES_MAX: usize = 8;
const STREAMS_MAX: usize = 4;
