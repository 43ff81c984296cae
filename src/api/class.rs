//! `LoadBalancerClass`: settings that many load balancers share.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Exposure, Resources};

/// Settings for all load balancers that name this class; what a load balancer gives itself counts more.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "LoadBalancerClass",
    plural = "loadbalancerclasses",
    shortname = "lbc",
    category = "fairway",
    derive = "PartialEq",
    doc = "Settings for all load balancers that name this class; what a load balancer gives itself counts more.",
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerClassSpec {
    /// How many HAProxy pods each load balancer has. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,

    /// Processor and memory of each HAProxy pod; a change replaces the pods. Default: requests of 100m
    /// and 64Mi, limits of 1 and 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The HAProxy image, with `haproxy` 2.6 or later on its PATH; a change replaces the pods. Default:
    /// the one that Fairway is released with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,

    /// How clients reach the pods. Default: a Service of type `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,

    /// The labels of the nodes that pods may run on; a change replaces the pods. Default: any node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
}
