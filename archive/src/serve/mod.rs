//! `baton serve`: an archive, or a directory, for live viewers, such as Babeltrace. Nothing is
//! downloaded: indexes are read as viewers ask, and packets by the frames that they are in.

mod content;
mod library;
mod viewer;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use baton_components::shown::Shown;

use crate::list::{Filter, Source};
use crate::store::Patience;
use crate::{Error, say};

use self::content::Reader;
use self::library::Library;

/// The options of `baton serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub source: Source,
    pub filter: Filter,
    pub live: SocketAddr,
    pub patience: Patience,
}

/// Serves until it is killed.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let reader = Reader::open(&plan.source, plan.patience)?;
    let (library, _) = Library::find(&plan.source, &reader, &plan.filter)?;
    if library.sessions.is_empty() {
        return Err(Error::Other("there is no session to serve".to_owned()));
    }
    let listener = TcpListener::bind(plan.live).map_err(|reason| {
        let (address, reason) = (plan.live, baton::said(&reason));
        Error::Other(format!("cannot listen on {address}: {reason}"))
    })?;
    let address = listener.local_addr()?;
    for session in &library.sessions {
        let (host, name) = (
            Shown(session.host.as_bytes()),
            Shown(session.name.as_bytes()),
        );
        baton::print(format_args!("net://{address}/host/{host}/{name}\n"))?;
    }
    let viewers = AtomicUsize::new(0);
    thread::scope(|scope| {
        loop {
            let (client, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    say(format_args!("baton serve: {}", baton::said(&error)));
                    // Without descriptors, for example.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if viewers.fetch_add(1, Ordering::SeqCst) >= VIEWERS_MAX {
                viewers.fetch_sub(1, Ordering::SeqCst);
                say(format_args!(
                    "baton serve: {peer} is refused: {VIEWERS_MAX} viewers are here"
                ));
                continue;
            }
            let (library, reader, viewers) = (&library, &reader, &viewers);
            scope.spawn(move || {
                if let Err(error) = viewer::serve(&client, library, reader) {
                    say(format_args!("baton serve: {peer}: {error}"));
                }
                viewers.fetch_sub(1, Ordering::SeqCst);
            });
        }
    })
}

/// Each has a thread.
const VIEWERS_MAX: usize = 64;
