//! Durability: when what was recorded is synced to the disk.
//!
//! A chunk is synced when it is closed; or, with a period, all that was recorded since the last
//! time is synced together, and each chunk at its close too. Data files come first, then their
//! indexes, then metadata, then the directories from the lowest up to the output directory; and
//! when that is done the list of what was made of the chunk, which says where it is.
//! Storage is asked for that and answers later: no tick waits for it.
//!
//! After a sync that failed nothing of this run is called safe: a file system may drop what it
//! could not write, and the next sync of the same file succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_components::chunk::{Chunk, FileOfStream};
use baton_components::keys::{ChunkKey, SessionKey, StreamKey};
use baton_components::path::RelativePath;
use baton_components::time::Now;
use baton_components::totals::Totals;
use baton_components::waits::{Ticket, Waiter};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, ResMut};
use rustc_hash::FxHashMap;

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::facts::{Facts, Made, MetadataGrew, NameFact, PacketsKept};
use crate::lists;
use crate::ports::{Answer, StorageError, StorageErrorKind, StoragePort};
use crate::requests::Request;
use crate::retain::Retention;
use crate::settings::SyncWhen;
use crate::sync_paths::{Names, SyncPaths};

/// Files by their session.
type Files = BTreeMap<SessionKey, BTreeSet<FileOfStream>>;

/// The state of durability.
#[derive(Debug, Default, Resource)]
pub struct Durability {
    when: SyncWhen,
    /// Files of chunks that are recorded, if there is a period.
    known: FxHashMap<FileOfStream, Known>,
    /// Files that have changed since they were synced last.
    dirty: Files,
    /// How many.
    dirty_count: u64,
    /// Chunks with names that were not synced.
    renamed: BTreeSet<ChunkKey>,
    /// Where the names of a chunk were synced last.
    synced_at: BTreeMap<ChunkKey, RelativePath>,
    /// Pending requests.
    asked: BTreeMap<Ticket, Asked>,
    /// Sessions whose producers wait for a sync.
    urgent: BTreeSet<SessionKey>,
    /// When dirty files are synced (monotonic).
    due: Option<Duration>,
    /// A sync has failed.
    has_failed: bool,
}

/// A file that is recorded, with its index.
#[derive(Debug)]
struct Known {
    session: SessionKey,
    chunk: ChunkKey,
    is_metadata: bool,
    is_dirty: bool,
    /// Data and index, below the chunk's directory.
    names: Vec<RelativePath>,
}

/// A request to storage.
#[derive(Debug)]
struct Asked {
    files: Files,
    /// Chunks that are still recorded, with their directories at that time.
    chunks: BTreeMap<ChunkKey, RelativePath>,
    /// Ordinals of chunks whose lists are synced when this is done.
    lists: Vec<u64>,
    /// Monotonic.
    since: Duration,
}

impl Durability {
    pub fn new(when: SyncWhen) -> Self {
        Self {
            when,
            ..Self::default()
        }
    }

    /// Whether it has to know the names of files.
    pub fn hears_names(&self) -> bool {
        matches!(self.when, SyncWhen::Every(_))
    }

    fn is_on(&self) -> bool {
        self.when != SyncWhen::Never
    }

    /// Whether [`note`] has work, if there are facts: these. Without a period it hears answers alone.
    pub fn hears(&self, facts: &Facts) -> bool {
        self.hears_names() || (self.is_on() && !facts.answered.is_empty())
    }

    /// Whether [`sync`] has work.
    pub fn is_due(&self, agenda: &Agenda, now: Duration) -> bool {
        !agenda.ended_chunks.is_empty()
            || !self.urgent.is_empty()
            || self.due.is_some_and(|due| due <= now)
    }

