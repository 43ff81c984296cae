//! The family of registries.
//!
//! | file | what it decides | what it may touch |
//! |---|---|---|
//! | `observe` | what is read, and what gives a registry a turn | the Kubernetes API, databases, caches and Harbors, reading |
//! | [`world`] | what a plan may depend on | nothing |
//! | [`plan`] | what shall be | nothing |
//! | `effects`, `certificates` | how it is done | Secrets of credentials and certificates, and shared databases and caches, writing |
//! | [`images`] | which images are run | nothing |
//! | [`versions`] | which versions are known, and which can be reached | nothing |
//! | `access` | how what is in a registry finds it and talks to it | the Kubernetes API, reading |
//! | [`project`] | the family of projects in registries | its `observe` and `effects` alone do I/O |
//! | [`robot`] | the family of robots in registries | its `observe` and `effects` alone do I/O |
//! | `report` | the conditions that projects and robots have in common | nothing |
//! | [`credentials`] | what is made up for a registry | the system's randomness |

pub mod access;
mod certificates;
pub mod credentials;
mod effects;
mod error;
mod facts;
pub mod images;
mod names;
mod observe;
pub mod plan;
pub mod project;
mod quantity;
mod report;
pub mod robot;
pub mod versions;
pub mod world;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource,
    api::{ApiResource, DynamicObject},
};

pub use self::{
    error::Error,
    facts::{Fact, JobState},
    names::Component,
};
use self::{
    observe::Observer,
    plan::{Effect, Plan},
    world::{Installation, World},
};
use crate::{
    api::{Harbor, HarborStatus, LoadBalancer},
    reconcile::{Clock, Family, Key, Owned, Scope, Status, Trigger},
    telemetry::Metrics,
};

/// The family of registries.
pub struct Harbors {
    client: Client,
    observer: Observer,
    clock: Clock,
}

impl Harbors {
    /// The family, and what gives its resources a turn besides themselves and what they own.
    #[must_use]
    pub fn new(client: Client, scope: &Scope, installation: Installation, metrics: &Metrics) -> (Self, Vec<Trigger>) {
        let (observer, triggers) = Observer::new(&client, scope, installation, metrics);
        (Self { client, observer, clock: Arc::new(Timestamp::now) }, triggers)
    }

    /// The same, with certificates by another time.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }
}

impl Status for HarborStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.observed_generation
    }
}

impl Family for Harbors {
    const NAME: &'static str = "harbor";
    type Resource = Harbor;
    type Fact = Fact;
    type World = World;
    type Effect = Effect;
    type Status = HarborStatus;
    type Error = Error;

    fn owns() -> Vec<ApiResource> {
        use k8s_openapi::api::{
            apps::v1::{Deployment, StatefulSet},
            batch::v1::Job,
            core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service},
            networking::v1::{Ingress, NetworkPolicy},
            policy::v1::PodDisruptionBudget,
        };
        fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        vec![
            kind::<Secret>(),
            kind::<ConfigMap>(),
            kind::<PersistentVolumeClaim>(),
            kind::<NetworkPolicy>(),
            kind::<PodDisruptionBudget>(),
            kind::<Service>(),
            kind::<StatefulSet>(),
            kind::<Job>(),
            kind::<Deployment>(),
            kind::<Ingress>(),
            kind::<LoadBalancer>(),
            plan::front::certificate_kind(),
        ]
    }

    fn may_be_absent(kind: &ApiResource) -> bool {
        *kind == plan::front::certificate_kind()
    }

    fn fact(object: &DynamicObject) -> Fact {
        facts::fact(object)
    }

    fn status(resource: &Harbor) -> Option<&HarborStatus> {
        resource.status.as_ref()
    }

    async fn observe(&self, resource: &Harbor, owned: &[Owned<Fact>]) -> Result<World, Error> {
        self.observe_world(resource, owned).await
    }

    fn plan(resource: &Harbor, world: &World, now: Timestamp) -> Plan {
        plan::plan(resource, world, now)
    }

    async fn perform(&self, resource: &Harbor, effect: &Effect) -> Result<(), Error> {
        self.perform_effect(resource, effect).await
    }

    fn forget(&self, resource: &Key) {
        self.observer.forget(resource);
    }
}
