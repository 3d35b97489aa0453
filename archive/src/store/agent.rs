//! One request over HTTP, and its answer, with every bound: time without progress, and bytes.

use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ureq::SendBody;
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;

use super::StoreError;
use super::pace::{Pace, Paced};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
}

pub struct Request<'a> {
    pub method: Method,
    /// For messages.
    pub key: &'a str,
    /// Signatures expire: each attempt gets a new one.
    pub sign: &'a dyn Fn() -> Url,
    pub body: Option<&'a [u8]>,
    /// Value of `Content-MD5`.
    pub digest: Option<String>,
    pub range: Option<Range<u64>>,
    /// Maximum size of the answer's body.
    pub limit: u64,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// `ETag`, as it came.
    pub tag: Option<String>,
    /// Whether the server encrypts the object with a key of its own.
    pub is_encrypted: bool,
    /// `Content-Length`, which HEAD has without a body.
    pub length: u64,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Time to connect, and time without a byte.
const CONNECT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(30);
/// Time until an answer begins: servers join the parts of an object before.
const THOUGHT: Duration = Duration::from_mins(5);

const NEAR_CONNECT: Duration = Duration::from_secs(1);
const NEAR: Duration = Duration::from_secs(5);

/// For a store.
pub fn new() -> Result<ureq::Agent, StoreError> {
    let config = configuration()?
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .timeout_recv_response(Some(THOUGHT));
    Ok(config.build().new_agent())
}

/// For what is on this machine or beside it, and answers at once or is not there.
pub fn near() -> Result<ureq::Agent, StoreError> {
    let config = configuration()?
        .proxy(None)
        .timeout_connect(Some(NEAR_CONNECT))
        .timeout_global(Some(NEAR));
    Ok(config.build().new_agent())
}

type Configuration = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

fn configuration() -> Result<Configuration, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::Specific(Arc::new(authorities()?)))
        .build();
    Ok(ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        // A redirect means a wrong region or endpoint, and its target needs another signature.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("baton-archive/", env!("CARGO_PKG_VERSION"))))
}

/// Sends a request once.
pub fn send(
    agent: &ureq::Agent,
    request: &Request<'_>,
    pace: Option<&Pace>,
) -> Result<Reply, ureq::Error> {
    let url = (request.sign)();
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Put => http::Method::PUT,
        Method::Post => http::Method::POST,
        Method::Delete => http::Method::DELETE,
    };
    let mut builder = http::Request::builder().method(method).uri(url.as_str());
    if let Some(digest) = &request.digest {
        builder = builder.header("content-md5", digest);
    }
    if let Some(range) = &request.range {
        let last = range.end.saturating_sub(1);
        builder = builder.header("range", format!("bytes={}-{last}", range.start));
    }
    let response = match (request.body, pace) {
        (Some(body), Some(pace)) if !body.is_empty() => {
            let mut paced = Paced { body, pace };
            let body = SendBody::from_reader(&mut paced);
            let length = request.body.map_or(0, <[u8]>::len);
            agent.run(builder.header("content-length", length).body(body)?)
        }
        (Some(body), _) => agent.run(builder.body(body)?),
        (None, _) => agent.run(builder.body(())?),
    }?;
    let has_body = request.method != Method::Head;
    answer(response, if has_body { request.limit } else { 0 })
}

fn answer(mut response: http::Response<ureq::Body>, limit: u64) -> Result<Reply, ureq::Error> {
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut reply = Reply {
        status: response.status().as_u16(),
        tag: text("etag"),
        is_encrypted: text("x-amz-server-side-encryption").is_some_and(|it| it != "AES256"),
        length: text("content-length")
            .and_then(|it| it.parse().ok())
            .unwrap_or(0),
        body: Vec::new(),
    };
    if limit > 0 {
        // An error's text is longer than an object that it is about.
        let limit = if reply.is_success() { limit } else { ERROR_MAX };
        let body = response.body_mut().as_reader();
        // One more: a longer body is seen as that.
        body.take(limit + 1).read_to_end(&mut reply.body)?;
        if reply.body.len() as u64 > limit {
            return Err(ureq::Error::BodyExceedsLimit(limit));
        }
    }
    Ok(reply)
}

/// Limit of an error's description.
const ERROR_MAX: u64 = 64 << 10;

/// The certificates that the system trusts, or those of the variable that other tools read.
fn authorities() -> Result<Vec<Certificate<'static>>, StoreError> {
    let named = VARIABLES.iter().find_map(std::env::var_os);
    let named = named.filter(|path| !path.is_empty());
    let text = match &named {
        Some(path) => fs::read(path).map_err(|reason| StoreError::Certificates {
            path: path.into(),
            reason: baton::said(&reason),
        })?,
        // None: plain HTTP needs none, and HTTPS fails with what it lacks.
        None => BUNDLES
            .iter()
            .find_map(|path| fs::read(path).ok())
            .unwrap_or_default(),
    };
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}

const VARIABLES: [&str; 2] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];
/// Of Debian, Fedora and SUSE.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
