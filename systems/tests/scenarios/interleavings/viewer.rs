//! Viewers of the cast, and what each may see.
//!
//! A viewer compares every reply with the models of the producers. A slow one gets
//! replies that are older than the models: of those only what stays true is asked.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use baton_components::limits::{LIVE_HOLD_BACK, NEW_STREAMS_PATIENCE};

use baton_components::wire::viewer::reply::{IndexReply, Reply, decode};
use baton_components::wire::viewer::{
    AttachStatus, DetachStatus, MetadataStatus, NEW_METADATA, NEW_STREAM, NewStreamsStatus,
    NextIndexStatus, PacketStatus, Request, SEEK_BEGINNING, SEEK_LAST, StreamEntry,
};
use baton_systems::client;

use super::cast::Origin;
use super::model::{self, Location, Packet};
use super::producer::{Producer, begin};
use super::reader::whole;
use super::script::View;
use crate::stage::{self, Stage};

pub struct Viewer {
    peer: stage::Viewer,
    /// By number of the producer.
    attached: BTreeMap<usize, Attached>,
    /// By handle, those that have not ended.
    streams: BTreeMap<u64, Followed>,
    asked: VecDeque<Request>,
    received: Vec<u8>,
    is_blocked: bool,
    /// Replies may be older than the models.
    is_slow: bool,
    /// Between these times (monotonic) it was answered.
    asked_at: Duration,
    answered_at: Duration,
    /// Time of the first RETRY with NEW_STREAM since it last asked for new streams.
    unheeded: Option<Duration>,
}

struct Attached {
    /// Streams that were published when it last asked for them.
    published: usize,
    is_over: bool,
    metadata: Option<u64>,
}

enum Followed {
    Metadata {
        producer: usize,
        bytes: Vec<u8>,
        /// It was told that there is no more.
        is_all_told: bool,
    },
    Data(Data),
}

struct Data {
    producer: usize,
    stream: usize,
    /// File and record at or after which nothing may be skipped.
    next: (usize, usize),
    last: Option<(usize, usize)>,
    /// Nothing begins before it.
    inactive_until: u64,
    /// Described, and its bytes not asked for.
    to_fetch: Option<(u64, Packet)>,
}

/// The stage without the viewers.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub producers: &'a [Producer],
    pub origins: &'a BTreeMap<u64, Origin>,
}

impl Viewer {
    pub fn arrive(stage: &mut Stage) -> Self {
        Self {
            peer: stage::Viewer::connect(stage, 15),
            attached: BTreeMap::new(),
            streams: BTreeMap::new(),
            asked: VecDeque::new(),
            received: Vec::new(),
            is_blocked: false,
            is_slow: false,
            asked_at: Duration::ZERO,
            answered_at: Duration::ZERO,
            unheeded: None,
        }
    }

    pub fn leave(&self, stage: &mut Stage) {
        self.peer.leave(stage);
    }

    pub fn act(&mut self, stage: &mut Stage, scene: Scene, view: &View) {
        match *view {
            View::Attach {
                session,
                from_beginning,
            } => {
                let producer = &scene.producers[session % scene.producers.len()];
                let seek = if from_beginning {
                    SEEK_BEGINNING
                } else {
                    SEEK_LAST
                };
                let session = producer.session;
                self.ask(stage, scene, Request::Attach { session, seek });
            }
            View::Detach { session } => {
                let session = scene.producers[session % scene.producers.len()].session;
                self.ask(stage, scene, Request::Detach { session });
            }
            View::NewStreams { session } => {
                let producer = &scene.producers[session % scene.producers.len()];
                if self.attached.contains_key(&producer.number) {
                    let session = producer.session;
                    self.ask(stage, scene, Request::NewStreams { session });
                }
            }
            View::NextIndex { stream } => {
                if let Some(handle) = self.nth(stream, |it| matches!(it, Followed::Data(_))) {
                    self.read(stage, scene, handle);
                }
            }
            View::Metadata { stream } => {
                let is_metadata = |it: &Followed| matches!(it, Followed::Metadata { .. });
                if let Some(handle) = self.nth(stream, is_metadata) {
                    self.read(stage, scene, handle);
                }
            }
            View::Restart => {
                self.leave(stage);
                *self = Self::arrive(stage);
            }
            View::Block => {
                self.peer.peer.block();
                self.is_blocked = true;
            }
            View::Take(count) => {
                if self.is_blocked {
                    self.peer.peer.accept_bytes(count);
                    stage.settle();
                    self.take_replies(stage, scene);
                }
            }
        }
    }

