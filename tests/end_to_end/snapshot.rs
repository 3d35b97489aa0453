//! Snapshots: what is in the ring buffers, whenever somebody asks for it. And
//! metadata that is sent a second time.

use crate::application::Workload;
use crate::events::assert_complete;
use crate::layout::{self, names};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::relay::Relay;
use crate::viewer::read_directory;
use crate::{BRIEF, UNHURRIED, end, sandbox, turn};

/// Two of them fit in the ring buffer of one processor.
const SMALL: Workload = Workload {
    events_per_thread: 100,
    ..BRIEF
};

#[test]
fn snapshots_are_taken() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup::new(Mode::Snapshot, Buffers::PerUser);
    let session = producer.session(&relay, "pictures", setup);

    let first = producer.launch(SMALL).finish();
    session.record_snapshot(&[]);
    let second = producer.launch(SMALL).finish();
    session.record_snapshot(&["--name=named"]);
    session.destroy();
    // The client does not wait until the relay has received a snapshot.
    drop(producer);
    relay.assert_idle();

    let directory = relay.trace_directory("pictures");
    let names = names(&directory);
    assert_eq!(names.len(), 2, "snapshots: {names:?}");
    let snapshot = |name, number| read_directory(&layout::snapshot(&directory, name, number));
    assert_complete(&snapshot("snapshot-1", 0), &[first]);
    assert_complete(&snapshot("named", 1), &[first, second]);
    end([], relay);
}

/// The consumer daemon keeps the connections of the first.
#[test]
fn snapshots_of_two_sessions_share_a_path() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let path = "/this/is/my/custom/path";
    let directory = relay.output().join(sandbox::host()).join(&path[1..]);
    let mut expected = Vec::new();
    for (name, snapshot) in [("early", "one"), ("late", "other"), ("last", "other")] {
        let session = producer.session_of_snapshots(&relay, name, path);
        let run = producer.launch(SMALL).finish();
        session.record_snapshot(&[&format!("--name={snapshot}")]);
        session.destroy();
        expected.push(run);
        // The name of a snapshot has the second in which it was taken.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    drop(producer);
    relay.assert_idle();

    let taken = names(&directory);
    assert_eq!(taken.len(), 3, "snapshots: {taken:?}");
    assert_eq!(names(directory.parent().expect("a parent")), ["path"]);
    assert!(taken[0].starts_with("one-") && taken[1..].iter().all(|it| it.starts_with("other-")));
    for (snapshot, run) in taken.iter().zip(expected) {
        assert_complete(&read_directory(&directory.join(snapshot)), &[run]);
    }
    end([], relay);
}

#[test]
fn metadata_is_regenerated() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "renewed", Buffers::PerUser);

    let before = producer.launch(BRIEF).finish();
    session.regenerate_metadata();
    let across = producer.launch(UNHURRIED);
    session.regenerate_metadata();
    session.regenerate_metadata();
    let after = producer.launch(BRIEF).finish();
    let runs = [before, across.finish(), after];
    session.destroy();

    let recorded = read_directory(&relay.trace_directory("renewed"));
    assert_complete(&recorded, &runs);
    end([producer], relay);
}
