//! `baton replay` of recorded trees (`tests/captures/`): what its relay writes is what
//! was recorded, and what it says of directories that it cannot replay.
//!
//! No tool of LTTng is needed here; the end-to-end cases have viewers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use baton_components::wire::producer::{CommandKind, HEADER_SIZE, code, reply};

use flate2::read::GzDecoder;
use tempfile::TempDir;

/// Of one chunk each: what comes out are the same files.
const WHOLE: [&str; 11] = [
    "2.13-live-clear",
    "2.13-live-pid",
    "2.13-live-uid",
    "2.13-regenerate",
    "2.17-ctf1-live-pid",
    "2.17-ctf1-live-uid",
    "2.17-ctf1-regenerate",
    "2.17-ctf2-live-pid",
    "2.17-ctf2-live-uid",
    "2.17-ctf2-live-uid-late",
    "2.17-ctf2-regenerate",
];

/// Of several chunks, with rings of trace files.
const ROTATED: [&str; 3] = ["2.13-stream", "2.17-ctf1-stream", "2.17-ctf2-stream"];

/// How long a replay of few packets may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a packet in all captures.
const PACKET_BYTES: usize = 4096;

#[test]
fn a_replay_writes_the_recorded_files() {
    for capture in WHOLE {
        let recorded = Recorded::unpack(capture);
        let expected = files(&recorded.session());
        assert_eq!(files(&recorded.replayed()), expected, "{capture}");
    }
}

#[test]
fn indexes_are_made_anew_where_they_are_missing() {
    for capture in WHOLE {
        let recorded = Recorded::unpack(capture);
        let expected = files(&recorded.session());
        for path in expected.keys().filter(|path| is_index(path)) {
            fs::remove_file(recorded.session().join(path)).expect("an index file");
        }
        assert_eq!(files(&recorded.replayed()), expected, "{capture}");
    }
}

#[test]
fn chunks_and_rings_become_whole_streams() {
    for capture in ROTATED {
        let recorded = Recorded::unpack(capture);
        let replayed = files(&recorded.replayed());
        assert_eq!(
            packets(&replayed),
            packets(&files(&recorded.session())),
            "{capture}"
        );
        // Two CPUs: two streams in each trace, whatever files they had.
        for (metadata, _) in replayed.iter().filter(|(path, _)| is_metadata(path)) {
            let trace = metadata.parent().expect("the directory of a trace");
            let in_it = replayed.keys().filter(|path| path.starts_with(trace));
            assert_eq!(in_it.count(), 5, "{capture}");
        }
    }
}

#[test]
fn one_trace_of_a_session_keeps_its_path() {
    let recorded = Recorded::unpack("2.17-ctf2-live-uid");
    let path = Path::new("ust/uid/0/64-bit");
    let replayed = files(&recorded.replay(&recorded.session().join(path)));
    let expected: BTreeMap<_, _> = files(&recorded.session())
        .into_iter()
        .filter(|(file, _)| file.starts_with(path))
        .collect();
    assert!(!expected.is_empty(), "{path:?} is not in the capture");
    assert_eq!(replayed, expected);
}

#[test]
fn a_torn_packet_is_said() {
    let recorded = Recorded::unpack("2.13-live-uid");
    let path = recorded.file(|path| path.ends_with("ch_0"));
    let bytes = fs::read(&path).expect("a data file");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("a shorter one");
    let error = recorded.refusal(&recorded.session());
    assert!(
        error.contains(&format!("{}: the packet at byte ", path.display()))
            && error.ends_with(" is torn; baton repair cuts it off"),
        "{error}"
    );
    // And then it is as good as new.
    assert!(
        baton(&["repair".as_ref(), recorded.session().as_os_str()])
            .status
            .success()
    );
    recorded.replayed();
}

