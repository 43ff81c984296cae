//! What holds for this registry: its own word, else its class's, else the default. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    api::{
        Amounts, CertificateIssuer, FrontDoor, HarborCache, HarborClassSpec, HarborComponents, HarborDatabase,
        HarborExposure, HarborLogLevel, HarborProxy, HarborSpec, HarborStorage, Resources, SharedCacheServer,
        SharedDatabaseServer,
    },
    harbor::{
        versions::{self, VersionError},
        world::Problem,
    },
};

/// The ports that a `LoadBalancer` can't listen on.
const AGENT_PORTS: [i32; 3] = [9101, 9102, 9443];

/// Harbor's settings that are passwords.
const PASSWORDS: [&str; 3] = ["ldap_search_password", "oidc_client_secret", "uaa_client_secret"];

/// What holds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The version that is wanted.
    pub version: String,
    /// Where clients are.
    pub url: Url,
    /// How they come.
    pub exposure: HarborExposure,
    /// The programs.
    pub components: HarborComponents,
    /// The database.
    pub database: HarborDatabase,
    /// The server of a shared database.
    pub database_server: Option<SharedDatabaseServer>,
    /// The cache.
    pub cache: HarborCache,
    /// The server of a shared cache.
    pub cache_server: Option<SharedCacheServer>,
    /// The images.
    pub storage: HarborStorage,
    /// Whether the class says where they are, for many.
    pub storage_of_class: bool,
    /// Towards the outside.
    pub proxy: Option<HarborProxy>,
    /// Whether Harbor's programs speak TLS with each other.
    pub internal_tls: bool,
    /// How much is logged.
    pub log_level: HarborLogLevel,
    /// Harbor's own settings, by name.
    pub configuration: BTreeMap<String, Value>,
    /// The Secret with the administrator's password, where one was named.
    pub administrator: Option<String>,
    /// Where pods may run.
    pub node_selector: BTreeMap<String, String>,
    /// Where the class has Harbor's images taken from, if it says.
    pub repository: Option<String>,
}

/// The URL that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// As it was given.
    pub text: String,
    /// Whether it is `https`.
    pub secure: bool,
    /// The host alone.
    pub host: String,
    /// The port, given or usual.
    pub port: i32,
}

impl Url {
    /// Reads what the schema has let through.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0)?),
            None => (authority, if secure { 443 } else { 80 }),
        };
        let plain = host.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.');
        if host.is_empty() || !plain {
            return None;
        }
        Some(Self { text: text.to_owned(), secure, host: host.to_owned(), port: port.into() })
    }
}

impl Settings {
    /// Merges what the registry and its class say; `installed` is the version that runs, empty before there is one.
    ///
    /// # Errors
    /// When they make no sense together, or the version can't be had.
    pub fn merge(spec: &HarborSpec, class: Option<&HarborClassSpec>, installed: &str) -> Result<Self, Problem> {
        let named = spec.class_name.clone().unwrap_or_default();
        let class = class.cloned().unwrap_or_default();
        let version = version(spec, &class, &named, installed)?;
        let url = Url::parse(&spec.external_url).ok_or_else(|| {
            let message = format!("externalURL {:?} is no http:// or https:// URL without a path", spec.external_url);
            Problem::new("InvalidExternalURL", message)
        })?;
        let exposure = spec.exposure.clone().or(class.exposure).unwrap_or_default();
        fits(&url, &exposure)?;
        let database = spec.database.clone().or(class.database.map(Into::into)).unwrap_or_default();
        let cache = spec.cache.clone().or(class.cache.map(Into::into)).unwrap_or_default();
        let database_server = match &database.server_name {
            None => None,
            Some(name) => Some(offered(class.database_servers, |one| &one.name, name, "databaseServers", &named)?),
        };
        let cache_server = match &cache.server_name {
            None => None,
            Some(name) => Some(offered(class.cache_servers, |one| &one.name, name, "cacheServers", &named)?),
        };
        let settings = Self {
            version,
            url,
            exposure,
            components: components(spec.components.clone(), class.components),
            database,
            database_server,
            cache,
            cache_server,
            storage_of_class: spec.storage.is_none(),
            storage: spec.storage.clone().or(class.storage).unwrap_or_default(),
            proxy: spec.proxy.clone().or(class.proxy),
            internal_tls: spec.internal_tls.clone().or(class.internal_tls).is_some_and(|tls| tls.enabled),
            log_level: spec.log_level.or(class.log_level).unwrap_or_default(),
            configuration: configuration(spec)?,
            administrator: spec.administrator.as_ref().map(|named| named.password_secret_name.clone()),
            node_selector: class.node_selector,
            repository: class.image_repository,
        };
        if settings.storage.filesystem_alone() && settings.registry_replicas() > 1 {
            let message = "components.registry.replicas above 1 need storage of type S3 or Swift, which pods can share";
            return Err(Problem::new("StorageNotShared", message));
        }
        Ok(settings)
    }

    /// Who of cert-manager issues the certificate of the front door.
    #[must_use]
    pub fn issuer(&self) -> Option<&CertificateIssuer> {
        self.exposure.tls.as_ref()?.cert_manager.as_ref()
    }

    /// How many pods the registry has.
    #[must_use]
    pub fn registry_replicas(&self) -> i32 {
        self.components.registry.as_ref().and_then(|registry| registry.replicas).unwrap_or(1)
    }