    /// Whether all that was recorded of a session, or of one of its streams, is synced. If it is
    /// not yet, it will be soon, unless a sync has failed.
    pub fn is_safe(&mut self, session: SessionKey, stream: Option<StreamKey>) -> bool {
        let is_meant = |files: &Files| {
            let mut files = files.get(&session).into_iter().flatten();
            files.any(|file| stream.is_none_or(|stream| file.stream == stream))
        };
        let is_dirty = is_meant(&self.dirty);
        if is_dirty {
            self.urgent.insert(session);
        }
        let is_pending = is_dirty || self.asked.values().any(|asked| is_meant(&asked.files));
        !is_pending && !self.has_failed
    }

    fn taint(&mut self, file: FileOfStream) {
        let known = self.known.get_mut(&file);
        let Some(known) = known.filter(|known| !known.is_dirty) else {
            return;
        };
        known.is_dirty = true;
        self.dirty_count += 1;
        self.dirty.entry(known.session).or_default().insert(file);
    }

    /// A file is not recorded any more. Gives its chunk.
    fn forget(&mut self, file: FileOfStream) -> Option<ChunkKey> {
        let known = self.known.remove(&file)?;
        if known.is_dirty {
            self.dirty_count -= 1;
            let dirty = self.dirty.entry(known.session).or_default();
            dirty.remove(&file);
            if dirty.is_empty() {
                self.dirty.remove(&known.session);
            }
        }
        Some(known.chunk)
    }

    fn forget_chunk(&mut self, chunk: ChunkKey) {
        self.renamed.remove(&chunk);
        self.synced_at.remove(&chunk);
    }

    /// The dirty files of a session, which are to be synced.
    fn take_dirty(&mut self, session: SessionKey) -> BTreeSet<FileOfStream> {
        let files = self.dirty.remove(&session).unwrap_or_default();
        self.dirty_count -= files.len() as u64;
        for file in &files {
            if let Some(known) = self.known.get_mut(file) {
                known.is_dirty = false;
            }
        }
        files
    }
}

/// Reads the facts: what has changed, and what storage has answered.
pub fn note(
    mut durability: ResMut<Durability>,
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    retention: Res<Retention>,
    facts: Res<Facts>,
    now: Res<Now>,
) {
    let durability = &mut *durability;
    for Answer { ticket, outcome } in &facts.answered {
        let Some(asked) = durability.asked.remove(ticket) else {
            continue;
        };
        let error = outcome.as_ref().err();
        if hear(durability, &mut entities, &now, &asked, error) {
            let lists = asked.lists.iter();
            for list in lists.filter_map(|ordinal| retention.list(*ordinal)) {
                let files = asked.files.clone();
                ask_for_list(durability, &mut storage, &mut agenda, &now, list, files);
            }
        }
    }
    if let SyncWhen::Every(period) = durability.when {
        note_names(durability, &entities);
        for PacketsKept { stream, file, .. } in &facts.kept {
            let (stream, ordinal) = (*stream, *file);
            durability.taint(FileOfStream { stream, ordinal });
        }
        for MetadataGrew { stream, file, .. } in &facts.metadata {
            let (stream, ordinal) = (*stream, *file);
            durability.taint(FileOfStream { stream, ordinal });
        }
        if durability.due.is_none() && !durability.dirty.is_empty() {
            expect(durability, &mut agenda, now.monotonic + period);
        }
    }
    show(durability, &mut entities.totals);
}

fn note_names(durability: &mut Durability, entities: &Entities) {
    for fact in &entities.names.facts {
        match fact {
            NameFact::Made(made) => {
                let Made {
                    chunk, file, path, ..
                } = &**made;
                let Some(stream) = entities.streams.get(file.stream) else {
                    continue;
                };
                let known = durability.known.entry(*file).or_insert_with(|| Known {
                    session: stream.session.key(),
                    chunk: *chunk,
                    is_metadata: stream.is_metadata(),
                    is_dirty: false,
                    names: Vec::new(),
                });
                known.names.push(path.clone());
                durability.renamed.insert(*chunk);
                durability.taint(*file);
            }
            NameFact::Removed(file) => {
                let chunk = durability.forget(*file);
                if let Some(chunk) = chunk.filter(|key| !entities.chunks.contains(*key)) {
                    durability.forget_chunk(chunk);
                }
            }
            NameFact::Closed(_) => {}
        }
    }
}

