//! A disk that is full: packets are lost, and nothing else.

use crate::application::Workload;
use crate::events::{self, assert_ascending, assert_complete};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::eventually;
use crate::raw_producer::RawProducer;
use crate::relay::{Relay, skipped};
use crate::skip;
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, end, turn};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

/// More than the disk has room for, and than that and the ballast.
const MUCH: Workload = Workload {
    threads: 2,
    events_per_thread: 10_000,
    sleep_us: 20,
    payload_length: 400,
};

const PATIENCE: Duration = Duration::from_secs(10);

const WHY: &str = "it ends the session";

/// A relay that fills the disk.
const FILLING: &[&str] = &["--min-free", "0"];

const DISK: &str = "size=4m";
const BALLAST: usize = 3 << 20;

#[test]
fn a_full_disk_costs_packets_and_nothing_else() {
    let _turn = turn::take();
    a_disk_is_full(Setup::new(Mode::Live, Buffers::PerUser));
}

#[test]
fn a_full_disk_costs_packets_of_a_session_that_is_not_live() {
    let _turn = turn::take();
    a_disk_is_full(Setup::new(Mode::Recorded, Buffers::PerUser));
}

/// Packets so large that they go to their files without passing through the relay.
#[test]
fn a_full_disk_costs_large_packets_and_nothing_else() {
    let _turn = turn::take();
    a_disk_is_full(Setup {
        channel: &["--subbuf-size=256k", "--num-subbuf=4"],
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    });
}

fn a_disk_is_full(setup: Setup<'_>) {
    if skipped(WHY) {
        return;
    }
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; BALLAST]).expect("room for the ballast");
    let mut relay = Relay::start_in(&disk.path().join("traces"), FILLING);
    let other_relay = Relay::start();
    let producer = Producer::start();
    let session = producer.session(&relay, "cramped", setup);
    let neighbour = producer.session(&other_relay, "spacious", setup);
    let directory = relay.trace_directory("cramped");

    let early = producer.launch(BRIEF).finish();
    let much = producer.launch(MUCH).finish();
    // With a stop the relay has got everything, whatever it did with it.
    session.stop();
    assert!(relay.is_running(), "the relay has ended");
    assert_reports_each_burst(&relay.log());
    let seen = read_directory(&directory);
    let of_much = events::of(much, &seen).len();
    let all = MUCH.events_per_thread as usize * MUCH.threads as usize;
    assert_complete(&events::of(early, &seen), &[early]);
    assert_ascending(&seen, &[early, much]);
    assert!(of_much > 0, "nothing was recorded");
    assert!(of_much < all, "nothing was lost");

    fs::remove_file(&ballast).expect("ballast to remove");
    session.start();
    let late = producer.launch(BRIEF).finish();
    session.destroy();
    neighbour.destroy();

    relay.wait_for_line(&["recording again"]);
    assert_reports_each_burst(&relay.log());
    let seen = read_directory(&directory);
    assert_complete(&events::of(early, &seen), &[early]);
    assert_complete(&events::of(late, &seen), &[late]);
    assert_ascending(&seen, &[early, much, late]);
    assert_eq!(events::of(much, &seen).len(), of_much, "what was recorded");
    let spacious = other_relay.trace_directory("spacious");
    assert_complete(&read_directory(&spacious), &[early, much, late]);
    end([producer], relay);
    end([], other_relay);
}

#[test]
fn metadata_waits_until_a_full_disk_has_room() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let mut relay = Relay::start_in(&disk.path().join("traces"), FILLING);
    let producer = Producer::start();
    let session = producer.live_session(&relay, "patient", Buffers::PerUser);
    let ballast = disk.fill();

    let early = producer.launch(BRIEF).finish();
    relay.wait_for_line(&["cannot write metadata yet"]);
    let viewer = Viewer::attach(&relay, "patient");
    fs::remove_file(&ballast).expect("ballast to remove");
    relay.wait_for_line(&["is complete again"]);
    let late = producer.launch(BRIEF).finish();
    session.destroy();

    assert!(relay.is_running(), "the relay has ended");
    for said in ["cannot write metadata yet", "is complete again"] {
        assert_eq!(relay.log().matches(said).count(), 1, "{}", relay.log());
    }
    for seen in [
        viewer.finish(),
        read_directory(&relay.trace_directory("patient")),
    ] {
        assert_complete(&events::of(late, &seen), &[late]);
        assert_ascending(&seen, &[early, late]);
    }
    end([producer], relay);
}

