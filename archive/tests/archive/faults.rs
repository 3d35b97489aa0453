//! Faults of networks and servers: all comes right, or nothing is said to be there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::program::{archive_command, command, end_of, fetch, list, run, start};
use crate::proxy::{Fault, Proxy, Seen};
use crate::round_trip::noise;
use crate::server::Server;
use crate::tree::{Output, assert_same, hidden};

/// Archives and fetches through a proxy that does this to every third request.
fn assert_survived(fault: &Fault) {
    let Some(server) = Server::start() else {
        return;
    };
    let (direct, fault_of) = (server.store(), fault.clone());
    let proxy = Proxy::start(direct.address(), move |seen| match seen.number % 3 {
        1 => fault_of.clone(),
        _ => Fault::None,
    });
    let store = direct.through(proxy.port);
    let output = Output::of(&["2.13-live-uid"]);
    let before = output.files();
    run(archive_command(&store, output.path())).done();
    assert_eq!(list(direct).len(), hidden(output.path()).len());
    for store in [&store, direct] {
        let back = Output::empty();
        fetch(store, back.path()).done();
        assert_same(&back.files(), &before);
    }
}

#[test]
fn a_server_that_fails_now_and_then_is_asked_again() {
    for status in [500, 503, 429] {
        assert_survived(&Fault::Answer(
            status,
            b"<Error><Code>SlowDown</Code></Error>".to_vec(),
        ));
    }
}

#[test]
fn connections_that_are_cut_are_made_again() {
    for fault in [Fault::Drop, Fault::Silence, Fault::CutAnswer] {
        assert_survived(&fault);
    }
}

#[test]
fn bytes_that_change_on_their_way_to_the_server_are_sent_again() {
    assert_survived(&Fault::FlipRequest);
}

#[test]
fn a_slow_server_is_waited_for() {
    assert_survived(&Fault::Slow);
}

#[test]
fn bytes_that_change_on_their_way_back_are_read_again_or_refused() {
    let Some(server) = Server::start() else {
        return;
    };
    let direct = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    run(archive_command(direct, output.path())).done();
    let is_data =
        |seen: &Seen| seen.path().contains("/v1/data/") && !seen.path().contains("manifest");
    let proxy = Proxy::start(direct.address(), move |seen| match seen.number % 3 {
        1 if is_data(seen) => Fault::FlipAnswer,
        _ => Fault::None,
    });
    let back = Output::empty();
    fetch(&direct.through(proxy.port), back.path()).done();
    assert_same(&back.files(), &output.files());

    let proxy = Proxy::start(direct.address(), move |seen| {
        Fault::FlipAnswer.when(is_data(seen))
    });
    let back = Output::empty();
    let errors = fetch(&direct.through(proxy.port), back.path()).refused();
    assert!(errors.contains("answers wrongly about"), "{errors}");
    assert!(back.files().is_empty() && hidden(back.path()).is_empty());
}

#[test]
fn reading_back_finds_what_the_server_has_lost() {
    let Some(server) = Server::start() else {
        return;
    };
    let direct = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    // It has stored other bytes than it says.
    let proxy = Proxy::start(direct.address(), |seen| {
        Fault::FlipAnswer.when(seen.method == "GET" && seen.path().contains("ch_0"))
    });
    let store = direct.through(proxy.port);
    let mut words = archive_command(&store, output.path());
    words.arg("--verify=read");
    let errors = run(words).refused();
    assert!(
        errors.contains("is not archived: ") && errors.contains("ch_0"),
        "{errors}"
    );
    assert_eq!(list(direct).len(), 0);
    let mut words = archive_command(direct, output.path());
    words.arg("--verify=read");
    run(words).done();
    assert_eq!(list(direct).len(), 1);
}

