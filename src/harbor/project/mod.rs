//! The family of projects in registries.
//!
//! | file | what it decides | what it may touch |
//! |---|---|---|
//! | `observe` | what is read, and what gives a project a turn | the Kubernetes API and Harbor, reading |
//! | [`world`] | what a plan may depend on | nothing |
//! | [`wanted`] | where Harbor differs from the spec, and what mends it | nothing |
//! | [`plan`] | what shall be done, and what is told | nothing |
//! | `effects` | how it is done | Harbor, writing |

mod effects;
mod observe;
pub mod plan;
pub mod wanted;
pub mod world;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client,
    api::{ApiResource, DynamicObject},
};

use self::{observe::Observer, plan::Plan, wanted::Effect, world::World};
use super::{Error, access::Locate};
use crate::{
    api::{HarborProject, HarborProjectStatus},
    reconcile::{Family, Key, Owned, Scope, Status, Trigger},
    telemetry::Metrics,
};

/// The family of projects in registries.
pub struct HarborProjects {
    observer: Observer,
}

impl HarborProjects {
    /// The family, and what gives its resources a turn besides themselves.
    #[must_use]
    pub fn new(client: &Client, scope: &Scope, locate: Locate, metrics: &Metrics) -> (Self, Vec<Trigger>) {
        let (observer, triggers) = Observer::new(client, scope, locate, metrics);
        (Self { observer }, triggers)
    }
}

impl Status for HarborProjectStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.observed_generation
    }
}

impl Family for HarborProjects {
    const NAME: &'static str = "harborproject";
    type Resource = HarborProject;
    type Fact = ();
    type World = World;
    type Effect = Effect;
    type Status = HarborProjectStatus;
    type Error = Error;

    /// A project is in Harbor alone.
    fn owns() -> Vec<ApiResource> {
        vec![]
    }

    fn fact(_: &DynamicObject) {}

    fn status(resource: &HarborProject) -> Option<&HarborProjectStatus> {
        resource.status.as_ref()
    }

    async fn observe(&self, resource: &HarborProject, _: &[Owned<()>]) -> Result<World, Error> {
        Ok(self.observer.world(resource).await)
    }

    fn plan(resource: &HarborProject, world: &World, now: Timestamp) -> Plan {
        plan::plan(resource, world, now)
    }

    async fn perform(&self, resource: &HarborProject, effect: &Effect) -> Result<(), Error> {
        self.perform_effect(resource, effect).await
    }

    fn forget(&self, resource: &Key) {
        self.observer.forget(resource);
    }
}

/// What a project is called in Harbor.
#[must_use]
pub fn name(resource: &HarborProject) -> &str {
    let own = resource.metadata.name.as_deref().unwrap_or_default();
    resource.spec.project_name.as_deref().unwrap_or(own)
}
