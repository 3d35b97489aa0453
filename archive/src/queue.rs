//! The queue of the archive, told to the relay by a note in its output directory, and to
//! monitors by `--status-port`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use baton::Archive;

use crate::metrics::Counts;
use crate::progress;

/// The chunks of a pass that are finished and not archived.
pub struct Queue {
    counts: Arc<Counts>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    archive: Archive,
    /// The output directory; none: it is not a relay's.
    output: Option<PathBuf>,
    noted: Option<Instant>,
    done_bytes: u64,
}

impl Queue {
    pub fn new(to: String, counts: Arc<Counts>) -> Self {
        let archive = Archive {
            to,
            ..Archive::default()
        };
        let state = State {
            archive,
            ..State::default()
        };
        Self {
            counts,
            state: Mutex::new(state),
        }
    }

    /// Chunks wait that have so many bytes.
    pub fn begin_pass(&self, output: Option<PathBuf>, chunks: impl Iterator<Item = u64>) {
        let mut state = self.state();
        state.archive.waiting_chunks = 0;
        state.archive.waiting_bytes = 0;
        for bytes in chunks {
            state.archive.waiting_chunks += 1;
            state.archive.waiting_bytes += bytes;
        }
        state.output = output;
        state.done_bytes = 0;
        progress::begin(state.archive.waiting_bytes);
        self.note(&mut state);
    }

    /// Some of it has gone: the archiver is alive.
    pub fn moves(&self) {
        let mut state = self.state();
        if state.noted.is_none_or(|noted| noted.elapsed() >= PERIOD) {
            self.note(&mut state);
        }
    }

    /// A chunk of so many bytes waits no longer.
    pub fn done(&self, bytes: u64) {
        let mut state = self.state();
        let archive = &mut state.archive;
        archive.waiting_chunks = archive.waiting_chunks.saturating_sub(1);
        archive.waiting_bytes = archive.waiting_bytes.saturating_sub(bytes);
        state.done_bytes += bytes;
        progress::reach(state.done_bytes);
        self.note(&mut state);
    }

    /// Chunks that failed wait for the next pass.
    pub fn end_pass(&self, failed: u64) {
        progress::end();
        let mut state = self.state();
        state.archive.failing_chunks = failed;
        self.note(&mut state);
    }

    fn note(&self, state: &mut State) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        state.archive.looked_s = now.map_or(0, |now| now.as_secs());
        state.noted = Some(Instant::now());
        let archive = &state.archive;
        let store = |to: &std::sync::atomic::AtomicU64, it| to.store(it, Ordering::Relaxed);
        store(&self.counts.waiting, archive.waiting_chunks);
        store(&self.counts.waiting_bytes, archive.waiting_bytes);
        if let Some(output) = &state.output {
            // Without one the relay shows nothing; where none can be written, marks fail and say so.
            let _ = baton::note(output, archive);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time between two notes while a chunk is uploaded.
const PERIOD: Duration = Duration::from_secs(5);
