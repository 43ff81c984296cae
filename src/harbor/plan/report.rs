//! What the user reads: status and events, computed from what was observed. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    Context, administrator, front, rollout,
    stages::{Stages, front_stands, others},
    storage,
    usage::usage,
};
use crate::{
    api::{ComponentStatus, ConnectionBudget, Harbor, HarborStatus, ServerKind},
    clients::redis::CANNOT_SAVE,
    harbor::{
        Fact,
        names::{self, Component},
        world::{Problem, World},
    },
    reconcile::{
        Event,
        conditions::{bounded, condition, settle},
    },
};

/// The types of condition, in their order.
pub const ACCEPTED: &str = "Accepted";
/// Whether all that the spec names can be used.
pub const RESOLVED: &str = "ResolvedRefs";
/// Whether the database stands.
pub const DATABASE: &str = "DatabaseReady";
/// Whether the cache stands.
pub const CACHE: &str = "CacheReady";
/// Whether the database is that of the version.
pub const MIGRATED: &str = "Migrated";
/// Whether images can be written to where they are kept.
pub const STORAGE: &str = "StorageReady";
/// Whether volumes are as they were asked for; only where they are not.
pub const VOLUMES: &str = "VolumesAsAsked";
/// Whether Harbor's own settings are as they were asked for; only where some were.
pub const CONFIGURED: &str = "Configured";
/// Whether the administrator's password works, and is the one that was asked for.
pub const ADMINISTRATOR: &str = "AdministratorReady";
/// Whether all pods are those that spec and class ask for.
pub const ROLLED_OUT: &str = "RolledOut";
/// What Harbor says of itself.
pub const HEALTHY: &str = "Healthy";
/// Whether clients can push and pull.
pub const READY: &str = "Ready";

/// Characters of a component's message.
const MESSAGE: usize = 256;
/// Reasons of verdicts that are bad only because something is under way.
const UNDER_WAY: [&str; 16] = [
    "Asking",
    "CertificateNotReady",
    "Certificates",
    "ChangingPassword",
    "Claiming",
    "Credentials",
    "Deleting",
    "Ensuring",
    "LoadBalancerNotReady",
    "Migrating",
    "NotAsked",
    "NotMigrated",
    "Paused",
    "RollingOut",
    "Starting",
    "Waiting",
];

/// Reasons of stages whose program does not run, or to no purpose.
const DOWN: [&str; 5] = [CANNOT_SAVE, "DatabaseEmpty", "Starting", "VolumeFull", "VolumeLost"];

