//! Sentences of comments: each begins with its subject.

use crate::{Breaches, rust_files};

/// First words of a sentence that hides its subject.
const RIDDLES: [&str; 3] = ["Who", "Whoever", "What"];

#[test]
fn comments_name_their_subject_first() {
    let mut breaches = Breaches::default();
    for file in rust_files(".") {
        for (number, word) in riddles(&file.text) {
            let advice = format!("a sentence begins with {word}: begin with its subject");
            breaches.add(&file, number, &advice);
        }
    }
    breaches.assert_none("a sentence says its subject first, with the trade's term");
}

/// Lines and words where a sentence of a comment begins with a riddle.
fn riddles(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut begins = true;
    for (number, line) in (1..).zip(text.lines()) {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            begins = true;
            continue;
        };
        for word in comment.trim_start_matches(['/', '!']).split_whitespace() {
            let riddle = RIDDLES.into_iter().find(|it| *it == word);
            found.extend(riddle.filter(|_| begins).map(|it| (number, it)));
            begins = word.ends_with(['.', ':', '?', '!', ';']) || word == "-";
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
    assert_eq!(riddles(&text), found);
}
