//! `config.yml`, refused where it is ill-formed.

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use crate::environment::{Environment, Refusal};

/// The settings that are looked at.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Configuration {
    protocol: String,
    pub(crate) port: u16,
    https_config: Option<Https>,
    worker_pool: WorkerPool,
    #[serde(default)]
    job_loggers: Vec<Logger>,
    #[serde(default)]
    loggers: Vec<Logger>,
    pub(crate) metric: Option<Metric>,
    reaper: Option<Reaper>,
}

#[derive(Clone, Debug, Deserialize)]
struct Https {
    cert: String,
    key: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WorkerPool {
    workers: u32,
    backend: String,
    redis_pool: Option<RedisPool>,
}

#[derive(Clone, Debug, Deserialize)]
struct RedisPool {
    redis_url: String,
    namespace: String,
    #[serde(default)]
    idle_timeout_second: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Logger {
    name: String,
    #[serde(default)]
    level: String,
    settings: Option<LoggerSettings>,
}

#[derive(Clone, Debug, Deserialize)]
struct LoggerSettings {
    base_dir: Option<String>,
}

/// Where metrics are served.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metric {
    pub(crate) enabled: bool,
    pub(crate) path: String,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, Deserialize)]
struct Reaper {
    max_update_hours: u32,
    max_dangling_hours: u32,
}

impl Configuration {
    pub(crate) fn workers(&self) -> u32 {
        self.worker_pool.workers
    }

    pub(crate) fn redis_url(&self) -> &str {
        self.worker_pool.redis_pool.as_ref().map(|pool| pool.redis_url.as_str()).unwrap_or_default()
    }

    /// What all its keys begin with, in the braces that Harbor puts around it.
    pub(crate) fn namespace(&self) -> String {
        let name = self.worker_pool.redis_pool.as_ref().map(|pool| pool.namespace.as_str()).unwrap_or_default();
        format!("{{{name}}}")
    }

    pub(crate) fn acceptor(&self) -> Result<Option<TlsAcceptor>, Refusal> {
        match &self.https_config {
            Some(https) if self.protocol == "https" => Ok(Some(crate::tls::server(&https.cert, &https.key)?)),
            _ => Ok(None),
        }
    }

    fn check(&self, environment: &mut Environment) {
        let mut problem = |text: String| environment.problem(format!("config.yml: {text}"));
        match self.protocol.as_str() {
            "http" => {}
            "https" if self.https_config.is_some() => {}
            "https" => problem("https_config must be given if protocol is https".to_owned()),
            other => problem(format!("protocol should be http or https, but current setting is {other:?}")),
        }
        if self.port == 0 {
            problem("port must not be 0".to_owned());
        }
        if self.worker_pool.backend != "redis" {
            problem(format!("worker_pool.backend must be redis, not {:?}", self.worker_pool.backend));
        }
        if self.worker_pool.workers == 0 {
            problem("worker_pool.workers must be more than 0".to_owned());
        }
        match &self.worker_pool.redis_pool {
            None => problem("worker_pool.redis_pool is missing".to_owned()),
            Some(pool) => {
                if let Err(error) = crate::cache::check_url(&pool.redis_url) {
                    problem(format!("worker_pool.redis_pool.redis_url: {error}"));
                }
                if pool.namespace.is_empty() {
                    problem("worker_pool.redis_pool.namespace is empty".to_owned());
                }
                if pool.idle_timeout_second == 0 {
                    problem("worker_pool.redis_pool.idle_timeout_second is missing".to_owned());
                }
            }
        }
        if self.reaper.as_ref().is_some_and(|reaper| reaper.max_update_hours == 0 || reaper.max_dangling_hours == 0) {
            problem("reaper: hours must be more than 0".to_owned());
        }
        for (what, loggers) in [("job_loggers", &self.job_loggers), ("loggers", &self.loggers)] {
            if loggers.is_empty() {
                problem(format!("{what} are missing"));
            }
            for text in loggers.iter().filter_map(Logger::problem) {
                problem(format!("{what}: {text}"));
            }
        }
    }
}

impl Logger {
    fn problem(&self) -> Option<String> {
        if !matches!(self.level.as_str(), "DEBUG" | "INFO" | "WARNING" | "ERROR" | "FATAL") {
            return Some(format!("level of {} is {:?}", self.name, self.level));
        }
        match self.name.as_str() {
            "STD_OUTPUT" | "DB" => None,
            "FILE" => {
                let Some(folder) = self.settings.as_ref().and_then(|settings| settings.base_dir.as_ref()) else {
                    return Some("FILE needs settings.base_dir".to_owned());
                };
                let probe = std::path::Path::new(folder).join(".stand-in");
                let error = std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe)).err()?;
                Some(format!("{folder}: {error}"))
            }
            other => Some(format!("there is no logger {other:?}")),
        }
    }
}

/// Reads the file of `-c`.
pub(crate) fn read(environment: &mut Environment, arguments: &[String]) -> Configuration {
    let path = match arguments {
        [flag, path] if matches!(flag.as_str(), "-c" | "--c") => path,
        _ => {
            environment.problem("no config file is specified: -c /etc/jobservice/config.yml");
            return Configuration::default();
        }
    };
    let parsed = std::fs::read_to_string(path)
        .map_err(anyhow::Error::from)
        .and_then(|text| serde_saphyr::from_str::<Configuration>(&text).map_err(|error| anyhow::anyhow!("{error}")))
        .with_context(|| path.clone());
    match parsed {
        Ok(config) => {
            config.check(environment);
            config
        }
        Err(error) => {
            environment.problem(format!("{error:#}"));
            Configuration::default()
        }
    }
}
