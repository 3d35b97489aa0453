//! Lanes: what is written to the files of a session, in order, by a worker.
//!
//! Small writes gather here, and those that follow each other in a file become one. They are
//! handed to the workers when there are many, and with each commit. The bytes of large packets
//! are already in a pipe then, and go from there to the file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_components::keys::FileKey;
use baton_components::limits::COMMIT_BYTES;
use baton_systems::ports::StorageError;
use baton_systems::requests::{Breakage, Lane, Outcome};
use rustc_hash::FxHashMap;

use super::buffers::Buffers;
use super::copy::copy;
use super::counters::Counters;
use super::files::failure;
use super::pipe::{Pipe, Pipes};

/// Whether a file is broken, and why. Its worker and the relay's thread share it.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Box<Breakage>>>);

impl Health {
    /// The breakage of the file, if it is broken.
    pub fn breakage(&self) -> Option<Breakage> {
        self.state().as_deref().cloned()
    }

    fn state(&self) -> MutexGuard<'_, Option<Box<Breakage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is written to.
#[derive(Clone, Debug)]
pub struct Target {
    /// An error: it could not be opened, which breaks it when its turn comes.
    pub file: Result<Arc<File>, StorageError>,
    pub health: Arc<Health>,
}

/// Something that is written to one file.
#[derive(Debug)]
pub enum Operation {
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    /// The next bytes of the pipe.
    Pour {
        offset: u64,
        bytes: u64,
    },
    Copy {
        from: Target,
        range: Range<u64>,
        offset: u64,
    },
    Resize(u64),
    Restore(u64),
}

/// Operations on the files of a lane, in order.
#[derive(Debug, Default)]
pub struct Operations {
    list: Vec<(Target, Operation)>,
    /// The bytes of all that pour, in their order. None: there are none.
    pipe: Option<Pipe>,
}

impl Operations {
    /// Number of bytes that they write, with those that they copy.
    pub fn bytes(&self) -> u64 {
        let bytes = |operation: &Operation| match operation {
            Operation::Copy { range, .. } => range.end - range.start,
            others => others.bytes(),
        };
        self.list.iter().map(|(_, it)| bytes(it)).sum()
    }
}

/// The end of what was written to a file, for a commit.
#[derive(Debug)]
pub struct End {
    pub data: FileKey,
    pub health: Arc<Health>,
    /// The index file, and what is written to it, where.
    pub index: Option<(Target, u64, Vec<u8>)>,
}

/// Operations that wait to be handed to a worker.
#[derive(Debug, Default)]
pub struct Lanes {
    gathered: FxHashMap<Lane, Gathered>,
    pub pools: Pools,
}

/// Places for bytes that wait, for those who write them to give back.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    pipes: Pipes,
    buffers: Buffers,
}

#[derive(Debug, Default)]
struct Gathered {
    operations: Operations,
    /// The place of the last operation that has to do with a file.
    last: FxHashMap<FileKey, usize>,
    bytes: u64,
}

impl Lanes {
    /// Adds an operation on a file, which may read another one. Gives those that are to be handed
    /// over, if there are many.
    pub fn add(
        &mut self,
        lane: Lane,
        (key, target): (FileKey, Target),
        operation: Operation,
        reads: Option<FileKey>,
    ) -> Option<Operations> {
        let gathered = self.gathered.entry(lane).or_default();
        gathered.bytes += operation.bytes();
        let list = &mut gathered.operations.list;
        let at = list.len();
        list.push((target, operation));
        for key in [Some(key), reads].into_iter().flatten() {
            gathered.last.insert(key, at);
        }
        self.take_if_many(lane)
    }

    /// Adds bytes that are written to a file. Gives what is to be handed over.
    pub fn write(
        &mut self,
        lane: Lane,
        (key, target): (FileKey, Target),
        offset: u64,
        bytes: &[u8],
    ) -> Option<Operations> {
        if let Some(gathered) = self.gathered.get_mut(&lane)
            && let Some(Operation::Write {
                offset: begin,
                bytes: before,
            }) = gathered.last_of(key)
            && *begin + before.len() as u64 == offset
        {
            before.extend_from_slice(bytes);
            gathered.bytes += bytes.len() as u64;
            return self.take_if_many(lane);
        }
        let mut buffer = self.pools.buffers.take();
        buffer.extend_from_slice(bytes);
        let bytes = buffer;
        self.add(
            lane,
            (key, target),
            Operation::Write { offset, bytes },
            None,
        )
    }