#[test]
fn a_server_that_is_down_for_a_while_is_waited_for() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let store = server.store().clone();
    let output = Output::of(&["2.13-stream"]);
    let passed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&passed);
    let proxy = Proxy::start(store.address(), move |it| {
        if it.number >= 5 {
            seen.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(100));
        }
        Fault::None
    });
    let run = start(archive_command(&store.through(proxy.port), output.path()));
    while !passed.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(5));
    }
    if server.kill() {
        // Long enough for some attempts.
        thread::sleep(Duration::from_millis(800));
        server.restart();
    }
    end_of(run).done();
    let back = Output::empty();
    fetch(&store, back.path()).done();
    assert_same(&back.files(), &output.files());
}

#[test]
fn a_server_that_stays_away_is_told_and_nothing_is_marked() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store().clone();
    let proxy = Proxy::start(store.address(), |it| match it.number {
        0..6 => Fault::None,
        _ => Fault::Answer(500, Vec::new()),
    });
    let output = Output::of(&["2.13-live-uid"]);
    let mut words = archive_command(&store.through(proxy.port), output.path());
    words.args(["--retry-time=1s", "--concurrency=1"]);
    let errors = run(words).refused();
    assert!(
        errors.contains("is not archived: ") && errors.contains("status 500"),
        "{errors}"
    );
    assert_eq!(list(&store).len(), 0);
    // The next run finds its place: what is stored is not sent again.
    let objects = output.files().len() + 2;
    // A list, two objects with their checks, and a third that was not checked.
    assert!(proxy.seen().len() > 6);
    let proxy = Proxy::start(store.address(), |_| Fault::None);
    run_through(&store.through(proxy.port), &output);
    let puts = proxy.seen().into_iter().filter(|it| it.method == "PUT");
    assert_eq!(puts.count(), objects - 2);
    let back = Output::empty();
    fetch(&store, back.path()).done();
    assert_same(&back.files(), &output.files());
}

#[test]
fn a_large_file_goes_on_with_its_next_part() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store().clone();
    let output = Output::of(&["2.13-live-uid"]);
    let metadata = output
        .files()
        .into_keys()
        .find(|it| it.ends_with("metadata"));
    let large = output
        .path()
        .join(metadata.expect("metadata"))
        .with_file_name("large");
    std::fs::write(&large, noise(40 << 20)).expect("a large file");
    let is_part = |it: &Seen| it.method == "PUT" && it.target.contains("partNumber");
    let proxy = Proxy::start(store.address(), move |it| {
        Fault::Answer(500, Vec::new()).when(it.target.contains("partNumber=4"))
    });
    let mut words = archive_command(&store.through(proxy.port), output.path());
    words.args(["--retry-time=0s", "--concurrency=1"]);
    run(words).refused();
    assert_eq!(proxy.seen().iter().filter(|it| is_part(it)).count(), 4);
    let proxy = Proxy::start(store.address(), |_| Fault::None);
    run_through(&store.through(proxy.port), &output);
    let parts = proxy.seen().iter().filter(|it| is_part(it)).count();
    assert_eq!(parts, 2, "parts 4 and 5 of 40 MiB");
    let back = Output::empty();
    fetch(&store, back.path()).done();
    assert_same(&back.files(), &output.files());
}

fn run_through(store: &crate::server::Store, output: &Output) {
    run(archive_command(store, output.path())).done();
}

#[test]
fn a_server_that_never_answers_right_is_no_archive() {
    for fault in [
        Fault::Endless,
        Fault::Answer(200, b"<html>Welcome</html>".to_vec()),
        Fault::Answer(404, b"nothing here".to_vec()),
        Fault::Answer(301, Vec::new()),
    ] {
        let shown = format!("{fault:?}");
        let proxy = Proxy::start("127.0.0.1:1", move |_| fault.clone());
        let store = crate::server::Store {
            url: "s3://traces".to_owned(),
            endpoint: format!("http://127.0.0.1:{}", proxy.port),
            region: "here".to_owned(),
            access_key: "key".to_owned(),
            secret: "secret".to_owned(),
            path_style: true,
        };
        let errors = run(command(&store, ["ls", "s3://traces", "--retry-time=0s"])).refused();
        assert_eq!(errors.lines().count(), 1, "{shown}: {errors}");
    }
}
