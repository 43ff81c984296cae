//! The member behind the load balancers of a test: the test's own process, so that no image is needed that a cluster may
//! not have. It answers every request with a text that nobody else has. Touches a port of this pod.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::task::AbortOnDropHandle;

use super::result::Trouble;

/// A member that answers as long as it is there.
pub(super) struct Member {
    /// Where it is reached.
    pub(super) address: SocketAddr,
    /// What it answers.
    pub(super) answer: String,
    _server: AbortOnDropHandle<()>,
}

impl Member {
    /// Listens on a free port of the address from which this pod reaches `server`, a host and port.
    pub(super) async fn start(server: &str, answer: String) -> Result<Self, Trouble> {
        let failed = |error: std::io::Error| Trouble::NoCluster(format!("{server}: {error}"));
        let address = own_address(server).await.map_err(failed)?;
        let listener = TcpListener::bind((address, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let body = answer.clone();
        let router = Router::new().fallback(async move || body);
        let server = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
        Ok(Self { address, answer, _server: server })
    }
}

/// The address that packets to a server leave from. Nothing is sent.
async fn own_address(server: &str) -> std::io::Result<IpAddr> {
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for target in tokio::net::lookup_host(server).await? {
        let any: IpAddr = if target.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        match socket.connect(target).await {
            Ok(()) => return Ok(socket.local_addr()?.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
