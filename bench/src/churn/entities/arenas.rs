//! Our shape: the arenas of a relay, changed as its systems change them, and its own
//! reclamation pass, with all last rites.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_components::chunk::{Chunk, ChunkId};
use baton_components::connection::{Connection, Role};
use baton_components::directory::Directory;
use baton_components::file::File;
use baton_components::index::Index;
use baton_components::keys::{
    ChunkKey, ConnectionKey, FileKey, IndexKey, SessionKey, StreamKey, TraceFileKey, TraceKey,
    ViewerSessionKey, ViewerStreamKey,
};
use baton_components::session::Session;
use baton_components::stream::Stream;
use baton_components::trace::Trace;
use baton_components::trace_file::{IndexFile, TraceFile};
use baton_components::viewer_session::{Attachment, ViewerSession};
use baton_components::viewer_stream::{Position, Readable, ViewerStream};
use baton_components::wire::ctf_index::Version;
use baton_systems::audit::Audit;
use baton_systems::entities::Entities;
use baton_systems::memory::{MemoryChance, MemoryClock, MemoryNetwork};
use baton_systems::ports::StoragePort;
use baton_systems::settings::Settings;
use baton_systems::tick::Relay;
use bevy_ecs::system::{ResMut, SystemState};
use rustc_hash::FxHashMap;

use super::records::{Record, missing, origin, trace_path};
use super::{Birth, Counts, Kind, Member, Shape};
use crate::churn::census::counts;
use crate::churn::nowhere::Nowhere;
use crate::churn::timing::{between, cpu_time};

pub struct Arenas {
    relay: Relay,
    state: SystemState<(ResMut<'static, Entities>, ResMut<'static, Directory>)>,
    names: Names,
    /// Time of the last reclamation pass.
    pass: Arc<Mutex<Duration>>,
}

/// Numbers of the kinds that have none on a wire, or none of their own: whoever names
/// them in a relay has their key. Others are in the relay's own [`Directory`].
#[derive(Default)]
struct Names {
    connections: FxHashMap<u64, ConnectionKey>,
    viewer_sessions: FxHashMap<u64, ViewerSessionKey>,
    viewer_streams: FxHashMap<u64, ViewerStreamKey>,
    indexes: FxHashMap<u64, IndexKey>,
    traces: FxHashMap<u64, TraceKey>,
    trace_files: FxHashMap<u64, TraceFileKey>,
    files: FxHashMap<u64, FileKey>,
}

/// All that a step works on.
struct Hand<'a> {
    entities: ResMut<'a, Entities>,
    directory: ResMut<'a, Directory>,
    names: &'a mut Names,
}

impl Arenas {
    fn hand(&mut self) -> Hand<'_> {
        let (entities, directory) = self.relay.lend(&mut self.state);
        Hand {
            entities,
            directory,
            names: &mut self.names,
        }
    }
}

impl Shape for Arenas {
    const NAME: &'static str = "arenas";

    fn new(audited: bool) -> Self {
        let mut relay = Relay::new(
            MemoryNetwork::new().port(),
            StoragePort::new(Box::new(Nowhere::default())),
            MemoryClock::new(0).port(),
            MemoryChance::default().port(),
            Settings::default(),
            audited,
        );
        let pass = Arc::new(Mutex::new(Duration::ZERO));
        let told = Arc::clone(&pass);
        let mut before = Duration::ZERO;
        relay.watch(move |step| {
            if step == "reclaim" {
                let took = between(before, cpu_time());
                *told.lock().unwrap_or_else(PoisonError::into_inner) = took;
            }
            before = cpu_time();
        });
        let state = relay.prepare();
        Self {
            relay,
            state,
            names: Names::default(),
            pass,
        }
    }

    fn create(&mut self, births: &[Birth]) {
        let mut hand = self.hand();
        for birth in births {
            hand.create(birth);
        }
    }

    fn link(&mut self, links: &[(Member, Member)]) {
        let mut hand = self.hand();
        for (holder, held) in links {
            hand.link(*holder, *held);
        }
    }

    fn look_up(&mut self, members: &[Member]) {
        let mut hand = self.hand();
        for member in members {
            match member.kind {
                Kind::Stream => {
                    let key = hand.stream(*member);
                    let record = hand.entities.streams.get_mut(key);
                    record.unwrap_or_else(|| missing(*member)).touch();
                }
                Kind::Session => {
                    let key = hand.session(*member);
                    let record = hand.entities.sessions.get_mut(key);
                    record.unwrap_or_else(|| missing(*member)).touch();
                }
                _ => missing(*member),
            }
        }
    }

