//! Names from the network, escaped for each place where they are shown: a name may have any
//! bytes. Each function gives printable text, in which nothing ends early, starts a new line,
//! rules a terminal or changes the direction of what follows.

use std::fmt::{self, Write as _};

use baton_components::shown::Shown;

/// A name as the value of a label of Prometheus' text format, without the quotes around it.
/// The value is the name as logs show it ([`Shown`]), since the format has only text.
pub struct Label<'a>(pub &'a [u8]);

impl fmt::Display for Label<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in Shown(self.0).to_string().chars() {
            if matches!(character, '\\' | '"') {
                formatter.write_char('\\')?;
            }
            formatter.write_char(character)?;
        }
        Ok(())
    }
}

/// A name as a string of JSON, with the quotes around it. Text is read as what it was; bytes
/// that are no text become U+FFFD.
pub struct Json<'a>(pub &'a [u8]);

impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                write_json(formatter, character)?;
            }
            if !chunk.invalid().is_empty() {
                formatter.write_str("\\ufffd")?;
            }
        }
        formatter.write_char('"')
    }
}

fn write_json(formatter: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\\' | '"' => write!(formatter, "\\{character}"),
        // A page may have this JSON in it.
        '<' | '>' | '&' => write_units(formatter, character),
        '\'' => formatter.write_char(character),
        // Characters that Rust escapes are not printable.
        _ if character.escape_debug().len() > 1 => write_units(formatter, character),
        _ => formatter.write_char(character),
    }
}

/// As the numbers that UTF-16 has for it.
fn write_units(formatter: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(formatter, "\\u{unit:04x}")?;
    }
    Ok(())
}

/// A word for a shell, in quotes in which nothing has a meaning; none if it has characters that
/// are not printable: a terminal may take those as keys when the word is pasted.
pub fn shell(word: &[u8]) -> Option<String> {
    let word = std::str::from_utf8(word).ok()?;
    let is_printable = |it: char| matches!(it, '\'' | '"' | '\\') || it.escape_debug().len() == 1;
    let quoted = || format!("'{}'", word.replace('\'', r"'\''"));
    word.chars().all(is_printable).then(quoted)
}

/// For fuzz targets: the forms of a name, and whether each has only printable text.
pub fn check(name: &[u8]) {
    let label = Label(name).to_string();
    assert_eq!(read_label(&label), Some(Shown(name).to_string()));
    let json = Json(name).to_string();
    let inner = json.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let inner = inner.expect("law: a string of JSON has quotes around it");
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        assert!(character != '"', "a string ends at its end");
        if character == '\\' {
            assert!(matches!(rest.next(), Some('"' | '\\' | 'u')));
        }
    }
    let word = shell(name);
    if let Some(word) = &word {
        assert_eq!(read_word(word).as_deref(), std::str::from_utf8(name).ok());
    }
    for text in [label, json].into_iter().chain(word) {
        let is_safe = |it: char| matches!(it, '\'' | '"' | '\\') || it.escape_debug().len() == 1;
        assert!(text.chars().all(is_safe), "{text:?}");
    }
}

/// A label's value as its reader has it; none if it ends before its text does.
fn read_label(label: &str) -> Option<String> {
    let (mut name, mut rest) = (String::new(), label.chars());
    while let Some(character) = rest.next() {
        name.push(match character {
            '"' | '\n' => return None,
            '\\' => match rest.next()? {
                it @ ('"' | '\\') => it,
                _ => return None,
            },
            other => other,
        });
    }
    Some(name)
}

/// A shell's word as the shell has it; none if it is not all of one word.
fn read_word(word: &str) -> Option<String> {
    let (mut name, mut rest, mut is_quoted) = (String::new(), word.chars(), false);
    while let Some(character) = rest.next() {
        match (character, is_quoted) {
            ('\'', _) => is_quoted = !is_quoted,
            (other, true) => name.push(other),
            ('\\', false) => name.push(rest.next()?),
            (_, false) => return None,
        }
    }
    (!is_quoted).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_string_of_json_is_read_as_its_name() {
        for name in [
            "größer, it's 日本",
            "\"\\\n\u{1b}[31m</script>&",
            "\u{202e}\u{7f}\u{1f600}\u{e0001}",
        ] {
            let json = Json(name.as_bytes()).to_string();
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
        }
        assert_eq!(Json(b"a\xff\xc3b").to_string(), r#""a\ufffd\ufffdb""#);
        assert_eq!(Json("\u{202e}".as_bytes()).to_string(), r#""\u202e""#);
    }

    #[test]
    fn a_word_of_a_shell_means_itself() {
        assert_eq!(shell(b"net://h/a b").unwrap(), "'net://h/a b'");
        assert_eq!(shell(b"$(x)'; y").unwrap(), r"'$(x)'\''; y'");
        for pasted in ["a\nb", "\u{1b}[201~", "\u{202e}", "\u{9b}"] {
            assert_eq!(shell(pasted.as_bytes()), None, "{pasted:?}");
        }
        assert_eq!(shell(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn names_stay_in_their_place(
            name in prop::collection::vec(
                prop_oneof![
                    Just(b'\\'), Just(b'"'), Just(b'\''), Just(b'\n'), Just(b'<'), b'a'..=b'z',
                    any::<u8>()
                ],
                0..30,
            )
        ) {
            check(&name);
            let json = Json(&name).to_string();
            prop_assert!(!json.contains(['<', '>', '&']));
            prop_assert!(serde_json::from_str::<String>(&json).is_ok());
        }

        #[test]
        fn text_is_read_as_it_was(name in ".*") {
            check(name.as_bytes());
            let json = Json(name.as_bytes()).to_string();
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
        }
    }
}
