//! How database, cache and Harbor are, asked again only when the last answer is old: a turn may come many times a
//! second while pods start.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::cluster::lock;
use crate::{
    clients::{
        connection::{Authorities, Server},
        distribution::{self, UNREACHABLE},
        harbor::{HarborClient, HarborCredentials, HarborError, Health},
        postgresql::{self, Credentials, DatabaseState},
        redis::{self, CacheState, Login},
    },
    harbor::{
        credentials::{ADMIN_PASSWORD, Credentials as MadeUp, REGISTRY_PASSWORD, REGISTRY_USER},
        names,
        plan::{
            administrator::{CHANGING, REFUSED},
            references::{CacheAddress, DatabaseAddress},
        },
        world::{LoggedIn, Problem},
    },
    reconcile::{Failure, Key},
};

/// How long a good answer holds; a little less than how soon a registry at rest is looked at.
const GOOD: Duration = Duration::from_secs(55);
/// How long an answer may take: a turn waits for it, and a little longer than a connection may take.
const LIMIT: Duration = Duration::from_secs(6);
/// How long a bad one does.
const BAD: Duration = Duration::from_secs(4);
/// How long it holds what images take: Harbor adds up all its layers for it.
const STATISTICS: Duration = Duration::from_secs(295);
/// How long it holds that Harbor refuses a password: each try keeps everybody out who has the right one.
const LOCKED_OUT: Duration = Duration::from_mins(1);
/// How long a new password may take until it is read from the Secret that it was written into.
const NOTED: Duration = Duration::from_secs(10);
/// How long it holds that a bucket takes what is written: each look is some ten requests that its owner pays for.
const BUCKET_GOOD: Duration = Duration::from_mins(30);
/// How long it holds that a storage refuses: what is begun on a disk that is full leaves an empty folder.
const STORAGE_BAD: Duration = Duration::from_secs(30);

/// What the registry keeps images on.
pub(super) struct Storage<'a> {
    /// Where the registry is, when it runs.
    pub(super) registry: Option<Server>,
    /// Whether each look at it costs something.
    pub(super) bucket: bool,
    /// A hash over the Secrets that it is reached with.
    pub(super) keys: &'a str,
    /// What its pods are made of, and whether all are: those of before may reach what new ones can't.
    pub(super) pods: (&'a str, bool),
}

/// Nobody said anything in time.
const NO_ANSWER: &str = "NoAnswer";

/// None when there is nobody to ask yet.
pub(super) type Answer<T> = Option<Result<T, Problem>>;

/// Asks core as the administrator.
pub(in crate::harbor) fn administrator(address: &str, credentials: &MadeUp) -> Result<HarborClient, HarborError> {
    let password = credentials.get(ADMIN_PASSWORD).to_owned().into();
    client(address, credentials, HarborCredentials { user: "admin".to_owned(), password })
}

/// Asks core, which has to show a certificate of the registry's own authority where it speaks TLS.
fn client(address: &str, made_up: &MadeUp, credentials: HarborCredentials) -> Result<HarborClient, HarborError> {
    let Some(core) = made_up.core() else { return HarborClient::new(address, Authorities::System, credentials) };
    let authorities = Authorities::Pem(core.bundle.clone().into_bytes());
    Ok(HarborClient::new(address, authorities, credentials)?.called(&core.name))
}

/// The last answers.
#[derive(Default)]
pub(super) struct Probes {
    databases: Answers<DatabaseState>,
    caches: Answers<CacheState>,
    healths: Answers<Health>,
    configurations: Answers<BTreeMap<String, Value>>,
    administrators: Answers<LoggedIn>,
    storages: Answers<()>,
}

/// The last answers of one kind, by registry.
pub(in crate::harbor) struct Answers<T>(Arc<Mutex<HashMap<Key, Asked<T>>>>);

