//! The types of options: each parses and prints its values.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use baton_components::limits::METRICS_SESSIONS_MAX;
use baton_systems::settings::{Grouping, HoldBack, MetricsSessions, Served, WhenFull};

use super::{Face, GROUP_BY_SESSION, Spec};
use crate::addresses::Allowed;
use crate::journal::block::Payload;
use crate::os::said;
use crate::os::tls::credentials::Minimum;
use crate::url::UrlError;

/// The value of an option.
pub trait Value {
    /// Parses an argument of the option; none if the option was given as a switch.
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, face: Face) -> Result<(), OptionError>;

    /// The text that `--check` prints.
    fn show(&self) -> String;

    /// Whether all that are given count.
    fn is_list(&self) -> bool {
        false
    }

    /// All possible values, for help and completions, if they are few.
    fn words(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// An error in the value of an option. The texts are those of the original where it has one.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    #[error("Invalid {port} URI specified: {reason}")]
    Url {
        port: &'static str,
        reason: UrlError,
    },
    #[error("Please specify an absolute path for -o, --output PATH")]
    RelativeOutput,
    #[error("Cannot set --{0}, another --group-output-by argument is present")]
    GroupedTwice(&'static str),
    #[error("Wrong value in --fd-pool-size parameter: {0}")]
    PoolNotANumber(String),
    #[error("Wrong value in --{option} parameter: {value}; expected {expected}")]
    Value {
        option: &'static str,
        value: String,
        expected: String,
    },
    /// Of an option without an argument, in a file.
    #[error("Invalid configuration value \"{value}\" for option {option}")]
    Switch { option: &'static str, value: String },
    #[error(
        "Wrong value in {of} parameter: memory:{size}; expected a directory, or bytes of memory, \
         such as memory:256M, at least memory:4M"
    )]
    Memory { of: String, size: String },
    #[error("the path of {of} is empty: name one, or leave it out")]
    NoPath { of: String },
    #[error("the path of {of} cannot be made absolute: {}", said(reason))]
    Path { of: String, reason: io::Error },
}

impl OptionError {
    pub(super) fn expected(spec: &Spec, value: &str, expected: impl Into<String>) -> Self {
        Self::Value {
            option: spec.long,
            value: value.to_owned(),
            expected: expected.into(),
        }
    }
}

/// A switch. Only a file can turn one off that an earlier file turned on.
impl Value for bool {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        *self = is_on(spec, value)?;
        Ok(())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// The number of times that a switch was given; in a file, a number.
impl Value for u8 {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let level = value.and_then(|text| number(&text.to_string_lossy()));
        *self = match (value, level) {
            (None, _) => self.saturating_add(1),
            (_, Some(level)) if level > 0 => Self::try_from(level).unwrap_or(Self::MAX),
            _ => Self::from(is_on(spec, value)?),
        };
        Ok(())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Two switches that exclude each other.
impl Value for Option<Grouping> {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let grouping = if spec.long == GROUP_BY_SESSION {
            Grouping::Session
        } else {
            Grouping::Host
        };
        if is_on(spec, value)? {
            if self.replace(grouping).is_some() {
                return Err(OptionError::GroupedTwice(spec.long));
            }
        } else if *self == Some(grouping) {
            *self = None;
        }
        Ok(())
    }

    fn show(&self) -> String {
        format!("{:?}", self.unwrap_or_default()).to_lowercase()
    }
}

impl Value for OsString {
    fn read(&mut self, _: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        value.unwrap_or_default().clone_into(self);
        Ok(())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// Made absolute when it is parsed, since the relay may change its working directory.
impl Value for Option<PathBuf> {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let of = format!("--{}", spec.long);
        *self = Some(absolute(&of, value.unwrap_or_default().into())?);
        Ok(())
    }

    fn show(&self) -> String {
        self.as_ref()
            .map_or("-".to_owned(), |path| path.display().to_string())
    }
}

/// A number of descriptors; none: as many as the process may have.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolSize(pub Option<u64>);

impl Value for PoolSize {
    /// In any base, as by the original, since both read the same files. Under the original's
    /// name text after the number is ignored, as the original does.
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, face: Face) -> Result<(), OptionError> {
        let text = text(value);
        if face == Face::Baton {
            self.0 = number(&text).and_then(|size| size.try_into().ok());
            let expected = || OptionError::expected(spec, &text, "a number of descriptors");
            return self.0.map(drop).ok_or_else(expected);
        }
        let is_digit = |it: char| it.is_ascii_hexdigit() || it == 'x' || it == 'X';
        let end = text.find(|it| !is_digit(it)).unwrap_or(text.len());
        self.0 = (1..=end)
            .rev()
            .find_map(|end| number(&text[..end]))
            .and_then(|size| u64::try_from(size).ok());
        self.0.map(drop).ok_or(OptionError::PoolNotANumber(text))
    }

