//! Configuration files: `[relayd]`, `key = value`, comments.
//!
//! Existing crates refuse the whole file for one bad line, and none has the rules of
//! LTTng's files: `=` or `:`, a comment after ` ;`, and an indented line that gives the
//! last key another value. So this small parser is here.

/// A key of the section of the relay, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// A line that has no effect, and probably should have one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    #[error("not `key = value`")]
    NoPair,
    #[error("section [{section}] is unknown; {}", is_meant(section))]
    Section { section: String },
    #[error("{0} is in no section; write [{OURS}] above it")]
    NoSection(String),
}

/// A file: the entries of our section in order, and the odd lines by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    pub entries: Vec<Entry>,
    pub odd: Vec<(usize, Oddity)>,
}

/// The section of the relay.
const OURS: &str = "relayd";
/// The sections of the programs that read the same files.
const SECTIONS: [&str; 2] = [OURS, "sessiond"];

fn is_meant(section: &str) -> String {
    match nearest(section, SECTIONS) {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("options of the relay are in [{OURS}]"),
    }
}

/// The most similar of these words, if one is similar.
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let rated = among
        .into_iter()
        .map(|it| (strsim::jaro_winkler(&word, it), it));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .map(|(_, it)| it)
}

/// From this on a typo is likely. 1 is the same word.
const LIKENESS_MIN: f64 = 0.75;

pub fn parse(text: &str) -> File {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut file = File::default();
    let mut section: Option<String> = None;
    let mut last_key: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let is_indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let (key, value) = match &last_key {
            Some(key) if is_indented => (key.clone(), line),
            _ => {
                if let Some(header) = line.strip_prefix('[') {
                    match header.split_once(']') {
                        Some((name, _)) => {
                            let name = name.to_owned();
                            if !SECTIONS.contains(&&*name) {
                                let section = name.clone();
                                file.odd.push((number, Oddity::Section { section }));
                            }
                            section = Some(name);
                        }
                        None => file.odd.push((number, Oddity::NoPair)),
                    }
                    last_key = None;
                    continue;
                }
                let Some((key, value)) = line.split_once(['=', ':']) else {
                    file.odd.push((number, Oddity::NoPair));
                    continue;
                };
                (key.trim_end().to_owned(), value)
            }
        };
        match section.as_deref() {
            Some(OURS) => file.entries.push(Entry {
                line: number,
                key: key.clone(),
                value: without_comment(value).to_owned(),
            }),
            Some(_) => {}
            None => file.odd.push((number, Oddity::NoSection(key.clone()))),
        }
        last_key = Some(key);
    }
    file
}

fn without_comment(value: &str) -> &str {
    let comment = value
        .match_indices(';')
        .find(|(at, _)| value[..*at].ends_with([' ', '\t']));
    value[..comment.map_or(value.len(), |(at, _)| at)].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<String> {
        let entries = parse(text).entries.into_iter();
        entries
            .map(|Entry { key, value, .. }| format!("{key}={value}"))
            .collect()
    }

    #[test]
    fn only_our_section_counts() {
        let text = "a=0\n[sessiond]\nb=1\n[relayd]\nc=2\n[Relayd]\nd=3\n[relayd]\ne=4\n";
        assert_eq!(entries(text), ["c=2", "e=4"]);
    }

    #[test]
    fn values_are_bare() {
        let text = "\u{feff}[relayd] \n; no\n# no\n a = x ; comment\nb:tcp://h:1\nc=x;y\nd=\n";
        assert_eq!(entries(text), ["a=x", "b=tcp://h:1", "c=x;y", "d="]);
    }

    #[test]
    fn an_indented_line_is_another_value() {
        let text = "[relayd]\na=1\n  2\n\n\t3 ; x\nb=4";
        assert_eq!(entries(text), ["a=1", "a=2", "a=3", "b=4"]);
    }

    #[test]
    fn bad_lines_are_named_and_the_others_count() {
        let text = "[relayd\nnonsense\n[relayd]\nnonsense\na=1\n";
        let file = parse(text);
        let entry = Entry {
            line: 5,
            key: "a".into(),
            value: "1".into(),
        };
        assert_eq!(file.entries, [entry]);
        let odd = [1, 2, 4].map(|line| (line, Oddity::NoPair));
        assert_eq!(file.odd, odd);
    }

    #[test]
    fn lines_without_effect_say_why() {
        let text = "a=1\n[Relayd]\nb=2\n[sessiond]\nc=3\n[other]\n[relayd]\nd=4\n";
        let said: Vec<String> = parse(text)
            .odd
            .iter()
            .map(|(line, oddity)| format!("{line}: {oddity}"))
            .collect();
        assert_eq!(
            said,
            [
                "1: a is in no section; write [relayd] above it",
                "2: section [Relayd] is unknown; did you mean [relayd]?",
                "6: section [other] is unknown; options of the relay are in [relayd]",
            ]
        );
    }

    #[test]
    fn a_typo_has_a_nearest_word() {
        let words = ["control-port", "data-port", "live-port", "output"];
        for (typed, meant) in [
            ("contol-port", Some("control-port")),
            ("Output", Some("output")),
            ("live_port", Some("live-port")),
            ("zzz", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }
}
