//! The agent's own few metrics, in OpenMetrics text. Decides nothing.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// What `/metrics` tells.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The sequence that the running worker has proven; 0 while none has.
    pub proven_sequence: Gauge<u64, AtomicU64>,
    /// 1 while a worker answers.
    pub up: Gauge<u64, AtomicU64>,
    /// Reloads since the agent's start.
    pub reloads: Gauge<u64, AtomicU64>,
    /// Configurations that were refused.
    pub refused: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("fairway_agent");
        let (proven_sequence, up, reloads) = (Gauge::default(), Gauge::default(), Gauge::default());
        let refused = Counter::default();
        registry.register(
            "proven_sequence",
            "Sequence of the configuration that the running worker has proven",
            proven_sequence.clone(),
        );
        registry.register("haproxy_up", "Whether a worker of HAProxy answers", up.clone());
        registry.register("reloads", "Reloads of HAProxy since the agent started", reloads.clone());
        registry.register("refused", "Configurations that HAProxy did not take", refused.clone());
        Self { registry, proven_sequence, up, reloads, refused }
    }
}

impl Metrics {
    /// The answer to `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
