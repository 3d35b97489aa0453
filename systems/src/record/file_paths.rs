//! The paths of a stream's files, and the creation of files and directories.

use std::convert::Infallible;
use std::iter;

use baton_components::chunk::{Chunk, FileOfStream};
use baton_components::costs::LEVELS_MADE_AT_ONCE;
use baton_components::file::File;
use baton_components::keys::{ChunkKey, FileKey, StreamKey};
use baton_components::path::RelativePath;
use baton_components::shares::Asset;
use baton_components::stream::Stream;
use baton_components::trace_file::INDEX_ENDING;

use super::places;
use crate::entities::Entities;
use crate::facts::{Made, NameFact};
use crate::ports::{StorageError, StorageErrorKind, StoragePort};
use crate::requests::Lane;

/// Directory of index files, beside the data files.
const INDEX_DIRECTORY: &[u8] = b"index";

/// The target of a file.
#[derive(Clone)]
pub struct FilePath {
    made: FileOfStream,
    is_metadata: bool,
    pub chunk: ChunkKey,
    /// Below the chunk's directory.
    directory: RelativePath,
    name: Vec<u8>,
}

/// Chooses the name of a stream's next file: that of its channel, with a number if another
/// stream of the chunk has that name, so that a file is replaced by its own stream only. (A
/// trace has one metadata file.)
pub fn choose_name(entities: &mut Entities, key: StreamKey) {
    let stream = entities.streams.get(key);
    let Some(stream) = stream.filter(|stream| !stream.is_metadata()) else {
        return;
    };
    let Some(chunk) = &stream.chunk else {
        return;
    };
    let directory = &entities.traces[&stream.trace].path;
    let files = &entities.chunks[chunk].files;
    let is_free = |namesake| {
        let owner = files.get(&named(directory, &name(stream, namesake)));
        owner.is_none_or(|owner| owner.stream == key)
    };
    if !is_free(stream.rare().namesake) {
        let Ok(free) = places::free_after(stream.rare().namesake, |it| {
            Ok::<_, Infallible>(is_free(it))
        });
        if let Some(stream) = entities.streams.get_mut(key) {
            stream.rare_mut().namesake = free;
        }
    }
}

/// The name of a stream's current data file.
fn name(stream: &Stream, namesake: u64) -> Vec<u8> {
    let number = stream.rare().limit.as_ref().map(|limit| limit.file_number);
    match namesake {
        1 => numbered(&stream.channel, number),
        namesake => {
            let channel = [&*stream.channel, format!("-{namesake}").as_bytes()].concat();
            numbered(&channel, number)
        }
    }
}

impl FilePath {
    /// The path of a stream's current data file, which has that ordinal; none if the stream
    /// has no chunk.
    pub fn current(entities: &Entities, key: StreamKey, ordinal: u64) -> Option<Self> {
        let stream = entities.streams.get(key)?;
        let chunk = stream.chunk.as_ref()?;
        Some(Self {
            made: FileOfStream {
                stream: key,
                ordinal,
            },
            is_metadata: stream.is_metadata(),
            chunk: chunk.key(),
            directory: entities.traces[&stream.trace].path.clone(),
            name: name(stream, stream.rare().namesake),
        })
    }

    /// From a data file to the index beside it.
    pub fn of_index(&self) -> Self {
        let mut path = self.clone();
        path.directory = named(&self.directory, INDEX_DIRECTORY);
        path.name.extend_from_slice(INDEX_ENDING);
        path
    }

    /// Below the chunk's directory.
    pub fn path(&self) -> RelativePath {
        named(&self.directory, &self.name)
    }
}

/// Unlinks an earlier data file of the same name, and its index, which would not match the
/// new file. (Viewers go on reading them.)
pub fn remove_old(
    entities: &mut Entities,
    storage: &mut StoragePort,
    data: &FilePath,
) -> Result<(), StorageError> {
    let index = data.of_index();
    let Entities { chunks, names, .. } = entities;
    let chunk = chunks
        .get_mut(data.chunk)
        .expect("law of holds: a stream holds its chunk");
    let directory = chunk.directory();
    for (path, of_any) in [(index.path(), false), (data.path(), data.is_metadata)] {
        let owner = chunk.files.get(&path);
        if owner.is_some_and(|owner| of_any || owner.stream == data.made.stream) {
            storage.remove_file(&directory.join(&path))?;
            if let Some(file) = chunk.files.remove(&path) {
                names.push(|| NameFact::Removed(file));
            }
        }
    }
    Ok(())
}

