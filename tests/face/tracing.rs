//! The real `lttng` and `lttng-sessiond` with a relay under the original's name.

use crate::application::Workload;
use crate::daemons::Foreground;
use crate::events::{assert_complete, assert_prefix};
use crate::lttng::{Buffers, Producer};
use crate::relay::Relay;
use crate::viewer::{Viewer, read_directory};

#[test]
fn a_daemon_records_and_serves() {
    for mode in ["-d", "-b"] {
        let relay = Relay::daemon(&[mode]);
        let producer = Producer::start();
        let session = producer.live_session(&relay, "drop-in", Buffers::PerUser);
        let viewer = Viewer::attach(&relay, "drop-in");
        let run = producer.launch(Workload::default()).finish();
        session.destroy();
        assert_complete(&viewer.finish(), &[run]);
        assert_complete(&read_directory(&relay.output()), &[run]);
        relay.terminate();
    }
}

#[test]
fn a_hang_up_costs_nothing() {
    let relay = Foreground::start(&[]);
    let producer = Producer::start();
    let session = producer.live_session(&relay.relay, "hung-up", Buffers::PerUser);
    let viewer = Viewer::attach(&relay.relay, "hung-up");
    let application = producer.launch(Workload {
        sleep_us: 600,
        ..Workload::default()
    });
    viewer.wait_for_events();
    relay.relay.signal("HUP");
    let run = application.finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.relay.output()), &[run]);
    relay.end("TERM");
}

#[test]
fn a_relay_that_is_stopped_leaves_its_traces_readable() {
    let relay = Foreground::start(&[]);
    let producer = Producer::start();
    let _session = producer.live_session(&relay.relay, "open", Buffers::PerUser);
    let viewer = Viewer::attach(&relay.relay, "open");
    let ended = producer.launch(Workload::default()).finish();
    let application = producer.launch(Workload {
        sleep_us: 600,
        ..Workload::default()
    });
    viewer.wait_for_events();
    let relay = relay.end("TERM");
    let recorded = read_directory(&relay.output());
    assert_prefix(&recorded, &[ended, application.run()]);
    assert!(!recorded.is_empty(), "a trace without events");
    drop(application);
}
