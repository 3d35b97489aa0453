//! The ledger: disk space of each chunk and file that this relay made, in bytes of
//! allocated blocks.
//!
//! Sizes are arithmetic: written bytes, rounded up to blocks. So they need no call for
//! each packet, and are the same in a replay. Files of earlier runs are counted by the
//! survey, as the file system says.
//!
//! Only data: nothing here knows records or the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_components::chunk::FileOfStream;
use baton_components::keys::ChunkKey;
use baton_components::limits::{LIST_ENTRIES_MIN, LIST_ENTRIES_PER_FILE};
use baton_components::path::RelativePath;
use baton_components::steps;
use rustc_hash::FxHashMap;

use crate::lists::Entry;

/// Sizes are rounded up to this many bytes. File systems with larger blocks are rare, and
/// those with smaller ones count less than is shown.
pub const BLOCK_BYTES: u64 = 4096;

/// Disk space of a file of so many bytes.
pub fn allocated(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// The number of a chunk in the ledger, and of its list on disk.
pub type ChunkNumber = u64;

/// When something was finished, to be ordered: all that earlier runs left comes before all
/// of this run, whatever the clock said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finished {
    /// By an earlier run, in seconds since 1970.
    Before(u64),
    /// In this run: how many were finished before it, and when (monotonic).
    Now(u64, Duration),
}

/// A file of a stream in a chunk that is recorded, with its index.
#[derive(Clone, Debug)]
pub struct Piece {
    pub chunk: ChunkNumber,
    /// Data and index, below the chunk's directory.
    pub names: Vec<RelativePath>,
    /// Bytes of packets or metadata.
    pub content_bytes: u64,
    pub packets: u64,
    /// None: it is being written, or is metadata, and stays.
    pub finished: Option<Finished>,
}

impl Piece {
    /// Bytes of allocated blocks.
    pub fn bytes(&self) -> u64 {
        let index = match self.packets {
            0 => 0,
            packets => allocated(INDEX_HEADER_BYTES + packets * INDEX_RECORD_BYTES),
        };
        allocated(self.content_bytes) + index
    }
}

/// Sizes in index files of the latest version; earlier ones are smaller.
const INDEX_HEADER_BYTES: u64 = 16;
const INDEX_RECORD_BYTES: u64 = 72;

/// A chunk that is recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Weak.
    pub chunk: ChunkKey,
    pub session: RelativePath,
    /// Its directory, as its list on disk has it.
    pub directory: RelativePath,
    pub files: BTreeSet<FileOfStream>,
    /// Directories that files were made in, below its own.
    pub directories: BTreeSet<RelativePath>,
    /// Entries of its list.
    pub entries: u64,
}

impl Recorded {
    /// Most of its list is of files that are gone.
    pub fn has_long_list(&self) -> bool {
        let least = self.files.len() as u64 * LIST_ENTRIES_PER_FILE;
        self.entries > least.max(LIST_ENTRIES_MIN)
    }
}

/// A chunk to which nothing is added any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub session: RelativePath,
    pub bytes: u64,
    /// Those that this run has recorded.
    pub packets: u64,
    pub finished: Finished,
    /// An archive elsewhere has it.
    pub is_archived: bool,
    /// A user wants it to be kept.
    pub is_pinned: bool,
    /// Files of streams that viewers may still read.
    pub files: Vec<FileOfStream>,
}

impl Closed {
    /// The order in which chunks go.
    fn rank(&self, number: ChunkNumber) -> Rank {
        (!self.is_archived, self.finished, number)
    }
}

type Rank = (bool, Finished, ChunkNumber);

/// Whether a chunk goes before all files and chunks of sessions that are recorded.
fn is_first((is_not_archived, ..): &Rank, is_over: bool) -> bool {
    is_over || !is_not_archived
}

/// The account of a session: its files and chunks on disk.
#[derive(Debug, Default)]
pub struct Account {
    pub bytes: u64,
    /// Chunks that are recorded: none if it is over.
    pub recorded: BTreeSet<ChunkNumber>,
    /// Closed chunks that may go, in the order in which they do.
    pub closed: BTreeSet<Rank>,
    /// Files that may go.
    pub files: BTreeSet<(Finished, FileOfStream)>,
    /// Its place among [`Ledger::rotated`], if it is there.
    place: Option<u64>,
}

impl Account {
    pub fn is_over(&self) -> bool {
        self.recorded.is_empty()
    }
}

#[derive(Debug, Default)]
pub struct Ledger {
    used: u64,
    recorded: BTreeMap<ChunkNumber, Recorded>,
    closed: BTreeMap<ChunkNumber, Closed>,
    pieces: FxHashMap<FileOfStream, Piece>,
    accounts: BTreeMap<RelativePath, Account>,
    /// Closed chunks that an archive has or whose session is over, in the order in which they
    /// go.
    first: BTreeSet<Rank>,
    /// The other closed chunks, oldest first.
    later: BTreeSet<Rank>,
    /// Sessions that are recorded and have closed chunks, by their bytes.
    rotated: BTreeSet<(u64, RelativePath)>,
    /// Finished files of chunks that are recorded, oldest first.
    files: BTreeSet<(Finished, FileOfStream)>,
    finished: u64,
}

