//! What a registry needs next: merge, look up, then stage by stage, and report. Pure: the time is an argument, and
//! the same input gives the same plan.
//!
//! The stages are database and cache, the migration, core, and all the rest. What belongs to a stage is planned once
//! the ones before it stand; what was made once stays planned, whatever becomes of them.

pub mod administrator;
mod cache;
mod core;
mod database;
mod effects;
pub mod encryption;
pub(in crate::harbor) mod front;
mod jobservice;
mod leaving;
mod migration;
mod moved;
mod network;
mod outside;
pub mod pins;
mod pods;
mod portal;
pub mod references;
mod registry;
pub mod report;
mod rollout;
pub mod settings;
pub mod stages;
mod storage;
mod trivy;
mod usage;
mod volumes;

use std::time::Duration;

use jiff::Timestamp;

pub use effects::Effect;

use self::{
    encryption::{Certificates, Due, Standing},
    leaving::{finalizer, leaving},
    references::{References, connections, resolve},
    report::Findings,
    settings::Settings,
    stages::{Stages, stages},
};
use crate::{
    api::{ConnectionBudget, Harbor, HarborStatus, ServerKind},
    harbor::{
        Harbors,
        credentials::Credentials,
        images::{self, Images},
        names::{self, Component},
        world::{Problem, Shared, World},
    },
    reconcile::{
        Family,
        family::{self, Finalizer, Retained},
    },
};

/// How soon to look again after something was made up: the watch tells of it in milliseconds.
const SOON: Duration = Duration::from_millis(50);
/// How soon to look again while something is waited for that no watch tells of.
const WAITING: Duration = Duration::from_secs(5);
/// How soon to look again when something that the spec names can't be used.
const UNRESOLVED: Duration = Duration::from_secs(15);
/// How soon to ask Harbor again how it is.
const REST: Duration = Duration::from_mins(1);
/// What each pod opens at most, however much there is.
const POOL: i32 = 50;
/// What Harbor needs at least: below this, requests wait for each other.
const SMALLEST_POOL: i32 = 3;

/// The plan of a registry.
pub type Plan = family::Plan<Effect, HarborStatus>;

/// All that the objects of a registry are made from.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The registry's name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// What holds.
    pub settings: &'a Settings,
    /// What it names.
    pub references: &'a References,
    /// What was made up.
    pub credentials: &'a Credentials,
    /// What was seen.
    pub world: &'a World,
    /// The version that programs run; empty before there is one.
    pub version: &'a str,
    /// How many connections to the database each pod may open.
    pub per_pod: i32,
    /// What Harbor's programs know each other by; none without TLS between them.
    pub certificates: Option<&'a Certificates>,
    /// Which way of making pod templates.
    pub layout: u32,
    /// What status remembers of the database.
    pub database: &'a str,
    /// What is run in place of images that nobody asks for.
    pub images: &'a Images,
}

impl Context<'_> {
    /// An image of Harbor's own: what registry or class ask for, else the class's repository, else what the operator
    /// was installed with.
    fn image(&self, asked: Option<&String>, name: &str, version: &str) -> String {
        match (asked, &self.settings.repository) {
            (Some(asked), _) => asked.clone(),
            (None, Some(repository)) => format!("{repository}/{name}:v{version}"),
            (None, None) => self.images.get(&images::harbor(name, version)),
        }
    }
}

