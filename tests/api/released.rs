//! What released versions have stored is read by this one: each object of `tests/api/released` is taken by a real API
//! server with today's definitions, loses nothing there, and nothing in today's types.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fairway::api::{Harbor, HarborClass, LoadBalancer, LoadBalancerClass};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    fields::schema::{BALANCERS, REGISTRIES, fields, values},
    server::{client, namespace},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/released");

/// The folders of the released versions.
pub(crate) fn versions() -> Vec<PathBuf> {
    let found = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = found.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The objects of a file.
fn objects(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What of `part` is missing or otherwise in `whole`.
fn lost(path: &str, part: &Value, whole: &Value) -> Vec<String> {
    match (part, whole) {
        (Value::Object(part), Value::Object(_)) => {
            part.iter().flat_map(|(key, value)| lost(&format!("{path}.{key}"), value, &whole[key])).collect()
        }
        (Value::Array(part), Value::Array(list)) if part.len() == list.len() => part
            .iter()
            .zip(list)
            .enumerate()
            .flat_map(|(at, (part, whole))| lost(&format!("{path}[{at}]"), part, whole))
            .collect(),
        _ if part == whole => vec![],
        _ => vec![format!("{path}: {part} became {whole}")],
    }
}

/// As today's operator reads and would write it.
fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    json!(serde_json::from_value::<K>(object.clone()).unwrap())
}

/// Stores it as it was stored then, status included; what the API server has of it now.
async fn store(client: &Client, namespace: &str, version: &str, mut object: Value) -> Value {
    let name = format!("{}-{}", object["metadata"]["name"].as_str().unwrap(), version.replace('.', "-"));
    object["metadata"]["name"] = json!(name);
    let api: Api<DynamicObject> = match object["kind"].as_str().unwrap() {
        "LoadBalancer" => Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<LoadBalancer>(&())),
        "LoadBalancerClass" => Api::all_with(client.clone(), &ApiResource::erase::<LoadBalancerClass>(&())),
        "Harbor" => Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Harbor>(&())),
        _ => Api::all_with(client.clone(), &ApiResource::erase::<HarborClass>(&())),
    };
    let strict = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("released") };
    let patch = Patch::Apply(&object);
    let stored = api.patch(&name, &strict, &patch).await.unwrap_or_else(|error| panic!("{version} {name}: {error}"));
    if !object["status"].is_null() {
        let status = DynamicObject { data: json!({ "spec": object["spec"], "status": object["status"] }), ..stored };
        api.replace_status(&name, &PostParams::default(), &status).await.unwrap();
    }
    let stored = json!(api.get(&name).await.unwrap());
    assert_eq!(lost(&format!("{version} {name}"), &object, &stored), [""; 0]);
    stored
}

#[tokio::test]
async fn what_every_release_has_stored_is_read_without_a_loss() {
    let (client, namespace) = namespace().await;
    for folder in versions() {
        let version = folder.file_name().unwrap().to_str().unwrap();
        let files =
            ["everything.yaml", "loadbalancer.yaml", "loadbalancerclass.yaml", "harbor.yaml", "harborclass.yaml"];
        // The first release knew no registries.
        let files = files.map(|file| folder.join(file)).into_iter().filter(|file| file.exists());
        let found: Vec<Value> = files.flat_map(|file| objects(&file)).collect();
        assert!(found.len() > 3, "{}", folder.display());
        for object in found {
            read_without_a_loss(&client, &namespace, version, object).await;
        }
    }
    // What the next release keeps is no different.
    for object in objects(&Path::new(FOLDER).join("everything.yaml")) {
        read_without_a_loss(&client, &namespace, "next", object).await;
    }
}

async fn read_without_a_loss(client: &Client, namespace: &str, version: &str, object: Value) {
    let stored = store(client, namespace, version, object).await;
    let written = match stored["kind"].as_str().unwrap() {
        "LoadBalancer" => through::<LoadBalancer>(&stored),
        "LoadBalancerClass" => through::<LoadBalancerClass>(&stored),
        "Harbor" => through::<Harbor>(&stored),
        _ => through::<HarborClass>(&stored),
    };
    assert_eq!(lost(version, &stored, &written), [""; 0]);
}

#[tokio::test]
async fn what_the_next_release_keeps_uses_every_field() {
    let objects = objects(&Path::new(FOLDER).join("everything.yaml"));
    let mut missing = vec![];
    for field in fields(&client().await, &[BALANCERS, REGISTRIES].concat()).await {
        let (kind, path) = field.path.split_once('.').unwrap();
        // No registry can use all: database, cache, storage and front door are of one kind each.
        let mut of_the_kind = objects.iter().filter(|object| object["kind"] == kind);
        if of_the_kind.all(|object| values(object, path).is_empty()) {
            missing.push(field.path);
        }
    }
    assert!(missing.is_empty(), "tests/api/released/everything.yaml does not use {}", missing.join(", "));
}
