//! Tests of repair on small traces with every kind of damage that a crash causes.

use std::process::{Child, Command, Stdio};

use baton_components::path::RelativePath;

use super::*;
use crate::os::recording::Recordings;
use crate::os::root::Root;
use crate::trace::testing::{Made, PACKET_BYTES, data_file, trace};

/// A directory with traces, and the events of a repair of it.
struct Test(tempfile::TempDir);

impl Test {
    /// A trace with one stream of so many packets.
    fn new(packets: u64) -> Self {
        let test = Self(tempfile::tempdir().unwrap());
        trace(&test.at(""), "u");
        data_file(&test.at(""), "ch_0", 3, &made(packets), true);
        test
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn repair(&self) -> Vec<String> {
        self.repair_with(false, false)
    }

    /// The repairs and failures, in order and without the path of the directory.
    fn repair_with(&self, dry_run: bool, discard: bool) -> Vec<String> {
        let mut said = Said(Vec::new());
        let plan = Plan {
            directory: self.0.path().to_owned(),
            dry_run,
            discard,
        };
        let outcome = repair(&plan, &mut said);
        assert_eq!(said.0.len() as u64, outcome.repairs + outcome.failures);
        let directory = format!("{}/", self.0.path().display());
        let said = said.0.into_iter();
        said.map(|line| line.replace(&directory, "")).collect()
    }

    fn size(&self, path: &str) -> u64 {
        fs::metadata(self.at(path)).unwrap().len()
    }

    fn cut(&self, path: &str, size: u64) {
        let file = File::options().write(true).open(self.at(path)).unwrap();
        file.set_len(size).unwrap();
    }

    fn add(&self, path: &str, bytes: &[u8]) {
        let whole = [&fs::read(self.at(path)).unwrap(), bytes].concat();
        fs::write(self.at(path), whole).unwrap();
    }
}

struct Said(Vec<String>);

impl Listener for Said {
    fn done(&mut self, repair: &Repair) {
        self.0.push(repair.to_string());
    }

