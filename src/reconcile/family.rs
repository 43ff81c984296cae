//! The three questions that the engine asks about a kind of custom resource, and the plan that answers
//! them. Nothing here does I/O.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource,
    api::{ApiResource, DynamicObject},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};

use super::watch::Key;

/// A kind of custom resource and what the engine asks about it.
pub trait Family: Send + Sync + 'static {
    /// In labels, logs and metrics: lower case, such as `loadbalancer`.
    const NAME: &'static str;

    /// The custom resource.
    type Resource: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static;
    /// What `observe` wants to know of an owned object; extracted as the object arrives, so that
    /// caches stay small.
    type Fact: Clone + Debug + Send + Sync + 'static;
    /// All that a plan may depend on, read in one go; plain data.
    type World: Send + Sync;
    /// Acts beyond Kubernetes objects, each idempotent, since it may run again after a crash.
    type Effect: Effect;
    /// What users read.
    type Status: Status;
    /// What may go wrong while observing or performing.
    type Error: Failure;

    /// The kinds that a plan's objects may be of. They are watched (narrowed by label), compared and
    /// pruned.
    fn owns() -> Vec<ApiResource>;

    /// Whether a cluster may not know one of the kinds that are owned: it is watched as soon as it is known, and
    /// nothing waits for that. The family plans no object of it before.
    #[must_use]
    fn may_be_absent(_kind: &ApiResource) -> bool {
        false
    }

    /// What to remember of an owned object, which says of what kind it is.
    fn fact(object: &DynamicObject) -> Self::Fact;

    /// The status that is written on the resource now.
    fn status(resource: &Self::Resource) -> Option<&Self::Status>;

    /// Reads the world; there are no other reads. `owned` is what the resource owns today.
    fn observe(
        &self,
        resource: &Self::Resource,
        owned: &[Owned<Self::Fact>],
    ) -> impl Future<Output = Result<Self::World, Self::Error>> + Send;

    /// Decides, without I/O and without a clock: the same input gives the same plan.
    fn plan(resource: &Self::Resource, world: &Self::World, now: Timestamp) -> Plan<Self::Effect, Self::Status>;

    /// Performs one effect.
    fn perform(
        &self,
        resource: &Self::Resource,
        effect: &Self::Effect,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Drops what the family remembers of a resource that is gone.
    fn forget(&self, _resource: &Key) {}
}

/// An object that belongs to the resource, as last seen.
#[derive(Clone, Debug)]
pub struct Owned<Fact> {
    /// Such as `Deployment`.
    pub kind: String,
    /// Its name, in the resource's namespace.
    pub name: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether the resource is its owner, and not only what it belongs to by its labels.
    pub controlled: bool,
    /// What the family remembers of it.
    pub fact: Arc<Fact>,
}

/// What one turn is to do, in this order: finalizer, objects, prune, effects, events, status.
#[derive(Debug)]
pub struct Plan<E, S> {
    /// Whether deletion has to wait for the family.
    pub finalizer: Finalizer,
    /// Objects that shall exist, in the order in which they are applied; what the resource owns and is
    /// neither named here nor retained is pruned. While the resource is being deleted nothing is pruned:
    /// the garbage collector sees to that. The engine adds namespace, owner reference and the labels by which it
    /// knows them; with [`KEEP`](super::KEEP) at `"true"` an object has no owner reference and is never
    /// pruned.
    pub objects: Vec<DynamicObject>,
    /// What stays as it is though no object of it is planned.
    pub retained: Retained,
    /// What to do beyond objects. They do not wait for each other: some are performed at a time, and
    /// that one fails keeps none of the others from being performed. When all have succeeded, the turn
    /// observes and plans once more, before it writes the status; an effect that is planned again just as
    /// it was performed waits for another turn, which `again` or a trigger has to bring about.
    pub effects: Vec<E>,
    /// What to tell the user, told also if execution fails. One that is planned in every turn is told
    /// once. (The engine itself tells of each effect that was performed and is not routine, and of errors.)
    pub events: Vec<Event>,
    /// Computed from what was observed, never from what is about to be done. The engine adds the
    /// condition `Reconciled` and the observed generation, and gives conditions whose status is what it
    /// was their time back.
    pub status: S,
    /// When to look again if nothing changes.
    pub again: Duration,
}

/// What of the resource's objects stays as it is though it is not planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retained {
    /// These, by kind and name.
    These(Vec<(&'static str, String)>),
    /// All: nothing is pruned, since it is not known what shall be.
    All,
}

impl Retained {
    /// Whether an object of this kind and name stays.
    #[must_use]
    pub fn holds(&self, kind: &str, name: &str) -> bool {
        match self {
            Self::These(these) => these.iter().any(|(of, one)| *of == kind && one == name),
            Self::All => true,
        }
    }
}

/// Whether the resource's deletion waits for the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finalizer {
    /// Nothing to wait for; one of ours that is there is taken away.
    Released,
    /// Deletion waits until a later plan releases it.
    Held,
}

/// Something that a user should read in `kubectl describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `UpperCamelCase`, the same word as in the condition it belongs to.
    pub reason: &'static str,
    /// Whether somebody has to do something.
    pub warning: bool,
    /// What happened, and what to do.
    pub note: String,
}

/// An act beyond Kubernetes objects.
pub trait Effect: Debug + PartialEq + Send + Sync {
    /// What is done, as a label value: `UpperCamelCase`, such as `Push`.
    fn name(&self) -> &'static str;
    /// Why it is done, in words for condition, event and log; no secret.
    fn why(&self) -> String;
    /// Whether it is what always follows a change, so that users need not be told.
    fn routine(&self) -> bool {
        false
    }
}

/// What every status has.
pub trait Status: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The conditions, one a type.
    fn conditions(&mut self) -> &mut Vec<Condition>;
    /// The generation that was last planned and executed without an error.
    fn observed_generation(&mut self) -> &mut Option<i64>;
}

/// An error of a family.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// `UpperCamelCase`, for condition, event and metric.
    fn reason(&self) -> &'static str;
    /// When it is worth trying again.
    fn retry(&self) -> Retry;
    /// Whether it is no more than that the resource's namespace is being deleted, as
    /// [`namespace_terminates`](super::namespace_terminates) tells: nobody has to hear of that.
    fn namespace_terminates(&self) -> bool {
        false
    }
}

/// When a failed turn is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only when something changes.
    Terminal,
    /// Soon, then later and later.
    Backoff,
    /// After this long.
    After(Duration),
}
