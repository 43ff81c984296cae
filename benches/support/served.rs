//! What the benches on the test cluster share: a load balancer of two pods, and when something serves its first request.
//! Touches the network.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    balancer::{listener, service_pool, small},
    traffic::{Target, sample},
};

/// How long one request is waited for.
const TRY: Duration = Duration::from_millis(200);
/// Between two requests while nobody answers.
const PAUSE: Duration = Duration::from_millis(10);

/// The spec of a load balancer of two pods, before the application `app`.
pub(crate) fn balanced() -> Value {
    json!({
        "resources": small(),
        "listeners": [listener("web", "HTTP", 80, "app")],
        "pools": [service_pool("app", "app")],
    })
}

/// Waits until a request is served.
pub(crate) async fn served(target: &Target) {
    // What no node knows yet is lost in silence.
    while timeout(TRY, sample(target, 1)).await.map_or(true, |tally| !tally.failures.is_empty()) {
        sleep(PAUSE).await;
    }
}
