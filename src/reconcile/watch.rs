//! Watches that never end: the changes of one kind in the namespaces of a scope, as one stream. It
//! lists and watches; it writes nothing.

use std::{
    collections::HashSet,
    fmt::{self, Debug},
};

use futures::{Stream, StreamExt, stream::select_all};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tower::{service_fn, timeout::Timeout};
use tracing::warn;

use super::REQUEST_LIMIT;
use crate::telemetry::{Metrics, metrics::OfWatch};

/// How many objects are listed at a time: while a page is read it takes many times the memory of what is kept of
/// it, and an allocator does not give all of that back.
const PAGE: u32 = 100;

/// Where an object is: its namespace and its name. Of a fleet some hundred thousand are kept, so it is one text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// Between namespace and name, in neither, and before all that they are written with: keys are in the order of
/// their namespaces.
const BETWEEN: char = '\0';

impl Key {
    /// The object of this name; `namespace` is empty for what is in none.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}{BETWEEN}{name}").into())
    }

    /// Where `object` is.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// Empty for what is in no namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once(BETWEEN).unwrap_or_default()
    }
}

impl Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, name) = self.parts();
        write!(formatter, "{namespace}/{name}")
    }
}

/// What happened to the objects of a kind.
pub(crate) enum Change<K> {
    /// The object is there.
    Applied(K),
    /// The object was deleted, and looked like this.
    Deleted(K),
    /// What is within the namespace (or everywhere), and is not among the keys, is gone.
    Listed {
        /// The namespace that was listed; none for all.
        within: Option<String>,
        /// All that is there.
        keys: HashSet<Key>,
        /// Whether every namespace has been listed at least once.
        complete: bool,
    },
}

impl<K> Change<K> {
    /// Whether `key` is dropped by a listing of `within` that named `keys`.
    pub(crate) fn drops(within: Option<&str>, keys: &HashSet<Key>, key: &Key) -> bool {
        within.is_none_or(|namespace| namespace == key.namespace()) && !keys.contains(key)
    }
}

/// The version as a number, as Kubernetes promises since 1.35; zero if it is none.
pub(crate) fn version(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// `client`, for lists and watches: an answer has to begin within [`REQUEST_LIMIT`]. `kube` leaves the wait
/// for it unbounded, so that a connection that is silently lost at the wrong moment would end a watch
/// for good. (What follows the beginning of an answer is bounded by the watch's own timeout.)
pub(crate) fn bounded(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(Timeout::new(send, REQUEST_LIMIT), namespace)
}

/// Lists and watches each of `apis`, again and again, later and later while that fails.
pub(crate) fn changes<K>(
    apis: Vec<(Option<String>, Api<K>)>,
    config: &watcher::Config,
    name: &str,
    metrics: &Metrics,
) -> impl Stream<Item = Change<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut unlisted: HashSet<Option<String>> = apis.iter().map(|(within, _)| within.clone()).collect();
    let parts = apis.into_iter().map(|(within, api)| part(within, api, config.clone(), name, metrics).boxed());
    select_all(parts).map(move |mut change| {
        if let Change::Listed { within, complete, .. } = &mut change {
            unlisted.remove(within);
            *complete = unlisted.is_empty();
        }
        change
    })
}

/// The changes that one API tells.
fn part<K>(
    within: Option<String>,
    api: Api<K>,
    config: watcher::Config,
    name: &str,
    metrics: &Metrics,
) -> impl Stream<Item = Change<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let name = name.to_owned();
    let failures = metrics.watch_failures.get_or_create_owned(&OfWatch { watch: name.clone() });
    let mut listed = HashSet::new();
    let config = config.page_size(PAGE);
    watcher(api, config).default_backoff().filter_map(move |event| {
        let change = match event {
            Ok(Event::Init) => {
                listed.clear();
                None
            }
            Ok(Event::InitApply(object)) => {
                listed.insert(Key::of(&object));
                Some(Change::Applied(object))
            }
            Ok(Event::InitDone) => {
                let keys = std::mem::take(&mut listed);
                Some(Change::Listed { within: within.clone(), keys, complete: false })
            }
            Ok(Event::Apply(object)) => Some(Change::Applied(object)),
            Ok(Event::Delete(object)) => Some(Change::Deleted(object)),
            Err(error) => {
                failures.inc();
                warn!(watch = name, %error, "A watch failed and is begun again.");
                None
            }
        };
        std::future::ready(change)
    })
}

/// The name of an object, for logs.
pub(crate) fn named(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_are_in_the_order_of_namespaces_then_names() {
        let parts = [("", "gold"), ("a", "x"), ("a", "x-1"), ("a", "y"), ("a-b", "a"), ("b", "a")];
        let keys = parts.map(|(namespace, name)| Key::new(namespace, name));
        assert!(keys.is_sorted());
        assert_eq!(keys.each_ref().map(|key| (key.namespace(), key.name())), parts);
    }
}
