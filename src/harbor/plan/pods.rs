//! What the pods of all components have in common. Pure.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::Context;
use crate::{
    api::Resources,
    harbor::names::{self, Component, HASH_ANNOTATION},
};

/// Harbor's own user in its images; their entrypoints and programs are for it alone.
pub(super) const HARBOR_USER: i64 = 10_000;
/// The user of `PostgreSQL`'s and Redis' images.
pub(super) const SERVER_USER: i64 = 999;
/// How long Harbor's programs may take to end, in seconds.
const GRACE: i64 = 120;
/// How long a pod stays on a node that is not heard of, in seconds; Kubernetes' default is 300.
const NODE_LOST: i64 = 30;

/// A pod.
pub(super) struct Pod {
    pub(super) component: Component,
    /// The numeric user; images name theirs, and Kubernetes can't prove that a name is not root's.
    pub(super) user: i64,
    pub(super) containers: Vec<Value>,
    pub(super) volumes: Vec<Value>,
    /// Over all that its containers read and a template does not show.
    pub(super) hash: String,
}

impl Pod {
    /// The template of a Deployment, `StatefulSet` or Job.
    pub(super) fn template(&self, context: &Context<'_>) -> Value {
        let Self { component, user, containers, volumes, hash } = self;
        let main = containers.first().map_or(&Value::Null, |container| &container["name"]);
        let mut spec = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": GRACE,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": user,
                "runAsGroup": user,
                "fsGroup": user,
                // A volume with a million layers is not walked through at each start.
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "tolerations": [toleration("not-ready"), toleration("unreachable")],
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": names::selector(context.name, *component) },
            }],
            "containers": containers,
            "volumes": volumes,
        });
        if !context.settings.node_selector.is_empty() {
            spec["nodeSelector"] = json!(context.settings.node_selector);
        }
        json!({
            "metadata": {
                "labels": names::pod_labels(context.name, *component),
                "annotations": { HASH_ANNOTATION: hash, "kubectl.kubernetes.io/default-container": main },
            },
            "spec": spec,
        })
    }
}

/// A Deployment whose pods are replaced one by one, or, where they share what one alone can use, all at once.
pub(super) fn deployment(context: &Context<'_>, replicas: i32, alone: bool, pod: &Pod) -> DynamicObject {
    let strategy = if alone {
        json!({ "type": "Recreate" })
    } else {
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } })
    };
    object(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": names::child(context.name, pod.component) },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "selector": { "matchLabels": names::selector(context.name, pod.component) },
            "strategy": strategy,
            "template": pod.template(context),
        },
    }))
}

/// A `StatefulSet` of one pod: never are there two at a time, whatever becomes of a node.
pub(super) fn stateful_set(context: &Context<'_>, pod: &Pod) -> DynamicObject {
    let name = names::child(context.name, pod.component);
    object(json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "replicas": 1,
            "serviceName": name,
            // One that never became ready is replaced when what kept it is mended; with one pod there is nothing to order.
            "podManagementPolicy": "Parallel",
            "revisionHistoryLimit": 2,
            "selector": { "matchLabels": names::selector(context.name, pod.component) },
            "template": pod.template(context),
        },
    }))
}

/// A Service in front of a component's pods.
pub(super) fn service(context: &Context<'_>, component: Component, ports: &[(&str, u16, u16)]) -> DynamicObject {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, target)| json!({ "name": name, "port": port, "targetPort": target, "protocol": "TCP" }))
        .collect();
    object(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": names::child(context.name, component) },
        "spec": { "selector": names::selector(context.name, component), "ports": ports },
    }))
}

/// A Secret with these texts.
pub(super) fn secret_object(name: &str, texts: &[(&str, &str)]) -> DynamicObject {
    let data: BTreeMap<&str, String> = texts.iter().map(|(key, text)| (*key, STANDARD.encode(text))).collect();
    object(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "Opaque", "data": data,
    }))
}

/// A `ConfigMap` with these files.
pub(super) fn config_map_object(name: &str, files: &[(&str, &str)]) -> DynamicObject {
    let data: BTreeMap<&str, &str> = files.iter().copied().collect();
    object(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data }))
}

/// A container of the restricted standard.
pub(super) fn container(name: &str, image: &str, command: &[&str], resources: &Resources) -> Value {
    json!({
        "name": name,
        "image": image,
        "command": command,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "resources": resources,
        // What a program says last is why it ended.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// A variable with its value.
pub(super) fn plain(name: &str, value: impl Into<String>) -> Value {
    json!({ "name": name, "value": value.into() })
}

/// A variable from a key of a Secret.
pub(super) fn secret(name: &str, secret: &str, key: &str) -> Value {
    json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
}

/// A probe by HTTP, that succeeds at once or after some time.
pub(super) fn http_probe(path: &str, port: u16, period: i32, failures: i32) -> Value {
    json!({
        "httpGet": { "path": path, "port": port },
        "periodSeconds": period,
        "timeoutSeconds": 10,
        "failureThreshold": failures,
    })
}

/// A probe by a command.
pub(super) fn exec_probe(command: &[&str], period: i32, failures: i32) -> Value {
    json!({
        "exec": { "command": command },
        "periodSeconds": period,
        "timeoutSeconds": 10,
        "failureThreshold": failures,
    })
}

/// A folder that is empty at each start.
pub(super) fn empty(name: &str, limit: &str) -> Value {
    json!({ "name": name, "emptyDir": { "sizeLimit": limit } })
}

/// A mount of a whole volume.
pub(super) fn mount(volume: &str, path: &str) -> Value {
    json!({ "name": volume, "mountPath": path })
}

/// A mount of one file of a volume, beside what the image has there.
pub(super) fn file(volume: &str, path: &str, key: &str) -> Value {
    json!({ "name": volume, "mountPath": path, "subPath": key, "readOnly": true })
}

fn toleration(condition: &str) -> Value {
    json!({
        "key": format!("node.kubernetes.io/{condition}"),
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": NODE_LOST,
    })
}

/// An object from its JSON. What is built here always has the shape of an object; the tests build each.
pub(super) fn object(value: Value) -> DynamicObject {
    #[allow(clippy::expect_used, reason = "a literal of this module that a test builds")]
    serde_json::from_value(value).expect("an object")
}
