//! What a user reads of a registry.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StorageKind;

/// What Fairway has seen of a registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborStatus {
    /// The generation of the spec that was last worked through without an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the spec makes sense, and its version can be reached. `ResolvedRefs`: all that it names is there
    /// and usable. `DatabaseReady`, `CacheReady`: each answers. `Migrated`: the database is that of the version.
    /// `AdministratorReady`: Fairway can log in as `admin`, with the password that was asked for. `StorageReady`: the
    /// registry can write images. `RolledOut`: all pods are those that spec and class ask for. `Healthy`: what Harbor
    /// itself says of all its programs. `Ready`: clients can push and pull. `Reconciled`: the last turn ended without
    /// an error.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The version that the database was migrated to, which is the one that runs; empty before the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,

    /// Which database holds the registry's data: `Managed`, or `host:port/name`. Another one is taken only when the
    /// data is there; empty before the first version runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub database: String,

    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,

    /// The Secret whose key `adminPassword` is the password of the user `admin`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub credentials_secret_name: String,

    /// What is being waited for, in words; empty when nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waiting_for: String,

    /// Harbor's programs with their database and cache, at most 16.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub components: Vec<ComponentStatus>,

    /// The connections to the database; none before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionBudget>,

    /// What the registry's data takes; none before there is some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,

    /// Which of Redis' databases belongs to what: it stays while the registry lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_databases: Option<RedisDatabases>,
}

/// One of Harbor's programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentStatus {
    /// Such as `core`.
    pub name: String,
    /// How many pods it shall have.
    pub replicas: i32,
    /// How many of them are ready.
    pub ready_replicas: i32,
    /// What Harbor's own health check says of it: `healthy`, `unhealthy`, or nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health: String,
    /// Why it is not well; empty when it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The connections to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionBudget {
    /// How many the registry may hold in all.
    pub usable: i32,
    /// How many pods have a pool, those that come and go in a replacement among them.
    pub pods: i32,
    /// How many each pod may open.
    pub per_pod: i32,
}

/// What a registry's data takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageStatus {
    /// Where images are: `Filesystem`, `S3` or `Swift`.
    #[serde(rename = "type")]
    pub kind: StorageKind,
    /// How many bytes images take, as Harbor counts them: what several share counts once, and what was deleted counts
    /// until garbage is collected. Asked every five minutes, and told anew when it has changed by a hundredth and by
    /// a MiB at least. None before Harbor was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<i64>,
    /// The volumes that Fairway has made for the registry, at most 3; none for a bucket, which has no size.
    #[schemars(length(max = 3))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStatus>,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeStatus {
    /// Of its claim.
    pub name: String,
    /// How large it shall be.
    pub requested_bytes: i64,
    /// How large it is; none until it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<i64>,
}

/// Which of Redis' databases belongs to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisDatabases {
    /// Sessions and the like.
    pub core: i32,
    /// The queue of jobs.
    pub jobservice: i32,
    /// What the registry knows of its layers.
    pub registry: i32,
    /// The scanner's queue.
    pub trivy: i32,
}