/// Decides what a registry needs next.
#[must_use]
pub fn plan(resource: &Harbor, world: &World, now: Timestamp) -> Plan {
    let before = resource.status.clone().unwrap_or_default();
    let settings = merged(resource, world);
    if resource.metadata.deletion_timestamp.is_some() {
        return leaving(resource, world, settings.as_ref(), now);
    }
    let settings = match settings {
        Ok(settings) => settings,
        Err(problem) => return held(resource, world, None, &Findings::refused(problem), now),
    };
    let credentials = match credentials(resource, world) {
        Ok(credentials) => credentials,
        Err(Missing::Make(why)) => return first(resource, world, why, now),
        Err(Missing::Lost(problem)) => {
            return held(resource, world, Some(&settings), &Findings::unresolved(problem), now);
        }
    };
    let (name, namespace) = identity(resource);
    let references = match resolve(name, namespace, &settings, &credentials, world) {
        Ok(references) => references,
        Err(problem) => return held(resource, world, Some(&settings), &Findings::unresolved(problem), now),
    };
    let database = moved::called(&settings, &references);
    if let Err(problem) = moved::stays(&before, world, &database) {
        return held(resource, world, Some(&settings), &Findings::refused(problem), now);
    }
    let lost = volumes::lost(name, &settings, &before, world);
    if !lost.is_empty() {
        return held(resource, world, Some(&settings), &Findings::lost(lost), now);
    }
    let budget = match budget(&settings, world, before.connections.map(|known| known.usable)) {
        Ok(budget) => budget,
        Err(problem) => return held(resource, world, Some(&settings), &Findings::refused(problem), now),
    };
    let certificates = match encryption::standing(name, &settings, world, now) {
        Standing::Off => None,
        Standing::Ready(certificates) => Some(certificates),
        Standing::Missing(due) => return uncertified(resource, world, due, now),
        Standing::Lost(problem) => return held(resource, world, Some(&settings), &Findings::unresolved(problem), now),
    };
    let mut context = Context {
        name,
        namespace,
        settings: &settings,
        references: &references,
        credentials: &credentials,
        world,
        version: &before.version,
        per_pod: budget.per_pod,
        certificates: certificates.as_ref(),
        database: &database,
        layout: pins::LAYOUT,
        images: &world.installation.images,
    };
    let version = migration::running(&context, &before);
    context.version = &version;
    let stages = stages(&context, &before, now);
    let findings = Findings::planned(&context, &stages, budget);
    let (status, events) = report::report(resource, world, &findings, now);
    let again = again(&stages, &status);
    let Stages { objects, effects, retained, .. } = stages;
    let mut planned = vec![leaving::credentials(name, true)];
    planned.extend(encryption::objects(&context));
    planned.extend(objects.into_iter().filter(|object| !volumes::ends(world, object)));
    // Last: cert-manager may refuse it, and nothing else shall wait for that.
    planned.extend(front::certificate(&context));
    // Be it paused: nothing of what runs depends on whose its data is.
    let freed = leaving::freed(name, world, if resource.spec.paused { &[] } else { &planned });
    if resource.spec.paused {
        return Plan { finalizer: finalizer(resource), objects: freed, ..nothing(status, events) };
    }
    planned.extend(freed);
    Plan { finalizer: finalizer(resource), objects: planned, retained, effects, events, status, again }
}

/// What holds, for `observe` as well.
///
/// # Errors
/// When spec and class make no sense together, or the version can't be had.
pub fn merged(resource: &Harbor, world: &World) -> Result<Settings, Problem> {
    if let (Some(class), None) = (&resource.spec.class_name, &world.class) {
        let message = format!("there is no HarborClass {class:?}; create it, or name another");
        return Err(Problem::new("ClassNotFound", message));
    }
    let installed = resource.status.as_ref().map_or("", |status| status.version.as_str());
    Settings::merge(&resource.spec, world.class.as_ref(), installed)
}

fn identity(resource: &Harbor) -> (&str, &str) {
    (resource.metadata.name.as_deref().unwrap_or_default(), resource.metadata.namespace.as_deref().unwrap_or_default())
}

