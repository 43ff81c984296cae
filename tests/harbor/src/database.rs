//! PostgreSQL by the parameters that Harbor takes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::environment::Environment;

/// As in `lib/pq`, which knows no others.
pub(crate) const SSL_MODES: [&str; 4] = ["disable", "require", "verify-ca", "verify-full"];
/// How long a server that does not listen is waited for.
const WAIT: Duration = Duration::from_mins(1);

/// Where the database is and who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) name: String,
    pub(crate) ssl_mode: String,
    /// 0: as many as wanted.
    pub(crate) max_open: usize,
}

impl Parameters {
    /// Reads `PREFIX_HOST` and its like.
    pub(crate) fn read(environment: &mut Environment, prefix: &str) -> Self {
        let name = |field: &str| format!("{prefix}_{field}");
        let host = environment.required(&name("HOST"));
        let port = environment.required(&name("PORT"));
        let parsed = port.parse().unwrap_or_default();
        if !port.is_empty() && parsed == 0 {
            environment.problem(format!("{} is no port: {port:?}", name("PORT")));
        }
        environment.required(&name("SSLMODE"));
        let idle = environment.parsed(&name("MAX_IDLE_CONNS"), 2_i64);
        let open = environment.parsed(&name("MAX_OPEN_CONNS"), 0_i64);
        if open < 0 || idle < 0 {
            environment.problem(format!("{prefix}_MAX_OPEN_CONNS and {prefix}_MAX_IDLE_CONNS must not be negative"));
        }
        for field in ["CONN_MAX_LIFETIME", "CONN_MAX_IDLE_TIME"] {
            let value = Environment::optional(&name(field)).unwrap_or_else(|| "5m".to_owned());
            if !is_duration(&value) {
                environment.problem(format!("{} is no duration of Go's: {value:?}", name(field)));
            }
        }
        Self {
            host,
            port: parsed,
            user: environment.required(&name("USERNAME")),
            password: environment.required(&name("PASSWORD")),
            name: environment.required(&name("DATABASE")),
            ssl_mode: environment.one_of(&name("SSLMODE"), "disable", &SSL_MODES),
            max_open: usize::try_from(open).unwrap_or_default(),
        }
    }

    /// Waits until the server listens, and proves that it lets this user in.
    pub(crate) async fn connect(&self) -> Result<Pool> {
        self.reachable().await?;
        let pool = self.pool()?;
        match pool.get().await {
            Ok(_) => Ok(pool),
            Err(error) => bail!("database {} of {}: {}", self.name, self.host, causes(&error)),
        }
    }

    async fn reachable(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            match tokio::net::TcpStream::connect((self.host.as_str(), self.port)).await {
                Ok(_) => return Ok(()),
                Err(error) if tokio::time::Instant::now() >= deadline => {
                    return Err(error).with_context(|| format!("database {}:{}", self.host, self.port));
                }
                Err(error) => tracing::warn!("database {}:{}: {error}; trying again", self.host, self.port),
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    fn pool(&self) -> Result<Pool> {
        let mut config = Config::new();
        config.host(&self.host).port(self.port).user(&self.user).password(&self.password).dbname(&self.name);
        config.connect_timeout(Duration::from_secs(10)).application_name("harbor");
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match self.ssl_mode.as_str() {
            "disable" => {
                config.ssl_mode(SslMode::Disable);
                Manager::from_config(config, NoTls, recycling)
            }
            mode => {
                config.ssl_mode(SslMode::Require);
                let tls = if mode == "require" { crate::tls::trusting_client() } else { crate::tls::client()? };
                Manager::from_config(config, MakeRustlsConnect::new(tls), recycling)
            }
        };
        let size = if self.max_open == 0 { 64 } else { self.max_open };
        let wait = Some(Duration::from_secs(20));
        Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(wait)
            .create_timeout(wait)
            .build()
            .context("pool of connections")
    }
}

/// Numbers with units, as Go's `time.ParseDuration` takes them.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.').len();
        let Some(unit) = ["ms", "us", "ns", "h", "m", "s"].iter().find(|unit| rest[digits..].starts_with(**unit))
        else {
            return rest == "0";
        };
        if digits == 0 {
            return false;
        }
        rest = &rest[digits + unit.len()..];
    }
    !text.is_empty()
}

/// An error with all that led to it: PostgreSQL's own words come last.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
