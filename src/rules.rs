//! The rules of `--tls-rules`: what the holder of a certificate may do.

use baton_components::connection::Endpoint;
use baton_components::rights::{Pattern, Rights};
use baton_components::shown::Shown;
use serde::Deserialize;

/// The rules of a file, in its order: the first one of a name and a role decides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    #[serde(rename = "rule")]
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A pattern of the names of certificates.
    name: String,
    roles: Vec<Role>,
    hosts: Option<Vec<String>>,
    sessions: Option<Vec<String>>,
}

/// The role of a peer, by the endpoint that it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Producer,
    Viewer,
    Status,
}

impl Role {
    fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Control | Endpoint::Data => Self::Producer,
            Endpoint::Live => Self::Viewer,
            Endpoint::Status => Self::Status,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Viewer => "viewer",
            Self::Status => "monitor (role status)",
        }
    }
}

impl Rule {
    /// Checks it, with those before it: what has no effect was meant otherwise.
    fn check(&self, before: &[Self]) -> Result<(), String> {
        if self.roles.is_empty() {
            return Err("it has no role: producer, viewer or status".to_owned());
        }
        if self.sessions.is_some() && !self.roles.contains(&Role::Viewer) {
            return Err("sessions are of viewers, and its roles have no viewer".to_owned());
        }
        if self.hosts.is_some() && self.roles == [Role::Status] {
            return Err("hosts are of producers and viewers, and its role is status".to_owned());
        }
        let decider = |role: &Role| {
            let decides = |it: &Self| it.roles.contains(role) && it.has_all_names_of(self);
            before.iter().position(decides)
        };
        let deciders: Option<Vec<usize>> = self.roles.iter().map(decider).collect();
        match deciders.as_deref() {
            None | Some([]) => Ok(()),
            Some([first, ..]) => Err(format!(
                "it never decides: rule {} comes before it, and has its names and role",
                first + 1
            )),
        }
    }

    fn pattern(&self) -> Pattern {
        Pattern::new(self.name.to_lowercase())
    }

    /// Whether its pattern has all the names that the other one's has: an asterisk there can
    /// only meet an asterisk here.
    fn has_all_names_of(&self, other: &Self) -> bool {
        self.pattern().matches(other.name.to_lowercase().as_bytes())
    }
}

