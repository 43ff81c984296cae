//! What surrounds the pods: `ServiceAccount`, Service, `PodDisruptionBudget`, `NetworkPolicy`. Pure.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::object;
use crate::{
    agent::protocol::{AGENT_PORT, METRICS_PORT},
    api::{ExternalTrafficPolicy, ServiceKind, ServiceSettings},
    loadbalancer::{names, plan::parse::Spec, world::Installation},
};

/// An identity without rights and without a token.
#[must_use]
pub fn service_account(load_balancer: &str) -> DynamicObject {
    object(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": names::child(load_balancer) },
        "automountServiceAccountToken": false,
    }))
}

/// A port for each listener, in front of the pods.
#[must_use]
pub fn service(load_balancer: &str, spec: &Spec, settings: &ServiceSettings) -> DynamicObject {
    let ServiceSettings { kind, annotations, external_traffic_policy } = settings;
    let ports: Vec<Value> = spec
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "name": listener.frontend.name,
                "port": listener.frontend.port,
                "targetPort": listener.frontend.port,
                "protocol": "TCP",
            })
        })
        .collect();
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": names::child(load_balancer) },
        "spec": {
            "type": match kind {
                ServiceKind::ClusterIP => "ClusterIP",
                ServiceKind::NodePort => "NodePort",
                ServiceKind::LoadBalancer => "LoadBalancer",
            },
            "selector": names::selector(load_balancer),
            "ports": ports,
        },
    });
    if !annotations.is_empty() {
        service["metadata"]["annotations"] = json!(annotations);
    }
    if let Some(policy) = external_traffic_policy {
        service["spec"]["externalTrafficPolicy"] = json!(match policy {
            ExternalTrafficPolicy::Cluster => "Cluster",
            ExternalTrafficPolicy::Local => "Local",
        });
    }
    object(service)
}

/// One pod at a time may be taken away by hand.
#[must_use]
pub fn disruption_budget(load_balancer: &str) -> DynamicObject {
    object(json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": names::child(load_balancer) },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": names::selector(load_balancer) },
        },
    }))
}

/// Clients reach the listeners, the operator reaches the agent, anyone in the cluster reads metrics.
#[must_use]
pub fn network_policy(load_balancer: &str, spec: &Spec, installation: &Installation) -> DynamicObject {
    let port = |port: u16| json!({ "protocol": "TCP", "port": port });
    let listeners: Vec<Value> = spec.listeners.iter().map(|listener| port(listener.frontend.port)).collect();
    object(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": names::child(load_balancer) },
        "spec": {
            "podSelector": { "matchLabels": names::selector(load_balancer) },
            "policyTypes": ["Ingress"],
            "ingress": [
                { "ports": listeners },
                {
                    "from": [{
                        "namespaceSelector": {
                            "matchLabels": { "kubernetes.io/metadata.name": installation.namespace },
                        },
                        "podSelector": { "matchLabels": { "app.kubernetes.io/name": "fairway" } },
                    }],
                    "ports": [port(AGENT_PORT)],
                },
                { "from": [{ "namespaceSelector": {} }], "ports": [port(METRICS_PORT)] },
            ],
        },
    }))
}
