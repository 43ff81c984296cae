//! A family for tests: a `Buoy` says in its spec what its plan holds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fairway::reconcile::{self, Event, Failure, Family, Finalizer, KEEP, Key, Owned, Plan, Retained, Retry};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    CustomResource, Resource,
    api::{ApiResource, DynamicObject},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

/// What a buoy's plan holds.
#[derive(CustomResource, Clone, Debug, Default, Serialize, Deserialize)]
#[kube(
    group = "test.fairway.dev",
    version = "v1",
    kind = "Buoy",
    namespaced,
    status = "BuoyStatus",
    schema = "disabled"
)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BuoySpec {
    /// `ConfigMap`s, and what is in them.
    pub(crate) configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets that are never pruned.
    pub(crate) kept: Vec<String>,
    /// Whether deletion waits until the family is told that it is drained.
    pub(crate) hold: bool,
    /// Effects, by what they are for; `fail` fails.
    pub(crate) effects: Vec<String>,
    /// An event.
    pub(crate) event: Option<String>,
    /// What the status says.
    pub(crate) word: Option<String>,
    /// `ConfigMap`s that stay as they are; `*` for everything.
    pub(crate) retained: Vec<String>,
    /// Whether the plan panics.
    pub(crate) panic: bool,
}

/// What users read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuoyStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    #[serde(default)]
    pub(crate) conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) word: Option<String>,
}

impl reconcile::Status for BuoyStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.observed_generation
    }
}

/// The family, and what a test does with it; clones share it.
#[derive(Clone)]
pub(crate) struct Buoys {
    /// Whether a held buoy may go.
    pub(crate) drained: Arc<AtomicBool>,
    /// How often an observation fails from now on.
    pub(crate) failures: Arc<AtomicUsize>,
    /// When each observation began.
    pub(crate) observed: Arc<Mutex<Vec<tokio::time::Instant>>>,
    /// Effects that were performed.
    pub(crate) performed: Arc<Mutex<Vec<String>>>,
    /// Buoys that were to be forgotten.
    pub(crate) forgotten: Arc<Mutex<Vec<String>>>,
    /// How many observations may go on; a test takes permits away to hold turns up.
    pub(crate) gate: Arc<Semaphore>,
    /// How many observations are at the gate or beyond it now.
    pub(crate) inside: Arc<AtomicUsize>,
}

impl Default for Buoys {
    fn default() -> Self {
        Self {
            drained: Arc::default(),
            failures: Arc::default(),
            observed: Arc::default(),
            performed: Arc::default(),
            forgotten: Arc::default(),
            gate: Arc::new(Semaphore::new(1000)),
            inside: Arc::default(),
        }
    }
}

/// What was observed.
pub(crate) struct World {
    drained: bool,
}

/// An effect by what it is for.
#[derive(Debug, PartialEq)]
pub(crate) struct Ring(String);

impl reconcile::Effect for Ring {
    fn name(&self) -> &'static str {
        "Ring"
    }

    fn why(&self) -> String {
        self.0.clone()
    }
}

/// What goes wrong at sea.
#[derive(Debug, thiserror::Error)]
#[error("the sea is rough")]
pub(crate) struct Rough;

impl Failure for Rough {
    fn reason(&self) -> &'static str {
        "Rough"
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

impl Buoys {
    /// What was to be forgotten, since the last call.
    pub(crate) fn forgotten(&self) -> Vec<String> {
        std::mem::take(&mut self.forgotten.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When each observation began, since the last call.
    pub(crate) fn observations(&self) -> Vec<tokio::time::Instant> {
        std::mem::take(&mut self.observed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Family for Buoys {
    const NAME: &'static str = "buoy";
    type Resource = Buoy;
    type Fact = ();
    type World = World;
    type Effect = Ring;
    type Status = BuoyStatus;
    type Error = Rough;

    fn owns() -> Vec<ApiResource> {
        vec![ApiResource::erase::<ConfigMap>(&()), ApiResource::erase::<Secret>(&())]
    }

    fn fact(_: &DynamicObject) {}

    fn status(resource: &Buoy) -> Option<&BuoyStatus> {
        resource.status.as_ref()
    }

    async fn observe(&self, _: &Buoy, _: &[Owned<()>]) -> Result<World, Rough> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).push(tokio::time::Instant::now());
        self.inside.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await.expect("a gate");
        self.inside.fetch_sub(1, Ordering::SeqCst);
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(Rough);
        }
        Ok(World { drained: self.drained.load(Ordering::SeqCst) })
    }

    fn plan(resource: &Buoy, world: &World, now: Timestamp) -> Plan<Ring, BuoyStatus> {
        let spec = &resource.spec;
        assert!(!spec.panic, "the buoy tipped over");
        let leaving = resource.meta().deletion_timestamp.is_some();
        let generation = resource.meta().generation;
        let afloat = reconcile::conditions::condition("Afloat", true, "Afloat", "", generation, now);
        Plan {
            finalizer: if spec.hold && !(leaving && world.drained) { Finalizer::Held } else { Finalizer::Released },
            objects: if leaving { vec![] } else { objects(spec) },
            retained: retained(spec),
            effects: spec.effects.iter().cloned().map(Ring).collect(),
            events: spec
                .event
                .iter()
                .map(|note| Event { reason: "Said", warning: false, note: note.clone() })
                .collect(),
            status: BuoyStatus { observed_generation: None, conditions: vec![afloat], word: spec.word.clone() },
            again: Duration::from_secs(15),
        }
    }

    fn forget(&self, buoy: &Key) {
        let name = format!("{}/{}", buoy.namespace(), buoy.name());
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    async fn perform(&self, _: &Buoy, effect: &Ring) -> Result<(), Rough> {
        if effect.0 == "fail" {
            return Err(Rough);
        }
        self.performed.lock().unwrap_or_else(PoisonError::into_inner).push(effect.0.clone());
        Ok(())
    }
}

fn objects(spec: &BuoySpec) -> Vec<DynamicObject> {
    let configs = spec
        .configs
        .iter()
        .map(|(name, data)| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}));
    let kept = spec.kept.iter().map(|name| {
        let metadata = json!({"name": name, "labels": {KEEP: "true"}});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"key": "a2V5"}})
    });
    configs.chain(kept).map(|object| serde_json::from_value(object).expect("an object")).collect()
}

fn retained(spec: &BuoySpec) -> Retained {
    if spec.retained.iter().any(|name| name == "*") {
        return Retained::All;
    }
    Retained::These(spec.retained.iter().map(|name| ("ConfigMap", name.clone())).collect())
}
