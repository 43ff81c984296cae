//! `HarborClass`: settings that many registries share.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    ClassCache, ClassDatabase, HarborComponents, HarborExposure, HarborLogLevel, HarborProxy, HarborStorage,
    InternalTls, SslMode,
};

/// Settings for all registries that name this class; what a registry gives itself counts more.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "HarborClass",
    plural = "harborclasses",
    shortname = "hbc",
    category = "fairway",
    derive = "PartialEq",
    doc = "Settings for all registries that name this class; what a registry gives itself counts more.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.version) || !has(self.versions) || size(self.versions) == 0 || self.version in self.versions",
    "version must be one of versions: add it there or choose another"
))]
pub struct HarborClassSpec {
    /// The version of Harbor of registries that ask for none. Default: the newest that Fairway knows and the class
    /// offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$"))]
    pub version: Option<String>,

    /// The versions on offer, of those that Fairway knows, at most 16. Default: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 14), regex(pattern = r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$")))]
    pub versions: Vec<String>,

    /// Where Harbor's images are taken from, such as `mirror.example.com/goharbor`. Default:
    /// `docker.io/goharbor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:-]*[A-Za-z0-9]$"))]
    pub image_repository: Option<String>,

    /// How registries are reached. Default: a `LoadBalancer` made for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<HarborExposure>,

    /// Harbor's programs: how many of each, how large, from which image. A component that a registry names counts as
    /// a whole. Default: one of each, without Trivy and the exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<HarborComponents>,

    /// The `PostgreSQL` of registries; one that is there is named by the registry whose it is. Default: one for each,
    /// that Fairway runs on a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<ClassDatabase>,

    /// The Redis of registries; one that is there is named by the registry whose it is. Default: one for each, that
    /// Fairway runs on a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<ClassCache>,

    /// Where images are kept. In a bucket or container each registry has a folder of its own, `<prefix>/<namespace>/<name>`.
    /// Default: a volume of 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<HarborStorage>,

    /// The proxy towards what is outside. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<HarborProxy>,

    /// TLS between Harbor's programs, and from the front door to them, with certificates of an authority of the
    /// registry's own that Fairway makes and renews. A change replaces their pods. Default: none.
    #[serde(rename = "internalTLS", default, skip_serializing_if = "Option::is_none")]
    pub internal_tls: Option<InternalTls>,

    /// How much Harbor's programs log. Default: `Info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<HarborLogLevel>,

    /// The labels of the nodes that pods may run on; a change replaces the pods. Default: any node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,

    /// The `PostgreSQL` servers that registries may share, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub database_servers: Vec<SharedDatabaseServer>,

    /// The Redis servers that registries may share, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub cache_servers: Vec<SharedCacheServer>,
}

/// A `PostgreSQL` that many registries share, each with a database and a role of its own.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedDatabaseServer {
    /// What registries call it: a-z, 0-9 and -, at most 40 characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The server's name or address, as registries in all namespaces reach it.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))]
    pub host: String,

    /// The port, 1 to 65535. Default: 5432.
    #[serde(default = "super::database::default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The name of a Secret in Fairway's own namespace with the keys `username` and `password` of a role that may
    /// make roles and databases.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub administrator_secret_name: String,

    /// `disable`, `require`, `verify-ca` or `verify-full`; the last two with the authorities that Fairway's and
    /// Harbor's images bring. Default: `require`.
    #[serde(default = "require")]
    pub ssl_mode: SslMode,

    /// How many connections each registry may hold, 12 (what one core and one jobservice need) to 1000. Default: 50.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 12, max = 1000))]
    pub connections_per_registry: i32,
}

/// A Redis that many registries share, each with a user and databases of its own.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedCacheServer {
    /// What registries call it: a-z, 0-9 and -, at most 40 characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The server's name or address, as registries in all namespaces reach it.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))]
    pub host: String,

    /// The port, 1 to 65535. Default: 6379.
    #[serde(default = "super::cache::default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The name of a Secret in Fairway's own namespace with the key `password`, and `username` if it is not that of
    /// the user `default`, of a user that may make users.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub administrator_secret_name: String,

    /// Whether it speaks TLS, with a certificate of the authorities that Fairway's and Harbor's images bring.
    /// Default: `false`.
    #[serde(default)]
    pub tls: bool,

    /// How many databases it has (`databases` of its configuration), 5 to 100000: each registry takes four, and
    /// none takes database 0, which Redis keeps nobody out of. Default: 16.
    #[serde(default = "default_databases")]
    #[schemars(range(min = 5, max = 100_000))]
    pub databases: i32,
}

fn require() -> SslMode {
    SslMode::Require
}

fn default_connections() -> i32 {
    50
}

fn default_databases() -> i32 {
    16
}
