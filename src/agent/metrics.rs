//! What the agent measures, and what it tells of its HAProxy, in OpenMetrics text. The tables name every
//! metric: the exposition and the documentation are made from them. Pure; [`super::exporter`] reads.

mod haproxy;
mod table;

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

use crate::telemetry::metrics::Row;

pub use haproxy::Reading;
pub use table::rows;

/// How a change was brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChangeLabels {
    /// `runtime` or `reload`.
    pub kind: &'static str,
    /// What changed at run time, or why it was a reload.
    pub reason: &'static str,
}

/// The agent's own numbers; clones share them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The sequence that the running worker has proven; 0 while none has.
    pub proven_sequence: Gauge<u64, AtomicU64>,
    /// Reloads since the agent's start.
    pub reloads: Counter,
    /// Reloads after which no worker proved what was wanted.
    pub failed_reloads: Counter,
    /// Configurations that were refused.
    pub refused: Counter,
    /// Changes that were begun, while HAProxy ran or by a reload.
    pub changes: Family<ChangeLabels, Counter>,
    /// How often the worker was found with other servers or certificates than it should have.
    pub drifted: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (proven_sequence, changes) = (Gauge::default(), Family::default());
        let [reloads, failed_reloads, refused, drifted] = [(); 4].map(|()| Counter::default());
        let mut add = Adding(&mut registry);
        add.metric("fairway_agent_proven_sequence", proven_sequence.clone());
        add.metric("fairway_agent_reloads_total", reloads.clone());
        add.metric("fairway_agent_failed_reloads_total", failed_reloads.clone());
        add.metric("fairway_agent_refused_total", refused.clone());
        add.metric("fairway_agent_changes_total", changes.clone());
        add.metric("fairway_agent_drifted_total", drifted.clone());
        Self { registry, proven_sequence, reloads, failed_reloads, refused, changes, drifted }
    }
}

/// Adds metrics with what the table says of them.
struct Adding<'a>(&'a mut Registry);

impl Adding<'_> {
    fn metric(&mut self, name: &str, metric: impl Metric) {
        let help = table::AGENT.iter().find(|row: &&Row| row.name == name).map_or("", |row| row.meaning);
        self.0.register(name.trim_end_matches("_total"), help, metric);
    }
}

impl Metrics {
    /// All of it, without the mark that ends an exposition.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        text
    }
}