    /// Takes bytes from a socket into a pipe. Gives how many, and what is to be handed over.
    pub fn take(
        &mut self,
        lane: Lane,
        (key, target): (FileKey, Target),
        offset: u64,
        (socket, length): (BorrowedFd<'_>, u64),
    ) -> (u64, Option<Operations>) {
        let gathered = self.gathered.entry(lane).or_default();
        let pipe = &mut gathered.operations.pipe;
        if pipe.is_none() {
            *pipe = self.pools.pipes.take();
        }
        let taken = pipe.as_mut().map_or(0, |pipe| pipe.fill(socket, length));
        if taken == 0 {
            if gathered.operations.list.is_empty() {
                let unused = self.gathered.remove(&lane);
                self.pools
                    .give_back(unused.and_then(|it| it.operations.pipe));
            }
            return (0, None);
        }
        if let Some(Operation::Pour {
            offset: begin,
            bytes,
        }) = gathered.newest_if_of(key)
            && *begin + *bytes == offset
        {
            *bytes += taken;
            gathered.bytes += taken;
            return (taken, self.take_if_many(lane));
        }
        let bytes = taken;
        let pour = Operation::Pour { offset, bytes };
        (taken, self.add(lane, (key, target), pour, None))
    }

    /// All that waits of a lane.
    pub fn take_all(&mut self, lane: Lane) -> Operations {
        let gathered = self.gathered.remove(&lane);
        gathered.map_or_else(Operations::default, |gathered| gathered.operations)
    }

    /// All that waits of a lane, if some of it has to do with a file.
    pub fn take_if_of(&mut self, lane: Lane, key: FileKey) -> Option<Operations> {
        let gathered = self.gathered.get(&lane)?;
        let is_of = gathered.last.contains_key(&key);
        is_of.then(|| self.take_all(lane))
    }

    fn take_if_many(&mut self, lane: Lane) -> Option<Operations> {
        let gathered = self.gathered.get(&lane)?;
        (gathered.bytes >= COMMIT_BYTES).then(|| self.take_all(lane))
    }
}

impl Pools {
    fn give_back(&self, pipe: Option<Pipe>) {
        if let Some(pipe) = pipe {
            self.pipes.give_back(pipe);
        }
    }

    /// Frees what is not in use.
    pub fn free_idle(&self) {
        self.pipes.close_idle();
        self.buffers.free_idle();
    }
}

impl Gathered {
    /// The last operation on a file.
    fn last_of(&mut self, key: FileKey) -> Option<&mut Operation> {
        let (_, operation) = self.operations.list.get_mut(*self.last.get(&key)?)?;
        Some(operation)
    }

    /// The last operation of all, if it is on this file.
    fn newest_if_of(&mut self, key: FileKey) -> Option<&mut Operation> {
        let is_newest = *self.last.get(&key)? + 1 == self.operations.list.len();
        is_newest.then(|| self.last_of(key))?
    }
}

/// Does operations in their order. One that fails breaks its file, and those after it on the same
/// file are skipped, until one restores it.
pub fn act(operations: Operations, pools: &Pools, counters: &Counters) {
    let Operations { list, mut pipe } = operations;
    for (Target { file, health }, operation) in list {
        let is_skipped = health.breakage().is_some() && !matches!(operation, Operation::Restore(_));
        match file {
            Ok(file) if !is_skipped => {
                let done = operation.act_on(&file, &mut pipe, pools, counters);
                *health.state() = done.err().map(Box::new);
            }
            Err(error) if !is_skipped => {
                let sound = operation.begin();
                operation.skip(&mut pipe, pools);
                *health.state() = Some(Box::new(Breakage { sound, error }));
            }
            _ => {
                // Later packets may be where earlier ones were cut off.
                if let Some(breakage) = &mut *health.state() {
                    breakage.sound = breakage.sound.min(operation.begin());
                }
                operation.skip(&mut pipe, pools);
            }
        }
    }
    pools.give_back(pipe);
}

impl Operation {
    fn act_on(
        self,
        file: &File,
        pipe: &mut Option<Pipe>,
        pools: &Pools,
        counters: &Counters,
    ) -> Result<(), Breakage> {
        let mut at = self.begin();
        let (action, done) = match self {
            Self::Write { bytes, .. } => {
                let written = counters.time_write(|| write(file, &bytes, &mut at));
                pools.buffers.give_back(bytes);
                ("write to", written)
            }
            Self::Pour { bytes, .. } => {
                let (pipe, end) = (pipe.get_or_insert_default(), at + bytes);
                let poured = counters.time_write(|| pipe.empty_into(file, &mut at, end));
                ("write to", poured)
            }
            Self::Copy { from, range, .. } => {
                let copied = match (from.health.breakage(), from.file) {
                    (Some(Breakage { error, .. }), _) | (None, Err(error)) => Err(error),
                    (None, Ok(from)) => Ok(copy(&from, range, file, at)),
                };
                let copied = copied.map_err(|error| Breakage { sound: at, error })?;
                ("write to", copied)
            }
            Self::Resize(size) | Self::Restore(size) => ("resize", file.set_len(size)),
        };
        done.map_err(|reason| Breakage {
            sound: at,
            error: failure(action, &reason),
        })
    }

