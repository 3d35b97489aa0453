//! A live viewer that checks its replies.
//!
//! It asks one thing at a time, as the clients do, and keeps every byte. A reply that
//! the protocol forbids ends the test here.

use std::collections::BTreeMap;

use baton_components::connection::Endpoint;
use baton_components::path::RelativePath;
use baton_components::wire::viewer::reply::{IndexReply, Reply};
use baton_components::wire::viewer::{
    AttachStatus, CreateSessionStatus, DetachStatus, MAJOR, MetadataStatus, NEW_METADATA,
    NEW_STREAM, NewStreamsStatus, NextIndexStatus, PacketStatus, Request, StreamEntry,
};
use baton_systems::client;
use baton_systems::memory::{Peer, Stage};

pub struct Viewer {
    peer: Peer,
    protocol: client::Viewer,
    /// Bytes of replies that it takes in one tick.
    window: usize,
    session: u64,
    turns: u64,
    /// Whether the last index said that there are new streams; none: no index yet.
    told_of_news: Option<bool>,
    /// By handle.
    pub data: BTreeMap<u64, Data>,
    pub metadata: BTreeMap<u64, Metadata>,
    /// The session is over, and all of it was read.
    pub finished: bool,
}

pub struct Data {
    trace: u64,
    /// Of its file, below the session's directory.
    pub path: RelativePath,
    /// Packets, one after another.
    pub bytes: Vec<u8>,
    /// It was in the reply to ATTACH.
    pub from_attach: bool,
    inactive_until: u64,
    class: Option<u64>,
    over: bool,
}

pub struct Metadata {
    trace: u64,
    pub path: RelativePath,
    pub bytes: Vec<u8>,
    over: bool,
}

impl Viewer {
    /// Connects, and makes a viewer session. It takes `window` bytes a tick.
    pub fn connect(stage: &mut Stage, minor: u32, window: usize) -> Self {
        let peer = stage.network.connect(Endpoint::Live, "viewer");
        peer.block();
        let mut viewer = Self {
            peer,
            protocol: client::Viewer::default(),
            window,
            session: 0,
            turns: 0,
            told_of_news: None,
            data: BTreeMap::new(),
            metadata: BTreeMap::new(),
            finished: false,
        };
        viewer.ask(stage, client::connect(minor), |_, reply| {
            assert!(matches!(reply, Reply::Connect(ours) if ours.major == MAJOR));
        });
        viewer.ask(stage, Request::CreateSession, |_, reply| {
            assert_eq!(reply, Reply::CreateSession(CreateSessionStatus::Ok));
        });
        viewer
    }

    /// Attaches the one session that is listed; whether there was one.
    pub fn attach(&mut self, stage: &mut Stage, seek: u32) -> bool {
        let session = self.ask(stage, Request::ListSessions, |_, reply| match reply {
            Reply::ListSessions(sessions) => sessions.first().map(|entry| entry.session),
            other => panic!("{other:?}"),
        });
        let Some(session) = session else {
            return false;
        };
        self.session = session;
        let attach = Request::Attach { session, seek };
        self.ask(stage, attach, |viewer, reply| match reply {
            Reply::Attach(AttachStatus::Ok, streams) => viewer.add(&streams, true),
            other => panic!("{other:?}"),
        });
        true
    }

