//! `baton doctor`: looks for what is wrong with a relay, and says what to do.
//!
//! It is told the options of the relay, as the relay is: from the configuration files and the
//! command line. So it looks at that relay's ports and directories.

mod clocks;
mod files;
mod ports;
mod relay;

use std::fmt::Write as _;

use baton_components::shown::Shown;
use serde::Serialize;

use super::{Credentials, Format, Target};
use crate::config::{Config, ConfigError};
use crate::daemon;
use crate::os::print;

/// Something that was found.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Its name for programs.
    name: &'static str,
    /// It may be meant so.
    is_note: bool,
    what: String,
    why: String,
    /// Advice: a command to type, or a setting to change.
    advice: String,
}

impl Finding {
    fn wrong(
        name: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            name,
            is_note: false,
            what: what.into(),
            why: why.into(),
            advice: advice.into(),
        }
    }

    fn note(self) -> Self {
        Self {
            is_note: true,
            ..self
        }
    }
}

/// All findings, as programs read them.
#[derive(Serialize)]
struct Findings {
    schema: u32,
    findings: Vec<Finding>,
}

/// Prints what is found. Returns whether nothing is wrong.
pub fn run(
    config: Result<Config, ConfigError>,
    warnings: &[String],
    credentials: &Credentials,
    format: Format,
) -> Result<bool, Box<dyn std::error::Error>> {
    let findings = examine(config, warnings, credentials);
    let is_well = findings.iter().all(|it| it.is_note);
    match format {
        Format::Text => print(text(&findings))?,
        Format::Json => {
            let findings = Findings {
                schema: 1,
                findings,
            };
            print(format_args!("{}\n", serde_json::to_string(&findings)?))?;
        }
    }
    Ok(is_well)
}

fn examine(
    config: Result<Config, ConfigError>,
    warnings: &[String],
    credentials: &Credentials,
) -> Vec<Finding> {
    let mut findings: Vec<_> = warnings.iter().map(|it| options(it)).collect();
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            findings.push(options(&error.to_string()));
            return findings;
        }
    };
    if let Err(error) = daemon::check(&config) {
        findings.push(options(&error.to_string()));
    }
    let is_ours = ports::examine(&config, &mut findings);
    files::examine(&config, &mut findings);
    if let Some(status) = config.status.main()
        && is_ours
    {
        let certificate = config.options.tls_certificate.as_deref();
        match Target::of(status, certificate, credentials) {
            Ok(target) => relay::examine(&target, &config, &mut findings),
            Err(error) => findings.push(Finding::wrong(
                "no-answer",
                "the relay cannot be asked how it is",
                error.to_string(),
                "baton doctor --ask-ca FILE --ask-certificate FILE --ask-key FILE, or a status \
                 port without TLS beside it: --status-port tcp://localhost",
            )),
        }
    }
    findings
}

/// A relay with these options does not start, or not as it is meant.
fn options(why: &str) -> Finding {
    Finding::wrong(
        "options",
        "options of the relay, or a file of them, are wrong",
        why,
        "baton relay --check, with these options, until it prints what they come to",
    )
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let kind = if finding.is_note { "note" } else { "WRONG" };
        let parts = [&finding.what, &finding.why, &finding.advice];
        let [what, why, advice] = parts.map(|it| Shown(it.as_bytes()));
        let written = writeln!(text, "{kind}: {what}\n  why: {why}\n  do: {advice}");
        written.expect("law: a string takes all that is written to it");
    }
    if findings.iter().all(|it| it.is_note) {
        text += "nothing is wrong\n";
    }
    text
}
