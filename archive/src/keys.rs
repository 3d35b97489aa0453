//! Names of objects. Below the prefix of the place:
//!
//! ```text
//! v1/data/HOST/SESSION/CHUNK/ID/ust/uid/1000/64-bit/channel0_0.zst
//! v1/data/HOST/SESSION/CHUNK/ID/manifest.json
//! v1/days/2026-11-28/HOST/SESSION/ID.json
//! ```
//!
//! An ID is of one attempt to archive one chunk, so keys have one writer, and nothing is
//! overwritten.

use std::fmt::Write as _;

use baton_components::path::{RelativePath, shortened};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const DATA: &str = "v1/data/";
pub const DAYS: &str = "v1/days/";
pub const MANIFEST: &str = "manifest.json";

/// Limit of a name in a key: three of them, each byte encoded, leave half of a key to an object's own
/// name and the prefix of the place.
const PART_BYTES_MAX: usize = 56;
/// Limit of an object's own name: S3 allows keys of 1024 bytes.
pub const OBJECT_BYTES_MAX: usize = 300;

/// A name as a part of a key, and of a path in a manifest: bytes beyond `[A-Za-z0-9._-]` are
/// percent-encoded, and so are the dots of `.` and `..`.
pub fn encode(name: &[u8]) -> String {
    let is_special = matches!(name, b"." | b"..");
    let mut text = String::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'.' if is_special => text.push_str("%2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// A name as a part of a key, not too long for one.
fn part(name: &str) -> String {
    encode(&shortened(name.as_bytes(), PART_BYTES_MAX))
}

pub fn encode_path(path: &RelativePath) -> String {
    let names = path.as_bytes().split(|byte| *byte == b'/');
    names.map(encode).collect::<Vec<_>>().join("/")
}

/// The path of that text; an error if it was not made by [`encode_path`], so that each path
/// has one text.
pub fn decode_path(text: &str) -> Result<RelativePath, String> {
    let path = decode(text).and_then(|bytes| RelativePath::parse(&bytes).ok());
    path.filter(|path| encode_path(path) == text && !path.is_root())
        .ok_or_else(|| format!("{text:.80?} is no path below the directory"))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

/// The place of a chunk's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(String);

impl Directory {
    pub fn new(host: &str, session: &str, chunk: &str, id: &str) -> Self {
        let [host, session, chunk] = [host, session, chunk].map(part);
        Self(format!("{DATA}{host}/{session}/{chunk}/{id}"))
    }

    /// Reads a place that a head or a journal names; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let below = text.strip_prefix(DATA)?;
        let is_one = below.split('/').count() == 4 && decode_path(below).is_ok();
        is_one.then(|| Self(text.to_owned()))
    }

    /// Whether it is that of an attempt at a chunk of this session.
    pub fn is_of(&self, host: &str, session: &str, id: &str) -> bool {
        let [host, session] = [host, session].map(part);
        let rest = self.0.strip_prefix(&format!("{DATA}{host}/{session}/"));
        rest.is_some_and(|rest| rest.ends_with(&format!("/{id}")))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    pub fn manifest(&self) -> String {
        self.object(MANIFEST)
    }
}

/// The key of a chunk's head: on the day on which the chunk ended.
pub fn head(end: Timestamp, host: &str, session: &str, id: &str) -> String {
    let [host, session] = [host, session].map(part);
    format!("{DAYS}{}/{host}/{session}/{id}.json", day(end))
}

/// The first key of the heads of a day and later ones.
pub fn from_day(moment: Timestamp) -> String {
    format!("{DAYS}{}/", day(moment))
}

fn day(moment: Timestamp) -> Date {
    moment.to_zoned(TimeZone::UTC).date()
}

/// An id that nobody else has, in the order of time: a chunk may be archived again at once.
pub fn new_id(now: Timestamp) -> String {
    let stamp = now.strftime("%Y%m%dT%H%M%S");
    let nanosecond = now.subsec_nanosecond();
    format!("{stamp}.{nanosecond:09}Z-{:016x}", fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_and_decoded() {
        for (bytes, text) in [
            (
                &b"ust/uid/1000/64-bit/metadata"[..],
                "ust/uid/1000/64-bit/metadata",
            ),
            ("größe/a b".as_bytes(), "gr%C3%B6%C3%9Fe/a%20b"),
            (b"a%2Fb/\xff", "a%252Fb/%FF"),
        ] {
            let path = RelativePath::parse(bytes).unwrap();
            assert_eq!(encode_path(&path), text);
            assert_eq!(decode_path(text).unwrap(), path);
        }
        assert_eq!(encode(b".."), "%2E%2E");
    }

    #[test]
    fn a_text_that_is_no_path_below_is_refused() {
        for text in [
            "",
            "..",
            "../x",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "./a",
            "a%2Fb",
            "%2E%2E",
            "%2E%2E/x",
            "%zz",
            "%4",
            "a b",
            "a%00b",
            "%61",
        ] {
            assert!(decode_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_is_read_only_if_it_is_one() {
        let directory = Directory::new("lab 1", "s-1", "whole", "20261129T070000Z-00");
        assert_eq!(
            directory.text(),
            "v1/data/lab%201/s-1/whole/20261129T070000Z-00"
        );
        assert_eq!(Directory::parse(directory.text()), Some(directory));
        for text in [
            "",
            "v1/days/a/b/c/d",
            "v1/data/a/b/c",
            "v1/data/a/../c/d",
            "v1/data/a/b/c/d/e",
        ] {
            assert_eq!(Directory::parse(text), None, "{text}");
        }
    }

    #[test]
    fn keys_of_long_names_are_short_and_differ() {
        let long = |end: &str| format!("{}{end}", "ö".repeat(120));
        let of = |end: &str| Directory::new(&long(end), &long("s"), &long("c"), "id");
        assert_ne!(of("a"), of("b"));
        assert!(of("a").text().len() < 600, "{}", of("a").text());
        assert_eq!(Directory::parse(of("a").text()), Some(of("a")));
        assert!(of("a").is_of(&long("a"), &long("s"), "id"));
        assert!(!of("a").is_of(&long("b"), &long("s"), "id"));
    }

    #[test]
    fn ids_are_in_the_order_of_time() {
        let begin: Timestamp = "2026-11-28T23:59:59.5Z".parse().unwrap();
        let id = |ns| new_id(begin + std::time::Duration::from_nanos(ns));
        assert!(id(0) < id(1) && id(1) < id(499_999_999) && id(499_999_999) < id(500_000_000));
        assert!(id(0).starts_with("20261128T235959.500000000Z-"));
    }

    #[test]
    fn heads_are_found_by_the_day_of_their_end() {
        let end: Timestamp = "2026-11-28T23:59:59.9Z".parse().unwrap();
        assert_eq!(head(end, "h", "s", "id"), "v1/days/2026-11-28/h/s/id.json");
        assert!(from_day(end).as_str() < "v1/days/2026-11-28/h");
    }
}