#[test]
fn metadata_that_is_none_is_said() {
    for capture in ["2.13-live-uid", "2.17-ctf1-live-uid", "2.17-ctf2-live-uid"] {
        let recorded = Recorded::unpack(capture);
        let path = recorded.file(is_metadata);
        let whole = fs::read(&path).expect("metadata");
        for garbage in [&[0xff; 100][..], b"hello", b"/* CTF 1.8 */ trace {"] {
            fs::write(&path, garbage).expect("garbage");
            let error = recorded.refusal(&recorded.session());
            let expected = format!(
                "baton: cannot read {}: it is no metadata of",
                path.display()
            );
            assert!(error.starts_with(&expected), "{capture}: {error}");
        }
        fs::write(&path, &whole[..whole.len() / 2]).expect("half of it");
        let error = recorded.refusal(&recorded.session());
        assert!(
            error.contains(&*path.to_string_lossy()),
            "{capture}: {error}"
        );
    }
}

#[test]
fn directories_without_a_trace_are_said() {
    let recorded = Recorded::unpack("2.13-live-uid");
    let empty = recorded.directory.path().join("empty");
    let other = recorded.directory.path().join("other");
    fs::create_dir(&empty).expect("a directory");
    fs::create_dir(&other).expect("a directory");
    fs::write(other.join("notes"), "nothing").expect("a file");
    for (directory, reason) in [
        (&empty, "there is no trace in it"),
        (&other, "there is no trace in it"),
        (
            &recorded.directory.path().join("nowhere"),
            "No such file or directory",
        ),
    ] {
        let expected = format!("baton: cannot read {}: {reason}", directory.display());
        assert_eq!(recorded.refusal(directory), expected);
    }
}

#[test]
fn a_relay_that_is_not_there_is_said() {
    let recorded = Recorded::unpack("2.13-live-uid");
    let session = recorded.session();
    for (url, expected) in [
        (
            "net://127.0.0.1:1:1",
            "baton: the replay failed: cannot connect to 127.0.0.1:1: Connection refused; does a relay listen there?",
        ),
        (
            "127.0.0.1",
            "baton: 127.0.0.1: URI parse unknown protocol 127.0.0.1; expected tcp://HOST[:PORT]",
        ),
    ] {
        let output = baton(&[
            "replay".as_ref(),
            session.as_os_str(),
            "--to".as_ref(),
            url.as_ref(),
        ]);
        assert_eq!(one_line(&output), expected);
    }
}

