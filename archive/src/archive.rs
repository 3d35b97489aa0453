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
use crate::store::{Patience, Place, Store};
use crate::upload;
pub use crate::verify::Verify;
use crate::work::Work;
use crate::{Error, say};

/// The options of `baton archive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub directory: PathBuf,
    pub place: Place,
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
    /// A command that runs for each chunk when it is archived.
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
    before: u64,
    deleted: u64,
    waiting: u64,
    failed: u64,
}

/// Returns whether all that is finished is archived.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let listener = plan.status.map(metrics::listen).transpose()?;
    let store = Store::open(&plan.place, plan.patience)?.at_pace(plan.bandwidth);
    store.check()?;
    let counts = Arc::new(Counts::default());
    if let Some(listener) = listener {
        let counts = Arc::clone(&counts);
        thread::spawn(move || metrics::serve(&listener, &counts));
    }
    loop {
        let tally = pass(plan, &store)?;
        tally.count(&counts);
        if plan.once {
            baton::print(format_args!("{tally}\n"))?;
            return Ok(tally.failed == 0);
        }
        thread::sleep(plan.interval);
    }
}

impl Tally {
    fn count(&self, counts: &Counts) {
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        add(&counts.chunks, self.archived);
        add(&counts.bytes, self.bytes);
        add(&counts.stored_bytes, self.stored_bytes);
        add(&counts.deleted, self.deleted);
        add(&counts.failures, self.failed);
        counts.end_pass(self.waiting, self.failed);
    }
}

fn pass(plan: &Plan, store: &Store) -> Result<Tally, Error> {
    let (mut tally, mut writers) = (Tally::default(), Writers::default());
    let Found { chunks, failures } = find::find(&plan.directory)?;
    for error in failures {
        tally.failed += 1;
        say(format_args!("baton archive: {error}"));
    }
    for chunk in chunks {
        let outcome = archive(plan, store, &chunk, &mut writers);
        let shown = baton::shown(&chunk.root);
        match outcome {
            Ok(Outcome::Archived(head)) => {
                tally.archived += 1;
                tally.bytes += head.bytes;
                tally.stored_bytes += head.stored_bytes;
                let (bytes, stored) = (Size(head.bytes), Size(head.stored_bytes));
                baton::print(format_args!("{shown}: archived, {bytes} as {stored}\n"))?;
            }
            Ok(Outcome::Before) => tally.before += 1,
            Ok(Outcome::Deleted) => tally.deleted += 1,
            Ok(Outcome::Waiting) => tally.waiting += 1,
            // It was removed meanwhile.
            Err(_) if !chunk.root.exists() => {}
            Err(error) => {
                tally.failed += 1;
                say(format_args!(
                    "baton archive: {shown} is not archived: {error}"
                ));
            }
        }
    }
    Ok(tally)
}

enum Outcome {
    Archived(Box<Head>),
    /// In an earlier run.
    Before,
    /// The same, and it is removed now.
    Deleted,
    /// It is not finished, or another archiver works on it.
    Waiting,
}

fn archive(
    plan: &Plan,
    store: &Store,
    chunk: &Chunk,
    writers: &mut Writers,
) -> Result<Outcome, Error> {
    let is_going = mark::is_going(chunk);
    let files = chunk.files()?;
    let digest = chunk::digest(&files);
    let to = store.place().url();
    let is_archived = is_going || files.is_empty() || mark::find(chunk, &to, &digest).is_some();
    let is_hooked = |hook: &String| mark::find(chunk, &hook::place(hook), &digest).is_some();
    let is_done = is_going || files.is_empty() || plan.hook.as_ref().is_none_or(is_hooked);
    let deletes = plan.deletes && !chunk.is_pinned(&files);
    if is_archived && is_done && !deletes {
        return Ok(Outcome::Before);
    }
    if !is_going && chunk.state(&files, plan.quiet_period, writers) != State::Finished {
        return Ok(Outcome::Waiting);
    }
    let Some(_claim) = mark::claim(chunk)? else {
        return Ok(Outcome::Waiting);
    };
    if is_going {
        delete::finish(chunk)?;
        return Ok(Outcome::Deleted);
    }
    // Another archiver may have just finished.
    let mark = mark::find(chunk, &to, &digest);
    let outcome = match mark {
        _ if files.is_empty() => return Ok(Outcome::Before),
        Some(_) if !deletes => Outcome::Before,
        Some(_) => Outcome::Deleted,
        None => Outcome::Archived(Box::new(upload_chunk(plan, store, chunk, &files, &digest)?)),
    };
    if let Some(mark) = mark::find(chunk, &to, &digest)
        && let Some(hook) = plan.hook.as_ref().filter(|hook| !is_hooked(hook))
    {
        hook::run(hook, chunk, &mark)?;
        let to = hook::place(hook);
        mark::set(chunk, Mark { to, ..mark })?;
    }
    if deletes && let Some(mark) = mark::find(chunk, &to, &digest) {
        delete::delete(store, chunk, mark)?;
    }
    Ok(outcome)
}

/// Uploads a chunk, commits it and marks it.
fn upload_chunk(
    plan: &Plan,
    store: &Store,
    chunk: &Chunk,
    files: &[LocalFile],
    digest: &str,
) -> Result<Head, Error> {
    let traces = Traces::of(chunk, files);
    let (session, name) = chunk.names();
    let host = traces.host().unwrap_or_else(|| chunk.top());
    let attempt = Attempt::begin(chunk, store, digest, |id| {
        Directory::new(&host, &session, &name, id)
    })?;
    let work = Work {
        store,
        chunk,
        files,
        traces: &traces,
        plan: plan::plan(files),
        directory: attempt.directory().clone(),
        attempt: Mutex::new(attempt),
        verify: plan.verify,
    };
    upload_all(&work, plan.workers)?;
    if chunk::digest(&chunk.files()?) != digest {
        return Err(Error::Changed);
    }
    let manifest = manifest(&work);
    commit(store, &work.directory, &manifest)?;
    let mark = Mark {
        to: store.place().url(),
        id: manifest.head.id.clone(),
        directory: manifest.head.directory.clone(),
        digest: digest.to_owned(),
        is_going: false,
    };
    mark::set(chunk, mark)?;
    work.into_attempt().finish()?;
    Ok(manifest.head)
}

/// From here on the chunk is archived.
fn commit(store: &Store, directory: &Directory, manifest: &Manifest) -> Result<(), Error> {
    let bytes = manifest.write();
    if bytes.len() as u64 > MANIFEST_MAX {
        let files = manifest.files.len();
        let reason = format!("it has {files} files, which is more than a manifest can have");
        return Err(Error::Other(reason));
    }
    let key = directory.manifest();
    store.put(&key, &bytes)?;
    if store.read_whole(&key, MANIFEST_MAX)?.as_deref() != Some(&bytes) {
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
            (self.before, "archived before"),
            (self.deleted, "archived before and deleted now"),
            (self.waiting, "not finished"),
            (self.failed, "failed"),
        ] {
            if count > 0 {
                write!(to, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
