//! The rules of `--tls-rules`: what the holder of a certificate may do.

use baton_components::connection::Endpoint;
use baton_components::rights::{Pattern, Rights};
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

impl Rules {
    /// Parses a file. An error says where, and what.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|it| *it == b'\n').count();
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        for (number, rule) in (1..).zip(&rules.rules) {
            if rule.sessions.is_some() && !rule.roles.contains(&Role::Viewer) {
                return Err(format!(
                    "rule {number}: sessions are of viewers, and its roles have no viewer"
                ));
            }
        }
        Ok(rules)
    }

    /// The rights of the holder of these names, or why there are none.
    pub fn rights(&self, names: &[String], endpoint: Endpoint) -> Result<Rights, String> {
        let role = Role::of(endpoint);
        let is_named = |rule: &Rule| {
            let pattern = Pattern::new(rule.name.to_lowercase());
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
        let (holder, role) = (names.join(", "), role.name());
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
    fn mistakes_have_a_line() {
        for (text, mistake) in [
            ("[[rule]]\nname = \"a\"\nroles = [\"king\"]", "line 3: "),
            ("[[rule]]\nname = \"a\"\nroles = []\nhost = []", "line 4: "),
            ("[[rule]]\nroles = []", "line 1: "),
            ("rule", "line 1: "),
            ("", "line 1: "),
            (
                "[[rule]]\nname = \"a\"\nroles = [\"producer\"]\nsessions = []",
                "rule 1: sessions are of viewers",
            ),
        ] {
            let error = Rules::parse(text).unwrap_err();
            assert!(error.starts_with(mistake), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
