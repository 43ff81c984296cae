//! What the spec names, looked up: where database, cache and storage are, and with which passwords. Pure.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::settings::Settings;
use crate::{
    api::{ExternalCache, RedisDatabases, ServerKind, SslMode},
    clients::connection::{Authorities, Encryption},
    harbor::{
        credentials::{CACHE_PASSWORD, Credentials, DATABASE_PASSWORD},
        names::{self, Component, POSTGRESQL, REDIS},
        world::{Problem, World},
    },
};

/// How many connections a registry on an external database may hold until the database was asked.
const UNKNOWN_LIMIT: i32 = 50;

/// What the spec names.
#[derive(Clone, Debug)]
pub struct References {
    /// Where the database is.
    pub database: DatabaseAddress,
    /// Where the cache is.
    pub cache: CacheAddress,
    /// The `ConfigMap`s with authorities that Harbor's programs have to trust.
    pub authorities: BTreeSet<String>,
    /// A hash over what these hold.
    pub trusted: String,
    /// A hash over what the Secrets hold that the storage of images is reached with.
    pub storage_keys: String,
}

/// Where the database is.
#[derive(Clone)]
pub struct DatabaseAddress {
    /// As pods of the registry's namespace call it.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// In clear.
    pub password: String,
    /// Which database.
    pub database: String,
    /// `PostgreSQL`'s word.
    pub ssl_mode: SslMode,
    /// How the operator's own connections are kept from others.
    pub encryption: Encryption,
}

/// Where the cache is.
#[derive(Clone)]
pub struct CacheAddress {
    /// As pods of the registry's namespace call it.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// The ACL user, if there is one.
    pub user: Option<String>,
    /// In clear, if there is one.
    pub password: Option<String>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// How the operator's own connections are kept from others.
    pub encryption: Encryption,
    /// Which database is whose; none until they are claimed on a shared server.
    pub databases: Option<RedisDatabases>,
}

impl std::fmt::Debug for DatabaseAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

impl std::fmt::Debug for CacheAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