    fn show(&self) -> String {
        self.0.map_or("-".to_owned(), |size| size.to_string())
    }
}

/// A time in microseconds, with a maximum.
#[derive(Clone, Copy, Debug)]
pub struct Micros<const MAX: u64>(pub Duration);

impl<const MAX: u64> Value for Micros<MAX> {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        let expected = || format!("microseconds, at most {MAX}");
        self.0 = at_most(&text, MAX)
            .map(Duration::from_micros)
            .ok_or_else(|| OptionError::expected(spec, &text, expected()))?;
        Ok(())
    }

    fn show(&self) -> String {
        self.0.as_micros().to_string()
    }
}

/// A number of bytes; none: no limit.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub Option<u64>);

/// Units of bytes: each is 1024 of the one before it.
const UNITS: [(&str, u32); 4] = [("G", 30), ("M", 20), ("K", 10), ("", 0)];
/// Below it a relay could not receive a message of metadata.
const MEMORY_BYTES_MIN: u64 = 16 << 20;

impl Value for Bytes {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        let expected = || "bytes, such as 512M, at least 16M; or 0 for no limit";
        let read = UNITS.iter().find_map(|(unit, bits)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(1 << bits)
        });
        self.0 = match read {
            Some(0) => None,
            Some(bytes @ MEMORY_BYTES_MIN..) => Some(bytes),
            _ => return Err(OptionError::expected(spec, &text, expected())),
        };
        Ok(())
    }

    fn show(&self) -> String {
        let bytes = self.0.unwrap_or(0);
        let is_whole = |bits: u32| bytes > 0 && bytes.is_multiple_of(1 << bits);
        let unit = UNITS.iter().find(|(_, bits)| is_whole(*bits));
        unit.map_or_else(
            || bytes.to_string(),
            |(unit, bits)| format!("{}{unit}", bytes >> bits),
        )
    }
}

/// Quota of one address when a resource is short, in percent of all of it; none: the default
/// of the program.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressShare(pub Option<u32>);

impl AddressShare {
    /// The original knows no shares.
    pub fn of(self, face: Face) -> u32 {
        self.0.unwrap_or(match face {
            Face::Baton => 25,
            Face::LttngRelayd => 100,
        })
    }
}

impl Value for AddressShare {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        let percent = at_most(&text, 100).filter(|percent| *percent > 0);
        let percent = percent.and_then(|percent| u32::try_from(percent).ok());
        let expected = "percent, from 1 to 100";
        self.0 = Some(percent.ok_or_else(|| OptionError::expected(spec, &text, expected))?);
        Ok(())
    }

    fn show(&self) -> String {
        self.of(Face::Baton).to_string()
    }
}

impl Value for Allowed {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        *self = Self::parse(&text).map_err(|wrong| {
            let expected = format!("addresses, such as 10.0.0.0/8,192.0.2.1, or none ({wrong})");
            OptionError::expected(spec, &text, expected)
        })?;
        Ok(())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for MetricsSessions {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        let count = at_most(&text, METRICS_SESSIONS_MAX.into());
        let count = count.and_then(|count| u32::try_from(count).ok());
        let expected = || format!("a number, at most {METRICS_SESSIONS_MAX}");
        self.0 = count.ok_or_else(|| OptionError::expected(spec, &text, expected()))?;
        Ok(())
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Value for HoldBack {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        let expected = || format!("auto or milliseconds, at most {HOLD_BACK_MS_MAX}");
        *self = if text == "auto" {
            Self::Auto
        } else {
            at_most(&text, HOLD_BACK_MS_MAX)
                .map(Duration::from_millis)
                .map(Self::Fixed)
                .ok_or_else(|| OptionError::expected(spec, &text, expected()))?
        };
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Fixed(time) => time.as_millis().to_string(),
        }
    }
}

/// Maximum hold-back: a longer delay is not live.
const HOLD_BACK_MS_MAX: u64 = 60_000;

/// An option whose value is one of a few words.
trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Word for Served {
    const WORDS: &'static [(&'static str, Self)] = &[("live", Self::Live), ("all", Self::All)];
}

impl Word for WhenFull {
    const WORDS: &'static [(&'static str, Self)] = &[("drop", Self::Drop), ("wait", Self::Wait)];
}