struct Asked<T> {
    /// Whom; another is asked at once.
    whom: String,
    at: Instant,
    answer: Result<T, Problem>,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Answers<T> {
    /// The last answer, for as long as it holds, or a new one.
    pub(in crate::harbor) async fn get<F>(
        &self,
        key: &Key,
        whom: String,
        holds: impl Fn(&Result<T, Problem>) -> Duration,
        ask: impl FnOnce() -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        if let Some(asked) = lock(&self.0).get(key)
            && asked.whom == whom
            && asked.at.elapsed() < holds(&asked.answer)
        {
            return Some(asked.answer.clone());
        }
        let answer = timeout(LIMIT, ask()).await.unwrap_or_else(|_| {
            // What follows tells passwords apart, and is for nobody's eyes.
            let server = whom.split(" as ").next().unwrap_or_default();
            let words = format!("{server} has not answered within {} s", LIMIT.as_secs());
            Err(Problem::new(NO_ANSWER, words))
        });
        lock(&self.0).insert(key.clone(), Asked { whom, at: Instant::now(), answer: answer.clone() });
        Some(answer)
    }

    /// Has it asked again at once.
    pub(in crate::harbor) fn forget(&self, key: &Key) {
        lock(&self.0).remove(key);
    }
}

/// How long an answer holds, by whether all is well.
pub(in crate::harbor) fn held<T>(well: impl Fn(&T) -> bool) -> impl Fn(&Result<T, Problem>) -> Duration {
    move |answer| match answer {
        Ok(told) if well(told) => GOOD,
        Err(problem) if problem.reason == REFUSED => LOCKED_OUT,
        _ => BAD,
    }
}

/// Core and passwords, told apart and not told.
fn logins(address: &str, passwords: [&MadeUp; 2]) -> String {
    let hash = names::hash(passwords.map(|one| ("password", one.get(ADMIN_PASSWORD))));
    format!("{address} as {hash}")
}

impl Probes {
    /// Logs in to the database as Harbor does; nothing when there is nobody to ask yet. In doubt a good answer holds
    /// no longer than a bad one.
    pub(super) async fn database(
        &self,
        key: &Key,
        host: Option<String>,
        address: &DatabaseAddress,
        doubt: bool,
    ) -> Answer<DatabaseState> {
        let server = Server { host: host?, port: address.port, encryption: address.encryption.clone() };
        let credentials = Credentials { user: address.user.clone(), password: address.password.clone().into() };
        let password = names::hash([("password", address.password.as_str())]);
        let whom = format!("{server}/{address:?} as {password}");
        let ask = async || {
            let asked = postgresql::probe(&server, &credentials, &address.database).await;
            asked.map_err(|error| Problem::new(error.reason(), error.to_string()))
        };
        let holds = |answer: &Result<DatabaseState, Problem>| match answer {
            // It is so before and while a migration runs, and must not be believed of one that has ended since.
            Ok(state) if state.schema.is_none_or(|schema| schema.dirty) => Duration::ZERO,
            Ok(_) if !doubt => GOOD,
            _ => BAD,
        };
        self.databases.get(key, whom, holds, ask).await
    }

    /// Logs in to the cache as Harbor does; nothing when there is nobody to ask yet.
    pub(super) async fn cache(&self, key: &Key, host: Option<String>, address: &CacheAddress) -> Answer<CacheState> {
        let server = Server { host: host?, port: address.port, encryption: address.encryption.clone() };
        let login = Login { user: address.user.clone(), password: address.password.clone().map(Into::into) };
        let database = u32::try_from(address.databases?.core).unwrap_or_default();
        let ask = async || {
            let asked = redis::probe(&server, &login, database).await;
            asked.map_err(|error| Problem::new(error.reason(), error.to_string()))
        };
        let password = names::hash([("password", address.password.as_deref().unwrap_or_default())]);
        self.caches.get(key, format!("{server} as {password}"), held(|_| true), ask).await
    }

    /// Asks core how Harbor is; nothing when there is nobody to ask yet.
    pub(super) async fn health(&self, key: &Key, address: Option<String>, made_up: &MadeUp) -> Answer<Health> {
        let Some(address) = address else {
            // What it said before it went says nothing of how it comes back.
            self.healths.forget(key);
            return None;
        };
        let ask = async || {
            // Asked without a password.
            let nobody = HarborCredentials { user: String::new(), password: String::new().into() };
            let asked = async { client(&address, made_up, nobody)?.health().await };
            asked.await.map_err(|error| Problem::new(error.reason(), error.to_string()))
        };
        self.healths.get(key, address.clone(), held(Health::is_healthy), ask).await
    }

