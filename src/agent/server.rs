//! What the agent answers: configurations and reports over mutual TLS, health and metrics in plain.
//! Touches the network.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Query, State},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use http::{StatusCode, header};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Deserialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{
    apply::Outcome,
    exporter::Exporter,
    kept::JSON_LIMIT,
    metrics::Metrics,
    protocol::{Configuration, Report},
    queue::Queue,
    tls::{self, Identity},
    validation::validate,
};

/// An operator needs two or three: a push, a report, a report that waits.
const CONNECTION_LIMIT: usize = 64;
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may be without a request: the operator's own are kept for ten minutes.
const OPERATOR_PATIENCE: Duration = Duration::from_mins(11);
const PLAIN_PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_WAIT: u64 = 60;

/// What the handlers share with the applier's loop.
#[derive(Debug)]
pub struct Shared {
    /// Where configurations go.
    pub queue: Queue,
    /// What is known.
    pub report: watch::Receiver<Arc<Report>>,
    /// What `/metrics` tells of the agent.
    pub metrics: Metrics,
    /// What it tells of HAProxy.
    pub exporter: Exporter,
    /// Whether the mutual TLS port can be used.
    pub identity: watch::Receiver<Identity>,
    /// The agent's own version.
    pub version: &'static str,
}

/// Listens; any IPv6 address falls back to any IPv4 address where there is no IPv6.
///
/// # Errors
/// When the address cannot be had.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        listener => listener,
    }
}

/// Takes configurations and tells reports, for as long as it is polled.
pub async fn serve_operator(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/v1/configuration", put(take_configuration))
        .route("/v1/report", get(tell_report))
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .with_state(shared.clone());
    let places = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Some(stream) = accept(&listener).await else { continue };
        let Some(config) = shared.identity.borrow().clone() else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            let handshake = TlsAcceptor::from(config).accept(stream);
            match timeout(HANDSHAKE_PATIENCE, handshake).await {
                Ok(Ok(stream)) if tls::is_operator(stream.get_ref().1.peer_certificates()) => {
                    converse(TokioIo::new(stream), router, OPERATOR_PATIENCE).await;
                }
                Ok(Ok(_)) => debug!("a client that is not the operator was turned away"),
                Ok(Err(error)) => debug!(%error, "a handshake failed"),
                Err(_) => debug!("a handshake took too long"),
            }
            drop(place);
        });
    }
}

/// Tells health and metrics, for as long as it is polled.
pub async fn serve_plain(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(tell_readiness))
        .route("/metrics", get(tell_metrics))
        .with_state(shared);
    let places = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Some(stream) = accept(&listener).await else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            converse(TokioIo::new(stream), router, PLAIN_PATIENCE).await;
            drop(place);
        });
    }
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    if let Ok((stream, _)) = listener.accept().await {
        return stream.set_nodelay(true).is_ok().then_some(stream);
    }
    // Out of descriptors, most likely.
    tokio::time::sleep(Duration::from_millis(100)).await;
    None
}

async fn converse<S>(stream: TokioIo<S>, router: Router, patience: Duration)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(stream, TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        debug!(%error, "a connection ended");
    }
}

async fn take_configuration(State(shared): State<Arc<Shared>>, Json(configuration): Json<Configuration>) -> Response {
    if let Err(invalid) = validate(&configuration) {
        return (StatusCode::BAD_REQUEST, invalid.to_string()).into_response();
    }
    let receiver = match shared.queue.submit(configuration) {
        Ok(receiver) => receiver,
        Err(conflict) => return (StatusCode::CONFLICT, Json(conflict)).into_response(),
    };
    let report = || Json(shared.report.borrow().as_ref().clone());
    match receiver.await {
        Ok(Outcome::Proven) => report().into_response(),
        Ok(Outcome::Refused) => (StatusCode::UNPROCESSABLE_ENTITY, report()).into_response(),
        Ok(Outcome::Stale(conflict)) => (StatusCode::CONFLICT, Json(conflict)).into_response(),
        Ok(Outcome::NotRunning) => (StatusCode::SERVICE_UNAVAILABLE, report()).into_response(),
        Ok(Outcome::Invalid(invalid)) => (StatusCode::BAD_REQUEST, invalid.to_string()).into_response(),
        Ok(Outcome::Failed(message)) => (StatusCode::INTERNAL_SERVER_ERROR, message).into_response(),
        // One that is held back waits on and is not answered before it is something else.
        Ok(Outcome::HeldBack) | Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the agent is ending").into_response(),
    }
}

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    known: String,
    #[serde(default)]
    wait: u64,
}

async fn tell_report(State(shared): State<Arc<Shared>>, Query(query): Query<Known>) -> Response {
    let mut receiver = shared.report.clone();
    let differs = receiver.wait_for(|report| report.tag() != query.known);
    // When the wait is over the report is told as it is.
    let _ = timeout(Duration::from_secs(query.wait.min(LONGEST_WAIT)), differs).await;
    let report = receiver.borrow().clone();
    ([(header::ETAG, format!("\"{}\"", report.tag()))], Json(report.as_ref())).into_response()
}

async fn tell_readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.identity.borrow().is_some() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no identity is mounted yet\n")
    }
}

async fn tell_metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.exporter.text(&shared.metrics).await)
}