enum Missing {
    /// It is to be made up, and why.
    Make(&'static str),
    /// It was there and is not, or is not as it was.
    Lost(Problem),
}

/// What was made up, whole; or what to do about it.
fn credentials(resource: &Harbor, world: &World) -> Result<Credentials, Missing> {
    let (name, _) = identity(resource);
    let secret = names::credentials(name);
    let volume = |component: Component| world.child("PersistentVolumeClaim", &names::volume(name, component)).is_some();
    let installed = resource.status.as_ref().is_some_and(|status| !status.version.is_empty())
        || volume(Component::Database)
        || volume(Component::Registry);
    let Some(credentials) = &world.credentials else {
        if installed {
            let message = format!(
                "Secret {secret} is gone, and the registry's data can't be read without it: restore it from a backup. To begin anew with an empty registry, delete this resource, its volumes ({name}-*-data) and its database first"
            );
            return Err(Missing::Lost(Problem::new("CredentialsLost", message)));
        }
        return Err(Missing::Make("the registry has no credentials yet"));
    };
    if let Some(problem) = credentials.problem() {
        let message = format!("Secret {secret}: {problem}");
        return Err(Missing::Lost(Problem::new("InvalidCredentials", message)));
    }
    let missing = credentials.missing();
    if installed && !missing.is_empty() {
        let message = format!(
            "Secret {secret} has no {}, which the registry's data needs: restore it from a backup",
            missing.join(", ")
        );
        return Err(Missing::Lost(Problem::new("CredentialsIncomplete", message)));
    }
    if !missing.is_empty() {
        return Err(Missing::Make("the Secret of credentials lacks some of them"));
    }
    Ok(credentials.clone())
}

fn first(resource: &Harbor, world: &World, why: &str, now: Timestamp) -> Plan {
    let waiting = Problem::new("Credentials", "its credentials are being made up");
    let (status, events) = report::report(resource, world, &Findings::waiting(waiting), now);
    let effect = Effect::MakeCredentials { why: why.to_owned() };
    let effects = if resource.spec.paused { vec![] } else { vec![effect] };
    Plan { finalizer: finalizer(resource), effects, again: SOON, ..nothing(status, events) }
}

/// What there is of a plan before programs have certificates to show each other.
fn uncertified(resource: &Harbor, world: &World, due: Due, now: Timestamp) -> Plan {
    let waiting = Problem::new("Certificates", "certificates for TLS between its programs are being made");
    let (status, events) = report::report(resource, world, &Findings::waiting(waiting), now);
    let Due { components, why } = due;
    let effects = if resource.spec.paused { vec![] } else { vec![Effect::MakeCertificates { components, why }] };
    Plan { finalizer: finalizer(resource), effects, again: SOON, ..nothing(status, events) }
}

/// Nothing of what runs is touched; it runs on.
fn held(
    resource: &Harbor,
    world: &World,
    settings: Option<&Settings>,
    findings: &Findings<'_>,
    now: Timestamp,
) -> Plan {
    let (status, events) = report::report(resource, world, findings, now);
    let (name, _) = identity(resource);
    let ours = crate::reconcile::finalizer(Harbors::NAME);
    let held = resource.metadata.finalizers.iter().flatten().any(|known| *known == ours);
    // One that was never followed, and has nothing, may go without a word.
    let has = settings.is_some() || held || leaving::any(name, world);
    let finalizer = if has { finalizer(resource) } else { Finalizer::Released };
    let objects = leaving::freed(name, world, &[]);
    Plan { finalizer, objects, again: UNRESOLVED, ..nothing(status, events) }
}

fn nothing(status: HarborStatus, events: Vec<family::Event>) -> Plan {
    Plan {
        finalizer: Finalizer::Released,
        objects: vec![],
        retained: Retained::All,
        effects: vec![],
        events,
        status,
        again: REST,
    }
}

/// How many connections there are, and how many each pod gets. A replacement has one pod more for a while.
fn budget(settings: &Settings, world: &World, told: Option<i32>) -> Result<ConnectionBudget, Problem> {
    let usable = connections(settings, world, told);
    let exporter = i32::from(settings.components.exporter.is_some()) * 2;
    let pods = settings.core_replicas() + 1 + settings.jobservice_replicas() + 1 + exporter;
    let budget = ConnectionBudget { usable, pods, per_pod: (usable / pods).min(POOL) };
    if budget.per_pod >= SMALLEST_POOL {
        return Ok(budget);
    }
    let message = format!(
        "{pods} pods share {usable} connections to the database, which is too few for each: lower replicas of core and jobservice, or give the database more"
    );
    Err(Problem::new("ConnectionBudgetExceeded", message))
}

/// How soon to look again. Watches tell of all that Kubernetes knows; database, cache and Harbor itself have to be
/// asked.
fn again(stages: &Stages, status: &HarborStatus) -> Duration {
    // What Harbor makes otherwise of a setting than it was told would be set again and again.
    let at_once = |effect: &Effect| effect.ensures().is_none() && !matches!(effect, Effect::Configure { .. });
    if stages.effects.iter().any(at_once) {
        return SOON;
    }
    let ready =
        status.conditions.iter().any(|condition| condition.type_ == report::READY && condition.status == "True");
    // Harbor may serve for long with the connections that it has.
    if ready && stages.database.is_ok() && stages.cache.is_ok() { REST } else { WAITING }
}

/// Whether something of the registry is on a server that many share.
#[must_use]
pub fn shares(settings: &Settings, what: Shared) -> bool {
    match what {
        Shared::Database => settings.database.kind == ServerKind::Shared,
        Shared::Cache => settings.cache.kind == ServerKind::Shared,
    }
}
