//! What is known of the cluster, kept up to date by watches that keep only what a plan needs, and what was done by
//! this process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Client, ResourceExt, core::PartialObjectMeta, runtime::watcher};

use super::{pods::Pods, probes::Probes};
use crate::{
    api::{Harbor, HarborClass, HarborClassSpec, SharedCacheServer, SharedDatabaseServer},
    harbor::{
        credentials::Credentials,
        names::{CLAIM_ANNOTATION, COMPONENT_LABEL, Component, HARBOR_LABEL},
        plan::settings::Settings,
        world::{Claim, Installation, Shared},
    },
    reconcile::{Cache, Changed, Contents, Interests, Key, MANAGED_BY, MANAGER, Scope, Trigger, cache},
    telemetry::Metrics,
};

/// What a Secret holds.
type Data = BTreeMap<String, Vec<u8>>;

/// Something in the cluster that a registry names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Interest {
    /// A class.
    Class(String),
    /// A Secret.
    Secret(Key),
    /// A `ConfigMap`.
    ConfigMap(Key),
}

/// What is known of the cluster.
pub(in crate::harbor) struct Observer {
    pub(in crate::harbor) installation: Installation,
    classes: Cache<HarborClassSpec>,
    interests: Arc<Interests<Interest>>,
    /// Those that Fairway has not made itself.
    pub(super) secrets: Contents<Secret, Data>,
    /// What `ca.crt` holds.
    pub(super) authorities: Contents<ConfigMap, Option<String>>,
    pods: Pods,
    pub(super) probes: Probes,
    memory: Mutex<Memory>,
    /// What is claimed of shared Redis servers, by Secrets that may outlive their registries.
    claims: Arc<Mutex<BTreeMap<Key, Claim>>>,
}

/// What this process has done.
#[derive(Default)]
struct Memory {
    /// Where and how role and database, or user, of a registry were made or mended.
    ensured: HashMap<Key, BTreeMap<Shared, String>>,
    /// The uids of registries whose parts on shared servers are gone.
    dropped: HashSet<String>,
}

impl Observer {
    /// What is known of the cluster, and what gives registries a turn when it changes.
    pub(in crate::harbor) fn new(
        client: &Client,
        scope: &Scope,
        installation: Installation,
        metrics: &Metrics,
    ) -> (Self, Vec<Trigger>) {
        let everything = watcher::Config::default();
        let (classes, feed) = cache::cluster(client, &everything, metrics, |class: HarborClass| class.spec);
        let interests: Arc<Interests<Interest>> = Arc::default();
        let affected = interests.affected(|class| Interest::Class(class.name().to_owned()));
        let mut triggers = vec![feed.triggers(move |changed: Changed<HarborClassSpec>| affected(&changed.key))];

        // The many that no registry names are left out, as far as that can be said.
        let not_ours = format!("{MANAGED_BY}!={MANAGER}");
        let secrets = watcher::Config::default()
            .labels(&not_ours)
            .fields("type!=kubernetes.io/service-account-token,type!=helm.sh/release.v1");
        let affected = interests.affected(Interest::Secret);
        let (secrets, trigger) = Contents::new(client, scope, &secrets, metrics, affected, data);
        triggers.push(trigger);
        let config_maps = watcher::Config::default().labels(&not_ours).fields("metadata.name!=kube-root-ca.crt");
        let affected = interests.affected(Interest::ConfigMap);
        let (authorities, trigger) = Contents::new(client, scope, &config_maps, metrics, affected, authority);
        triggers.push(trigger);

        let ours = watcher::Config::default().labels(HARBOR_LABEL);
        let (_, feed) = cache::namespaced(client, scope, &ours, metrics, super::pods::known);
        let pods = Pods::default();
        triggers.push(feed.triggers(pods.follow()));

        let credentials = watcher::Config::default().labels(&format!("{COMPONENT_LABEL}=credentials"));
        let claim = |secret: PartialObjectMeta<Secret>| {
            secret.annotations().get(CLAIM_ANNOTATION).and_then(|text| Claim::parse(text))
        };
        let (_, feed) = cache::namespaced(client, scope, &credentials, metrics, claim);
        let claims: Arc<Mutex<BTreeMap<Key, Claim>>> = Arc::default();
        let known = Arc::clone(&claims);
        triggers.push(feed.triggers(move |changed: Changed<Option<Claim>>| {
            match changed.now.as_deref() {
                Some(Some(claim)) => lock(&known).insert(changed.key, claim.clone()),
                _ => lock(&known).remove(&changed.key),
            };
            vec![]
        }));

        let (probes, memory) = (Probes::default(), Mutex::default());
        let observer = Self { installation, classes, interests, secrets, authorities, pods, probes, memory, claims };
        (observer, triggers)
    }

