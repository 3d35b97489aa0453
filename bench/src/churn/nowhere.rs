//! A null disk, so that only the relay's own work is measured.

use std::ops::Range;

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::ports::Answer;
use baton_systems::ports::{Storage, StorageError, Transfer};
use baton_systems::requests::{FileEnd, Lane, Outcome, Request};

/// Takes everything, has no file of any name, and reads zeros.
#[derive(Debug, Default)]
pub struct Nowhere {
    asked: Vec<Ticket>,
}

type Done = Result<(), StorageError>;

impl Transfer for Nowhere {}

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

    fn create_file(&mut self, _: FileKey, _: &RelativePath, _: Lane) -> Done {
        Ok(())
    }

    fn write(&mut self, _: FileKey, _: u64, _: &[u8]) {}

    fn copy(&mut self, _: FileKey, _: Range<u64>, _: FileKey, _: u64) {}

    fn resize(&mut self, _: FileKey, _: u64) {}

    fn restore(&mut self, _: FileKey, _: u64) {}

    fn commit(&mut self, _: Lane, _: &[FileEnd]) -> Outcome {
        Outcome::Done
    }

    fn read(&mut self, _: FileKey, _: u64, into: &mut [u8]) -> Done {
        into.fill(0);
        Ok(())
    }

    fn close(&mut self, _: FileKey) {}

    fn ask(&mut self, ticket: Ticket, _: Request) {
        self.asked.push(ticket);
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        let done = |ticket| Answer {
            ticket,
            outcome: Ok(Outcome::Done),
        };
        into.extend(self.asked.drain(..).map(done));
    }

    fn has_answers(&self) -> bool {
        !self.asked.is_empty()
    }
}
