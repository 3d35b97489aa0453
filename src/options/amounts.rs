//! The types of options that say how much there may be: disk space, ages, numbers.

use std::ffi::OsStr;
use std::time::Duration;

use baton_systems::settings::{Amount, MaxAge, MaxChunks, MinFree};

use super::value::{OptionError, Value};
use super::{Face, Spec};

/// Units of bytes: each is 1024 of the one before it.
const BYTE_UNITS: [(&str, u64); 5] = [
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("", 1),
];
/// Units of time, in seconds.
const TIME_UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Below it not even the files that are being written would fit.
const BYTES_MIN: u64 = 1 << 20;

/// Reads an amount: bytes with a unit, a percentage, or 0.
pub fn amount(text: &str) -> Option<Amount> {
    let percent = text.strip_suffix('%').and_then(number);
    match (percent, in_units(text, &BYTE_UNITS)) {
        (Some(percent @ 1..=100), _) => Some(Amount::Percent(percent as u32)),
        (None, Some(0)) => Some(Amount::Unlimited),
        (None, Some(bytes @ BYTES_MIN..)) => Some(Amount::Bytes(bytes)),
        _ => None,
    }
}

impl Value for Amount {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = value.unwrap_or_default().to_string_lossy();
        let amount = amount(&text);
        let expected = "bytes, such as 500M or 2T, at least 1M; a part of the disk, such as 5%; or 0 for no limit";
        *self = amount.ok_or_else(|| OptionError::expected(spec, &text, expected))?;
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Self::Unlimited => "-".to_owned(),
            Self::Bytes(bytes) => with_unit(*bytes, &BYTE_UNITS),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }
}

impl Value for MinFree {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, face: Face) -> Result<(), OptionError> {
        if value.is_some_and(|value| value == AUTO) {
            *self = Self::Auto;
            return Ok(());
        }
        let mut amount = Amount::Unlimited;
        amount.read(spec, value, face)?;
        *self = Self::Amount(amount);
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => AUTO.to_owned(),
            Self::Amount(Amount::Unlimited) => "0".to_owned(),
            Self::Amount(amount) => amount.show(),
        }
    }
}

/// The original keeps nothing free.
pub fn min_free(asked: MinFree, face: Face) -> MinFree {
    match (asked, face) {
        (MinFree::Auto, Face::LttngRelayd) => MinFree::default(),
        (asked, _) => asked,
    }
}

/// The smaller of 1 GiB and 5 % of the disk.
const AUTO: &str = "auto";

impl Value for MaxAge {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = value.unwrap_or_default().to_string_lossy();
        let has_unit = text.ends_with(|last: char| !last.is_ascii_digit());
        let seconds = in_units(&text, &TIME_UNITS).filter(|seconds| has_unit || *seconds == 0);
        let expected = "a time with its unit, such as 90d, 12h, 30m or 45s; or 0 for no limit";
        let seconds = seconds.ok_or_else(|| OptionError::expected(spec, &text, expected))?;
        self.0 = (seconds > 0).then(|| Duration::from_secs(seconds));
        Ok(())
    }

    fn show(&self) -> String {
        self.0
            .map_or("-".to_owned(), |age| with_unit(age.as_secs(), &TIME_UNITS))
    }
}

impl Value for MaxChunks {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, _: Face) -> Result<(), OptionError> {
        let text = value.unwrap_or_default().to_string_lossy();
        let count = number(&text);
        let expected = "a number of chunks; or 0 for no limit";
        let count = count.ok_or_else(|| OptionError::expected(spec, &text, expected))?;
        self.0 = (count > 0).then_some(count);
        Ok(())
    }

    fn show(&self) -> String {
        self.0.map_or("-".to_owned(), |count| count.to_string())
    }
}

/// A number without a sign.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn in_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut read = units.iter().map(|(unit, size)| {
        let count = text.strip_suffix(unit).and_then(number)?;
        count.checked_mul(*size)
    });
    // Without a unit, the smallest is meant.
    read.find_map(|it| it).or_else(|| number(text))
}

fn with_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, size)| amount.is_multiple_of(*size));
    unit.map_or_else(
        || amount.to_string(),
        |(unit, size)| format!("{}{unit}", amount / size),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    fn shown(name: &'static str, text: &str) -> Option<String> {
        let mut options = Options::default();
        let value = Some(text.into());
        let given = super::super::Given { name, value };
        options.take(&given, Face::Baton).ok()?;
        Some(Spec::named(name)?.show(&options))
    }

    #[test]
    fn amounts_have_units_and_come_back() {
        for (name, text, expected) in [
            ("max-size", "150M", Some("150M")),
            ("max-size", "2048G", Some("2T")),
            ("max-size", "5%", Some("5%")),
            ("max-size", "1048577", Some("1048577")),
            ("max-size", "0", Some("-")),
            ("max-size", "1K", None),
            ("max-size", "101%", None),
            ("max-size", "0%", None),
            ("max-size", "-1", None),
            ("max-size", "99999999999T", None),
            ("max-size", "much", None),
            ("max-size", "", None),
            ("max-session-size", "1G", Some("1G")),
            ("max-age", "90d", Some("90d")),
            ("max-age", "24h", Some("1d")),
            ("max-age", "90m", Some("90m")),
            ("max-age", "0", Some("-")),
            ("max-age", "90", None),
            ("max-age", "d", None),
            ("max-chunks", "12", Some("12")),
            ("max-chunks", "0", Some("-")),
            ("max-chunks", "+1", None),
        ] {
            assert_eq!(shown(name, text).as_deref(), expected, "{name} {text:?}");
        }
    }
}
