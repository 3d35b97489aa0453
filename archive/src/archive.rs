//! `baton archive`: uploads finished chunks. A manifest is stored last, when all that it names is
//! there and verified; then the chunk is marked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use baton::Writers;
use baton_components::shown::Size;

use crate::attempt::{Attempt, Stored};
use crate::chunk::{self, Chunk, LocalFile, State};
use crate::delete;
use crate::facts::{self, Traces};
use crate::find::{self, Found};
use crate::hook;
use crate::keys::Directory;
use crate::manifest::{self, Head, MANIFEST_MAX, Manifest};
use crate::mark::{self, Mark};
use crate::metrics::{self, Counts};
use crate::plan;
use crate::progress::print;
use crate::queue::Queue;
use crate::store::{Patience, Place, Store};
use crate::upload;
pub use crate::verify::Verify;
use crate::work::Work;
use crate::{Error, say};

/// The options of `baton archive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub directory: PathBuf,
    /// None: the hook takes chunks instead.
    pub place: Option<Place>,
    /// One pass, or until it is killed.
    pub once: bool,
    /// Time between two passes.
    pub interval: Duration,
    /// How long nothing in a chunk has changed when it counts as finished.
    pub quiet_period: Duration,
    pub verify: Verify,
    /// Whether chunks are removed when they are archived.
    pub deletes: bool,
    /// Objects that are uploaded at once.
    pub workers: usize,
    pub patience: Patience,
    /// Bytes per second; none: no limit.
    pub bandwidth: Option<u64>,
    /// A command that runs for each chunk when it is archived, or instead.
    pub hook: Option<String>,
    /// Where monitors ask.
    pub status: Option<SocketAddr>,
}

/// The chunks of a pass.
#[derive(Debug, Default)]
struct Tally {
    archived: u64,
    bytes: u64,
    stored_bytes: u64,
    /// Those that a command took, archived now or before.
    hooked: u64,
    before: u64,
    deleted: u64,
    waiting: u64,
    failed: u64,
}

/// Returns whether all that is finished is archived.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let listener = plan.status.map(metrics::listen).transpose()?;
    let open = |place| Store::open(place, plan.patience);
    let store = plan.place.as_ref().map(open).transpose()?;
    let store = store.map(|store| store.at_pace(plan.bandwidth));
    if let Some(store) = &store {
        store.check()?;
    }
    let counts = Arc::new(Counts::default());
    if let Some(listener) = listener {
        let counts = Arc::clone(&counts);
        thread::spawn(move || metrics::serve(&listener, &counts));
    }
    let run = Run {
        queue: Queue::new(plan.to(), Arc::clone(&counts)),
        store,
        plan,
    };
    loop {
        let tally = run.pass()?;
        tally.count(&counts);
        if plan.once {
            baton::print(format_args!("{tally}\n"))?;
            return Ok(tally.failed == 0);
        }
        thread::sleep(plan.interval);
    }
}

impl Plan {
    /// Where chunks go, for marks and people.
    fn to(&self) -> String {
        let hook = || self.hook.as_deref().map(hook::place);
        let place = self.place.as_ref().map(Place::url);
        place.or_else(hook).unwrap_or_default()
    }
}

impl Tally {
    /// Returns whether the chunk waits no longer.
    fn add(&mut self, chunk: &Chunk, outcome: Result<Outcome, Error>) -> Result<bool, Error> {
        let shown = baton::shown(&chunk.root);
        match outcome {
            Ok(Outcome::Archived(head)) => {
                self.archived += 1;
                self.bytes += head.bytes;
                self.stored_bytes += head.stored_bytes;
                let (bytes, stored) = (Size(head.bytes), Size(head.stored_bytes));
                print(format_args!("{shown}: archived, {bytes} as {stored}\n"))?;
            }
            Ok(Outcome::Hooked) => {
                self.hooked += 1;
                print(format_args!("{shown}: the hook has taken it\n"))?;
            }
            Ok(Outcome::Before) => self.before += 1,
            Ok(Outcome::Deleted) => self.deleted += 1,
            Ok(Outcome::Waiting) => {
                self.waiting += 1;
                return Ok(false);
            }
            Err(error) => {
                self.fail(chunk, &error);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fail(&mut self, chunk: &Chunk, error: &Error) {
        // Otherwise it was removed meanwhile.
        if chunk.root.exists() {
            self.failed += 1;
            let shown = baton::shown(&chunk.root);
            say(format_args!(
                "baton archive: {shown} is not archived: {error}"
            ));
        }
    }

    fn count(&self, counts: &Counts) {
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        add(&counts.chunks, self.archived + self.hooked);
        add(&counts.bytes, self.bytes);
        add(&counts.stored_bytes, self.stored_bytes);
        add(&counts.deleted, self.deleted);
        add(&counts.failures, self.failed);
        counts.end_pass(self.waiting, self.failed);
    }
}

/// The parts of a run that are the same in all passes.
struct Run<'a> {
    plan: &'a Plan,
    /// None: a command takes the chunks instead.
    store: Option<Store>,
    queue: Queue,
}

/// A chunk as it was looked at.
struct Seen {
    files: Vec<LocalFile>,
    digest: String,
    /// Its removal has begun.
    is_going: bool,
    /// All that it is to go to has it.
    is_archived: bool,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing is to be done.
    Done,
    /// It is not finished.
    Waiting,
    /// It is to be archived, or deleted.
    Due,
}

/// A chunk that this pass works on.
struct Job {
    chunk: Chunk,
    /// Bytes that wait for the archive; none: it is archived, and to be deleted.
    bytes: Option<u64>,
}

enum Outcome {
    Archived(Box<Head>),
    /// A command has taken it.
    Hooked,
    /// In an earlier run.
    Before,
    /// The same, and it is removed now.
    Deleted,
    /// It is not finished, or another archiver works on it.
    Waiting,
}

impl Run<'_> {
    fn pass(&self) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let Found { chunks, failures } = find::find(&self.plan.directory)?;
        for error in failures {
            tally.failed += 1;
            say(format_args!("baton archive: {error}"));
        }
        let output = chunk::output_of(&self.plan.directory, &chunks);
        let jobs = self.look(chunks, &mut tally);
        self.queue
            .begin_pass(output, jobs.iter().filter_map(|job| job.bytes));
        let mut writers = Writers::default();
        for Job { chunk, bytes } in jobs {
            let outcome = self.archive(&chunk, &mut writers);
            let is_done = tally.add(&chunk, outcome)?;
            if let Some(bytes) = bytes.filter(|_| is_done) {
                self.queue.done(bytes);
            }
        }
        self.queue.end_pass(tally.failed);
        Ok(tally)
    }