    pub(super) fn class(&self, name: &str) -> Option<HarborClassSpec> {
        self.classes.get("", name).map(|class| HarborClassSpec::clone(&class))
    }

    /// Notes what a registry names from now on.
    pub(super) fn interested(&self, key: &Key, interests: Vec<Interest>) {
        self.interests.set(key, interests);
    }

    /// Why pods of a registry do not run.
    pub(super) fn pods(&self, key: &Key) -> BTreeMap<Component, String> {
        self.pods.of(key)
    }

    /// Which components of a registry have a ready pod that listens without TLS, or with it.
    pub(super) fn listening(&self, key: &Key) -> BTreeSet<(Component, bool)> {
        self.pods.listening(key)
    }

    /// What was made or mended on the shared servers that the settings name.
    pub(super) fn ensured(&self, key: &Key, settings: &Settings) -> BTreeSet<Shared> {
        let memory = lock(&self.memory);
        let Some(ensured) = memory.ensured.get(key) else { return BTreeSet::new() };
        let database = settings.database_server.as_ref().map(database_as_ensured);
        let cache = settings.cache_server.as_ref().map(cache_as_ensured);
        [(Shared::Database, database), (Shared::Cache, cache)]
            .into_iter()
            .filter(|(what, server)| server.is_some() && ensured.get(what) == server.as_ref())
            .map(|(what, _)| what)
            .collect()
    }

    /// Notes what was made or mended, where and how.
    pub(in crate::harbor) fn note_ensured(&self, key: &Key, what: Shared, how: String) {
        lock(&self.memory).ensured.entry(key.clone()).or_default().insert(what, how);
        self.probes.hurry(key);
    }

    /// Has Harbor's own settings asked for again: they were changed.
    pub(in crate::harbor) fn note_configured(&self, key: &Key) {
        self.probes.configured(key);
    }

    /// Notes that the administrator's password was changed, or may have been.
    pub(in crate::harbor) fn note_password(&self, key: &Key, done: Option<(&str, &Credentials, &Credentials)>) {
        match done {
            Some((address, before, after)) => self.probes.password_changed(key, address, before, after),
            None => self.probes.password_unknown(key),
        }
    }

    /// Has it made or mended again: it does not answer.
    pub(super) fn doubt(&self, key: &Key, what: Shared) {
        if let Some(ensured) = lock(&self.memory).ensured.get_mut(key) {
            ensured.remove(&what);
        }
    }

    /// Whether the registry's parts on shared servers are gone.
    pub(super) fn dropped(&self, resource: &Harbor) -> bool {
        resource.metadata.uid.as_ref().is_some_and(|uid| lock(&self.memory).dropped.contains(uid))
    }

    /// Notes that they are.
    pub(in crate::harbor) fn note_dropped(&self, resource: &Harbor) {
        lock(&self.memory).dropped.extend(resource.metadata.uid.clone());
    }

    /// Takes four databases of a server that nobody has, 0 not among them; none when there are not as many.
    /// `secret` is the Secret of credentials.
    pub(in crate::harbor) fn claim(&self, secret: &Key, server: &str, total: i32) -> Option<Claim> {
        let mut claims = lock(&self.claims);
        if let Some(known) = claims.get(secret).filter(|claim| claim.server == server) {
            return Some(known.clone());
        }
        let taken: BTreeSet<i32> =
            claims.values().filter(|claim| claim.server == server).flat_map(|claim| claim.databases).collect();
        let free: Vec<i32> = (1..total).filter(|database| !taken.contains(database)).take(4).collect();
        let claim = Claim { server: server.to_owned(), databases: free.try_into().ok()? };
        claims.insert(secret.clone(), claim.clone());
        Some(claim)
    }

    /// Drops what is remembered of a registry that is gone. Its claim lives with its Secret.
    pub(in crate::harbor) fn forget(&self, key: &Key) {
        self.interested(key, vec![]);
        lock(&self.memory).ensured.remove(key);
        self.probes.forget(key);
    }
}

/// Where role and database are made, and with what that a class may change.
pub(in crate::harbor) fn database_as_ensured(server: &SharedDatabaseServer) -> String {
    format!("{}:{} with {} connections", server.host, server.port, server.connections_per_registry)
}

/// Where a user is made.
pub(in crate::harbor) fn cache_as_ensured(server: &SharedCacheServer) -> String {
    format!("{}:{}", server.host, server.port)
}

fn data(secret: Secret) -> Data {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

fn authority(config_map: ConfigMap) -> Option<String> {
    config_map.data.and_then(|mut data| data.remove("ca.crt"))
}

pub(in crate::harbor) fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
