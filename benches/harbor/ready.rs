//! From the resource to Ready: when each stage stood, as status tells. Touches a sandbox.

use std::time::{Duration, Instant};

use fairway::api::{Harbor, HarborStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::json;

use crate::{
    sandbox::Sandbox,
    support::{Times, head, row},
    wait::{self, seen},
};

/// How long a registry may take.
const READY: Duration = Duration::from_mins(4);
pub(crate) const NAME: &str = "registry";

type Look = fn(&HarborStatus) -> bool;

/// What is waited for, in its order.
const STAGES: [(&str, Look); 6] = [
    ("PostgreSQL and Redis ready", |status| is(status, "DatabaseReady") && is(status, "CacheReady")),
    ("database migrated", |status| is(status, "Migrated")),
    ("core ready", |status| runs(status, |name| name == "core")),
    ("registry, jobservice and portal ready", |status| runs(status, |_| true)),
    ("Healthy, by Harbor's own word", |status| is(status, "Healthy")),
    ("Ready: the front door, too", |status| is(status, "Ready")),
];

/// When each stage stood, since the resource was made.
#[derive(Default)]
pub(crate) struct Stages([Times; STAGES.len()]);

impl Stages {
    pub(crate) fn add(&mut self, round: [Duration; STAGES.len()]) {
        for (times, time) in self.0.iter_mut().zip(round) {
            times.add(time);
        }
    }

    pub(crate) fn ready(&self) -> &Times {
        self.0.last().unwrap()
    }

    pub(crate) fn tell(&self) {
        head(&["stage", "stood after, ms", "of which this stage, s"]);
        let mut before = Duration::ZERO;
        for ((what, _), times) in STAGES.iter().zip(&self.0) {
            let own = times.median().saturating_sub(before).as_secs_f64();
            row(&[(*what).to_owned(), times.cell(), format!("{own:.1}")]);
            before = times.median();
        }
    }
}

/// The smallest registry, behind a `LoadBalancer`, with everything on volumes.
pub(crate) async fn measured(sandbox: &Sandbox) -> [Duration; STAGES.len()] {
    let spec = json!({
        "externalURL": format!("http://{}", host(sandbox)),
        "storage": { "filesystem": { "volume": { "size": "2Gi" } } },
        "deletionPolicy": "Delete",
    });
    let begun = Instant::now();
    sandbox.apply::<Harbor>(json!({ "metadata": { "name": NAME }, "spec": spec })).await;
    let mut stood = [None; STAGES.len()];
    wait::until("the registry to be ready", READY, async || {
        let found = sandbox.api::<Harbor>().get(NAME).await.map_err(|error| error.to_string())?;
        let status = found.status.unwrap_or_default();
        for (stood, (_, look)) in stood.iter_mut().zip(STAGES) {
            if look(&status) {
                stood.get_or_insert_with(|| begun.elapsed());
            }
        }
        seen(stood.iter().all(Option::is_some), || status.waiting_for.clone())
    })
    .await;
    stood.map(Option::unwrap)
}

/// Where clients in the cluster reach it. With a port, like the registry alone: skopeo tries HTTPS first, which is refused
/// at once there, while nobody answers at port 443 of a Service that has none, and it waits for seconds.
pub(crate) fn host(sandbox: &Sandbox) -> String {
    format!("{NAME}-front-lb.{}.svc.cluster.local:8080", sandbox.namespace)
}

/// Waits until nothing of it is left.
pub(crate) async fn gone(sandbox: &Sandbox) {
    wait::until("what it had to go", READY, async || {
        let left = [sandbox.names::<Pod>("").await, sandbox.names::<PersistentVolumeClaim>("").await].concat();
        seen(left.is_empty(), || format!("{left:?}"))
    })
    .await;
}

fn is(status: &HarborStatus, kind: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether all of these components have a pod that is ready.
fn runs(status: &HarborStatus, of: fn(&str) -> bool) -> bool {
    let mut all = status.components.iter().filter(|component| of(&component.name)).peekable();
    all.peek().is_some() && all.all(|component| component.ready_replicas > 0)
}
