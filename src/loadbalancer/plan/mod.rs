//! What a load balancer needs next: parse, look up, configure, build, report. Pure: the time is an
//! argument, and the same input gives the same plan.

mod certificate;
pub mod configuration;
pub mod objects;
pub mod parse;
pub mod references;
pub mod report;
mod settings;

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::api::DynamicObject;

use self::{configuration::Wanted, parse::Spec, references::ReferenceError, report::Findings, settings::Settings};
use crate::{
    agent::kept::{self, Data},
    api::{ExposureKind, LoadBalancer},
    loadbalancer::{
        names,
        world::{Replica, World},
    },
    reconcile::family::{self, Finalizer, Retained},
};

pub use settings::LAYOUT;

/// How soon to look again after a certificate was issued: the watch tells of it in milliseconds.
const SOON: Duration = Duration::from_millis(20);
/// How soon to look again when an agent has neither proven nor refused what it was given.
const UNDECIDED: Duration = Duration::from_secs(1);
/// How soon what was refused is asked again: the cause may be gone.
const REFUSED: Duration = Duration::from_secs(15);
/// How soon to look again while replicas are behind. Watches and reports tell what happens; this is for what
/// nobody tells.
const BEHIND: Duration = Duration::from_secs(30);
/// How soon to look again when all is well: certificates grow old.
const REST: Duration = Duration::from_mins(10);

/// What a load balancer needs beyond Kubernetes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Issue the agents' certificate and keep it in its Secret.
    IssueIdentity {
        /// Why now.
        why: String,
    },
    /// Hand a configuration to an agent.
    Push {
        /// The pod.
        pod: String,
        /// Its address.
        address: IpAddr,
        /// What it shall run.
        configuration: Arc<Wanted>,
        /// Why now.
        why: String,
    },
}

impl family::Effect for Effect {
    fn name(&self) -> &'static str {
        match self {
            Self::IssueIdentity { .. } => "IssueIdentity",
            Self::Push { .. } => "Push",
        }
    }

    fn why(&self) -> String {
        match self {
            Self::IssueIdentity { why } | Self::Push { why, .. } => why.clone(),
        }
    }

    fn routine(&self) -> bool {
        matches!(self, Self::Push { .. })
    }
}

/// The plan of a load balancer.
pub type Plan = family::Plan<Effect, crate::api::LoadBalancerStatus>;

/// Whether something that the spec names can't be used, so that what served before has to be known.
#[must_use]
pub fn needs_last_good(resource: &LoadBalancer, world: &World) -> bool {
    parse::parse(&resource.spec).is_ok_and(|spec| {
        let references = references::resolve(&spec, resource.spec.class_name.as_deref(), world);
        references.errors.iter().any(ReferenceError::keeps_what_was)
    })
}

/// Decides what a load balancer needs next.
#[must_use]
pub fn plan(resource: &LoadBalancer, world: &World, now: Timestamp) -> Plan {
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    let settings = Settings::merge(&resource.spec, world.class.as_ref());
    let mut spec = match parse::parse(&resource.spec) {
        Ok(spec) => spec,
        Err(error) => return rejected(resource, world, &settings, ("Invalid", error.to_string()), now),
    };
    let mut references = references::resolve(&spec, resource.spec.class_name.as_deref(), world);
    references::fall_back(&mut spec, &mut references, world.last_good.as_ref());
    let files = configuration::files(&spec, &references);
    let before = resource.status.as_ref().and_then(|status| status.configuration.as_ref());
    let wanted = Arc::new(configuration::sequenced(files, before, world));
    let kept = match kept::write(&wanted) {
        Ok(kept) => kept,
        Err(error) => return rejected(resource, world, &settings, ("TooLarge", error.to_string()), now),
    };
    let findings = Findings {
        refusal: None,
        spec: Some(&spec),
        references: Some(&references),
        wanted: Some(&wanted),
        exposure: settings.exposure.kind,
    };
    let (status, events) = report::report(resource, world, &findings, now);
    let effects = effects(world, &wanted);
    let class_missing = references.errors.iter().any(|error| matches!(error, ReferenceError::ClassNotFound(_)));
    let settled = status.replicas == status.proven_replicas && status.replicas == settings.replicas;
    Plan {
        finalizer: Finalizer::Released,
        objects: objects(resource, world, &spec, &settings, (&wanted, &kept), class_missing),
        retained: if class_missing {
            // Without its class it is not known what the pods shall be like: they stay as they are.
            Retained::All
        } else {
            Retained::These(vec![
                // What works stays until a replica has proven what is new.
                ("Secret", names::configuration_secret(name)),
                // It is issued, not planned.
                ("Secret", names::identity_secret(name)),
            ])
        },
        again: again(world, &effects, settled),
        effects,
        events,
        status,
    }
}

