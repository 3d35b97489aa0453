//! Checks of what was stored, before a manifest may say that it is there.

use crate::Error;
use crate::attempt::Stored;
use crate::keys::Directory;
use crate::manifest::Object;
use crate::read::read_file;
use crate::store::Store;

/// How an object is verified after it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// By its size, and by the checksum that the server has made of what came.
    Checksum,
    /// By reading it back.
    Read,
}

pub fn size(store: &Store, directory: &Directory, object: &Object) -> Result<(), Error> {
    let key = directory.object(&object.name);
    let reason = match store.size(&key)? {
        Some(bytes) if bytes == object.bytes => return Ok(()),
        Some(bytes) => format!("it has {bytes} bytes of {}", object.bytes),
        None => "it was stored, and is not there".to_owned(),
    };
    Err(store.place().wrong(&key, reason).into())
}

pub fn content(store: &Store, directory: &Directory, stored: &Stored) -> Result<(), Error> {
    for file in &stored.files {
        read_file(store, directory, &stored.object, file, &mut |_| Ok(()))?;
    }
    Ok(())
}