/// What the plan found, for the report.
pub struct Findings<'a> {
    /// Why the spec can't be followed.
    refusal: Option<Problem>,
    /// What it names that can't be used.
    unresolved: Option<Problem>,
    /// What is waited for before there is a context.
    waiting: Option<Problem>,
    /// What was there and is gone, by condition.
    lost: Vec<(&'static str, Problem)>,
    planned: Option<(&'a Context<'a>, &'a Stages, ConnectionBudget)>,
}

impl<'a> Findings<'a> {
    /// The spec can't be followed.
    pub(super) fn refused(problem: Problem) -> Self {
        Self { refusal: Some(problem), ..Self::nothing() }
    }

    /// Something that it names can't be used.
    pub(super) fn unresolved(problem: Problem) -> Self {
        Self { unresolved: Some(problem), ..Self::nothing() }
    }

    /// Something has to come first.
    pub(super) fn waiting(problem: Problem) -> Self {
        Self { waiting: Some(problem), ..Self::nothing() }
    }

    /// Data is gone.
    pub(super) fn lost(lost: Vec<(&'static str, Problem)>) -> Self {
        Self { lost, ..Self::nothing() }
    }

    /// All is planned, as far as it stands.
    pub(super) fn planned(context: &'a Context<'a>, stages: &'a Stages, budget: ConnectionBudget) -> Self {
        Self { planned: Some((context, stages, budget)), ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self { refusal: None, unresolved: None, waiting: None, lost: vec![], planned: None }
    }

    /// What keeps the registry from being made as it shall be.
    fn obstacle(&self) -> Option<&Problem> {
        self.refusal.as_ref().or(self.unresolved.as_ref()).or(self.waiting.as_ref())
    }
}

/// The status, and what to tell of what has changed.
#[must_use]
pub fn report(resource: &Harbor, world: &World, findings: &Findings<'_>, now: Timestamp) -> (HarborStatus, Vec<Event>) {
    let before = resource.status.clone().unwrap_or_default();
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    let verdicts = verdicts(resource, world, findings, &before);
    let events = verdicts.iter().filter_map(|verdict| event(verdict, &before.conditions)).collect();
    let mut conditions: Vec<Condition> = verdicts
        .iter()
        .map(|(kind, verdict)| {
            let (good, reason, message) = match verdict {
                Ok(message) => (true, *kind, message.as_str()),
                Err(problem) => (false, problem.reason, problem.message.as_str()),
            };
            condition(kind, good, reason, message, resource.metadata.generation, now)
        })
        .collect();
    if findings.planned.is_none() {
        // What nobody has looked at now is as it was.
        let known = before
            .conditions
            .iter()
            .filter(|known| [DATABASE, CACHE, MIGRATED, STORAGE, ROLLED_OUT].contains(&known.type_.as_str()))
            .filter(|known| !findings.lost.iter().any(|(kind, _)| *kind == known.type_));
        conditions.extend(known.cloned());
    }
    settle(&mut conditions, &before.conditions);
    let mut status = HarborStatus { conditions, url: resource.spec.external_url.clone(), ..before };
    if world.credentials.is_some() {
        status.credentials_secret_name = names::credentials(name);
    }
    let ready = verdicts.iter().find(|(kind, _)| *kind == READY).and_then(|(_, verdict)| verdict.as_ref().err());
    status.waiting_for = ready.map(|problem| bounded(&problem.message, MESSAGE)).unwrap_or_default();
    if let Some((context, stages, budget)) = findings.planned {
        context.version.clone_into(&mut status.version);
        if !context.version.is_empty() && !stages.moving {
            context.database.clone_into(&mut status.database);
        }
        status.connections = Some(budget);
        status.redis_databases = context.references.cache.databases;
        status.components = components(context);
        status.storage = Some(usage(context, status.storage.as_ref()));
    }
    (status, events)
}

type Verdict = (&'static str, Result<String, Problem>);

fn verdicts(resource: &Harbor, world: &World, findings: &Findings<'_>, before: &HarborStatus) -> Vec<Verdict> {
    let accepted = findings.refusal.clone().map_or_else(
        || Ok("the spec is followed".to_owned()),
        |problem| Err(Problem::new(problem.reason, format!("{}; until then what runs runs on", problem.message))),
    );
    let resolved = findings.unresolved.clone().map_or_else(
        || Ok("all that the spec names is there".to_owned()),
        |problem| Err(Problem::new(problem.reason, format!("{}; until then what runs runs on", problem.message))),
    );
    let resolved = findings
        .planned
        .map_or(resolved.clone(), |(context, ..)| resolved.and_then(|words| front::issued(context).map(|()| words)));
    let mut verdicts = vec![(ACCEPTED, accepted), (RESOLVED, resolved)];
    verdicts.extend(findings.lost.iter().map(|(kind, problem)| (*kind, Err(problem.clone()))));
    let mut stage = findings.lost.first().map(|(_, problem)| problem.clone());
    if let Some((context, stages, _)) = findings.planned {
        verdicts.push((DATABASE, stages.database.clone().map(|()| database_words(context))));
        verdicts.push((CACHE, stages.cache.clone().map(|()| "the cache stands".to_owned())));
        let version = &context.settings.version;
        verdicts.push((MIGRATED, stages.migrated.clone().map(|()| format!("the database is that of {version}"))));
        if !context.version.is_empty() {
            verdicts.push((STORAGE, storage::stands(context)));
            verdicts.push((ROLLED_OUT, rollout::stands(context, &stages.objects, resource.spec.paused)));
        }
        if !stages.refused.is_empty() {
            verdicts.push((VOLUMES, Err(Problem::new("CannotChange", stages.refused.join(". ")))));
        }
        if !context.settings.configuration.is_empty() {
            verdicts.push((CONFIGURED, configured(context)));
        }
        if !context.version.is_empty() || context.settings.administrator.is_some() {
            verdicts.push((ADMINISTRATOR, administrator::stands(context)));
        }
        stage.clone_from(&stages.waiting);
    }
    let runs = !before.version.is_empty() || findings.planned.is_some_and(|(context, ..)| !context.version.is_empty());
    let healthy = if runs { health(world) } else { Err(Problem::new("NotAsked", "Harbor does not run yet")) };
    let front = findings.planned.map_or(Ok(()), |(context, ..)| front_stands(context));
    let storage = verdicts.iter().find(|(kind, _)| *kind == STORAGE).and_then(|(_, verdict)| verdict.as_ref().err());
    let storage = storage.filter(|problem| !UNDER_WAY.contains(&problem.reason)).cloned();
    let ready = match (runs, &healthy) {
        // Before it has run, what is waited for tells most.
        (false, _) => {
            Err(findings.obstacle().cloned().or(stage).unwrap_or_else(|| Problem::new("Waiting", "it begins")))
        }
        (true, Err(problem)) => {
            // What is known not to run says more than what Harbor says of it.
            let known = |stage: &Problem| DOWN.contains(&stage.reason) || !UNDER_WAY.contains(&stage.reason);
            Err(stage.filter(known).unwrap_or_else(|| problem.clone()))
        }
        // Harbor is asked once a minute; that a program has no pod is seen at once.
        (true, Ok(_)) => match stage.filter(|stage| DOWN.contains(&stage.reason)).or(storage) {
            Some(problem) => Err(problem),
            None => front.map(|()| "clients can push and pull".to_owned()),
        },
    };
    verdicts.extend([(HEALTHY, healthy), (READY, ready)]);
    verdicts
}

fn configured(context: &Context<'_>) -> Result<String, Problem> {
    match &context.world.configuration {
        None => Err(Problem::new("NotAsked", "Harbor was not asked yet for its settings")),
        Some(Err(problem)) => Err(problem.clone()),
        Some(Ok(known)) => {
            let wanted = context.settings.configuration.iter();
            let other: Vec<&str> =
                wanted.filter(|(name, value)| known.get(*name) != Some(value)).map(|(name, _)| name.as_str()).collect();
            if other.is_empty() {
                return Ok(format!("{} settings are as the spec says", context.settings.configuration.len()));
            }
            let unknown: Vec<&str> = other.iter().filter(|name| !known.contains_key(**name)).copied().collect();
            let message = format!("these settings are not as the spec says: {}", other.join(", "));
            let more = format!("; Harbor tells of no such setting: {}", unknown.join(", "));
            Err(Problem::new("NotConfigured", if unknown.is_empty() { message } else { message + &more }))
        }
    }
}

fn database_words(context: &Context<'_>) -> String {
    let Some(Ok(state)) = &context.world.database else { return "the database stands".to_owned() };
    let version = (state.version / 10_000, state.version % 10_000);
    format!("PostgreSQL {}.{} answers, with {} MiB of data", version.0, version.1, state.size >> 20)
}

/// What Harbor's own check says, from its body: it answers 200 whatever it finds.
fn health(world: &World) -> Result<String, Problem> {
    match &world.health {
        None => Err(Problem::new("NotAsked", "Harbor was not asked yet how it is")),
        Some(Err(problem)) => Err(problem.clone()),
        Some(Ok(health)) if health.is_healthy() => {
            Ok(format!("all {} parts say that they are healthy", health.components.len()))
        }
        Some(Ok(health)) => {
            let bad: Vec<String> = health
                .components
                .iter()
                .filter(|component| !component.is_healthy())
                .map(|component| {
                    let why = component.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
                    format!("{}{why}", component.name)
                })
                .collect();
            Err(Problem::new("Unhealthy", format!("Harbor says that these are not healthy: {}", bad.join(", "))))
        }
    }
}

/// The table of components.
fn components(context: &Context<'_>) -> Vec<ComponentStatus> {
    let mut wanted = vec![];
    if context.settings.database.kind == ServerKind::Managed {
        wanted.push(Component::Database);
    }
    if context.settings.cache.kind == ServerKind::Managed {
        wanted.push(Component::Cache);
    }
    wanted.push(Component::Core);
    wanted.extend(others(context));
    wanted.into_iter().map(|component| component_status(context, component)).collect()
}

fn component_status(context: &Context<'_>, component: Component) -> ComponentStatus {
    let name = names::child(context.name, component);
    let kinds = ["StatefulSet", "Deployment"];
    let pods = kinds.into_iter().find_map(|kind| match context.world.child(kind, &name) {
        Some(Fact::Pods { wanted, ready, current, .. }) => Some((*wanted, *ready, *current)),
        _ => None,
    });
    let called: &[&str] = match component {
        Component::Cache => &["redis"],
        Component::Registry => &["registry", "registryctl"],
        _ => &[component.word()],
    };
    let told = context.world.health.as_ref().and_then(|health| health.as_ref().ok());
    let told = told.into_iter().flat_map(|health| &health.components);
    let told: Vec<_> = told.filter(|told| called.contains(&told.name.as_str())).collect();
    let bad = told.iter().find(|told| !told.is_healthy());
    let (replicas, ready_replicas, current) = pods.unwrap_or_default();
    // A replacement that does not get on is told as well, though what it shall replace serves on.
    let why = context.world.pods.get(&component).filter(|_| ready_replicas < replicas || !current).cloned();
    let why = why.or_else(|| bad.and_then(|bad| bad.error.clone())).unwrap_or_default();
    ComponentStatus {
        name: component.word().to_owned(),
        replicas,
        ready_replicas,
        health: bad.or(told.first()).map(|told| told.status.clone()).unwrap_or_default(),
        message: bounded(&why, MESSAGE),
    }
}

/// Tells a verdict that is new: bad ones that somebody should know of, good ones that end a bad one.
fn event((kind, verdict): &Verdict, before: &[Condition]) -> Option<Event> {
    let known = before.iter().find(|condition| condition.type_ == *kind);
    let was_good = known.is_some_and(|known| known.status == "True");
    let was_under_way = known.is_none_or(|known| UNDER_WAY.contains(&known.reason.as_str()));
    match verdict {
        Ok(message) => {
            let tell = !was_good && (!was_under_way || *kind == READY);
            tell.then(|| Event { reason: kind, warning: false, note: message.clone() })
        }
        Err(problem) => {
            let same = known.is_some_and(|known| known.reason == problem.reason && known.message == problem.message);
            let tell = !same && !UNDER_WAY.contains(&problem.reason);
            tell.then(|| Event { reason: problem.reason, warning: true, note: problem.message.clone() })
        }
    }
}