/// Nothing is touched; what serves serves on.
fn rejected(
    resource: &LoadBalancer,
    world: &World,
    settings: &Settings,
    refusal: (&'static str, String),
    now: Timestamp,
) -> Plan {
    let findings = Findings {
        refusal: Some(refusal),
        spec: None,
        references: None,
        wanted: None,
        exposure: settings.exposure.kind,
    };
    let (status, events) = report::report(resource, world, &findings, now);
    Plan {
        finalizer: Finalizer::Released,
        objects: vec![],
        retained: Retained::All,
        effects: identity_effect(world).into_iter().collect(),
        events,
        status,
        again: REST,
    }
}

fn objects(
    resource: &LoadBalancer,
    world: &World,
    spec: &Spec,
    settings: &Settings,
    (wanted, kept): (&Wanted, &Data<'_>),
    class_missing: bool,
) -> Vec<DynamicObject> {
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    let mut planned = vec![];
    if keeps_configuration(resource, world, wanted) {
        planned.push(objects::configuration_secret(name, wanted, kept));
    }
    if class_missing {
        return planned;
    }
    planned.push(objects::service_account(name));
    planned.push(objects::network_policy(name, spec, &world.installation));
    planned.push(objects::disruption_budget(name));
    if settings.exposure.kind == ExposureKind::Service {
        planned.push(objects::service(name, spec, &settings.exposure.service.clone().unwrap_or_default()));
    }
    // Pods wait for the Secret with their certificate, and longer each time: it comes first.
    if world.identity.is_some() || world.pins.is_some() {
        let pins = settings.pins(world.pins.as_ref(), &world.installation);
        planned.push(objects::deployment(name, settings, &pins));
    }
    planned
}

/// Whether the Secret that pods boot from shall hold what is wanted: at once where no pod could say that
/// it refuses it and none has said so before, else as soon as one has proven it. So what HAProxy refuses
/// never replaces what works.
fn keeps_configuration(resource: &LoadBalancer, world: &World, wanted: &Wanted) -> bool {
    let hash = wanted.hash();
    let held = world.configuration.as_ref();
    let mut answering = world.replicas.iter().filter(|replica| replica.answer().is_some()).peekable();
    held.is_none_or(|held| held.hash == hash)
        || answering.peek().is_none() && report::refused_before(resource, hash).is_none()
        || answering.any(|replica| replica.proven() == Some(hash))
}

fn effects(world: &World, wanted: &Arc<Wanted>) -> Vec<Effect> {
    let hash = wanted.hash();
    let pushes = world.replicas.iter().filter(|replica| !replica.deleting).filter_map(|replica| {
        let report = replica.answer()?;
        let why = match &report.proven {
            Some(proven) if proven.hash == hash => return None,
            Some(proven) => format!("the replica runs {} and shall run {}", short(&proven.hash), short(hash)),
            None => format!("the replica runs nothing and shall run {}", short(hash)),
        };
        Some(Effect::Push {
            pod: replica.pod.clone(),
            address: replica.address?,
            configuration: Arc::clone(wanted),
            why,
        })
    });
    identity_effect(world).into_iter().chain(pushes).collect()
}

fn identity_effect(world: &World) -> Option<Effect> {
    let why = match &world.identity {
        None => "the agents have no certificate".to_owned(),
        Some(identity) => identity.renew.clone()?,
    };
    Some(Effect::IssueIdentity { why })
}

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// How soon to look again.
fn again(world: &World, effects: &[Effect], settled: bool) -> Duration {
    let again = |effect: &Effect| match effect {
        Effect::IssueIdentity { .. } => SOON,
        Effect::Push { pod, configuration, .. } => {
            let replica = world.replicas.iter().find(|replica| replica.pod == *pod);
            let refused = replica.is_some_and(|replica| refuses(replica, configuration.hash()));
            if refused { REFUSED } else { UNDECIDED }
        }
    };
    let rest = if settled { REST } else { BEHIND };
    effects.iter().map(again).min().unwrap_or(rest)
}

/// Whether a replica was asked for this configuration and said no.
fn refuses(replica: &Replica, hash: &str) -> bool {
    replica.answer().and_then(|report| report.refused.as_ref()).is_some_and(|refused| refused.hash == hash)
}
