//! Where a registry keeps projects, users and tags.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::VolumeRequest;
use crate::api::Resources;

/// The `PostgreSQL` of a registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type == 'Managed' || !has(self.managed)",
        "managed is for a database of type Managed only: a registry has one database"
    ),
    validation = (
        "(self.type == 'External') == has(self.external)",
        "a database of type External needs external, and no other type has it: a registry has one database"
    ),
    validation = (
        "(self.type == 'Shared') == has(self.serverName)",
        "a database of type Shared needs serverName, and no other type has it: a registry has one database"
    ),
    validation = (
        "self.type == oldSelf.type",
        "the type of a database can't be changed: what is in it would stay behind"
    )
)]
pub struct HarborDatabase {
    /// `Managed` (Fairway runs a `PostgreSQL` on a volume), `Shared` (a database and a role of its own on a server
    /// that the class names) or `External` (a database that is there). Default: `Managed`.
    #[serde(rename = "type", default)]
    pub kind: ServerKind,

    /// For `Managed`: what it is like. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedDatabase>,

    /// For `Shared`: the name of a server in the class's `databaseServers`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub server_name: Option<String>,

    /// For `External`: where it is. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

/// The `PostgreSQL` of each registry of a class. One that is there is one registry's own, and named in its spec.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type == 'Managed' || !has(self.managed)",
        "managed is for a database of type Managed only: a registry has one database"
    ),
    validation = (
        "(self.type == 'Shared') == has(self.serverName)",
        "a database of type Shared needs serverName, and no other type has it: a registry has one database"
    )
)]
pub struct ClassDatabase {
    /// `Managed` (Fairway runs a `PostgreSQL` on a volume for each) or `Shared` (a database and a role for each on a
    /// server of `databaseServers`). Default: `Managed`.
    #[serde(rename = "type", default)]
    pub kind: ClassServerKind,

    /// For `Managed`: what it is like. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedDatabase>,

    /// For `Shared`: the name of a server in `databaseServers`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub server_name: Option<String>,
}

impl From<ClassDatabase> for HarborDatabase {
    fn from(ClassDatabase { kind, managed, server_name }: ClassDatabase) -> Self {
        Self { kind: kind.into(), managed, server_name, external: None }
    }
}

/// Who runs a server for the registries of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClassServerKind {
    /// Fairway, one for each registry.
    #[default]
    Managed,
    /// Somebody, for many registries.
    Shared,
}

impl From<ClassServerKind> for ServerKind {
    fn from(kind: ClassServerKind) -> Self {
        match kind {
            ClassServerKind::Managed => Self::Managed,
            ClassServerKind::Shared => Self::Shared,
        }
    }
}

/// Who runs a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerKind {
    /// Fairway, for this registry alone.
    #[default]
    Managed,
    /// Somebody, for many registries of a class.
    Shared,
    /// Somebody, for this registry.
    External,
}

/// A `PostgreSQL` that Fairway runs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedDatabase {
    /// Its volume. Default: 5Gi of the cluster's default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeRequest>,

    /// Processor and memory; buffers and the number of connections follow the limit of memory. A change starts it
    /// anew. Default: requests of 100m and 256Mi, limits of 1 and 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image, which must be of the same major version for as long as its volume lives; a change starts it anew.
    /// Default: the class's, else `docker.io/library/postgres:15`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,
}

/// A database that is there.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.caConfigMapName) || self.sslMode in ['verify-ca', 'verify-full']",
    "caConfigMapName is for sslMode verify-ca or verify-full only: nothing else looks at it"
))]
pub struct ExternalDatabase {
    /// The server's name or address.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))]
    pub host: String,

    /// The port, 1 to 65535. Default: 5432.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The database, which must exist and belong to the user. Default: `registry`.
    #[serde(default = "default_database")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9_][-A-Za-z0-9_]*$"))]
    pub database: String,

    /// The user.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9_][-A-Za-z0-9_.@]*$"))]
    pub username: String,

    /// The name of a Secret in the same namespace whose key `password` is the user's password.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub password_secret_name: String,

    /// `disable`, `require` (TLS with whoever answers), `verify-ca` or `verify-full`, as `PostgreSQL` has them.
    /// Default: `verify-full`.
    #[serde(default)]
    pub ssl_mode: SslMode,

    /// The name of a `ConfigMap` in the same namespace whose key `ca.crt` holds, as PEM, the authorities that the
    /// server's certificate is checked with. Default: those that Harbor's images bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub ca_config_map_name: Option<String>,
}

/// How a connection to `PostgreSQL` is kept from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// It is not.
    Disable,
    /// TLS, with whoever answers.
    Require,
    /// TLS, with a certificate of a known authority.
    VerifyCa,
    /// TLS, with a certificate of a known authority for this host.
    #[default]
    VerifyFull,
}

pub(super) fn default_port() -> i32 {
    5432
}

fn default_database() -> String {
    "registry".to_owned()
}
