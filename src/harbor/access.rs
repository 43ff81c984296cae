//! How what is in a registry (projects, robots) finds the registry and talks to it, as its administrator. Reads the
//! Kubernetes API; what it asks of Harbor is up to those who use it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service},
    },
};
use kube::{Api, Client, Resource, runtime::watcher};
use serde::de::DeserializeOwned;

use super::{
    credentials::{CoreIdentity, Credentials},
    error::Error,
    names::{self, Component},
    observe::{administrator, core_url, encrypts, lock},
    plan::{
        administrator::REFUSED,
        report::{ADMINISTRATOR, READY},
    },
    world::Problem,
};
use crate::{
    api::Harbor,
    authority::AuthoritySet,
    clients::harbor::{HarborClient, HarborError},
    reconcile::{Cache, Changed, Failure, Key, Scope, Trigger, cache},
    telemetry::Metrics,
};

/// Where core is, by its Service and whether it listens with TLS; none while it has no address.
pub type Locate = Arc<dyn Fn(&Service, bool) -> Option<String> + Send + Sync>;

/// Core at the address that the cluster gives its Service.
#[must_use]
pub fn by_cluster_address() -> Locate {
    Arc::new(|service, encrypted| {
        let address = service.spec.as_ref()?.cluster_ip.as_deref()?;
        (!["", "None"].contains(&address)).then(|| core_url(address, encrypted))
    })
}

/// A registry, as far as what is in it depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Why it is not ready; none when it is.
    pub waits: Option<String>,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Where clients reach it, as `host` or `host:port`.
    pub host: String,
}

impl Registry {
    fn of(harbor: &Harbor) -> Self {
        let told = |type_: &str| {
            let mut conditions = harbor.status.iter().flat_map(|status| &status.conditions);
            conditions.find(|condition| condition.type_ == type_)
        };
        // Each try with a wrong password keeps those out who have the right one.
        let refused = told(ADMINISTRATOR).filter(|condition| condition.reason == REFUSED);
        let waits = match refused.or_else(|| told(READY)) {
            Some(ready) if ready.status == "True" => None,
            Some(ready) => Some(ready.message.clone()),
            None => Some("nobody has looked at it yet".to_owned()),
        };
        let url = &harbor.spec.external_url;
        let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned();
        Self { waits, leaving: harbor.metadata.deletion_timestamp.is_some(), host }
    }
}

/// The way to the registries that some resources name.
pub(super) struct Access {
    client: Client,
    registries: Cache<Registry>,
    /// Which registry of its namespace each resource names.
    named: Arc<Mutex<HashMap<Key, String>>>,
    /// By registry; made anew when one is doubted.
    clients: Mutex<HashMap<Key, HarborClient>>,
    locate: Locate,
}

impl Access {
    /// The way, and what gives resources a turn when their registry changes.
    pub(super) fn new(client: &Client, scope: &Scope, locate: Locate, metrics: &Metrics) -> (Self, Trigger) {
        let everything = watcher::Config::default();
        let keep = |harbor: Harbor| Registry::of(&harbor);
        let (registries, feed) = cache::namespaced(client, scope, &everything, metrics, keep);
        let named: Arc<Mutex<HashMap<Key, String>>> = Arc::default();
        let trigger = feed.triggers(of_registry(&named));
        let access = Self { client: client.clone(), registries, named, clients: Mutex::default(), locate };
        (access, trigger)
    }

    /// The registry that a resource names, when it is there. From now on its changes give the resource a turn.
    pub(super) fn registry(&self, resource: &Key, harbor: &str) -> Option<Registry> {
        lock(&self.named).insert(resource.clone(), harbor.to_owned());
        let found = self.registries.get(resource.namespace(), harbor).map(|registry| Registry::clone(&registry));
        if found.as_ref().is_none_or(|registry| registry.waits.is_some()) {
            // Its address may be another's by the time that it is ready again.
            lock(&self.clients).remove(&Key::new(resource.namespace(), harbor));
        }
        found
    }

    /// Talks to a registry as its administrator.
    pub(super) async fn administrator(&self, harbor: &Key) -> Result<HarborClient, Error> {
        if let Some(client) = lock(&self.clients).get(harbor) {
            return Ok(client.clone());
        }
        let service = names::child(harbor.name(), Component::Core);
        let core = self.identity(harbor).await?;
        let found = self.read::<Service>(harbor, &service).await?;
        let address = found.and_then(|found| (self.locate)(&found, core.is_some())).ok_or(Error::NoCore(service))?;
        let credentials = Credentials::read(self.secret(harbor, &names::credentials(harbor.name())).await?);
        let client = administrator(&address, &credentials.for_core(core))?;
        lock(&self.clients).insert(harbor.clone(), client.clone());
        Ok(client)
    }

    /// How core shows that it is core; none when it listens without TLS. While that changes, a question that fails has
    /// it read again.
    async fn identity(&self, harbor: &Key) -> Result<Option<CoreIdentity>, Error> {
        let name = names::child(harbor.name(), Component::Core);
        let deployment = self.read::<Deployment>(harbor, &name).await?;
        let template = deployment.and_then(|found| found.spec).and_then(|spec| spec.template.spec);
        if !template.is_some_and(|pods| encrypts(&pods)) {
            return Ok(None);
        }
        let data = self.secret(harbor, &names::authority(harbor.name())).await?;
        let authorities = AuthoritySet::from_data(&data).ok();
        Ok(authorities.map(|authorities| CoreIdentity { bundle: authorities.bundle(), name }))
    }

    /// What a Secret beside a registry holds; nothing when there is none.
    async fn secret(&self, harbor: &Key, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let data = self.read::<Secret>(harbor, name).await?.and_then(|found| found.data).unwrap_or_default();
        Ok(data.into_iter().map(|(key, value)| (key, value.0)).collect())
    }

    /// An object beside a registry, when it is there.
    async fn read<K>(&self, harbor: &Key, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), harbor.namespace());
        let found = api.get_opt(name).await;
        found.map_err(|source| Error::Kubernetes { act: format!("read {} {name}", K::kind(&())), source })
    }

    /// What went wrong with a question, in words. Where its address or its password may be others by now, they are read
    /// again before the next question.
    pub(super) fn problem(&self, harbor: &Key, error: &Error) -> Problem {
        if let Error::Harbor(
            HarborError::Unauthorized { .. } | HarborError::Unreachable { .. } | HarborError::Tls { .. },
        ) = error
        {
            lock(&self.clients).remove(harbor);
        }
        Problem::new(error.reason(), error.to_string())
    }

    /// Drops what is remembered of a resource that is gone.
    pub(super) fn forget(&self, resource: &Key) {
        lock(&self.named).remove(resource);
    }
}

/// The resources that name a registry that has changed.
fn of_registry(named: &Arc<Mutex<HashMap<Key, String>>>) -> impl Fn(Changed<Registry>) -> Vec<Key> + Send + 'static {
    let named = Arc::clone(named);
    move |changed| {
        let named = lock(&named);
        let of = named.iter().filter(|(resource, harbor)| {
            resource.namespace() == changed.key.namespace() && **harbor == changed.key.name()
        });
        of.map(|(resource, _)| resource.clone()).collect()
    }
}
