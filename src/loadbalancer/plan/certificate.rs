//! Whether a Secret's certificate can be served, and what HAProxy is given of it. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    Error as TlsError, InconsistentKeys,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::loadbalancer::world::CertificateSecret;

/// Why a Secret's certificate can't be served; no part of the key is in the words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A key of the Secret is missing.
    #[error("has no {0}")]
    Missing(&'static str),
    /// The certificate can't be read.
    #[error("tls.crt is not a PEM certificate")]
    MalformedCertificate,
    /// The authorities can't be read.
    #[error("has no PEM certificates in ca.crt")]
    MalformedAuthorities,
    /// The key can't be read.
    #[error("tls.key is not a PEM private key of a supported kind (RSA, ECDSA, Ed25519)")]
    MalformedKey,
    /// The two don't belong together.
    #[error("tls.key is not the key of the first certificate in tls.crt")]
    Mismatched,
}

/// The authorities of a `ConfigMap`'s `ca.crt` as one PEM file. Only what was understood is written.
pub(super) fn authorities_file(text: Option<&str>) -> Result<String, CertificateError> {
    let text = text.ok_or(CertificateError::Missing("ca.crt"))?;
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::MalformedAuthorities)?;
    let understood = |der: &CertificateDer<'_>| x509_parser::parse_x509_certificate(der).is_ok();
    if found.is_empty() || !found.iter().all(understood) {
        return Err(CertificateError::MalformedAuthorities);
    }
    Ok(found.iter().map(|certificate| block("CERTIFICATE", certificate)).collect())
}

/// The certificate, its intermediates and its key as one PEM file. Only what was understood is written,
/// so that nothing else in the Secret reaches HAProxy.
pub(super) fn pem_file(secret: &CertificateSecret) -> Result<String, CertificateError> {
    let certificate = secret.certificate.as_deref().ok_or(CertificateError::Missing("tls.crt"))?;
    let key = secret.key.as_deref().ok_or(CertificateError::Missing("tls.key"))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::MalformedCertificate)?;
    if chain.is_empty() {
        return Err(CertificateError::MalformedCertificate);
    }
    for certificate in &chain {
        x509_parser::parse_x509_certificate(certificate).map_err(|_| CertificateError::MalformedCertificate)?;
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::MalformedKey)?;
    let signer = any_supported_type(&key).map_err(|_| CertificateError::MalformedKey)?;
    match CertifiedKey::new(chain.clone(), signer).keys_match() {
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(TlsError::InconsistentKeys(_)) => return Err(CertificateError::Mismatched),
        Err(_) => return Err(CertificateError::MalformedCertificate),
    }
    let mut file: String = chain.iter().map(|certificate| block("CERTIFICATE", certificate)).collect();
    let (label, der) = match &key {
        PrivateKeyDer::Pkcs1(key) => ("RSA PRIVATE KEY", key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => ("EC PRIVATE KEY", key.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(key) => ("PRIVATE KEY", key.secret_pkcs8_der()),
        _ => return Err(CertificateError::MalformedKey),
    };
    file.push_str(&block(label, der));
    Ok(file)
}

fn block(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    // Base64 is ASCII: every index is a character.
    for start in (0..encoded.len()).step_by(64) {
        text.push_str(&encoded[start..encoded.len().min(start + 64)]);
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}
