//! Rights of a peer whose certificate a rule names: the hosts and sessions that are its own.

use std::fmt;

/// A pattern of names, in which `*` stands for any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// The limits of a peer. A list that is missing limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Of these hosts a producer may be, and a viewer may see sessions.
    pub hosts: Option<Vec<Pattern>>,
    /// Sessions that a viewer may see, by their names.
    pub sessions: Option<Vec<Pattern>>,
}

impl Pattern {
    /// The pattern of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether the whole name is of the pattern.
    pub fn matches(&self, name: &[u8]) -> bool {
        let (mut pattern, mut name) = (self.0.as_bytes(), name);
        // Where to go on if what follows the last `*` does not fit: one byte later.
        let mut again: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), name.split_first()) {
                (None, None) => return true,
                (Some((b'*', rest)), _) => {
                    again = Some((rest, name));
                    pattern = rest;
                }
                (Some((wanted, rest)), Some((byte, after))) if wanted == byte => {
                    (pattern, name) = (rest, after);
                }
                _ => {
                    let Some((rest, [_, later @ ..])) = again else {
                        return false;
                    };
                    again = Some((rest, later));
                    (pattern, name) = (rest, later);
                }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl Rights {
    /// Whether the peer may be a producer of that host.
    pub fn has_host(&self, host: &[u8]) -> bool {
        is_listed(self.hosts.as_deref(), host)
    }

    /// Whether the peer may see a session of that host and name.
    pub fn has_session(&self, host: &[u8], name: &[u8]) -> bool {
        self.has_host(host) && is_listed(self.sessions.as_deref(), name)
    }
}

fn is_listed(list: Option<&[Pattern]>, name: &[u8]) -> bool {
    list.is_none_or(|list| list.iter().any(|pattern| pattern.matches(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_bytes() {
        for (pattern, name, matches) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "anything", true),
            ("web-*", "web-017", true),
            ("web-*", "db-web-017", false),
            ("*.team-a.example", "x.team-a.example", true),
            ("*.team-a.example", "x.team-a.example.evil", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
            ("*aab", "aaaab", true),
        ] {
            let found = Pattern::new(pattern).matches(name.as_bytes());
            assert_eq!(found, matches, "{pattern} {name}");
        }
    }

    /// The definition, which takes exponential time.
    fn matches(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| matches(rest, &name[at..])),
            Some((byte, rest)) => name.first() == Some(byte) && matches(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn patterns_match_by_their_definition(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            let found = Pattern::new(&*pattern).matches(name.as_bytes());
            prop_assert_eq!(found, matches(pattern.as_bytes(), name.as_bytes()));
        }
    }

    #[test]
    fn what_is_not_listed_is_not_a_right() {
        let list = |names: &[&str]| Some(names.iter().map(|it| Pattern::new(*it)).collect());
        let all = Rights::default();
        assert!(all.has_host(b"any") && all.has_session(b"any", b"any"));
        let few = Rights {
            hosts: list(&["web-*", "db"]),
            sessions: list(&["shop"]),
        };
        assert!(few.has_host(b"db") && !few.has_host(b"db2"));
        assert!(few.has_session(b"web-1", b"shop"));
        assert!(!few.has_session(b"web-1", b"bank"));
        assert!(!few.has_session(b"mail", b"shop"));
        let none = Rights {
            hosts: list(&[]),
            sessions: None,
        };
        assert!(!none.has_host(b"") && !none.has_session(b"", b""));
    }
}
