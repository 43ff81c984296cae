//! Core's environment and files, all of which must be there and well-formed.

use crate::database::Parameters;
use crate::environment::{Environment, Refusal, valid_secret};
use crate::log::LEVELS;

/// What core was told.
pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) external: String,
    pub(crate) database: Parameters,
    pub(crate) redis_core: String,
    /// Harbor's own cache; the core's database where it has none of its own.
    pub(crate) redis_harbor: String,
    pub(crate) redis_registry: String,
    pub(crate) urls: Urls,
    pub(crate) trivy: bool,
    pub(crate) storage: String,
    pub(crate) registry_user: String,
    pub(crate) registry_password: String,
    pub(crate) core_secret: String,
    pub(crate) jobservice_secret: String,
    pub(crate) admin_password: String,
    /// 16 bytes: what encrypts the credentials of other registries.
    pub(crate) secret_key: String,
    pub(crate) private_key: String,
    pub(crate) metrics: Option<(String, u16)>,
    /// Configuration that must not be changed by users.
    pub(crate) overwrite: serde_json::Map<String, serde_json::Value>,
    pub(crate) gc_window_hours: i64,
}

/// Where the others are.
#[derive(Clone)]
pub(crate) struct Urls {
    pub(crate) core: String,
    pub(crate) token_service: String,
    pub(crate) portal: String,
    pub(crate) jobservice: String,
    pub(crate) registry: String,
    pub(crate) registryctl: String,
    pub(crate) trivy: String,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, Refusal> {
        let mut environment = Environment::default();
        let settings = Self::ask(&mut environment);
        environment.finish()?;
        Ok(settings)
    }

    fn ask(environment: &mut Environment) -> Self {
        environment.required("CONFIG_PATH");
        let file = environment.file("CONFIG_PATH", "/etc/core/app.conf");
        if !file.is_empty() && !file.contains("appname") {
            environment.problem("CONFIG_PATH names no app.conf: there is no appname in it");
        }
        environment.one_of("LOG_LEVEL", "info", &LEVELS);
        environment.one_of("DATABASE_TYPE", "postgresql", &["postgresql"]);
        environment.exactly("CSRF_KEY", 32);
        environment.url("CORE_LOCAL_URL");
        let trivy = environment.parsed("WITH_TRIVY", false);
        let redis_core = environment.redis("_REDIS_URL_CORE");
        for name in ["_REDIS_URL_HARBOR", "_REDIS_URL_CACHE_LAYER"] {
            if Environment::optional(name).is_some() {
                environment.redis(name);
            }
        }
        Self {
            port: port(environment),
            external: external(environment),
            database: Parameters::read(environment, "POSTGRESQL"),
            redis_harbor: Environment::optional("_REDIS_URL_HARBOR").unwrap_or_else(|| redis_core.clone()),
            redis_core,
            redis_registry: environment.redis("_REDIS_URL_REG"),
            urls: Urls {
                core: environment.url("CORE_URL"),
                token_service: environment.url("TOKEN_SERVICE_URL"),
                portal: environment.url("PORTAL_URL"),
                jobservice: environment.url("JOBSERVICE_URL"),
                registry: environment.url("REGISTRY_URL"),
                registryctl: environment.url("REGISTRY_CONTROLLER_URL"),
                trivy: if trivy { environment.url("TRIVY_ADAPTER_URL") } else { String::new() },
            },
            trivy,
            storage: environment.required("REGISTRY_STORAGE_PROVIDER_NAME"),
            registry_user: environment.required("REGISTRY_CREDENTIAL_USERNAME"),
            registry_password: environment.required("REGISTRY_CREDENTIAL_PASSWORD"),
            core_secret: environment.exactly("CORE_SECRET", 16),
            jobservice_secret: environment.exactly("JOBSERVICE_SECRET", 16),
            admin_password: admin_password(environment),
            secret_key: secret_key(environment),
            private_key: environment.file("TOKEN_PRIVATE_KEY_PATH", "/etc/core/private_key.pem"),
            metrics: metrics(environment),
            overwrite: overwrite(environment),
            gc_window_hours: environment.parsed("GC_TIME_WINDOW_HOURS", 2),
        }
    }
}

fn port(environment: &mut Environment) -> u16 {
    environment.required("PORT");
    let port = environment.parsed("PORT", 8080);
    if crate::tls::enabled() && port != 8443 {
        environment.problem(format!("PORT must be 8443 where INTERNAL_TLS_ENABLED is true, not {port}"));
    }
    port
}

/// Clients are sent to this URL for their tokens.
fn external(environment: &mut Environment) -> String {
    let url = environment.url("EXT_ENDPOINT");
    let path = url.parse::<hyper::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    if !matches!(path.as_str(), "" | "/") {
        environment.problem(format!("EXT_ENDPOINT must have no path: {url:?}"));
    }
    url
}

fn admin_password(environment: &mut Environment) -> String {
    let password = environment.required("HARBOR_ADMIN_PASSWORD");
    if !password.is_empty() && !valid_secret(&password) {
        environment
            .problem("HARBOR_ADMIN_PASSWORD must be 8 to 128 long, with a lower and an upper letter and a digit");
    }
    password
}

fn secret_key(environment: &mut Environment) -> String {
    let key = environment.file("KEY_PATH", "/etc/core/key");
    if key.len() != 16 && !key.is_empty() {
        environment.problem(format!("/etc/core/key must hold exactly 16 characters, and holds {}", key.len()));
    }
    key
}

/// The path and port of metrics, where they are wanted.
pub(crate) fn metrics(environment: &mut Environment) -> Option<(String, u16)> {
    let enabled = environment.parsed("METRIC_ENABLE", false);
    let path = Environment::optional("METRIC_PATH").unwrap_or_else(|| "/metrics".to_owned());
    let port = environment.parsed("METRIC_PORT", 9090);
    if !path.starts_with('/') {
        environment.problem(format!("METRIC_PATH must begin with a slash: {path:?}"));
    }
    enabled.then_some((path, port))
}

fn overwrite(environment: &mut Environment) -> serde_json::Map<String, serde_json::Value> {
    let Some(text) = Environment::optional("CONFIG_OVERWRITE_JSON") else {
        return serde_json::Map::new();
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        environment.problem(format!("CONFIG_OVERWRITE_JSON is no object: {error}"));
        serde_json::Map::new()
    })
}