/// Sets the timer.
fn expect(durability: &mut Durability, agenda: &mut Agenda, at: Duration) {
    durability.due = Some(at);
    agenda.deadlines.at(at, Timer::Sync);
}

/// Storage has answered. Returns whether all is synced that is there.
fn hear(
    durability: &mut Durability,
    entities: &mut Entities,
    now: &Now,
    asked: &Asked,
    error: Option<&StorageError>,
) -> bool {
    let syncs = &mut entities.totals.syncs;
    syncs.spent += now.monotonic.saturating_sub(asked.since);
    // A chunk that moved meanwhile is synced once more. Names that are missing where it is still
    // were removed by somebody.
    let moved: Vec<ChunkKey> = asked
        .chunks
        .iter()
        .filter(|(key, directory)| {
            let chunk = entities.chunks.get(**key);
            chunk.is_some_and(|chunk| chunk.directory() != **directory)
        })
        .map(|(key, _)| *key)
        .collect();
    for key in &moved {
        durability.renamed.insert(*key);
    }
    match error {
        None => syncs.done += 1,
        Some(error) if error.kind == StorageErrorKind::Gone => {
            syncs.done += 1;
            for file in asked.files.values().flatten() {
                let known = durability.known.get(file);
                if known.is_some_and(|known| moved.contains(&known.chunk)) {
                    durability.taint(*file);
                }
            }
        }
        Some(error) => {
            if !std::mem::replace(&mut durability.has_failed, true) {
                tracing::error!(
                    "{error}: a loss of power may take what was recorded; nothing of this run is \
                     called safe any more (with --durable-replies lttng stop and destroy need \
                     --no-wait)"
                );
            }
            syncs.failed += 1;
            return false;
        }
    }
    true
}

/// Asks for the syncs that are due: of what is confirmed.
pub fn sync(
    mut durability: ResMut<Durability>,
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    let durability = &mut *durability;
    let ended = std::mem::take(&mut agenda.ended_chunks);
    if durability.is_on() {
        for (key, chunk) in ended {
            end(durability, &mut storage, &mut agenda, &now, key, chunk);
        }
    }
    ask_for_due(durability, &entities, &mut storage, &mut agenda, &now);
    if let SyncWhen::Every(period) = durability.when
        && durability.due.is_none()
        && !durability.dirty.is_empty()
    {
        expect(durability, &mut agenda, now.monotonic + period);
    }
    show(durability, &mut entities.totals);
}

/// Asks for the sessions that are dirty and due, or whose producers wait.
fn ask_for_due(
    durability: &mut Durability,
    entities: &Entities,
    storage: &mut StoragePort,
    agenda: &mut Agenda,
    now: &Now,
) {
    let is_due = durability
        .due
        .take_if(|due| *due <= now.monotonic)
        .is_some();
    let urgent = std::mem::take(&mut durability.urgent);
    let sessions: Vec<SessionKey> = if is_due {
        durability.dirty.keys().copied().collect()
    } else {
        urgent.into_iter().collect()
    };
    for session in sessions {
        // A slow disk gets one request after another, each for more.
        let mut asked = durability.asked.values();
        if !asked.any(|asked| asked.files.contains_key(&session)) {
            ask_for(durability, entities, storage, agenda, now, session);
        }
    }
}