    /// Reads its sessions to their ends, until GET_NEW_STREAMS answers HUP.
    pub fn read_to_the_end(&mut self, stage: &mut Stage, scene: Scene) {
        if self.is_blocked {
            self.peer.peer.accept_bytes(usize::MAX / 2);
            stage.settle();
            self.take_replies(stage, scene);
            assert!(self.asked.is_empty(), "no reply to {:?}", self.asked);
            self.is_blocked = false;
        }
        self.is_slow = false;
        for _ in 0..ROUNDS_MAX {
            for handle in self.streams.keys().copied().collect::<Vec<u64>>() {
                self.read(stage, scene, handle);
            }
            for producer in self.attached.keys().copied().collect::<Vec<usize>>() {
                let session = scene.producers[producer].session;
                self.ask(stage, scene, Request::NewStreams { session });
            }
            if self.streams.is_empty() && self.attached.values().all(|it| it.is_over) {
                return;
            }
        }
        panic!("there is no end of what a viewer follows");
    }

    fn nth(&self, wish: usize, is_meant: impl Fn(&Followed) -> bool) -> Option<u64> {
        let meant: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, it)| is_meant(it))
            .map(|(handle, _)| *handle)
            .collect();
        meant.get(wish % meant.len().max(1)).copied()
    }

    /// Goes on in a stream: the bytes of its packet, or its next packet.
    fn read(&mut self, stage: &mut Stage, scene: Scene, stream: u64) {
        let is_about = |request: &Request| match request {
            Request::NextIndex { stream: it } | Request::Packet { stream: it, .. } => *it == stream,
            _ => false,
        };
        if self.asked.iter().any(is_about) {
            return;
        }
        let request = match self.streams.get(&stream) {
            None => return,
            Some(Followed::Metadata { .. }) => Request::Metadata { stream },
            Some(Followed::Data(data)) => match data.to_fetch {
                None => Request::NextIndex { stream },
                Some((offset, packet)) => Request::Packet {
                    stream,
                    offset,
                    length: packet.total() as u32,
                },
            },
        };
        self.ask(stage, scene, request);
    }

    fn ask(&mut self, stage: &mut Stage, scene: Scene, request: Request) {
        // A viewer that attaches or detaches waits for all replies, and for that one.
        let is_apart = |it: &Request| matches!(it, Request::Attach { .. } | Request::Detach { .. });
        let is_busy = is_apart(&request) && !self.asked.is_empty();
        if is_busy || self.asked.len() >= ASKED_MAX || self.asked.iter().any(is_apart) {
            return;
        }
        self.asked.push_back(request);
        self.asked_at = stage.now();
        self.peer.peer.write(&client::request(request));
        stage.settle();
        self.take_replies(stage, scene);
    }

    fn take_replies(&mut self, stage: &Stage, scene: Scene) {
        self.answered_at = stage.now();
        self.is_slow |= self.is_blocked;
        let mut received = std::mem::take(&mut self.received);
        received.extend(self.peer.peer.take_received());
        let mut rest = &received[..];
        while let Some(request) = self.asked.front().copied() {
            let Some((reply, size)) = decode(request.kind(), 15, rest).unwrap() else {
                break;
            };
            rest = &rest[size..];
            self.asked.pop_front();
            self.check(scene, request, &reply);
        }
        self.received = rest.to_vec();
        if self.asked.is_empty() {
            assert!(self.received.is_empty(), "bytes that nobody asked for");
        }
        assert!(!self.peer.peer.is_closed(), "a viewer is thrown out");
    }

    fn check(&mut self, scene: Scene, request: Request, reply: &Reply) {
        match (request, reply) {
            (Request::Attach { session, seek }, Reply::Attach(status, entries)) => {
                self.check_attach(scene, session, seek, *status, entries);
            }
            (Request::Detach { session }, Reply::Detach(status)) => {
                let producer = numbered(scene, session);
                if self.attached.remove(&producer).is_some() {
                    assert_eq!(*status, DetachStatus::Ok);
                }
                self.streams.retain(|_, it| it.producer() != producer);
            }
            (Request::NewStreams { session }, Reply::NewStreams(status, entries)) => {
                self.check_new_streams(scene, session, *status, entries);
            }
            (Request::NextIndex { stream }, Reply::NextIndex(index)) => {
                self.check_index(scene, stream, index);
            }
            (Request::Packet { stream, .. }, Reply::Packet(head, bytes)) => {
                let Some(Followed::Data(data)) = self.streams.get_mut(&stream) else {
                    return;
                };
                let (_, packet) = data.to_fetch.take().unwrap();
                assert_eq!(head.status, PacketStatus::Ok, "{packet:?}");
                assert!(*bytes == whole(stream, packet), "{packet:?}: other bytes");
            }
            (Request::Metadata { stream }, Reply::Metadata(head, bytes)) => {
                self.check_metadata(scene, stream, head.status, bytes);
            }
            _ => panic!("{request:?}: {reply:?}"),
        }
    }

    fn check_attach(
        &mut self,
        scene: Scene,
        session: u64,
        seek: u32,
        status: AttachStatus,
        entries: &[StreamEntry],
    ) {
        let producer = numbered(scene, session);
        let expected = match self.attached.get(&producer) {
            Some(_) => AttachStatus::Already,
            None if scene.producers[producer].control_open => AttachStatus::Ok,
            None => AttachStatus::Unknown,
        };
        assert!(self.is_slow || status == expected || self.attached.contains_key(&producer));
        if status == AttachStatus::Ok {
            let attached = Attached {
                published: 0,
                is_over: false,
                metadata: None,
            };
            self.attached.insert(producer, attached);
            self.announce(scene, producer, entries, seek == SEEK_BEGINNING);
        }
    }

    fn check_new_streams(
        &mut self,
        scene: Scene,
        session: u64,
        status: NewStreamsStatus,
        entries: &[StreamEntry],
    ) {
        self.unheeded = None;
        let number = numbered(scene, session);
        let is_data = |it: &Followed| matches!(it, Followed::Data(_)) && it.producer() == number;
        match status {
            NewStreamsStatus::Ok => self.announce(scene, number, entries, true),
            NewStreamsStatus::Hup => {
                let is_there = scene.producers[number].control_open;
                assert!(!is_there, "the session of {number} is not over");
                let left = self.streams.values().filter(|it| is_data(it)).count();
                assert_eq!(left, 0, "streams of {number} are not over");
                // Without metadata nobody could read them.
                let is_readable = received_metadata(scene, &scene.producers[number]) > 0;
                let is_told_late = self.is_told_late(scene, number);
                assert!(!is_readable || !is_told_late, "streams are never told");
                let attached = self.attached.get_mut(&number);
                attached.unwrap().is_over = true;
            }
            status => panic!("NEW_STREAMS of {number}: {status:?}"),
        }
    }

    fn announce(
        &mut self,
        scene: Scene,
        number: usize,
        entries: &[StreamEntry],
        from_beginning: bool,
    ) {
        let producer = &scene.producers[number];
        let attached = self.attached.get_mut(&number).unwrap();
        attached.published = published(producer);
        let data = entries.iter().filter(|entry| !entry.metadata).count();
        for entry in entries {
            if entry.metadata {
                assert!(data > 0, "metadata without data of its trace");
                attached.metadata = Some(entry.stream);
                let bytes = Vec::new();
                let producer = number;
                let metadata = Followed::Metadata {
                    producer,
                    bytes,
                    is_all_told: false,
                };
                self.streams.insert(entry.stream, metadata);
                continue;
            }
            let position = |it: &super::producer::Stream| it.handle == entry.stream;
            let stream = producer.streams.iter().position(position);
            let stream = stream.expect("a stream of that session");
            let model = &producer.models[0].streams[stream];
            let before = self.streams.insert(
                entry.stream,
                Followed::Data(Data {
                    producer: number,
                    stream,
                    next: if from_beginning {
                        first_there(model)
                    } else {
                        (
                            model.files.len() - 1,
                            model.files.last().map_or(0, |file| file.records.len()),
                        )
                    },
                    last: None,
                    inactive_until: 0,
                    to_fetch: None,
                }),
            );
            assert!(before.is_none(), "stream {stream} is announced twice");
        }
        let has_data = self
            .streams
            .values()
            .any(|it| matches!(it, Followed::Data(_)) && it.producer() == number);
        assert!(
            !has_data || attached.metadata.is_some(),
            "data of a trace without its metadata"
        );
    }

    fn check_index(&mut self, scene: Scene, handle: u64, reply: &IndexReply) {
        let is_slow = self.is_slow;
        let mut attached = self.attached.keys();
        let expected = !is_slow && attached.any(|number| self.is_told_late(scene, *number));
        let is_flagged = reply.flags & NEW_STREAM != 0;
        let attached: Vec<_> = self
            .attached
            .iter()
            .map(|(n, a)| (n, a.published, a.is_over, published(&scene.producers[*n])))
            .collect();
        assert!(
            is_flagged || !expected,
            "new streams are not flagged {handle} {reply:?} {attached:?}"
        );
        if reply.status == NextIndexStatus::Retry && is_flagged {
            self.unheeded.get_or_insert(self.asked_at);
        }
        if reply.status == NextIndexStatus::Inactive && expected {
            // Streams that it does not know may begin before that time.
            let answered_at = self.answered_at;
            let has_waited = |since| answered_at >= since + NEW_STREAMS_PATIENCE;
            assert!(self.unheeded.is_some_and(has_waited), "{reply:?}");
        }
        let has_new_metadata = self.has_new_metadata(scene, handle);
        let (asked_at, answered_at) = (self.asked_at, self.answered_at);
        let Some(Followed::Data(data)) = self.streams.get_mut(&handle) else {
            return;
        };
        let producer = &scene.producers[data.producer];
        // A stream may appear that begins before what came so late; at the end none can.
        let is_held_back = producer.setup.per_process && producer.control_open;
        let is_old = |came: Duration| !is_held_back || answered_at >= came + LIVE_HOLD_BACK;
        // All that came has had its time.
        let is_slow = is_slow || is_held_back && asked_at < producer.last_said + OLD;
        let made = &producer.streams[data.stream];
        let model = &producer.models[0].streams[data.stream];
        let beacon = producer.streams[data.stream].beacon;
        match reply.status {
            NextIndexStatus::Ok => {
                let is_flagged = reply.flags & NEW_METADATA != 0;
                assert!(is_flagged || self.is_slow || !has_new_metadata);
                let number = reply.timestamp_begin / 1000;
                let is_old = is_old(made.described[&number]);
                assert!(is_old, "packet {number} is told too early");
                let at = find(model, number).expect("a packet that was made");
                let packet = model.files[at.0].records[at.1];
                let offset = model.files[at.0].offset(number);
                let told = (reply.offset_bytes, reply.packet_size_bits);
                assert_eq!(told, (offset, packet.total() * 8), "{packet:?}");
                assert!(data.last < Some(at), "packet {number} again, or too late");
                assert!(begin(number) >= data.inactive_until, "packet {number} late");
                let skipped = skipped(scene, producer, model, data.next, Some(at));
                assert!(skipped.is_none(), "{skipped:?} is skipped");
                data.last = Some(at);
                data.next = (at.0, at.1 + 1);
                data.to_fetch = Some((offset, packet));
            }
            NextIndexStatus::Retry => {
                // Its whole view waits: only if nothing at all is known.
                let skipped = skipped(scene, producer, model, data.next, None);
                let is_whole = !model.has_waiting();
                assert!(is_slow || skipped.is_none() || !is_whole, "{skipped:?}");
                let is_idle = skipped.is_none() && !model.has_waiting();
                let is_known = is_idle && beacon.is_some();
                // Nor is a time told to a viewer that does not know all streams.
                let may_tell = reply.flags & NEW_STREAM == 0;
                let is_hidden = is_known && may_tell;
                assert!(is_slow || !is_hidden, "a beacon is not told");
            }
            NextIndexStatus::Inactive => {
                let skipped = skipped(scene, producer, model, data.next, None);
                assert!(is_slow || skipped.is_none(), "{skipped:?} is held back");
                assert!(is_slow || beacon == Some(reply.timestamp_end), "{beacon:?}");
                let time = reply.timestamp_end;
                let is_late = skipped.is_none_or(|number| begin(number) >= time);
                assert!(is_late, "{skipped:?} is untold, and {time} is told");
                let mut beacons = made.beacons.iter();
                let is_old = beacons.any(|(told, came)| *told == time && is_old(*came));
                assert!(is_old, "the time {time} is told too early");
                assert!(time >= data.inactive_until, "{time} is earlier");
                data.inactive_until = reply.timestamp_end;
            }
            NextIndexStatus::Hup => {
                assert!(model.closed, "a stream that is open hangs up");
                let skipped = skipped(scene, producer, model, data.next, None);
                assert!(skipped.is_none(), "{skipped:?} is never told");
                self.streams.remove(&handle);
            }
            status => panic!("NEXT_INDEX of {handle}: {status:?}"),
        }
    }

    /// Whether a producer has published streams that the viewer was not told of.
    fn is_told_late(&self, scene: Scene, number: usize) -> bool {
        let attached = self.attached.get(&number);
        attached.is_some_and(|it| !it.is_over && it.published < published(&scene.producers[number]))
    }

    fn has_new_metadata(&self, scene: Scene, handle: u64) -> bool {
        let Some(followed) = self.streams.get(&handle) else {
            return false;
        };
        let number = followed.producer();
        let metadata = self.attached.get(&number).and_then(|it| it.metadata);
        let metadata = metadata.and_then(|handle| self.streams.get(&handle));
        let Some(Followed::Metadata { bytes, .. }) = metadata else {
            return false;
        };
        received_metadata(scene, &scene.producers[number]) > bytes.len()
    }

    fn check_metadata(&mut self, scene: Scene, handle: u64, status: MetadataStatus, more: &[u8]) {
        let Some(Followed::Metadata {
            producer,
            bytes,
            is_all_told,
        }) = self.streams.get_mut(&handle)
        else {
            return;
        };
        let producer = &scene.producers[*producer];
        match status {
            MetadataStatus::Ok => {
                assert!(!more.is_empty(), "no bytes of metadata");
                bytes.extend_from_slice(more);
                *is_all_told = false;
                let text = &producer.metadata.text;
                assert!(text.starts_with(bytes), "other metadata");
            }
            MetadataStatus::NoNew => {
                let is_all = received_metadata(scene, producer) <= bytes.len();
                assert!(self.is_slow || is_all, "metadata is held back");
                *is_all_told = true;
            }
            MetadataStatus::Error => {
                assert!(*is_all_told, "metadata of {handle} ends without a word");
                self.streams.remove(&handle);
            }
        }
    }
}

