//! Replays: a relay that is given what another one was given, as its journal tells.
//!
//! The systems are those of every relay; only the ports are others. What the relay does
//! is compared with the journal call by call, so a replay that comes to an end did the
//! same.

mod content;
mod ports;
mod progress;
mod script;
mod show;
mod step;
mod watch;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use baton_components::kinds::Id;
use baton_systems::audit::{Audit, Breach};
use baton_systems::census::Census;
use baton_systems::memory::MemoryStorage;
use baton_systems::ports::{NetworkPort, StorageError, StoragePort};
use baton_systems::settings::{Grouping, HoldBack, Served, Settings};
use baton_systems::tick::Relay;

use self::content::Traces;
use self::ports::Shared;
use self::progress::Progress;
use self::script::{Cue, Script};
use self::watch::Watch;
use crate::journal::block::{Header, Payload, ReadError};
use crate::os::pool::Pool;
use crate::os::storage::FileStorage;
use crate::os::{said, shown};

/// What is to be replayed, and what is to be seen of it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Plan {
    pub journal: PathBuf,
    /// Where files are written; none: to memory.
    pub output: Option<PathBuf>,
    /// Where bytes are that the journal refers to; none: where the relay wrote them.
    pub traces: Option<PathBuf>,
    /// Compare the content of what goes out.
    pub verify: bool,
    pub audit: bool,
    /// What is printed begins with this tick.
    pub from: u64,
    /// The last tick.
    pub until: Option<u64>,
    /// Print what enters and leaves in each tick.
    pub print: bool,
    /// And wait for the Enter key before it.
    pub step: bool,
    /// Show the world at the end.
    pub show: Option<Format>,
    pub watch: Option<Id>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Why a replay did not come to its end. One line for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the journal {}: {reason}", shown(path))]
    Journal { path: PathBuf, reason: ReadError },
    #[error("the journal {} is sound up to tick {tick}: {reason}", shown(path))]
    Ends {
        path: PathBuf,
        tick: u64,
        reason: ReadError,
    },
    #[error("cannot write to {}: {}", shown(path), said(reason))]
    Output { path: PathBuf, reason: io::Error },
    #[error("{} is not empty: choose another directory for the replay", shown(.0))]
    NotEmpty(PathBuf),
    #[error("differs in tick {tick}: recorded was `{recorded}`, now `{now}`")]
    Differs {
        tick: u64,
        recorded: String,
        now: String,
    },
    #[error("tick {tick} cannot be replayed: {reason}")]
    Content { tick: u64, reason: String },
    #[error("tick {tick} cannot be replayed: {error}")]
    Storage { tick: u64, error: StorageError },
    #[error("the relay panics in tick {tick}")]
    Panic { tick: u64 },
    #[error("audit: breach in tick {tick}: {breach}{holders}")]
    Breach {
        tick: u64,
        breach: Breach,
        /// Who is to blame, as far as can be told.
        holders: String,
    },
    #[error("cannot print: {}", said(.0))]
    Terminal(#[from] io::Error),
}

/// Replays a journal; what is to be seen goes to `out`, a line at a time.
pub fn run(plan: &Plan, out: &mut dyn io::Write) -> Result<(), Error> {
    let mut script = Script::open(&plan.journal, plan.verify)?;
    let header = script.header().clone();
    if header.payload == Payload::Reference {
        let directory = plan.traces.clone().unwrap_or_else(|| header.output());
        let traces = Traces::find(&plan.journal, directory);
        script.read_traces(traces.map_err(|reason| plan.unreadable(reason))?);
    }
    let shared = Shared::new(script);
    let storage = storage(plan.output.as_deref())?;
    let (network, storage, clock, chance) = shared.ports(storage)?;
    let settings = settings(&header);
    let relay = Relay::new(network, storage, clock, chance, settings, plan.audit);
    let stage = Replay {
        plan,
        shared,
        relay,
        before: Census::default(),
        watch: plan.watch.map(Watch::new),
        progress: Progress::over(&plan.journal, plan.prints()),
    };
    stage.run(out)
}

struct Replay<'a> {
    plan: &'a Plan,
    shared: Shared,
    relay: Relay,
    /// The world before this tick, where it is looked at.
    before: Census,
    watch: Option<Watch>,
    progress: Progress,
}

/// How a replay came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The relay ended in order.
    Whole,
    /// The journal ends, and the relay did not.
    Open,
    /// It was told to end here.
    Until,
    /// The journal was cut in the middle of a block.
    Cut { block: u64, offset: u64 },
}

