//! From Kubernetes' objects to the little that a plan needs of them. Pure.

use std::net::IpAddr;

use k8s_openapi::api::{
    core::v1::{ConfigMap, Container, ContainerStatus, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::ResourceExt;

use crate::loadbalancer::{
    names::LOAD_BALANCER_LABEL,
    world::{CertificateSecret, Endpoint, Replica, SelectedPod, ServicePortWorld},
};

/// What Kubernetes says of a container on its way; nothing that a user has to know.
const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// A pod, and the load balancer that it belongs to. What a [`Replica`] has of it, in few bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownPod {
    pub(super) load_balancer: Box<str>,
    pub(super) ready: bool,
    pub(super) deleting: bool,
    address: Option<IpAddr>,
    node: Box<str>,
    node_address: Option<IpAddr>,
    waiting: Box<str>,
}

impl KnownPod {
    /// As a plan sees it, under its name.
    pub(super) fn replica(&self, pod: String) -> Replica {
        let Self { load_balancer: _, ready, deleting, address, node, node_address, waiting } = self;
        Replica {
            pod,
            node: node.to_string(),
            address: *address,
            node_address: *node_address,
            ready: *ready,
            deleting: *deleting,
            waiting: waiting.to_string(),
            report: None,
        }
    }
}

/// An endpoint slice, and the Service that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownSlice {
    pub(super) service: Box<str>,
    pub(super) endpoints: Box<[Endpoint]>,
}

pub(super) fn pod(pod: Pod) -> KnownPod {
    let load_balancer = pod.labels().get(LOAD_BALANCER_LABEL).cloned().unwrap_or_default();
    let deleting = pod.metadata.deletion_timestamp.is_some();
    let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let unschedulable = is("PodScheduled").filter(|condition| condition.status == "False");
    let mut containers =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = unschedulable.and_then(|condition| condition.message.clone()).or_else(|| containers.find_map(waits));
    // A pod that has ended keeps its address for a while, but nothing answers there.
    let ended = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    KnownPod {
        load_balancer: load_balancer.into(),
        ready: is("Ready").is_some_and(|condition| condition.status == "True"),
        deleting: deleting || ended,
        address: status.pod_ip.and_then(|address| address.parse().ok()).filter(|_| !ended),
        node: node.into(),
        node_address: status.host_ip.and_then(|address| address.parse().ok()),
        waiting: waiting.unwrap_or_default().into(),
    }
}

fn waits(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if ON_ITS_WAY.contains(&reason) {
        return None;
    }
    Some(match &waiting.message {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    })
}

/// The endpoints that can serve: ready ones, and those on their way out that still serve.
pub(super) fn slice(slice: EndpointSlice) -> KnownSlice {
    let service = slice.labels().get("kubernetes.io/service-name").cloned().unwrap_or_default();
    let ports: Vec<(String, u16)> = slice
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .filter_map(|port| Some((port.name.unwrap_or_default(), u16::try_from(port.port?).ok()?)))
        .collect();
    // On the way out or not; none where it can't serve.
    let ending = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        let serves = if conditions.terminating == Some(true) { conditions.serving } else { conditions.ready };
        serves.unwrap_or(true).then_some(conditions.terminating == Some(true))
    };
    let endpoints = slice
        .endpoints
        .into_iter()
        .filter_map(|endpoint| Some((ending(&endpoint)?, endpoint.addresses)))
        .flat_map(|(ending, addresses)| addresses.into_iter().map(move |address| (ending, address)))
        .filter_map(|(ending, address)| Some((ending, address.parse::<IpAddr>().ok()?)))
        .flat_map(|(ending, address)| {
            ports.iter().map(move |(name, port)| Endpoint { port_name: name.clone(), address, port: *port, ending })
        })
        .collect();
    KnownSlice { service: service.into(), endpoints }
}

/// A pod that a selector matches; none when it has ended and won't serve again.
pub(super) fn selected_pod(pod: Pod) -> Option<SelectedPod> {
    let ending = pod.metadata.deletion_timestamp.is_some();
    let status = pod.status.unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return None;
    }
    let conditions = status.conditions.unwrap_or_default();
    let spec = pod.spec.unwrap_or_default();
    // Containers that run beside the others are written among those that run before them.
    let beside = spec.init_containers.into_iter().flatten();
    let beside = beside.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    Some(SelectedPod {
        address: status.pod_ip.and_then(|address| address.parse().ok()),
        ready: conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        ending,
        ports: spec.containers.into_iter().chain(beside).flat_map(named_ports).collect(),
    })
}

