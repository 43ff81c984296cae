//! One stage after the other: what each needs, whether it stands, and what is waited for. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};

use super::{
    Context, Effect, administrator, cache, core, database,
    encryption::{self, Due},
    front, jobservice,
    leaving::VOLUMES,
    migration,
    network::around,
    pins::pinned,
    portal, registry, rollout, shares, storage, trivy, volumes,
};
use crate::{
    api::{FrontDoor, HarborStatus, RedisDatabases, ServerKind, VolumeRequest},
    clients::redis::Role,
    harbor::{
        Fact,
        facts::JobState,
        names::{self, Component},
        world::{Problem, Shared},
    },
    reconcile::{dynamic, family::Retained},
};

/// What the stages came to.
pub struct Stages {
    /// What shall be, in the order of the stages.
    pub objects: Vec<DynamicObject>,
    /// What to do besides.
    pub effects: Vec<Effect>,
    /// What stays though it is not planned.
    pub retained: Retained,
    /// Whether the database stands.
    pub database: Result<(), Problem>,
    /// Whether the cache stands.
    pub cache: Result<(), Problem>,
    /// Whether the database is that of the wanted version.
    pub migrated: Result<(), Problem>,
    /// What the first stage that does not stand waits for.
    pub waiting: Option<Problem>,
    /// What was asked for of volumes and can't be had.
    pub refused: Vec<String>,
    /// Whether core has yet to be brought to another database, where its data was copied.
    pub moving: bool,
}

/// Goes through the stages.
#[must_use]
pub fn stages(context: &Context<'_>, before: &HarborStatus, now: Timestamp) -> Stages {
    let mut objects = vec![core::connections(context), core::configuration(context)];
    if context.settings.database.kind == ServerKind::Managed {
        objects.extend(pinned(context, Component::Database, database::objects));
        objects.extend(around(context, Component::Database));
    }
    if context.settings.cache.kind == ServerKind::Managed {
        objects.extend(pinned(context, Component::Cache, cache::objects));
        objects.extend(around(context, Component::Cache));
    }
    let (database, cache) = (database_stands(context), cache_stands(context));
    let migrated = migration::stands(context, before);
    let ground = database.as_ref().err().or(cache.as_ref().err()).cloned();
    objects.extend(migration::objects(context, before, ground.is_none(), now));
    let runs = !context.version.is_empty();
    let core_stands = ready(context, Component::Core);
    let mut core_changes = false;
    if runs {
        let core = pinned(context, Component::Core, core::objects);
        core_changes = core.iter().any(|object| rollout::behind(context, object).is_some());
        objects.extend(core);
        objects.extend(around(context, Component::Core));
    }
    let made = |component| context.world.child("Deployment", &names::child(context.name, component)).is_some();
    // Jobservice asks core at its start where the database is: not the core that is about to go.
    let moving = core_changes && !before.database.is_empty() && before.database != context.database;
    let waits = moving && made(Component::JobService);
    if runs && (core_stands.is_ok() || made(Component::Registry)) {
        objects.extend(rest(context));
        objects.retain(|object| !waits || !is_jobservice(context, object));
    }
    let waiting = ground
        .or_else(|| migrated.as_ref().err().cloned())
        .or_else(|| core_stands.err())
        .or_else(|| others(context).into_iter().find_map(|component| ready(context, component).err()))
        .or_else(|| front_stands(context).err());
    Stages {
        objects,
        effects: renewal(context)
            .into_iter()
            .chain(shared(context))
            .chain(configure(context))
            .chain(administrator::change(context))
            .collect(),
        retained: retained(context, before, runs, waits),
        database,
        cache,
        migrated,
        waiting,
        refused: refused(context),
        moving,
    }
}

/// All that stands on core.
fn rest(context: &Context<'_>) -> Vec<DynamicObject> {
    let mut objects = vec![];
    for component in others(context) {
        let made: fn(&Context<'_>) -> Vec<DynamicObject> = match component {
            Component::JobService => jobservice::objects,
            Component::Registry => registry::objects,
            Component::Portal => portal::objects,
            Component::Trivy => trivy::objects,
            Component::Exporter => jobservice::exporter,
            _ => continue,
        };
        objects.extend(pinned(context, component, made));
        objects.extend(around(context, component));
    }
    objects.extend(pinned(context, Component::Front, front::objects));
    if context.settings.exposure.kind == FrontDoor::Service {
        objects.extend(around(context, Component::Front));
    }
    objects
}

