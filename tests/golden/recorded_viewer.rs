//! Recorded viewers: their requests as they were sent, among the producers' bytes.
//!
//! Their requests depend on the replies, so our replies must be the same where it matters:
//! the same sessions and streams, the same indexes in the same order, the same packets, the
//! same metadata. It may be ahead of the recorded relay, and say "the next one" where that
//! said "not yet".

use std::collections::{BTreeMap, BTreeSet};

use baton_components::connection::Endpoint;
use baton_components::wire::viewer::reply::{IndexReply, Reply};
use baton_components::wire::viewer::{
    HEADER_SIZE, Header, MetadataStatus, NextIndexStatus, PacketStatus, Request, RequestKind,
    StreamEntry, decode,
};

use baton_systems::client;

use crate::capture::{Capture, Recorded, What};
use crate::producers::{Cuts, Producers, relay_as_recorded};
use crate::schedule::{Act, ScheduledAct};

/// Plays all peers, and compares the replies to viewers.
pub fn is_told_the_same(name: &'static str) {
    let capture = Capture::read(name);
    let mut stage = relay_as_recorded();
    let mut peers = Producers::new(&capture, Cuts::None);
    for step in steps(&capture) {
        peers.play(&mut stage, &step);
    }
    stage.assert_empty();
    for (number, received) in peers.received() {
        let recorded = &capture.connections[number];
        if recorded.endpoint == Endpoint::Live {
            let expected = Told::of(recorded, &recorded.received);
            Told::of(recorded, &received).assert_has_all_of(&expected);
        }
    }
}

/// The actions of all peers, in the recorded order.
fn steps(capture: &Capture) -> Vec<ScheduledAct> {
    let step = |event: &crate::capture::Event| {
        let act = match &event.what {
            What::Opened => Act::Open,
            What::Sent(range) => Act::Send(range.clone()),
            What::Received => return None,
        };
        let connection = event.connection;
        Some(ScheduledAct { connection, act })
    };
    capture.events.iter().filter_map(step).collect()
}

/// The replies to a viewer, without their times.
#[derive(Default)]
struct Told {
    sessions: Vec<String>,
    streams: BTreeSet<String>,
    indexes: BTreeMap<u64, Vec<IndexReply>>,
    /// In the order of asking: the request, and the bytes if it was answered with OK.
    packets: Vec<(Request, Option<Vec<u8>>)>,
    metadata: BTreeMap<u64, Vec<u8>>,
}

impl Told {
    /// Takes the replies apart; each belongs to the next request.
    fn of(recorded: &Recorded, replies: &[u8]) -> Self {
        let mut told = Self::default();
        let mut viewer = client::Viewer::default();
        let mut requests = recorded.sent.as_slice();
        while let Some((header, rest)) = requests.split_first_chunk::<HEADER_SIZE>() {
            let kind = RequestKind::from_number(Header::decode(header).command).expect("a request");
            let (payload, rest) = rest.split_at(kind.payload_size());
            requests = rest;
            viewer.say(
                decode(kind, payload).expect("a recorded request"),
                &mut Vec::new(),
            );
        }
        viewer.hear(replies);
        while let Some((request, reply)) = viewer.reply().expect("a reply") {
            told.take(request, reply);
        }
        let unanswered = viewer.due().next();
        assert!(unanswered.is_none(), "no whole reply to {unanswered:?}");
        assert_eq!(viewer.left_over(), 0, "more than was asked for");
        told
    }

    fn take(&mut self, request: Request, reply: Reply) {
        match (request, reply) {
            (_, Reply::ListSessions(sessions)) => {
                self.sessions = sessions
                    .iter()
                    .map(|it| {
                        format!(
                            "{} {:?} {:?} {}",
                            it.session, it.host, it.name, it.live_timer_us
                        )
                    })
                    .collect();
            }
            (_, Reply::Attach(_, streams) | Reply::NewStreams(_, streams)) => {
                self.streams.extend(streams.iter().map(named));
            }
            (Request::NextIndex { stream }, Reply::NextIndex(index)) => {
                assert_ne!(index.status, NextIndexStatus::Error, "stream {stream}");
                if index.status == NextIndexStatus::Ok {
                    let index = IndexReply { flags: 0, ..index };
                    self.indexes.entry(stream).or_default().push(index);
                }
            }
            (Request::Packet { .. }, Reply::Packet(head, bytes)) => {
                let bytes = (head.status == PacketStatus::Ok).then(|| bytes.to_vec());
                self.packets.push((request, bytes));
            }
            (Request::Metadata { stream }, Reply::Metadata(head, bytes))
                if head.status == MetadataStatus::Ok =>
            {
                self.metadata
                    .entry(stream)
                    .or_default()
                    .extend_from_slice(bytes);
            }
            _ => {}
        }
    }

    /// Checks that no reply of the recorded relay is missing.
    fn assert_has_all_of(&self, recorded: &Self) {
        assert_eq!(self.sessions, recorded.sessions);
        assert_eq!(self.streams, recorded.streams);
        for (stream, indexes) in &recorded.indexes {
            let ours = &self.indexes[stream];
            assert!(
                ours.starts_with(indexes),
                "stream {stream}: {ours:#?}\n{indexes:#?}"
            );
        }
        for ((what, ours), (_, theirs)) in self.packets.iter().zip(&recorded.packets) {
            assert!(theirs.is_none() || ours == theirs, "packet {what:?}");
        }
        for (stream, bytes) in &recorded.metadata {
            assert!(
                self.metadata[stream].starts_with(bytes),
                "metadata of {stream}"
            );
        }
    }
}

fn named(entry: &StreamEntry) -> String {
    let StreamEntry {
        stream,
        trace,
        metadata,
        path,
        channel,
    } = entry;
    let text = String::from_utf8_lossy;
    format!(
        "{stream} {trace} {metadata} {} {}",
        text(path),
        text(channel)
    )
}
