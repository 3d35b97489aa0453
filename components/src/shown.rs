//! [`Shown`]: bytes that came from a peer, as people may see them.
//!
//! A name may hold anything. Printed as it is, a newline in it forges a line of the log,
//! an escape rules the reader's terminal, and bytes that are no text are lost. So all that
//! a peer has named is shown through this.

use std::fmt::{self, Write as _};

/// Text as it is, and the rest escaped as in Rust: `\n`, `\u{202e}`, `\xff`. What is
/// escaped is no longer than one line, has nothing that is not seen, and can be told from
/// every other name.
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
