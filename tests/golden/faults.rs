//! A disk that fails, once or from some byte on: producers may lose packets or their
//! connection, but the law holds and nothing is left when they have gone.

use baton_components::limits::CHUNK_RETRY;
use baton_systems::memory::{MemoryStorage, Operation};

use crate::capture::Capture;
use crate::producers::{Cuts, Producers, relay_as_recorded};
use crate::schedule::as_recorded;

/// Short, with both halves of packets, metadata and rotation to a second chunk.
const CAPTURES: [&str; 2] = ["2.13-live-pid", "2.17-ctf1-live-clear"];
/// Every fifth operation is made to fail, each in a run of its own.
const STRIDE: usize = 5;

fn play_with(capture: &Capture, prepare: impl FnOnce(&MemoryStorage)) -> MemoryStorage {
    let mut stage = relay_as_recorded();
    prepare(&stage.storage);
    let mut producers = Producers::new(capture, Cuts::None);
    for step in as_recorded(capture) {
        producers.try_play(&mut stage, &step);
    }
    stage.pass(CHUNK_RETRY);
    stage.assert_empty();
    stage.storage
}

#[test]
fn an_operation_that_fails_leaves_nothing_behind() {
    for name in CAPTURES {
        let capture = Capture::read(name);
        let storage = play_with(&capture, |_| ());
        for operation in Operation::ALL {
            for nth in (1..=storage.count(operation)).step_by(STRIDE) {
                play_with(&capture, |storage| {
                    storage.fail(operation, nth, "input/output error");
                });
            }
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    for name in CAPTURES {
        let capture = Capture::read(name);
        let used = play_with(&capture, |_| ()).used_bytes();
        for tenth in 0..10 {
            play_with(&capture, |storage| {
                storage.limit_bytes(Some(used * tenth / 10 + tenth));
            });
        }
    }
}