    /// The offset from which it changes the file, as far as packets are concerned: one that ends
    /// with its padding is not whole before.
    fn begin(&self) -> u64 {
        match self {
            Self::Write { offset, .. } | Self::Pour { offset, .. } | Self::Copy { offset, .. } => {
                *offset
            }
            Self::Resize(size) => size.saturating_sub(1),
            Self::Restore(_) => 0,
        }
    }

    /// Does not do it.
    fn skip(self, pipe: &mut Option<Pipe>, pools: &Pools) {
        match self {
            Self::Write { bytes, .. } => pools.buffers.give_back(bytes),
            Self::Pour { bytes, .. } => {
                if let Some(pipe) = pipe {
                    pipe.drop_bytes(bytes);
                }
            }
            Self::Copy { .. } | Self::Resize(_) | Self::Restore(_) => {}
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            Self::Pour { bytes, .. } => *bytes,
            Self::Copy { .. } | Self::Resize(_) | Self::Restore(_) => 0,
        }
    }
}

/// Writes all bytes at an offset, which goes on with what was written.
fn write(file: &File, mut bytes: &[u8], at: &mut u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, *at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                *at += written as u64;
            }
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
            Err(reason) => return Err(reason),
        }
    }
    Ok(())
}

/// Writes the index records of a commit, and tells of which files something is missing.
pub fn commit(ends: Vec<End>, counters: &Counters) -> Outcome {
    let mut failed = Vec::new();
    for End {
        data,
        health,
        index,
    } in ends
    {
        let mut breakage = health.breakage();
        if let (None, Some((index, offset, bytes))) = (&breakage, index) {
            let write = Operation::Write { offset, bytes };
            let health = Arc::clone(&index.health);
            let operations = Operations {
                list: vec![(index, write)],
                pipe: None,
            };
            act(operations, &Pools::default(), counters);
            breakage = health.breakage().map(Breakage::of_index);
        }
        failed.extend(breakage.map(|breakage| (data, breakage)));
    }
    Outcome::Committed { failed }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use baton_systems::ports::StorageErrorKind;
    use slotmap::SlotMap;

    use super::*;

    struct Test {
        lanes: Lanes,
        keys: SlotMap<FileKey, ()>,
    }

    const LANE: Lane = Lane(1);

    impl Test {
        fn new() -> Self {
            Self {
                lanes: Lanes::default(),
                keys: SlotMap::default(),
            }
        }

        fn file(&mut self) -> (FileKey, Target) {
            let file = Arc::new(tempfile::tempfile().unwrap());
            let health = Arc::default();
            let file = Ok(file);
            (self.keys.insert(()), Target { file, health })
        }

        /// Does all that waits; gives how many operations that were.
        fn act(&mut self) -> usize {
            let operations = self.lanes.take_all(LANE);
            let count = operations.list.len();
            act(operations, &self.lanes.pools, &Counters::default());
            count
        }
    }

    fn content(target: &Target) -> Vec<u8> {
        let file = target.file.as_ref().unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn writes_that_follow_each_other_in_a_file_become_one() {
        let mut test = Test::new();
        let (one, other) = (test.file(), test.file());
        for at in 0..3 {
            for file in [&one, &other] {
                let many = test.lanes.write(LANE, file.clone(), 2 * at, b"ab");
                assert!(many.is_none());
            }
        }
        // The copy has what was written before it.
        let copy = Operation::Copy {
            from: one.1.clone(),
            range: 0..2,
            offset: 6,
        };
        test.lanes.add(LANE, other.clone(), copy, Some(one.0));
        test.lanes.write(LANE, one.clone(), 6, b"c");
        assert_eq!(test.act(), 4);
        assert_eq!(content(&one.1), b"abababc");
        assert_eq!(content(&other.1), b"abababab");
    }

    #[test]
    fn payloads_of_several_files_share_a_pipe() {
        let mut test = Test::new();
        let (one, other) = (test.file(), test.file());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let broken = Target {
            file: Ok(Arc::new(full)),
            health: Arc::default(),
        };
        let broken = (test.keys.insert(()), broken);
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let take = |lanes: &mut Lanes, file: &(FileKey, Target), at, length| {
            let from = (near.as_fd(), length);
            lanes.take(LANE, file.clone(), at, from).0
        };
        assert_eq!(take(&mut test.lanes, &one, 0, 9), 0, "nothing has come");
        far.write_all(b"aabblostcccc").unwrap();
        assert_eq!(take(&mut test.lanes, &one, 0, 2), 2);
        assert_eq!(take(&mut test.lanes, &other, 0, 2), 2);
        // The first part finds the file broken, the second is skipped.
        assert_eq!(take(&mut test.lanes, &broken, 0, 2), 2);
        test.lanes.write(LANE, broken.clone(), 2, b"here");
        assert_eq!(take(&mut test.lanes, &broken, 6, 2), 2);
        assert_eq!(take(&mut test.lanes, &one, 2, 1), 1);
        assert_eq!(take(&mut test.lanes, &one, 3, 9), 3);
        assert_eq!(test.lanes.pools.pipes.used(), 1);
        assert_eq!(test.act(), 6);
        assert_eq!(content(&one.1), b"aacccc");
        assert_eq!(content(&other.1), b"bb");
        assert!(broken.1.health.breakage().is_some());
        assert_eq!(test.lanes.pools.pipes.used(), 0);
    }

    #[test]
    fn what_waits_of_a_file_that_is_closed_is_handed_over() {
        let mut test = Test::new();
        let (one, other) = (test.file(), test.file());
        test.lanes.write(LANE, one.clone(), 0, b"one");
        assert!(test.lanes.take_if_of(LANE, other.0).is_none());
        let left = test.lanes.take_if_of(LANE, one.0);
        assert_eq!(left.map(|it| it.list.len()), Some(1));
        assert_eq!(test.act(), 0);
    }

    #[test]
    fn many_bytes_are_handed_over_at_once() {
        let mut test = Test::new();
        let file = test.file();
        let bytes = vec![7; COMMIT_BYTES as usize - 1];
        assert!(test.lanes.write(LANE, file.clone(), 0, &bytes).is_none());
        let many = test.lanes.write(LANE, file, COMMIT_BYTES - 1, b"!");
        assert_eq!(many.map(|it| it.list.len()), Some(1));
        assert_eq!(test.act(), 0);
    }

    #[test]
    fn padding_that_cannot_be_added_costs_its_own_packet_alone() {
        let mut test = Test::new();
        let (key, Target { health, .. }) = test.file();
        // A device has no size.
        let device = File::options().write(true).open("/dev/full").unwrap();
        let file = Ok(Arc::new(device));
        let target = Target { file, health };
        let padding = Operation::Resize(100);
        test.lanes.add(LANE, (key, target.clone()), padding, None);
        test.act();
        assert_eq!(target.health.breakage().map(|it| it.sound), Some(99));
    }

    #[test]
    fn a_packet_where_a_torn_one_was_cut_off_is_not_taken_for_written() {
        let mut test = Test::new();
        let (key, Target { health, .. }) = test.file();
        let device = File::options().write(true).open("/dev/full").unwrap();
        let file = Ok(Arc::new(device));
        let full = (key, Target { file, health });
        test.lanes.write(LANE, full.clone(), 100, b"torn");
        test.act();
        test.lanes
            .add(LANE, full.clone(), Operation::Resize(51), None);
        test.lanes.write(LANE, full.clone(), 51, b"another");
        test.act();
        assert_eq!(full.1.health.breakage().map(|it| it.sound), Some(50));
    }

    #[test]
    fn a_file_that_has_failed_takes_nothing_before_it_is_restored() {
        let mut test = Test::new();
        let (full, other) = (test.file(), test.file());
        let device = File::options().write(true).open("/dev/full").unwrap();
        let broken = Target {
            file: Ok(Arc::new(device)),
            health: Arc::clone(&full.1.health),
        };
        test.lanes.write(LANE, full.clone(), 0, b"one");
        test.lanes.write(LANE, other.clone(), 0, b"other");
        assert_eq!(test.act(), 2);
        test.lanes.write(LANE, (full.0, broken), 3, b"lost");
        test.act();
        test.lanes.write(LANE, full.clone(), 3, b"skipped");
        test.act();
        let end = |(data, target): &(FileKey, Target)| End {
            data: *data,
            health: Arc::clone(&target.health),
            index: None,
        };
        let outcome = commit(vec![end(&full), end(&other)], &Counters::default());
        let Outcome::Committed { failed } = outcome else {
            panic!("{outcome:?}");
        };
        let failed = failed
            .iter()
            .map(|(file, it)| (*file, it.sound, it.error.kind));
        let failed: Vec<_> = failed.collect();
        assert_eq!(failed, [(full.0, 3, StorageErrorKind::Full)]);
        assert_eq!(content(&full.1), b"one");
        let restore = Operation::Restore(3);
        test.lanes.add(LANE, full.clone(), restore, None);
        test.lanes.write(LANE, full.clone(), 3, b"two");
        test.act();
        assert_eq!(content(&full.1), b"onetwo");
    }
}
