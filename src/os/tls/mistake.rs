//! Errors of TLS, as sentences that name the mistake.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::date;

/// Uses that certificates are issued for.
const PURPOSES: &str = "that of a relay needs serverAuth, that of a client clientAuth";

/// The sentence of an error. An alert is what the other side found wrong.
pub fn sentence(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => {
            "the peer has no certificate, and the relay asks for one (--tls-client-ca)".to_owned()
        }
        Error::AlertReceived(alert) => told(*alert),
        Error::InvalidMessage(_) => format!("the peer does not speak TLS here ({error})"),
        Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired) => {
            "the peer speaks no TLS 1.3 (--tls-minimum 1.2 allows 1.2)".to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig) => {
            "the relay speaks no TLS 1.3".to_owned()
        }
        other => other.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the peer's certificate has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            let date = date(not_after.as_secs());
            format!("the peer's certificate has expired on {date}, or the clock here is wrong")
        }
        CertificateError::NotValidYet => "the peer's certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            let date = date(not_before.as_secs());
            format!(
                "the peer's certificate is not valid before {date}: the clock here, or that of \
                 its issuer, is wrong"
            )
        }
        CertificateError::Revoked => "the peer's certificate was revoked".to_owned(),
        CertificateError::UnknownIssuer => {
            "the peer's certificate is of a CA that is not known here".to_owned()
        }
        CertificateError::BadSignature => {
            "the peer's certificate is of another CA, which has the name of the one here".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the peer's certificate is not for this use: {PURPOSES}")
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the peer's certificate is not of the name {}, but of {}",
            expected.to_str(),
            presented.join(", ")
        ),
        other => format!("the peer's certificate is not accepted: {other}"),
    }
}

/// Begin of a sentence about an alert.
const TOLD: &str = "the peer refuses the connection: ";

/// The sentence of an alert, which the peer sent.
fn told(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => "it does not know the CA of the certificate here",
        AlertDescription::CertificateExpired => {
            "the certificate here has expired or is not valid yet, by the peer's clock"
        }
        AlertDescription::CertificateRevoked => "the certificate here was revoked",
        AlertDescription::CertificateRequired => {
            "it asks for a certificate, and there is none here (--tls-certificate, --tls-key)"
        }
        AlertDescription::AccessDenied => {
            "its rules do not allow this to the certificate here (its log has the rule)"
        }
        AlertDescription::BadCertificate => {
            "it does not accept the certificate here: its name is wrong, or its bytes are"
        }
        AlertDescription::UnsupportedCertificate => {
            return format!("{TOLD}the certificate here is not for this use: {PURPOSES}");
        }
        AlertDescription::ProtocolVersion => "it speaks no common version of TLS",
        AlertDescription::HandshakeFailure => {
            "there is no common cipher or signature, or it asks for a certificate"
        }
        other => return format!("{TOLD}{other:?}"),
    };
    format!("{TOLD}{why}")
}
