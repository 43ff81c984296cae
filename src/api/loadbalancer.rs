//! `LoadBalancer`: one customer's load balancer, as the user writes it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Exposure, Listener, LoadBalancerStatus, Pool, Resources, yes};

/// A load balancer: HAProxy pods that answer on the listeners' ports and pass what comes in to the
/// members of a pool.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "LoadBalancer",
    plural = "loadbalancers",
    shortname = "lb",
    category = "fairway",
    namespaced,
    status = "LoadBalancerStatus",
    derive = "PartialEq",
    doc = "A load balancer: HAProxy pods that answer on the listeners' ports and pass what comes in to the members of a pool.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.operatingStatus"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.addresses[0].value"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Proven", type_ = "integer", json_path = ".status.provenReplicas"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = (
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name must start with a letter, hold only a-z, 0-9 and -, and be at most 40 characters long: the objects made for it are named after it"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.listeners.all(l, self.listeners.exists_one(m, m.port == l.port))",
        "two listeners have the same port: give each listener a port of its own"
    ),
    validation = (
        "self.listeners.all(l, !has(l.pool) || self.pools.exists(p, p.name == l.pool))",
        "a listener names a pool that is not in spec.pools: add the pool or correct the name"
    ),
    validation = (
        "self.listeners.all(l, !has(l.rules) || l.rules.all(r, !has(r.pool) || self.pools.exists(p, p.name == r.pool)))",
        "a rule names a pool that is not in spec.pools: add the pool or correct the name"
    ),
    validation = (
        "self.pools.all(p, !has(p.persistence) || p.persistence.type == 'SourceAddress' || self.listeners.all(l, l.protocol in ['HTTP', 'HTTPS'] || ((!has(l.pool) || l.pool != p.name) && (!has(l.rules) || l.rules.all(r, !has(r.pool) || r.pool != p.name)))))",
        "a listener of protocol TCP or TLS uses a pool with persistence by cookie: choose persistence of type SourceAddress, or another pool"
    )
)]
pub struct LoadBalancerSpec {
    /// The `LoadBalancerClass` that the settings not given here come from. Default: none, so that
    /// Fairway's own defaults hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,

    /// Whether it answers. With `false` all its ports are closed, while its pods and addresses stay. Default:
    /// `true`.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// How many HAProxy pods answer, spread over the nodes. Default: the class's, else 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,

    /// Processor and memory of each HAProxy pod; a change replaces the pods, one after the other.
    /// Default: the class's, else requests of 100m and 64Mi, limits of 1 and 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The HAProxy image, with `haproxy` 2.6 or later on its PATH; a change replaces the pods, one
    /// after the other. Default: the class's, else the one that Fairway is released with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,

    /// How clients reach the pods. Default: the class's, else a Service of type `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,

    /// The ports that are listened on, 1 to 64, each with a name of its own.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub listeners: Vec<Listener>,

    /// The groups of servers that listeners pass traffic to, 1 to 128, each with a name of its own.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<Pool>,
}
