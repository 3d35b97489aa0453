//! A disk that takes long: strace delays the relay's system calls.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use crate::application::Workload;
use crate::events::assert_complete;
use crate::full_disk::SmallDisk;
use crate::layout::{Current, assert_tidy, files};
use crate::live_client::{LiveClient, Seek};
use crate::lttng::{Buffers, Producer};
use crate::process::{Process, eventually};
use crate::relay::{Relay, skipped};
use crate::surroundings::prefixed;
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, end, ports, skip, status, turn};

const PATIENCE: Duration = Duration::from_mins(2);

/// Each removal of a name takes a second.
const SLOW_REMOVAL: &str = "inject=unlinkat:delay_enter=1000000";

/// Each look at the disk takes minutes, but for the first: the relay starts with some.
const SLOW_LOOK: &str = "inject=statfs,fstatfs:delay_enter=300000000:when=8+";

/// Calls that write data files, and those that read them and may wait.
const WRITES: &str = "pwrite64,splice,ftruncate";
const READS: &str = "pread64,sendfile";

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

/// Events of some 18 MB in 6 seconds: more than a small write buffer has room for.
const ABUNDANT: Workload = Workload {
    threads: 2,
    events_per_thread: 6_000,
    sleep_us: 1_000,
    payload_length: 1_500,
};

#[test]
fn a_disk_that_is_dead_for_a_while_loses_nothing() {
    let _turn = turn::take();
    if skipped("it loses what comes while the disk is dead") {
        return;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        skip::say("since there is no strace");
        return;
    }
    let seconds = env::var("BATON_TEST_DEAD_DISK_SECONDS");
    let seconds = seconds.map_or(8, |it| it.parse().expect("a number of seconds"));
    let relay = Relay::start_with(&["--write-buffer", "16M"]);
    let (left, right) = (Producer::start(), Producer::start());
    let slow = left.live_session(&relay, "slow", Buffers::PerUser);
    let quick = right.live_session(&relay, "quick", Buffers::PerUser);
    let first = left.launch(BRIEF).finish();
    let directory = relay.trace_directory("slow");
    eventually("the session has packets", PATIENCE, || {
        written(&directory) > 0
    });
    let viewers = ["slow", "quick"].map(|name| Viewer::attach(&relay, name));
    let hanging = hang(&relay, &directory, WRITES);
    let across = left.launch(ABUNDANT);
    eventually("a write hangs", PATIENCE, || is_traced(relay.pid()));
    let before = written(&directory);
    let dead = Instant::now();
    let mut beside = Vec::new();
    while dead.elapsed() < Duration::from_secs(seconds) {
        beside.push(right.launch(BRIEF).finish());
    }
    quick.destroy();
    let mut lists = LiveClient::connect(relay.live_address());
    assert_eq!(lists.session("slow").clients, 1);
    drop(lists);
    assert_eq!(written(&directory), before, "the disk was not dead");
    hanging.signal("TERM");

    let across = across.finish();
    slow.destroy();
    let [of_slow, of_quick] = viewers.map(Viewer::finish);
    for (read, runs) in [
        (of_slow, &[across][..]),
        (read_directory(&directory), &[first, across]),
        (of_quick, &beside),
        (read_directory(&relay.trace_directory("quick")), &beside),
    ] {
        assert_complete(&read, runs);
    }
    end([left, right], relay);
}

#[test]
fn a_session_that_begins_on_a_disk_that_does_not_answer_keeps_nobody_else_waiting() {
    let _turn = turn::take();
    if skipped("it makes files while its peers wait") {
        return;
    }
    let Some(disk) = SmallDisk::ext4(64 << 20) else {
        return;
    };
    let relay = Relay::start_in(&disk.path().join("traces"), &[]);
    let (left, right) = (Producer::start(), Producer::start());
    let old = left.live_session(&relay, "old", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "old");
    let first = left.launch(BRIEF).finish();
    let directory = relay.trace_directory("old");
    eventually("the session has packets", PATIENCE, || {
        written(&directory) > 0
    });

    let address = relay.live_address();
    let frozen = disk.freeze();
    let (late, second, new) = thread::scope(|scope| {
        let late = scope.spawn(|| {
            let session = right.live_session(&relay, "new", Buffers::PerUser);
            let run = right.launch(BRIEF).finish();
            (session, run)
        });
        relay.wait_for_line(&["the disk has not answered for 5 s"]);
        // Its packets wait, and nobody else.
        let second = left.launch(BRIEF).finish();
        let mut lists = LiveClient::connect(address);
        assert_eq!(lists.session("old").clients, 1);
        let other = lists.attach("old", Seek::Beginning);
        assert!(!late.is_finished(), "a session began on a frozen disk");
        drop(other);
        drop(frozen);
        let (session, run) = late.join().expect("a session that begins");
        (run, second, session)
    });
    relay.wait_for_line(&["the disk answers again"]);
    new.destroy();
    old.destroy();
    assert_complete(&viewer.finish(), &[first, second]);
    assert_complete(&read_directory(&directory), &[first, second]);
    assert_complete(&read_directory(&relay.trace_directory("new")), &[late]);
    end([left, right], relay);
}

