//! Objects whose contents are read only when a load balancer names them: of all others no more than the
//! version is kept.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::{
    Api, Client, Resource, ResourceExt,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::watcher,
};
use serde::de::DeserializeOwned;

use super::cluster::interested;
use crate::{
    loadbalancer::{
        Error,
        interests::{Interest, Interests},
    },
    reconcile::{Cache, Changed, Key, Scope, Trigger, cache},
    telemetry::Metrics,
};

/// What was read, by the version that was read.
type Read<V> = Arc<Mutex<HashMap<Key, (String, V)>>>;

/// The objects of one kind.
pub(super) struct Contents<K, V> {
    versions: Cache<String>,
    read: Read<V>,
    convert: fn(K) -> V,
}

impl<K, V> Contents<K, V>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: Clone + Send + 'static,
{
    /// The objects that `config` selects, and what gives load balancers a turn when they change.
    pub(super) fn new(
        client: &Client,
        scope: &Scope,
        config: &watcher::Config,
        metrics: &Metrics,
        interests: (&Arc<Interests>, fn(Key) -> Interest),
        convert: fn(K) -> V,
    ) -> (Self, Trigger) {
        let version = |object: PartialObjectMeta<K>| object.resource_version().unwrap_or_default();
        let (versions, feed) = cache::namespaced(client, scope, config, metrics, version);
        let read: Read<V> = Arc::default();
        let (interests, interest) = interests;
        let (forget, interested) = (Arc::clone(&read), interested(interests, move |key| interest(key.clone())));
        let trigger = feed.triggers(move |changed: Changed<String>| {
            lock(&forget).remove(&changed.key);
            interested(changed)
        });
        (Self { versions, read, convert }, trigger)
    }

    /// What an object holds; none when there is no such object.
    pub(super) async fn get(&self, client: &Client, namespace: &str, name: &str) -> Result<Option<V>, Error> {
        let Some(version) = self.versions.get(namespace, name) else { return Ok(None) };
        let key = Key::new(namespace, name);
        if let Some((read, contents)) = lock(&self.read).get(&key)
            && *read == *version
        {
            return Ok(Some(contents.clone()));
        }
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let found = api
            .get_opt(name)
            .await
            .map_err(|source| Error::Kubernetes { act: format!("read {} {name}", K::kind(&())), source })?;
        let Some(object) = found else { return Ok(None) };
        let version = object.resource_version().unwrap_or_default();
        let contents = (self.convert)(object);
        lock(&self.read).insert(key, (version, contents.clone()));
        Ok(Some(contents))
    }
}

fn lock<V>(read: &Read<V>) -> MutexGuard<'_, HashMap<Key, (String, V)>> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}
