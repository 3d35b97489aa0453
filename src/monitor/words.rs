//! Figures in a few characters.

#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // Two digits are shown.

/// A number of bytes, in five characters at most and its unit.
pub fn bytes(count: u64) -> String {
    let mut size = count as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // A size that would be shown as 1000 has the larger unit.
        if size < 999.5 {
            break;
        }
        size /= 1000.0;
        unit = larger;
    }
    if size < 9.95 && unit != "B" {
        format!("{size:.1} {unit}")
    } else {
        format!("{size:.0} {unit}")
    }
}

/// Bytes a second.
pub fn rate(bytes_per_s: f64) -> String {
    format!("{}/s", bytes(bytes_per_s.max(0.0) as u64))
}

/// A span of time, by its largest unit.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How far a viewer is behind.
pub fn lag(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else {
        span(seconds as u64)
    }
}

/// A number in so few digits that a column has room for it.
pub fn number(count: u64) -> String {
    match count {
        0..100_000_000 => count.to_string(),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// A number with its word: `1 session`, `2 sessions`.
pub fn count(count: usize, word: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {word}{ending}")
}

/// A loss: `12 packets overwritten`.
pub fn loss(cause: &str, count: u64) -> String {
    if cause == super::report::DISCARDED {
        format!("{count} events discarded")
    } else {
        format!("{count} packets lost ({})", cause.replace('_', " "))
    }
}

/// A text in exactly so many columns: cut, or filled up. The columns of other scripts are
/// counted as two, since a terminal may give them two.
pub fn fit(text: &str, columns: usize) -> String {
    let (mut fitting, mut used) = (String::new(), 0);
    let width = |it: char| if it.is_ascii() { 1 } else { 2 };
    let all: usize = text.chars().map(width).sum();
    for character in text.chars() {
        let after = used + width(character);
        if after > columns || (all > columns && after == columns) {
            if used < columns {
                fitting.push('~');
                used += 1;
            }
            break;
        }
        fitting.push(character);
        used = after;
    }
    let missing = columns.saturating_sub(used);
    fitting.extend(std::iter::repeat_n(' ', missing));
    fitting
}

/// A text in lines of at most so many columns, broken at spaces where there are some.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    const INDENT: &str = "  ";
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let width = word.trim_end().chars().count();
        if used > INDENT.len() && used + width > columns {
            lines.push(INDENT.to_owned());
            used = INDENT.len();
        }
        for character in word.chars() {
            // A word that is longer than a line.
            if used >= columns && character != ' ' {
                lines.push(INDENT.to_owned());
                used = INDENT.len();
            }
            lines
                .last_mut()
                .expect("law: there is a line")
                .push(character);
            used += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "1.0 MB"),
            (12_345_678, "12 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(number(99_999_999), "99999999");
        assert_eq!(number(123_456_789), "123M");
        assert_eq!(span(99), "99 s");
        assert_eq!(span(7200), "2 h");
        assert_eq!(lag(0.04), "0.0 s");
        assert_eq!(count(1, "viewer"), "1 viewer");
    }

    #[test]
    fn a_text_has_its_columns() {
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(fit("abcde", 4), "abc~");
        assert_eq!(fit("a", 0), "");
    }

    #[test]
    fn a_long_text_has_lines() {
        assert_eq!(wrap("one two three", 80), ["one two three"]);
        assert_eq!(wrap("one two three", 8), ["one two ", "  three"]);
        assert_eq!(wrap("abcdefghij", 6), ["abcdef", "  ghij"]);
        assert_eq!(wrap("", 6), [""]);
    }
}