#[test]
fn a_relay_whose_disk_does_not_answer_can_be_stopped() {
    let _turn = turn::take();
    if skipped("it waits for its disk") {
        return;
    }
    let Some(disk) = SmallDisk::ext4(64 << 20) else {
        return;
    };
    let mut relay = Relay::start_in(&disk.path().join("traces"), &[]);
    let producer = Producer::start();
    let session = producer.live_session(&relay, "old", Buffers::PerUser);
    producer.launch(BRIEF).finish();
    let directory = relay.trace_directory("old");
    eventually("the session has packets", PATIENCE, || {
        written(&directory) > 0
    });
    let frozen = disk.freeze();
    relay.signal("TERM");
    relay.wait_for_line(&["the disk has not answered for 10 s", "baton repair"]);
    drop(frozen);
    eventually("the relay ends", PATIENCE, || !relay.is_running());
    // Its session daemon cannot say it to this relay any more.
    let _ = session;
}

#[test]
fn a_viewer_whose_packets_the_disk_does_not_give_keeps_nobody_else_waiting() {
    let _turn = turn::take();
    if skipped("it reads while its peers wait") {
        return;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        skip::say("since there is no strace");
        return;
    }
    let relay = Relay::start();
    let (left, right) = (Producer::start(), Producer::start());
    let slow = left.live_session(&relay, "slow", Buffers::PerUser);
    let first = left.launch(BRIEF).finish();
    let directory = relay.trace_directory("slow");
    eventually("the session has packets", PATIENCE, || {
        written(&directory) > 0
    });
    let hanging = hang(&relay, &directory, READS);
    if !evict(&directory) {
        skip::say("since the file system does not say what it has in memory");
        hanging.signal("TERM");
        slow.destroy();
        return end([left, right], relay);
    }
    let address = relay.live_address();
    let viewer = LiveClient::connect(address).attach("slow", Seek::Beginning);
    let viewer = thread::spawn(move || viewer.read_to_end());
    eventually("a read hangs", PATIENCE, || is_traced(relay.pid()));

    let session = right.live_session(&relay, "quick", Buffers::PerUser);
    let other = Viewer::attach(&relay, "quick");
    let run = right.launch(BRIEF).finish();
    session.destroy();
    assert_complete(&other.finish(), &[run]);
    let second = left.launch(BRIEF).finish();
    assert!(is_traced(relay.pid()), "the read did not hang");

    hanging.signal("TERM");
    slow.destroy();
    let seen = viewer.join().expect("a viewer that reads to the end");
    assert_complete(&seen, &[first, second]);
    end([left, right], relay);
}

/// Has the system drop what it has in memory of the data files. False: it cannot be known
/// whether reads would wait for the disk.
fn evict(directory: &Path) -> bool {
    let is_dropped = |path: PathBuf| {
        let file = fs::File::open(path).expect("a file of the trace");
        let drop = || {
            file.sync_all().expect("the file on the disk");
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
        };
        drop();
        let mut byte = [0];
        let into = &mut [io::IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&file, into, 0, ReadWriteFlags::NOWAIT);
        // That has begun to bring it back.
        let mut all = Vec::new();
        (&file).read_to_end(&mut all).expect("the file");
        drop();
        read == Err(Errno::AGAIN)
    };
    let with_packets = data_files(directory).into_iter();
    let mut with_packets = with_packets.filter(|file| file.metadata().is_ok_and(|it| it.len() > 0));
    with_packets.all(is_dropped)
}

/// From now on these calls on the data files in a directory hang, until strace ends.
fn hang(relay: &Relay, directory: &Path, calls: &str) -> Process {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-p"]);
    command.arg(relay.pid().to_string());
    command.args(["-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:delay_enter=3600000000")]);
    for file in data_files(directory) {
        command.arg("-P").arg(file);
    }
    let strace = Process::spawn(&mut command, relay.home(), "strace");
    eventually("strace has attached the relay", PATIENCE, || {
        tasks(relay.pid()).all(|task| {
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    });
    strace
}

/// Whether a thread of a process is stopped by its tracer.
fn is_traced(pid: u32) -> bool {
    tasks(pid).any(|task| {
        let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
        stat.contains(") t ")
    })
}

fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().map(|it| it.path())
}

fn data_files(directory: &Path) -> Vec<PathBuf> {
    let is_data = |path: &PathBuf| path.extension().is_none() && !path.ends_with("metadata");
    files(directory).into_iter().filter(is_data).collect()
}

/// Bytes in the data files.
fn written(directory: &Path) -> u64 {
    let sizes = data_files(directory).into_iter();
    sizes
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum()
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
