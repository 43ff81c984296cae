//! All that a plan may depend on, as plain data: what `observe` reads and `plan` decides upon.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fact, credentials::Credentials, images::Images, names::Component};
use crate::{
    api::HarborClassSpec,
    clients::{
        harbor::Health,
        postgresql::{DatabaseState, Schema},
        redis::CacheState,
    },
};

/// What was seen in one go.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The class that the spec names, when it exists.
    pub class: Option<HarborClassSpec>,
    /// What was made up for the registry, when its Secret exists.
    pub credentials: Option<Credentials>,
    /// Which databases of which shared Redis are the registry's, as the Secret says.
    pub claim: Option<Claim>,
    /// What belongs to the registry, by kind and name.
    pub children: BTreeMap<(String, String), Fact>,
    /// Those of them, by kind and name, that Kubernetes takes away with the registry.
    pub owned: BTreeSet<(String, String)>,
    /// What belongs to it and is being deleted, by kind and name.
    pub ending: BTreeSet<(String, String)>,
    /// What the Secrets hold that the spec names, by name; those that exist.
    pub secrets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// What `ca.crt` of the `ConfigMap`s says that the spec names, by name; those that exist.
    pub authorities: BTreeMap<String, Option<String>>,
    /// How the database is, when it was asked.
    pub database: Option<Result<DatabaseState, Problem>>,
    /// How the cache is, when it was asked.
    pub cache: Option<Result<CacheState, Problem>>,
    /// How Harbor says that it is, when it was asked.
    pub health: Option<Result<Health, Problem>>,
    /// Where core is, when it runs.
    pub core: Option<String>,
    /// What Harbor told the administrator, when it was asked with the password.
    pub administrator: Option<Result<LoggedIn, Problem>>,
    /// Harbor's own settings, when they were asked for.
    pub configuration: Option<Result<BTreeMap<String, Value>, Problem>>,
    /// Whether the registry can write to its storage, when it was asked.
    pub storage: Option<Result<(), Problem>>,
    /// Whether role and database, and user, on shared servers have been made or mended by this process.
    pub ensured: BTreeSet<Shared>,
    /// Whether they are gone, where the registry is to be deleted with its data.
    pub dropped: bool,
    /// Why pods do not run, by component; those that say why.
    pub pods: BTreeMap<Component, String>,
    /// Which components have a ready pod that listens without TLS (`false`) or with TLS (`true`).
    pub listening: BTreeSet<(Component, bool)>,
    /// Whether cert-manager's API is there, when it was looked for.
    pub cert_manager: Option<bool>,
    /// What this operator was installed with.
    pub installation: Installation,
}

impl World {
    /// A fact about an owned object.
    #[must_use]
    pub fn child(&self, kind: &str, name: &str) -> Option<&Fact> {
        self.children.get(&(kind.to_owned(), name.to_owned()))
    }

    /// What the migrations say of themselves, when the database was asked.
    #[must_use]
    pub fn schema(&self) -> Option<Schema> {
        self.database.as_ref()?.as_ref().ok()?.schema
    }
}

/// What Harbor told its administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// Whether it refused the password of the Secret of credentials, and took the one that the spec names.
    pub changed: bool,
    /// How many bytes images take.
    pub used: u64,
}

/// What is not as it should be, for a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `UpperCamelCase`.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Something of a registry on a server that many share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// Role and database.
    Database,
    /// User and databases.
    Cache,
}

/// Databases of a shared Redis that belong to one registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The server, as `host:port`: names of servers are the class's and may change.
    pub server: String,
    /// Core's, jobservice's, the registry's and trivy's.
    pub databases: [i32; 4],
}

impl Claim {
    /// Reads `host:port=1,2,3,4`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (server, databases) = text.split_once('=')?;
        let databases: Vec<i32> = databases.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { server: server.to_owned(), databases: databases.try_into().ok()? })
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [core, jobservice, registry, trivy] = self.databases;
        write!(formatter, "{}={core},{jobservice},{registry},{trivy}", self.server)
    }
}

/// What a pod template was made from, besides what user and class ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// Which way of making it.
    pub layout: u32,
    /// A hash of it.
    pub template: String,
    /// What runs of the images that nobody asked for.
    pub images: Images,
}

/// What this operator was installed with.
#[derive(Clone, Debug, Default)]
pub struct Installation {
    /// The operator's own namespace, which may reach what it has to ask.
    pub namespace: String,
    /// The images that it was told to run in place of others.
    pub images: Images,
}

#[cfg(test)]
mod tests {
    use super::Claim;

    #[test]
    fn a_claim_is_written_and_read() {
        let claim = Claim { server: "redis.shared:6379".to_owned(), databases: [4, 5, 6, 7] };
        assert_eq!(Claim::parse(&claim.to_string()), Some(claim));
        assert_eq!(Claim::parse("redis=1,2,3"), None);
        assert_eq!(Claim::parse("redis"), None);
    }
}
