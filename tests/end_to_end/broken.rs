//! Data connections that break, and relays that end, at random moments.
//!
//! A producer sends the metadata of a session that is not live when it stops or rotates, and
//! none after its data connection broke. So whatever relay records it, there may be packets
//! without metadata, and Babeltrace refuses all that is beside an empty metadata file.
//! `baton repair` names what cannot be read, and what can is read again.
//!
//! A few by default; `BATON_TEST_BREAKS` says how many, and then the figures are printed.

use crate::application::Workload;
use crate::crash::repair;
use crate::events::{self, assert_prefix};
use crate::go_between::Cable;
use crate::layout;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::eventually;
use crate::relay::{Relay, is_original};
use crate::viewer::{is_readable, read_directory};
use crate::{BRIEF, turn};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;
use std::{env, fs, io, thread};

const BREAKS: &str = "BATON_TEST_BREAKS";

const PATIENCE: Duration = Duration::from_secs(30);

/// Always packets on their way.
const BURST: Workload = Workload {
    threads: 2,
    events_per_thread: 40_000,
    sleep_us: 0,
    payload_length: 100,
};

/// The longest time from the begin of a burst to the break.
const BROKEN_WITHIN_MS: u64 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    /// The data connection breaks.
    Data,
    /// It breaks while the session rotates.
    DataInRotation,
    /// The relay is told to stop.
    Stop,
    /// The relay is killed while the session rotates.
    KillInRotation,
}

const BREAK_KINDS: [Break; 4] = [
    Break::Data,
    Break::DataInRotation,
    Break::Stop,
    Break::KillInRotation,
];

#[test]
fn what_a_break_leaves_is_read_but_where_no_metadata_came() {
    let _turn = turn::take();
    let wished = env::var(BREAKS).ok();
    let count = wished
        .as_ref()
        .map_or(BREAK_KINDS.len(), |it| it.parse().expect("a number"));
    let seed = fastrand::u64(..);
    // For the analysis of a failure.
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut figures = BTreeMap::new();
    for number in 0..count {
        let kind = BREAK_KINDS[number % BREAK_KINDS.len()];
        let (all, refused) = figures.entry(kind).or_insert((0, 0));
        *all += 1;
        *refused += u32::from(break_once(kind, &mut random));
    }
    if wished.is_some() {
        for (kind, (all, refused)) in figures {
            // Not `eprintln!`: the output of a case that passes is not shown.
            let _ = writeln!(
                io::stderr(),
                "{kind:?}: Babeltrace refuses {refused} of {all}, for want of metadata unless it was killed"
            );
        }
    }
}

/// Gives whether Babeltrace refuses what is left.
fn break_once(kind: Break, random: &mut fastrand::Rng) -> bool {
    let mut relay = Relay::start();
    let cable = Cable::lay(relay.data_address());
    let producer = Producer::start();
    let mode = [Mode::Live, Mode::Recorded][random.usize(..2)];
    let buffers = [Buffers::PerUser, Buffers::PerProcess][random.usize(..2)];
    let (control, data) = (relay.control_address().port(), cable.port());
    let url = format!("net://127.0.0.1:{control}:{data}");
    let session = producer.session_at(&url, "broken", Setup::new(mode, buffers));
    let early = producer.launch(BRIEF).finish();
    let burst = producer.launch(BURST);
    thread::sleep(Duration::from_millis(random.u64(..BROKEN_WITHIN_MS)));
    let rotates = matches!(kind, Break::DataInRotation | Break::KillInRotation);
    let rotation = rotates.then(|| session.begin_to_rotate());
    thread::sleep(Duration::from_millis(random.u64(..BROKEN_WITHIN_MS / 10)));
    match kind {
        Break::Data | Break::DataInRotation => cable.cut(),
        Break::Stop => relay.end_without_log(),
        Break::KillInRotation => relay.kill(),
    }
    let cut = burst.run();
    drop((burst, rotation, producer));
    if matches!(kind, Break::Data | Break::DataInRotation) {
        // It waits a while for packets that were announced.
        eventually("the end of the session", PATIENCE, || {
            is_original() || relay.log().contains(" is over")
        });
        relay.assert_idle();
        relay.terminate();
    }
    let directory = relay.trace_directory("broken");
    let metadata: Vec<_> = layout::files(&directory)
        .into_iter()
        .filter(|file| file.ends_with("metadata"))
        .map(|file| fs::metadata(file).map_or(0, |file| file.len()))
        .collect();
    let refused = !is_readable(&directory);
    let what = format!("{kind:?} of {mode:?}, {buffers:?}, metadata {metadata:?}");
    eprintln!("{what}: refused: {refused}");
    let described = metadata.iter().any(|size| *size > 0);
    if is_original() {
        return refused;
    }
    // Only one that was killed leaves more to mend.
    let is_bare = !described || metadata.contains(&0);
    assert!(
        !refused || is_bare || kind == Break::KillInRotation,
        "{what}"
    );
    // It fails where it names what cannot be read.
    let _ = repair(&relay.output());
    assert_eq!(is_readable(&directory), described, "after a repair: {what}");
    if described {
        let seen = read_directory(&directory);
        assert_prefix(&events::of(early, &seen), &[early]);
        assert_prefix(&events::of(cut, &seen), &[cut]);
    }
    refused
}