    fn release(&mut self, members: &[Member]) {
        let mut hand = self.hand();
        for member in members {
            hand.release(*member);
        }
    }

    fn reclaim(&mut self) -> Duration {
        self.relay.tick();
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> Counts {
        counts(self.relay.read())
    }

    fn breaches(&self) -> Vec<String> {
        let breaches = &self.relay.read::<Audit>().breaches;
        breaches.iter().map(ToString::to_string).collect()
    }
}

impl Hand<'_> {
    // Long because: one arm a kind.
    fn create(&mut self, birth: &Birth) {
        let Birth { member, holds } = *birth;
        let id = member.id;
        let held = |at: usize| holds[at].unwrap_or_else(|| missing(member));
        match member.kind {
            Kind::Batch => missing(member),
            Kind::Connection => {
                let key = self.entities.insert(|_| Connection::numbered(id));
                self.names.connections.insert(id, key);
            }
            Kind::ViewerSession => {
                let key = self.entities.insert(|_| ViewerSession::default());
                self.names.viewer_sessions.insert(id, key);
            }
            Kind::ViewerStream => {
                let stream = self.stream(held(0));
                let file = find(&self.names.trace_files, held(1));
                let key = self.entities.insert(|links| {
                    let mut record = ViewerStream {
                        stream: links.hold(stream),
                        ..Record::numbered(id)
                    };
                    if let Position::Packets(position) = &mut record.position {
                        position.file = Some(links.hold(file));
                    }
                    record
                });
                if let Some(stream) = self.entities.streams.get_mut(stream) {
                    stream.rare_mut().viewers.insert((0, key));
                }
                self.names.viewer_streams.insert(id, key);
            }
            Kind::Index => {
                let stream = self.stream(held(0));
                let key = self.entities.insert(|links| Index {
                    stream: links.hold(stream),
                    ..Record::numbered(id)
                });
                self.names.indexes.insert(id, key);
            }
            Kind::Stream => {
                let trace = find(&self.names.traces, held(0));
                let session = self
                    .entities
                    .traces
                    .get(trace)
                    .map(|trace| trace.session.key());
                let session = session.unwrap_or_else(|| missing(member));
                let chunk = self.chunk(held(1));
                let key = self.entities.insert(|links| Stream {
                    trace: links.hold(trace),
                    session: links.hold(session),
                    chunk: Some(links.hold(chunk)),
                    ..Record::numbered(id)
                });
                if let Some(session) = self.entities.sessions.get_mut(session) {
                    session.stream_count += 1;
                }
                self.directory.streams.insert(id, key);
            }
            Kind::Trace => {
                let session = self.session(held(0));
                let key = self.entities.insert(|links| Trace {
                    session: links.hold(session),
                    ..Record::numbered(id)
                });
                let name = (session, trace_path());
                self.directory.traces.insert(name, key);
                self.names.traces.insert(id, key);
            }
            Kind::Session => {
                let key = self.entities.insert(|_| Session::numbered(id));
                self.directory.sessions.insert(id, key);
            }
            Kind::Chunk => {
                let key = self.entities.insert(|_| Chunk::numbered(id));
                self.directory.chunks.insert(chunk_id(id), key);
            }
            Kind::TraceFile => {
                let data = find(&self.names.files, held(0));
                let key = self.entities.insert(|links| TraceFile {
                    data: links.hold(data),
                    ..Record::numbered(id)
                });
                self.names.trace_files.insert(id, key);
            }
            Kind::File => {
                let key = self.entities.insert(|_| File::numbered(id));
                self.names.files.insert(id, key);
            }
        }
    }

