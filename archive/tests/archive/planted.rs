//! Files that a relay that was taken over may have put into its directories: the archiver has the
//! keys of the bucket and perhaps more rights, and is led nowhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::program::{archive, archive_command, fetch, list, run};
use crate::server::Server;
use crate::tree::{Output, assert_same, files};

/// The directory of the only chunk.
fn chunk_of(output: &Output) -> PathBuf {
    let files = output.files();
    let metadata = files.keys().find(|it| it.ends_with("metadata"));
    let path = output.path().join(metadata.expect("metadata"));
    let domain = path.ancestors().find(|it| it.ends_with("ust"));
    domain.expect("ust").parent().expect("a chunk").to_owned()
}

#[test]
fn a_link_in_a_chunk_is_not_followed_and_nothing_behind_it_is_deleted() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let (output, elsewhere) = (Output::of(&["2.13-live-uid"]), Output::empty());
    let before = output.files();
    let secret = elsewhere.path().join("uid");
    fs::create_dir(&secret).expect("a directory");
    fs::write(secret.join("key"), "a secret").expect("a file");
    let chunk = chunk_of(&output);
    symlink(elsewhere.path(), chunk.join("kernel")).expect("a link");
    symlink(secret.join("key"), chunk.join("ust/key")).expect("a link");
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete");
    run(words).done();
    assert_eq!(
        fs::read_to_string(secret.join("key")).expect("a file"),
        "a secret"
    );
    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &before);
}

#[test]
fn a_journal_that_is_a_link_is_not_written_through() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let (output, elsewhere) = (Output::of(&["2.13-live-uid"]), Output::empty());
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, "bytes").expect("a file");
    symlink(&precious, chunk_of(&output).join(".baton-archiving")).expect("a link");
    archive(store, output.path()).done();
    assert_eq!(fs::read_to_string(&precious).expect("a file"), "bytes");
    assert_eq!(list(store).len(), 1);
}

#[test]
fn a_forged_journal_reaches_nothing_that_is_archived() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let before = output.files();
    archive(store, output.path()).done();
    let chunk = chunk_of(&output);
    let marked = |to: &str| {
        let text = fs::read_to_string(chunk.join(".baton-archived")).expect("a mark");
        let mut marks = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let mark = marks.find(|it: &serde_json::Value| it["to"] == to);
        mark.expect("a mark of that place")
    };
    let first = marked(&store.url);
    let own = first["directory"].as_str().expect("a place");
    // Other bytes, of which the relay knows what the archiver knows.
    fs::write(data_file(&chunk), "other bytes").expect("a file");
    let elsewhere = store.below("elsewhere");
    archive(&elsewhere, output.path()).done();
    let digest = marked(&elsewhere.url)["digest"].clone();
    // An attempt at what is archived already, also under the name of another chunk.
    for chunk_name in ["whole", "other"] {
        let directory = own.replace("/whole/", &format!("/{chunk_name}/"));
        let begin = serde_json::json!({"Begin": {
            "id": first["id"], "to": store.url, "digest": digest, "directory": directory,
        }});
        fs::remove_file(chunk.join(".baton-archived")).expect("the mark");
        fs::write(chunk.join(".baton-archiving"), format!("{begin}\n")).expect("a journal");
        archive(store, output.path()).done();
        assert_is_whole(store, own, &before);
    }
}

/// The objects of the first attempt are what they were: its manifest can be fetched.
fn assert_is_whole(
    store: &crate::server::Store,
    directory: &str,
    before: &std::collections::BTreeMap<PathBuf, Vec<u8>>,
) {
    let id = directory.rsplit('/').next().expect("an id").to_owned();
    // A proxy that hides the heads of later attempts.
    let proxy = crate::proxy::Proxy::start(store.address(), move |seen| {
        let is_head = seen.path().contains("/v1/days/");
        let is_other = is_head && !seen.path().ends_with(&format!("{id}.json"));
        crate::proxy::Fault::Answer(404, Vec::new()).when(is_other)
    });
    let back = Output::empty();
    fetch(&store.through(proxy.port), back.path()).done();
    assert_same(&files(back.path()), before);
}

fn data_file(chunk: &Path) -> PathBuf {
    let found = files(chunk);
    let data = found.keys().find(|it| it.ends_with("ch_0"));
    chunk.join(data.expect("a data file"))
}
