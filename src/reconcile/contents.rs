//! Objects whose contents are read only when a resource names them: of all others no more than the version is kept. It
//! lists, watches and reads; it writes nothing.

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

use super::{
    cache::{self, Cache, Changed, Trigger},
    scope::Scope,
    watch::Key,
};
use crate::telemetry::Metrics;

/// What was read, by the version that was read.
type Read<V> = Arc<Mutex<HashMap<Key, (String, V)>>>;

/// The objects of one kind.
pub struct Contents<K, V> {
    versions: Cache<String>,
    read: Read<V>,
    convert: fn(K) -> V,
}

impl<K, V> Contents<K, V>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: Clone + Send + 'static,
{
    /// The objects that `config` selects, and what gives the resources that name them (`affected`) a turn when they
    /// change.
    pub fn new(
        client: &Client,
        scope: &Scope,
        config: &watcher::Config,
        metrics: &Metrics,
        affected: impl Fn(&Key) -> Vec<Key> + Send + 'static,
        convert: fn(K) -> V,
    ) -> (Self, Trigger) {
        let version = |object: PartialObjectMeta<K>| object.resource_version().unwrap_or_default();
        let (versions, feed) = cache::namespaced(client, scope, config, metrics, version);
        let read: Read<V> = Arc::default();
        let forget = Arc::clone(&read);
        let trigger = feed.triggers(move |changed: Changed<String>| {
            lock(&forget).remove(&changed.key);
            affected(&changed.key)
        });
        (Self { versions, read, convert }, trigger)
    }

    /// What an object holds; none when there is no such object. Read once for each version that the watch tells of.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn get(&self, client: &Client, namespace: &str, name: &str) -> Result<Option<V>, kube::Error> {
        let Some(version) = self.versions.get(namespace, name) else { return Ok(None) };
        let key = Key::new(namespace, name);
        if let Some((read, contents)) = lock(&self.read).get(&key)
            && *read == *version
        {
            return Ok(Some(contents.clone()));
        }
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let Some(object) = api.get_opt(name).await? else { return Ok(None) };
        let version = object.resource_version().unwrap_or_default();
        let contents = (self.convert)(object);
        lock(&self.read).insert(key, (version, contents.clone()));
        Ok(Some(contents))
    }
}

fn lock<V>(read: &Read<V>) -> MutexGuard<'_, HashMap<Key, (String, V)>> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}
