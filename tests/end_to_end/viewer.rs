//! Babeltrace 2, the viewer that everybody uses: it follows a session live,
//! and reads what is on disk.

use crate::application::{Run, Workload};
use crate::events::{self, Event};
use crate::live_client::LiveClient;
use crate::process::{Process, eventually, retry};
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
        let viewer = Self::open(relay, session);
        wait_for_clients(relay, session, 1);
        viewer
    }

    /// The same, where the session is reached by that URL.
    pub fn attach_at(relay: &Relay, url: &str, session: &str) -> Self {
        wait_for_clients(relay, session, 0);
        let viewer = Self::open_url(url);
        wait_for_clients(relay, session, 1);
        viewer
    }

    /// Starts a number of viewers of the session; returns when all are attached.
    pub fn attach_all(relay: &Relay, session: &str, count: u32) -> Vec<Self> {
        let before = clients(relay, session);
        let viewers = (0..count).map(|_| Self::open(relay, session)).collect();
        wait_for_clients(relay, session, before + count);
        viewers
    }

    /// Starts a viewer of the session, and does not wait for it.
    pub fn open(relay: &Relay, session: &str) -> Self {
        Self::open_url(&relay.viewer_url(session))
    }

    /// Starts a viewer of what is at a URL.
    pub fn open_url(url: &str) -> Self {
        Self::babeltrace(&["--input-format=lttng-live".as_ref(), url.as_ref()])
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

    /// Ends it as a user does, and waits for its exit.
    pub fn interrupt(mut self) {
        self.process.signal("INT");
        self.process.wait(Duration::from_secs(5));
    }

    /// Waits until it has printed all events of a run. More must follow them, or they stay
    /// in its buffer.
    pub fn wait_for_all(&self, run: Run) {
        let Workload {
            threads,
            events_per_thread,
            ..
        } = run.workload;
        let all = u64::from(threads) * events_per_thread;
        retry(PATIENCE, || {
            let output = self.process.output();
            let whole = output.rfind('\n').map_or("", |end| &output[..end]);
            let seen = events::of(run, &Event::parse_all(whole)).len() as u64;
            (seen == all)
                .then_some(())
                .ok_or(format!("{all} events at a viewer that has {seen}"))
        });
    }

    /// Waits until it ends by itself, and well. Returns what it has read.
    pub fn finish(mut self) -> Vec<Event> {
        self.process.wait_for_success(PATIENCE);
        Event::parse_all(&self.process.output())
    }

    /// Waits until it ends by itself, well or not. Returns what it has read.
    pub fn read_what_it_can(mut self) -> Vec<Event> {
        self.process.wait(PATIENCE);
        let output = self.process.output();
        // One that gives up may do so in the middle of a line.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        Event::parse_all(whole)
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

/// The events of all traces below a directory, as far as Babeltrace reads them: it may
/// refuse, or break off.
pub fn read_what_can_be(directory: &Path) -> Vec<Event> {
    Viewer::babeltrace(&[directory]).read_what_it_can()
}

/// Whether Babeltrace reads all that is below a directory.
pub fn is_readable(directory: &Path) -> bool {
    let mut viewer = Viewer::babeltrace(&[directory]);
    viewer.process.wait(PATIENCE).success()
}

/// Waits until Babeltrace refuses what is below a directory.
pub fn assert_unreadable(directory: &Path) {
    assert!(
        !is_readable(directory),
        "a trace that should be torn is read"
    );
}

/// The sessions that Babeltrace lists, one a line.
pub fn listed(relay: &Relay) -> String {
    let url = format!("net://{}", relay.live_address());
    let arguments = ["--input-format=lttng-live".as_ref(), url.as_ref()];
    let mut viewer = Viewer::babeltrace(&arguments);
    viewer.process.wait_for_success(PATIENCE);
    viewer.process.output()
}

fn clients(relay: &Relay, session: &str) -> u32 {
    let mut client = LiveClient::connect(relay.live_address());
    client.session(session).clients
}

fn wait_for_clients(relay: &Relay, session: &str, clients: u32) {
    let what = format!("{clients} viewers attached to {session}");
    let mut client = LiveClient::connect(relay.live_address());
    eventually(&what, PATIENCE, || {
        client.session(session).clients == clients
    });
}