    /// A round: what is new, then the next packet of each stream.
    pub fn turn(&mut self, stage: &mut Stage) {
        let open = self.open_data();
        self.turns += 1;
        self.told_of_news = None;
        if open.is_empty() {
            self.ask_new_streams(stage);
        }
        let unread = self.metadata.iter();
        let unread = unread.filter(|(_, metadata)| metadata.bytes.is_empty());
        for handle in unread.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            self.fetch_metadata(stage, handle);
        }
        for handle in open {
            // Producers may send a packet before the metadata that describes it, so
            // clients ask for no packets until they have some.
            let metadata = self.metadata_of(self.data[&handle].trace);
            if !self.metadata[&metadata].bytes.is_empty() {
                self.next_packet(stage, handle);
            }
        }
        // A viewer may also ask without a flag.
        if self.turns.is_multiple_of(3) && !self.finished {
            let known = self.data.len();
            let told = self.told_of_news;
            self.ask_new_streams(stage);
            let came = self.data.len() - known;
            assert!(
                came == 0 || told != Some(false),
                "{came} streams came, the reply before said that there are none"
            );
        }
    }

    /// Leaves a session that is over.
    pub fn detach(&mut self, stage: &mut Stage) {
        let session = self.session;
        self.ask(stage, Request::Detach { session }, |_, reply| {
            assert_eq!(reply, Reply::Detach(DetachStatus::Ok));
        });
        self.peer.finish();
    }

    fn open_data(&self) -> Vec<u64> {
        let open = self.data.iter().filter(|(_, data)| !data.over);
        open.map(|(handle, _)| *handle).collect()
    }

    fn metadata_of(&self, trace: u64) -> u64 {
        let mut all = self.metadata.iter();
        let found = all.find(|(_, metadata)| metadata.trace == trace);
        *found.expect("a trace is announced with its metadata").0
    }

    fn ask_new_streams(&mut self, stage: &mut Stage) {
        let session = self.session;
        self.ask(
            stage,
            Request::NewStreams { session },
            |viewer, reply| match reply {
                Reply::NewStreams(NewStreamsStatus::Ok, streams) => viewer.add(&streams, false),
                Reply::NewStreams(NewStreamsStatus::NoNew, _) => {}
                Reply::NewStreams(NewStreamsStatus::Hup, _) => {
                    let open = viewer.open_data();
                    assert!(
                        open.is_empty(),
                        "the session is over before streams {open:?}"
                    );
                    viewer.finished = true;
                }
                other => panic!("{other:?}"),
            },
        );
    }

    fn add(&mut self, streams: &[StreamEntry], from_attach: bool) {
        for entry in streams {
            let path = RelativePath::parse(entry.path).expect("a path");
            let path = path.child(entry.channel).expect("a channel's name");
            let trace = entry.trace;
            if entry.metadata {
                let metadata = Metadata {
                    trace,
                    path,
                    bytes: Vec::new(),
                    over: false,
                };
                self.metadata.insert(entry.stream, metadata);
                continue;
            }
            let data = Data {
                trace,
                path,
                bytes: Vec::new(),
                from_attach,
                inactive_until: 0,
                class: None,
                over: false,
            };
            let before = self.data.insert(entry.stream, data);
            assert!(before.is_none(), "stream {} came twice", entry.stream);
        }
        for data in self.data.values() {
            let known = self
                .metadata
                .values()
                .any(|metadata| metadata.trace == data.trace);
            assert!(known, "{} came without metadata", data.path);
        }
        for metadata in self.metadata.values() {
            let known = self.data.values().any(|data| data.trace == metadata.trace);
            assert!(known, "{} came without a data stream", metadata.path);
        }
    }

    /// Asks until there is no more.
    fn fetch_metadata(&mut self, stage: &mut Stage, handle: u64) {
        while !self.metadata[&handle].over {
            let request = Request::Metadata { stream: handle };
            let more = self.ask(stage, request, |viewer, reply| {
                let metadata = viewer.metadata.get_mut(&handle).expect("it is known");
                match reply {
                    Reply::Metadata(head, bytes) if head.status == MetadataStatus::Ok => {
                        assert!(!bytes.is_empty(), "{}: OK without bytes", metadata.path);
                        metadata.bytes.extend_from_slice(bytes);
                        true
                    }
                    Reply::Metadata(head, _) => {
                        metadata.over = head.status == MetadataStatus::Error;
                        false
                    }
                    other => panic!("{other:?}"),
                }
            });
            if !more {
                return;
            }
        }
    }

    fn next_packet(&mut self, stage: &mut Stage, handle: u64) {
        let request = Request::NextIndex { stream: handle };
        let index = self.ask(stage, request, |viewer, reply| match reply {
            Reply::NextIndex(index) => {
                let data = viewer.data.get_mut(&handle).expect("it is known");
                data.check(&index);
                index
            }
            other => panic!("{other:?}"),
        });
        let told = index.flags & NEW_STREAM != 0;
        self.told_of_news = Some(told);
        if told {
            self.ask_new_streams(stage);
        }
        if index.status != NextIndexStatus::Ok {
            return;
        }
        if index.flags & NEW_METADATA != 0 {
            let metadata = self.metadata_of(self.data[&handle].trace);
            self.fetch_metadata(stage, metadata);
        }
        let request = Request::Packet {
            stream: handle,
            offset: index.offset_bytes,
            length: (index.packet_size_bits / 8) as u32,
        };
        self.ask(stage, request, |viewer, reply| match reply {
            Reply::Packet(head, bytes) if head.status == PacketStatus::Ok => {
                let data = viewer.data.get_mut(&handle).expect("it is known");
                data.bytes.extend_from_slice(bytes);
            }
            other => panic!("{other:?}"),
        });
    }

    /// Sends a request, and ticks until its reply is there.
    fn ask<T>(
        &mut self,
        stage: &mut Stage,
        request: Request,
        take: impl FnOnce(&mut Self, Reply) -> T,
    ) -> T {
        let mut bytes = Vec::new();
        self.protocol.say(request, &mut bytes);
        self.peer.write(&bytes);
        for _ in 0..TICKS_PER_REPLY_MAX {
            self.peer.accept_bytes(self.window);
            stage.tick();
            self.protocol.hear(&self.peer.take_received());
            // `take` may change every other field.
            let mut protocol = std::mem::take(&mut self.protocol);
            let reply = protocol.reply().expect("a reply");
            if let Some((_, reply)) = reply {
                let taken = take(self, reply);
                assert_eq!(
                    protocol.left_over(),
                    0,
                    "{request:?}: bytes after the reply"
                );
                self.protocol = protocol;
                return taken;
            }
            self.protocol = protocol;
            assert!(!self.peer.is_closed(), "{request:?}: the relay hung up");
        }
        panic!("{request:?} is not answered");
    }
}

impl Data {
    fn check(&mut self, index: &IndexReply) {
        let path = &self.path;
        match index.status {
            NextIndexStatus::Ok => {
                assert!(
                    index.timestamp_begin >= self.inactive_until,
                    "{path}: a packet from {} after silence until {} was told",
                    index.timestamp_begin,
                    self.inactive_until
                );
                self.inactive_until = index.timestamp_end;
            }
            NextIndexStatus::Inactive => {
                assert!(
                    index.timestamp_end >= self.inactive_until,
                    "{path}: silence that ends in the past"
                );
                assert_eq!((index.packet_size_bits, index.content_size_bits), (0, 0));
                self.inactive_until = index.timestamp_end;
            }
            NextIndexStatus::Retry => return,
            NextIndexStatus::Hup => {
                self.over = true;
                return;
            }
            other => panic!("{path}: {other:?}"),
        }
        let class = *self.class.get_or_insert(index.class);
        assert_eq!(class, index.class, "{path}: the class changed");
    }
}

/// Far above what a packet takes through the smallest window.
const TICKS_PER_REPLY_MAX: usize = 10_000;