/// The name of a data file: with its number if the stream's files are limited.
pub fn numbered(name: &[u8], number: Option<u64>) -> Vec<u8> {
    let mut name = name.to_vec();
    if let Some(number) = number {
        name.extend_from_slice(format!("_{number}").as_bytes());
    }
    name
}

/// Creates a file and its directory; the record is owned by the caller until it has a
/// holder.
pub fn create(
    entities: &mut Entities,
    storage: &mut StoragePort,
    file: &FilePath,
) -> Result<FileKey, StorageError> {
    let chunk = entities
        .chunks
        .get_mut(file.chunk)
        .expect("law of holds: a stream holds its chunk");
    let chunk_directory = chunk.directory();
    let directory = chunk_directory.join(&file.directory);
    let names = chunk.files.len() + chunk.directories.len();
    if names as u64 >= entities.shares.limit(Asset::NamesOfChunk) {
        return Err(StorageError {
            kind: StorageErrorKind::Bound,
            action: "make a file in".into(),
            path: directory.to_string(),
            reason: format!("the chunk has {names} names, the maximum"),
        });
    }
    make_directories(storage, chunk, &file.directory)?;
    let path = named(&directory, &file.name);
    let key = entities.insert(|_| File { path: path.clone() });
    let stream = entities.streams.get(file.made.stream);
    let lane = stream.map_or(0, |stream| entities.sessions[&stream.session].id);
    match storage.create_file(key, &path, Lane(lane)) {
        Ok(()) => {
            let Entities { chunks, names, .. } = entities;
            if let Some(chunk) = chunks.get_mut(file.chunk) {
                let path = path.below(&chunk_directory);
                let path = path.expect("law: a chunk's files are below its directory");
                chunk.files.insert(path.clone(), file.made);
                let ordinal = names.ordinal(chunk);
                names.push(|| {
                    NameFact::Made(Box::new(Made {
                        chunk: file.chunk,
                        ordinal,
                        session: chunk.session.clone(),
                        file: file.made,
                        path,
                    }))
                });
            }
            Ok(key)
        }
        Err(error) => {
            entities.disown::<File>(key);
            Err(error)
        }
    }
}

/// Makes the directories of a chunk down to this one, but not more than some at once. False: there
/// are more to make. Producers before 2.11 have none made: their directories have owners.
pub fn make_some(
    entities: &mut Entities,
    storage: &mut StoragePort,
    chunk: ChunkKey,
    directory: &RelativePath,
) -> Result<bool, StorageError> {
    let limit = entities.shares.limit(Asset::NamesOfChunk);
    let Some(chunk) = entities.chunks.get_mut(chunk) else {
        return Ok(true);
    };
    let names = chunk.files.len() + chunk.directories.len();
    if chunk.id.is_none() || names as u64 >= limit {
        return Ok(true);
    }
    let all = iter::successors(Some(directory.clone()), RelativePath::parent);
    let missing = all.take_while(|it| !it.is_root() && !chunk.directories.contains(it));
    let missing: Vec<RelativePath> = missing.collect();
    let Some(some) = missing.len().checked_sub(LEVELS_MADE_AT_ONCE) else {
        return Ok(true);
    };
    make_directories(storage, chunk, &missing[some])?;
    Ok(some == 0)
}

/// Makes the directories of a chunk down to this one, again if a user removed them.
fn make_directories(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    directory: &RelativePath,
) -> Result<(), StorageError> {
    let made = chunk.directory().join(directory);
    let mut top = None;
    let mut above = (directory.clone(), made.clone());
    let mut missing = Vec::new();
    while !above.0.is_root() && !chunk.directories.contains(&above.0) {
        let parents = (above.0.parent(), above.1.parent());
        missing.push(above.0);
        top = Some(above.1);
        let (Some(below_chunk), Some(parent)) = parents else {
            break;
        };
        above = (below_chunk, parent);
    }
    // Where the first one is new, all below it are.
    let levels = missing.len();
    if let Some(top) = &top {
        places::make_own(storage, top)?;
        chunk.directories.extend(missing);
    }
    if top.is_some_and(|top| top == made) {
        return Ok(());
    }
    storage.create_directory(&made)?;
    storage.made(levels);
    Ok(())
}

fn named(directory: &RelativePath, name: &[u8]) -> RelativePath {
    directory
        .child(name)
        .expect("law: channel names were checked when the stream was added")
}