    fn failed(&mut self, failure: &Failure) {
        self.0.push(failure.to_string());
    }
}

const INDEX: &str = "index/ch_0.idx";
const NOTHING: [&str; 0] = [];

fn made(packets: u64) -> Vec<Made> {
    (0..packets)
        .map(|it| (it * 10 + 1, it * 10 + 9, it))
        .collect()
}

fn index_size(packets: u64) -> u64 {
    16 + packets * 72
}

#[test]
fn torn_tails_are_cut_once_and_kept() {
    let test = Test::new(3);
    test.add("ch_0", &[1; 40]);
    test.add(INDEX, &[7; 50]);
    assert_eq!(
        test.repair(),
        [
            "index/ch_0.idx: cut from 282 to 232 bytes",
            "ch_0: cut from 340 to 300 bytes",
        ]
    );
    assert_eq!(test.size("ch_0"), 300);
    assert_eq!(test.size(INDEX), index_size(3));
    assert_eq!(fs::read(test.at(".baton-cut-ch_0-300")).unwrap(), [1; 40]);
    let kept = test.at("index/.baton-cut-ch_0.idx-232");
    assert_eq!(fs::read(kept).unwrap(), [7; 50]);
    assert_eq!(test.repair(), NOTHING);
    // Torn again at the same offset.
    test.add("ch_0", &[2; 3]);
    test.repair();
    assert_eq!(fs::read(test.at(".baton-cut-ch_0-300")).unwrap(), [1; 40]);
    assert_eq!(fs::read(test.at(".baton-cut-ch_0-300-2")).unwrap(), [2; 3]);
    assert_eq!(
        test.repair_with(false, true),
        [
            ".baton-cut-ch_0-300: removed",
            ".baton-cut-ch_0-300-2: removed",
            "index/.baton-cut-ch_0.idx-232: removed",
        ]
    );
    test.add("ch_0", &[2; 3]);
    test.repair_with(false, true);
    assert_eq!(test.size("ch_0"), 300);
    assert_eq!(fs::read_dir(test.at("")).unwrap().count(), 3);
}

#[test]
fn all_whole_packets_stay_however_short_the_files_are() {
    let packets = 3;
    let whole = Test::new(packets);
    let (data, index) = (whole.at("ch_0"), whole.at(INDEX));
    let (data, index) = (fs::read(data).unwrap(), fs::read(index).unwrap());
    for data_size in (0..=packets * PACKET_BYTES).step_by(31) {
        for index_size in [0, 7, 16, 50, 88, 100, 160, 200, 232] {
            let test = Test::new(packets);
            test.cut("ch_0", data_size);
            test.cut(INDEX, index_size);
            test.repair();
            let left = data_size / PACKET_BYTES;
            let at = format!("{data_size} and {index_size} bytes");
            let data_size = (left * PACKET_BYTES) as usize;
            assert_eq!(
                fs::read(test.at("ch_0")).unwrap(),
                data[..data_size],
                "{at}"
            );
            let told = fs::read(test.at(INDEX)).unwrap();
            let expected = match left {
                0 => told.len().min(16),
                left => self::index_size(left) as usize,
            };
            assert_eq!(told, index[..expected], "{at}");
            assert_eq!(test.repair(), NOTHING, "{at}");
        }
    }
}

#[test]
fn an_index_that_does_not_fit_is_written_anew() {
    let spoils: [fn(&mut Vec<u8>); 7] = [
        |index| index.truncate(16 + 72),
        Vec::clear,
        |index| index[0] = 0,
        |index| index[15] = 16,
        |index| index[16 + 72..].fill(0),
        |index| index[16 + 8] += 1,
        |index| index[16..].rotate_left(72),
    ];
    for spoil in spoils {
        let test = Test::new(3);
        let whole = fs::read(test.at(INDEX)).unwrap();
        let mut index = whole.clone();
        spoil(&mut index);
        fs::write(test.at(INDEX), &index).unwrap();
        assert_eq!(
            test.repair(),
            ["index/ch_0.idx: written anew, for 3 packets"]
        );
        assert_eq!(fs::read(test.at(INDEX)).unwrap(), whole);
        let kept = fs::read_dir(test.at("index")).unwrap().count() - 1;
        assert_eq!(kept, usize::from(!whole.starts_with(&index)));
        assert_eq!(test.size("ch_0"), 300);
        assert_eq!(test.repair(), NOTHING);
    }
}

#[test]
fn zeros_that_a_loss_of_power_left_in_place_of_packets_are_cut_off() {
    let test = Test::new(3);
    fs::write(test.at("ch_1"), [0; 4096]).unwrap();
    assert_eq!(test.repair(), ["ch_1: cut from 4096 to 0 bytes"]);
    test.add("ch_0", &[0; 700]);
    test.add(INDEX, &[0; 72]);
    assert_eq!(
        test.repair(),
        [
            "index/ch_0.idx: cut from 304 to 232 bytes",
            "ch_0: cut from 1000 to 300 bytes",
        ]
    );
}

#[test]
fn without_an_index_none_is_made() {
    let test = Test::new(3);
    fs::remove_dir_all(test.at("index")).unwrap();
    test.cut("ch_0", 299);
    assert_eq!(test.repair(), ["ch_0: cut from 299 to 200 bytes"]);
    assert!(!test.at("index").exists());
}

#[test]
fn a_dry_run_says_all_and_does_nothing() {
    let test = Test::new(3);
    test.cut("ch_0", 250);
    test.cut("metadata", test.size("metadata") - 2);
    fs::create_dir(test.at("s")).unwrap();
    trace(&test.at("s/.tmp_old_chunk/kernel"), "u");
    fs::write(test.at(".baton-cut-ch_0-5"), "kept").unwrap();
    fs::write(test.at(".baton-recording-0"), "").unwrap();
    let said = test.repair_with(true, true);
    let would = [
        ".baton-cut-ch_0-5: would be removed",
        "metadata: would be cut from ",
        "index/ch_0.idx: would be cut from 232 to 160 bytes",
        "ch_0: would be cut from 250 to 200 bytes",
        "s/.tmp_old_chunk: would be brought back as s/archives/",
    ];
    for (said, would) in said.iter().zip(would) {
        assert!(said.starts_with(would), "{said}");
    }
    assert_eq!(said.len(), would.len());
    assert_eq!(test.size("ch_0"), 250);
    assert_eq!(test.size(".baton-cut-ch_0-5"), 4);
    assert!(test.at("s/.tmp_old_chunk").exists());
    assert!(test.at(".baton-recording-0").exists());
    assert_eq!(test.repair().len(), 4);
    assert!(!test.at(".baton-recording-0").exists());
}

#[test]
fn what_a_killed_repair_was_writing_is_removed() {
    let test = Test::new(3);
    for path in [".baton-new-Ab1", "index/.baton-new-x", ".baton-newer"] {
        fs::write(test.at(path), "a part").unwrap();
    }
    let would = [".baton-new-Ab1", "index/.baton-new-x"];
    assert_eq!(
        test.repair_with(true, false),
        would.map(|path| format!("{path}: would be removed"))
    );
    assert_eq!(test.repair(), would.map(|path| format!("{path}: removed")));
    assert!(!would.iter().any(|path| test.at(path).exists()));
    assert!(test.at(".baton-newer").exists());
    assert_eq!(test.repair(), NOTHING);
    // Those of a repair that is at work stay.
    fs::write(test.at(would[0]), "a part").unwrap();
    let other = keep_others_out(&test.at("")).unwrap();
    assert_eq!(test.repair_with(false, true).len(), 1);
    assert!(test.at(would[0]).exists());
    drop(other);
}

/// Packets whose headers have only their sizes, as those of the load generator.
const SIZES_ONLY: &str = "/* CTF 1.8 */
typealias integer { size = 32; align = 8; } := uint32_t;
typealias integer { size = 64; align = 8; } := uint64_t;
trace { packet.header := struct {
	uint32_t magic; uint32_t a; uint64_t b; uint64_t c; uint64_t d; uint64_t e;
}; };
stream { packet.context := struct { uint64_t packet_size; }; };
";

#[test]
fn packets_that_cannot_be_described_are_still_found() {
    let test = Test::new(3);
    fs::write(test.at("metadata"), SIZES_ONLY).unwrap();
    test.add("ch_0", &[1; 40]);
    assert_eq!(test.repair(), ["ch_0: cut from 340 to 300 bytes"]);
    test.cut(INDEX, index_size(2));
    let aside = ["index/ch_0.idx: set aside: nothing of it can be read"];
    assert_eq!(test.repair(), aside);
    assert!(!test.at(INDEX).exists());
    assert_eq!(test.size("index/.baton-cut-ch_0.idx-0"), index_size(2));
    assert_eq!(test.repair(), NOTHING);
}

#[test]
fn bytes_that_no_header_and_no_index_describe_are_not_cut() {
    let test = Test::new(3);
    fs::write(test.at("metadata"), "/* CTF 1.8 */ trace { };").unwrap();
    assert_eq!(test.repair(), NOTHING);
    test.cut("ch_0", 299);
    assert_eq!(
        test.repair(),
        [
            "index/ch_0.idx: cut from 232 to 160 bytes",
            "ch_0: cut from 299 to 200 bytes"
        ]
    );
    test.cut(INDEX, index_size(1));
    let said = test.repair();
    assert!(said[0].starts_with("cannot repair ch_0: its index does not describe"));
    assert_eq!(test.size("ch_0"), 200);
}

#[test]
fn a_repair_goes_on_after_what_it_cannot_mend() {
    let test = Test::new(3);
    for name in ["a", "b", "c", "d"] {
        trace(&test.at(name), "u");
        data_file(&test.at(name), "ch_0", 3, &made(3), true);
        test.cut(&format!("{name}/ch_0"), 250);
    }
    test.cut("a/metadata", 0);
    fs::remove_file(test.at("b/metadata")).unwrap();
    fs::write(test.at("c/notes"), "my own").unwrap();
    fs::write(test.at(".baton-recording-0"), "").unwrap();
    assert_eq!(
        test.repair(),
        [
            "a/metadata: set aside: nothing of it can be read",
            "cannot repair a: it has no metadata, and its packets cannot be read without",
            "cannot repair b: it has no metadata, and its packets cannot be read without",
            "c/index/ch_0.idx: cut from 232 to 160 bytes",
            "c/ch_0: cut from 250 to 200 bytes",
            "cannot repair c/notes: it does not begin with a packet, so it is not a data file of this trace",
            "d/index/ch_0.idx: cut from 232 to 160 bytes",
            "d/ch_0: cut from 250 to 200 bytes",
        ]
    );
    assert_eq!(test.size("a/ch_0"), 250);
    assert_eq!(test.size("c/notes"), 6);
    // A second repair finds nothing.
    assert!(!test.at(".baton-recording-0").exists());
}

#[test]
fn links_are_named_and_not_followed() {
    let test = Test::new(3);
    let elsewhere = tempfile::tempdir().unwrap();
    let index = elsewhere.path().join("index");
    fs::rename(test.at("index"), &index).unwrap();
    std::os::unix::fs::symlink(&index, test.at("index")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), test.at("ch_1")).unwrap();
    trace(&test.at("b"), "u");
    data_file(&test.at("b"), "ch_0", 3, &made(3), true);
    fs::remove_file(test.at("b/index/ch_0.idx")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        test.at("b/index/ch_0.idx"),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    for path in ["ch_0", "b/ch_0"] {
        test.cut(path, 250);
    }
    let reason = "it is a link, or not a regular file; readers follow it, and repair does not";
    let said = test.repair();
    assert_eq!(
        said,
        [
            format!("cannot repair ch_1: {reason}"),
            format!("cannot repair index: {reason}"),
            "ch_0: cut from 250 to 200 bytes".to_owned(),
            format!("cannot repair b/index/ch_0.idx: {reason}"),
            "b/ch_0: cut from 250 to 200 bytes".to_owned(),
        ]
    );
    let names: Vec<_> = fs::read_dir(&index).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let size = fs::metadata(index.join("ch_0.idx")).unwrap().len();
    assert_eq!(size, index_size(3));
    // They are not changed, nor is the readable part.
    let said = test.repair();
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn hidden_chunks_do_not_follow_a_link_of_the_archives() {
    let test = Test(tempfile::tempdir().unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    trace(&test.at("s/.tmp_old_chunk/kernel"), "u");
    std::os::unix::fs::symlink(elsewhere.path(), test.at("s/archives")).unwrap();
    for dry_run in [true, false] {
        let said = test.repair_with(dry_run, false);
        assert!(
            said[0].starts_with("cannot repair s/archives: it is a link"),
            "{said:?}"
        );
    }
    assert!(test.at("s/.tmp_old_chunk/kernel").exists());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn the_largest_number_of_a_chunk_is_no_end() {
    let test = Test(tempfile::tempdir().unwrap());
    for chunk in [".tmp_old_chunk", ".tmp_new_chunk"] {
        trace(&test.at(&format!("s/{chunk}/kernel")), "u");
    }
    let largest = format!("s/20261122T070017+0000-{}", u64::MAX);
    fs::create_dir_all(test.at(&largest)).unwrap();
    let said = test.repair();
    assert_eq!(said.len(), 2, "{said:?}");
    let end = format!("-{}", u64::MAX);
    assert!(said.iter().all(|it| it.ends_with(&end)), "{said:?}");
}

#[test]
fn a_directory_that_is_not_a_trace_is_left_alone() {
    let test = Test(tempfile::tempdir().unwrap());
    fs::write(test.at("metadata"), "mine").unwrap();
    fs::write(test.at("ch_0"), "mine").unwrap();
    let traces = Test::new(1);
    traces.cut("ch_0", 99);
    std::os::unix::fs::symlink(traces.at(""), test.at("link")).unwrap();
    std::os::unix::fs::symlink(".", test.at("loop")).unwrap();
    let plan = Plan {
        directory: test.at(""),
        dry_run: false,
        discard: false,
    };
    assert_eq!(repair(&plan, &mut Said(vec![])), Outcome::default());
    assert_eq!(traces.size("ch_0"), 99);
    // The argument itself may be a link.
    let directory = test.at("link");
    let outcome = repair(&Plan { directory, ..plan }, &mut Said(vec![]));
    assert_eq!((outcome.traces, outcome.failures), (1, 0));
    assert_eq!(traces.size("ch_0"), 0);
}

#[test]
fn metadata_that_did_not_come_hides_nothing_else() {
    let test = Test::new(3);
    let first = fs::read(test.at("ch_0")).unwrap()[..50].to_vec();
    let swapped: Vec<u8> = first[..4].iter().rev().copied().collect();
    // No packet was whole yet, so there is no index.
    for (name, begin) in [("a", &first[..0]), ("b", &first[..]), ("c", &swapped[..])] {
        fs::create_dir(test.at(name)).unwrap();
        fs::write(test.at(&format!("{name}/metadata")), "").unwrap();
        fs::write(test.at(&format!("{name}/ch_0")), begin).unwrap();
        fs::write(test.at(&format!("{name}/ch_1")), "").unwrap();
    }
    let aside = |name| format!("{name}/metadata: set aside: nothing of it can be read");
    let none = |name| {
        format!("cannot repair {name}: it has no metadata, and its packets cannot be read without")
    };
    assert_eq!(
        test.repair(),
        [aside("a"), aside("b"), none("b"), aside("c"), none("c")]
    );
    // No stream has a file yet, as after a rotation that broke off.
    for name in ["kernel", "ust/uid/7/64-bit", "ust/pid/app-7"] {
        fs::create_dir_all(test.at(name)).unwrap();
        fs::write(test.at(&format!("{name}/metadata")), "").unwrap();
        assert_eq!(test.repair(), [aside(name)]);
    }
    // Files of other programs stay.
    for (name, other) in [("d", Some("text")), ("e", None)] {
        fs::create_dir(test.at(name)).unwrap();
        fs::write(test.at(&format!("{name}/metadata")), "").unwrap();
        if let Some(other) = other {
            fs::write(test.at(&format!("{name}/other")), other).unwrap();
        }
    }
    assert_eq!(test.repair(), NOTHING);
    assert!(test.at("d/metadata").exists() && test.at("e/metadata").exists());
}

#[test]
fn metadata_is_never_emptied() {
    let test = Test::new(3);
    let whole = fs::read(test.at("metadata")).unwrap();
    test.cut("metadata", whole.len() as u64 - 4);
    let said = test.repair();
    assert!(said[0].starts_with("metadata: cut from "), "{said:?}");
    // All but the last declaration, and the packets, which cannot be read any more.
    assert!(test.size("metadata") > 200);
    assert_eq!(test.size("ch_0"), 300);
    fs::write(test.at("metadata"), &whole).unwrap();
    test.cut("metadata", 8 << 30);
    let expected = format!("metadata: cut from 8589934592 to {} bytes", whole.len());
    assert_eq!(test.repair(), [expected]);
    assert_eq!(fs::read(test.at("metadata")).unwrap(), whole);
}

#[test]
fn hidden_chunks_are_brought_back() {
    let test = Test(tempfile::tempdir().unwrap());
    let archived = "s/archives/20261122T070017+0000-20261122T070018+0000-4/kernel";
    for path in [
        archived,
        "s/.tmp_old_chunk/kernel",
        "s/.tmp_new_chunk/kernel",
    ] {
        trace(&test.at(path), "u");
        data_file(&test.at(path), "ch_0", 3, &made(2), true);
    }
    test.cut("s/.tmp_new_chunk/kernel/ch_0", 150);
    fs::create_dir_all(test.at("t/.tmp_new_chunk")).unwrap();
    let said = test.repair();
    let [old, new] = [&said[0], &said[1]].map(|said| said.rsplit_once(' ').unwrap().1);
    assert!(
        old.starts_with("s/archives/") && old.ends_with("-5"),
        "{old}"
    );
    assert!(new.starts_with("s/2") && new.ends_with("-6"), "{new}");
    for path in [old, new] {
        let name = Path::new(path).file_name().unwrap();
        assert!(crate::trace::slices::chunk_number(name).is_some(), "{path}");
    }
    assert_eq!(test.size(&format!("{old}/kernel/ch_0")), 200);
    // They are repaired under their new names.
    assert_eq!(test.size(&format!("{new}/kernel/ch_0")), 100);
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(!test.at("s/.tmp_old_chunk").exists());
    assert_eq!(test.repair(), NOTHING);
}

#[test]
fn a_trace_that_is_being_recorded_is_left_alone() {
    let test = Test(tempfile::tempdir().unwrap());
    for name in ["live", "over"] {
        let path = test.at(name).join("kernel");
        trace(&path, "u");
        data_file(&path, "ch_0", 3, &made(2), true);
        test.cut(&format!("{name}/kernel/ch_0"), 150);
        fs::create_dir(test.at(name).join(".tmp_old_chunk")).unwrap();
        fs::write(test.at(name).join(".tmp_old_chunk/file"), "").unwrap();
    }
    let mut root = Root::open(&test.at("")).unwrap();
    let mut recordings = Recordings::default();
    let live = RelativePath::parse(b"live").unwrap();
    recordings.begin(&mut root, &live).unwrap();
    let said = test.repair();
    let reason = "a relay is writing to it; repair it when the session is over";
    let refused = |path: &str| format!("cannot repair {path}: {reason}");
    assert_eq!(said[0], refused("live/.tmp_old_chunk"));
    assert_eq!(said[1], refused("live/kernel"));
    assert_eq!(said.len(), 5, "{said:?}");
    assert_eq!(test.size("live/kernel/ch_0"), 150);
    assert_eq!(test.size("over/kernel/ch_0"), 100);
    recordings.end(&root, &live).unwrap();
    assert_eq!(test.repair().len(), 3);
    assert_eq!(test.size("live/kernel/ch_0"), 100);
}

/// A process that has a file open for writing.
struct Writing(Child);

impl Writing {
    fn to(path: &Path) -> Self {
        let file = File::options().append(true).open(path).unwrap();
        let mut command = Command::new("sleep");
        let command = command.arg("60").stdin(Stdio::null()).stdout(file);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_trace_that_another_program_writes_is_left_alone() {
    let test = Test::new(3);
    test.cut("ch_0", 250);
    for path in ["ch_0", "metadata", INDEX] {
        let writing = Writing::to(&test.at(path));
        let said = test.repair();
        let process = format!("sleep (process {})", writing.0.id());
        let expected = format!(" {process} is writing to it; stop that first");
        assert!(said[0].ends_with(&expected), "{said:?}");
        assert_eq!(test.size("ch_0"), 250);
    }
}

#[test]
fn two_repairs_do_not_meet() {
    let test = Test::new(3);
    test.cut("ch_0", 250);
    let other = keep_others_out(&test.at("")).unwrap();
    let said = test.repair();
    assert!(said[0].ends_with(": another repair is running on it; wait until it ends"));
    drop(other);
    assert_eq!(test.repair().len(), 2);
}
