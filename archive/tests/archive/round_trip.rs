//! Round trips: the same bytes come back.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::program::{archive, archive_command, command, end_of, fetch, list, run, start};
use crate::proxy::{Fault, Proxy};
use crate::server::{Server, free_port};
use crate::tree::{NOTE, OF_2_13, OF_CTF_2, Output, assert_same, events, files, hidden};

#[test]
fn traces_of_a_real_relay_come_back_byte_by_byte() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&[&OF_2_13[..], &OF_CTF_2].concat());
    let before = output.files();
    let said = archive(store, output.path()).done();
    assert!(said.contains(": archived, "), "{said}");
    // Nothing is changed where the relay writes, but for the marks.
    assert_same(&output.files(), &before);
    let marks = hidden(output.path());
    assert!(
        marks.iter().all(|it| it.ends_with(".baton-archived")),
        "{marks:?}"
    );

    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &before);
    assert_eq!(
        hidden(back.path()),
        [""; 0].map(Into::<std::path::PathBuf>::into)
    );
    // This version of Babeltrace reads no CTF 2.
    for capture in OF_2_13 {
        let (before, after) = (output.path().join(capture), back.path().join(capture));
        if let (Some(before), Some(after)) = (events(&before), events(&after)) {
            assert!(before.lines().count() > 10, "{capture}: {before}");
            assert_eq!(before, after, "{capture}");
        }
    }
    // Each rotation and each snapshot is a chunk of its own.
    let listed = list(store);
    assert_eq!(listed.len(), marks.len());
    let text = |name: &str| {
        listed
            .iter()
            .map(|it| it[name].to_string())
            .collect::<Vec<_>>()
    };
    assert!(
        text("path").iter().any(|it| it.contains("/archives/")),
        "{listed:?}"
    );
    assert!(
        text("host").iter().all(|it| it == "\"tracehost\""),
        "{listed:?}"
    );
}

#[test]
fn an_archived_chunk_is_not_archived_again_unless_it_changes() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    archive(store, output.path()).done();
    let said = archive(store, output.path()).done();
    assert!(
        said.starts_with("0 chunks archived, 1 archived before"),
        "{said}"
    );
    // Another archive is another matter.
    let other = store.below("other");
    let said = archive(&other, output.path()).done();
    assert!(said.contains("1 chunk archived"), "{said}");

    let data = output.files().into_keys().find(|it| it.ends_with("ch_0"));
    let path = output.path().join(data.expect("a data file"));
    append(&path, &[7; 100]);
    let said = archive(store, output.path()).done();
    assert!(said.contains("1 chunk archived"), "{said}");
    assert_eq!(list(store).len(), 1);
    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &output.files());
    // The other archive has it as it was.
    assert_eq!(list(&other).len(), 1);
}

#[test]
fn a_chunk_that_is_written_is_left_alone() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let data = output.files().into_keys().find(|it| it.ends_with("ch_0"));
    let path = output.path().join(data.expect("a data file"));
    let writer = File::options().append(true).open(&path).expect("a writer");
    let said = archive(store, output.path()).done();
    assert!(
        said.starts_with("0 chunks archived, 1 not finished"),
        "{said}"
    );
    append(&path, b"x");
    drop(writer);
    let mut words = command(store, ["archive", "--once", "--to", &store.url]);
    words.arg(output.path());
    // It changed within the last minute.
    let said = run(words).done();
    assert!(
        said.starts_with("0 chunks archived, 1 not finished")
            && said.contains("changed within the --quiet-period"),
        "{said}"
    );
    assert_eq!(list(store).len(), 0);
    let said = archive(store, output.path()).done();
    assert!(said.contains("1 chunk archived"), "{said}");
}

#[test]
fn thousands_of_small_files_are_few_objects() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let trace = directory_of(&output, "metadata");
    for it in 0..1500_u32 {
        fs::write(trace.join(format!("other_{it}")), it.to_string().repeat(50)).expect("a file");
    }
    archive(store, output.path()).done();
    assert_eq!(
        list(store)[0]["files"].as_u64().map(|it| it > 1500),
        Some(true)
    );
    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &output.files());
}

#[test]
fn names_and_sizes_may_be_odd() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let trace = directory_of(&output, "metadata");
    let long = "ö".repeat(120);
    let deep = format!("{long}/{long}");
    fs::create_dir(trace.join(&long)).expect("a directory");
    for (name, bytes) in [
        ("größe %2F", &b"odd"[..]),
        (&deep, b"long"),
        ("empty", b""),
        ("index/empty.idx", b""),
        ("a b+c&d=e?f#g", b"x"),
        ("..dots", b"y"),
    ] {
        fs::write(trace.join(name), bytes).expect("a file");
    }
    // More than a part, and than a frame: it cannot be compressed.
    append(&trace.join("large"), &noise(21 << 20));
    append(&trace.join("index/large"), &noise(9 << 20));
    archive(store, output.path()).done();
    let back = Output::empty();
    fetch(store, back.path()).done();
    let mut expected = output.files();
    // Hidden names are no trace's.
    expected.retain(|path, _| !path.ends_with("..dots"));
    assert_same(&back.files(), &expected);
}