impl Ledger {
    /// Bytes of all that is listed.
    pub fn used(&self) -> u64 {
        self.used
    }

    pub fn accounts(&self) -> &BTreeMap<RelativePath, Account> {
        &self.accounts
    }

    pub fn account(&self, session: &RelativePath) -> Option<&Account> {
        steps::count();
        self.accounts.get(session)
    }

    pub fn closed(&self, number: ChunkNumber) -> Option<&Closed> {
        self.closed.get(&number)
    }

    pub fn closed_chunks(&self) -> impl Iterator<Item = (&ChunkNumber, &Closed)> {
        self.closed.iter()
    }

    pub fn recorded(&self, number: ChunkNumber) -> Option<&Recorded> {
        self.recorded.get(&number)
    }

    pub fn recorded_mut(&mut self, number: ChunkNumber) -> Option<&mut Recorded> {
        self.recorded.get_mut(&number)
    }

    pub fn piece(&self, file: FileOfStream) -> Option<&Piece> {
        self.pieces.get(&file)
    }

    /// The first chunk to go of those that an archive has, or whose session is over.
    pub fn first_chunk(&self) -> Option<(ChunkNumber, &Closed)> {
        let (.., number) = self.first.first()?;
        Some((*number, &self.closed[number]))
    }

    /// The oldest chunk of the other ones.
    pub fn later_chunk(&self) -> Option<(ChunkNumber, &Closed)> {
        let (.., number) = self.later.first()?;
        Some((*number, &self.closed[number]))
    }

    /// The first file to go of chunks that are recorded.
    pub fn first_file(&self) -> Option<(Finished, FileOfStream)> {
        self.files.first().copied()
    }

    /// The largest of the sessions that are recorded and have closed chunks.
    pub fn largest_rotated(&self) -> Option<&Account> {
        let (_, session) = self.rotated.last()?;
        self.account(session)
    }

    /// All that the list of a chunk has to say now.
    pub fn entries(&self, number: ChunkNumber) -> Vec<Entry> {
        let Some(recorded) = self.recorded(number) else {
            return Vec::new();
        };
        let mut entries = vec![
            Entry::Session(recorded.session.clone()),
            Entry::Directory(recorded.directory.clone()),
        ];
        entries.extend(recorded.directories.iter().cloned().map(Entry::Made));
        let pieces = recorded.files.iter().filter_map(|file| self.piece(*file));
        let names = pieces.flat_map(|piece| &piece.names);
        entries.extend(names.cloned().map(Entry::File));
        entries
    }

    /// A chunk is begun.
    pub fn begin(&mut self, number: ChunkNumber, chunk: ChunkKey, session: &RelativePath) {
        let account = self.accounts.entry(session.clone()).or_default();
        let was_over = account.is_over();
        account.recorded.insert(number);
        if was_over {
            let stays = |rank: &&Rank| !is_first(rank, false);
            for rank in account.closed.iter().filter(stays) {
                self.first.remove(rank);
                self.later.insert(*rank);
            }
        }
        self.place(session);
        let recorded = Recorded {
            chunk,
            session: session.clone(),
            directory: RelativePath::root(),
            files: BTreeSet::new(),
            directories: BTreeSet::new(),
            entries: 0,
        };
        self.recorded.insert(number, recorded);
    }

    /// A file of a chunk is made, or the index beside one.
    pub fn make(&mut self, chunk: ChunkNumber, file: FileOfStream, name: RelativePath) {
        let Some(recorded) = self.recorded.get_mut(&chunk) else {
            return;
        };
        recorded.files.insert(file);
        recorded
            .directories
            .extend(name.parent().filter(|it| !it.is_root()));
        let piece = self.pieces.entry(file).or_insert_with(|| Piece {
            chunk,
            names: Vec::new(),
            content_bytes: 0,
            packets: 0,
            finished: None,
        });
        piece.names.push(name);
    }

    /// Packets or metadata were added to a file.
    pub fn add(&mut self, file: FileOfStream, content_bytes: u64, packets: u64) {
        let Some(piece) = self.pieces.get_mut(&file) else {
            return;
        };
        let before = piece.bytes();
        piece.content_bytes += content_bytes;
        piece.packets += packets;
        let (chunk, after) = (piece.chunk, piece.bytes());
        self.change(chunk, before, after);
    }

    fn change(&mut self, chunk: ChunkNumber, before: u64, after: u64) {
        let recorded = self.recorded.get(&chunk);
        let account = recorded.and_then(|it| self.accounts.get_mut(&it.session));
        if let (Some(account), Some(recorded)) = (account, recorded) {
            account.bytes = account.bytes + after - before;
            self.used = self.used + after - before;
            let session = recorded.session.clone();
            self.place(&session);
        }
    }

