//! A disk that takes long: strace delays the relay's system calls.

use std::process::Command;
use std::time::Duration;

use crate::layout::{Current, assert_tidy};
use crate::live_client::LiveClient;
use crate::lttng::{Buffers, Producer};
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::surroundings::prefixed;
use crate::{BRIEF, end, skip, turn};

const PATIENCE: Duration = Duration::from_mins(2);

/// The relay below strace, as its own process: each removal of a name takes a second.
const SLOW_REMOVAL: [&str; 10] = [
    "strace",
    "-D",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=unlinkat",
    "-e",
    "inject=unlinkat:delay_enter=1000000",
];

#[test]
fn peers_are_served_while_a_clear_removes_files() {
    let _turn = turn::take();
    if skipped("it removes files while its peers wait") {
        return;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        skip::say("since there is no strace");
        return;
    }
    let relay = Relay::start_surrounded(|command, _| prefixed(&SLOW_REMOVAL, &command));
    let producer = Producer::start();
    let session = producer.live_session(&relay, "slow", Buffers::PerUser);
    let directory = relay.trace_directory("slow");
    producer.launch(BRIEF).finish();

    let mut clear = producer.client(&["clear", "slow"], "clear");
    let removed = directory.join(".tmp_old_chunk");
    eventually("a chunk is being removed", PATIENCE, || removed.exists());
    let mut viewer = LiveClient::connect(relay.live_address());
    assert_eq!(viewer.session("slow").clients, 0);
    assert!(removed.exists(), "the list waited for the removal");
    drop(viewer);

    clear.wait_for_success(PATIENCE);
    assert!(!removed.exists(), "the clear ended before the removal");
    session.destroy();
    assert_tidy(&directory, Current::First);
    end([producer], relay);
}
