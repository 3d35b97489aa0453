//! What was chosen, source by source: later ones win.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_components::connection::Port;
use baton_systems::settings::{Grouping, HoldBack, Served};

use super::url::Url;
use super::{BUSY_POLL_MAX, ConfigError, Detach, Face, LIVE_HOLD_BACK_MAX, number, switch};
use crate::journal::block::Payload;
use crate::options::{Given, Id, OPTIONS};

/// What the sources that were read so far say. None: nothing.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Choices {
    pub control: Option<Url>,
    pub data: Option<Url>,
    pub live: Option<Url>,
    pub output: Option<PathBuf>,
    pub daemonize: bool,
    pub background: bool,
    pub group: Option<OsString>,
    pub fd_pool_size: Option<u64>,
    pub verbosity: u8,
    pub working_directory: Option<PathBuf>,
    pub grouping: Option<Grouping>,
    pub disallow_clear: bool,
    pub pid_file: Option<PathBuf>,
    pub dynamic_ports: bool,
    pub sig_parent: bool,
    pub serve: Served,
    pub hold_back: HoldBack,
    pub busy_poll: Option<Duration>,
    pub check: bool,
    pub audit: bool,
    pub journal: Option<PathBuf>,
    pub journal_payload: Payload,
}

impl Choices {
    /// Takes an option of the command line.
    pub fn take(&mut self, given: &Given, face: Face) -> Result<(), ConfigError> {
        let value = given.value.as_deref().unwrap_or_default();
        match given.id {
            Id::Verbose => self.verbosity = self.verbosity.saturating_add(1),
            Id::ControlPort => self.control = Some(url(Port::Control, value)?),
            Id::DataPort => self.data = Some(url(Port::Data, value)?),
            Id::LivePort => self.live = Some(url(Port::Live, value)?),
            Id::Group => self.group = Some(value.to_owned()),
            Id::FdPoolSize => self.fd_pool_size = Some(pool_size(value)?),
            Id::Output if face == Face::LttngRelayd && !Path::new(value).is_absolute() => {
                return Err(ConfigError::RelativeOutput);
            }
            Id::Output => self.output = Some(value.into()),
            Id::WorkingDirectory => self.working_directory = Some(value.into()),
            Id::PidFile => self.pid_file = Some(value.into()),
            Id::Serve => self.serve = served(value)?,
            Id::LiveHoldBack => self.hold_back = hold_back(value)?,
            Id::BusyPoll => self.busy_poll = Some(busy_poll(value)?),
            Id::Journal => self.journal = Some(value.into()),
            Id::JournalPayload => self.journal_payload = payload(value)?,
            switch => self.turn(switch, true)?,
        }
        Ok(())
    }

    /// Takes the entries of a file. One that cannot be meant is passed over, and
    /// `warnings` says so.
    pub fn take_entries(
        &mut self,
        entries: Vec<(String, String)>,
        face: Face,
        warnings: &mut Vec<String>,
    ) -> Result<(), ConfigError> {
        for (key, value) in entries {
            let Some(spec) = OPTIONS.iter().find(|spec| spec.long == key) else {
                warnings.push(format!(
                    "Unrecognized option \"{key}\" in daemon configuration file."
                ));
                continue;
            };
            match spec.id {
                Id::Help | Id::Version | Id::Config => {}
                id if spec.value.is_some() => {
                    let value = Some(value.into());
                    self.take(&Given { id, value }, face)?;
                }
                Id::Verbose if number(&value).is_some_and(|level| level > 0) => {
                    let level = number(&value).and_then(|level| u8::try_from(level).ok());
                    self.verbosity = level.unwrap_or(u8::MAX);
                }
                id => match switch(&value) {
                    Some(on) => self.turn(id, on)?,
                    None => warnings.push(format!(
                        "Invalid configuration value \"{value}\" for option {key}"
                    )),
                },
            }
        }
        Ok(())
    }

    /// A switch. Only a file can turn one off that an earlier file turned on.
    fn turn(&mut self, id: Id, on: bool) -> Result<(), ConfigError> {
        match id {
            Id::Daemonize => self.daemonize = on,
            Id::Background => self.background = on,
            Id::DisallowClear => self.disallow_clear = on,
            Id::DynamicPortAllocation => self.dynamic_ports = on,
            Id::SigParent => self.sig_parent = on,
            Id::Check => self.check = on,
            Id::Audit => self.audit = on,
            Id::Verbose => self.verbosity = u8::from(on),
            Id::GroupOutputByHost => self.group_by(Grouping::Host, id, on)?,
            Id::GroupOutputBySession => self.group_by(Grouping::Session, id, on)?,
            // Whoever reads the command line or a file has seen to these.
            _ => {}
        }
        Ok(())
    }

