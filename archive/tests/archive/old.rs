//! Deletion: of archived chunks on this disk, and of old chunks in an archive.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::program::{archive, archive_command, command, fetch, list, run};
use crate::proxy::{Fault, Proxy};
use crate::server::Server;
use crate::skip;
use crate::tree::{NOTE, OF_2_13, Output, assert_same, hidden};

#[test]
fn archived_chunks_are_deleted_and_nothing_else() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&OF_2_13);
    fs::write(output.path().join("mine"), "my own").expect("a file");
    let before = output.files();
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete");
    let said = run(words).done();
    assert!(said.contains("chunks archived"), "{said}");
    let left: Vec<_> = output.files().into_keys().collect();
    assert_eq!(left, [std::path::PathBuf::from("mine")]);
    assert!(hidden(output.path()).is_empty());
    let back = Output::empty();
    fetch(store, back.path()).done();
    let mut expected = before;
    expected.retain(|path, _| !path.ends_with("mine"));
    assert_same(&back.files(), &expected);
}

#[test]
fn a_chunk_that_is_to_be_kept_is_archived_and_stays() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let before = output.files();
    let metadata = before.keys().find(|it| it.ends_with("metadata"));
    let trace = output.path().join(metadata.expect("metadata"));
    let trace = trace.parent().expect("a directory").to_owned();
    // In the chunk, and above it.
    for directory in [trace.as_path(), output.path()] {
        let mark = directory.join(".baton-keep");
        fs::write(&mark, "").expect("a mark");
        let mut words = archive_command(store, output.path());
        words.arg("--then=delete");
        run(words).done();
        fs::remove_file(&mark).expect("a mark");
        assert_same(&output.files(), &before);
        assert_eq!(list(store).len(), 1);
    }
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete");
    run(words).done();
    assert!(output.files().is_empty());
}

#[test]
fn chunks_archived_before_are_deleted_later_if_the_archive_still_has_them() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let before = output.files();
    archive(store, output.path()).done();
    // Someone has removed it there.
    let proxy = Proxy::start(store.address(), |seen| {
        Fault::Answer(404, Vec::new()).when(seen.path().ends_with("manifest.json"))
    });
    let mut words = archive_command(&store.through(proxy.port), output.path());
    words.arg("--then=delete");
    let errors = run(words).refused();
    assert!(errors.contains("it is not deleted"), "{errors}");
    assert_same(&output.files(), &before);
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete");
    let said = run(words).done();
    assert!(said.contains("1 archived before and deleted now"), "{said}");
    assert!(output.files().is_empty());
}

#[test]
fn a_session_of_another_user_is_archived_and_stays() {
    let output = Output::of(&["2.13-live-uid"]);
    let owner = fs::metadata(output.path()).expect("a directory").uid();
    if owner != 0 {
        return skip::say("since only root may run a program as another user");
    }
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    open_to_all(output.path());
    let before = output.files();
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete").uid(NOBODY).gid(NOBODY);
    let errors = run(words).refused();
    assert!(
        errors.contains("it is archived and not deleted"),
        "{errors}"
    );
    assert_same(&output.files(), &before);
    assert_eq!(list(store).len(), 1);
    // Where nothing can be added, the note is written over.
    let closed = Permissions::from_mode(0o755);
    fs::set_permissions(output.path(), closed).expect("permissions");
    let other = store.below("other");
    run({
        let mut words = archive_command(&other, output.path());
        words.uid(NOBODY).gid(NOBODY);
        words
    })
    .done();
    let note = fs::read_to_string(output.path().join(NOTE)).expect("a note");
    assert!(note.contains(&other.url), "{note}");
    // Locks of a Baton that runs there say what it records.
    let relay = fs::File::open(output.path()).expect("a directory");
    rustix::fs::flock(&relay, rustix::fs::FlockOperation::LockShared).expect("a lock");
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete").uid(NOBODY).gid(NOBODY);
    run(words).done();
    assert!(output.files().is_empty());
}

const NOBODY: u32 = 65_534;

/// Everybody may do everything in a directory and below, with names; files are read only.
fn open_to_all(directory: &Path) {
    let all = Permissions::from_mode(0o777);
    fs::set_permissions(directory, all).expect("permissions");
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        if entry.path().is_dir() {
            open_to_all(&entry.path());
        } else {
            let readable = Permissions::from_mode(0o644);
            fs::set_permissions(entry.path(), readable).expect("permissions");
        }
    }
}

#[test]
fn a_chunk_that_is_half_deleted_is_no_chunk() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    archive(store, output.path()).done();
    // As a run that was killed leaves it.
    let mark = &hidden(output.path())[0];
    let text = fs::read_to_string(mark).expect("a mark");
    let going = text.replace("\"is_going\":false", "\"is_going\":true");
    assert_ne!(going, text);
    fs::write(mark, going).expect("a mark");
    let metadata = output
        .files()
        .into_keys()
        .find(|it| it.ends_with("metadata"));
    fs::remove_file(output.path().join(metadata.expect("metadata"))).expect("a file");
    let said = archive(store, output.path()).done();
    assert!(said.starts_with("0 chunks archived"), "{said}");
    assert_eq!(list(store).len(), 1);
    let mut words = archive_command(store, output.path());
    words.arg("--then=delete");
    run(words).done();
    assert!(output.files().is_empty() && hidden(output.path()).is_empty());
    assert_eq!(list(store).len(), 1);
}

#[test]
fn old_chunks_are_pruned_manifest_first() {
    let Some(server) = Server::start() else {
        return;
    };
    let direct = server.store();
    let output = Output::of(&["2.13-live-uid", "2.13-stream"]);
    archive(direct, output.path()).done();
    let all = list(direct).len();
    let prune = |words: &[&str]| {
        let proxy = Proxy::start(direct.address(), |_| Fault::None);
        let store = direct.through(proxy.port);
        let words = [&["prune", &store.url], words].concat();
        let said = run(command(&store, words)).done();
        let deleted = proxy.seen().into_iter().filter(|it| it.method == "DELETE");
        let deleted: Vec<_> = deleted.map(|it| it.path().to_owned()).collect();
        (said, deleted)
    };
    let (said, deleted) = prune(&["--max-age=36500d"]);
    assert_eq!(
        (said.as_str(), deleted.len()),
        ("0 chunks removed, 0 B\n", 0)
    );
    let (said, deleted) = prune(&["--max-age=0s", "--dry-run"]);
    assert_eq!(said.matches("would be removed").count(), all, "{said}");
    assert!(deleted.is_empty() && list(direct).len() == all);
    let (said, _) = prune(&["--max-age=0s", "--host=other"]);
    assert!(said.starts_with("0 chunks removed"), "{said}");
    let (said, deleted) = prune(&["--max-age=0s"]);
    assert!(said.contains(&format!("{all} chunks removed")), "{said}");
    // Of each chunk the manifest goes first, and the head last.
    assert!(deleted[0].ends_with("/manifest.json"), "{deleted:?}");
    let heads = deleted.iter().filter(|it| it.contains("/v1/days/")).count();
    assert_eq!(heads, all);
    assert!(deleted.last().is_some_and(|it| it.contains("/v1/days/")));
    assert!(deleted.len() >= output.files().len() + 2 * all);
    assert!(list(direct).is_empty());
    let (said, _) = prune(&["--max-age=0s"]);
    assert!(said.starts_with("0 chunks removed"), "{said}");
}
