//! A disk that goes wrong, and is mended.

use std::collections::BTreeSet;

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use baton_systems::memory::Operation;
use baton_systems::requests::Lane;
use slotmap::KeyData;

use super::script::Fault;
use crate::stage::Stage;

/// Injected faults that have not happened yet.
#[derive(Default)]
pub struct Disk {
    armed: Vec<(Operation, u64)>,
    kinds: BTreeSet<Operation>,
}

impl Disk {
    pub fn arm(&mut self, stage: &Stage, fault: &Fault) {
        let storage = &stage.storage;
        match *fault {
            Fault::Fail { operation, nth } => {
                let operation = Operation::ALL[operation % Operation::ALL.len()];
                self.kinds.insert(operation);
                self.armed.push((operation, storage.count(operation) + nth));
                storage.fail(operation, nth, "wished");
            }
            Fault::Full { room } => storage.limit_bytes(Some(storage.used_bytes() + room)),
            Fault::Room => storage.limit_bytes(None),
        }
    }

    /// Whether operations of that kind were to fail.
    pub fn was_bad_at(&self, operation: Operation) -> bool {
        self.kinds.contains(&operation)
    }

    /// Triggers all faults that no operation of the relay has met.
    pub fn mend(&mut self, stage: &Stage) {
        stage.storage.limit_bytes(None);
        if self.armed.is_empty() {
            return;
        }
        let mut port = stage.storage.port();
        let path = RelativePath::parse(b"mended").unwrap();
        let key = FileKey::from(KeyData::from_ffi(u64::MAX));
        while port.create_file(key, &path, Lane::default()).is_err() {}
        for (operation, ordinal) in self.armed.drain(..) {
            while stage.storage.count(operation) < ordinal {
                // Whether it fails is no matter.
                let _ = match operation {
                    Operation::CreateDirectory => port.create_directory(&RelativePath::root()),
                    Operation::LookUp => port.exists(&path).map(|_| ()),
                    Operation::Rename => port.rename(&path, &path),
                    Operation::Remove => port.remove_directory(&path),
                    Operation::CreateFile => port.create_file(key, &path, Lane::default()),
                    Operation::Write => stage.storage.clone().try_write(key, 0, &[0]),
                    Operation::Read => port.read(key, 0, &mut []),
                    Operation::Resize => {
                        port.restore(key, 0);
                        Ok(())
                    }
                    Operation::Sync => unreachable!("it is not among those that are armed"),
                };
            }
        }
        port.close(key);
        while port.remove_file(&path).is_err() {}
    }
}