    /// The chunks that there is something to do with.
    fn look(&self, chunks: Vec<Chunk>, tally: &mut Tally) -> Vec<Job> {
        let mut writers = Writers::default();
        let mut jobs = Vec::new();
        for chunk in chunks {
            match self.see(&chunk, &mut writers) {
                Ok(seen) => match seen.standing {
                    Standing::Done => tally.before += 1,
                    Standing::Waiting => tally.waiting += 1,
                    Standing::Due => {
                        let bytes = seen.files.iter().map(|file| file.bytes).sum();
                        let bytes = Some(bytes).filter(|_| !seen.is_archived);
                        jobs.push(Job { chunk, bytes });
                    }
                },
                Err(error) => tally.fail(&chunk, &error),
            }
        }
        jobs
    }

    fn see(&self, chunk: &Chunk, writers: &mut Writers) -> Result<Seen, Error> {
        let plan = self.plan;
        let is_going = mark::is_going(chunk);
        let files = chunk.files()?;
        let digest = chunk::digest(&files);
        let has = |to: &str| mark::find(chunk, to, &digest).is_some();
        let is_stored = self.store.is_none() || has(&plan.to());
        let is_hooked = plan.hook.as_ref().is_none_or(|it| has(&hook::place(it)));
        let is_archived = is_going || files.is_empty() || (is_stored && is_hooked);
        let deletes = plan.deletes && !chunk.is_pinned(&files);
        let standing = if is_archived && !deletes && !is_going {
            Standing::Done
        } else if is_going || chunk.state(&files, plan.quiet_period, writers) == State::Finished {
            Standing::Due
        } else {
            Standing::Waiting
        };
        Ok(Seen {
            files,
            digest,
            is_going,
            is_archived,
            standing,
        })
    }

    fn archive(&self, chunk: &Chunk, writers: &mut Writers) -> Result<Outcome, Error> {
        // Before the look: another archiver may just be finishing.
        let Some(_claim) = mark::claim(chunk)? else {
            return Ok(Outcome::Waiting);
        };
        let seen = self.see(chunk, writers)?;
        match seen.standing {
            Standing::Done => return Ok(Outcome::Before),
            Standing::Waiting => return Ok(Outcome::Waiting),
            Standing::Due => {}
        }
        if seen.is_going {
            delete::finish(chunk)?;
            return Ok(Outcome::Deleted);
        }
        if seen.files.is_empty() {
            return Ok(Outcome::Before);
        }
        let (to, digest) = (self.plan.to(), &seen.digest);
        let mut outcome = if self.plan.deletes {
            Outcome::Deleted
        } else {
            Outcome::Before
        };
        if let Some(store) = &self.store
            && mark::find(chunk, &to, digest).is_none()
        {
            let head = self.upload_chunk(store, chunk, &seen.files, digest)?;
            outcome = Outcome::Archived(Box::new(head));
        }
        if let Some(hook) = &self.plan.hook
            && mark::find(chunk, &hook::place(hook), digest).is_none()
        {
            let mark = mark::find(chunk, &to, digest).filter(|_| self.store.is_some());
            hook::run(hook, chunk, mark.as_ref())?;
            mark::set(chunk, hook::mark(hook, digest, mark))?;
            if self.store.is_none() {
                outcome = Outcome::Hooked;
            }
        }
        if self.plan.deletes
            && !chunk.is_pinned(&seen.files)
            && let Some(mark) = mark::find(chunk, &to, digest)
        {
            delete::delete(self.store.as_ref(), chunk, mark)?;
        }
        Ok(outcome)
    }