    /// Gives a session that has changed its place among [`Ledger::rotated`].
    fn place(&mut self, session: &RelativePath) {
        let Some(account) = self.accounts.get_mut(session) else {
            return;
        };
        let is_rotated = !account.is_over() && !account.closed.is_empty();
        let place = is_rotated.then_some(account.bytes);
        if place == account.place {
            return;
        }
        if let Some(before) = std::mem::replace(&mut account.place, place) {
            self.rotated.remove(&(before, session.clone()));
        }
        self.rotated
            .extend(place.map(|place| (place, session.clone())));
    }

    /// Nothing is added to a data file any more.
    pub fn finish(&mut self, file: FileOfStream, now: Duration) {
        let finished = self.stamp(now);
        let piece = self.pieces.get_mut(&file);
        let Some(piece) = piece.filter(|piece| piece.finished.is_none()) else {
            return;
        };
        piece.finished = Some(finished);
        let recorded = self.recorded.get(&piece.chunk);
        if let Some(account) = recorded.and_then(|it| self.accounts.get_mut(&it.session)) {
            account.files.insert((finished, file));
            self.files.insert((finished, file));
        }
    }

    /// For what is finished now.
    pub fn stamp(&mut self, now: Duration) -> Finished {
        self.finished += 1;
        Finished::Now(self.finished, now)
    }

    /// A file may not go after all.
    pub fn keep(&mut self, file: FileOfStream) {
        let piece = self.pieces.get_mut(&file);
        let Some((finished, chunk)) = piece.and_then(|it| Some((it.finished.take()?, it.chunk)))
        else {
            return;
        };
        self.files.remove(&(finished, file));
        let recorded = self.recorded.get(&chunk);
        if let Some(account) = recorded.and_then(|it| self.accounts.get_mut(&it.session)) {
            account.files.remove(&(finished, file));
        }
    }

    /// A file of a recorded chunk is not there any more.
    pub fn take_file(&mut self, file: FileOfStream) -> Option<Piece> {
        let kept = self.pieces.get(&file)?.clone();
        self.keep(file);
        self.pieces.remove(&file);
        self.change(kept.chunk, kept.bytes(), 0);
        if let Some(recorded) = self.recorded.get_mut(&kept.chunk) {
            recorded.files.remove(&file);
        }
        Some(kept)
    }

    /// A chunk is recorded no more. Gives it with its bytes and packets; [`Ledger::close`] may
    /// follow.
    pub fn end(&mut self, number: ChunkNumber) -> Option<(Recorded, u64, u64)> {
        let files = self.recorded.get(&number)?.files.clone();
        let (mut bytes, mut packets) = (0, 0);
        for file in &files {
            if let Some(piece) = self.take_file(*file) {
                bytes += piece.bytes();
                packets += piece.packets;
            }
        }
        let mut recorded = self.recorded.remove(&number)?;
        recorded.files = files;
        if let Some(account) = self.accounts.get_mut(&recorded.session) {
            account.recorded.remove(&number);
            if account.is_over() {
                self.first.extend(&account.closed);
                for rank in &account.closed {
                    self.later.remove(rank);
                }
            }
        }
        self.place(&recorded.session);
        self.forget_if_empty(&recorded.session);
        Some((recorded, bytes, packets))
    }

    /// A closed chunk is there; or is known better than before.
    pub fn close(&mut self, number: ChunkNumber, chunk: Closed) {
        self.take_chunk(number);
        let account = self.accounts.entry(chunk.session.clone()).or_default();
        account.bytes += chunk.bytes;
        self.used += chunk.bytes;
        if !chunk.is_pinned {
            let rank = chunk.rank(number);
            account.closed.insert(rank);
            let line = if is_first(&rank, account.is_over()) {
                &mut self.first
            } else {
                &mut self.later
            };
            line.insert(rank);
        }
        self.place(&chunk.session);
        self.closed.insert(number, chunk);
    }

    /// A closed chunk is not there any more.
    pub fn take_chunk(&mut self, number: ChunkNumber) -> Option<Closed> {
        let chunk = self.closed.remove(&number)?;
        let rank = chunk.rank(number);
        self.first.remove(&rank);
        self.later.remove(&rank);
        if let Some(account) = self.accounts.get_mut(&chunk.session) {
            account.bytes -= chunk.bytes;
            self.used -= chunk.bytes;
            account.closed.remove(&rank);
        }
        self.place(&chunk.session);
        self.forget_if_empty(&chunk.session);
        Some(chunk)
    }

    fn forget_if_empty(&mut self, session: &RelativePath) {
        let account = self.accounts.get(session);
        if account.is_some_and(|it| it.is_over() && it.closed.is_empty() && it.bytes == 0) {
            self.accounts.remove(session);
        }
    }
}
