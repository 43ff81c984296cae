//! Certificates of a customer: an authority that clients trust, and what it issues. Touches nothing by itself.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;

use crate::{client::fingerprint, sandbox::Sandbox};

/// An authority that issues certificates for names.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// A new certificate for a name.
    pub(crate) fn issue(&self, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Certificate { pem: certificate.pem(), key: key.serialize_pem(), fingerprint: fingerprint(certificate.der()) }
    }

    /// A client's settings that trust this authority alone, and want a new handshake each time.
    pub(crate) fn trusted(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }
}

/// Keeps a certificate in a Secret of type `kubernetes.io/tls`.
pub(crate) async fn keep(sandbox: &Sandbox, secret: &str, certificate: &str, key: &str) {
    sandbox
        .apply::<Secret>(json!({
            "metadata": { "name": secret },
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key) },
        }))
        .await;
}
