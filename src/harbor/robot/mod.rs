//! The family of robots in registries.
//!
//! | file | what it decides | what it may touch |
//! |---|---|---|
//! | `observe` | what is read, and what gives a robot a turn | the Kubernetes API and Harbor, reading |
//! | [`world`] | what a plan may depend on | nothing |
//! | [`secret`] | what the Secret of a robot holds | nothing |
//! | [`wanted`] | where Harbor differs from the spec | nothing |
//! | [`plan`] | what shall be done, and what is told | nothing |
//! | `effects` | how it is done | Harbor and the robot's Secret, writing |
//!
//! Harbor keeps one secret of a robot and tells it once. So the secret is chosen here: it is kept as `next` in the
//! Secret first, then set in Harbor, then moved to where pods read it. Whatever comes between, nothing is lost.

mod effects;
mod observe;
pub mod plan;
pub mod secret;
pub mod wanted;
pub mod world;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Client,
    api::{ApiResource, DynamicObject},
};

use self::{
    observe::Observer,
    plan::{Effect, Plan},
    secret::PullSecret,
    world::World,
};
use super::{Error, access::Locate};
use crate::{
    api::{HarborRobot, HarborRobotStatus},
    reconcile::{Family, Key, Owned, Scope, Status, Trigger},
    telemetry::Metrics,
};

/// The family of robots in registries.
pub struct HarborRobots {
    client: Client,
    observer: Observer,
}

impl HarborRobots {
    /// The family, and what gives its resources a turn besides themselves and what they own.
    #[must_use]
    pub fn new(client: Client, scope: &Scope, locate: Locate, metrics: &Metrics) -> (Self, Vec<Trigger>) {
        let (observer, triggers) = Observer::new(&client, scope, locate, metrics);
        (Self { client, observer }, triggers)
    }
}

impl Status for HarborRobotStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.observed_generation
    }
}

impl Family for HarborRobots {
    const NAME: &'static str = "harborrobot";
    type Resource = HarborRobot;
    type Fact = PullSecret;
    type World = World;
    type Effect = Effect;
    type Status = HarborRobotStatus;
    type Error = Error;

    fn owns() -> Vec<ApiResource> {
        vec![ApiResource::erase::<Secret>(&())]
    }

    fn fact(object: &DynamicObject) -> PullSecret {
        PullSecret::of(object)
    }

    fn status(resource: &HarborRobot) -> Option<&HarborRobotStatus> {
        resource.status.as_ref()
    }

    async fn observe(&self, resource: &HarborRobot, owned: &[Owned<PullSecret>]) -> Result<World, Error> {
        Ok(self.observer.world(resource, owned).await)
    }

    fn plan(resource: &HarborRobot, world: &World, now: Timestamp) -> Plan {
        plan::plan(resource, world, now)
    }

    async fn perform(&self, resource: &HarborRobot, effect: &Effect) -> Result<(), Error> {
        self.perform_effect(resource, effect).await
    }

    fn forget(&self, resource: &Key) {
        self.observer.forget(resource);
    }
}

/// What a robot is called in Harbor, without its prefix and its project.
#[must_use]
pub fn name(resource: &HarborRobot) -> &str {
    let own = resource.metadata.name.as_deref().unwrap_or_default();
    resource.spec.robot_name.as_deref().unwrap_or(own)
}

/// The name of the Secret with a robot's credentials.
#[must_use]
pub fn secret_name(resource: &HarborRobot) -> String {
    let given = resource.spec.pull_secret.as_ref().and_then(|secret| secret.name.clone());
    given.unwrap_or_else(|| format!("{}-pull", resource.metadata.name.as_deref().unwrap_or_default()))
}