impl Replay<'_> {
    fn run(mut self, out: &mut dyn io::Write) -> Result<(), Error> {
        let ending = self.play(out);
        self.progress.finish();
        // What was replayed can be looked at, however it ended.
        if let Some(format) = self.plan.show {
            let census = self.relay.census();
            let tick = self.shared.script().ticks;
            write!(out, "{}", show::show(&census, tick, format))?;
        }
        let ending = ending?;
        if self.plan.show != Some(Format::Json) {
            write!(out, "{}", self.summary(ending))?;
        }
        Ok(())
    }

    fn play(&mut self, out: &mut dyn io::Write) -> Result<Ending, Error> {
        loop {
            let (cue, ticks, position) = {
                let mut script = self.shared.script();
                let cue = match script.cue() {
                    Ok(cue) => cue,
                    Err(ReadError::Cut { block, offset }) => {
                        return Ok(Ending::Cut { block, offset });
                    }
                    Err(reason) => {
                        return Err(Error::Ends {
                            path: self.plan.journal.clone(),
                            tick: script.ticks,
                            reason,
                        });
                    }
                };
                if let Some(failure) = script.take_failure() {
                    return Err(failure);
                }
                (cue, script.ticks, script.position())
            };
            self.progress.reach(position, ticks);
            match cue {
                Cue::Tick if self.plan.until.is_some_and(|until| ticks >= until) => {
                    return Ok(Ending::Until);
                }
                Cue::Tick => {
                    let goes_on = self.tick(ticks + 1, out)?;
                    if !goes_on {
                        return Ok(Ending::Until);
                    }
                }
                Cue::StopAccepting => {
                    self.relay
                        .world
                        .resource_mut::<NetworkPort>()
                        .stop_accepting();
                }
                Cue::HangUp => self.relay.hang_up_all(),
                Cue::End => return Ok(Ending::Whole),
                Cue::NoMore => return Ok(Ending::Open),
            }
        }
    }

    /// One tick, and what is to be seen of it. Whether there is to be another.
    fn tick(&mut self, tick: u64, out: &mut dyn io::Write) -> Result<bool, Error> {
        let shown = tick >= self.plan.from;
        if shown && (self.plan.print || self.plan.step) {
            if self.plan.step && !step::goes_on(tick, out)? {
                return Ok(false);
            }
            write!(out, "{}", step::lines(tick, &self.shared.script().scene()))?;
        }
        // A law that is broken is what some journals are kept for.
        let ticked = catch_unwind(AssertUnwindSafe(|| self.relay.tick()));
        if ticked.is_err() {
            return Err(Error::Panic { tick });
        }
        if let Some(failure) = self.shared.script().take_failure() {
            return Err(failure);
        }
        if self.watch.is_none() && !self.plan.audit {
            return Ok(true);
        }
        let census = self.relay.census();
        if let Some(watch) = &mut self.watch {
            let lines = watch.compare(tick, &self.before, &census);
            if shown {
                write!(out, "{lines}")?;
            }
        }
        let breaches = &self.relay.world.resource::<Audit>().breaches;
        if let Some(breach) = breaches.first() {
            return Err(Error::Breach {
                tick,
                breach: breach.clone(),
                holders: holders(breach, &self.before, &census),
            });
        }
        self.before = census;
        Ok(true)
    }

    fn summary(&self, ending: Ending) -> String {
        let script = self.shared.script();
        let ticks = script.ticks;
        let mut text = format!("{ticks} ticks replayed: ");
        text += match ending {
            Ending::Whole => "the whole journal",
            Ending::Open => "the journal ends here, its relay did not end in order",
            Ending::Until => "as many as wanted",
            Ending::Cut { .. } => "the journal was cut",
        };
        if let Ending::Cut { block, offset } = ending {
            let _ = write!(text, " in block {block} at byte {offset}");
        }
        text.push('\n');
        if self.plan.verify {
            let compared = script.compared;
            let _ = writeln!(
                text,
                "verified: {} bytes of replies and {} bytes of files are as recorded",
                compared.reply_bytes, compared.file_bytes
            );
        }
        if self.plan.audit {
            let _ = writeln!(text, "audit: clean after {ticks} ticks");
        }
        text
    }
}

impl Plan {
    /// Whether there are lines before the end.
    fn prints(&self) -> bool {
        self.print || self.step || self.watch.is_some()
    }

    fn unreadable(&self, reason: ReadError) -> Error {
        Error::Journal {
            path: self.journal.clone(),
            reason,
        }
    }
}

/// Who held the record before the breach and says that he does no more; else who holds it.
fn holders(breach: &Breach, before: &Census, now: &Census) -> String {
    let (Breach::Miscounted { id, .. } | Breach::Missing { id, .. }) = breach else {
        return String::new();
    };
    let held_by = |census: &Census| {
        let entry = census.0.get(id);
        entry.map_or(Vec::new(), |entry| entry.held_by.clone())
    };
    let left = watch::without(&held_by(before), &held_by(now));
    let names = |ids: &[Id]| {
        let names: Vec<_> = ids.iter().map(Id::to_string).collect();
        names.join(", ")
    };
    match left.as_slice() {
        [] => match held_by(now).as_slice() {
            [] => "; nobody held it before the tick".to_owned(),
            holders => format!("; it is held by {}", names(holders)),
        },
        left => format!("; {} held it before the tick and does no more", names(left)),
    }
}

fn storage(output: Option<&Path>) -> Result<StoragePort, Error> {
    let Some(output) = output else {
        return Ok(MemoryStorage::new().port());
    };
    let wrong = |reason| Error::Output {
        path: output.to_owned(),
        reason,
    };
    if output.exists() && fs::read_dir(output).map_err(wrong)?.next().is_some() {
        return Err(Error::NotEmpty(output.to_owned()));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = Pool::of(limit.unwrap_or(u64::from(u16::MAX))).files;
    let storage = FileStorage::open(output, files).map_err(wrong)?;
    Ok(StoragePort(Box::new(storage)))
}

/// What the recorded relay was told to do.
fn settings(header: &Header) -> Settings {
    Settings {
        grouping: if header.grouped_by_session {
            Grouping::Session
        } else {
            Grouping::Host
        },
        clear_allowed: header.clear_allowed,
        serve: if header.serves_all {
            Served::All
        } else {
            Served::Live
        },
        hold_back: header.hold_back.map_or(HoldBack::Auto, HoldBack::Fixed),
    }
}
