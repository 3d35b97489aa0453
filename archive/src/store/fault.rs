//! Errors of a store as sentences: what failed, why, and what to do.

use std::path::PathBuf;

use super::Place;
use super::agent::{Method, Reply, Request};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{text} is no place of an archive: {reason}")]
    Place { text: String, reason: String },
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, write \
         ~/.aws/credentials, or give this machine a role"
    )]
    NoCredentials,
    #[error(
        "AWS_WEB_IDENTITY_TOKEN_FILE, a role by a token, is not supported: give the pod a role by \
         EKS Pod Identity, or keys by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoWebIdentity,
    #[error("cannot get the keys of a role from {server}: {reason}")]
    Role { server: String, reason: String },
    #[error("cannot read credentials from {}: {reason}", baton::shown(path))]
    Credentials { path: PathBuf, reason: String },
    #[error("cannot read certificates from {}: {reason}", baton::shown(path))]
    Certificates { path: PathBuf, reason: String },
    #[error("there is no bucket {bucket} at {server}: create it, or correct the name")]
    NoBucket { bucket: String, server: String },
    #[error("there is no object {key} at {server}")]
    Missing { key: String, server: String },
    /// It would refuse the same again.
    #[error("{server} refuses to {verb} {key}: {reason}")]
    Refused {
        server: String,
        verb: &'static str,
        key: String,
        reason: String,
    },
    /// It may do it later.
    #[error("{server} fails to {verb} {key}: {reason}")]
    Failed {
        server: String,
        verb: &'static str,
        key: String,
        reason: String,
    },
    #[error("cannot reach {server}: {reason}")]
    Unreachable { server: String, reason: String },
    #[error("{server} answers about {key} with more than {} bytes, and nothing of it is used", .limit)]
    TooLarge {
        server: String,
        key: String,
        limit: u64,
    },
    #[error("{server} answers wrongly about {key}: {reason}")]
    Wrong {
        server: String,
        key: String,
        reason: String,
    },
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. } | Self::Unreachable { .. } | Self::Wrong { .. }
        )
    }
}

/// The meaning of an answer that is no success.
pub fn of_reply(
    place: &Place,
    access_key: &str,
    request: &Request<'_>,
    reply: &Reply,
) -> StoreError {
    let server = place.server().to_owned();
    let key = request.key.to_owned();
    let code = code(&reply.body);
    if code.as_deref() == Some("NoSuchBucket") {
        return place.no_bucket();
    }
    if reply.status == 404 {
        return StoreError::Missing { key, server };
    }
    let verb = match request.method {
        Method::Get | Method::Head => "read",
        Method::Put | Method::Post => "store",
        Method::Delete => "delete",
    };
    let passes = match (reply.status, code.as_deref()) {
        (_, Some(code)) if PASSING.contains(&code) => true,
        (408 | 425 | 429, _) => true,
        // Not implemented, or a version of HTTP that it does not speak.
        (501 | 505, _) => false,
        (status, _) => status >= 500,
    };
    let said = code.unwrap_or_else(|| format!("status {}", reply.status));
    let advice = advice(&said, access_key, &place.region);
    // The text is the server's: it is shown escaped, and short.
    let shown = baton_components::shown::Shown(said.as_bytes()).to_string();
    let reason = match advice {
        Some(advice) => format!("{advice} ({shown})"),
        None => shown,
    };
    if passes {
        StoreError::Failed {
            server,
            verb,
            key,
            reason,
        }
    } else {
        StoreError::Refused {
            server,
            verb,
            key,
            reason,
        }
    }
}

/// Codes of errors that pass, whatever their status.
const PASSING: [&str; 9] = [
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "OperationAborted",
    "InvalidDigest",
    "QuotaExceeded",
];

fn advice(code: &str, access_key: &str, region: &str) -> Option<String> {
    Some(match code {
        "InvalidAccessKeyId" | "NotSignedUp" => {
            format!("it does not know the access key {access_key}")
        }
        "SignatureDoesNotMatch" => format!(
            "the secret key is not that of the access key {access_key}, or the region is not \
             {region}"
        ),
        "AccessDenied" | "status 403" => {
            format!("the access key {access_key} may not do that, or its secret is wrong")
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "status 301"
        | "AuthorizationQueryParametersError"
        | "InvalidRegion"
        | "IllegalLocationConstraintException" => {
            format!("the bucket is not in the region {region}: set --region")
        }
        "RequestTimeTooSkewed" => "the clock of this machine differs from the server's".to_owned(),
        "QuotaExceeded" | "XMinioStorageFull" | "status 507" => {
            "it is full: make room there, or raise the quota of the bucket".to_owned()
        }
        "ExpiredToken" | "TokenRefreshRequired" => "the session token has expired".to_owned(),
        _ => return None,
    })
}

/// The failure of a request that has no answer.
pub fn of_way(place: &Place, key: &str, error: &ureq::Error) -> StoreError {
    if let ureq::Error::BodyExceedsLimit(limit) = error {
        return StoreError::TooLarge {
            server: place.server().to_owned(),
            key: key.to_owned(),
            limit: *limit,
        };
    }
    let reason = match error {
        ureq::Error::Io(error) => baton::said(error),
        ureq::Error::HostNotFound => "no machine has this name".to_owned(),
        ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        other => other.to_string(),
    };
    let server = place.server().to_owned();
    StoreError::Unreachable { server, reason }
}

/// The code in an error's body (`<Error><Code>…`).
pub fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Error")?;
    let (_, rest) = rest.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.chars().take(CODE_MAX).collect())
}

const CODE_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_is_found() {
        let body =
            b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>x</Message></Error>";
        assert_eq!(code(body).as_deref(), Some("SlowDown"));
        assert_eq!(code(b"<CompleteMultipartUploadResult><ETag>x</ETag>"), None);
        assert_eq!(code(b"\xff<Error><Code>x</Code>"), None);
    }
}
