//! What core counts of its requests: `harbor_core_http_…`, on a port of its own.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::state::Core;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    method: String,
    code: String,
    operation: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Kind {
    method: String,
    operation: String,
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    in_flight: Gauge,
    requests: Family<Labels, Counter>,
    durations: Durations,
}

struct Durations(Family<Kind, Histogram>);

impl Default for Durations {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new([0.005, 0.05, 0.5, 1.0, 5.0, 30.0])))
    }
}

/// Counts every request.
pub(crate) async fn count(State(core): State<Arc<Core>>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let operation = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let started = Instant::now();
    core.metrics.in_flight.inc();
    let response = next.run(request).await;
    core.metrics.in_flight.dec();
    let kind = Kind { method: method.clone(), operation: operation.clone() };
    core.metrics.durations.0.get_or_create(&kind).observe(started.elapsed().as_secs_f64());
    let labels = Labels { method, code: response.status().as_u16().to_string(), operation };
    core.metrics.requests.get_or_create(&labels).inc();
    response
}

/// Serves them at `path`.
pub(crate) fn router(core: &Arc<Core>, path: &str) -> Router {
    let mut registry = Registry::with_prefix("harbor_core");
    registry.register("http_inflight_requests", "The total number of requests", core.metrics.in_flight.clone());
    registry.register("http_request", "The total number of requests", core.metrics.requests.clone());
    registry.register(
        "http_request_duration_seconds",
        "The time duration of the requests",
        core.metrics.durations.0.clone(),
    );
    let registry = Arc::new(registry);
    Router::new().route(
        path,
        get(move || {
            let registry = Arc::clone(&registry);
            async move {
                let mut text = String::new();
                // Writing to a string does not fail.
                let _ = encode(&mut text, &registry);
                text
            }
        }),
    )
}
