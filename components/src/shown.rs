//! [`Shown`]: bytes from a peer, escaped for logs and terminals.
//!
//! A name may have any bytes. Unescaped, a newline forges a line of the log, an escape
//! sequence controls the reader's terminal, and invalid UTF-8 is lost. So all names from
//! peers are printed through this type.

use std::fmt::{self, Write as _};

/// Printable text is unchanged, and the rest is escaped as in Rust: `\n`, `\u{202e}`,
/// `\xff`. The result is one line, has no invisible characters, and is unique for each
/// name.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\'' => formatter.write_char('\'')?,
                    _ => write!(formatter, "{}", character.escape_debug())?,
                }
            }
            write!(formatter, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// A number of bytes for people: `512 B`, `1.6 MB`.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In tenths: no number is rounded up to the next unit.
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit) {
            None => write!(to, "{} B", self.0),
            Some((unit, name)) => {
                let tenths = self.0 / (unit / 10);
                write!(to, "{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_stays_and_the_rest_is_escaped() {
        for (bytes, shown) in [
            (&b"ust/uid/0/64-bit"[..], "ust/uid/0/64-bit"),
            ("größer, it's 日本".as_bytes(), "größer, it's 日本"),
            (b"a\nb\r\tc\0", r"a\nb\r\tc\0"),
            (b"\x1b[31m\x7f", r"\u{1b}[31m\u{7f}"),
            (
                "\u{202e}\u{85}\u{2028}".as_bytes(),
                r"\u{202e}\u{85}\u{2028}",
            ),
            (b"\xff\xc3", r"\xff\xc3"),
            (br#"\n""#, r#"\\n\""#),
        ] {
            assert_eq!(Shown(bytes).to_string(), shown);
            assert_eq!(format!("{:?}", Shown(bytes)), format!("\"{shown}\""));
        }
    }

    #[test]
    fn sizes_have_units() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_650_000, "1.6 MB"),
            (999_999_999, "999.9 MB"),
            (20_000_000_000, "20.0 GB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_shown_is_more_than_a_line(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let shown = Shown(&bytes).to_string();
            prop_assert!(!shown.chars().any(char::is_control));
        }

        #[test]
        fn names_can_be_told_apart(
            (one, other) in (
                prop::collection::vec(prop_oneof![Just(b'\\'), Just(b'n'), Just(b'\n'), any::<u8>()], 0..6),
                prop::collection::vec(prop_oneof![Just(b'\\'), Just(b'n'), Just(b'\n'), any::<u8>()], 0..6),
            ),
        ) {
            let same = Shown(&one).to_string() == Shown(&other).to_string();
            prop_assert_eq!(same, one == other);
        }
    }
}
