//! `baton replay TRACE`: sends a recorded session again as a live session.
//!
//! A producer reads the recording and sends it to a relay with the real protocol. The relay
//! is a remote one (`--to`), or one in this process, for viewers.

mod play;
mod send;
mod serve;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::shown::Shown;
use baton_components::wire::TraceFormat;

pub use play::Speed;

use self::play::{Score, WallClock};
use self::send::Sender;
use self::serve::{End, OwnRelay};
use crate::config::environment;
use crate::os::log_queue::say;
use crate::os::said;
use crate::producer::{Client, MINOR};
use crate::trace::TraceError;
use crate::trace::recording::Recording;
use crate::url::default_port;
use crate::url::{Url, UrlError};
use crate::{daemon, log};

/// The options of a replay.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A trace, a chunk, or the directory of a session.
    pub directory: PathBuf,
    pub speed: Speed,
    pub target: Target,
}

#[derive(Clone, Debug)]
pub enum Target {
    /// The URL of a relay, for producers.
    Relay(String),
    /// Viewers of a relay in this process.
    Viewers {
        live_url: String,
        /// Number of viewers that have to be attached before anything is sent.
        count: usize,
        /// Output directory of the relay; none: a temporary directory.
        output: Option<PathBuf>,
    },
}

/// The reason why a replay failed, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error("{url}: {reason}")]
    Url { url: String, reason: UrlError },
    #[error("the replay failed: {}", said(.0))]
    Wire(#[from] io::Error),
    #[error("the relay speaks protocol 2.{minor}: a replay needs 2.11, of LTTng 2.11")]
    TooOld { minor: u32 },
    #[error("the relay speaks protocol 2.{minor}: traces in CTF 2 need 2.15, of LTTng 2.15")]
    NoCtf2 { minor: u32 },
    #[error("the path {0} is too long for a relay: replay a directory further down")]
    LongPath(String),
    #[error("cannot make a directory for the replay: {}", said(.0))]
    Directory(io::Error),
    #[error(transparent)]
    Relay(#[from] daemon::Error),
}

/// The live timer of a replayed session: LTTng's default.
const PERIOD: Duration = Duration::from_secs(1);

/// Default port of viewers.
const LIVE_PORT: u16 = default_port(Endpoint::Live);

pub fn run(plan: &Plan) -> Result<(), Error> {
    let recording = Recording::find(&plan.directory)?;
    let score = Score::of(&recording)?;
    match &plan.target {
        Target::Relay(url) => send(&recording, score, plan.speed, url),
        Target::Viewers {
            live_url,
            count,
            output,
        } => {
            let live = resolve(live_url, |url| Url::parse(url)?.resolve(LIVE_PORT, true))?;
            let temporary = tempfile::tempdir().map_err(Error::Directory)?;
            let output = output.as_deref().unwrap_or(temporary.path());
            serve(recording, score, plan.speed, live, *count, output)
        }
    }
}

/// Sends a recording to a remote relay.
fn send(recording: &Recording, score: Score, speed: Speed, url: &str) -> Result<(), Error> {
    let (control, data) = resolve(url, Url::resolve_producer)?;
    let client = Client::connect(control, data, MINOR)?;
    let sender = Sender::announce(client, recording)?;
    say(format_args!(
        "baton: {} is sent to {url}",
        described(recording)
    ));
    play(score, speed, sender)
}

/// Sends a recording to viewers, through a relay in this process.
fn serve(
    recording: Recording,
    score: Score,
    speed: Speed,
    live: SocketAddr,
    viewers: usize,
    output: &Path,
) -> Result<(), Error> {
    log::start_from(tracing::Level::WARN, environment::colored());
    let relay = OwnRelay::start(output, live)?;
    let client = Client::connect(relay.control, relay.data, MINOR)?;
    let url = viewer_url(relay.live, &recording);
    let (start, started) = mpsc::channel();
    let producer = thread::spawn(move || {
        let sender = Sender::announce(client, &recording)?;
        let awaited = match viewers {
            0 => "begins".to_owned(),
            1 => "begins when a viewer attaches".to_owned(),
            _ => format!("begins when {viewers} viewers are attached"),
        };
        say(format_args!("baton: {} {awaited}:", described(&recording)));
        say(format_args!(
            "baton: babeltrace2 --input-format=lttng-live {url}"
        ));
        if started.recv().is_err() {
            // The relay has stopped, so nothing can be sent.
            return Ok(());
        }
        play(score, speed, sender)
    });
    match relay.serve(viewers, start)? {
        // The sender's state does not matter any more.
        End::Stopped => Ok(()),
        End::Left => match producer.join() {
            Ok(played) => played,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

fn play(score: Score, speed: Speed, mut sender: Sender) -> Result<(), Error> {
    score.play(speed, PERIOD, &mut WallClock::start(), &mut sender)?;
    sender.finish()
}

fn resolve<T>(url: &str, read: impl Fn(&str) -> Result<T, UrlError>) -> Result<T, Error> {
    read(url).map_err(|reason| Error::Url {
        url: url.to_owned(),
        reason,
    })
}

/// Description of the recording for messages.
fn described(recording: &Recording) -> String {
    let count = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let needs = match recording.format {
        TraceFormat::Ctf1 => "",
        TraceFormat::Ctf2 => "CTF 2, for Babeltrace 2.1 or newer; ",
    };
    format!(
        "session {} of {} ({needs}{}, {})",
        Shown(recording.session.as_bytes()),
        Shown(recording.host.as_bytes()),
        count(recording.traces.len() as u64, "trace"),
        count(recording.packets(), "packet"),
    )
}

/// The URL for Babeltrace.
fn viewer_url(live: SocketAddr, recording: &Recording) -> String {
    let host = match live.ip() {
        ip if ip.is_unspecified() || ip.is_loopback() => "localhost".to_owned(),
        ip => ip.to_string(),
    };
    let port = match live.port() {
        LIVE_PORT => String::new(),
        port => format!(":{port}"),
    };
    let shown = |name: &str| Shown(name.as_bytes()).to_string();
    let (of, session) = (shown(&recording.host), shown(&recording.session));
    format!("net://{host}{port}/host/{of}/{session}")
}