/// Asks for the dirty files of a session.
fn ask_for(
    durability: &mut Durability,
    entities: &Entities,
    storage: &mut StoragePort,
    agenda: &mut Agenda,
    now: &Now,
    session: SessionKey,
) {
    let mut files = durability.take_dirty(session);
    let mut batch = SyncPaths::default();
    let mut chunks = BTreeMap::new();
    let mut waiting = Vec::new();
    for file in &files {
        let Some(known) = durability.known.get(file) else {
            continue;
        };
        let Some(chunk) = chunk_of(entities, agenda, known.chunk) else {
            // It has ended, and its files wait to be moved: they are synced where they will be.
            waiting.push(*file);
            continue;
        };
        let directory = chunks
            .entry(known.chunk)
            .or_insert_with(|| chunk.directory());
        for name in &known.names {
            batch.add(directory.join(name), known.is_metadata);
        }
    }
    for file in waiting {
        files.remove(&file);
        durability.taint(file);
    }
    let mut lists = Vec::new();
    let mut within = None;
    for (key, directory) in &chunks {
        let Some(chunk) = chunk_of(entities, agenda, *key) else {
            continue;
        };
        within.get_or_insert_with(|| chunk.session.clone());
        let is_moved = durability.synced_at.get(key) != Some(directory);
        if durability.renamed.remove(key) || is_moved {
            batch.add_directories(directory, &chunk.directories);
            lists.extend(chunk.ordinal);
            durability.synced_at.insert(*key, directory.clone());
        }
    }
    let Some(within) = within else {
        return;
    };
    let asked = Asked {
        files: BTreeMap::from([(session, files)]),
        chunks,
        lists,
        since: now.monotonic,
    };
    ask(durability, storage, agenda, request(batch, within), asked);
}

fn request(paths: SyncPaths, within: RelativePath) -> Request {
    let (files, directories) = paths.in_order();
    Request::Sync {
        within,
        files,
        directories,
    }
}

/// The chunk that has, or had, this key. One whose files could not be moved is where it was.
fn chunk_of<'a>(entities: &'a Entities, agenda: &Agenda, key: ChunkKey) -> Option<&'a Chunk> {
    let mut stuck = agenda.unburied.iter();
    entities.chunks.get(key).or_else(|| {
        stuck.find_map(|stuck| {
            let chunk = entities.chunks.get(*stuck);
            chunk.filter(|chunk| chunk.first == Some(key))
        })
    })
}

/// Asks for a chunk that has ended.
fn end(
    durability: &mut Durability,
    storage: &mut StoragePort,
    agenda: &mut Agenda,
    now: &Now,
    key: ChunkKey,
    chunk: Chunk,
) {
    durability.forget_chunk(key);
    let mut files = Files::new();
    if !durability.known.is_empty() {
        for file in chunk.files.values() {
            if let Some(known) = durability.known.get(file) {
                files.entry(known.session).or_default().insert(*file);
            }
            durability.forget(*file);
        }
    }
    if chunk.files.is_empty() {
        return;
    }
    let asked = Asked {
        files,
        chunks: BTreeMap::new(),
        lists: chunk.ordinal.into_iter().collect(),
        since: now.monotonic,
    };
    let names = Names {
        directory: chunk.directory(),
        session: chunk.session,
        files: chunk.files,
        directories: chunk.directories,
    };
    let request = Request::SyncChunk(Box::new(names));
    ask(durability, storage, agenda, request, asked);
}

/// Asks for the list of a chunk whose files are synced: these.
fn ask_for_list(
    durability: &mut Durability,
    storage: &mut StoragePort,
    agenda: &mut Agenda,
    now: &Now,
    list: RelativePath,
    files: Files,
) {
    let request = Request::Sync {
        within: list.clone(),
        files: vec![list],
        directories: vec![lists::directory(), RelativePath::root()],
    };
    let asked = Asked {
        files,
        chunks: BTreeMap::new(),
        lists: Vec::new(),
        since: now.monotonic,
    };
    ask(durability, storage, agenda, request, asked);
}

fn ask(
    durability: &mut Durability,
    storage: &mut StoragePort,
    agenda: &mut Agenda,
    request: Request,
    asked: Asked,
) {
    let ticket = agenda.waits.add(Waiter::Sync);
    storage.ask(ticket, request);
    durability.asked.insert(ticket, asked);
}

/// Tells monitors.
fn show(durability: &Durability, totals: &mut Totals) {
    let syncs = &mut totals.syncs;
    syncs.pending = durability.asked.len() as u64;
    syncs.dirty_files = durability.dirty_count;
}