impl Word for Payload {
    const WORDS: &'static [(&'static str, Self)] =
        &[("copy", Self::Copy), ("reference", Self::Reference)];
}

impl Word for Minimum {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

impl<T: Word> Value for T {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = text(value);
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        let expected = || self.words().join(" or ");
        *self = found
            .map(|(_, value)| *value)
            .ok_or_else(|| OptionError::expected(spec, &text, expected()))?;
        Ok(())
    }

    fn show(&self) -> String {
        let found = T::WORDS.iter().find(|(_, value)| value == self);
        found.map_or("", |(word, _)| *word).to_owned()
    }

    fn words(&self) -> Vec<&'static str> {
        T::WORDS.iter().map(|(word, _)| *word).collect()
    }
}

/// Parses the path that is the value `of` an option or a variable.
pub fn absolute(of: &str, path: PathBuf) -> Result<PathBuf, OptionError> {
    let of = of.to_owned();
    if path.as_os_str().is_empty() {
        return Err(OptionError::NoPath { of });
    }
    std::path::absolute(path).map_err(|reason| OptionError::Path { of, reason })
}

fn text(value: Option<&OsStr>) -> String {
    value.unwrap_or_default().to_string_lossy().into_owned()
}

fn at_most(text: &str, max: u64) -> Option<u64> {
    // A sign is not a digit.
    let text = text
        .strip_prefix(|first: char| first.is_ascii_digit())
        .and(Some(text))?;
    text.parse().ok().filter(|number| *number <= max)
}

fn is_on(spec: &Spec, value: Option<&OsStr>) -> Result<bool, OptionError> {
    let Some(value) = value else {
        return Ok(true);
    };
    let value = value.to_string_lossy();
    switch(&value).ok_or_else(|| OptionError::Switch {
        option: spec.long,
        value: value.into_owned(),
    })
}

/// A number in base 10, 16 (0x) or 8 (0).
pub fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    // A second sign is not a digit.
    if !digits.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let magnitude = i64::from_str_radix(digits, radix).ok()?;
    (magnitude >= 0).then_some(sign * magnitude)
}

/// A switch in a file or a variable.
pub fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        number => match self::number(number)? {
            0 => Some(false),
            1.. => Some(true),
            ..0 => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Given, Options};
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
            let spec = Spec::named("fd-pool-size").unwrap();
            let mut pool = PoolSize::default();
            let read = pool.read(spec, Some(text.as_ref()), Face::LttngRelayd);
            assert_eq!(read.ok().and(pool.0), size, "{text:?}");
        }
    }

    #[test]
    fn our_own_numbers_are_decimal() {
        for (text, number) in [
            ("0500", Some(500)),
            ("08", Some(8)),
            ("0x10", None),
            ("5junk", None),
            ("-5", None),
            ("+5", None),
            ("", None),
        ] {
            for name in ["live-hold-back", "busy-poll"] {
                let value = Some(text.into());
                let read = Options::default().take(&Given { name, value }, Face::Baton);
                assert_eq!(read.is_ok(), number.is_some(), "{name} {text:?}");
            }
            assert_eq!(at_most(text, 500), number, "{text:?}");
        }
    }

    #[test]
    fn bytes_have_units() {
        for (text, bytes, shown) in [
            ("512M", Some(512 << 20), "512M"),
            ("1G", Some(1 << 30), "1G"),
            ("16384K", Some(16 << 20), "16M"),
            ("16777217", Some(16_777_217), "16777217"),
            ("0", None, "0"),
            ("0M", None, "0"),
        ] {
            let spec = Spec::named("memory").unwrap();
            let mut memory = Bytes(None);
            memory.read(spec, Some(text.as_ref()), Face::Baton).unwrap();
            assert_eq!((memory.0, &*memory.show()), (bytes, shown), "{text}");
        }
        for text in ["", "M", "-1", "15M", "1T", "1 G", "99999999999G", "1.5G"] {
            let given = Given {
                name: "memory",
                value: Some(text.into()),
            };
            let read = Options::default().take(&given, Face::Baton);
            assert!(read.is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_a_base() {
        for (text, value) in [
            ("10", Some(10)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("--1", None),
            ("0x-1", None),
            ("08", None),
            ("", None),
            ("1 ", None),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    #[test]
    fn switches_have_many_words() {
        for (text, on) in [
            ("Yes", Some(true)),
            ("on", Some(true)),
            ("2", Some(true)),
            ("0", Some(false)),
            ("OFF", Some(false)),
            ("maybe", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(switch(text), on, "{text:?}");
        }
    }
}
