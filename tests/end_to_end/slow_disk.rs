//! A disk that takes long: strace delays the relay's system calls.

use std::process::Command;
use std::time::Duration;

use crate::layout::{Current, assert_tidy};
use crate::live_client::LiveClient;
use crate::lttng::{Buffers, Producer};
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::surroundings::prefixed;
use crate::{BRIEF, end, ports, skip, status, turn};

const PATIENCE: Duration = Duration::from_mins(2);

/// Each removal of a name takes a second.
const SLOW_REMOVAL: &str = "inject=unlinkat:delay_enter=1000000";

/// Each look at the disk takes minutes, but for the first: the relay starts with some.
const SLOW_LOOK: &str = "inject=statfs,fstatfs:delay_enter=300000000:when=8+";

/// A relay below strace, as its own process, with these delays. None: there is no strace.
fn delayed_relay(delays: &str, arguments: &[&str]) -> Option<Relay> {
    if Command::new("strace").arg("-V").output().is_err() {
        skip::say("since there is no strace");
        return None;
    }
    let calls = delays
        .split(':')
        .next()
        .map(|it| it.replace("inject", "trace"));
    let calls = calls.unwrap_or_default();
    let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"];
    let strace = [&strace[..], &["-e", &calls, "-e", delays]].concat();
    let relay = Relay::start_surrounded(|mut command, _| {
        command.args(arguments);
        prefixed(&strace, &command)
    });
    Some(relay)
}

#[test]
fn peers_are_served_while_a_clear_removes_files() {
    let _turn = turn::take();
    if skipped("it removes files while its peers wait") {
        return;
    }
    let Some(relay) = delayed_relay(SLOW_REMOVAL, &[]) else {
        return;
    };
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

#[test]
fn monitors_are_answered_while_the_disk_does_not_say_how_large_it_is() {
    let _turn = turn::take();
    if skipped("it has no status port") {
        return;
    }
    let address = ports::local(ports::free_port());
    let port = format!("tcp://{address}");
    let Some(relay) = delayed_relay(SLOW_LOOK, &["--status-port", &port]) else {
        return;
    };
    for _ in 0..20 {
        let page = status::get(address, "/metrics");
        assert!(status::value(&page, "baton_storage_size_bytes") > 0);
    }
    end([], relay);
}
