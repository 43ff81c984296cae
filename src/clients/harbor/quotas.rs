//! How much a project may hold.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{HarborClient, HarborError, exchange::Ask};

/// The storage quota of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its own, not the project's.
    pub id: i64,
    /// In bytes; -1 is without a limit.
    pub limit: i64,
    /// In bytes.
    pub used: i64,
}

#[derive(Deserialize)]
struct Told {
    id: i64,
    hard: Storage,
    used: Storage,
}

#[derive(Deserialize)]
struct Storage {
    storage: i64,
}

impl HarborClient {
    /// The quota of a project; nothing while Harbor is configured to have none.
    ///
    /// # Errors
    /// As any question.
    pub async fn quota(&self, project_id: i64) -> Result<Option<Quota>, HarborError> {
        let quotas: Vec<Told> = self.list(&format!("/quotas?reference=project&reference_id={project_id}")).await?;
        let quota = quotas.into_iter().next();
        Ok(quota.map(|quota| Quota { id: quota.id, limit: quota.hard.storage, used: quota.used.storage }))
    }

    /// Gives a quota another limit, in bytes; -1 for none. What is above it already stays.
    ///
    /// # Errors
    /// Invalid for a limit that Harbor does not take, such as 0.
    pub async fn set_quota(&self, id: i64, limit: i64) -> Result<(), HarborError> {
        let body = json!({ "hard": { "storage": limit } });
        self.change(Ask::new(Method::PUT, &format!("/quotas/{id}")).body(&body)).await
    }
}
