//! The agent's own few metrics, in OpenMetrics text. Decides nothing.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// How a change was brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChangeLabels {
    /// `runtime` or `reload`.
    pub kind: &'static str,
    /// What changed at run time, or why it was a reload.
    pub reason: &'static str,
}

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
    /// Changes that were begun, while HAProxy ran or by a reload.
    pub changes: Family<ChangeLabels, Counter>,
    /// How often the worker was found with other servers or certificates than it should have.
    pub drifted: Counter,
    /// Workers that only finish what they have.
    pub old_workers: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("fairway_agent");
        let (proven_sequence, up, reloads) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (refused, drifted, changes) = (Counter::default(), Counter::default(), Family::default());
        let old_workers = Gauge::default();
        registry.register(
            "proven_sequence",
            "Sequence of the configuration that the running worker has proven",
            proven_sequence.clone(),
        );
        registry.register("haproxy_up", "Whether a worker of HAProxy answers", up.clone());
        registry.register("reloads", "Reloads of HAProxy since the agent started", reloads.clone());
        registry.register("refused", "Configurations that HAProxy did not take", refused.clone());
        registry.register("changes", "Changes that were begun, by their kind and reason", changes.clone());
        registry.register("drifted", "Times that HAProxy had drifted from what it should run", drifted.clone());
        registry.register("old_workers", "Workers that only finish what they have", old_workers.clone());
        Self { registry, proven_sequence, up, reloads, refused, changes, drifted, old_workers }
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
