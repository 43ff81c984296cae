//! Listens and serves, in the clear or by TLS, until SIGTERM.

use anyhow::{Context, Result};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// Serves until it is asked to end, which it then does at once.
pub(crate) async fn serve(port: u16, router: Router, tls: Option<TlsAcceptor>) -> Result<()> {
    let mut ended = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let listener = bind(port).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!("listening on {scheme}://:{port}");
    tokio::select! {
        () = accept(listener, router, tls) => Ok(()),
        _ = ended.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    }
}

/// A second listener, beside `serve`.
pub(crate) async fn beside(port: u16, router: Router) -> Result<()> {
    let listener = bind(port).await?;
    tracing::info!("metrics on http://:{port}");
    tokio::spawn(accept(listener, router, None));
    Ok(())
}

async fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("port {port}"))
}

async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(answer(stream, router.clone(), tls.clone()));
    }
}

async fn answer(stream: TcpStream, router: Router, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let server = Builder::new(TokioExecutor::new()).http1_only();
    let outcome = match tls {
        None => server.serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
            Err(error) => {
                tracing::debug!("TLS handshake: {error}");
                return;
            }
        },
    };
    if let Err(error) = outcome {
        tracing::debug!("connection: {error}");
    }
}
