//! The family of load balancers.
//!
//! | file | what it decides | what it may touch |
//! |---|---|---|
//! | `observe` | what is read, and what gives a load balancer a turn | the Kubernetes API and agents, reading |
//! | [`world`] | what a plan may depend on | nothing |
//! | [`plan`] | what shall be | nothing |
//! | [`config`] | how it is said to HAProxy | nothing |
//! | `effects` | how it is done | the Kubernetes API and agents, writing |
//! | `rollouts` | whether the operator may be upgraded now | nothing |
//! | `interests` | which load balancers a change elsewhere is for | nothing |

pub mod config;
mod effects;
mod error;
mod facts;
mod interests;
mod names;
mod observe;
pub mod plan;
mod rollouts;
pub mod world;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource,
    api::{ApiResource, DynamicObject},
};
use tokio::sync::watch;

pub use self::{error::Error, facts::Fact};
use self::{
    observe::Observer,
    plan::{Effect, Plan},
    rollouts::Rollouts,
    world::{Installation, World},
};
use crate::{
    api::{LoadBalancer, LoadBalancerStatus},
    authority::AuthorityHandle,
    clients::agent::AgentClient,
    reconcile::{Busy, Family, Key, Owned, Scope, Status, Trigger},
    telemetry::Metrics,
};

/// The family of load balancers.
pub struct LoadBalancers {
    client: Client,
    agents: AgentClient,
    authority: AuthorityHandle,
    observer: Observer,
    rollouts: Rollouts,
}

impl LoadBalancers {
    /// The family, and what gives its resources a turn besides themselves and what they own.
    #[must_use]
    pub fn new(
        client: Client,
        scope: &Scope,
        authority: AuthorityHandle,
        installation: Installation,
        metrics: &Metrics,
    ) -> (Self, Vec<Trigger>) {
        let agents = AgentClient::new(authority.clone());
        let (observer, triggers) = Observer::new(&client, agents.clone(), scope, installation, metrics);
        (Self { client, agents, authority, observer, rollouts: Rollouts::default() }, triggers)
    }
}

impl LoadBalancers {
    /// Whether something is under way that an upgrade of the operator must not interrupt.
    #[must_use]
    pub fn busy(&self) -> watch::Receiver<Option<Busy>> {
        self.rollouts.busy()
    }
}

impl Status for LoadBalancerStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.observed_generation
    }
}

impl Family for LoadBalancers {
    const NAME: &'static str = "loadbalancer";
    type Resource = LoadBalancer;
    type Fact = Fact;
    type World = World;
    type Effect = Effect;
    type Status = LoadBalancerStatus;
    type Error = Error;

    fn owns() -> Vec<ApiResource> {
        use k8s_openapi::api::{
            apps::v1::Deployment,
            core::v1::{Secret, Service, ServiceAccount},
            networking::v1::NetworkPolicy,
            policy::v1::PodDisruptionBudget,
        };
        fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        vec![
            kind::<Secret>(),
            kind::<ServiceAccount>(),
            kind::<NetworkPolicy>(),
            kind::<PodDisruptionBudget>(),
            kind::<Service>(),
            kind::<Deployment>(),
        ]
    }

    fn fact(object: &DynamicObject) -> Fact {
        facts::fact(object)
    }

    fn status(resource: &LoadBalancer) -> Option<&LoadBalancerStatus> {
        resource.status.as_ref()
    }

    async fn observe(&self, resource: &LoadBalancer, owned: &[Owned<Fact>]) -> Result<World, Error> {
        self.observe_world(resource, owned).await
    }

    fn plan(resource: &LoadBalancer, world: &World, now: Timestamp) -> Plan {
        plan::plan(resource, world, now)
    }

    async fn perform(&self, resource: &LoadBalancer, effect: &Effect) -> Result<(), Error> {
        self.perform_effect(resource, effect).await
    }

    fn forget(&self, resource: &Key) {
        self.observer.selections.forget(resource);
        self.rollouts.set(resource.clone(), false);
    }
}
