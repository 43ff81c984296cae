//! What is measured, and how it is called. It touches nothing.
//!
//! [`TABLE`] is the one place that names a metric: registration, help texts and the documentation are
//! made from it, and a test compares it with what is exported.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

/// One metric, for people.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Separated by commas; empty for none.
    pub labels: &'static str,
    /// What it says, as a sentence without its full stop.
    pub meaning: &'static str,
}

const fn row(name: &'static str, kind: &'static str, labels: &'static str, meaning: &'static str) -> Row {
    Row { name, kind, labels, meaning }
}

/// Every metric of the operator's engine.
pub const TABLE: [Row; 11] = [
    row(
        "fairway_turns_total",
        "counter",
        "family,result",
        "Turns by their result: Succeeded, Waited (for a cache, or for the end of a namespace that is being deleted), Unparsable, or the reason of the error",
    ),
    row(
        "fairway_turn_duration_seconds",
        "histogram",
        "family",
        "How long a turn takes, from reading the world to writing the status",
    ),
    row("fairway_turns_in_flight", "gauge", "family", "Turns that are being taken now"),
    row("fairway_resources", "gauge", "family", "Custom resources that are known"),
    row("fairway_inventory_objects", "gauge", "family,kind", "Owned objects that are known"),
    row(
        "fairway_api_writes_total",
        "counter",
        "family,kind,verb",
        "Writing requests to the Kubernetes API, successful or not",
    ),
    row(
        "fairway_api_write_failures_total",
        "counter",
        "family,kind,verb",
        "Writing requests to the Kubernetes API that failed",
    ),
    row(
        "fairway_effects_total",
        "counter",
        "family,name,result",
        "Acts beyond Kubernetes objects; the result is Succeeded or the reason of the error",
    ),
    row("fairway_events_dropped_total", "counter", "family", "Events that the Kubernetes API did not take"),
    row("fairway_watch_failures_total", "counter", "watch", "Watches that failed and were begun again"),
    row("fairway_leader", "gauge", "", "Whether this process leads: 1 or 0"),
];

/// The registry of a process; clones share it.
#[derive(Clone, Default)]
pub struct Exposition(Arc<RwLock<Registry>>);

impl Exposition {
    /// Adds a metric. `name` is without the `_total` of a counter.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// All of it, as OpenMetrics text.
    ///
    /// # Errors
    /// If a metric cannot be written.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.read().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Exposition")
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        #[allow(missing_docs, reason = "each field is the label of its name")]
        pub struct $name { $(pub $field: String),+ }
    )+};
}

labels! {
    /// Labels of what is counted by family.
    OfFamily { family }
    /// Labels of turns.
    OfTurn { family, result }
    /// Labels of the inventory.
    OfKind { family, kind }
    /// Labels of writes.
    OfWrite { family, kind, verb }
    /// Labels of effects.
    OfEffect { family, name, result }
    /// Labels of watches.
    OfWatch { watch }
}

/// Turn durations: 1 ms to 30 s.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What the engine measures; clones share the numbers.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each field is the row of its name in `TABLE`")]
pub struct Metrics {
    pub turns: Family<OfTurn, Counter>,
    pub turn_duration: Family<OfFamily, Histogram, fn() -> Histogram>,
    pub turns_in_flight: Family<OfFamily, Gauge>,
    pub resources: Family<OfFamily, Gauge>,
    pub inventory_objects: Family<OfKind, Gauge>,
    pub api_writes: Family<OfWrite, Counter>,
    pub api_write_failures: Family<OfWrite, Counter>,
    pub effects: Family<OfEffect, Counter>,
    pub events_dropped: Family<OfFamily, Counter>,
    pub watch_failures: Family<OfWatch, Counter>,
    pub leader: Gauge,
}

impl Metrics {
    /// Makes them and adds them to `exposition`.
    #[must_use]
    pub fn register(exposition: &Exposition) -> Self {
        let metrics = Self {
            turns: Family::default(),
            turn_duration: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            turns_in_flight: Family::default(),
            resources: Family::default(),
            inventory_objects: Family::default(),
            api_writes: Family::default(),
            api_write_failures: Family::default(),
            effects: Family::default(),
            events_dropped: Family::default(),
            watch_failures: Family::default(),
            leader: Gauge::default(),
        };
        let Self {
            turns,
            turn_duration,
            turns_in_flight,
            resources,
            inventory_objects,
            api_writes,
            api_write_failures,
            effects,
            events_dropped,
            watch_failures,
            leader,
        } = metrics.clone();
        let add = Adding(exposition);
        add.metric("fairway_turns_total", turns);
        add.metric("fairway_turn_duration_seconds", turn_duration);
        add.metric("fairway_turns_in_flight", turns_in_flight);
        add.metric("fairway_resources", resources);
        add.metric("fairway_inventory_objects", inventory_objects);
        add.metric("fairway_api_writes_total", api_writes);
        add.metric("fairway_api_write_failures_total", api_write_failures);
        add.metric("fairway_effects_total", effects);
        add.metric("fairway_events_dropped_total", events_dropped);
        add.metric("fairway_watch_failures_total", watch_failures);
        add.metric("fairway_leader", leader);
        metrics
    }
}

/// Adds metrics with what [`TABLE`] says of them.
struct Adding<'a>(&'a Exposition);

impl Adding<'_> {
    fn metric(&self, name: &str, metric: impl Metric) {
        let help = TABLE.iter().find(|row| row.name == name).map_or("", |row| row.meaning);
        self.0.register(name.trim_end_matches("_total"), help, metric);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Exposition, Metrics, OfEffect, OfFamily, OfKind, OfTurn, OfWatch, OfWrite, TABLE};

    #[test]
    fn the_table_names_exactly_what_is_exported() {
        let exposition = Exposition::default();
        let metrics = Metrics::register(&exposition);
        let s = || "x".to_owned();
        metrics.turns.get_or_create(&OfTurn { family: s(), result: s() }).inc();
        metrics.turn_duration.get_or_create(&OfFamily { family: s() }).observe(1.0);
        metrics.turns_in_flight.get_or_create(&OfFamily { family: s() }).inc();
        metrics.resources.get_or_create(&OfFamily { family: s() }).inc();
        metrics.inventory_objects.get_or_create(&OfKind { family: s(), kind: s() }).inc();
        metrics.api_writes.get_or_create(&OfWrite { family: s(), kind: s(), verb: s() }).inc();
        metrics.api_write_failures.get_or_create(&OfWrite { family: s(), kind: s(), verb: s() }).inc();
        metrics.effects.get_or_create(&OfEffect { family: s(), name: s(), result: s() }).inc();
        metrics.events_dropped.get_or_create(&OfFamily { family: s() }).inc();
        metrics.watch_failures.get_or_create(&OfWatch { watch: s() }).inc();
        let text = exposition.text().expect("text");

        let mut exported = BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            exported.insert((name, kind.to_owned()));
        }
        let told = TABLE.iter().map(|row| (row.name.to_owned(), row.kind.to_owned())).collect();
        assert_eq!(exported, told);
        for row in TABLE {
            assert!(text.contains(row.meaning), "{} says what it means", row.name);
            for label in row.labels.split(',').filter(|label| !label.is_empty()) {
                let sample = text.lines().find(|line| line.starts_with(row.name)).expect("a sample");
                assert!(sample.contains(&format!("{label}=")), "{sample} has {label}");
            }
        }
    }
}
