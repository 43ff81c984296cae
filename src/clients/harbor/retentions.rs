//! Which tags of a project are kept.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{HarborClient, HarborError, exchange::Ask};

/// A project's retention policy: what no rule keeps is deleted when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// Six fields, seconds first, in UTC: `0 0 3 * * *`. Empty: it runs only when told to.
    pub cron: String,
    /// At most 15, no two alike.
    pub rules: Vec<RetentionRule>,
}

/// A rule that keeps tags.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct RetentionRule {
    /// It is there, but keeps nothing.
    #[serde(default)]
    pub disabled: bool,
    /// `retain`.
    pub action: String,
    /// `latestPushedK`, `latestPulledN`, `nDaysSinceLastPush`, `nDaysSinceLastPull` or `always`.
    pub template: String,
    /// The template's number, under the template's name.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// Which tags it keeps.
    pub tag_selectors: Vec<Selector>,
    /// In which repositories, under `repository`.
    pub scope_selectors: BTreeMap<String, Vec<Selector>>,
}

/// Names that are meant, or not meant.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Selector {
    /// `doublestar`.
    pub kind: String,
    /// `matches` or `excludes` for tags, `repoMatches` or `repoExcludes` for repositories.
    pub decoration: String,
    /// Such as `release-*` or `**`.
    pub pattern: String,
    /// JSON in a string: `{"untagged":true}`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub extras: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    rules: Option<Vec<RetentionRule>>,
    trigger: Option<Trigger>,
}

#[derive(Deserialize)]
struct Trigger {
    #[serde(default)]
    settings: Option<Settings>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    cron: String,
}

impl HarborClient {
    /// A policy by its id, which is in [`Project::retention_id`](super::Project::retention_id).
    ///
    /// # Errors
    /// As any question.
    pub async fn retention(&self, id: i64) -> Result<Option<Retention>, HarborError> {
        let told: Option<Told> = self.find(Ask::new(Method::GET, &format!("/retentions/{id}"))).await?;
        Ok(told.map(|told| Retention {
            cron: told.trigger.and_then(|trigger| trigger.settings).map(|settings| settings.cron).unwrap_or_default(),
            rules: told.rules.unwrap_or_default(),
        }))
    }

    /// Gives a project its policy, and tells the policy's id.
    ///
    /// # Errors
    /// Invalid when it has one, and for what Harbor does not take; Conflict for two rules that are alike.
    pub async fn create_retention(&self, project_id: i64, retention: &Retention) -> Result<i64, HarborError> {
        self.create("/retentions", &body(project_id, retention)).await
    }

    /// Makes a project's policy another one.
    ///
    /// # Errors
    /// As [`Self::create_retention`].
    pub async fn update_retention(&self, id: i64, project_id: i64, retention: &Retention) -> Result<(), HarborError> {
        let mut body = body(project_id, retention);
        body["id"] = id.into();
        self.change(Ask::new(Method::PUT, &format!("/retentions/{id}")).body(&body)).await
    }

    /// Takes a project's policy away: all tags are kept.
    ///
    /// # Errors
    /// As any change.
    pub async fn delete_retention(&self, id: i64) -> Result<(), HarborError> {
        self.change(Ask::new(Method::DELETE, &format!("/retentions/{id}"))).await
    }
}

fn body(project_id: i64, retention: &Retention) -> Value {
    json!({
        "algorithm": "or",
        "rules": retention.rules,
        "trigger": { "kind": "Schedule", "settings": { "cron": retention.cron }, "references": {} },
        "scope": { "level": "project", "ref": project_id },
    })
}
