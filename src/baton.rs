//! The program `baton`. Parse, run, exit status: nothing else is here.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cli::{self, Action, Asked, Monitor, Other, Replay};
use crate::config::Config;
use crate::monitor::Target;
use crate::options::{Face, Given};
use crate::os::log_queue::{self, FlushAtEnd};
use crate::os::{print, signals};
use crate::{certificates, daemon, log, monitor, os, pins, repair, replay, resend, tunnel};

pub fn main() -> ExitCode {
    let _end = FlushAtEnd;
    signals::outlive_full_files();
    match run() {
        Ok(code) => code,
        Err(error) => {
            log_queue::say_to_starter(format_args!("baton: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    match cli::parse()? {
        Action::Relay(given) => run_relay(&given)?,
        Action::Repair(plan) => run_repair(&plan)?,
        Action::Keep(plan) => pins::run(&plan)?,
        Action::Replay(Replay::Journal(plan)) => run_replay(&plan)?,
        Action::Replay(Replay::Trace(plan)) => resend::run(&plan)?,
        Action::Monitor(plan) => return run_monitor(&plan),
        Action::Tunnel(plan) => tunnel::run(&plan)?,
        Action::Certificates(plan) => run_certificates(&plan)?,
        Action::Other(other, words) => run_other(other, &words)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_relay(given: &[Given]) -> Result<(), Box<dyn std::error::Error>> {
    let mut warnings = Vec::new();
    let config = Config::resolve(given, Face::Baton, &mut warnings);
    for warning in &mut warnings {
        warning.insert_str(0, "baton: warning: ");
    }
    match config {
        Ok(config) if !config.options.check => Ok(daemon::run(&config, &warnings)?),
        config => {
            log::say_all(&warnings);
            let config = config?;
            daemon::check(&config)?;
            Ok(print(config)?)
        }
    }
}

fn run_repair(plan: &repair::Plan) -> Result<(), Box<dyn std::error::Error>> {
    let mut told = Told { printed: Ok(()) };
    let outcome = repair::repair(plan, &mut told);
    let directory = os::shown(&plan.directory);
    match outcome.failures {
        0 if outcome.traces == 0 => Err(format!("there is no trace in {directory}").into()),
        0 => {
            if outcome.repairs == 0 {
                print(format_args!("{directory}: nothing to repair\n"))?;
            }
            Ok(told.printed?)
        }
        // It was told already.
        _ if !plan.directory.exists() => Err("nothing is repaired".into()),
        1 => Err(format!("one file in {directory} is not repaired").into()),
        more => Err(format!("{more} files in {directory} are not repaired").into()),
    }
}

/// Repairs are told as they are done. They go on where nobody can be told.
struct Told {
    printed: io::Result<()>,
}

impl repair::Listener for Told {
    fn done(&mut self, repair: &repair::Repair) {
        if let Err(error) = print(format_args!("{repair}\n")) {
            self.printed = Err(error);
        }
    }

    fn failed(&mut self, failure: &repair::Failure) {
        log_queue::say(format_args!("baton: {failure}"));
    }
}

fn run_replay(plan: &replay::Plan) -> Result<(), Box<dyn std::error::Error>> {
    match replay::run(plan, &mut io::stdout().lock()) {
        // A reader that has gone need not be told.
        Err(replay::Error::Terminal(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(());
        }
        outcome => outcome?,
    }
    // The last line may have no end of line: this flushes it.
    Ok(print("")?)
}

fn run_monitor(plan: &Monitor) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match plan {
        Monitor::Status { asked, format } => monitor::status(&target(asked)?, *format)?,
        Monitor::Top {
            asked,
            is_once: true,
        } => monitor::top::once(&target(asked)?)?,
        Monitor::Top { asked, .. } => monitor::top::run(&target(asked)?)?,
        Monitor::Doctor {
            given,
            credentials,
            format,
        } => {
            let mut warnings = Vec::new();
            let config = Config::resolve(given, Face::Baton, &mut warnings);
            if !monitor::doctor::run(config, &warnings, credentials, *format)? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The relay that is asked: where the user says, or where this machine's configuration does.
fn target(asked: &Asked) -> Result<Target, monitor::Error> {
    let Asked { url, credentials } = asked;
    if let Some(url) = url {
        return Target::parse(url, credentials);
    }
    let Ok(config) = Config::resolve(&[], Face::Baton, &mut Vec::new()) else {
        return Ok(Target::default());
    };
    let certificate = config.options.tls_certificate.as_deref();
    config.status.main().map_or_else(
        || Ok(Target::default()),
        |status| Target::of(status, certificate, credentials),
    )
}

fn run_certificates(plan: &certificates::Plan) -> Result<(), Box<dyn std::error::Error>> {
    for file in certificates::run(plan)? {
        print(format_args!("{}\n", os::shown(&file)))?;
    }
    Ok(())
}

/// Replaces this process by another program, which is in the same directory or on PATH.
fn run_other(other: &Other, words: &[OsString]) -> Result<(), Box<dyn std::error::Error>> {
    let beside = std::env::current_exe()?.with_file_name(other.program);
    let program = if beside.exists() {
        beside
    } else {
        other.program.into()
    };
    let error = Command::new(&program).args(words).exec();
    let (program, why) = (program.display(), os::said(&error));
    Err(format!("cannot run {program}: {why}; {}", other.advice).into())
}
