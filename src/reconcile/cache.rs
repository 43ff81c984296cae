//! What a family remembers of objects that others own: a watch that keeps only what it is told to keep,
//! and says which keys changed, so that the resources that depend on them get a turn. It lists and
//! watches; it writes nothing.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, PoisonError, RwLock},
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client, Resource,
    core::{ClusterResourceScope, NamespaceResourceScope},
    runtime::watcher,
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{
    scope::Scope,
    watch::{Change, Key, bounded, changes},
};
use crate::telemetry::Metrics;

type Entries<V> = BTreeMap<Key, Arc<V>>;

/// What is remembered; clones share it. It is filled while its [`Feed`] is polled.
#[derive(Debug)]
pub struct Cache<V>(Arc<RwLock<Entries<V>>>);

/// What a cache is filled by, and what changes in it. It has to be polled: hand it to the engine as a
/// [`Trigger`].
pub struct Feed<V> {
    changed: BoxStream<'static, Changed<V>>,
    synced: watch::Receiver<bool>,
}

/// One key whose value is not what it was.
#[derive(Clone, Debug)]
pub struct Changed<V> {
    /// Which.
    pub key: Key,
    /// What was remembered before; none if it is new.
    pub before: Option<Arc<V>>,
    /// What is remembered now; none if it is gone, be it that its deletion was seen or that it was
    /// missing when the kind was listed again.
    pub now: Option<Arc<V>>,
}

/// What gives resources of a family a turn.
pub struct Trigger {
    /// The resources.
    pub(crate) keys: BoxStream<'static, Key>,
    /// Whether all that they depend on has been read once.
    pub(crate) synced: watch::Receiver<bool>,
}

/// Remembers `keep(object)` for each object of a kind in the namespaces of `scope`, narrowed by
/// `config`. For metadata alone let `K` be [`kube::core::PartialObjectMeta`].
pub fn namespaced<K, V>(
    client: &Client,
    scope: &Scope,
    config: &watcher::Config,
    metrics: &Metrics,
    keep: impl Fn(K) -> V + Send + 'static,
) -> (Cache<V>, Feed<V>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: PartialEq + Send + Sync + 'static,
{
    build(scope.apis(&bounded(client.clone())), config, metrics, keep)
}

/// As [`namespaced`], for a kind that is in no namespace.
pub fn cluster<K, V>(
    client: &Client,
    config: &watcher::Config,
    metrics: &Metrics,
    keep: impl Fn(K) -> V + Send + 'static,
) -> (Cache<V>, Feed<V>)
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: PartialEq + Send + Sync + 'static,
{
    build(vec![(None, Api::all(bounded(client.clone())))], config, metrics, keep)
}

fn build<K, V>(
    apis: Vec<(Option<String>, Api<K>)>,
    config: &watcher::Config,
    metrics: &Metrics,
    keep: impl Fn(K) -> V + Send + 'static,
) -> (Cache<V>, Feed<V>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: PartialEq + Send + Sync + 'static,
{
    let entries = Arc::new(RwLock::new(Entries::new()));
    let cache = Cache(Arc::clone(&entries));
    let (ready, synced) = watch::channel(false);
    let name = format!("cache/{}", K::kind(&()));
    let changed = changes(apis, config, &name, metrics).flat_map(move |change| {
        let mut entries = entries.write().unwrap_or_else(PoisonError::into_inner);
        stream::iter(take(&mut entries, change, &keep, &ready))
    });
    (cache, Feed { changed: changed.boxed(), synced })
}

/// Brings `entries` up to date and says what changed.
fn take<K: Resource, V: PartialEq>(
    entries: &mut Entries<V>,
    change: Change<K>,
    keep: &impl Fn(K) -> V,
    ready: &watch::Sender<bool>,
) -> Vec<Changed<V>> {
    let gone = |entries: &mut Entries<V>, key: Key| {
        let before = entries.remove(&key)?;
        Some(Changed { key, before: Some(before), now: None })
    };
    match change {
        Change::Applied(object) => {
            let key = Key::of(&object);
            let now = Arc::new(keep(object));
            let before = entries.insert(key.clone(), Arc::clone(&now));
            let same = before.as_deref() == Some(&*now);
            if same { vec![] } else { vec![Changed { key, before, now: Some(now) }] }
        }
        Change::Deleted(object) => gone(entries, Key::of(&object)).into_iter().collect(),
        Change::Listed { within, keys, complete } => {
            let dropped: Vec<Key> =
                entries.keys().filter(|key| Change::<K>::drops(within.as_deref(), &keys, key)).cloned().collect();
            if complete {
                ready.send_replace(true);
            }
            dropped.into_iter().filter_map(|key| gone(entries, key)).collect()
        }
    }
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> Cache<V> {
    /// What is remembered of one object; `namespace` is empty for what is in none.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        let key = Key::new(namespace, name);
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// All that is remembered of one namespace, by name.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Vec<(Key, Arc<V>)> {
        let first = Key::new(namespace, "");
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .range(first..)
            .take_while(|(key, _)| key.namespace() == namespace)
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect()
    }

    /// All that is remembered, by namespace and name.
    #[must_use]
    pub fn all(&self) -> Vec<(Key, Arc<V>)> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect()
    }
}

impl<V: Send + Sync + 'static> Feed<V> {
    /// Each change gives a turn to the resources that `affected` names. The engine takes no turn before
    /// the cache has been filled once.
    pub fn triggers<I>(self, affected: impl Fn(Changed<V>) -> I + Send + 'static) -> Trigger
    where
        I: IntoIterator<Item = Key> + Send + 'static,
        I::IntoIter: Send,
    {
        let keys = self.changed.flat_map(move |changed| stream::iter(affected(changed)));
        Trigger { keys: keys.boxed(), synced: self.synced }
    }
}

impl Trigger {
    /// A turn for each resource that a stream names; nothing is waited for.
    pub fn from_stream(keys: impl Stream<Item = Key> + Send + 'static) -> Self {
        Self { keys: keys.boxed(), synced: watch::channel(true).1 }
    }
}
