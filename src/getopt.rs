//! Command lines by the rules of GNU `getopt_long`, as scripts for `lttng-relayd` use
//! them: abbreviations, bundles, options after other words, and its error texts.
//!
//! clap has none of the last three in this form, and its abbreviations accept the first of
//! several matches. So `lttng-relayd` has this scanner, over the same table of options.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::options::{Given, HELP, OPTIONS, Spec};

/// An error in a command line, with the text of the C library.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unrecognized option '--{0}'")]
    Unrecognized(String),
    #[error("option '--{name}' is ambiguous; possibilities:{possibilities}")]
    Ambiguous { name: String, possibilities: String },
    #[error("option '--{0}' requires an argument")]
    LongNeedsArgument(&'static str),
    #[error("option '--{0}' doesn't allow an argument")]
    TakesNoArgument(&'static str),
    #[error("invalid option -- '{0}'")]
    Invalid(char),
    #[error("option requires an argument -- '{0}'")]
    ShortNeedsArgument(char),
}

/// The options of a command line without its first word, in their order. Arguments that are
/// not options are ignored. After `--help`, errors are ignored.
pub fn scan(words: impl IntoIterator<Item = OsString>) -> Result<Vec<Given>, Error> {
    let mut words = words.into_iter();
    let mut given = Vec::new();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--" => break,
            [b'-', b'-', long @ ..] => given.push(long_option(long, &mut words)?),
            [b'-', bundle @ ..] => short_options(bundle, &mut words, &mut given)?,
            _ => {}
        }
        if given.iter().any(|it| it.name == HELP) {
            break;
        }
    }
    Ok(given)
}

fn long_option(option: &[u8], words: &mut impl Iterator<Item = OsString>) -> Result<Given, Error> {
    let (name, attached) = match option.iter().position(|byte| *byte == b'=') {
        Some(at) => (&option[..at], Some(&option[at + 1..])),
        None => (option, None),
    };
    let spec = find(name)?;
    let value = match (spec.value, attached) {
        (None, None) => None,
        (None, Some(_)) => return Err(Error::TakesNoArgument(spec.long)),
        (Some(_), Some(attached)) => Some(OsString::from_vec(attached.to_vec())),
        (Some(_), None) => Some(words.next().ok_or(Error::LongNeedsArgument(spec.long))?),
    };
    Ok(Given {
        name: spec.long,
        value,
    })
}

/// The option of a name or of an unambiguous abbreviation. Baton's own options cannot be
/// abbreviated, since they would make those of the original ambiguous.
fn find(name: &[u8]) -> Result<&'static Spec, Error> {
    if let Some(exact) = OPTIONS.iter().find(|spec| spec.long.as_bytes() == name) {
        return Ok(exact);
    }
    let candidates: Vec<_> = OPTIONS
        .iter()
        .filter(|spec| spec.shared && spec.long.as_bytes().starts_with(name))
        .collect();
    let text = OsStr::from_bytes(name).to_string_lossy().into_owned();
    match candidates.as_slice() {
        [] => Err(Error::Unrecognized(text)),
        [one] => Ok(one),
        several => Err(Error::Ambiguous {
            name: text,
            possibilities: several.iter().fold(String::new(), |mut list, spec| {
                list.extend([" '--", spec.long, "'"]);
                list
            }),
        }),
    }
}

fn short_options(
    bundle: &[u8],
    words: &mut impl Iterator<Item = OsString>,
    given: &mut Vec<Given>,
) -> Result<(), Error> {
    for (at, byte) in bundle.iter().enumerate() {
        let letter = char::from(*byte);
        let spec = OPTIONS
            .iter()
            .find(|spec| spec.short == Some(letter))
            .ok_or(Error::Invalid(letter))?;
        if spec.value.is_none() {
            given.push(Given {
                name: spec.long,
                value: None,
            });
            continue;
        }
        // Its argument is the rest of the bundle, or the next word.
        let rest = &bundle[at + 1..];
        let value = if rest.is_empty() {
            words.next().ok_or(Error::ShortNeedsArgument(letter))?
        } else {
            OsString::from_vec(rest.to_vec())
        };
        given.push(Given {
            name: spec.long,
            value: Some(value),
        });
        break;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(line: &str) -> Result<Vec<(&'static str, String)>, String> {
        let given = scan(line.split_whitespace().map(OsString::from));
        let given = given.map_err(|error| error.to_string())?;
        let text = |value: Option<OsString>| value.unwrap_or_default().into_string().unwrap();
        Ok(given
            .into_iter()
            .map(|it| (it.name, text(it.value)))
            .collect())
    }

    #[test]
    fn all_ways_to_write_an_option() {
        for line in [
            "-o /x",
            "-o/x",
            "--output /x",
            "--output=/x",
            "--ou=/x",
            "word --out /x",
        ] {
            assert_eq!(scanned(line), Ok(vec![("output", "/x".into())]), "{line}");
        }
        let bundled = [
            ("disallow-clear", ""),
            ("verbose", ""),
            ("control-port", "u"),
        ];
        let bundled = bundled.map(|(name, value)| (name, value.to_owned()));
        for line in ["-xvC u", "-xvCu", "-x -v --control-port=u -- -V"] {
            assert_eq!(scanned(line), Ok(bundled.to_vec()), "{line}");
        }
        assert_eq!(scanned("- word --"), Ok(Vec::new()));
        assert_eq!(scanned("-h --bogus"), Ok(vec![("help", String::new())]));
        assert_eq!(scanned("--output="), Ok(vec![("output", String::new())]));
        // A full name is never ambiguous with a longer one.
        assert_eq!(scanned("--group a"), Ok(vec![("group", "a".into())]));
    }

    #[test]
    fn errors_are_those_of_the_c_library() {
        for (line, error) in [
            ("--bogus", "unrecognized option '--bogus'"),
            ("--bogus=1", "unrecognized option '--bogus'"),
            ("-xZ", "invalid option -- 'Z'"),
            ("-o", "option requires an argument -- 'o'"),
            ("--out", "option '--output' requires an argument"),
            ("--verb=1", "option '--verbose' doesn't allow an argument"),
            ("--aud", "unrecognized option '--aud'"),
            (
                "--g",
                "option '--g' is ambiguous; possibilities: '--group' \
                 '--group-output-by-session' '--group-output-by-host'",
            ),
        ] {
            assert_eq!(scanned(line), Err(error.to_owned()), "{line}");
        }
    }
}
