//! Configuration files: `[relayd]`, `key = value`, comments.
//!
//! The crates for such files refuse the whole file for one bad line, and none knows the
//! rules of LTTng's files: `=` or `:`, a comment after ` ;`, and an indented line that
//! gives the last key another value. These are few lines; so they are here.

/// A key of the section of the relay, with its value.
pub type Entry = (String, String);

/// The entries of the section `[relayd]` in their order, and the numbers of the lines
/// that are none of what a file may have.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<usize>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries: Vec<Entry> = Vec::new();
    let mut bad_lines = Vec::new();
    let mut is_ours = false;
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
                        Some((section, _)) => is_ours = section == "relayd",
                        None => bad_lines.push(number),
                    }
                    last_key = None;
                    continue;
                }
                let Some((key, value)) = line.split_once(['=', ':']) else {
                    bad_lines.push(number);
                    continue;
                };
                (key.trim_end().to_owned(), value)
            }
        };
        if is_ours {
            entries.push((key.clone(), without_comment(value).to_owned()));
        }
        last_key = Some(key);
    }
    (entries, bad_lines)
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
        let (entries, _) = parse(text);
        let joined = entries
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"));
        joined.collect()
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
        assert_eq!(parse(text), (vec![("a".into(), "1".into())], vec![1, 2, 4]));
    }
}
