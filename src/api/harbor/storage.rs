//! Where images are kept.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where images are kept.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type == 'Filesystem' || !has(self.filesystem)",
        "filesystem is for storage of type Filesystem only: a registry has one storage"
    ),
    validation = (
        "(self.type == 'S3') == has(self.s3)",
        "storage of type S3 needs s3, and no other type has it: a registry has one storage"
    ),
    validation = (
        "(self.type == 'Swift') == has(self.swift)",
        "storage of type Swift needs swift, and no other type has it: a registry has one storage"
    )
)]
pub struct HarborStorage {
    /// `Filesystem` (a volume), `S3` or `Swift`. Default: `Filesystem`.
    #[serde(rename = "type", default)]
    pub kind: StorageKind,

    /// For `Filesystem`: the volume. Default: 10Gi of the cluster's default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<FilesystemStorage>,

    /// For `S3`: the bucket. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,

    /// For `Swift`: the container. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swift: Option<SwiftStorage>,
}

/// The kinds of storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StorageKind {
    /// A volume.
    #[default]
    Filesystem,
    /// A bucket of S3, or of what speaks as S3 does.
    S3,
    /// A container of `OpenStack` Swift.
    Swift,
}

/// A volume that is made.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRequest {
    /// How large, such as `10Gi`; it can grow where its storage class lets it, and never shrinks.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (
        "isQuantity(self) && quantity(self).compareTo(quantity('64Mi')) >= 0",
        "size must be a quantity of at least 64Mi, such as 10Gi"
    ))]
    pub size: String,

    /// The storage class; it can't be changed once the volume is made. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

/// Images on a volume.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesystemStorage {
    /// The volume. Default: 10Gi of the cluster's default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeRequest>,
}

/// Images in a bucket.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Storage {
    /// The bucket, which must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = "^[a-z0-9][-a-z0-9.]*[a-z0-9]$"))]
    pub bucket: String,

    /// The region. Default: `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[-a-z0-9]+$"))]
    pub region: Option<String>,

    /// The URL of the server, such as `https://s3.example.com:9000`. Default: Amazon's of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 300), regex(pattern = r"^https?://[^ /]+$"))]
    pub endpoint: Option<String>,

    /// Whether the bucket is part of the path and not of the host, as most servers but Amazon's want it. Default:
    /// `true` with an endpoint, else `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,

    /// The folder in the bucket. Default: `harbor/<namespace>/<name>`, so that many registries share a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9._/]*$"))]
    pub prefix: Option<String>,

    /// The name of a Secret in the same namespace with the keys `accessKey` and `secretKey`.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub credentials_secret_name: String,

    /// The name of a `ConfigMap` in the same namespace whose key `ca.crt` holds, as PEM, the authorities that the
    /// server's certificate is checked with. Default: those that Harbor's images bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub ca_config_map_name: Option<String>,

    /// Whether clients are sent to the bucket for the layers that they pull, instead of getting them through the
    /// registry: they must reach it. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect: bool,
}

/// Images in a container of `OpenStack` Swift.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SwiftStorage {
    /// The URL of Keystone with its version, such as `https://keystone.example.com/v3`; or Swift's own
    /// `https://swift.example.com/auth/v1.0`.
    #[serde(rename = "authURL")]
    #[schemars(length(min = 8, max = 300), regex(pattern = r"^https?://[^ ]+/v[123](\.[0-9]+)?/?$"))]
    pub auth_url: String,

    /// The container; the registry makes it at its start when it is missing.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9._]*$"))]
    pub container: String,

    /// The folder in the container. Default: `harbor/<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9._/]*$"))]
    pub prefix: Option<String>,

    /// The name of a Secret in the same namespace with the keys `username` and `password`.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub credentials_secret_name: String,

    /// The name of a `ConfigMap` in the same namespace whose key `ca.crt` holds, as PEM, the authorities that the
    /// certificates of Keystone and Swift are checked with. Default: those that Harbor's images bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub ca_config_map_name: Option<String>,

    /// The project. Default: the user's own in Keystone, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub tenant: Option<String>,

    /// The name of the domain of user and project, for Keystone's version 3. Default: `Default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub domain: Option<String>,

    /// The region. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub region: Option<String>,
}
