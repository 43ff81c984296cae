//! What every request may use.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use deadpool_postgres::Pool;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::health::Health;
use super::metrics::Metrics;
use super::settings::Settings;
use super::token::Key;
use crate::answer::Fault;
use crate::cache::Cache;
use crate::client::Client;
use crate::version::Version;

pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// One core.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) version: Version,
    pub(crate) key: Key,
    pub(crate) client: Client,
    /// Sessions.
    pub(crate) sessions: Cache,
    /// Harbor's own cache.
    pub(crate) cache: Cache,
    pub(crate) health: Mutex<Health>,
    pub(crate) metrics: Metrics,
    /// Since when a person is kept out, by name.
    locked_out: Mutex<HashMap<String, Instant>>,
    pool: Pool,
}

/// After a wrong password nobody gets in by that name for so long, and the answer to it takes as long.
const LOCKED_OUT: Duration = Duration::from_millis(1500);

impl Core {
    pub(crate) fn new(settings: Settings, version: Version, key: Key, pool: Pool) -> Result<Self> {
        Ok(Self {
            client: Client::new()?,
            sessions: Cache::new(&settings.redis_core)?,
            cache: Cache::new(&settings.redis_harbor)?,
            health: Mutex::new(Health::default()),
            metrics: Metrics::default(),
            locked_out: Mutex::default(),
            settings,
            version,
            key,
            pool,
        })
    }

    pub(crate) fn is_locked_out(&self, name: &str) -> bool {
        self.locked_out.lock().is_ok_and(|held| held.get(name).is_some_and(|since| since.elapsed() <= LOCKED_OUT))
    }

    pub(crate) async fn lock_out(&self, name: &str) {
        if let Ok(mut held) = self.locked_out.lock() {
            held.insert(name.to_owned(), Instant::now());
        }
        tokio::time::sleep(LOCKED_OUT).await;
    }

    pub(crate) async fn database(&self) -> Result<deadpool_postgres::Object, Fault> {
        Ok(self.pool.get().await?)
    }

    pub(crate) async fn rows(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Fault> {
        Ok(self.database().await?.query(text, parameters).await?)
    }

    pub(crate) async fn row(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Option<Row>, Fault> {
        Ok(self.database().await?.query_opt(text, parameters).await?)
    }

    /// The first column of each row, which is JSON.
    pub(crate) async fn values(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Value>, Fault> {
        Ok(self.rows(text, parameters).await?.iter().map(|row| row.get(0)).collect())
    }

    /// The first column of the only row, which is JSON.
    pub(crate) async fn value(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Option<Value>, Fault> {
        Ok(self.row(text, parameters).await?.map(|row| row.get(0)))
    }

    /// The first column of the only row, which is a whole number.
    pub(crate) async fn number(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<i64, Fault> {
        Ok(self.row(text, parameters).await?.and_then(|row| row.get::<_, Option<i64>>(0)).unwrap_or_default())
    }

    pub(crate) async fn execute(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<u64, Fault> {
        Ok(self.database().await?.execute(text, parameters).await?)
    }

    /// `Harbor-Secret` towards jobservice and registryctl.
    pub(crate) fn authorization(&self) -> String {
        format!("Harbor-Secret {}", self.settings.core_secret)
    }
}

/// A time of the database's, as Harbor writes it.
pub(crate) fn stamp(column: &str) -> String {
    format!("to_char({column}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
}
