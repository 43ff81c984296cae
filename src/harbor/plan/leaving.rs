//! What holds data, and what becomes of it when the registry goes. Pure.
//!
//! Claims of volumes, and Secrets that data can't be read without, have no owner while the registry lives: whatever
//! happens to it, no garbage collector takes them along before its last word was read. Where data is to go with the
//! registry, a finalizer makes it wait for the operator, which hands them to it then. So they go by the garbage
//! collector's hand alone: the operator has no right to delete either.

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;

use super::{
    Effect, Plan, SOON, held, identity, nothing,
    pods::object,
    report::{self, Findings},
    settings::Settings,
    volumes,
};
use crate::{
    api::{DeletionPolicy, Harbor, ServerKind, SharedCacheServer},
    harbor::{
        Fact,
        names::{self, AUTHORITY, COMPONENT_LABEL, Component},
        world::{Problem, World},
    },
    reconcile::{KEEP, dynamic, family::Finalizer},
};

/// The components whose volumes outlive them.
pub(super) const VOLUMES: [Component; 3] = [Component::Database, Component::Cache, Component::Registry];
/// The label of the Secret of credentials.
const CREDENTIALS: &str = "credentials";

/// Data that is to go does not go before the operator has read that it is.
pub(super) fn finalizer(resource: &Harbor) -> Finalizer {
    match resource.spec.deletion_policy {
        DeletionPolicy::Retain => Finalizer::Released,
        DeletionPolicy::Delete => Finalizer::Held,
    }
}

/// Whether there is anything that holds data.
pub(super) fn any(name: &str, world: &World) -> bool {
    !all(name, world, true).is_empty()
}

/// What the registry owns that it must not, unless it is planned: an earlier operator had it so, and an end whose
/// policy was changed at the last moment.
pub(super) fn freed(name: &str, world: &World, planned: &[DynamicObject]) -> Vec<DynamicObject> {
    let mut freed = all(name, world, true);
    freed.retain(|object| {
        let owned = world.owned.contains(&dynamic::kind_and_name(object));
        owned && !planned.iter().any(|one| one.types == object.types && one.metadata.name == object.metadata.name)
    });
    freed
}

/// All that there is of what holds data: without an owner, or the registry's.
fn all(name: &str, world: &World, kept: bool) -> Vec<DynamicObject> {
    let claim = |component: Component| {
        let name = names::volume(name, component);
        match world.child("PersistentVolumeClaim", &name)? {
            Fact::Volume { requested, class, uid, .. } => {
                Some(volumes::object_of(&name, uid, kept, &requested.to_string(), class.as_ref()))
            }
            _ => None,
        }
    };
    let secrets = [credentials(name, kept), authority(name, kept)];
    let there = |secret: &DynamicObject| world.child("Secret", &secret.name_any()).is_some();
    VOLUMES.into_iter().filter_map(claim).chain(secrets.into_iter().filter(there)).collect()
}

/// The Secret of credentials as far as it is planned: whose it is. What it holds is made up once, and never planned.
pub(super) fn credentials(name: &str, kept: bool) -> DynamicObject {
    secret(&names::credentials(name), CREDENTIALS, kept)
}

/// The Secret of authorities, as far as it is planned.
pub(super) fn authority(name: &str, kept: bool) -> DynamicObject {
    secret(&names::authority(name), AUTHORITY, kept)
}

fn secret(name: &str, component: &str, kept: bool) -> DynamicObject {
    let mut labels = json!({ COMPONENT_LABEL: component });
    if kept {
        labels[KEEP] = json!("true");
    }
    object(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "labels": labels } }))
}

/// Deletion, which a pause does not put off: what is on shared servers goes first, where data is to go, and then what
/// holds data here.
pub(super) fn leaving(resource: &Harbor, world: &World, settings: Result<&Settings, &Problem>, now: Timestamp) -> Plan {
    let (name, _) = identity(resource);
    let waiting = Problem::new("Deleting", "the registry is being deleted");
    let (status, events) = report::report(resource, world, &Findings::waiting(waiting), now);
    if resource.spec.deletion_policy == DeletionPolicy::Retain {
        return Plan { objects: freed(name, world, &[]), ..nothing(status, events) };
    }
    let shared = match settings {
        Err(problem) if may_share(resource, world) => {
            // Where its parts on shared servers are can't be told.
            let message = format!("what it has on shared servers is to be deleted with it: {}", problem.message);
            let findings = Findings::refused(Problem::new(problem.reason, message));
            return held(resource, world, None, &findings, now);
        }
        Ok(settings) if !world.dropped => drop_shared(settings, world),
        Ok(_) | Err(_) => None,
    };
    match shared {
        Some(effect) => {
            Plan { finalizer: Finalizer::Held, effects: vec![effect], again: SOON, ..nothing(status, events) }
        }
        None => Plan { objects: all(name, world, false), ..nothing(status, events) },
    }
}

/// What is to be done on shared servers, if the registry is on any.
fn drop_shared(settings: &Settings, world: &World) -> Option<Effect> {
    if settings.database.kind != ServerKind::Shared && settings.cache.kind != ServerKind::Shared {
        return None;
    }
    // Databases of another server have the same numbers, and are others'.
    let claimed = |server: &SharedCacheServer| {
        let claim = world.claim.as_ref().filter(|claim| claim.server == format!("{}:{}", server.host, server.port));
        claim.map(|claim| claim.databases)
    };
    let cache = settings.cache_server.clone().and_then(|server| claimed(&server).map(|databases| (server, databases)));
    Some(Effect::DropShared { database: settings.database_server.clone(), cache })
}

/// Whether a registry whose spec can't be followed may have something on shared servers, as far as spec, class and
/// status say.
fn may_share(resource: &Harbor, world: &World) -> bool {
    let Harbor { spec, status, .. } = resource;
    let class = world.class.as_ref();
    let database = spec.database.clone().or_else(|| class?.database.clone().map(Into::into)).map(|one| one.kind);
    let cache = spec.cache.clone().or_else(|| class?.cache.clone().map(Into::into)).map(|one| one.kind);
    let unknown = spec.class_name.is_some() && class.is_none();
    let managed = status.as_ref().is_some_and(|status| status.database == "Managed");
    let shares = |kind: Option<ServerKind>, otherwise: bool| kind.map_or(otherwise, |kind| kind == ServerKind::Shared);
    shares(database, unknown && !managed) || shares(cache, unknown && world.claim.is_some())
}