impl Followed {
    fn producer(&self) -> usize {
        match self {
            Followed::Metadata { producer, .. } => *producer,
            Followed::Data(data) => data.producer,
        }
    }
}

fn numbered(scene: Scene, session: u64) -> usize {
    let mut producers = scene.producers.iter();
    producers.position(|it| it.session == session).unwrap()
}

/// Streams that viewers may see.
fn published(producer: &Producer) -> usize {
    let streams = producer.streams.iter();
    streams.filter(|stream| stream.is_published).count()
}

/// Bytes of metadata in the current chunk.
fn received_metadata(scene: Scene, producer: &Producer) -> usize {
    let there = |chunk: &u64| !is_cleared(scene, producer, *chunk);
    let file = producer.metadata.chunk.filter(there);
    let file = file.and_then(|it| producer.metadata.files.get(&it));
    file.map_or(0, Vec::len)
}

fn is_cleared(scene: Scene, producer: &Producer, chunk: u64) -> bool {
    let origin = scene.origins.get(&producer.setup.origin);
    let origin = origin.filter(|_| producer.has_chunks());
    origin.is_some_and(|it| it.chunks.location(chunk) == Location::Deleted)
}

/// The oldest file of the current chunk that is not written over.
fn first_there(model: &model::Stream) -> (usize, usize) {
    let is_there =
        |it: &usize| Some(model.files[*it].chunk) == model.chunk && !is_written_over(model, *it);
    let first = (0..model.files.len()).find(is_there);
    (first.unwrap_or(model.files.len()), 0)
}

