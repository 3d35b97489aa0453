//! Mistakes of people: one clear line each, and nothing is lost.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::program::{archive, archive_command, command, fetch, list, run};
use crate::proxy::{Fault, Proxy};
use crate::server::{Server, Store, free_port};
use crate::tree::{Output, assert_same, hidden};

/// Archives, and expects one line with these words.
#[track_caller]
fn assert_said(store: &Store, words: &[&str]) {
    let output = Output::of(&["2.13-live-uid"]);
    let before = output.files();
    let mut command = archive_command(store, output.path());
    command.arg("--retry-time=0s");
    let errors = run(command).refused();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    assert!(!errors.contains("not-a-secret"), "{errors}");
    assert_same(&output.files(), &before);
    assert!(hidden(output.path()).is_empty());
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = Store {
        url: "s3://nowhere-at-all/lab".to_owned(),
        ..server.store().clone()
    };
    assert_said(
        &store,
        &["baton archive: there is no bucket nowhere-at-all at http://"],
    );
}

#[test]
fn wrong_keys_are_named() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = Store {
        secret: "another".to_owned(),
        ..server.store().clone()
    };
    let key = &server.store().access_key.clone();
    assert_said(&store, &["baton archive: ", " refuses to ", "secret", key]);
    let store = Store {
        access_key: "nobody".to_owned(),
        ..server.store().clone()
    };
    assert_said(
        &store,
        &["baton archive: ", " refuses to ", "the access key nobody"],
    );
}

#[test]
fn a_wrong_region_is_named() {
    for (status, code) in [
        (301, "PermanentRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "IllegalLocationConstraintException"),
    ] {
        let body = format!("<Error><Code>{code}</Code></Error>").into_bytes();
        let proxy = Proxy::start("127.0.0.1:1", move |_| Fault::Answer(status, body.clone()));
        let store = Store {
            url: "s3://traces".to_owned(),
            endpoint: format!("http://127.0.0.1:{}", proxy.port),
            region: "moon-1".to_owned(),
            access_key: "key".to_owned(),
            secret: "not-a-secret".to_owned(),
            path_style: true,
        };
        assert_said(
            &store,
            &["the bucket is not in the region moon-1: set --region"],
        );
    }
}

/// A server that takes so many objects, and then answers so.
fn full(server: &Store, room: u32, status: u16, code: &str) -> Proxy {
    let body = match code {
        "" => Vec::new(),
        code => format!("<Error><Code>{code}</Code></Error>").into_bytes(),
    };
    let stored = AtomicU32::new(0);
    Proxy::start(server.address(), move |seen| {
        let is_object = seen.method == "PUT";
        let is_full = is_object && stored.fetch_add(1, Ordering::SeqCst) >= room;
        Fault::Answer(status, body.clone()).when(is_full)
    })
}

#[test]
fn a_full_server_is_named_and_nothing_is_lost() {
    let Some(server) = Server::start() else {
        return;
    };
    for (at, (status, code)) in [
        (507, "XMinioStorageFull"),
        (403, "QuotaExceeded"),
        (507, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let direct = server.store().below(&format!("full-{at}"));
        let output = Output::of(&["2.13-live-uid"]);
        let before = output.files();
        for room in 0..4 {
            let proxy = full(&direct, room, status, code);
            let mut words = archive_command(&direct.through(proxy.port), output.path());
            words.args(["--retry-time=0s", "--then=delete"]);
            let errors = run(words).refused();
            assert_eq!(errors.lines().count(), 1, "{errors}");
            for word in [
                " is not archived: ",
                " fails to store ",
                "it is full: make room",
            ] {
                assert!(errors.contains(word), "{word}: {errors}");
            }
            assert_same(&output.files(), &before);
            assert_eq!(list(&direct).len(), 0);
        }
        // There is room again.
        archive(&direct, output.path()).done();
        let back = Output::empty();
        fetch(&direct, back.path()).done();
        assert_same(&back.files(), &before);
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let store = Store {
        url: "s3://traces".to_owned(),
        endpoint: format!("http://127.0.0.1:{}", free_port()),
        region: "here".to_owned(),
        access_key: "key".to_owned(),
        secret: "not-a-secret".to_owned(),
        path_style: true,
    };
    let server = store.endpoint.clone();
    assert_said(
        &store,
        &[
            "baton archive: cannot reach ",
            &server,
            "Connection refused",
        ],
    );
    let store = Store {
        endpoint: "http://no-such-machine.invalid".to_owned(),
        ..store
    };
    assert_said(
        &store,
        &["baton archive: cannot reach http://no-such-machine.invalid"],
    );
    // Nor does it speak TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            use std::io::Write as _;
            let _ = (&client).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let store = Store {
        endpoint: format!("https://127.0.0.1:{port}"),
        ..store
    };
    assert_said(&store, &["baton archive: cannot reach https://127.0.0.1"]);
}

#[test]
fn wrong_options_are_named() {
    let store = Store {
        url: "/traces".to_owned(),
        endpoint: "http://127.0.0.1:1".to_owned(),
        region: "here".to_owned(),
        access_key: "key".to_owned(),
        secret: "secret".to_owned(),
        path_style: true,
    };
    assert_said(
        &store,
        &["/traces is no place of an archive: expected s3://BUCKET"],
    );
    let store = Store {
        url: "s3://traces".to_owned(),
        endpoint: "127.0.0.1:1".to_owned(),
        ..store
    };
    assert_said(&store, &["127.0.0.1:1 is no place of an archive: "]);
    let store = Store {
        endpoint: "http://127.0.0.1:1".to_owned(),
        ..store
    };
    let mut words = archive_command(&store, std::path::Path::new("/nowhere"));
    words
        .env_remove("AWS_ACCESS_KEY_ID")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let errors = run(words).refused();
    assert!(
        errors.contains("no credentials: set AWS_ACCESS_KEY_ID"),
        "{errors}"
    );
}

#[test]
fn directories_that_cannot_be_used_are_named() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let errors = archive(store, "/nowhere/at/all".as_ref()).refused();
    assert_eq!(
        errors,
        "baton archive: cannot read /nowhere/at/all: No such file or directory\n"
    );
    let empty = Output::empty();
    let said = archive(store, empty.path()).done();
    assert_eq!(said, "0 chunks archived\n");
    let errors = fetch(store, empty.path()).refused();
    assert!(
        errors.contains("baton fetch: no chunk in s3://"),
        "{errors}"
    );
    let errors = run(command(store, ["fetch", &store.url, "/dev/null/x"])).refused();
    assert_eq!(errors.lines().count(), 1, "{errors}");
}