    /// Uploads a chunk, commits it and marks it.
    fn upload_chunk(
        &self,
        store: &Store,
        chunk: &Chunk,
        files: &[LocalFile],
        digest: &str,
    ) -> Result<Head, Error> {
        let traces = Traces::of(chunk, files);
        let (session, name) = chunk.names();
        let host = traces.host().unwrap_or_else(|| chunk.top());
        let planned = plan::plan(files);
        let place = |id: &str| Directory::new(&host, &session, &name, id);
        let attempt = Attempt::begin(chunk, store, digest, planned.len(), place)?;
        let work = Work {
            store,
            chunk,
            files,
            traces: &traces,
            plan: planned,
            directory: attempt.directory().clone(),
            attempt: Mutex::new(attempt),
            verify: self.plan.verify,
            queue: &self.queue,
        };
        upload_all(&work, self.plan.workers)?;
        if chunk::digest(&chunk.files()?) != digest {
            return Err(Error::Changed);
        }
        let manifest = manifest(&work);
        commit(&work, &manifest)?;
        let mark = Mark {
            to: store.place().url(),
            id: manifest.head.id.clone(),
            directory: manifest.head.directory.clone(),
            digest: digest.to_owned(),
            is_going: false,
        };
        mark::set(chunk, mark)?;
        work.attempt().finish()?;
        Ok(manifest.head)
    }
}

/// From here on the chunk is archived.
fn commit(work: &Work<'_>, manifest: &Manifest) -> Result<(), Error> {
    let store = work.store;
    let bytes = manifest.write();
    if bytes.len() as u64 > MANIFEST_MAX {
        let files = manifest.files.len();
        let reason = format!("it has {files} files, which is more than a manifest can have");
        return Err(Error::Other(reason));
    }
    let key = work.directory.manifest();
    let read = || store.read_whole(&key, MANIFEST_MAX);
    if work.attempt().is_committed() {
        // The kill came before the mark.
        if read()?.as_deref() != Some(&bytes) {
            work.attempt().finish()?;
            return Err(Error::Other(Attempt::FOREIGN.to_owned()));
        }
        return Ok(manifest.head.store(store)?);
    }
    store.put(&key, &bytes)?;
    if read()?.as_deref() != Some(&bytes) {
        // A manifest that cannot be read back must not be taken for a commit.
        store.remove(&key)?;
        let reason = "the manifest was stored, and is another one".to_owned();
        return Err(store.place().wrong(&key, reason).into());
    }
    Ok(manifest.head.store(store)?)
}

/// Uploads all objects that are not stored yet, some at once.
fn upload_all(work: &Work<'_>, workers: usize) -> Result<(), Error> {
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let upload_some = || -> Result<(), Error> {
        while !is_over.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= work.plan.len() {
                break;
            }
            if !work.attempt().is_stored(at) {
                let stored = upload::upload(work, at);
                let stored = stored.inspect_err(|_| is_over.store(true, Ordering::Relaxed))?;
                work.attempt().set_stored(at, stored)?;
                work.queue.moves();
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.min(work.plan.len()).max(1))
            .map(|_| scope.spawn(upload_some))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let outcomes: Vec<_> = threads.into_iter().map(join).collect();
        outcomes.into_iter().collect()
    })
}

fn manifest(work: &Work<'_>) -> Manifest {
    let attempt = work.attempt();
    let stored: Vec<&Stored> = attempt.objects().collect();
    let files: Vec<manifest::File> = stored.iter().flat_map(|it| it.files.clone()).collect();
    let streams = files.iter().filter_map(|file| file.stream.clone());
    let streams: Vec<_> = streams.collect();
    Manifest {
        head: Head {
            id: attempt.id().to_owned(),
            stored_bytes: files.iter().map(|it| it.stored_bytes).sum(),
            directory: work.directory.text().to_owned(),
            ..facts::head(work.chunk, work.files, work.traces, &streams)
        },
        traces: work.traces.described(),
        objects: stored.iter().map(|it| it.object.clone()).collect(),
        files,
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chunks = |count: u64| match count {
            1 => "1 chunk".to_owned(),
            _ => format!("{count} chunks"),
        };
        write!(to, "{} archived", chunks(self.archived))?;
        if self.archived > 0 {
            let (bytes, stored) = (Size(self.bytes), Size(self.stored_bytes));
            write!(to, " ({bytes} as {stored})")?;
        }
        for (count, what) in [
            (self.hooked, "taken by the hook"),
            (self.before, "archived before"),
            (self.deleted, "archived before and deleted now"),
            (
                self.waiting,
                "not finished (in use, or changed within the --quiet-period)",
            ),
            (self.failed, "failed"),
        ] {
            if count > 0 {
                write!(to, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
