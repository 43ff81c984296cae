//! What is told over HTTP: `/healthz` (the runtime turns), `/readyz` (every gate is open) and `/metrics`
//! (OpenMetrics text). It listens where it is told to.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use super::{Exposition, Readiness};

/// The content type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `/healthz`, `/readyz` and `/metrics`. That an answer comes at all shows that the runtime
/// still turns, which is all that `/healthz` promises.
pub fn router(exposition: Exposition, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(exposition))
}

/// Serves `router` for as long as it is polled.
///
/// # Errors
/// If the socket fails for good.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    axum::serve(listener, router).await
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let waiting = readiness.waiting_for();
    if waiting.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}", waiting.join(", ")))
    }
}

async fn metrics(State(exposition): State<Exposition>) -> impl IntoResponse {
    match exposition.text() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::{Exposition, Readiness, router};
    use crate::telemetry::Metrics;

    async fn get(router: &axum::Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn each_path_tells_its_own() {
        let (exposition, readiness) = (Exposition::default(), Readiness::default());
        let metrics = Metrics::register(&exposition);
        metrics.leader.set(1);
        let gate = readiness.gate("caches of loadbalancer");
        let router = router(exposition, readiness);
        assert_eq!(get(&router, "/healthz").await, (200, "ok".to_owned()));
        assert_eq!(get(&router, "/readyz").await, (503, "waiting for caches of loadbalancer".to_owned()));
        gate.open();
        assert_eq!(get(&router, "/readyz").await, (200, "ok".to_owned()));
        let (status, text) = get(&router, "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("fairway_leader 1"), "{text}");
    }
}