#[test]
fn two_archivers_at_once_do_no_harm() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&OF_2_13);
    let before = output.files();
    let both = [(), ()].map(|()| start(archive_command(store, output.path())));
    for child in both {
        end_of(child).done();
    }
    // Chunks that one of them left to the other are done.
    let said = archive(store, output.path()).done();
    assert!(said.starts_with("0 chunks archived"), "{said}");
    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &before);
    assert_eq!(list(store).len(), hidden(output.path()).len());
}

#[test]
fn a_fetch_goes_on_where_it_was_and_overwrites_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    archive(store, output.path()).done();
    let back = Output::empty();
    fetch(store, back.path()).done();
    let paths: Vec<_> = back.files().into_keys().collect();
    fs::remove_file(back.path().join(&paths[0])).expect("a file");
    fetch(store, back.path()).done();
    assert_same(&back.files(), &output.files());
    fs::write(back.path().join(&paths[0]), "my own").expect("a file");
    let errors = fetch(store, back.path()).refused();
    assert!(
        errors.contains("a file with other bytes is there"),
        "{errors}"
    );
    assert_eq!(files(back.path())[&paths[0]], b"my own");
}

#[test]
fn chunks_are_chosen_by_host_session_and_time() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-stream", "2.13-live-uid"]);
    archive(store, output.path()).done();
    let all = list(store);
    let count = |words: &[&str]| {
        let words = [&["ls", &store.url, "--format=json"], words].concat();
        run(command(store, words)).done().lines().count()
    };
    assert_eq!(count(&[]), all.len());
    assert_eq!(count(&["--host=tracehost"]), all.len());
    assert_eq!(count(&["--host=other"]), 0);
    let ends: Vec<_> = all.iter().filter_map(|it| it["end"].as_str()).collect();
    let begins: Vec<_> = all.iter().filter_map(|it| it["begin"].as_str()).collect();
    let last = ends.iter().max().expect("chunks");
    assert!((1..all.len()).contains(&count(&["--from", last])));
    assert!((1..all.len()).contains(&count(&["--to", begins[0]])));
    assert_eq!(count(&["--from=2100-01-01"]), 0);
    assert_eq!(count(&["--to=2000-01-01"]), 0);
    let session = all[0]["session"].as_str().expect("a name");
    let one = count(&["--session", session]);
    assert!((1..all.len()).contains(&one));
    // Without the time of its creation.
    let name = &session[..session.len() - "-20261122-070017".len()];
    assert!(count(&["--session", name]) >= one);

    // A directory is listed alike.
    let mut words = command(store, ["ls"]);
    words.arg(output.path());
    let table = run(words).done();
    assert_eq!(table.lines().count(), 1 + all.len(), "{table}");
    let table = run(command(store, ["ls", &store.url])).done();
    assert_eq!(table.lines().count(), 1 + all.len(), "{table}");
}

#[test]
fn a_hook_runs_once_for_each_chunk_and_again_after_a_failure() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-stream"]);
    let place = Output::empty();
    let log = place.path().join("log");
    let hooked = |hook: &str| {
        let mut words = archive_command(store, output.path());
        words.args(["--then=delete", "--bandwidth=100M", "--hook", hook]);
        words.env("LOG", &log).env("PATH", "/usr/bin:/bin");
        run(words)
    };
    let errors = hooked("exit 3").refused();
    let chunks = list(store).len();
    assert!(chunks > 1);
    let failures = errors.matches("the hook ended with exit status: 3").count();
    assert_eq!(failures, chunks, "{errors}");
    // Chunks that a hook has not seen are not deleted.
    assert!(!output.files().is_empty());
    let said = hooked("echo $BATON_CHUNK $BATON_ARCHIVE $AWS_SECRET_ACCESS_KEY >>$LOG").done();
    assert!(said.starts_with("0 chunks archived"), "{said}");
    let log = fs::read_to_string(&log).expect("a log");
    assert_eq!(log.lines().count(), chunks, "{log}");
    assert!(log.lines().all(|line| line.contains(&store.url)), "{log}");
    assert!(!log.contains(&store.secret), "{log}");
    assert!(output.files().is_empty());
}

