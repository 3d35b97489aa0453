//! Sentences of comments and documents: each begins with its subject.

use crate::{Breaches, files};

/// First words of a sentence that hides its subject.
const RIDDLES: [&str; 4] = ["Who", "Whoever", "What", "Whatever"];

#[test]
fn sentences_name_their_subject_first() {
    let mut breaches = Breaches::default();
    for (ending, prose) in [
        ("rs", comment as fn(&str) -> Option<&str>),
        ("js", comment),
        ("md", line_of_document),
    ] {
        for file in files(".", ending) {
            for (number, word) in riddles(&file.text, prose) {
                let advice = format!("a sentence begins with {word}: begin with its subject");
                breaches.add(&file, number, &advice);
            }
        }
    }
    breaches.assert_none("a sentence says its subject first, with the trade's term");
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let comment = line.trim_start().strip_prefix("//")?;
    Some(comment.trim_start_matches(['/', '!']))
}

/// The text of a line of a document; none between two paragraphs.
fn line_of_document(line: &str) -> Option<&str> {
    Some(line).filter(|line| !line.trim().is_empty())
}

/// Lines and words where a sentence begins with a riddle. `prose`: the text of a line, if it
/// goes on with that of the line before.
fn riddles(text: &str, prose: fn(&str) -> Option<&str>) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut begins = true;
    for (number, line) in (1..).zip(text.lines()) {
        let Some(prose) = prose(line) else {
            begins = true;
            continue;
        };
        for word in prose.split_whitespace() {
            let word = word.trim_matches(['*', '_']);
            let riddle = RIDDLES.into_iter().find(|it| *it == word);
            found.extend(riddle.filter(|_| begins).map(|it| (number, it)));
            let is_mark = word.chars().all(|it| "-#>|".contains(it));
            begins = is_mark || word.ends_with(['.', ':', '?', '!', ';']);
        }
    }
    found
}

#[test]
fn sentences_begin_after_code_and_full_stops() {
    // Not comments of this file.
    let text = "\
#/ What is here. Who is
#/ What it may. What
fn what() {} # What
#! - What a list has: What it is
# end.
# Whoever comes"
        .replace('#', "//");
    let found = [
        (1, "What"),
        (1, "Who"),
        (2, "What"),
        (4, "What"),
        (4, "What"),
        (6, "Whoever"),
    ];
    assert_eq!(riddles(&text, comment), found);
}

#[test]
fn sentences_begin_after_marks_of_a_document() {
    let text = "\
# What a page has

- **Seen.** What is there and
  Who it is
| name | Whatever it is |

*What* it is";
    let found = [(1, "What"), (3, "What"), (5, "Whatever"), (7, "What")];
    assert_eq!(riddles(text, line_of_document), found);
}
