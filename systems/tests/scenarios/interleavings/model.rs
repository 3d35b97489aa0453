//! The model: where the protocol puts each packet of one producer.
//!
//! It knows packets, files and chunks by number only. Its input comes in the order
//! in which the relay gets it; where two connections race, a test keeps one
//! model for each order that may be.

use std::collections::BTreeMap;

use super::filter;

/// A packet as its producer made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Counts the packets sent in the stream.
    pub number: u64,
    /// Counts the packets the tracer made: may jump.
    pub count: u64,
    pub size: u64,
    pub padding: u64,
}

impl Packet {
    pub fn total(self) -> u64 {
        self.size + self.padding
    }
}

/// Limits of a stream's files: a size, and a number of files or 0.
pub type Limit = Option<(u64, u64)>;

/// The session of one producer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    pub streams: Vec<Stream>,
    /// A packet has come on the data connection.
    bound: bool,
    control_gone: bool,
    data_gone: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    limit: Limit,
    pub chunk: Option<u64>,
    number: u64,
    pub files: Vec<File>,
    waiting: BTreeMap<u64, Half>,
    arriving: Option<Packet>,
    last_data: Option<u64>,
    last_index: Option<u64>,
    last_count: Option<u64>,
    rotation: Option<Rotation>,
    is_closing: bool,
    /// The packet that its close waits for.
    awaited: Option<u64>,
    pub closed: bool,
}

/// A data file and its index.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub chunk: u64,
    pub number: u64,
    /// In the order of the bytes.
    pub packets: Vec<Packet>,
    /// In the order of the records.
    pub records: Vec<Packet>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Half {
    /// Its bytes are in that file.
    Data(usize, Packet),
    Description(Packet),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rotation {
    target: Option<u64>,
    position: u64,
}

impl Session {
    pub fn add(&mut self, limit: Limit, chunk: u64) {
        let mut stream = Stream {
            limit,
            chunk: Some(chunk),
            number: 0,
            files: Vec::new(),
            waiting: BTreeMap::new(),
            arriving: None,
            last_data: None,
            last_index: None,
            last_count: None,
            rotation: None,
            is_closing: false,
            awaited: None,
            closed: false,
        };
        stream.begin_file();
        self.streams.push(stream);
    }

    /// Bytes of a packet come: its header with the `first`, its end with the `last`.
    pub fn bytes(&mut self, stream: usize, packet: Packet, first: bool, last: bool) {
        if self.data_gone {
            return;
        }
        let target = &mut self.streams[stream];
        if target.closed {
            // Nobody knows that stream any more.
            return self.end_data();
        }
        if first {
            self.bound = true;
            target.header(packet);
        }
        if last {
            target.complete(packet);
        }
    }

    pub fn describe(&mut self, stream: usize, packet: Packet) {
        self.streams[stream].describe(packet);
    }

    pub fn rotate(&mut self, stream: usize, target: Option<u64>, position: u64) {
        let stream = &mut self.streams[stream];
        stream.rotation = Some(Rotation { target, position });
        stream.try_rotate();
    }

    pub fn close(&mut self, stream: usize, last: Option<u64>) {
        let stream = &mut self.streams[stream];
        stream.is_closing = true;
        stream.awaited = last;
        stream.try_close();
    }

    pub fn end_control(&mut self) {
        self.control_gone = true;
        self.try_close();
    }

    pub fn end_data(&mut self) {
        if std::mem::replace(&mut self.data_gone, true) || !self.bound {
            return;
        }
        for stream in &mut self.streams {
            stream.arriving = None;
        }
        if self.control_gone {
            self.abort();
        }
    }

    /// Whether a packet has come on its data connection.
    pub fn is_bound(&self) -> bool {
        self.bound
    }

    /// Time has passed: whose packets have no connection to come on waits no more.
    pub fn pass(&mut self) {
        if self.control_gone && (self.data_gone || !self.bound) {
            self.abort();
        }
    }

    fn try_close(&mut self) {
        for stream in &mut self.streams {
            stream.try_close();
        }
    }

    fn abort(&mut self) {
        for stream in &mut self.streams {
            stream.end();
        }
    }
}

impl Stream {
    /// Whether a packet up to that one lacks a half.
    pub fn is_pending(&self, last: Option<u64>) -> bool {
        last.is_some() && (self.last_data < last || self.last_index < last)
    }

    /// Whether a packet has begun to come and is not whole.
    pub fn is_arriving(&self) -> bool {
        self.arriving.is_some()
    }

    /// Whether its files have no limit.
    pub fn is_endless(&self) -> bool {
        self.limit.is_none()
    }

    /// Whether a packet has one half only.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn begin_file(&mut self) {
        if let Some(chunk) = self.chunk {
            self.files.push(File {
                chunk,
                number: self.number,
                packets: Vec::new(),
                records: Vec::new(),
            });
        }
    }

    /// Goes on to the next file if the current one has no room.
    fn make_room(&mut self, size: u64) {
        let (Some((limit, count)), Some(file)) = (self.limit, self.files.last()) else {
            return;
        };
        if file.size() + size > limit {
            self.number += 1;
            if self.number == count {
                self.number = 0;
            }
            self.begin_file();
        }
    }

    fn header(&mut self, packet: Packet) {
        self.make_room(packet.size);
        self.arriving = Some(packet);
    }

    fn complete(&mut self, packet: Packet) {
        self.arriving = None;
        let file = self.files.len() - 1;
        self.files[file].packets.push(packet);
        if let Some(Half::Description(_)) = self.waiting.get(&packet.number) {
            self.pair(file, packet);
        } else {
            self.waiting.insert(packet.number, Half::Data(file, packet));
        }
        self.last_data = Some(packet.number);
        self.try_rotate();
        if self.is_closing {
            self.try_close();
        }
    }

    fn describe(&mut self, packet: Packet) {
        if let Some(Half::Data(file, _)) = self.waiting.get(&packet.number) {
            self.pair(*file, packet);
            self.try_rotate();
        } else {
            self.waiting
                .insert(packet.number, Half::Description(packet));
        }
    }

    fn pair(&mut self, file: usize, packet: Packet) {
        self.waiting.remove(&packet.number);
        self.files[file].records.push(packet);
        if self.last_index < Some(packet.number) {
            self.last_index = Some(packet.number);
            self.last_count = Some(packet.count);
        }
    }

    /// Moves on when every packet before the position is there, with what has come
    /// and does not belong before it.
    fn try_rotate(&mut self) {
        let Some(rotation) = self.rotation else {
            return;
        };
        let next = self.last_count.map_or(0, |last| last + 1);
        if next < rotation.position {
            return;
        }
        self.rotation = None;
        self.chunk = rotation.target;
        self.number = 0;
        let is_excess = |half: &Half| match half {
            Half::Data(_, packet) if Some(packet.number) > self.last_index => Some(*packet),
            _ => None,
        };
        let excess: Vec<Packet> = self.waiting.values().filter_map(is_excess).collect();
        for file in &mut self.files {
            file.packets.retain(|packet| !excess.contains(packet));
        }
        self.begin_file();
        if self.chunk.is_none() {
            assert!(excess.is_empty(), "the generator moves nothing to no chunk");
            return;
        }
        for packet in excess {
            if filter::PADDING_COUNTS_WHEN_MOVED {
                self.make_room(packet.total());
            } else {
                self.make_room(packet.size);
            }
            let file = self.files.len() - 1;
            self.files[file].packets.push(packet);
            self.waiting.insert(packet.number, Half::Data(file, packet));
        }
        if let Some(packet) = self.arriving {
            self.make_room(packet.size);
        }
    }

    fn try_close(&mut self) {
        if self.closed {
            return;
        }
        self.is_closing = true;
        if self.awaited.is_none() {
            // Descriptions cannot come any more; bytes that were described can.
            self.waiting
                .retain(|_, half| matches!(half, Half::Description(_)));
            self.awaited = self.waiting.keys().last().copied();
        }
        if self.awaited <= self.last_data {
            self.end();
        }
    }

    fn end(&mut self) {
        self.closed = true;
        self.chunk = None;
        self.rotation = None;
        self.arriving = None;
        self.waiting.clear();
    }
}

