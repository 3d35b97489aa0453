//! A private CA, for trials: its certificates are made here, and their files elsewhere.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use twox_hash::XxHash3_64;

/// A CA. Its name follows from its key, so the key is all that has to be kept of it.
pub struct Authority(Issuer<'static, KeyPair>);

/// The holder of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Relay,
    Client,
}

/// A certificate and its key, in PEM form.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

const AUTHORITY_DAYS: i64 = 3650;
/// Since yesterday, as clocks differ.
const SINCE: i64 = -1;

impl Authority {
    /// A new CA, with its own certificate.
    pub fn new() -> Result<(Self, Issued), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = Self::params(&key)?;
        set_validity(&mut params, SINCE, AUTHORITY_DAYS);
        let issued = Issued {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        };
        Ok((Self(Issuer::new(params, key)), issued))
    }

    /// The CA of this key.
    pub fn of(key: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self(Issuer::new(Self::params(&key)?, key)))
    }

    fn params(key: &KeyPair) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        // Two CAs of one name would be taken for each other.
        let digest = XxHash3_64::oneshot(&key.subject_public_key_info());
        params.distinguished_name = named(&format!("Baton trial CA {digest:016x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }

    /// A certificate for these names, the first of which is its common name, for so many days.
    pub fn issue(
        &self,
        names: &[String],
        holder: Holder,
        days: i64,
    ) -> Result<Issued, rcgen::Error> {
        let mut params = Self::leaf(names, holder)?;
        set_validity(&mut params, SINCE, days);
        self.sign(&params)
    }

    /// The parameters of a certificate for these names.
    pub fn leaf(names: &[String], holder: Holder) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named(names.first().map_or("", String::as_str));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match holder {
            Holder::Relay => ExtendedKeyUsagePurpose::ServerAuth,
            Holder::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        Ok(params)
    }

    /// A certificate of these parameters.
    pub fn sign(&self, params: &CertificateParams) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate()?;
        Ok(Issued {
            certificate: params.signed_by(&key, &self.0)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// The issuer, for what only tests make.
    #[cfg(test)]
    pub fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.0
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// Sets the days of validity, counted from today.
pub fn set_validity(params: &mut CertificateParams, first: i64, last: i64) {
    let utc = jiff::tz::TimeZone::UTC;
    let today = jiff::Timestamp::now().to_zoned(utc).date();
    let day = |from_today: i64| {
        let date = today.saturating_add(jiff::Span::new().days(from_today));
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        rcgen::date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = day(first);
    params.not_after = day(last);
}
