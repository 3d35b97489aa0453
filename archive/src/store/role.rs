//! Keys of the role of a machine or a container, which expire and are asked for again: the
//! instance metadata of EC2 (version 2), and the endpoint of containers (ECS, EKS Pod Identity).

use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::Credentials;
use serde::Deserialize;
use ureq::http;
use url::{Host, Url};

use super::{StoreError, agent};

/// Where the keys of a role come from.
#[derive(Debug)]
pub struct Role {
    agent: ureq::Agent,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The endpoint of a machine's metadata.
    Instance(String),
    Container {
        url: String,
        /// For the header `Authorization`.
        token: Option<Token>,
    },
}

#[derive(Debug)]
enum Token {
    Text(String),
    /// It changes from time to time.
    File(PathBuf),
}

/// Keys, and until when they are good.
#[derive(Debug)]
pub struct Granted {
    pub credentials: Credentials,
    pub expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<Timestamp>,
}

impl Role {
    /// The role that this process may have; none if it cannot have one.
    pub fn find() -> Result<Option<Self>, StoreError> {
        let source = match container()? {
            Some(source) => source,
            None if text("AWS_EC2_METADATA_DISABLED").is_some_and(|it| it == "true") => {
                return Ok(None);
            }
            None => {
                let endpoint = text("AWS_EC2_METADATA_SERVICE_ENDPOINT");
                Source::Instance(endpoint.unwrap_or_else(|| INSTANCE.to_owned()))
            }
        };
        let agent = agent::near()?;
        Ok(Some(Self { agent, source }))
    }

    /// Whether a machine without a role is a reason to say that there are no keys at all.
    pub fn is_guess(&self) -> bool {
        matches!(&self.source, Source::Instance(endpoint) if endpoint == INSTANCE)
    }

    /// Asks for keys.
    pub fn ask(&self) -> Result<Granted, StoreError> {
        self.answer().map_err(|reason| StoreError::Role {
            server: match &self.source {
                Source::Instance(endpoint) => endpoint.clone(),
                Source::Container { url, .. } => url.clone(),
            },
            reason,
        })
    }

    fn answer(&self) -> Result<Granted, String> {
        let body = match &self.source {
            Source::Instance(endpoint) => self.instance(endpoint.trim_end_matches('/'))?,
            Source::Container { url, token } => {
                let token = token.as_ref().map(Token::read).transpose()?;
                let header = token.as_deref().map(|it| ("authorization", it));
                self.send(http::Method::GET, url, header)?
            }
        };
        let answer: Answer =
            serde_json::from_str(&body).map_err(|_| "the answer has no keys".to_owned())?;
        let (key, secret) = (answer.access_key_id, answer.secret_access_key);
        Ok(Granted {
            credentials: match answer.token {
                Some(token) => Credentials::new_with_token(key, secret, token),
                None => Credentials::new(key, secret),
            },
            expires: answer.expiration,
        })
    }

    fn instance(&self, endpoint: &str) -> Result<String, String> {
        let url = format!("{endpoint}/latest/api/token");
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let token = self.send(http::Method::PUT, &url, Some(lifetime))?;
        let header = Some(("x-aws-ec2-metadata-token", token.trim()));
        let url = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
        let roles = self.send(http::Method::GET, &url, header)?;
        let role = roles.lines().next().unwrap_or_default().trim();
        let is_name = |it: char| it.is_ascii_alphanumeric() || "+=,.@_-".contains(it);
        if role.is_empty() || !role.chars().all(is_name) {
            return Err("the machine has no role".to_owned());
        }
        self.send(http::Method::GET, &format!("{url}{role}"), header)
    }

    fn send(
        &self,
        method: http::Method,
        url: &str,
        header: Option<(&str, &str)>,
    ) -> Result<String, String> {
        let mut request = http::Request::builder().method(method).uri(url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        let response = self.agent.run(request).map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(format!("status {status}"));
        }
        let body = response.into_body().into_with_config().limit(ANSWER_MAX);
        body.read_to_string().map_err(|error| error.to_string())
    }
}

impl Token {
    fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(reason) => {
                    let reason = baton::said(&reason);
                    Err(format!("cannot read {}: {reason}", baton::shown(path)))
                }
            },
        }
    }
}

fn container() -> Result<Option<Source>, StoreError> {
    let url = match (text(RELATIVE), text(FULL)) {
        (Some(path), _) => format!("{CONTAINER}{path}"),
        (None, Some(url)) if is_safe(&url) => url,
        (None, Some(url)) => {
            return Err(StoreError::Role {
                server: url,
                reason: format!("{FULL} is neither HTTPS nor on this machine"),
            });
        }
        (None, None) => return Ok(None),
    };
    let file = text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|it| Token::File(it.into()));
    let token = || text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Token::Text);
    let token = file.or_else(token);
    Ok(Some(Source::Container { url, token }))
}

/// Whether keys may come from there: a link that others could read or answer must have TLS.
fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    };
    // That of ECS, and those of EKS.
    let is_known = |it: IpAddr| NEAR.iter().any(|near| near.parse() == Ok(it));
    let is_near = address.is_some_and(|it| it.is_loopback() || is_known(it));
    url.scheme() == "https" || (url.scheme() == "http" && is_near)
}

fn text(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const INSTANCE: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
const NEAR: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
/// Limit of an answer.
const ANSWER_MAX: u64 = 16 << 10;
/// Keys are renewed so long before they expire, since requests go on meanwhile.
pub const MARGIN: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_this_machine_or_by_tls() {
        for url in [
            "http://127.0.0.1:99/keys",
            "http://[::1]/",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "https://keys.example/",
        ] {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "",
            "keys",
            "http://keys.example/",
            "http://192.0.2.1/",
            "http://localhost/",
            "ftp://127.0.0.1/",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