impl DatabaseAddress {
    /// As `PostgreSQL` and Harbor write it.
    #[must_use]
    pub fn ssl_word(&self) -> &'static str {
        match self.ssl_mode {
            SslMode::Disable => "disable",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

impl CacheAddress {
    /// The URL of one database, with the password.
    #[must_use]
    pub fn url(&self, database: i32) -> String {
        let quoted = |text: &String| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let scheme = if self.tls { "rediss" } else { "redis" };
        let login = match (&self.user, &self.password) {
            (None, None) => String::new(),
            (user, password) => {
                format!(
                    "{}:{}@",
                    user.as_ref().map_or_else(String::new, quoted),
                    password.as_ref().map_or_else(String::new, quoted)
                )
            }
        };
        format!("{scheme}://{login}{}:{}/{database}?idle_timeout_seconds=30", bracketed(&self.host), self.port)
    }

    /// Whether the registry can use it: Distribution 2.8, which Harbor's registry is, knows neither users nor
    /// authorities of Redis, and works without it.
    #[must_use]
    pub fn plain(&self) -> bool {
        self.user.is_none() && !self.tls
    }
}

/// An IPv6 address as URLs have it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Looks up all that the settings name.
///
/// # Errors
/// What is missing or can't be used, the first of it.
pub fn resolve(
    name: &str,
    namespace: &str,
    settings: &Settings,
    credentials: &Credentials,
    world: &World,
) -> Result<References, Problem> {
    let mut used = Used { world, authorities: BTreeSet::new(), trusted: BTreeMap::new() };
    let mut storage_keys = vec![];
    let database = database(name, namespace, settings, credentials, &mut used)?;
    let cache = cache(name, namespace, settings, credentials, &mut used)?;
    if let Some(s3) = &settings.storage.s3 {
        storage_keys = used.secret(&s3.credentials_secret_name, "storage.s3", &["accessKey", "secretKey"])?;
        if let Some(config_map) = &s3.ca_config_map_name {
            used.authority(config_map, "storage.s3")?;
        }
    }
    if let Some(swift) = &settings.storage.swift {
        storage_keys = used.secret(&swift.credentials_secret_name, "storage.swift", &["username", "password"])?;
        if let Some(config_map) = &swift.ca_config_map_name {
            used.authority(config_map, "storage.swift")?;
        }
    }
    if let Some(secret) = settings.exposure.tls.as_ref().and_then(|tls| tls.secret_name.as_ref()) {
        // Who ends TLS reads it.
        used.secret(secret, "exposure.tls", &["tls.crt", "tls.key"])?;
    }
    let trusted = names::hash(used.trusted.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let storage_keys = names::hash(storage_keys.iter().map(|key| ("key", key.as_str())));
    Ok(References { database, cache, authorities: used.authorities, trusted, storage_keys })
}

/// What is looked up, and what was found.
struct Used<'a> {
    world: &'a World,
    authorities: BTreeSet<String>,
    trusted: BTreeMap<String, String>,
}

impl Used<'_> {
    /// The values of a Secret's keys, in their order.
    fn secret(&self, name: &str, what: &str, keys: &[&str]) -> Result<Vec<String>, Problem> {
        let Some(data) = self.world.secrets.get(name) else {
            let message = format!("{what} names Secret {name:?}, which does not exist; create it");
            return Err(Problem::new("SecretNotFound", message));
        };
        keys.iter()
            .map(|key| {
                let value = data.get(*key).and_then(|value| String::from_utf8(value.clone()).ok());
                value.filter(|value| !value.is_empty()).ok_or_else(|| {
                    let message = format!("{what}: Secret {name:?} has no text in its key {key:?}; add it");
                    Problem::new("InvalidSecret", message)
                })
            })
            .collect()
    }

    /// The authorities of a `ConfigMap`.
    fn authority(&mut self, name: &str, what: &str) -> Result<String, Problem> {
        let problem = |reason, words: &str| Problem::new(reason, format!("{what} names ConfigMap {name:?}, {words}"));
        let found = self.world.authorities.get(name);
        let found = found.ok_or_else(|| problem("ConfigMapNotFound", "which does not exist; create it"))?;
        let text = found.clone().ok_or_else(|| problem("InvalidConfigMap", "which has no key \"ca.crt\"; add it"))?;
        self.authorities.insert(name.to_owned());
        self.trusted.insert(name.to_owned(), text.clone());
        Ok(text)
    }

    /// The authorities of a `ConfigMap`, or those of the system.
    fn authorities(&mut self, name: Option<&String>, what: &str) -> Result<Authorities, Problem> {
        match name {
            Some(name) => Ok(Authorities::Pem(self.authority(name, what)?.into_bytes())),
            None => Ok(Authorities::System),
        }
    }
}

fn encryption(mode: SslMode, authorities: Authorities) -> Encryption {
    match mode {
        SslMode::Disable => Encryption::Disable,
        SslMode::Require => Encryption::Require,
        SslMode::VerifyCa => Encryption::VerifyCa(authorities),
        SslMode::VerifyFull => Encryption::VerifyFull(authorities),
    }
}

/// What the schema has let through is a port.
fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or_default()
}

fn database(
    name: &str,
    namespace: &str,
    settings: &Settings,
    credentials: &Credentials,
    used: &mut Used<'_>,
) -> Result<DatabaseAddress, Problem> {
    let password = credentials.get(DATABASE_PASSWORD).to_owned();
    match (settings.database.kind, &settings.database.external, &settings.database_server) {
        (ServerKind::Managed, ..) => Ok(DatabaseAddress {
            host: names::child(name, Component::Database),
            port: POSTGRESQL,
            user: super::database::ROLE.to_owned(),
            password,
            database: super::database::DATABASE.to_owned(),
            ssl_mode: SslMode::Disable,
            encryption: Encryption::Disable,
        }),
        (ServerKind::Shared, _, Some(server)) => Ok(DatabaseAddress {
            host: server.host.clone(),
            port: port(server.port),
            user: names::tenant(namespace, name),
            password,
            database: names::tenant(namespace, name),
            ssl_mode: server.ssl_mode,
            encryption: encryption(server.ssl_mode, Authorities::System),
        }),
        (ServerKind::External, Some(external), _) => {
            let what = "database.external";
            let password = used.secret(&external.password_secret_name, what, &["password"])?.remove(0);
            let authorities = used.authorities(external.ca_config_map_name.as_ref(), what)?;
            Ok(DatabaseAddress {
                host: external.host.clone(),
                port: port(external.port),
                user: external.username.clone(),
                password,
                database: external.database.clone(),
                ssl_mode: external.ssl_mode,
                encryption: encryption(external.ssl_mode, authorities),
            })
        }
        (ServerKind::Shared | ServerKind::External, ..) => {
            Err(Problem::new("Invalid", "database does not say which server: give serverName or external"))
        }
    }
}

