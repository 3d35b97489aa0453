//! The client's side of TLS: a tunnel, or a monitor.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use super::credentials::{self, Minimum, Mistake};

/// The configuration of a client that trusts this CA, and shows this certificate, if there is
/// one; and a warning about the end of that.
pub fn config(
    ca: &Path,
    identity: Option<(&Path, &Path)>,
    minimum: Minimum,
) -> Result<(Arc<ClientConfig>, Option<String>), Mistake> {
    let builder = ClientConfig::builder_with_provider(credentials::provider())
        .with_protocol_versions(minimum.versions())
        .map_err(|error| credentials::content(ca, &error))?
        .with_root_certificates(credentials::roots(ca)?);
    let mut warning = None;
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let identity = credentials::identity(certificate, key)?;
            warning = credentials::warn_of_expiry(certificate, identity.expiry());
            builder
                .with_client_auth_cert(identity.chain, identity.key)
                .map_err(|error| credentials::refused_identity(&error, certificate, key))?
        }
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok((Arc::new(config), warning))
}