impl File {
    pub fn size(&self) -> u64 {
        self.packets.iter().map(|packet| packet.total()).sum()
    }

    /// Where a packet begins.
    pub fn offset(&self, number: u64) -> u64 {
        let before = self.packets.iter().take_while(|it| it.number != number);
        before.map(|packet| packet.total()).sum()
    }
}

/// The chunks of an origin, and where each one's files stand in the end.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    locations: BTreeMap<u64, Location>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the session's directory itself.
    Session,
    /// In a directory of its name.
    Named,
    Archived,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    Nothing,
    Archive,
    Delete,
}

impl Chunks {
    pub fn location(&self, chunk: u64) -> Location {
        self.locations[&chunk]
    }

    /// `old` is open still; the session has archived a chunk before if it `rotated`.
    pub fn create(&mut self, chunk: u64, old: Option<u64>, rotated: bool) {
        if let Some(old) = old {
            self.locations.insert(old, Location::Named);
        }
        let place = if old.is_some() || rotated {
            Location::Named
        } else {
            Location::Session
        };
        self.locations.entry(chunk).or_insert(place);
    }

    pub fn close(&mut self, chunk: u64, next: Option<u64>, close: Close, rotated: bool) {
        if let Some(next) = next {
            let stays = close == Close::Delete && !rotated;
            let place = if stays {
                Location::Session
            } else {
                Location::Named
            };
            self.locations.insert(next, place);
        }
        let place = match close {
            Close::Nothing if rotated => Location::Named,
            Close::Nothing => Location::Session,
            Close::Archive => Location::Archived,
            Close::Delete => Location::Deleted,
        };
        self.locations.insert(chunk, place);
    }
}
