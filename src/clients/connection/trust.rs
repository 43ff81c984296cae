//! Which certificates a server may show. Reads the system's certificates, when they are first asked for.

use std::sync::{Arc, LazyLock};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::Encryption;

/// Who may have signed a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Those that the operator's own system trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR` or the usual places), as they were
    /// when they were first needed.
    System,
    /// The certificates in this PEM, and no other.
    Pem(Vec<u8>),
}

/// Read once: they are some hundred files or more, and every probe of a fleet needs them.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

impl Authorities {
    fn load(&self) -> Result<Arc<RootCertStore>, String> {
        let Self::Pem(pem) = self else {
            let roots = Arc::clone(&SYSTEM);
            let none = "the operator's system trusts no authority; give the one of the server";
            return if roots.is_empty() { Err(none.to_owned()) } else { Ok(roots) };
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| "the CA's PEM can't be read".to_owned())?;
            roots.add(certificate).map_err(|error| format!("the CA can't be used: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the CA's PEM holds no certificate".to_owned());
        }
        Ok(Arc::new(roots))
    }
}

/// None where there shall be no TLS; an error is in words.
pub(super) fn client_config(encryption: &Encryption) -> Result<Option<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match encryption {
        Encryption::Disable => return Ok(None),
        Encryption::VerifyFull(authorities) | Encryption::VerifyName(authorities, _) => {
            builder.with_root_certificates(authorities.load()?)
        }
        Encryption::Require => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        Encryption::VerifyCa(authorities) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(authorities.load()?, provider).build();
            let verifier = verifier.map_err(|error| format!("the CA can't be used: {error}"))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        }
    };
    Ok(Some(builder.with_no_client_auth()))
}

/// The errors that users meet, with what to do about them.
pub(super) fn words(error: &Error) -> String {
    let advice = match error {
        // The second is of an authority that has the same name as the right one.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "it is of none of the authorities that are trusted"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "it is not for this host",
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => "it expired",
        Error::InvalidMessage(_) => return "the server does not speak TLS on this port".to_owned(),
        other => return other.to_string(),
    };
    format!("the server's certificate is not accepted: {advice}")
}

/// Takes any certificate, as `sslmode=require` means it; that the server holds its key is still proven.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes a certificate of the right authority whatever name it is for, as `sslmode=verify-ca` means it.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is what rustls looks at last: all the rest was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