/// Whether it is what makes jobservice's pods.
fn is_jobservice(context: &Context<'_>, object: &DynamicObject) -> bool {
    dynamic::kind(object) == "Deployment" && object.name_any() == names::child(context.name, Component::JobService)
}

/// The components of the last stage.
#[must_use]
pub fn others(context: &Context<'_>) -> Vec<Component> {
    let mut others = vec![Component::Registry, Component::JobService, Component::Portal];
    if context.settings.components.trivy.is_some() {
        others.push(Component::Trivy);
    }
    if context.settings.components.exporter.is_some() {
        others.push(Component::Exporter);
    }
    others
}

/// Whether a component has a pod that is ready; else why not, as far as pods say.
pub(super) fn ready(context: &Context<'_>, component: Component) -> Result<(), Problem> {
    let name = names::child(context.name, component);
    let kind = if matches!(component, Component::Database | Component::Cache) { "StatefulSet" } else { "Deployment" };
    match context.world.child(kind, &name) {
        Some(Fact::Pods { ready, .. }) if *ready > 0 => Ok(()),
        _ => {
            let why = context.world.pods.get(&component);
            let full = |why: &str| storage::full(context, component, "does not run", why);
            if let Some(told) = why.and_then(|why| full(why).or_else(|| storage::refused(context, component, why))) {
                return Err(told);
            }
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Err(Problem::new("Starting", format!("{} has no ready pod yet{why}", component.word())))
        }
    }
}

/// What a Fairway that runs the database sees of it is that its pod is ready; what others run has to answer.
fn database_stands(context: &Context<'_>) -> Result<(), Problem> {
    let answer = context.world.database.as_ref();
    match context.settings.database.kind {
        ServerKind::Managed => ready(context, Component::Database),
        ServerKind::Shared if !context.world.ensured.contains(&Shared::Database) => {
            Err(Problem::new("Ensuring", "role and database are being made on the shared PostgreSQL"))
        }
        ServerKind::Shared | ServerKind::External => match answer {
            None => Err(Problem::new("Asking", "the database has not answered yet")),
            Some(Err(problem)) => {
                let named = context.settings.database.external.as_ref().map(|external| &external.password_secret_name);
                Err(with_secret(problem, named))
            }
            Some(Ok(state)) if state.read_only => Err(Problem::new(
                "DatabaseReadOnly",
                "the database server takes no writes: name the primary, or make this one it",
            )),
            Some(Ok(_)) => Ok(()),
        },
    }
}

/// Says of a password that is refused where it was from.
fn with_secret(problem: &Problem, secret: Option<&String>) -> Problem {
    match secret {
        Some(secret) if problem.reason.ends_with("PasswordRefused") => {
            let message =
                format!("{}; the password is that of Secret {secret:?}: put the right one there", problem.message);
            Problem::new(problem.reason, message)
        }
        _ => problem.clone(),
    }
}

fn cache_stands(context: &Context<'_>) -> Result<(), Problem> {
    match context.settings.cache.kind {
        ServerKind::Managed => ready(context, Component::Cache).and_then(|()| cache::saves(context)),
        ServerKind::Shared if context.references.cache.databases.is_none() => {
            Err(Problem::new("Claiming", "databases of the shared Redis are being taken"))
        }
        ServerKind::Shared if !context.world.ensured.contains(&Shared::Cache) => {
            Err(Problem::new("Ensuring", "the user is being made on the shared Redis"))
        }
        ServerKind::Shared | ServerKind::External => match &context.world.cache {
            None => Err(Problem::new("Asking", "the cache has not answered yet")),
            Some(Err(problem)) => {
                let named = context.settings.cache.external.as_ref();
                Err(with_secret(problem, named.and_then(|external| external.password_secret_name.as_ref())))
            }
            Some(Ok(state)) if state.role != Role::Master => {
                Err(Problem::new("CacheReadOnly", "the Redis server takes no writes: name the one that does"))
            }
            Some(Ok(_)) => Ok(()),
        },
    }
}

