//! Certificates, keys, CAs and revocation lists in files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::{certificate, date};
use crate::os::{said, shown};

/// An error in a file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    #[error("cannot read {}: {}", shown(path), said(reason))]
    Read { path: PathBuf, reason: io::Error },
    #[error("{} has no {what} in PEM form", shown(path))]
    Nothing { path: PathBuf, what: &'static str },
    #[error("{}: {reason}", shown(path))]
    Content { path: PathBuf, reason: String },
    #[error(
        "the key {0} can be read by others (mode {mode:03o}): chmod 600 {0}",
        shown(path)
    )]
    KeyIsOpen { path: PathBuf, mode: u32 },
    #[error(
        "the key {} is not that of the certificate {}",
        shown(key),
        shown(certificate)
    )]
    OtherKey { key: PathBuf, certificate: PathBuf },
    #[error("tls:// needs {0}; for a trial: baton certificates")]
    Missing(&'static str),
    #[error(
        "the key {0} has a passphrase, which nobody types here: openssl pkey -in {0} -out NEW",
        shown(path)
    )]
    Passphrase { path: PathBuf },
    #[error(
        "{0} has no effect, since no port has TLS: nothing is encrypted, and nobody has to show a \
         certificate; name ports as tls://HOST"
    )]
    NoPort(&'static str),
    #[error("{0} needs --tls-client-ca: without it no peer has a name")]
    NeedsClientCa(&'static str),
}

/// The lowest version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Minimum {
    Tls12,
    #[default]
    Tls13,
}

impl Minimum {
    pub fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        let newest = &BOTH[..1];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => newest,
        }
    }
}

/// A certificate with those above it, and its key.
#[derive(Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// From this time before its end on, a certificate is warned of.
const WARNED_BEFORE: Duration = Duration::from_hours(30 * 24);
/// Word in the first lines of a key that has a passphrase, in both of its forms.
const ENCRYPTED: &[u8] = b"ENCRYPTED";
/// Rights of others on a file.
const OTHERS: u32 = 0o007;

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub fn identity(certificate: &Path, key: &Path) -> Result<Identity, Mistake> {
    let chain = certificates(certificate)?;
    let read = |reason| Mistake::Read {
        path: key.to_owned(),
        reason,
    };
    let mode = fs::metadata(key).map_err(read)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(Mistake::KeyIsOpen {
            path: key.to_owned(),
            mode,
        });
    }
    let text = fs::read(key).map_err(read)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let path = key.to_owned();
        if text.windows(ENCRYPTED.len()).any(|it| it == ENCRYPTED) {
            return Mistake::Passphrase { path };
        }
        let what = "private key";
        Mistake::Nothing { path, what }
    })?;
    Ok(Identity { chain, key })
}

/// The names of the certificate in a file.
pub fn names(path: &Path) -> Result<Vec<String>, Mistake> {
    let chain = certificates(path)?;
    Ok(chain.first().map_or(Vec::new(), certificate::names))
}

/// The certificates of CAs.
pub fn roots(path: &Path) -> Result<Arc<RootCertStore>, Mistake> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| content(path, &error))?;
    }
    Ok(Arc::new(roots))
}

pub fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Mistake> {
    all(path, "revocation list")
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    all(path, "certificate")
}

/// All sections of a kind in a file; there must be one.
fn all<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, Mistake> {
    let text = fs::read(path).map_err(|reason| Mistake::Read {
        path: path.to_owned(),
        reason,
    })?;
    let all: Result<Vec<T>, _> = T::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(Mistake::Nothing {
            path: path.to_owned(),
            what,
        }),
    }
}

pub fn content(path: &Path, reason: &dyn std::fmt::Display) -> Mistake {
    Mistake::Content {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Whether an error means that the key is another certificate's.
pub fn refused_identity(error: &rustls::Error, certificate: &Path, key: &Path) -> Mistake {
    match error {
        rustls::Error::InconsistentKeys(_) => Mistake::OtherKey {
            key: key.to_owned(),
            certificate: certificate.to_owned(),
        },
        other => content(certificate, other),
    }
}

impl Identity {
    /// The end of its certificate, as Unix time.
    pub fn expiry(&self) -> Option<Duration> {
        certificate::expiry(self.chain.first()?)
    }
}

/// A warning about the end of a certificate, if it is near.
pub fn warn_of_expiry(path: &Path, expiry: Option<Duration>) -> Option<String> {
    let expiry = expiry?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (path, date) = (shown(path), date(expiry.as_secs()));
    if expiry <= now {
        return Some(format!(
            "the certificate {path} has expired on {date}: peers will refuse it"
        ));
    }
    let left = expiry.saturating_sub(now);
    (left < WARNED_BEFORE).then(|| {
        let days = left.as_secs() / (24 * 60 * 60);
        format!("the certificate {path} expires on {date}, in {days} days: renew it, then SIGHUP")
    })
}
