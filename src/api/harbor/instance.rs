//! `Harbor`: one customer's private registry, as the user writes it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HarborCache, HarborComponents, HarborDatabase, HarborExposure, HarborStatus, HarborStorage};

/// A private registry: Harbor with its database, its cache, its storage and its front door.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "Harbor",
    plural = "harbors",
    shortname = "hb",
    category = "fairway",
    namespaced,
    status = "HarborStatus",
    derive = "PartialEq",
    doc = "A private registry: Harbor with its database, its cache, its storage and its front door.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Waiting for", type_ = "string", json_path = ".status.waitingFor"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = (
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$')",
        "metadata.name must start with a letter, hold only a-z, 0-9 and -, and be at most 30 characters long: the objects made for it are named after it"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.components) || !has(self.components.registry) || !has(self.components.registry.replicas) || self.components.registry.replicas <= 1 || (has(self.storage) && self.storage.type != 'Filesystem')",
        "components.registry.replicas above 1 need storage that pods can share: choose storage of type S3 or Swift"
    ),
    validation = (
        "!has(self.exposure) || !has(self.exposure.tls) || self.externalURL.startsWith('https://')",
        "exposure.tls is for an externalURL that begins with https://: change the URL or leave tls out"
    ),
    validation = (
        "!self.externalURL.startsWith('https://') || (has(self.className) && !has(self.exposure)) || (has(self.exposure) && (has(self.exposure.tls) || self.exposure.type != 'LoadBalancer'))",
        "an externalURL that begins with https:// needs exposure.tls, which says where the certificate comes from; or an exposure of type Ingress or Service behind something that ends TLS"
    )
)]
pub struct HarborSpec {
    /// The `HarborClass` that the settings not given here come from. Default: none, so that Fairway's own
    /// defaults hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,

    /// The version of Harbor, such as `2.15.2`. One that Fairway or the class knows; from one version only those
    /// can be reached that Harbor can migrate to, and never an older one. Default: the class's, else the newest that
    /// Fairway knows when the registry is made, and then the same until a version is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$"))]
    pub version: Option<String>,

    /// Where clients reach the registry: `https://` or `http://`, a host, and a port if it is not the usual one,
    /// without a path, such as `https://registry.example.com`. It is part of the tokens that clients are given:
    /// they must reach the registry at this very URL, those inside the cluster too.
    #[serde(rename = "externalURL")]
    #[schemars(length(min = 8, max = 300))]
    #[x_kube(
        validation = (
            "self.matches('^https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[1-9][0-9]{0,4})?$')",
            "externalURL must be http:// or https://, a host in lower case and perhaps a port, without a path or a slash at its end, such as https://registry.example.com"
        )
    )]
    pub external_url: String,

    /// How the registry is reached. Default: the class's, else a `LoadBalancer` made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<HarborExposure>,

    /// Harbor's programs: how many of each, how large, from which image. Default: one of each, without Trivy and
    /// the exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<HarborComponents>,

    /// The PostgreSQL that Harbor keeps projects, users and tags in. Can't be moved to another type or server by a
    /// change here. Default: the class's, else one that Fairway runs on a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<HarborDatabase>,

    /// The Redis that Harbor keeps jobs and sessions in. Default: the class's, else one that Fairway runs on a
    /// volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<HarborCache>,

    /// Where images are kept. Images don't move when it is changed. Default: the class's, else a volume of 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<HarborStorage>,

    /// The proxy that core, jobservice and Trivy use for what is outside. Default: the class's, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<HarborProxy>,

    /// TLS between Harbor's programs, and from the front door to them, with certificates of an authority of the
    /// registry's own that Fairway makes and renews. A change replaces their pods. Default: the class's, else none.
    #[serde(rename = "internalTLS", default, skip_serializing_if = "Option::is_none")]
    pub internal_tls: Option<InternalTls>,

    /// How much Harbor's programs log: `Debug`, `Info`, `Warning`, `Error` or `Fatal`. Default: the class's, else
    /// `Info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<HarborLogLevel>,

    /// Harbor's own settings by the names of its API (`/api/v2.0/configurations`), such as `auth_mode` or
    /// `robot_token_duration`, at most 64, each a text of JSON: `"true"`, `"30"`, `"\"db_auth\""`. They are set
    /// through the API while Harbor runs, and set again when somebody changes them; what is not named here is
    /// left alone. No secrets: Harbor does not tell them, and so they are set by hand. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub configuration: BTreeMap<String, String>,

    /// The user `admin` of Harbor. Default: with a password that Fairway makes up, in the Secret that
    /// `status.credentialsSecretName` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator: Option<HarborAdministrator>,

    /// What becomes of the data when this resource is deleted: `Retain` keeps volumes, databases, buckets and
    /// generated Secrets, and a registry of the same name takes them up again; `Delete` deletes the volumes and
    /// Secrets that Fairway made, and on shared servers the database, role and user. What is in a bucket or an
    /// external database is never deleted. What it says when the resource is deleted counts; with `Delete` the resource
    /// waits for the operator then. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// With `true` nothing is changed any more: what runs goes on as it is, until the resource is deleted. Default:
    /// `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// TLS between Harbor's programs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InternalTls {
    /// Whether there is any. Default: `false`.
    #[serde(default)]
    pub enabled: bool,
}

/// The user `admin` of Harbor.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborAdministrator {
    /// The name of a Secret of the registry's namespace with the key `password`: 8 to 128 characters with a capital, a
    /// small letter and a digit. The password is changed through Harbor's API while it runs, whenever the Secret is,
    /// and noted in the Secret of credentials.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub password_secret_name: String,
}

/// What becomes of data when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted.
    Delete,
}

/// How much Harbor's programs log: `Debug`, `Info`, `Warning`, `Error` or `Fatal`. Default: the class's, else `Info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HarborLogLevel {
    /// Everything.
    Debug,
    /// What is done.
    #[default]
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
    /// What ends a program.
    Fatal,
}

/// The proxy towards what is outside.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.http) || has(self.https)", "proxy needs http, https or both"))]
pub struct HarborProxy {
    /// For URLs that begin with `http://`, such as `http://proxy.example.com:3128`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 300), regex(pattern = "^https?://[^ @]+$"))]
    pub http: Option<String>,

    /// For URLs that begin with `https://`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 300), regex(pattern = "^https?://[^ @]+$"))]
    pub https: Option<String>,

    /// Hosts, domains and networks that are reached without it, at most 64, besides Harbor's own programs and the
    /// names of the cluster. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = "^[^ ,]+$")))]
    pub no_proxy: Vec<String>,
}