/// Whether clients get in.
pub(super) fn front_stands(context: &Context<'_>) -> Result<(), Problem> {
    let name = names::child(context.name, Component::Front);
    match context.settings.exposure.kind {
        FrontDoor::LoadBalancer => match context.world.child("LoadBalancer", &name) {
            Some(Fact::LoadBalancer { ready: true, .. }) => Ok(()),
            Some(Fact::LoadBalancer { message, .. }) => {
                Err(Problem::new("LoadBalancerNotReady", format!("LoadBalancer {name}: {message}")))
            }
            _ => Err(Problem::new("LoadBalancerNotReady", format!("there is no LoadBalancer {name} yet"))),
        },
        FrontDoor::Service => ready(context, Component::Front),
        FrontDoor::Ingress => Ok(()),
    }
}

/// What of Harbor's own settings is not as it was asked for.
fn configure(context: &Context<'_>) -> Option<Effect> {
    let known = context.world.configuration.as_ref()?.as_ref().ok()?;
    let wanted = context.settings.configuration.iter();
    let settings: BTreeMap<_, _> = wanted
        // What Harbor does not tell of can't be known to be set.
        .filter(|(name, value)| known.get(*name).is_some_and(|known| known != *value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let address = context.world.core.clone()?;
    (!settings.is_empty()).then(|| Effect::Configure { address, settings, credentials: context.credentials.clone() })
}

/// Certificates whose time has come.
fn renewal(context: &Context<'_>) -> Option<Effect> {
    let Due { components, why } = context.certificates?.due.clone()?;
    Some(Effect::MakeCertificates { components, why })
}

/// What has to be done on servers that many share: once for each process, and when a claim is missing.
fn shared(context: &Context<'_>) -> Vec<Effect> {
    let mut effects = vec![];
    let due = |what: Shared| shares(context.settings, what) && !context.world.ensured.contains(&what);
    if let Some(server) = context.settings.database_server.clone().filter(|_| due(Shared::Database)) {
        effects.push(Effect::EnsureDatabase { server, credentials: context.credentials.clone() });
    }
    if let Some(server) = context.settings.cache_server.clone() {
        match context.references.cache.databases {
            None => effects.push(Effect::ClaimDatabases { server }),
            Some(databases) if due(Shared::Cache) => {
                let RedisDatabases { core, jobservice, registry, trivy } = databases;
                let databases = [core, jobservice, registry, trivy];
                let credentials = context.credentials.clone();
                effects.push(Effect::EnsureCacheUser { server, credentials, databases });
            }
            Some(_) => {}
        }
    }
    effects
}

/// Data and secrets are never pruned, nor a migration that runs.
fn retained(context: &Context<'_>, before: &HarborStatus, runs: bool, jobservice_waits: bool) -> Retained {
    let core = names::child(context.name, Component::Core);
    if !runs && context.world.child("Deployment", &core).is_some() {
        // Its status was lost: what runs runs on until it is known again.
        return Retained::All;
    }
    let volumes = VOLUMES.map(|component| ("PersistentVolumeClaim", names::volume(context.name, component)));
    // One that runs is not cut off, whatever is asked for meanwhile; but one that waits for an image that was never
    // there must not run after all, once another has done its work.
    let done = before.version == context.settings.version;
    let stuck = done && context.world.pods.contains_key(&Component::Migrate);
    let runs = |(kind, fact): (&String, &Fact)| !stuck && kind == "Job" && *fact == Fact::Job(JobState::Running);
    let jobs = context.world.children.iter().filter(|((kind, _), fact)| runs((kind, fact)));
    let jobs = jobs.map(|((_, name), _)| ("Job", name.clone()));
    // The operator has no right to delete a Secret, be it that of a cache that is not wanted any more.
    let secrets = [names::credentials(context.name), names::child(context.name, Component::Cache)];
    let secrets = secrets.into_iter().chain(encryption::secrets(context.name)).map(|secret| ("Secret", secret));
    let waits = jobservice_waits.then(|| ("Deployment", names::child(context.name, Component::JobService)));
    Retained::These(volumes.into_iter().chain(secrets).chain(jobs).chain(waits).collect())
}

fn refused(context: &Context<'_>) -> Vec<String> {
    let settings = context.settings;
    let database = settings.database.managed.as_ref().and_then(|managed| managed.volume.clone());
    let cache = settings.cache.managed.as_ref().and_then(|managed| managed.volume.clone());
    let images = settings.storage.filesystem.as_ref().and_then(|filesystem| filesystem.volume.clone());
    let asked: [(Component, Option<VolumeRequest>); 3] =
        [(Component::Database, database), (Component::Cache, cache), (Component::Registry, images)];
    asked.into_iter().filter_map(|(component, asked)| volumes::refused(context, component, &asked?)).collect()
}
