//! The relay's side of TLS: one configuration for each endpoint, and what a certificate's
//! holder may do there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::rights::Rights;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

use super::credentials::{self, Minimum, Mistake};
use super::{certificate, mistake};
use crate::rules::Rules;

/// The files that TLS is made from.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub revoked: Option<PathBuf>,
    pub rules: Option<PathBuf>,
    pub minimum: Minimum,
}

impl Files {
    /// The option of the first of them, if there is one.
    pub fn given(&self) -> Option<&'static str> {
        let files = [
            (&self.certificate, "--tls-certificate"),
            (&self.key, "--tls-key"),
            (&self.client_ca, "--tls-client-ca"),
            (&self.revoked, "--tls-revoked"),
            (&self.rules, "--tls-rules"),
        ];
        let given = files.into_iter().find(|(file, _)| file.is_some());
        given.map(|(_, option)| option)
    }
}

/// TLS on this relay.
#[derive(Debug)]
pub struct Server {
    endpoints: Vec<(Endpoint, Arc<ServerConfig>)>,
    doorkeepers: Vec<Arc<Doorkeeper>>,
    certificate: PathBuf,
    expiry: Option<Duration>,
}

/// Verifies the certificates of an endpoint's peers, and asks the rules.
#[derive(Debug)]
struct Doorkeeper {
    inner: Arc<dyn ClientCertVerifier>,
    rules: Option<Arc<Rules>>,
    endpoint: Endpoint,
    /// Why the rules refused the last one: the error for it has no room for text.
    refusal: Mutex<String>,
}

impl Server {
    pub fn load(files: &Files) -> Result<Self, Mistake> {
        let certificate = files.certificate.as_deref();
        let certificate = certificate.ok_or(Mistake::Missing("--tls-certificate"))?;
        let key = files.key.as_deref();
        let key = key.ok_or(Mistake::Missing("--tls-key"))?;
        let identity = credentials::identity(certificate, key)?;
        let expiry = identity.expiry();
        let verifier = verifier(files)?;
        let rules = rules(files)?;
        let mut doorkeepers = Vec::new();
        let mut endpoints = Vec::new();
        for endpoint in Endpoint::ALL {
            let builder = ServerConfig::builder_with_provider(credentials::provider())
                .with_protocol_versions(files.minimum.versions())
                .map_err(|error| credentials::content(certificate, &error))?;
            let builder = match &verifier {
                None => builder.with_no_client_auth(),
                Some(inner) => {
                    let doorkeeper = Arc::new(Doorkeeper {
                        inner: Arc::clone(inner),
                        rules: rules.clone(),
                        endpoint,
                        refusal: Mutex::default(),
                    });
                    doorkeepers.push(Arc::clone(&doorkeeper));
                    builder.with_client_cert_verifier(doorkeeper)
                }
            };
            let mut config = builder
                .with_single_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|error| credentials::refused_identity(&error, certificate, key))?;
            // Each connection shows its certificate: one that was revoked cannot come back with
            // a ticket.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            endpoints.push((endpoint, Arc::new(config)));
        }
        Ok(Self {
            endpoints,
            doorkeepers,
            certificate: certificate.to_owned(),
            expiry,
        })
    }

    /// A warning about the end of its certificate, if it is near.
    pub fn warning(&self) -> Option<String> {
        credentials::warn_of_expiry(&self.certificate, self.expiry)
    }

    /// The end of its certificate, as Unix time.
    pub fn expiry(&self) -> Option<Duration> {
        self.expiry
    }

    pub fn config(&self, endpoint: Endpoint) -> Arc<ServerConfig> {
        let found = self.endpoints.iter().find(|(it, _)| *it == endpoint);
        let (_, config) = found.expect("law: every endpoint has a configuration");
        Arc::clone(config)
    }

    /// The rights of a peer with these certificates, or why it has none. None: no rule limits
    /// it.
    pub fn rights(
        &self,
        endpoint: Endpoint,
        chain: &[CertificateDer<'_>],
    ) -> Result<Option<Rights>, String> {
        let Some(doorkeeper) = self.doorkeeper(endpoint) else {
            return Ok(None);
        };
        let (end, above) = chain
            .split_first()
            .ok_or_else(|| mistake::sentence(&Error::NoCertificatesPresented))?;
        let verified = doorkeeper
            .inner
            .verify_client_cert(end, above, UnixTime::now());
        verified.map_err(|error| mistake::sentence(&error))?;
        doorkeeper.ask_rules(end)
    }

    /// The sentence of an error of a handshake there.
    pub fn sentence(&self, endpoint: Endpoint, error: &Error) -> String {
        let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        match self.doorkeeper(endpoint) {
            Some(doorkeeper) if *error == refused => {
                let refusal = doorkeeper.refusal.lock();
                refusal.unwrap_or_else(PoisonError::into_inner).clone()
            }
            _ => mistake::sentence(error),
        }
    }

    fn doorkeeper(&self, endpoint: Endpoint) -> Option<&Arc<Doorkeeper>> {
        self.doorkeepers.iter().find(|it| it.endpoint == endpoint)
    }
}

fn verifier(files: &Files) -> Result<Option<Arc<dyn ClientCertVerifier>>, Mistake> {
    let Some(path) = &files.client_ca else {
        return match (&files.revoked, &files.rules) {
            (Some(_), _) => Err(Mistake::NeedsClientCa("--tls-revoked")),
            (_, Some(_)) => Err(Mistake::NeedsClientCa("--tls-rules")),
            (None, None) => Ok(None),
        };
    };
    let roots = credentials::roots(path)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, credentials::provider());
    let mut source = path;
    if let Some(path) = &files.revoked {
        source = path;
        builder = builder
            .with_crls(credentials::revoked(path)?)
            // A list is of one CA; the others have none.
            .allow_unknown_revocation_status();
    }
    let verifier = builder.build();
    verifier
        .map(Some)
        .map_err(|error| credentials::content(source, &error))
}

fn rules(files: &Files) -> Result<Option<Arc<Rules>>, Mistake> {
    let Some(path) = &files.rules else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|reason| Mistake::Read {
        path: path.clone(),
        reason,
    })?;
    let rules = Rules::parse(&text).map_err(|mistake| credentials::content(path, &mistake))?;
    Ok(Some(Arc::new(rules)))
}

impl Doorkeeper {
    fn ask_rules(&self, end: &CertificateDer<'_>) -> Result<Option<Rights>, String> {
        let Some(rules) = &self.rules else {
            return Ok(None);
        };
        let rights = rules.rights(&certificate::names(end), self.endpoint);
        rights.map(Some)
    }
}

impl ClientCertVerifier for Doorkeeper {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .inner
            .verify_client_cert(end_entity, intermediates, now)?;
        self.ask_rules(end_entity).map_err(|refusal| {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
            CertificateError::ApplicationVerificationFailure
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