fn is_written_over(model: &model::Stream, file: usize) -> bool {
    let name = |it: &model::File| (it.chunk, it.number);
    let mut later = model.files[file + 1..].iter();
    later.any(|it| name(it) == name(&model.files[file]))
}

/// File and place in its index of the record of a packet.
fn find(model: &model::Stream, number: u64) -> Option<(usize, usize)> {
    let mut files = model.files.iter().enumerate();
    files.find_map(|(file, it)| {
        let record = it.records.iter().position(|it| it.number == number);
        record.map(|record| (file, record))
    })
}

/// A packet from one place to another that a viewer should have got.
fn skipped(
    scene: Scene,
    producer: &Producer,
    model: &model::Stream,
    from: (usize, usize),
    to: Option<(usize, usize)>,
) -> Option<u64> {
    for (number, file) in model.files.iter().enumerate().skip(from.0) {
        if is_cleared(scene, producer, file.chunk) || is_written_over(model, number) {
            continue;
        }
        for (record, packet) in file.records.iter().enumerate() {
            let at = (number, record);
            if at >= from && to.is_none_or(|to| at < to) {
                return Some(packet.number);
            }
        }
    }
    None
}

/// When what came is told for sure.
const OLD: Duration = LIVE_HOLD_BACK.saturating_add(Duration::from_millis(40));
/// Requests without a reply.
const ASKED_MAX: usize = 3;
/// More than packets in a script.
const ROUNDS_MAX: usize = 300;
