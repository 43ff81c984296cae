//! Redis. A server that is away, or refuses the password, is no reason to stop: each use tries again.

use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::ConnectionManager;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};
use tokio::sync::Mutex;

const TIMEOUT: Duration = Duration::from_secs(3);

/// One database of a server.
pub(crate) struct Cache {
    client: Client,
    connection: Mutex<Option<ConnectionManager>>,
}

/// Why a URL of Redis can't be used.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    if url.starts_with("redis+sentinel://") {
        return Err("Sentinel is not provided for in the stand-in".to_owned());
    }
    open(url).map(|_| ()).map_err(|error| format!("{error:#}"))
}

fn open(url: &str) -> Result<Client> {
    // Harbor's own parameter, which Redis' clients don't know.
    let plain = url.split('?').next().unwrap_or(url);
    Client::open(plain).with_context(|| "no URL of Redis (redis[s]://[user:password@]host:port/database)".to_owned())
}

impl Cache {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self { client: open(url)?, connection: Mutex::new(None) })
    }

    /// Runs one command.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut connection = self.connected().await?;
        match command.query_async(&mut connection).await {
            Ok(value) => Ok(value),
            Err(error) => {
                // Made anew for the next one: passwords change.
                *self.connection.lock().await = None;
                Err(error).context("Redis")
            }
        }
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.run::<String>(&redis::cmd("PING")).await.map(|_| ())
    }

    /// Keys that begin so.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(500);
            let (next, found): (u64, Vec<String>) = self.run(&command).await?;
            keys.extend(found);
            if next == 0 {
                return Ok(keys);
            }
            cursor = next;
        }
    }

    async fn connected(&self) -> Result<ConnectionManager> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        // Once by itself, so that a refused password is told and not retried out of sight.
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
        self.client.get_multiplexed_async_connection_with_config(&settings).await.context("Redis")?;
        let settings = redis::aio::ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let connection = self.client.get_connection_manager_with_config(settings).await.context("Redis")?;
        *held = Some(connection.clone());
        Ok(connection)
    }
}
