//! Where a registry keeps jobs and sessions.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{ClassServerKind, ServerKind, VolumeRequest};
use crate::api::Resources;

/// The Redis of a registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type == 'Managed' || !has(self.managed)",
        "managed is for a cache of type Managed only: a registry has one cache"
    ),
    validation = (
        "(self.type == 'External') == has(self.external)",
        "a cache of type External needs external, and no other type has it: a registry has one cache"
    ),
    validation = (
        "(self.type == 'Shared') == has(self.serverName)",
        "a cache of type Shared needs serverName, and no other type has it: a registry has one cache"
    )
)]
pub struct HarborCache {
    /// `Managed` (Fairway runs a Redis on a volume), `Shared` (databases and a user of its own on a server that the
    /// class names) or `External` (a Redis that is there). Default: `Managed`.
    #[serde(rename = "type", default)]
    pub kind: ServerKind,

    /// For `Managed`: what it is like. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedCache>,

    /// For `Shared`: the name of a server in the class's `cacheServers`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub server_name: Option<String>,

    /// For `External`: where it is. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalCache>,
}

/// The Redis of each registry of a class. One that is there is one registry's own, and named in its spec.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type == 'Managed' || !has(self.managed)",
        "managed is for a cache of type Managed only: a registry has one cache"
    ),
    validation = (
        "(self.type == 'Shared') == has(self.serverName)",
        "a cache of type Shared needs serverName, and no other type has it: a registry has one cache"
    )
)]
pub struct ClassCache {
    /// `Managed` (Fairway runs a Redis on a volume for each) or `Shared` (databases and a user for each on a server of
    /// `cacheServers`). Default: `Managed`.
    #[serde(rename = "type", default)]
    pub kind: ClassServerKind,

    /// For `Managed`: what it is like. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedCache>,

    /// For `Shared`: the name of a server in `cacheServers`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub server_name: Option<String>,
}

impl From<ClassCache> for HarborCache {
    fn from(ClassCache { kind, managed, server_name }: ClassCache) -> Self {
        Self { kind: kind.into(), managed, server_name, external: None }
    }
}

/// A Redis that Fairway runs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedCache {
    /// Its volume: jobs that wait must not be lost. Default: 1Gi of the cluster's default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeRequest>,

    /// Processor and memory; Redis takes three quarters of the limit of memory for data. A change starts it anew.
    /// Default: requests of 50m and 64Mi, limits of 500m and 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change starts it anew. Default: the class's, else `docker.io/library/redis:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,
}

/// A Redis that is there.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.username) || has(self.passwordSecretName)",
        "username needs passwordSecretName: a user of Redis has a password"
    ),
    validation = (
        "!has(self.caConfigMapName) || self.tls",
        "caConfigMapName is for tls: true only: nothing else looks at it"
    )
)]
pub struct ExternalCache {
    /// The server's name or address.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))]
    pub host: String,

    /// The port, 1 to 65535. Default: 6379.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The ACL user. Default: none, for a server with a password alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9_][-A-Za-z0-9_.@]*$"))]
    pub username: Option<String>,

    /// The name of a Secret in the same namespace whose key `password` is the password. Default: none, for a server
    /// that lets anyone in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub password_secret_name: Option<String>,

    /// Whether it speaks TLS. Default: `false`.
    #[serde(default)]
    pub tls: bool,

    /// The name of a `ConfigMap` in the same namespace whose key `ca.crt` holds, as PEM, the authorities that the
    /// server's certificate is checked with. Default: those that Harbor's images bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub ca_config_map_name: Option<String>,

    /// The first of the eight databases that the registry takes, 0 to 10000: its own programs each have one of
    /// them, and nothing else may use any. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    pub first_database: i32,
}

pub(super) fn default_port() -> i32 {
    6379
}