    /// Asks core for Harbor's own settings; nothing when there is nobody to ask yet.
    pub(super) async fn configuration(
        &self,
        key: &Key,
        address: Option<String>,
        credentials: &MadeUp,
    ) -> Answer<BTreeMap<String, Value>> {
        let address = address?;
        let ask = async || {
            let asked = async { administrator(&address, credentials)?.configurations().await };
            let told = asked.await.map_err(|error| Problem::new(error.reason(), error.to_string()))?;
            Ok(told.into_iter().map(|(name, setting)| (name, setting.value)).collect())
        };
        let answer =
            self.configurations.get(key, logins(&address, [credentials, credentials]), held(|_| true), ask).await;
        if matches!(&answer, Some(Err(problem)) if problem.reason == REFUSED) {
            // Which password works is found out first.
            self.administrators.forget(key);
        }
        answer
    }

    /// Logs in to Harbor with the password that is known to work, and where that is refused with the one that is
    /// wanted; asks what images take. Nothing when there is nobody to ask yet.
    pub(super) async fn administrator(
        &self,
        key: &Key,
        address: Option<String>,
        known: &MadeUp,
        wanted: &MadeUp,
    ) -> Answer<LoggedIn> {
        let address = address?;
        let other = (known != wanted).then(|| wanted.get(ADMIN_PASSWORD).to_owned().into());
        let ask = async || {
            let asked = async { administrator(&address, known)?.statistics_by(other.as_ref()).await };
            let (told, changed) =
                asked.await.map_err(|error: HarborError| Problem::new(error.reason(), error.to_string()))?;
            Ok(LoggedIn { changed, used: told.total_storage_consumption })
        };
        let tries = if known == wanted { 1 } else { 2 };
        let holds = move |answer: &Result<LoggedIn, Problem>| match answer {
            Ok(_) => STATISTICS,
            Err(problem) if problem.reason == REFUSED => LOCKED_OUT * tries,
            Err(problem) if problem.reason == CHANGING => NOTED,
            // It may have been a wrong password all the same, or much to add up.
            Err(problem) if problem.reason == NO_ANSWER => LOCKED_OUT,
            Err(_) => BAD,
        };
        self.administrators.get(key, logins(&address, [known, wanted]), holds, ask).await
    }

    /// Harbor has a new password, and the Secret that it is read from is on its way.
    pub(super) fn password_changed(&self, key: &Key, address: &str, before: &MadeUp, after: &MadeUp) {
        let answer = Err(Problem::new(CHANGING, "the administrator's password was changed just now"));
        let asked = Asked { whom: logins(address, [before, after]), at: Instant::now(), answer };
        lock(&self.administrators.0).insert(key.clone(), asked);
    }

    /// Has it found out again which password works.
    pub(super) fn password_unknown(&self, key: &Key) {
        self.administrators.forget(key);
    }

    /// Has the registry write to its storage, `on` which it keeps images; nothing when there is nobody to ask yet.
    pub(super) async fn storage(&self, key: &Key, on: Storage<'_>, credentials: &MadeUp) -> Answer<()> {
        let Some(server) = on.registry else {
            // What comes in its place has to show it anew.
            self.storages.forget(key);
            return None;
        };
        let password = credentials.get(REGISTRY_PASSWORD).to_owned().into();
        let ask = async || {
            let asked = distribution::try_storage(&server, REGISTRY_USER, &password).await;
            asked.map_err(|error| Problem::new(error.reason(), error.to_string()))
        };
        let good = if on.bucket { BUCKET_GOOD } else { GOOD };
        let holds = |answer: &Result<(), Problem>| match answer {
            Ok(()) => good,
            // Nothing was begun: its address may be known before it is reached.
            Err(problem) if [UNREACHABLE, NO_ANSWER].contains(&problem.reason) => BAD,
            Err(_) => STORAGE_BAD,
        };
        self.storages.get(key, format!("{server} as {} {:?}", on.keys, on.pods), holds, ask).await
    }

    /// Has Harbor's own settings asked for again at once.
    pub(super) fn configured(&self, key: &Key) {
        self.configurations.forget(key);
    }

    /// Has all asked again at once.
    pub(super) fn hurry(&self, key: &Key) {
        self.databases.forget(key);
        self.caches.forget(key);
    }

    /// Drops what is remembered of a registry.
    pub(super) fn forget(&self, key: &Key) {
        self.hurry(key);
        self.healths.forget(key);
        self.configurations.forget(key);
        self.administrators.forget(key);
        self.storages.forget(key);
    }
}

#[cfg(test)]
mod tests;
