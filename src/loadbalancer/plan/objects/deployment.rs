//! The pods: HAProxy and, beside it, the agent. Pure.
//!
//! Ports of listeners don't stand here: HAProxy takes them live, and a pod template that named them
//! would replace every pod for each new one.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::object;
use crate::{
    agent::protocol::{AGENT_PORT, HEALTH_PORT, METRICS_PORT},
    api::ExposureKind,
    loadbalancer::{names, plan::settings::Settings, world::Pins},
};

/// Who the containers run as: nobody in particular, but never root.
const USER: i64 = 65_532;
/// Where the agent's program lies: on disk, since memory counts for each pod.
const PROGRAM: &str = "/opt/fairway/fairway";
/// How long connections may take to end when a pod goes, in seconds.
const GRACE: i64 = 60;
/// How long a pod stays on a node that is not heard of, in seconds; Kubernetes' default is 300.
const NODE_LOST: i64 = 30;

/// The Deployment of a load balancer.
#[must_use]
pub fn deployment(load_balancer: &str, settings: &Settings, pins: &Pins) -> DynamicObject {
    let host_network = settings.exposure.kind == ExposureKind::HostNetwork;
    // With the host's network there is no room for a second pod on a node.
    let (surge, unavailable) = if host_network { (0, 1) } else { (1, 0) };
    object(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names::child(load_balancer),
            "annotations": { names::PINS_ANNOTATION: serde_json::to_string(pins).unwrap_or_default() },
        },
        "spec": {
            "replicas": settings.replicas,
            "revisionHistoryLimit": 2,
            "selector": { "matchLabels": names::selector(load_balancer) },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable },
            },
            "template": {
                "metadata": {
                    "labels": names::pod_labels(load_balancer),
                    "annotations": { "kubectl.kubernetes.io/default-container": "haproxy" },
                },
                "spec": pod(load_balancer, settings, pins, host_network),
            },
        },
    }))
}

fn pod(load_balancer: &str, settings: &Settings, pins: &Pins, host_network: bool) -> Value {
    let mut pod = json!({
        "serviceAccountName": names::child(load_balancer),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE,
        "tolerations": [toleration("not-ready"), toleration("unreachable")],
        "initContainers": [install_container(pins)],
        "containers": [haproxy_container(settings, pins, host_network), agent_container(pins, host_network)],
        "volumes": [
            { "name": "program", "emptyDir": { "sizeLimit": "256Mi" } },
            { "name": "run", "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } },
            secret_volume("configuration", &names::configuration_secret(load_balancer)),
            secret_volume("identity", &names::identity_secret(load_balancer)),
        ],
    });
    if !settings.node_selector.is_empty() {
        pod["nodeSelector"] = json!(settings.node_selector);
    }
    if host_network {
        pod["hostNetwork"] = json!(true);
        pod["securityContext"] = json!({ "fsGroup": USER, "seccompProfile": { "type": "RuntimeDefault" } });
        pod["affinity"] = json!({
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": { "matchLabels": names::selector(load_balancer) },
                }],
            },
        });
    } else {
        pod["securityContext"] = json!({
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
            // Listeners below 1024 without being root; one of the sysctls that Kubernetes calls safe.
            "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }],
        });
        pod["topologySpreadConstraints"] = json!([{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            // A lost node is tainted: without this nothing could take the place of its pod.
            "nodeTaintsPolicy": "Honor",
            "matchLabelKeys": ["pod-template-hash"],
            "labelSelector": { "matchLabels": names::selector(load_balancer) },
        }]);
    }
    pod
}

fn toleration(condition: &str) -> Value {
    json!({
        "key": format!("node.kubernetes.io/{condition}"),
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": NODE_LOST,
    })
}

fn install_container(pins: &Pins) -> Value {
    json!({
        "name": "install",
        "image": pins.fairway_image,
        "args": ["agent", "install", "--target", PROGRAM],
        "securityContext": security(false),
        "resources": {
            "requests": { "cpu": "10m", "memory": "16Mi" },
            "limits": { "cpu": "500m", "memory": "64Mi" },
        },
        "volumeMounts": [{ "name": "program", "mountPath": "/opt/fairway" }],
    })
}

fn haproxy_container(settings: &Settings, pins: &Pins, host_network: bool) -> Value {
    json!({
        "name": "haproxy",
        "image": pins.haproxy_image,
        "command": [PROGRAM, "agent", "boot"],
        "env": environment(),
        "securityContext": security(host_network),
        "resources": settings.resources,
        "ports": [{ "name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP" }],
        "startupProbe": probe("health", 1, 120),
        "readinessProbe": probe("health", 2, 3),
        // No liveness: at its limit of connections HAProxy answers nobody, and must not be ended for that.
        // Its master ends by itself when a worker does.
        "lifecycle": { "preStop": { "exec": { "command": [PROGRAM, "agent", "drain"] } } },
        "volumeMounts": [
            { "name": "program", "mountPath": "/opt/fairway", "readOnly": true },
            { "name": "run", "mountPath": "/run/fairway" },
            { "name": "configuration", "mountPath": "/etc/fairway/configuration", "readOnly": true },
        ],
    })
}

/// The agent uses HAProxy's image as well, so that it checks with the very program that will run; checking
/// takes the memory that the largest configuration takes.
fn agent_container(pins: &Pins, host_network: bool) -> Value {
    json!({
        "name": "agent",
        "image": pins.haproxy_image,
        "command": [PROGRAM, "agent", "serve"],
        "env": environment(),
        "securityContext": security(host_network),
        "resources": {
            "requests": { "cpu": "10m", "memory": "32Mi" },
            "limits": { "cpu": "1", "memory": "512Mi" },
        },
        "ports": [
            { "name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP" },
            { "name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP" },
        ],
        "livenessProbe": probe("metrics", 10, 6),
        "volumeMounts": [
            { "name": "program", "mountPath": "/opt/fairway", "readOnly": true },
            { "name": "run", "mountPath": "/run/fairway" },
            { "name": "configuration", "mountPath": "/etc/fairway/configuration", "readOnly": true },
            { "name": "identity", "mountPath": "/etc/fairway/identity", "readOnly": true },
        ],
    })
}

/// Threads and connections follow the limits of the container that HAProxy runs in.
fn environment() -> Value {
    let limit = |resource: &str, divisor: &str| {
        json!({
            "resourceFieldRef": { "containerName": "haproxy", "resource": resource, "divisor": divisor },
        })
    };
    json!([
        { "name": "FAIRWAY_CPU_MILLIS", "valueFrom": limit("limits.cpu", "1m") },
        { "name": "FAIRWAY_MEMORY_BYTES", "valueFrom": limit("limits.memory", "1") },
    ])
}

/// On the host's network ports below 1024 take a capability, which only root can use.
fn security(host_network: bool) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    });
    if host_network {
        context["runAsUser"] = json!(0);
        context["capabilities"]["add"] = json!(["NET_BIND_SERVICE"]);
    }
    context
}

fn probe(port: &str, period: i32, failures: i32) -> Value {
    json!({
        "httpGet": { "path": "/healthz", "port": port },
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    })
}

fn secret_volume(name: &str, secret: &str) -> Value {
    json!({ "name": name, "secret": { "secretName": secret, "defaultMode": 0o440 } })
}
