//! Projects: what they are called, what holds in them, and the CVEs that they let pass.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{HarborClient, HarborError, exchange::Ask};

/// A project, as Harbor tells it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Project {
    /// For all other calls.
    #[serde(rename = "project_id")]
    pub id: i64,
    /// Before the first slash of its images.
    pub name: String,
    /// `public`, `auto_scan`, `prevent_vul`, `severity`, `reuse_sys_cve_allowlist`, `retention_id` …, all
    /// as texts. What Harbor does not tell is as it is by default.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The CVEs that do not hinder a pull.
    #[serde(default)]
    pub cve_allowlist: CveAllowlist,
    /// How many repositories it has.
    #[serde(default)]
    pub repo_count: u64,
    /// Set for a project that is a cache of another registry.
    pub registry_id: Option<i64>,
}

impl Project {
    /// The retention policy of the project, if it has one.
    #[must_use]
    pub fn retention_id(&self) -> Option<i64> {
        self.metadata.get("retention_id")?.parse().ok()
    }
}

/// CVEs that do not hinder a pull.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct CveAllowlist {
    /// Until then, in seconds of Unix time; without an end when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Such as `CVE-2019-10164`.
    #[serde(default, with = "items")]
    pub items: Vec<String>,
}

/// A project that shall be. Harbor takes no allow-list here: it needs an update.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct NewProject {
    /// Small letters, digits, and `.`, `_`, `-` between them.
    #[serde(rename = "project_name")]
    pub name: String,
    /// As in [`Project`].
    pub metadata: BTreeMap<String, String>,
    /// In bytes; -1 is without a limit, nothing is what Harbor is configured to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_limit: Option<i64>,
    /// Makes it a cache of that registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_id: Option<i64>,
}

/// What of a project shall be otherwise. Its storage limit is a [`Quota`](super::Quota).
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct ProjectChange {
    /// These, and no other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// All of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cve_allowlist: Option<CveAllowlist>,
}

impl HarborClient {
    /// All projects.
    ///
    /// # Errors
    /// As any question.
    pub async fn projects(&self) -> Result<Vec<Project>, HarborError> {
        self.list("/projects").await
    }

    /// One project by its name.
    ///
    /// # Errors
    /// As any question.
    pub async fn project(&self, name: &str) -> Result<Option<Project>, HarborError> {
        let path = format!("/projects/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        self.find(Ask::new(Method::GET, &path).by_name()).await
    }

    /// Makes a project, and tells its id. It has its default quota and the creator as a member.
    ///
    /// # Errors
    /// Conflict when there is one of this name, Invalid for what Harbor does not take.
    pub async fn create_project(&self, project: &NewProject) -> Result<i64, HarborError> {
        self.create("/projects", project).await
    }

    /// Changes a project.
    ///
    /// # Errors
    /// Invalid for what Harbor does not take.
    pub async fn update_project(&self, id: i64, change: &ProjectChange) -> Result<(), HarborError> {
        self.change(Ask::new(Method::PUT, &format!("/projects/{id}")).body(change)).await
    }

    /// Deletes a project with its members, robots and quota.
    ///
    /// # Errors
    /// Precondition while it has repositories.
    pub async fn delete_project(&self, id: i64) -> Result<(), HarborError> {
        self.change(Ask::new(Method::DELETE, &format!("/projects/{id}"))).await
    }
}

/// `[{"cve_id": "CVE-…"}]`, or null.
mod items {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    struct Item {
        cve_id: String,
    }

    pub(super) fn serialize<S: Serializer>(items: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(items.iter().map(|item| Item { cve_id: item.clone() }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        let items = Option::<Vec<Item>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(items.into_iter().map(|item| item.cve_id).collect())
    }
}
