//! Settings that a load balancer may give itself and a class may give to many: resources, exposure.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Processor and memory of a pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !isQuantity(self.requests.cpu) || !isQuantity(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0",
        "requests.cpu must not be more than limits.cpu"
    ),
    validation = (
        "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !isQuantity(self.requests.memory) || !isQuantity(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0",
        "requests.memory must not be more than limits.memory"
    )
)]
pub struct Resources {
    /// What is set aside for the pod. Default: as the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,

    /// What the pod may use at most. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// An amount of processor and memory.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// Processors, such as `500m` or `2`. HAProxy runs a thread for each whole one of its limit.
    /// Default: not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (
        "isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
        "cpu must be a quantity above 0, such as 500m or 2"
    ))]
    pub cpu: Option<String>,

    /// Bytes of memory, such as `256Mi`. HAProxy takes as many connections as its limit has room for,
    /// about 33 kB each. Default: not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (
        "isQuantity(self) && quantity(self).compareTo(quantity('32Mi')) >= 0",
        "memory must be a quantity of at least 32Mi, such as 256Mi"
    ))]
    pub memory: Option<String>,
}

/// How clients reach the pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.type == 'Service' || !has(self.service)",
    "service is for exposure of type Service only: change the type or leave it out"
))]
pub struct Exposure {
    /// `Service` (a Service in front of the pods) or `HostNetwork` (the pods use their node's network,
    /// one a node; their namespace must allow privileged pods). Default: `Service`.
    #[serde(rename = "type", default)]
    pub kind: ExposureKind,

    /// For `Service`: what it is like. Default: a Service of type `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSettings>,
}

/// The ways to reach the pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExposureKind {
    /// Through a Service.
    #[default]
    Service,
    /// At the addresses of their nodes.
    HostNetwork,
}

/// What the Service is like.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",
    "externalTrafficPolicy is for Services of type NodePort or LoadBalancer only"
))]
pub struct ServiceSettings {
    /// `ClusterIP`, `NodePort` or `LoadBalancer`. Default: `ClusterIP`.
    #[serde(rename = "type", default)]
    pub kind: ServiceKind,

    /// Annotations of the Service, at most 32, as the cloud in front may want them. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,

    /// `Local` keeps the client's address and sends traffic only to pods of the node that it came in
    /// at; `Cluster` sends it to all. Default: `Cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
}

/// The types of Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceKind {
    /// An address inside the cluster.
    #[default]
    ClusterIP,
    /// A port on every node.
    NodePort,
    /// An address from the cloud.
    LoadBalancer,
}

/// `Local` keeps the client's address and sends traffic only to pods of the node that it came in at;
/// `Cluster` sends it to all. Default: `Cluster`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// To all pods.
    Cluster,
    /// To its own pods.
    Local,
}
