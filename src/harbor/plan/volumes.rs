//! Volumes of pods, and the claims that outlive them. Pure.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{Context, pods::object, report, settings::Settings};
use crate::{
    api::{HarborStatus, ServerKind, StorageKind, VolumeRequest},
    harbor::{
        Fact, Harbors,
        names::{self, Component},
        quantity,
        world::{Problem, World},
    },
    reconcile::{FAMILY, Family, INSTANCE, KEEP, MANAGED_BY, MANAGER, dynamic, instance_label},
};

/// The claim of a component's volume. It grows and never shrinks, and keeps the storage class that it was made
/// with: Kubernetes can do neither.
pub(super) fn claim(
    context: &Context<'_>,
    component: Component,
    asked: &VolumeRequest,
    default_size: &str,
) -> DynamicObject {
    let name = names::volume(context.name, component);
    let size = if asked.size.is_empty() { default_size.to_owned() } else { asked.size.clone() };
    let (size, class, uid) = match context.world.child("PersistentVolumeClaim", &name) {
        Some(Fact::Volume { requested, class, uid, .. }) => {
            let smaller = quantity::bytes(&size).is_none_or(|bytes| bytes < *requested);
            (if smaller { requested.to_string() } else { size }, class.clone(), &**uid)
        }
        _ => (size, asked.class_name.clone(), ""),
    };
    object_of(&name, uid, true, &size, class.as_ref())
}

/// A claim without an owner, or one that is the registry's. With a uid it is the one that was seen, and none is made
/// where that is gone by the time it is applied.
pub(super) fn object_of(name: &str, uid: &str, kept: bool, size: &str, class: Option<&String>) -> DynamicObject {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": size } },
    });
    if let Some(class) = class {
        spec["storageClassName"] = json!(class);
    }
    let labels = if kept { json!({ KEEP: "true" }) } else { json!({}) };
    let mut claim = object(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "labels": labels },
        "spec": spec,
    }));
    claim.metadata.uid = (!uid.is_empty()).then(|| uid.to_owned());
    claim
}

/// What was asked for and can't be had, in words.
pub(super) fn refused(context: &Context<'_>, component: Component, asked: &VolumeRequest) -> Option<String> {
    let name = names::volume(context.name, component);
    let Some(Fact::Volume { requested, class, .. }) = context.world.child("PersistentVolumeClaim", &name) else {
        return None;
    };
    if quantity::bytes(&asked.size).is_some_and(|bytes| bytes < *requested) {
        return Some(format!(
            "volume {name} has {requested} bytes and can't shrink to {}: it stays as it is",
            asked.size
        ));
    }
    match (&asked.class_name, class) {
        (Some(asked), Some(class)) if asked != class => Some(format!(
            "volume {name} is of storage class {class} and can't become one of {asked}: it stays as it is"
        )),
        _ => None,
    }
}

/// The volumes with data of a registry that runs which are gone, by the condition that they are told in. What is made
/// in their place would be empty, and is made by nobody but the user. Without the cache's: what is in it is made again.
pub(super) fn lost(
    name: &str,
    settings: &Settings,
    before: &HarborStatus,
    world: &World,
) -> Vec<(&'static str, Problem)> {
    let told = before.storage.iter().flat_map(|storage| &storage.volumes);
    let lost = |component: Component| {
        let place = ("PersistentVolumeClaim".to_owned(), names::volume(name, component));
        let known = !before.version.is_empty() && told.clone().any(|volume| volume.name == place.1);
        known && !world.children.contains_key(&place) && !world.ending.contains(&place)
    };
    let database = settings.database.kind == ServerKind::Managed && lost(Component::Database);
    let images = settings.storage.kind == StorageKind::Filesystem && lost(Component::Registry);
    let problem = |component: Component, what: &str| {
        let message = format!(
            "PersistentVolumeClaim {} is gone, and {what} with it; nothing is made in its place: make it again on the PersistentVolume that it had, or from a backup, or empty to begin anew, with the labels {MANAGED_BY}={MANAGER}, {FAMILY}={} and {INSTANCE}={}",
            names::volume(name, component),
            Harbors::NAME,
            instance_label(name),
        );
        Problem::new("VolumeLost", message)
    };
    let database = database.then(|| (report::DATABASE, problem(Component::Database, "the database")));
    let images = images.then(|| (report::STORAGE, problem(Component::Registry, "the registry's images")));
    database.into_iter().chain(images).collect()
}

/// Whether it is a claim that is being deleted: it is not planned, since it might be made anew at its very end.
pub(super) fn ends(world: &World, object: &DynamicObject) -> bool {
    dynamic::kind(object) == "PersistentVolumeClaim" && world.ending.contains(&dynamic::kind_and_name(object))
}

/// A claim as a pod has it.
pub(super) fn mounted(name: &str, claim: &str) -> Value {
    json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } })
}

/// Some keys of a Secret as files.
pub(super) fn secret(name: &str, secret: &str, items: &[(&str, &str)]) -> Value {
    let items: Vec<Value> = items.iter().map(|(key, path)| json!({ "key": key, "path": path })).collect();
    json!({ "name": name, "secret": { "secretName": secret, "defaultMode": 0o440, "items": items } })
}

/// A `ConfigMap` as files.
pub(super) fn config_map(name: &str, config_map: &str) -> Value {
    json!({ "name": name, "configMap": { "name": config_map, "defaultMode": 0o444 } })
}

/// The authorities of `ConfigMap`s as files, one each.
pub(super) fn authorities<'a>(config_maps: impl Iterator<Item = &'a String>) -> Value {
    let sources: Vec<Value> = config_maps
        .map(|name| {
            json!({ "configMap": { "name": name, "items": [{ "key": "ca.crt", "path": format!("{name}.crt") }] } })
        })
        .collect();
    json!({ "name": "authorities", "projected": { "defaultMode": 0o444, "sources": sources } })
}
