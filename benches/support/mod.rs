//! What the benches share: times, how they are told, and tables. Every row stands next to the floor that the
//! machine allowed in the same run, so that it holds on a noisy one.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

pub(crate) mod client;
pub(crate) mod fleet;
pub(crate) mod haproxy;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use fairway::{
    agent::protocol::Configuration,
    api::LoadBalancer,
    loadbalancer::{
        plan::{self, objects::read_configuration},
        world::{Identity, World},
    },
};
use jiff::Timestamp;

/// What was measured, once a round.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Measures one act.
    pub(crate) fn time<T>(&mut self, act: impl FnOnce() -> T) {
        let start = Instant::now();
        black_box(act());
        self.add(start.elapsed());
    }

    /// Measures one act that waits.
    pub(crate) async fn wait<T>(&mut self, act: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let value = act.await;
        self.add(start.elapsed());
        value
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred don't exceed.
    pub(crate) fn at(&self, percent: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort();
        times[(times.len() * percent / 100).min(times.len() - 1)]
    }

    pub(crate) fn median(&self) -> Duration {
        self.at(50)
    }

    /// `median / 99th percentile (least to most)`, in ms.
    pub(crate) fn cell(&self) -> String {
        let [least, median, late, most] = [0, 50, 99, 100].map(|percent| milliseconds(self.at(percent)));
        format!("{median} / {late} ({least}–{most})")
    }
}

/// How the cells of [`Times::cell`] are to be read.
pub(crate) const LEGEND: &str = "Median / 99th percentile (least–most) in ms.";

pub(crate) fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 100.0 { format!("{milliseconds:.2}") } else { format!("{milliseconds:.0}") }
}

/// The head of a table.
pub(crate) fn head(columns: &[&str]) {
    println!("| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
}

/// A row of a table.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Tells whether a figure is what it shall be.
pub(crate) fn mark(figure: &str, mark: &str, met: bool) {
    println!("{figure} (mark: {mark}, {})", if met { "met" } else { "missed" });
}

/// The ratio of two medians.
pub(crate) fn ratio(one: &Times, other: &Times) -> String {
    format!("{:.2}", times(one, other))
}

/// How many times the median of one the median of another is.
pub(crate) fn times(one: &Times, other: &Times) -> f64 {
    one.median().as_secs_f64() / other.median().as_secs_f64()
}

/// What a load balancer becomes, in a world that has only what its agents need.
pub(crate) fn rendered(resource: &LoadBalancer) -> Configuration {
    let plan = plan::plan(resource, &world(), Timestamp::UNIX_EPOCH);
    let secret = plan.objects.iter().find(|object| object.types.as_ref().unwrap().kind == "Secret").unwrap();
    read_configuration(&serde_json::from_value(secret.data["data"].clone()).unwrap()).unwrap()
}

pub(crate) fn world() -> World {
    World { identity: Some(Identity { renew: None }), ..World::default() }
}
