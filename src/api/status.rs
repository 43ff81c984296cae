//! What a user reads of a load balancer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Fairway has seen of a load balancer.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerStatus {
    /// The generation of the spec that was last worked through without an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the spec makes sense. `ResolvedRefs`: all that it names is there and usable.
    /// `Programmed`: every serving replica has proven that it runs the configuration of the observed
    /// generation. `Ready`: at least one replica serves. `VersionSupported`, once a replica has told its
    /// version: all run an HAProxy that Fairway supports. `CertificatesCurrent`, where certificates are
    /// served: none of them ends within 21 days. `Reconciled`: the last turn ended without an error.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// How it fares as a whole: `Online` when all listeners are; `Error` when none serves; `Degraded` in
    /// between; `Offline` when it is disabled or has no replicas.
    #[serde(default)]
    pub operating_status: OperatingStatus,

    /// Where clients reach it, at most 16.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub addresses: Vec<Address>,

    /// The configuration that every replica shall run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationStatus>,

    /// How many pods there are.
    #[serde(default)]
    pub replicas: i32,

    /// How many pods serve and have proven the wanted configuration.
    #[serde(default)]
    pub proven_replicas: i32,

    /// The label selector of the pods, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,

    /// The pods, at most 100.
    #[serde(default)]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["pod".into()]))]
    pub replica_statuses: Vec<ReplicaStatus>,

    /// The listeners, as HAProxy in the replicas sees them, at most 64.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub listeners: Vec<ListenerStatus>,

    /// The pools, as HAProxy in the replicas sees them, at most 128.
    #[serde(default)]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<PoolStatus>,
}

/// An address that clients reach a load balancer at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// `IPAddress` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: AddressKind,
    /// The address.
    pub value: String,
}

/// The kinds of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressKind {
    /// IPv4 or IPv6.
    IPAddress,
    /// A name.
    Hostname,
}

/// A configuration, by its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// SHA-256 over all of its files, in hexadecimal.
    pub hash: String,
    /// Grows by one with every change.
    pub sequence: u64,
}

/// A pod of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaStatus {
    /// The pod's name.
    pub pod: String,
    /// The node that it runs on; empty while it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Whether it takes traffic.
    pub ready: bool,
    /// The hash of the configuration that its HAProxy has proven to run; empty while none is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proven_hash: String,
    /// The version of its HAProxy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub haproxy_version: String,
    /// Why it does not run the wanted configuration; empty when it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a load balancer, a listener or a pool fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatingStatus {
    /// All is well.
    Online,
    /// It serves, and something of it does not.
    Degraded,
    /// Nothing of it serves.
    Error,
    /// Its members take nothing new, and finish what they have.
    Draining,
    /// It is disabled, or nothing uses it.
    Offline,
    /// It serves, and nothing checks its members.
    NoMonitor,
    /// No replica has told yet.
    #[default]
    Unknown,
}

/// A listener, as its replicas see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerStatus {
    /// The listener's name.
    pub name: String,
    /// Whether HAProxy listens.
    pub state: ListenerState,
    /// `Online` when all replicas listen and the pools that it uses take traffic, `Degraded` when some do,
    /// `Error` when none does, `Offline` when it is disabled.
    pub operating_status: OperatingStatus,
    /// Why the state is not `Serving` everywhere; empty when it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The certificate that ends first, of those that HAProxy serves here; none where it serves without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
}

/// Whether HAProxy listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListenerState {
    /// At least one replica listens.
    Serving,
    /// No replica listens, though they should.
    Closed,
    /// No replica listens, as it shall be.
    Disabled,
    /// No replica has told yet.
    #[default]
    Unknown,
}

/// A certificate that is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The Secret that it is from.
    pub secret_name: String,
    /// When it ends.
    pub not_after: Time,
}

/// A pool, as its replicas see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolStatus {
    /// The pool's name.
    pub name: String,
    /// `Online` when all members take traffic, `NoMonitor` when they do and nothing checks them, `Degraded`
    /// when some do, `Error` when none does, `Draining` when all have weight 0, `Offline` when no listener
    /// that is open uses it.
    pub operating_status: OperatingStatus,
    /// How many members it has.
    pub members: i32,
    /// How many of them every replica sees taking traffic.
    pub up: i32,
    /// Members that a replica sees not taking traffic, as `address:port`, the first 5.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub down: Vec<String>,
}