    fn group_by(&mut self, grouping: Grouping, id: Id, on: bool) -> Result<(), ConfigError> {
        if on && self.grouping.is_some() {
            return Err(ConfigError::GroupedTwice(id.spec().long));
        }
        if on {
            self.grouping = Some(grouping);
        } else if self.grouping == Some(grouping) {
            self.grouping = None;
        }
        Ok(())
    }

    pub fn detach(&self) -> Detach {
        match (self.background, self.daemonize) {
            (true, _) => Detach::Background,
            (false, true) => Detach::Daemon,
            (false, false) => Detach::Foreground,
        }
    }
}

fn url(port: Port, value: &OsStr) -> Result<Url, ConfigError> {
    let text = value.to_string_lossy();
    Url::parse(&text).map_err(|reason| ConfigError::Url {
        port: port.name(),
        reason,
    })
}

/// As the original reads it: any base, and what follows the number is ignored.
fn pool_size(value: &OsStr) -> Result<u64, ConfigError> {
    let text = value.to_string_lossy();
    let is_digit = |it: char| it.is_ascii_hexdigit() || it == 'x' || it == 'X';
    let end = text.find(|it| !is_digit(it)).unwrap_or(text.len());
    (1..=end)
        .rev()
        .find_map(|end| number(&text[..end]))
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| ConfigError::PoolNotANumber(text.clone().into_owned()))
}

fn served(value: &OsStr) -> Result<Served, ConfigError> {
    match value.to_str() {
        Some("live") => Ok(Served::Live),
        Some("all") => Ok(Served::All),
        _ => Err(ConfigError::Serve(value.to_string_lossy().into_owned())),
    }
}

fn hold_back(value: &OsStr) -> Result<HoldBack, ConfigError> {
    let text = value.to_string_lossy();
    if text == "auto" {
        return Ok(HoldBack::Auto);
    }
    number(&text)
        .and_then(|millis| u64::try_from(millis).ok())
        .map(Duration::from_millis)
        .filter(|time| *time <= LIVE_HOLD_BACK_MAX)
        .map(HoldBack::Fixed)
        .ok_or_else(|| ConfigError::LiveHoldBack {
            value: text.into_owned(),
        })
}

fn busy_poll(value: &OsStr) -> Result<Duration, ConfigError> {
    let text = value.to_string_lossy();
    number(&text)
        .and_then(|micros| u64::try_from(micros).ok())
        .map(Duration::from_micros)
        .filter(|moment| *moment <= BUSY_POLL_MAX)
        .ok_or_else(|| ConfigError::BusyPoll {
            value: text.into_owned(),
        })
}

fn payload(value: &OsStr) -> Result<Payload, ConfigError> {
    match value.to_str() {
        Some("copy") => Ok(Payload::Copy),
        Some("reference") => Ok(Payload::Reference),
        _ => Err(ConfigError::JournalPayload(
            value.to_string_lossy().into_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_sizes_are_read_as_by_the_c_library() {
        for (text, size) in [
            ("100", Some(100)),
            ("0x100", Some(256)),
            ("0200", Some(128)),
            ("100junk", Some(100)),
            ("100abc", Some(100)),
            ("0", Some(0)),
            ("-5", None),
            ("junk", None),
            ("", None),
            (" 1", None),
        ] {
            assert_eq!(pool_size(text.as_ref()).ok(), size, "{text:?}");
        }
    }

    #[test]
    fn a_later_file_undoes_a_switch() {
        let mut choices = Choices::default();
        let mut warnings = Vec::new();
        for value in ["yes", "NO"] {
            let entries = ["daemonize", "group-output-by-session"]
                .map(|key| (key.to_owned(), value.to_owned()));
            choices
                .take_entries(entries.into(), Face::LttngRelayd, &mut warnings)
                .unwrap();
            assert_eq!(choices.daemonize, value == "yes");
            assert_eq!(choices.grouping.is_some(), value == "yes");
        }
        assert_eq!(warnings, [""; 0]);
    }
}
