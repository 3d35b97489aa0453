//! Deterministic replay: runs a relay on the input that a journal recorded.
//!
//! The systems are the same as in every relay; only the ports differ. Each call of the
//! relay is compared with the journal, so a replay that reaches the end did the same.

mod content;
mod error;
mod life;
mod ports;
mod script;
mod show;
mod step;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use baton_components::kinds::Id;
use baton_systems::audit::{Audit, Breach};
use baton_systems::census::Census;
use baton_systems::memory::MemoryStorage;
use baton_systems::ports::StoragePort;
use baton_systems::tick::Relay;

use self::content::Traces;
use self::life::Life;
use self::script::{Cue, Script, Shared};
use crate::journal::block::{Payload, ReadError};
use crate::os::pool::Pool;
use crate::os::storage::FileStorage;
use crate::progress::Progress;

pub use self::error::Error;
pub use self::show::Format;

/// The options of a replay.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Plan {
    pub journal: PathBuf,
    /// Directory for the files; none: in memory.
    pub output: Option<PathBuf>,
    /// Directory of the trace files that the journal refers to; none: where the relay wrote
    /// them.
    pub traces: Option<PathBuf>,
    /// Compare the content of output.
    pub verify: bool,
    pub audit: bool,
    /// The first tick to print.
    pub from: u64,
    /// The last tick.
    pub until: Option<u64>,
    /// Print the input and output of each tick.
    pub print: bool,
    /// Wait for the Enter key before each tick.
    pub step: bool,
    /// Print all records at the end.
    pub show: Option<Format>,
    pub watch: Option<Id>,
}

/// Replays a journal; prints to `out`, line by line.
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
    let (network, storage, clock, chance) = ports::act_from(&shared, storage);
    let settings = header.settings.clone();
    let relay = Relay::new(network, storage, clock, chance, settings, plan.audit);
    let stage = Replay {
        plan,
        shared,
        relay,
        before: Census::default(),
        life: plan.watch.map(Life::new),
        log: (plan.print || plan.step).then(step::Log::default),
        progress: progress(plan),
    };
    stage.run(out)
}

/// Over the bytes of the journal; hidden if lines are printed to the same terminal meanwhile.
fn progress(plan: &Plan) -> Progress {
    let prints = plan.prints() && io::stdout().is_terminal();
    let size = fs::metadata(&plan.journal).map_or(0, |it| it.len());
    Progress::over(size, !prints)
}

struct Replay<'a> {
    plan: &'a Plan,
    shared: Shared,
    relay: Relay,
    /// The records before this tick, if an option needs them.
    before: Census,
    life: Option<Life>,
    /// The relay's log, if it is printed.
    log: Option<step::Log>,
    progress: Progress,
}

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The relay ended in order.
    Whole,
    /// The journal ends before the relay did.
    Open,
    /// It reached the tick of `--until`.
    Until,
    /// The journal is truncated in the middle of a block.
    Cut { block: u64, offset: u64 },
}

impl Replay<'_> {
    fn run(mut self, out: &mut dyn io::Write) -> Result<(), Error> {
        let ending = self.play(out);
        self.progress.finish();
        // The records are printed however the replay ended.
        if let Some(format) = self.plan.show {
            let census = self.relay.census();
            let tick = self.shared.script().ticks;
            write!(out, "{}", show::show(&census, tick, format))?;
        }
        let ending = ending?;
        if let Some(id) = self.life.and_then(Life::never_seen) {
            return Err(Error::NeverSeen(id));
        }
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
            self.progress.reach(position);
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
                Cue::StopAccepting => self.relay.stop_accepting(),
                Cue::HangUp => self.relay.hang_up_all(),
                Cue::End => return Ok(Ending::Whole),
                Cue::NoMore => return Ok(Ending::Open),
            }
        }
    }

    /// Runs and prints one tick. Returns whether there is another.
    fn tick(&mut self, tick: u64, out: &mut dyn io::Write) -> Result<bool, Error> {
        let shown = tick >= self.plan.from;
        if shown && (self.plan.print || self.plan.step) {
            if self.plan.step && !step::goes_on(tick, out)? {
                return Ok(false);
            }
            write!(out, "{}", step::lines(tick, &self.shared.script().scene()))?;
        }
        // A failed `expect` is what some journals are recorded for.
        let mut run = || catch_unwind(AssertUnwindSafe(|| self.relay.tick()));
        let ticked = match &self.log {
            Some(log) if shown => {
                let (ticked, lines) = log.of(run);
                write!(out, "{lines}")?;
                ticked
            }
            _ => run(),
        };
        if ticked.is_err() {
            return Err(Error::Panic { tick });
        }
        if let Some(failure) = self.shared.script().take_failure() {
            return Err(failure);
        }
        if self.life.is_none() && !self.plan.audit {
            return Ok(true);
        }
        let census = self.relay.census();
        if let Some(life) = &mut self.life {
            let lines = life.compare(tick, &self.before, &census);
            if shown {
                write!(out, "{lines}")?;
            }
        }
        let breaches = &self.relay.read::<Audit>().breaches;
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
            Ending::Until => "up to the tick that was asked for",
            Ending::Cut { .. } => "the journal is truncated",
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
    /// Whether lines are printed before the end.
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

/// The holders before the breach that do not declare the hold any more; if none, the
/// holders now.
fn holders(breach: &Breach, before: &Census, now: &Census) -> String {
    let (Breach::Miscounted { id, .. } | Breach::Missing { id, .. }) = breach else {
        return String::new();
    };
    let held_by = |census: &Census| {
        let entry = census.0.get(id);
        entry.map_or(Vec::new(), |entry| entry.held_by.clone())
    };
    let left = life::without(&held_by(before), &held_by(now));
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
    Ok(StoragePort::new(Box::new(storage)))
}
