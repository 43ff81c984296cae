//! Harbor's programs.
//!
//! What they have in common is written out for each: `kubectl explain` then tells each one's own defaults.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::Resources;

/// Harbor's programs: how many of each, how large, from which image.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborComponents {
    /// The API and the door to the registry. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<CoreComponent>,

    /// The jobs: garbage collection, replication, retention, scans. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobservice: Option<JobServiceComponent>,

    /// The registry that images are pushed to and pulled from, with its controller in the same pod. Default: one
    /// pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryComponent>,

    /// The pages in the browser. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<PortalComponent>,

    /// The scanner for vulnerabilities. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trivy: Option<TrivyComponent>,

    /// The metrics of the registry as a whole. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exporter: Option<ExporterComponent>,
}

/// The API and the door to the registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoreComponent {
    /// How many pods, 1 to 20, spread over the nodes. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub replicas: Option<i32>,

    /// Processor and memory of each pod; a change replaces the pods. Default: requests of 100m and 256Mi, limits
    /// of 1 and 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change replaces the pods. Default: the version's `harbor-core`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,
}

/// The jobs: garbage collection, replication, retention, scans.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobServiceComponent {
    /// How many pods, 1 to 20, spread over the nodes. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub replicas: Option<i32>,

    /// Processor and memory of each pod; a change replaces the pods. Default: requests of 100m and 128Mi, limits
    /// of 1 and 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change replaces the pods. Default: the version's `harbor-jobservice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,

    /// How many jobs each pod does at the same time, 1 to 100. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub workers: Option<i32>,
}

/// The registry that images are pushed to and pulled from, with its controller in the same pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryComponent {
    /// How many pods, 1 to 20, spread over the nodes. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub replicas: Option<i32>,

    /// Processor and memory of each pod; a change replaces the pods. Default: requests of 100m and 128Mi, limits
    /// of 1 and 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change replaces the pods. Default: the version's `registry-photon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,

    /// The image of the registry's controller. Default: the version's `harbor-registryctl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub controller_image: Option<String>,

    /// Processor and memory of the controller in each pod. Default: requests of 50m and 64Mi, limits of 500m and
    /// 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_resources: Option<Resources>,
}

/// The pages in the browser.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortalComponent {
    /// How many pods, 1 to 20, spread over the nodes. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub replicas: Option<i32>,

    /// Processor and memory of each pod; a change replaces the pods. Default: requests of 10m and 32Mi, limits
    /// of 200m and 128Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change replaces the pods. Default: the version's `harbor-portal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,
}

/// The scanner for vulnerabilities.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrivyComponent {
    /// How many pods, 1 to 20, spread over the nodes. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub replicas: Option<i32>,

    /// Processor and memory of each pod; a change replaces the pods. Default: requests of 100m and 256Mi, limits
    /// of 1 and 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change replaces the pods. Default: the version's `trivy-adapter-photon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,

    /// Whether vulnerabilities without a remedy are left out of reports. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_unfixed: bool,

    /// Whether Trivy never asks for news of vulnerabilities, since there is no way to the outside. Default:
    /// `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,

    /// How much of the node's disk the known vulnerabilities and the reports of each pod may take, such as `5Gi`.
    /// Default: 5Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (
        "isQuantity(self) && quantity(self).compareTo(quantity('1Gi')) >= 0",
        "cacheSize must be a quantity of at least 1Gi, such as 5Gi"
    ))]
    pub cache_size: Option<String>,
}

/// The metrics of the registry as a whole.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExporterComponent {
    /// Processor and memory of each pod; a change replaces the pods. Default: requests of 10m and 32Mi, limits
    /// of 200m and 128Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The image; a change replaces the pods. Default: the version's `harbor-exporter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"))]
    pub image: Option<String>,
}
