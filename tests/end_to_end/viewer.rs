//! Babeltrace 2, the viewer that everybody uses: it follows a session live,
//! and reads what is on disk.

use crate::events::Event;
use crate::live_client::LiveClient;
use crate::process::{Process, eventually};
use crate::relay::Relay;
use crate::sandbox;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

/// A Babeltrace that follows a session.
#[derive(Debug)]
pub struct Viewer {
    // Before `_home`: fields are dropped in this order.
    process: Process,
    _home: TempDir,
}

impl Viewer {
    /// Starts a viewer of the session; returns when it is attached.
    ///
    /// It sees what the relay receives from now on.
    pub fn attach(relay: &Relay, session: &str) -> Self {
        wait_for_clients(relay, session, 0);
        let url = relay.viewer_url(session);
        let viewer = Self::babeltrace(&["--input-format=lttng-live".as_ref(), url.as_ref()]);
        wait_for_clients(relay, session, 1);
        viewer
    }

    /// Waits until it has printed events. Only some: what it prints is buffered.
    pub fn wait_for_events(&self) {
        eventually("events at the viewer", PATIENCE, || {
            !self.process.output().is_empty()
        });
    }

    /// Keeps it from reading on, until it is resumed.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Waits until it ends by itself, and well. Returns what it has read.
    pub fn finish(mut self) -> Vec<Event> {
        self.process.wait_for_success(PATIENCE);
        Event::parse_all(&self.process.output())
    }

    fn babeltrace(arguments: &[&Path]) -> Self {
        let home = sandbox::home();
        // As the current user, who may read any trace.
        let mut command = std::process::Command::new("babeltrace2");
        command.args(arguments).env("LC_ALL", "C");
        let process = Process::spawn(&mut command, home.path(), "babeltrace2");
        Self {
            process,
            _home: home,
        }
    }
}

/// The events of all traces below a directory.
pub fn read_directory(directory: &Path) -> Vec<Event> {
    Viewer::babeltrace(&[directory]).finish()
}

fn wait_for_clients(relay: &Relay, session: &str, clients: u32) {
    let what = format!("{clients} viewers attached to {session}");
    let mut client = LiveClient::connect(relay.live_address());
    eventually(&what, PATIENCE, || {
        client.session(session).clients == clients
    });
}