    // Long because: one arm a pair of kinds.
    fn link(&mut self, holder: Member, held: Member) {
        match (holder.kind, held.kind) {
            (Kind::Connection, Kind::Session) => {
                let session = self.session(held);
                let key = find(&self.names.connections, holder);
                self.entities.relink(key, |record: &mut Connection, links| {
                    match &mut record.role {
                        Role::Control(control) => control.session = Some(links.hold(session)),
                        Role::Data(data) => data.session = Some(links.hold(session)),
                        Role::Viewer(_) | Role::Status { .. } => missing(held),
                    }
                });
            }
            (Kind::Connection, Kind::ViewerSession) => {
                let session = find(&self.names.viewer_sessions, held);
                let key = find(&self.names.connections, holder);
                self.entities.relink(key, |record: &mut Connection, links| {
                    if let Some(viewer) = record.viewer_mut() {
                        viewer.session = Some(links.hold(session));
                    }
                });
            }
            (Kind::ViewerSession, Kind::Session) => {
                let session = self.session(held);
                let key = find(&self.names.viewer_sessions, holder);
                self.entities
                    .relink(key, |record: &mut ViewerSession, links| {
                        let session = links.hold(session);
                        record.attached.insert(held.id, Attachment::new(session, 0));
                    });
                if let Some(session) = self.entities.sessions.get_mut(session) {
                    session.viewers.insert(key);
                }
            }
            (Kind::ViewerStream, Kind::File) => {
                let file = find(&self.names.files, held);
                let key = find(&self.names.viewer_streams, holder);
                self.entities
                    .relink(key, |record: &mut ViewerStream, links| {
                        if let Some(position) = record.packets_mut() {
                            let file = links.hold(file);
                            position.readable = Some(Readable { file, end: 4096 });
                        }
                    });
            }
            (Kind::Stream, Kind::TraceFile) => {
                let file = find(&self.names.trace_files, held);
                let key = self.stream(holder);
                self.entities.relink(key, |record: &mut Stream, links| {
                    record.files.push_back(links.hold(file));
                });
            }
            (Kind::Session, Kind::Chunk) => {
                let chunk = self.chunk(held);
                let key = self.session(holder);
                self.entities.relink(key, |record: &mut Session, links| {
                    record.chunk = Some(links.hold(chunk));
                });
            }
            (Kind::TraceFile, Kind::File) => {
                let file = find(&self.names.files, held);
                let key = find(&self.names.trace_files, holder);
                self.entities.relink(key, |record: &mut TraceFile, links| {
                    record.index = Some(Box::new(IndexFile::new(links.hold(file), Version::V1_1)));
                });
            }
            _ => missing(held),
        }
    }

    fn release(&mut self, member: Member) {
        let entities = &mut self.entities;
        match member.kind {
            Kind::Batch => missing(member),
            Kind::Connection => {
                entities.disown::<Connection>(take(&mut self.names.connections, member));
            }
            Kind::ViewerSession => {
                entities.disown::<ViewerSession>(take(&mut self.names.viewer_sessions, member));
            }
            Kind::ViewerStream => {
                entities.disown::<ViewerStream>(take(&mut self.names.viewer_streams, member));
            }
            Kind::Index => entities.disown::<Index>(take(&mut self.names.indexes, member)),
            Kind::Stream => {
                // A closed stream is unknown at once.
                entities.disown::<Stream>(take(&mut self.directory.streams, member));
            }
            Kind::TraceFile => {
                entities.disown::<TraceFile>(take(&mut self.names.trace_files, member));
            }
            Kind::File => entities.disown::<File>(take(&mut self.names.files, member)),
            Kind::Trace => entities.disown::<Trace>(take(&mut self.names.traces, member)),
            // The pass unlists these.
            Kind::Session => {
                let key = self.session(member);
                self.entities.disown::<Session>(key);
            }
            Kind::Chunk => {
                let key = self.chunk(member);
                self.entities.disown::<Chunk>(key);
            }
        }
    }

    fn session(&self, member: Member) -> SessionKey {
        let key = self.directory.sessions.get(&member.id).copied();
        key.unwrap_or_else(|| missing(member))
    }

    fn stream(&self, member: Member) -> StreamKey {
        find(&self.directory.streams, member)
    }

    fn chunk(&self, member: Member) -> ChunkKey {
        let key = self.directory.chunks.get(&chunk_id(member.id)).copied();
        key.unwrap_or_else(|| missing(member))
    }
}

fn chunk_id(id: u64) -> ChunkId {
    ChunkId {
        origin: origin(id),
        number: 0,
    }
}

fn find<K: Copy>(names: &FxHashMap<u64, K>, member: Member) -> K {
    let key = names.get(&member.id).copied();
    key.unwrap_or_else(|| missing(member))
}

fn take<K>(names: &mut FxHashMap<u64, K>, member: Member) -> K {
    let key = names.remove(&member.id);
    key.unwrap_or_else(|| missing(member))
}
