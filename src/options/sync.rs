//! The type of `--sync`.

use std::ffi::OsStr;
use std::time::Duration;

use baton_systems::settings::SyncWhen;

use super::value::{OptionError, Value};
use super::{Face, Spec};

/// When what was recorded is synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// As is usual under the relay's name.
    #[default]
    Auto,
    When(SyncWhen),
}

impl Sync {
    /// The original syncs nothing.
    pub fn of(self, face: Face) -> SyncWhen {
        match (self, face) {
            (Self::When(when), _) => when,
            (Self::Auto, Face::Baton) => SyncWhen::Chunk,
            (Self::Auto, Face::LttngRelayd) => SyncWhen::Never,
        }
    }
}

impl Value for Sync {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = value.unwrap_or_default().to_string_lossy();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| is_number);
        *self = match (&*text, seconds) {
            ("auto", _) => Self::Auto,
            ("never", _) => Self::When(SyncWhen::Never),
            ("chunk", _) => Self::When(SyncWhen::Chunk),
            (_, Some(seconds @ 1..=SECONDS_MAX)) => {
                Self::When(SyncWhen::Every(Duration::from_secs(seconds)))
            }
            _ => {
                let expected = "never, chunk, auto, or a number of seconds, 86400 at most";
                return Err(OptionError::expected(spec, &text, expected));
            }
        };
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::When(SyncWhen::Never) => "never".to_owned(),
            Self::When(SyncWhen::Chunk) => "chunk".to_owned(),
            Self::When(SyncWhen::Every(period)) => period.as_secs().to_string(),
        }
    }
}

/// A day.
const SECONDS_MAX: u64 = 86_400;