#[test]
fn a_relay_that_closes_the_data_connection_is_said() {
    let recorded = Recorded::unpack("2.13-live-uid");
    let deaf = DeafRelay::start();
    let url = format!("net://127.0.0.1:{}:{}", deaf.control, deaf.data);
    let mut replay = Command::new(env!("CARGO_BIN_EXE_baton"))
        .arg("replay")
        .arg(recorded.session())
        .args(["--speed=max", "--to", &url])
        .stderr(Stdio::piped())
        .spawn()
        .expect("baton runs");
    let deadline = Instant::now() + PATIENCE;
    while replay.try_wait().expect("a state").is_none() {
        if Instant::now() > deadline {
            let _ = replay.kill();
            panic!("a replay that waits for ever");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let errors = replay.wait_with_output().expect("an end").stderr;
    let errors = String::from_utf8_lossy(&errors);
    let expected = format!(
        "the data connection to 127.0.0.1:{} broke: the relay closed it; its log says why",
        deaf.data
    );
    assert!(errors.contains(&expected), "{errors}");
}

/// A relay that reads the first byte of data and then nothing more, says yes to all
/// commands, and that data is still on its way.
struct DeafRelay {
    control: u16,
    data: u16,
}

impl DeafRelay {
    fn start() -> Self {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (control, data) = (listen(), listen());
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let relay = Self {
            control: port(&control),
            data: port(&data),
        };
        thread::spawn(move || {
            let (mut control, _) = control.accept().expect("a producer");
            let (mut data, _) = data.accept().expect("a producer");
            let mut data = Some(thread::spawn(move || {
                // All that comes is taken in, so the end is in order.
                data.read_exact(&mut [0]).expect("data");
                data.set_read_timeout(Some(Duration::from_millis(200)))
                    .expect("a timeout");
                let _ = data.read_to_end(&mut Vec::new());
            }));
            // Until the producer has gone.
            while let Ok(kind) = Self::take_command(&mut control) {
                if kind == CommandKind::DataPending {
                    data.take().map(thread::JoinHandle::join);
                }
                let mut bytes = Vec::new();
                Self::answer(kind, &mut bytes);
                if control.write_all(&bytes).is_err() {
                    break;
                }
            }
        });
        relay
    }

    fn take_command(control: &mut TcpStream) -> std::io::Result<CommandKind> {
        let mut header = [0; HEADER_SIZE];
        control.read_exact(&mut header)?;
        let size = u64::from_be_bytes(header[8..16].try_into().expect("eight bytes"));
        control.read_exact(&mut vec![0; size as usize])?;
        let kind = u32::from_be_bytes(header[16..20].try_into().expect("four bytes"));
        Ok(CommandKind::from_number(kind).expect("a command"))
    }

    fn answer(kind: CommandKind, bytes: &mut Vec<u8>) {
        match kind {
            CommandKind::Version => reply::version(bytes),
            CommandKind::GetConfiguration => reply::configuration(bytes, code::OK, 0),
            CommandKind::CreateSession => reply::session_created(bytes, 15, 1, b"there"),
            CommandKind::AddStream => reply::stream_added(bytes, 1, code::OK),
            CommandKind::DataPending => reply::code(bytes, code::PENDING),
            CommandKind::SendMetadata => {}
            _ => reply::code(bytes, code::OK),
        }
    }
}

/// The tree of a capture, and room for what comes of it.
struct Recorded {
    directory: TempDir,
}

impl Recorded {
    fn unpack(capture: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/captures")
            .join(capture)
            .join("tree.tar.gz");
        let archive = File::open(archive).expect("the tree of a capture");
        tar::Archive::new(GzDecoder::new(archive))
            .unpack(directory.path().join("recorded"))
            .expect("room for a tree");
        Self { directory }
    }

    /// The directory of the one session.
    fn session(&self) -> PathBuf {
        only(&only(&self.directory.path().join("recorded")))
    }

    /// The first file of the session that is right.
    fn file(&self, is_right: impl Fn(&Path) -> bool) -> PathBuf {
        let files = files(&self.session());
        let path = files.keys().find(|path| is_right(path));
        self.session().join(path.expect("such a file"))
    }

    /// The files that the relay writes in a replay of the session.
    fn replayed(&self) -> PathBuf {
        self.replay(&self.session())
    }

    /// As [`Self::replayed`], of another directory.
    fn replay(&self, directory: &Path) -> PathBuf {
        let output = self.directory.path().join("output");
        let replay = replay(directory, &output);
        let errors = String::from_utf8_lossy(&replay.stderr);
        assert!(replay.status.success(), "{errors}");
        only(&only(&output))
    }

    /// The one line with which a replay fails.
    fn refusal(&self, directory: &Path) -> String {
        one_line(&replay(directory, &self.directory.path().join("refused")))
    }
}

/// A replay without viewers: it begins at once, and ends when all is written.
fn replay(directory: &Path, output: &Path) -> Output {
    baton(&[
        "replay".as_ref(),
        directory.as_os_str(),
        "--speed=max".as_ref(),
        "--viewers=0".as_ref(),
        "--live-port=tcp://127.0.0.1:0".as_ref(),
        "--output".as_ref(),
        output.as_os_str(),
    ])
}

fn baton(arguments: &[&std::ffi::OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(arguments)
        .output()
        .expect("baton runs")
}

fn one_line(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(errors.lines().count(), 1, "not one line:\n{errors}");
    errors.trim_end().to_owned()
}

/// The one entry of a directory that is not hidden.
fn only(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths.remove(0)
}

/// All files below a directory that are not empty, by their paths.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                let below = path.strip_prefix(directory).expect("a path below");
                // A file without packets is not made.
                if !bytes.is_empty() {
                    found.insert(below.to_owned(), bytes);
                }
            }
        }
    }
    found
}

/// The packets of all data files, in an order that does not depend on the files.
fn packets(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<&[u8]> {
    let data = files
        .iter()
        .filter(|(path, _)| !is_index(path) && !is_metadata(path));
    let mut packets: Vec<_> = data
        .flat_map(|(_, bytes)| bytes.chunks(PACKET_BYTES))
        .collect();
    packets.sort_unstable();
    packets
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "idx")
}

fn is_metadata(path: &Path) -> bool {
    path.file_name().is_some_and(|it| it == "metadata")
}
