//! `baton serve`: an unchanged Babeltrace reads archived sessions to their end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

use crate::program::{archive, command, run, start};
use crate::server::{Server, Store};
use crate::tree::{OF_2_13, OF_CTF_2, Output, events};

/// A running `baton serve`, and the URLs of its sessions.
struct Served {
    child: Child,
    urls: Vec<String>,
}

impl Served {
    fn start(mut words: Command, sessions: usize) -> Self {
        words.arg("--live-port=tcp://127.0.0.1:0");
        let mut child = start(words);
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let urls = lines.take(sessions).map(|line| line.expect("a URL"));
        let urls = urls.collect();
        Self { child, urls }
    }

    fn address(&self) -> &str {
        let url = self.urls[0].strip_prefix("net://").expect("a URL");
        url.split('/').next().expect("an address")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Babeltrace's output of a live session, to its end.
fn followed(url: &str) -> String {
    let read = Command::new("timeout")
        .args(["120", "babeltrace2", "--input-format=lttng-live", url])
        .output()
        .expect("babeltrace2 runs");
    let errors = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{url}: {}: {errors}", read.status);
    String::from_utf8_lossy(&read.stdout).into_owned()
}

fn from_store(store: &Store) -> Command {
    command(store, ["serve", &store.url])
}

#[test]
fn a_viewer_reads_archived_sessions_to_their_end() {
    let Some(server) = Server::start() else {
        return;
    };
    for capture in OF_2_13 {
        // Snapshots have no indexes.
        if capture == "2.13-snapshot" {
            continue;
        }
        let output = Output::of(&[capture]);
        let Some(expected) = events(output.path()) else {
            return;
        };
        let store = server.store().below(capture);
        archive(&store, output.path()).done();
        let running = Served::start(from_store(&store), 1);
        assert_eq!(followed(&running.urls[0]), expected, "{capture}");
        // Another viewer gets the same, and a directory is served alike.
        assert_eq!(followed(&running.urls[0]), expected, "{capture}");
        let mut words = command(&store, ["serve"]);
        words.arg(output.path());
        let running = Served::start(words, 1);
        assert_eq!(followed(&running.urls[0]), expected, "{capture}");
    }
}

#[test]
fn sessions_are_listed_for_viewers_that_know_their_format() {
    let output = Output::of(&["2.13-live-uid", OF_CTF_2[0]]);
    if events(Output::of(&["2.13-live-uid"]).path()).is_none() {
        return;
    }
    let mut words = Command::new(env!("CARGO_BIN_EXE_baton-archive"));
    words.arg("serve").arg(output.path());
    let served = Served::start(words, 2);
    let listed = followed(&format!("net://{}", served.address()));
    // This version of Babeltrace knows no CTF 2.
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn nonsense_ends_a_viewer_and_nobody_else() {
    let output = Output::of(&["2.13-live-uid"]);
    let Some(expected) = events(output.path()) else {
        return;
    };
    let mut words = Command::new(env!("CARGO_BIN_EXE_baton-archive"));
    words.arg("serve").arg(output.path());
    let served = Served::start(words, 1);
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100], &[0; 36]] {
        let mut peer = TcpStream::connect(served.address()).expect("a connection");
        // It may be closed before all is written.
        let _ = peer.write_all(nonsense);
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    assert_eq!(followed(&served.urls[0]), expected);
}

#[test]
fn chunks_that_cannot_be_served_are_told() {
    let empty = Output::empty();
    let mut words = Command::new(env!("CARGO_BIN_EXE_baton-archive"));
    words.arg("serve").arg(empty.path());
    let errors = run(words).refused();
    assert_eq!(errors, "baton serve: there is no session to serve\n");
    let output = Output::of(&["2.13-live-uid"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let mut words = Command::new(env!("CARGO_BIN_EXE_baton-archive"));
    words.arg("serve").arg(output.path());
    words.arg(format!("--live-port=tcp://{address}"));
    let errors = run(words).refused();
    assert_eq!(
        errors,
        format!("baton serve: cannot listen on {address}: Address already in use\n")
    );
}
