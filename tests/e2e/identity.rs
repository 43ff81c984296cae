//! Who may speak to an agent: the operator alone; and its certificate comes back when somebody deletes it.
//! Touches a sandbox.

use std::{net::SocketAddr, sync::Arc};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    application::{Application, address},
    balancer::{Balancer, listener, service_pool, small},
    sandbox,
    wait::{self, LIVE},
};

/// The agent's port.
const AGENT: u16 = 9443;

/// Believes any server: what matters here is whether the server believes the client.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const QUESTION: &[u8] = b"GET /v1/report HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n";

/// What a client without a certificate is answered.
async fn answered(agent: SocketAddr) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_no_client_auth();
    let stream = TcpStream::connect(agent).await.unwrap();
    let name = ServerName::try_from("agent").unwrap();
    let mut answer = vec![];
    if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        let _ = stream.write_all(QUESTION).await;
        let _ = stream.read_to_end(&mut answer).await;
    }
    answer
}

/// What a client without TLS is answered.
async fn answered_plainly(agent: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(agent).await.unwrap();
    let mut answer = vec![];
    let _ = stream.write_all(QUESTION).await;
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[test]
fn only_the_operator_is_answered_and_a_deleted_identity_is_issued_again() {
    sandbox::restricted("identity", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let mut spec = json!({
            "resources": small(),
            "listeners": [listener("web", "HTTP", 80, "app")],
            "pools": [service_pool("app", "app")],
        });
        let balancer = Balancer::start(sandbox, "web", &spec).await;
        for pod in balancer.pods().await {
            let agent = SocketAddr::new(address(&pod).unwrap(), AGENT);
            assert!(answered(agent).await.is_empty(), "a client without a certificate was answered");
            let plain = answered_plainly(agent).await;
            assert!(!plain.starts_with(b"HTTP"), "a client without TLS was answered");
        }

        let secrets = sandbox.api::<Secret>();
        let before = secrets.get("web-lb-identity").await.unwrap();
        sandbox.delete::<Secret>("web-lb-identity").await;
        let issued = wait::until("the identity to be issued again", LIVE, async || {
            let found = secrets.get_opt("web-lb-identity").await.map_err(|error| error.to_string())?;
            found.filter(|found| found.uid() != before.uid()).ok_or("it is not there".to_owned())
        })
        .await;
        let certificate = |secret: &Secret| secret.data.clone().unwrap_or_default().remove("tls.crt");
        assert_ne!(certificate(&issued), certificate(&before));
        assert_eq!(issued.data.unwrap()["ca.crt"], before.data.unwrap()["ca.crt"], "the authority has changed");

        // The agents are reached as before, with what they still have mounted.
        spec["pools"][0]["algorithm"] = json!("LeastConnections");
        balancer.change("a change after the identity was deleted", &spec).await;
        let status = balancer.status().await;
        assert_eq!(status.proven_replicas, 2, "{:?}", status.replica_statuses);
    });
}
