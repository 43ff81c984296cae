//! Whom to trust, and how to serve. As Harbor's programs do, which are Go's: the system's bundle, or `SSL_CERT_FILE` in
//! its place, and all files of the folders in `SSL_CERT_DIR`. `INTERNAL_TLS_TRUST_CA_PATH` is read by none of them: Harbor's entrypoints put that file into the bundle.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use crate::environment::Environment;

const BUNDLES: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

/// Trusts the bundle and the folders.
pub(crate) fn client() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let bundle = Environment::optional("SSL_CERT_FILE")
        .or_else(|| BUNDLES.iter().find(|path| std::path::Path::new(path).exists()).map(ToString::to_string));
    if let Some(path) = bundle {
        let certificates = CertificateDer::pem_file_iter(&path).with_context(|| path.clone())?;
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    for folder in Environment::optional("SSL_CERT_DIR").unwrap_or_default().split(':') {
        // What is no certificate is passed over, as is a folder that is not there.
        for file in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            if let Ok(certificates) = CertificateDer::pem_file_iter(file.path()) {
                roots.add_parsable_certificates(certificates.filter_map(Result::ok));
            }
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Encrypts and trusts anybody, as PostgreSQL's `sslmode=require` does.
pub(crate) fn trusting_client() -> ClientConfig {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
        .with_no_client_auth()
}

/// Whether Harbor's own programs speak TLS with each other.
pub(crate) fn enabled() -> bool {
    Environment::optional("INTERNAL_TLS_ENABLED").is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
}

/// What core serves with: `INTERNAL_TLS_CERT_PATH` and `INTERNAL_TLS_KEY_PATH`, where `INTERNAL_TLS_ENABLED` says so.
/// Harbor's own programs load both before all else, since they show them as clients, too: none starts without them,
/// be it that it serves in the clear.
pub(crate) fn internal() -> Result<Option<TlsAcceptor>> {
    if !enabled() {
        return Ok(None);
    }
    let paths = ["INTERNAL_TLS_CERT_PATH", "INTERNAL_TLS_KEY_PATH"].map(Environment::optional);
    let [Some(certificate), Some(key)] = paths else {
        bail!("INTERNAL_TLS_ENABLED needs INTERNAL_TLS_CERT_PATH and INTERNAL_TLS_KEY_PATH");
    };
    server(&certificate, &key).context("internal TLS enabled but can't get cert file").map(Some)
}

pub(crate) fn server(certificate: &str, key: &str) -> Result<TlsAcceptor> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| certificate.to_owned())?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| key.to_owned())?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
