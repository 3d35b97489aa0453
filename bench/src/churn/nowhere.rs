//! A disk that keeps nothing: what is measured is what a relay does with its records.

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use baton_systems::ports::{Storage, StorageError};

/// Takes everything, has no file of any name, and reads zeros.
#[derive(Debug)]
pub struct Nowhere;

type Done = Result<(), StorageError>;

impl Storage for Nowhere {
    fn create_directory(&mut self, _: &RelativePath) -> Done {
        Ok(())
    }

    fn claim_directory(&mut self, _: &RelativePath) -> Result<bool, StorageError> {
        Ok(true)
    }

    fn has_name(&mut self, _: &RelativePath, _: fn(&[u8]) -> bool) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn exists(&mut self, _: &RelativePath) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn rename(&mut self, _: &RelativePath, _: &RelativePath) -> Done {
        Ok(())
    }

    fn remove_directory(&mut self, _: &RelativePath) -> Done {
        Ok(())
    }

    fn remove_file(&mut self, _: &RelativePath) -> Done {
        Ok(())
    }

    fn create_file(&mut self, _: FileKey, _: &RelativePath) -> Done {
        Ok(())
    }

    fn write(&mut self, _: FileKey, _: u64, _: &[u8]) -> Done {
        Ok(())
    }

    fn read(&mut self, _: FileKey, _: u64, into: &mut [u8]) -> Done {
        into.fill(0);
        Ok(())
    }

    fn resize(&mut self, _: FileKey, _: u64) -> Done {
        Ok(())
    }

    fn close(&mut self, _: FileKey) {}
}