impl Rules {
    /// Parses a file. An error says where, and what.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|it| *it == b'\n').count();
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        for (at, rule) in rules.rules.iter().enumerate() {
            rule.check(&rules.rules[..at])
                .map_err(|mistake| format!("rule {}: {mistake}", at + 1))?;
        }
        Ok(rules)
    }

    /// The rights of the holder of these names, or why there are none.
    pub fn rights(&self, names: &[String], endpoint: Endpoint) -> Result<Rights, String> {
        let role = Role::of(endpoint);
        let is_named = |rule: &Rule| {
            let pattern = rule.pattern();
            let mut names = names.iter();
            names.any(|name| pattern.matches(name.to_lowercase().as_bytes()))
        };
        let of_holder = || (1..).zip(&self.rules).filter(|(_, rule)| is_named(rule));
        if let Some((_, rule)) = of_holder().find(|(_, rule)| rule.roles.contains(&role)) {
            let patterns = |list: &Option<Vec<String>>| {
                let list = list.as_ref()?;
                Some(list.iter().map(Pattern::new).collect())
            };
            return Ok(Rights {
                hosts: patterns(&rule.hosts),
                sessions: patterns(&rule.sessions),
            });
        }
        if names.is_empty() {
            return Err("its certificate has no name that a rule could have".to_owned());
        }
        // A CA may sign any name.
        let shown = names.iter().map(|it| Shown(it.as_bytes()).to_string());
        let holder = shown.collect::<Vec<_>>().join(", ");
        let role = role.name();
        Err(match of_holder().next() {
            Some((number, _)) => format!("rule {number} does not make {holder} a {role}"),
            None => format!("no rule names {holder}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        [[rule]]
        name = \"*.team-a.example\"
        roles = [\"producer\"]
        hosts = [\"a-*\"]

        [[rule]]
        name = \"viewer-a\"
        roles = [\"viewer\"]
        sessions = [\"shop*\"]

        [[rule]]
        name = \"*\"
        roles = [\"viewer\"]
        hosts = []
    ";

    #[test]
    fn the_first_rule_of_a_name_and_a_role_decides() {
        let rules = Rules::parse(TEXT).unwrap();
        let rights = |name: &str, endpoint| rules.rights(&[name.to_owned()], endpoint);
        let web = rights("Web.Team-A.example", Endpoint::Control).unwrap();
        assert!(web.has_host(b"a-1") && !web.has_host(b"b-1"));
        assert_eq!(rights("web.team-a.example", Endpoint::Data).unwrap(), web);
        let viewer = rights("viewer-a", Endpoint::Live).unwrap();
        assert!(viewer.has_session(b"any", b"shop") && !viewer.has_session(b"any", b"bank"));
        let other = rights("web.team-a.example", Endpoint::Live).unwrap();
        assert!(!other.has_session(b"any", b"any"));
        assert_eq!(
            rights("viewer-a", Endpoint::Control).unwrap_err(),
            "rule 2 does not make viewer-a a producer"
        );
        let none = Rules::parse("rule = []").unwrap();
        assert_eq!(
            none.rights(&["x".into()], Endpoint::Live).unwrap_err(),
            "no rule names x"
        );
    }

    #[test]
    fn names_of_certificates_do_nothing_to_a_log() {
        let rules = Rules::parse("rule = []").unwrap();
        let refusal = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&it| it.to_owned()).collect();
            rules.rights(&names, Endpoint::Live).unwrap_err()
        };
        assert_eq!(
            refusal(&["a\u{1b}[2J\n", "b"]),
            r"no rule names a\u{1b}[2J\n, b"
        );
        assert_eq!(
            refusal(&[]),
            "its certificate has no name that a rule could have"
        );
    }

    #[test]
    fn a_rule_that_has_no_effect_is_a_mistake() {
        let rule = |name: &str, rest: &str| format!("[[rule]]\nname = \"{name}\"\n{rest}\n");
        let producer = "roles = [\"producer\"]";
        let both = "roles = [\"viewer\", \"producer\"]";
        let never = "rule 2: it never decides: rule 1 comes before it";
        for (text, mistake) in [
            (
                rule("a", &format!("{producer}\nsessions = []")),
                "rule 1: sessions are of viewers",
            ),
            (rule("a", "roles = []"), "rule 1: it has no role"),
            (
                rule("a", "roles = [\"status\"]\nhosts = [\"a\"]"),
                "rule 1: hosts are of producers and viewers",
            ),
            (rule("a", producer) + &rule("A", producer), never),
            (rule("*.b", both) + &rule("a.b", producer), never),
            (rule("*", both) + &rule("*.b", both), never),
            (
                rule("a", both) + &rule("b", both) + &rule("b", producer),
                "rule 3: it never decides: rule 2 comes before it",
            ),
        ] {
            let error = Rules::parse(&text).unwrap_err();
            assert!(error.starts_with(mistake), "{text}: {error}");
        }
        for text in [
            rule("a.b", producer) + &rule("*.b", producer),
            rule("a*", producer) + &rule("*a", producer),
            // A role that the first one does not give.
            rule("*", producer) + &rule("a", both),
            rule("a", "roles = [\"status\", \"viewer\"]\nhosts = [\"a\"]"),
        ] {
            assert!(Rules::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, mistake) in [
            ("[[rule]]\nname = \"a\"\nroles = [\"king\"]", "line 3: "),
            ("[[rule]]\nname = \"a\"\nroles = []\nhost = []", "line 4: "),
            ("[[rule]]\nroles = []", "line 1: "),
            ("rule", "line 1: "),
            ("", "line 1: "),
        ] {
            let error = Rules::parse(text).unwrap_err();
            assert!(error.starts_with(mistake), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
