//! `HarborProject`: a project in a registry, as the user writes it and reads of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeletionPolicy, DriftPolicy, ProjectMember, ProjectRetention};

/// A project in a registry.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "HarborProject",
    plural = "harborprojects",
    shortname = "hbp",
    category = "fairway",
    namespaced,
    status = "HarborProjectStatus",
    derive = "PartialEq",
    doc = "A project in a registry: who may see it, how much it may hold, who its members are, and which images are kept.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Harbor", type_ = "string", json_path = ".spec.harborName"),
    printcolumn(name = "Project", type_ = "string", json_path = ".status.projectName"),
    printcolumn(name = "Used", type_ = "integer", format = "int64", json_path = ".status.quota.used"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = (
        "has(self.spec.projectName) || self.metadata.name.matches('^[a-z0-9]+([._-][a-z0-9]+)*$')",
        "Harbor takes no project of this name: choose one of a-z and 0-9 with single '.', '_' or '-' between them, or give spec.projectName"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.projectName) == has(oldSelf.projectName)",
        "projectName can't be given or taken away later: Harbor does not rename projects; make another HarborProject"
    ),
    validation = (
        "!has(self.cveAllowlist) || !has(self.cveAllowlist.reuseSystem) || !self.cveAllowlist.reuseSystem || (!has(self.cveAllowlist.items) && !has(self.cveAllowlist.expiresAt))",
        "with cveAllowlist.reuseSystem the project's own list does not count: leave items and expiresAt out, or set reuseSystem to false"
    )
)]
pub struct HarborProjectSpec {
    /// The `Harbor` of the same namespace that the project is in. It stays.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self == oldSelf", "harborName can't be changed: make another HarborProject"))]
    pub harbor_name: String,

    /// The project's name in Harbor, which is before the first slash of its images: a-z and 0-9 with single `.`, `_` or
    /// `-` between them. It stays. A project of this name that is there already is taken up. Default: the resource's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[a-z0-9]+([._-][a-z0-9]+)*$"))]
    #[x_kube(validation = ("self == oldSelf", "projectName can't be changed: Harbor does not rename projects; make another HarborProject"))]
    pub project_name: Option<String>,

    /// Whether everybody may pull, without a password. Default: as it is in Harbor, which makes new ones private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,

    /// How much the images may take: a quantity such as `10Gi`, or `none` for no limit. Default: as it is in Harbor,
    /// which gives new ones what it is configured to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = (
        "self == 'none' || self.matches('^[0-9]{1,12}(k|M|G|T|Ki|Mi|Gi|Ti)?$') && isQuantity(self) && quantity(self).isGreaterThan(quantity('0')) && !quantity(self).isGreaterThan(quantity('1024Ti'))",
        "quota must be a whole quantity from 1 to 1024Ti, such as 10Gi, or none for no limit"
    ))]
    pub quota: Option<String>,

    /// Whether what is pushed is scanned at once. Needs a scanner. Default: as it is in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_scan: Option<bool>,

    /// Whether a bill of materials is made of what is pushed. Needs a scanner. Default: as it is in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "autoSBOM")]
    pub auto_sbom: Option<bool>,

    /// Whether only images with a signature of cosign can be pulled. Default: as it is in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_only: Option<bool>,

    /// Whether images with vulnerabilities can be pulled: `None` lets all pass, any other refuses those with one at
    /// least as bad. Default: as it is in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_vulnerable: Option<VulnerabilitySeverity>,

    /// The vulnerabilities that do not hinder a pull. Default: as they are in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cve_allowlist: Option<ProjectCveAllowlist>,

    /// Who may do what, at most 100. One that is no longer named here is taken out again; members that were never named
    /// here are left alone. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = (
        "self.all(a, self.exists_one(b, (has(a.user) ? 'u/' + a.user : 'g/' + a.group) == (has(b.user) ? 'u/' + b.user : 'g/' + b.group)))",
        "each user and each group can be a member once"
    ))]
    pub members: Vec<ProjectMember>,

    /// Which images are kept: what none of the rules keeps is deleted when the schedule comes. Default: as it is in
    /// Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<ProjectRetention>,

    /// What becomes of a difference that somebody made by hand in Harbor: it is told either way; `Mend` puts it right,
    /// `Report` leaves it until the spec is changed. Default: `Mend`.
    #[serde(default)]
    pub drift: DriftPolicy,

    /// What becomes of the project when this resource is deleted: `Retain` leaves it in Harbor; `Delete` deletes it, as
    /// soon as Harbor says that it is empty: images are never deleted. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Whether images with vulnerabilities can be pulled: `None` lets all pass, any other refuses those with one at least as
/// bad. Default: as it is in Harbor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VulnerabilitySeverity {
    /// All may be pulled.
    None,
    /// Low or worse.
    Low,
    /// Medium or worse.
    Medium,
    /// High or worse.
    High,
    /// Critical.
    Critical,
}

/// The vulnerabilities that do not hinder a pull.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCveAllowlist {
    /// Whether the list of the whole registry counts, and not the project's own. Default: `false`.
    #[serde(default)]
    pub reuse_system: bool,

    /// Such as `CVE-2019-10164`, at most 1000. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9._:]*$")), extend("x-kubernetes-list-type" = "set"))]
    pub items: Vec<String>,

    /// Until when it counts. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What Fairway has seen of a project.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborProjectStatus {
    /// The generation of the spec that was last worked through without an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: Harbor takes what the spec says, and no other resource names the project. `ResolvedRefs`: the Harbor is
    /// there and ready. `Synced`: the project is as the spec says. `Ready`: it can be used. `Reconciled`: the last turn
    /// ended without an error.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The generation of the spec that was last seen in Harbor whole: what differs later was changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_generation: Option<i64>,

    /// The project's number in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,

    /// The project's name in Harbor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub project_name: String,

    /// How many repositories it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<i64>,

    /// How much it may hold, and holds; none where Harbor keeps no quotas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<ProjectQuotaStatus>,

    /// The fields of the spec that Harbor differs from; empty when it is as the spec says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub drift: Vec<String>,

    /// The members that were named in the spec, as `user/NAME` or `group/NAME`: they go when they are named no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 400))]
    pub members: Vec<String>,
}

/// How much a project may hold, and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectQuotaStatus {
    /// In bytes; -1 is without a limit.
    pub limit: i64,
    /// In bytes.
    pub used: i64,
}