/// It need not wait for more from its producer.
#[test]
fn metadata_that_waits_is_written_when_nothing_happens() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let relay = Relay::start_in(&disk.path().join("traces"), FILLING);
    let ballast = disk.fill();
    let mut producer = RawProducer::connect(&relay, "quiet");
    let metadata = relay.trace_directory("quiet").join("ust/metadata");
    let size = || fs::metadata(&metadata).expect("metadata").len();
    assert_eq!(size(), 0);
    fs::remove_file(&ballast).expect("ballast to remove");
    eventually("metadata on the disk", PATIENCE, || size() > 0);
    producer.send_packet(0..100);
    drop(producer);
    relay.assert_idle();
    let mut run = RawProducer::run();
    run.workload.events_per_thread = 100;
    assert_complete(&read_directory(&relay.trace_directory("quiet")), &[run]);
    end([], relay);
}

/// A loss is said where it begins and where it ends, not with each packet.
fn assert_reports_each_burst(log: &str) {
    let mut streams: Vec<_> = log.lines().filter_map(stream).collect();
    streams.sort_unstable();
    streams.dedup();
    assert!(!streams.is_empty(), "no loss in:\n{log}");
    for name in streams {
        let mut loses = false;
        for line in log.lines().filter(|line| stream(line) == Some(name)) {
            let begins = line.contains("packets are being lost");
            assert_ne!(begins, loses, "said twice of stream {name}:\n{log}");
            loses = begins;
        }
    }
}

/// The stream that a line of the log says of that packets are lost, or no longer.
fn stream(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" stream ")?;
    let (stream, _) = rest.split_once(": ")?;
    Some(stream)
}

/// A file system in memory with little room.
#[derive(Debug)]
pub struct SmallDisk {
    place: TempDir,
    /// The file that it is in; none in memory.
    _image: Option<NamedTempFile>,
}

impl SmallDisk {
    /// None, and a word on the reason, where that is not allowed.
    pub fn mount() -> Option<Self> {
        Self::mount_of(DISK)
    }

    /// One of that size, as an option of the file system.
    pub fn mount_of(size: &str) -> Option<Self> {
        Self::mount_with(&["-t", "tmpfs", "-o", size, "tmpfs"], None)
    }

    /// One of ext4, of so many bytes.
    pub fn ext4(bytes: u64) -> Option<Self> {
        let image = NamedTempFile::new().expect("a temporary file");
        image.as_file().set_len(bytes).expect("a sparse file");
        let mut format = Command::new("mkfs.ext4");
        let formatted = format.arg("-q").arg(image.path()).status();
        assert!(formatted.is_ok_and(|it| it.success()), "mkfs.ext4 failed");
        let path = image.path().to_str().expect("text").to_owned();
        Self::mount_with(&["-o", "loop", &path], Some(image))
    }

    fn mount_with(words: &[&str], image: Option<NamedTempFile>) -> Option<Self> {
        let place = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount").args(words).arg(place.path()).output();
        let refusal = match mounted {
            Ok(output) if output.status.success() => {
                return Some(Self {
                    place,
                    _image: image,
                });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        skip::say(format_args!("since no disk can be mounted: {refusal}"));
        None
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Lets nothing be written on it, or lets it again: `ro` or `rw`.
    pub fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        let mut mount = Command::new("mount");
        mount.args(["-o", &options]).arg(self.path());
        assert!(mount.status().expect("the program mount").success());
    }

    /// From now on whatever would write on it hangs: files and names, until that is dropped.
    pub fn freeze(&self) -> Frozen<'_> {
        fsfreeze("--freeze", self.path());
        Frozen(self)
    }

    /// Leaves no room on it. Gives the file that is in the way.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut ballast = fs::File::create(&path).expect("room for a name");
        while ballast.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

/// A disk that does not answer.
pub struct Frozen<'a>(&'a SmallDisk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        fsfreeze("--unfreeze", self.0.path());
    }
}

fn fsfreeze(how: &str, path: &Path) {
    let done = Command::new("fsfreeze").arg(how).arg(path).status();
    assert!(done.expect("the program fsfreeze").success(), "{how}");
}
