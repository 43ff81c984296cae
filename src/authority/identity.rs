//! Leaf certificates: how they are made, and when one that is in use must be replaced. Pure.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::{
    AuthorityError, AuthoritySet,
    policy::{self, SKEW, Term},
};

/// A leaf certificate with its key and with what its holder trusts, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// `tls.crt`.
    pub certificate: String,
    /// `tls.key`; never logged.
    pub key: String,
    /// `ca.crt`, a bundle.
    pub bundle: String,
}

impl Identity {
    /// When it is to be replaced.
    #[must_use]
    pub fn renewal_time(&self) -> Option<Timestamp> {
        let (valid_from, expires) = times(self.certificate.as_bytes())?;
        Some(policy::renewal_time(valid_from, expires))
    }

    /// The data of the Secret that an agent mounts: `tls.crt`, `tls.key`, `ca.crt`.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        [("tls.crt", &self.certificate), ("tls.key", &self.key), ("ca.crt", &self.bundle)]
            .map(|(name, content)| (name.to_owned(), content.clone().into_bytes()))
            .into()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why a leaf certificate must be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Renewal {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// Two thirds of its life are over.
    #[error("two thirds of the certificate's life are over")]
    Due,
    /// No authority of the set has signed it.
    #[error("the certificate was not signed by an authority of ours")]
    UnknownAuthority,
    /// Its holder trusts other authorities than those of the set.
    #[error("the authorities to be trusted have changed")]
    TrustChanged,
}

/// What of a leaf certificate and the authorities that its holder trusts tells when it must be replaced; some
/// tens of bytes, since ten thousand are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    valid_from: Timestamp,
    expires: Timestamp,
    /// The key that signed it, as the certificate names it. Whether it truly did, the handshake shows.
    signer: Box<[u8]>,
    /// SHA-256 of the authorities.
    trusts: [u8; 32],
}

impl Leaf {
    /// Of `tls.crt` and `ca.crt` of its Secret; none when that is no certificate.
    #[must_use]
    pub fn read(certificate: &[u8], bundle: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(certificate).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let (valid_from, expires) = validity(&certificate)?;
        let signer = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(signer) => Some(signer.key_identifier.as_ref()?.0.into()),
            _ => None,
        });
        Some(Self { valid_from, expires, signer: signer.unwrap_or_default(), trusts: Sha256::digest(bundle).into() })
    }

    /// Why it must be replaced, if it must.
    #[must_use]
    pub fn needs_renewal(&self, set: &AuthoritySet, now: Timestamp) -> Option<Renewal> {
        let trusted = set.bundle();
        if self.signer.is_empty() || !keys(trusted.as_bytes()).any(|key| key == self.signer) {
            return Some(Renewal::UnknownAuthority);
        }
        if self.trusts != <[u8; 32]>::from(Sha256::digest(trusted)) {
            return Some(Renewal::TrustChanged);
        }
        (now >= policy::renewal_time(self.valid_from, self.expires)).then_some(Renewal::Due)
    }
}

/// The keys of authorities, as their certificates name them.
fn keys(bundle: &[u8]) -> impl Iterator<Item = Box<[u8]>> {
    CertificateDer::pem_slice_iter(bundle).flatten().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0.into()),
            _ => None,
        })
    })
}

/// What a leaf certificate is for.
pub(super) struct Purpose {
    /// DNS names and addresses.
    pub(super) names: Vec<String>,
    pub(super) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(super) life: SignedDuration,
}

pub(super) fn issue(
    issuer: &Issuer<'_, KeyPair>,
    authority: &Term,
    bundle: String,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Identity, AuthorityError> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(purpose.names)?;
    // The common name is bounded to 64 characters and the names of verifiers are the alternative ones.
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, "Fairway");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = purpose.usages;
    parameters.use_authority_key_identifier_extension = true;
    set_times(&mut parameters, now - SKEW, policy::leaf_expiry(authority, purpose.life, now));
    let certificate = parameters.signed_by(&key, issuer)?.pem();
    Ok(Identity { certificate, key: key.serialize_pem(), bundle })
}

pub(super) fn set_times(parameters: &mut CertificateParams, valid_from: Timestamp, expires: Timestamp) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let seconds = |time: Timestamp| Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default());
    parameters.not_before = epoch + seconds(valid_from);
    parameters.not_after = epoch + seconds(expires);
}

/// `notBefore` and `notAfter` of the first certificate.
pub(super) fn times(pem: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    validity(&X509Certificate::from_der(&der).ok()?.1)
}

fn validity(certificate: &X509Certificate<'_>) -> Option<(Timestamp, Timestamp)> {
    let validity = certificate.validity();
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((time(validity.not_before)?, time(validity.not_after)?))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rstest::rstest;

    use super::*;

    fn needs_renewal(certificate: &[u8], bundle: &[u8], set: &AuthoritySet, now: Timestamp) -> Option<Renewal> {
        Leaf::read(certificate, bundle).expect("a certificate").needs_renewal(set, now)
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("in range")
    }

    #[rstest]
    #[case::fresh(0, None)]
    #[case::nineteen_days(19, None)]
    #[case::twenty_days(20, Some(Renewal::Due))]
    #[case::expired(31, Some(Renewal::Due))]
    fn leaves_are_renewed_after_two_thirds(#[case] days: i64, #[case] expected: Option<Renewal>) {
        let set = AuthoritySet::first(now()).expect("made");
        let leaf = set.issue_agent("team", "web", now()).expect("issued");
        let later = now() + SignedDuration::from_hours(24 * days);
        assert_eq!(needs_renewal(leaf.certificate.as_bytes(), leaf.bundle.as_bytes(), &set, later), expected);
    }

    #[test]
    fn a_changed_set_is_learned() {
        let first = AuthoritySet::first(now()).expect("made");
        let leaf = first.issue_agent("team", "web", now()).expect("issued");
        let check = |set: &AuthoritySet| needs_renewal(leaf.certificate.as_bytes(), leaf.bundle.as_bytes(), set, now());
        let later = now() + SignedDuration::from_hours(24 * 500);
        let next = first.renewed(later).expect("made").expect("time for the next");
        assert_eq!(check(&next), Some(Renewal::TrustChanged));
        assert_eq!(check(&AuthoritySet::first(now()).expect("made")), Some(Renewal::UnknownAuthority));
        assert_eq!(Leaf::read(b"", b""), None);
    }

    #[test]
    fn a_set_survives_its_keeping_and_shows_no_key() {
        let set = AuthoritySet::first(now()).expect("made");
        assert_eq!(AuthoritySet::from_data(&set.to_data()).expect("read"), set);
        let leaf = set.issue_operator(now()).expect("issued");
        let shown = format!("{set:?} {leaf:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains("BEGIN"), "{shown}");
        for data in [BTreeMap::new(), BTreeMap::from([("authority.json".to_owned(), b"{\"key\":1}".to_vec())])] {
            assert!(matches!(AuthoritySet::from_data(&data), Err(AuthorityError::Unreadable(_))));
        }
    }
}