    /// How many pods core has.
    #[must_use]
    pub fn core_replicas(&self) -> i32 {
        self.components.core.as_ref().and_then(|core| core.replicas).unwrap_or(1)
    }

    /// How many pods jobservice has.
    #[must_use]
    pub fn jobservice_replicas(&self) -> i32 {
        self.components.jobservice.as_ref().and_then(|jobservice| jobservice.replicas).unwrap_or(1)
    }
}

fn version(spec: &HarborSpec, class: &HarborClassSpec, named: &str, installed: &str) -> Result<String, Problem> {
    let told = |error: VersionError| Problem::new(error.reason(), error.to_string());
    let runs = (!installed.is_empty()).then(|| installed.to_owned());
    let asked = spec.version.clone().or_else(|| class.version.clone());
    let wanted = asked.or(runs).or_else(|| versions::newest(&class.versions).map(str::to_owned));
    let wanted = wanted.unwrap_or_else(|| class.versions.last().cloned().unwrap_or_default());
    // What runs already is not taken away by a class that stops to offer it.
    if wanted != installed && !class.versions.is_empty() && !class.versions.contains(&wanted) {
        let offered = class.versions.clone();
        return Err(told(VersionError::NotOffered { wanted, class: named.to_owned(), offered }));
    }
    versions::reach(installed, &wanted).map_err(told)?;
    Ok(wanted)
}

/// Whether a front door of this kind can be at this URL.
fn fits(url: &Url, exposure: &HarborExposure) -> Result<(), Problem> {
    if exposure.kind != FrontDoor::LoadBalancer {
        return Ok(());
    }
    if url.secure != exposure.tls.is_some() {
        let message = if url.secure {
            "externalURL begins with https:// and exposure.tls does not say where the certificate comes from"
        } else {
            "exposure.tls is given and externalURL begins with http://"
        };
        return Err(Problem::new("InvalidExposure", format!("{message}: change one of them")));
    }
    if AGENT_PORTS.contains(&url.port) {
        let message = format!("port {} of externalURL is the load balancer's own: choose another", url.port);
        return Err(Problem::new("InvalidExternalURL", message));
    }
    Ok(())
}

/// The server of this name among those of a class.
fn offered<S>(
    servers: Vec<S>,
    name_of: impl Fn(&S) -> &String,
    name: &str,
    field: &str,
    class: &str,
) -> Result<S, Problem> {
    servers.into_iter().find(|server| name_of(server) == name).ok_or_else(|| {
        let message = format!("class {class:?} has no entry {name:?} in {field}: add it there, or name another");
        Problem::new("UnknownServer", message)
    })
}

/// Each is a text of JSON.
fn configuration(spec: &HarborSpec) -> Result<BTreeMap<String, Value>, Problem> {
    let read = |(name, text): (&String, &String)| match serde_json::from_str(text) {
        Ok(_) if PASSWORDS.contains(&name.as_str()) => {
            let message = format!(
                "configuration.{name} is a secret, which Harbor never tells again and a spec must not hold: set it in Harbor"
            );
            Err(Problem::new("InvalidConfiguration", message))
        }
        Ok(value) => Ok((name.clone(), value)),
        Err(error) => {
            let message = format!("configuration.{name} is no JSON ({error}): write texts as '\"text\"'");
            Err(Problem::new("InvalidConfiguration", message))
        }
    };
    spec.configuration.iter().map(read).collect()
}

/// Component by component.
fn components(own: Option<HarborComponents>, class: Option<HarborComponents>) -> HarborComponents {
    let (own, class) = (own.unwrap_or_default(), class.unwrap_or_default());
    HarborComponents {
        core: own.core.or(class.core),
        jobservice: own.jobservice.or(class.jobservice),
        registry: own.registry.or(class.registry),
        portal: own.portal.or(class.portal),
        trivy: own.trivy.or(class.trivy),
        exporter: own.exporter.or(class.exporter),
    }
}

/// What was asked for, else requests and limits of processor and memory.
pub(super) fn resources(asked: Option<&Resources>, requests: (&str, &str), limits: (&str, &str)) -> Resources {
    let amounts = |(cpu, memory): (&str, &str)| Amounts { cpu: Some(cpu.to_owned()), memory: Some(memory.to_owned()) };
    asked.cloned().unwrap_or_else(|| Resources { requests: Some(amounts(requests)), limits: Some(amounts(limits)) })
}

impl HarborStorage {
    /// Whether images are on a volume, which one pod alone can use.
    #[must_use]
    pub fn filesystem_alone(&self) -> bool {
        self.kind == crate::api::StorageKind::Filesystem
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Url;

    #[rstest]
    #[case("https://registry.example.com", Some((true, "registry.example.com", 443)))]
    #[case("http://registry:8080", Some((false, "registry", 8080)))]
    #[case("https://registry/path", None)]
    #[case("ftp://registry", None)]
    #[case("https://registry:0", None)]
    #[case("https://registry:99999", None)]
    #[case("https://", None)]
    fn urls_are_read(#[case] text: &str, #[case] expected: Option<(bool, &str, i32)>) {
        let found = Url::parse(text);
        assert_eq!(found.as_ref().map(|url| (url.secure, url.host.as_str(), url.port)), expected);
    }
}
