//! The agent's side of the handshake: who it is and whom it lets in, read anew whenever the mounted
//! Secret changes. Touches those files.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ParsedCertificate, WebPkiClientVerifier},
};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{files::read_snapshot, protocol::OPERATOR_NAME};

/// The server's configuration of now; none until an identity is mounted.
pub type Identity = Option<Arc<ServerConfig>>;

/// Looks at the mounted identity for as long as it is polled.
pub async fn watch(directory: &Path, interval: Duration, sender: watch::Sender<Identity>) {
    let mut last = BTreeMap::new();
    loop {
        match read_snapshot(directory) {
            Ok(files) if files != last => {
                match server_config(&files) {
                    Ok(config) => {
                        info!("the identity was read");
                        sender.send_replace(Some(Arc::new(config)));
                    }
                    Err(error) => warn!(%error, "the mounted identity cannot be used"),
                }
                last = files;
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "the mounted identity cannot be read"),
        }
        tokio::time::sleep(interval).await;
    }
}

/// TLS 1.3 alone, with a client certificate of one of the authorities in `ca.crt`.
fn server_config(files: &BTreeMap<String, Vec<u8>>) -> io::Result<ServerConfig> {
    let file =
        |name: &str| files.get(name).map(Vec::as_slice).ok_or_else(|| io::Error::other(format!("{name} is missing")));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(file("ca.crt")?) {
        roots.add(authority.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file("tls.crt")?).collect();
    // What the parser says could quote what it read.
    let key = PrivateKeyDer::from_pem_slice(file("tls.key")?).map_err(|_| io::Error::other("tls.key is malformed"))?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.map_err(io::Error::other)?, key)
        .map_err(io::Error::other)?;
    // Connections are kept; tickets would only let a client in whose certificate is no longer looked at.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whether the client that has shown this certificate is the operator. That an authority of ours has
/// signed it, for clients, the handshake has seen to.
#[must_use]
pub fn is_operator(certificates: Option<&[CertificateDer<'_>]>) -> bool {
    let Some(certificate) = certificates.and_then(<[_]>::first) else { return false };
    let Ok(certificate) = ParsedCertificate::try_from(certificate) else { return false };
    ServerName::try_from(OPERATOR_NAME).is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
}
