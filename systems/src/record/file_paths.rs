//! The paths of a stream's files, and how files come to be there.

use baton_components::chunk::Chunk;
use baton_components::file::File;
use baton_components::keys::{ChunkKey, FileKey, StreamKey};
use baton_components::path::RelativePath;

use super::places;
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};

/// Directory of index files, beside the data files.
const INDEX_DIRECTORY: &[u8] = b"index";
pub const INDEX_ENDING: &[u8] = b".idx";

/// Where a file goes.
#[derive(Clone)]
pub struct FilePath {
    stream: StreamKey,
    is_metadata: bool,
    pub chunk: ChunkKey,
    /// Below the chunk's directory.
    directory: RelativePath,
    name: Vec<u8>,
}

impl FilePath {
    /// Where a stream's current data file goes; nowhere if the stream has no chunk. Its
    /// name is the channel's, with a number where another stream of the chunk has that: a
    /// file is written over by its own stream only. (A trace has one metadata file,
    /// whatever is sent.)
    pub fn current(entities: &Entities, key: StreamKey) -> Option<Self> {
        let stream = entities.streams.get(key)?;
        let chunk = stream.chunk?;
        let directory = entities.traces.get(stream.trace)?.path.clone();
        let files = &entities.chunks.get(chunk)?.files;
        let number = stream.limit.as_ref().map(|limit| limit.file_number);
        let mut name = numbered(&stream.channel, number);
        let mut count = 1;
        while !stream.is_metadata()
            && files
                .get(&named(&directory, &name))
                .is_some_and(|owner| *owner != key)
        {
            count += 1;
            let channel = [&*stream.channel, format!("-{count}").as_bytes()].concat();
            name = numbered(&channel, number);
        }
        Some(Self {
            stream: key,
            is_metadata: stream.is_metadata(),
            chunk,
            directory,
            name,
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

/// A data file that was made before makes room for the next of its name, and so does its
/// index, which tells nothing about that. (Those that read them keep them.)
pub fn remove_old(
    entities: &mut Entities,
    storage: &mut StoragePort,
    data: &FilePath,
) -> Result<(), StorageError> {
    let index = data.of_index();
    let Some(chunk) = entities.chunks.get_mut(data.chunk) else {
        return Ok(());
    };
    let directory = chunk.directory();
    for (path, of_any) in [(index.path(), false), (data.path(), data.is_metadata)] {
        let owner = chunk.files.get(&path);
        if owner.is_some_and(|owner| of_any || *owner == data.stream) {
            storage.remove_file(&directory.join(&path))?;
            chunk.files.remove(&path);
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

/// A new file with its directory, owned by the caller until somebody holds it.
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
    make_directories(storage, chunk, &file.directory)?;
    let path = named(&directory, &file.name);
    let key = entities.insert(File { path: path.clone() });
    match storage.create_file(key, &path) {
        Ok(()) => {
            if let Some(chunk) = entities.chunks.get_mut(file.chunk) {
                let path = path.below(&chunk_directory);
                let path = path.expect("law: a chunk's files are below its directory");
                chunk.files.insert(path, file.stream);
            }
            Ok(key)
        }
        Err(error) => {
            entities.disown::<File>(key);
            Err(error)
        }
    }
}

/// Makes the directories of a chunk down to this one. Those that were made before are
/// made again if they are gone.
fn make_directories(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    directory: &RelativePath,
) -> Result<(), StorageError> {
    let mut missing = Vec::new();
    let mut above = Some(directory.clone());
    while let Some(path) = above.filter(|path| !path.is_root() && !chunk.directories.contains(path))
    {
        above = path.parent();
        missing.push(path);
    }
    if missing.is_empty() {
        return storage.create_directory(&chunk.directory().join(directory));
    }
    for path in missing.into_iter().rev() {
        places::make_own(storage, &chunk.directory().join(&path))?;
        chunk.directories.insert(path);
    }
    Ok(())
}

fn named(directory: &RelativePath, name: &[u8]) -> RelativePath {
    directory
        .child(name)
        .expect("law: channel names were checked when the stream was added")
}
