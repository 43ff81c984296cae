//! Health, version, statistics, configurations and garbage collection.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{HarborClient, HarborError, exchange::Ask};

const COLLECTION: &str = "/system/gc/schedule";

/// What the body of `/health` says; its status is always 200.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Health {
    /// `healthy` when all components are.
    pub status: String,
    /// core, portal, jobservice, registry, registryctl, database, redis, trivy: those that there are. Each
    /// was looked at within the last ten seconds.
    pub components: Vec<ComponentHealth>,
}

/// One component, as core sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ComponentHealth {
    /// Such as `jobservice`.
    pub name: String,
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// Why it is not healthy.
    pub error: Option<String>,
}

impl Health {
    /// Whether all components are.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.status == "healthy" && self.components.iter().all(ComponentHealth::is_healthy)
    }
}

impl ComponentHealth {
    /// Whether it is.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.status == "healthy"
    }
}

/// What `/systeminfo` says to an administrator.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct SystemInformation {
    /// Such as `v2.15.2-7cbb2bc0`.
    pub harbor_version: Option<String>,
    /// `EXT_ENDPOINT`.
    pub external_url: Option<String>,
    /// Such as `db_auth`.
    pub auth_mode: Option<String>,
    /// Pushes are refused.
    pub read_only: Option<bool>,
}

/// What `/statistics` says to an administrator.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Statistics {
    /// Projects that not everyone sees.
    pub private_project_count: u64,
    /// Their repositories.
    pub private_repo_count: u64,
    /// Projects that everyone may pull from.
    pub public_project_count: u64,
    /// Their repositories.
    pub public_repo_count: u64,
    /// All projects.
    pub total_project_count: u64,
    /// All repositories.
    pub total_repo_count: u64,
    /// The blobs of all projects, in bytes; what several share counts once.
    pub total_storage_consumption: u64,
}

/// One line of the configuration.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Setting {
    /// As it is.
    pub value: Value,
    /// Whether the API may change it: not when the environment fixes it.
    pub editable: bool,
}

/// When and how garbage is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GarbageCollection {
    /// Six fields, seconds first, in UTC: `0 0 2 * * *`.
    pub cron: String,
    /// Artifacts without a tag go too.
    pub delete_untagged: bool,
    /// 1 to 10.
    pub workers: u8,
}

#[derive(Deserialize)]
struct ToldCollection {
    #[serde(default)]
    job_parameters: String,
    schedule: Option<ToldSchedule>,
}

#[derive(Deserialize)]
struct ToldSchedule {
    #[serde(default)]
    cron: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldParameters {
    delete_untagged: bool,
    workers: Option<u8>,
}

#[derive(Serialize)]
struct Empty {}

impl HarborClient {
    /// How core sees itself and the others. Asked without a password, so it tells as well of a Harbor whose
    /// password is not known.
    ///
    /// # Errors
    /// When core does not answer.
    pub async fn health(&self) -> Result<Health, HarborError> {
        self.ask(Ask::new(Method::GET, "/health").anonymous()).await?.read()
    }

    /// Version and the like.
    ///
    /// # Errors
    /// As any question.
    pub async fn system_information(&self) -> Result<SystemInformation, HarborError> {
        self.get("/systeminfo").await
    }

    /// What there is, and what it takes.
    ///
    /// # Errors
    /// As any question.
    pub async fn statistics(&self) -> Result<Statistics, HarborError> {
        self.get("/statistics").await
    }

    /// All that can be configured while Harbor runs, by name, such as `read_only`. What has no value of its
    /// own kind (`scan_all_policy`) is left out.
    ///
    /// # Errors
    /// As any question.
    pub async fn configurations(&self) -> Result<BTreeMap<String, Setting>, HarborError> {
        let all: BTreeMap<String, Value> = self.get("/configurations").await?;
        let settings = all.into_iter().filter_map(|(name, told)| Some((name, serde_json::from_value(told).ok()?)));
        Ok(settings.collect())
    }

    /// Changes these, and no other.
    ///
    /// # Errors
    /// Invalid for a name or a value that Harbor does not take, Forbidden when the environment fixes the
    /// whole configuration (`CONFIG_OVERWRITE_JSON`).
    pub async fn configure(&self, settings: &BTreeMap<String, Value>) -> Result<(), HarborError> {
        self.change(Ask::new(Method::PUT, "/configurations").body(settings)).await
    }

    /// When garbage is collected; nothing when it is not.
    ///
    /// # Errors
    /// As any question.
    pub async fn garbage_collection(&self) -> Result<Option<GarbageCollection>, HarborError> {
        let answer = self.ask(Ask::new(Method::GET, COLLECTION)).await?;
        if answer.is_empty() {
            return Ok(None);
        }
        Ok(answer.read::<Option<_>>()?.and_then(read_collection))
    }

    /// Has garbage collected at other times, or no more.
    ///
    /// # Errors
    /// Invalid for a cron line or a number of workers that Harbor does not take.
    pub async fn collect_garbage(&self, wanted: Option<&GarbageCollection>) -> Result<(), HarborError> {
        let body = match wanted {
            None => json!({ "schedule": { "type": "None" }, "parameters": Empty {} }),
            Some(wanted) => json!({
                "schedule": { "type": "Custom", "cron": wanted.cron },
                "parameters": {
                    "delete_untagged": wanted.delete_untagged,
                    "dry_run": false,
                    "workers": wanted.workers,
                },
            }),
        };
        // PUT makes what is not there as well.
        self.change(Ask::new(Method::PUT, COLLECTION).body(&body)).await
    }
}

/// Harbor tells the parameters as JSON in a string. One that it does not tell is as Harbor takes it then.
fn read_collection(told: ToldCollection) -> Option<GarbageCollection> {
    let cron = told.schedule?.cron;
    let parameters: ToldParameters = serde_json::from_str(&told.job_parameters).unwrap_or_default();
    let workers = parameters.workers.unwrap_or(1);
    (!cron.is_empty()).then_some(GarbageCollection { cron, delete_untagged: parameters.delete_untagged, workers })
}