fn cache(
    name: &str,
    namespace: &str,
    settings: &Settings,
    credentials: &Credentials,
    used: &mut Used<'_>,
) -> Result<CacheAddress, Problem> {
    let password = Some(credentials.get(CACHE_PASSWORD).to_owned());
    match (settings.cache.kind, &settings.cache.external, &settings.cache_server) {
        (ServerKind::Managed, ..) => Ok(CacheAddress {
            host: names::child(name, Component::Cache),
            port: REDIS,
            user: None,
            password,
            tls: false,
            encryption: Encryption::Disable,
            databases: Some(from(0)),
        }),
        (ServerKind::Shared, _, Some(server)) => {
            let server_name = format!("{}:{}", server.host, server.port);
            let claim = used.world.claim.as_ref().filter(|claim| claim.server == server_name);
            Ok(CacheAddress {
                host: server.host.clone(),
                port: port(server.port),
                user: Some(names::tenant(namespace, name)),
                password,
                tls: server.tls,
                encryption: tls(server.tls, Authorities::System),
                databases: claim.map(|claim| {
                    let [core, jobservice, registry, trivy] = claim.databases;
                    RedisDatabases { core, jobservice, registry, trivy }
                }),
            })
        }
        (ServerKind::External, Some(external), _) => external_cache(external, used),
        (ServerKind::Shared | ServerKind::External, ..) => {
            Err(Problem::new("Invalid", "cache does not say which server: give serverName or external"))
        }
    }
}

fn external_cache(external: &ExternalCache, used: &mut Used<'_>) -> Result<CacheAddress, Problem> {
    let what = "cache.external";
    let password = match &external.password_secret_name {
        Some(secret) => Some(used.secret(secret, what, &["password"])?.remove(0)),
        None => None,
    };
    let authorities = used.authorities(external.ca_config_map_name.as_ref(), what)?;
    Ok(CacheAddress {
        host: external.host.clone(),
        port: port(external.port),
        user: external.username.clone(),
        password,
        tls: external.tls,
        encryption: tls(external.tls, authorities),
        databases: Some(from(external.first_database)),
    })
}

fn tls(tls: bool, authorities: Authorities) -> Encryption {
    if tls { Encryption::VerifyFull(authorities) } else { Encryption::Disable }
}

/// As Helm's chart has them, from a first one on.
fn from(first: i32) -> RedisDatabases {
    RedisDatabases { core: first, jobservice: first + 1, registry: first + 2, trivy: first + 5 }
}

/// How many connections the registry may hold in all, as far as it is known without having asked.
pub(super) fn connections(settings: &Settings, world: &World, told: Option<i32>) -> i32 {
    let asked = world.database.as_ref().and_then(|state| state.as_ref().ok());
    let asked = asked.map(|state| i32::try_from(state.usable_connections()).unwrap_or(i32::MAX));
    match (settings.database.kind, &settings.database_server) {
        (ServerKind::Managed, _) => super::database::usable_connections(settings),
        // The server may have fewer than the class promises. What it had before does not count: the class may have
        // been given more, and the server is asked only once the role has it.
        (ServerKind::Shared, Some(server)) => {
            asked.map_or(server.connections_per_registry, |asked| asked.min(server.connections_per_registry))
        }
        _ => asked.or(told).unwrap_or(UNKNOWN_LIMIT),
    }
}