#[test]
fn a_hook_may_take_chunks_instead_of_an_archive() {
    let output = Output::of(&["2.13-stream"]);
    let before = output.files();
    let place = Output::empty();
    let hooked = |hook: &str| {
        let mut words = std::process::Command::new(env!("CARGO_BIN_EXE_baton-archive"));
        words
            .args(["archive", "--once", "--quiet-period=0s", "--then=delete"])
            .args(["--hook", hook])
            .arg(output.path())
            .env("PLACE", place.path())
            .env_remove("AWS_ACCESS_KEY_ID");
        run(words)
    };
    let errors = hooked("exit 3").refused();
    assert!(
        errors.contains("the hook ended with exit status: 3"),
        "{errors}"
    );
    assert_same(&output.files(), &before);
    let said = hooked("test -z \"$BATON_ARCHIVE\" && cp -r \"$BATON_CHUNK\" $PLACE").done();
    assert!(said.contains(": the hook has taken it\n"), "{said}");
    assert!(output.files().is_empty());
    let taken: std::collections::BTreeSet<_> = place.files().into_values().collect();
    assert_eq!(taken, before.into_values().collect());
    let said = hooked("exit 3").done();
    assert_eq!(said, "0 chunks archived\n");
    // One of both there must be.
    let mut words = std::process::Command::new(env!("CARGO_BIN_EXE_baton-archive"));
    words.args(["archive", "--once"]).arg(output.path());
    assert!(run(words).refused().contains("--to"));
}

#[test]
fn what_waits_is_noted_for_the_relay() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let noted = || {
        let text = fs::read(output.path().join(NOTE)).expect("a note");
        let note: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(note["to"], store.url);
        ["waiting_chunks", "waiting_bytes", "failing_chunks"].map(|it| note[it].as_u64())
    };
    let bytes: usize = output.files().values().map(Vec::len).sum();
    let proxy = Proxy::start(store.address(), |seen| {
        Fault::Answer(500, Vec::new()).when(seen.method == "PUT")
    });
    let mut words = archive_command(&store.through(proxy.port), output.path());
    words.arg("--retry-time=0s");
    run(words).refused();
    assert_eq!(noted(), [Some(1), Some(bytes as u64), Some(1)]);
    archive(store, output.path()).done();
    assert_eq!(noted(), [Some(0), Some(0), Some(0)]);
    // The directory of a session is no relay's.
    let session = output.path().join("2.13-live-uid/tracehost");
    let session = fs::read_dir(session).expect("a host").next();
    let session = session.expect("a session").expect("its name").path();
    archive(&store.below("one"), &session).done();
    assert!(!session.join(NOTE).exists());
}

#[test]
fn a_run_that_goes_on_takes_what_comes_and_tells_monitors() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::empty();
    let port = free_port();
    let mut words = command(store, ["archive", "--to", &store.url, "--quiet-period=0s"]);
    words.args([
        "--interval=0s",
        &format!("--status-port=tcp://127.0.0.1:{port}"),
    ]);
    words.arg(output.path());
    let mut running = start(words);
    let other = Output::of(&["2.13-live-uid"]);
    fs::rename(
        other.path().join("2.13-live-uid"),
        output.path().join("new"),
    )
    .expect("a tree");
    let page = loop {
        let page = ask(port, "/metrics");
        if page.contains("\nbaton_archive_chunks_total 1\n") {
            break page;
        }
        let ended = running.try_wait().expect("a state");
        assert!(ended.is_none(), "{ended:?}");
        thread::sleep(Duration::from_millis(20));
    };
    assert!(
        page.contains("\nbaton_archive_failures_total 0\n"),
        "{page}"
    );
    // It may be killed at any moment.
    running.kill().expect("a kill");
    end_of(running);
    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &output.files());
}

/// The metrics that a monitor gets; empty if nobody listens yet.
fn ask(port: u16, path: &str) -> String {
    let mut page = String::new();
    if let Ok(mut peer) = TcpStream::connect(("127.0.0.1", port)) {
        let request = format!("GET {path} HTTP/1.1\r\n\r\n");
        peer.write_all(request.as_bytes()).expect("a request");
        peer.read_to_string(&mut page).expect("a page");
    }
    page
}

/// The directory of the first file of this name.
fn directory_of(output: &Output, name: &str) -> std::path::PathBuf {
    let file = output.files().into_keys().find(|it| it.ends_with(name));
    let path = output.path().join(file.expect("a file"));
    path.parent().expect("its directory").to_owned()
}

fn append(path: &Path, bytes: &[u8]) {
    let mut options = File::options();
    let file = options.create(true).append(true).open(path);
    file.and_then(|mut it| it.write_all(bytes)).expect("a file");
}

/// Bytes that cannot be compressed, the same each time.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut noise = vec![0; bytes];
    random.fill(&mut noise);
    noise
}
