//! Planners that are wrong, each in one way that a change of the real one could bring in.

use fairway::{
    agent::kept,
    api::LoadBalancer,
    loadbalancer::{
        plan::{Effect, Plan, objects},
        world::World,
    },
    reconcile::Retained,
};

use crate::planning::production;

/// The Secret holds what is wanted, whatever the pods say.
pub(crate) fn at_once(resource: &LoadBalancer, world: &World) -> Plan {
    let mut plan = production(resource, world);
    let pushed = plan.effects.iter().find_map(|effect| match effect {
        Effect::Push { configuration, .. } => Some(configuration),
        Effect::IssueIdentity { .. } => None,
    });
    let held = plan.objects.iter().any(|object| object.types.as_ref().is_some_and(|types| types.kind == "Secret"));
    if let Some(configuration) = pushed.filter(|_| !held) {
        let data = kept::write(configuration).expect("it fits");
        plan.objects.push(objects::configuration_secret("shop", configuration, &data));
    }
    plan
}

/// What was refused before is not remembered.
pub(crate) fn forgetful(resource: &LoadBalancer, world: &World) -> Plan {
    let mut resource = resource.clone();
    resource.status.iter_mut().for_each(|status| status.conditions.clear());
    production(&resource, world)
}

/// The sequence follows from the status, whatever pods and Secret know.
pub(crate) fn status_alone(resource: &LoadBalancer, world: &World) -> Plan {
    let mut blind = world.clone();
    blind.configuration = None;
    for report in blind.replicas.iter_mut().filter_map(|replica| replica.report.as_mut()?.as_mut().ok()) {
        report.refused = None;
        report.proven.iter_mut().for_each(|proven| proven.sequence = 0);
    }
    let mut plan = production(resource, world);
    let blind = production(resource, &blind);
    plan.effects = blind.effects;
    plan.status = blind.status;
    plan
}

/// What is not planned goes.
pub(crate) fn nothing_retained(resource: &LoadBalancer, world: &World) -> Plan {
    Plan { retained: Retained::These(vec![]), ..production(resource, world) }
}

/// Pods wait for their certificate, also those that are there.
pub(crate) fn certificate_first(resource: &LoadBalancer, world: &World) -> Plan {
    let mut plan = production(resource, world);
    if world.identity.is_none() {
        plan.objects.retain(|object| object.types.as_ref().is_none_or(|types| types.kind != "Deployment"));
    }
    plan
}

/// What the status tells of is not pushed again.
pub(crate) fn pushed_once(resource: &LoadBalancer, world: &World) -> Plan {
    let mut plan = production(resource, world);
    let before = resource.status.as_ref().and_then(|status| status.configuration.as_ref());
    if plan.status.configuration.as_ref() == before {
        plan.effects.retain(|effect| matches!(effect, Effect::IssueIdentity { .. }));
    }
    plan
}