/// The TCP ports of a container that have a name.
fn named_ports(container: Container) -> impl Iterator<Item = (String, u16)> {
    let ports = container.ports.unwrap_or_default().into_iter();
    ports
        .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .filter_map(|port| Some((port.name?, u16::try_from(port.container_port).ok()?)))
}

/// Boxed: a vector made of a larger type keeps that one's memory.
pub(super) fn service_ports(service: Service) -> Box<[ServicePortWorld]> {
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    ports
        .into_iter()
        .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .map(|port| ServicePortWorld { name: port.name.unwrap_or_default(), number: port.port })
        .collect()
}

pub(super) fn certificate(secret: Secret) -> CertificateSecret {
    let mut data = secret.data.unwrap_or_default();
    let mut part = |name: &str| data.remove(name).map(|part| part.0);
    CertificateSecret { certificate: part("tls.crt"), key: part("tls.key") }
}

/// The certificates of authorities; none when the key is not there.
pub(super) fn authorities(config_map: ConfigMap) -> Option<String> {
    config_map.data?.remove("ca.crt")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::nothing_said(json!({}), Some(false))]
    #[case::ready(json!({ "ready": true, "serving": true, "terminating": false }), Some(false))]
    #[case::not_ready(json!({ "ready": false, "serving": false }), None)]
    #[case::ending_and_serving(json!({ "ready": false, "serving": true, "terminating": true }), Some(true))]
    #[case::ending(json!({ "ready": false, "serving": false, "terminating": true }), None)]
    fn endpoints_that_can_serve_are_kept(#[case] conditions: Value, #[case] ending: Option<bool>) {
        let object = json!({
            "metadata": { "labels": { "kubernetes.io/service-name": "app" } },
            "addressType": "IPv4",
            "ports": [{ "port": 8080 }, { "port": 53, "protocol": "UDP" }],
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": conditions }],
        });
        let known = slice(serde_json::from_value(object).expect("a slice"));
        let found: Vec<_> = known.endpoints.iter().map(|endpoint| (endpoint.port, endpoint.ending)).collect();
        assert_eq!(found, ending.map(|ending| (8080, ending)).into_iter().collect::<Vec<_>>());
    }

    fn a_pod(status: &Value) -> Value {
        json!({
            "spec": {
                "containers": [
                    { "name": "a", "ports": [{ "containerPort": 80 }, { "containerPort": 53, "name": "dns", "protocol": "UDP" }] },
                    { "name": "b", "ports": [{ "containerPort": 8080, "name": "http", "protocol": "TCP" }] },
                ],
                "initContainers": [
                    { "name": "before", "ports": [{ "containerPort": 1, "name": "before" }] },
                    { "name": "beside", "restartPolicy": "Always", "ports": [{ "containerPort": 2, "name": "beside" }] },
                ],
            },
            "status": status,
        })
    }

    #[rstest]
    #[case::nothing_said(json!({}), Some((None, false)))]
    #[case::not_ready(json!({ "phase": "Running", "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "False" }] }), Some((Some("10.0.0.1"), false)))]
    #[case::ready(json!({ "phase": "Running", "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] }), Some((Some("10.0.0.1"), true)))]
    #[case::the_first_address(json!({ "podIP": "2001:db8::1", "podIPs": [{ "ip": "2001:db8::1" }, { "ip": "10.0.0.1" }], "conditions": [{ "type": "Ready", "status": "True" }] }), Some((Some("2001:db8::1"), true)))]
    #[case::at_its_node(json!({ "podIP": "192.0.2.1", "hostIP": "192.0.2.1", "conditions": [{ "type": "Ready", "status": "True" }] }), Some((Some("192.0.2.1"), true)))]
    #[case::succeeded(json!({ "phase": "Succeeded", "podIP": "10.0.0.1" }), None)]
    #[case::failed(json!({ "phase": "Failed", "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] }), None)]
    fn of_a_pod_little_is_kept(#[case] status: Value, #[case] expected: Option<(Option<&str>, bool)>) {
        let found = selected_pod(serde_json::from_value(a_pod(&status)).expect("a pod"));
        let expected = expected.map(|(address, ready)| SelectedPod {
            address: address.and_then(|address| address.parse().ok()),
            ready,
            ending: false,
            ports: vec![("http".to_owned(), 8080), ("beside".to_owned(), 2)],
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_pod_that_was_asked_to_end_is_ending() {
        let mut pod = a_pod(&json!({ "conditions": [{ "type": "Ready", "status": "True" }] }));
        pod["metadata"] = json!({ "deletionTimestamp": "2026-11-23T12:00:00Z" });
        let found = selected_pod(serde_json::from_value(pod).expect("a pod")).expect("it has not ended");
        assert!(found.ready && found.ending);
    }
}
