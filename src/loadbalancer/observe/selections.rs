//! The pods that pools select. Each selector of a namespace is watched by itself, from the first load
//! balancer that wants it to the last, so that nothing is read or kept of pods that nobody selects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc};
use kube::{Client, runtime::watcher};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{cluster::interested, convert};
use crate::{
    loadbalancer::{
        interests::{Interest, Interests},
        world::SelectedPod,
    },
    reconcile::{Cache, Key, Scope, Trigger, cache},
    telemetry::Metrics,
};

/// How long after its beginning a watch's first list is waited for: long enough for an API server that is
/// well, so that what is there all along is not told to be missing.
const FIRST_LIST: Duration = Duration::from_secs(1);

/// The watches, by namespace and the text of the selector.
pub(in crate::loadbalancer) struct Selections {
    client: Client,
    metrics: Metrics,
    interests: Arc<Interests>,
    turns: mpsc::UnboundedSender<Key>,
    watches: Mutex<HashMap<Key, Selection>>,
}

/// What one selector matches.
struct Selection {
    pods: Cache<Option<SelectedPod>>,
    listed: watch::Receiver<bool>,
    begun: Instant,
    _watching: AbortOnDropHandle<()>,
}

impl Selections {
    /// No watch yet, and what gives load balancers a turn when what they select changes.
    pub(super) fn new(client: &Client, metrics: &Metrics, interests: &Arc<Interests>) -> (Self, Trigger) {
        let (turns, given) = mpsc::unbounded();
        let selections = Self {
            client: client.clone(),
            metrics: metrics.clone(),
            interests: Arc::clone(interests),
            turns,
            watches: Mutex::default(),
        };
        (selections, Trigger::from_stream(given))
    }

    /// Notes what a load balancer is interested in from now on. Selectors that are new are watched, and those
    /// that nobody wants any more are not. Must be called within a tokio runtime.
    pub(in crate::loadbalancer) async fn set(&self, resource: &Key, interests: Vec<Interest>) {
        for (begun, mut listed) in self.follow(resource, interests) {
            // One that is late gives a turn by itself.
            let _ = timeout_at(begun + FIRST_LIST, listed.wait_for(|listed| *listed)).await;
        }
    }

    /// Forgets a load balancer that is gone.
    pub(in crate::loadbalancer) fn forget(&self, resource: &Key) {
        self.follow(resource, vec![]);
    }

    /// Begins and ends watches; when those that are wanted were begun, and whether they have listed.
    fn follow(&self, resource: &Key, interests: Vec<Interest>) -> Vec<(Instant, watch::Receiver<bool>)> {
        // Locked throughout, so that nobody ends what another has just begun to want.
        let mut watches = self.lock();
        let wanted: Vec<Key> = interests.iter().filter_map(selector).cloned().collect();
        for unwanted in self.interests.set(resource, interests).iter().filter_map(selector) {
            watches.remove(unwanted);
        }
        let followed = wanted.into_iter().map(|key| {
            let selection = watches.entry(key).or_insert_with_key(|key| self.watch(key));
            (selection.begun, selection.listed.clone())
        });
        followed.collect()
    }

    fn watch(&self, key: &Key) -> Selection {
        let scope = Scope::Namespaces(vec![key.namespace().to_owned()]);
        let config = watcher::Config::default().labels(key.name());
        let (pods, feed) = cache::namespaced(&self.client, &scope, &config, &self.metrics, convert::selected_pod);
        let interest = Interest::Pods(key.clone());
        let trigger = feed.triggers(interested(&self.interests, move |_| interest.clone()));
        let listed = trigger.synced.clone();
        let turns = forward(trigger, Arc::clone(&self.interests), Interest::Pods(key.clone()), self.turns.clone());
        Selection { pods, listed, begun: Instant::now(), _watching: AbortOnDropHandle::new(tokio::spawn(turns)) }
    }

    /// The pods that a selector matches; none while they are not known.
    pub(super) fn pods(&self, key: &Key) -> Option<Vec<SelectedPod>> {
        let watches = self.lock();
        let selection = watches.get(key).filter(|selection| *selection.listed.borrow())?;
        let pods = selection.pods.all();
        Some(pods.iter().filter_map(|(_, pod)| SelectedPod::clone(pod.as_ref().as_ref()?).into()).collect())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Selection>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a turn to those who are interested when the first list is complete, be it empty, and for each
/// change after it.
async fn forward(trigger: Trigger, interests: Arc<Interests>, interest: Interest, turns: mpsc::UnboundedSender<Key>) {
    // Nobody listens only while the engine stops.
    let give = |resource| drop(turns.unbounded_send(resource));
    let Trigger { mut keys, mut synced } = trigger;
    let listed = synced.clone();
    let first = async {
        if synced.wait_for(|listed| *listed).await.is_ok() {
            interests.of(&interest).into_iter().for_each(give);
        }
    };
    let changes = async {
        while let Some(resource) = keys.next().await {
            if *listed.borrow() {
                give(resource);
            }
        }
    };
    futures::join!(first, changes);
}

/// The selector that an interest is in.
fn selector(interest: &Interest) -> Option<&Key> {
    match interest {
        Interest::Pods(key) => Some(key),
        Interest::Class(_) | Interest::Secret(_) | Interest::ConfigMap(_) | Interest::Service(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use http::{Request, Response};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use kube::client::Body;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tower::service_fn;

    use super::*;
    use crate::telemetry::Exposition;

    const POD: &str =
        r#"{"metadata":{"name":"a","namespace":"customer","resourceVersion":"1"},"status":{"podIP":"10.0.0.1"}}"#;

    /// Tells that it was dropped.
    struct Ended(UnboundedSender<String>);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.send("ended".to_owned());
        }
    }

    /// An API server with one pod, whose watches stay silent; it says what is asked and when a watch ends.
    fn client(told: UnboundedSender<String>) -> Client {
        let service = service_fn(move |request: Request<Body>| {
            let told = told.clone();
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let watch = query.contains("watch=true");
                let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector="));
                let verb = if watch { "watch" } else { "list" };
                let _ = told.send(format!("{verb} {} {}", request.uri().path(), selector.unwrap_or("all")));
                let list = format!(
                    r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":[{POD}]}}"#
                );
                let first = (!watch).then_some(list);
                let silent = watch.then(|| Ended(told));
                let answer = stream::unfold((first, silent), async |(first, silent)| match (first, silent) {
                    (Some(list), silent) => Some((Ok::<_, Infallible>(Frame::data(Bytes::from(list))), (None, silent))),
                    (None, Some(_silent)) => std::future::pending().await,
                    (None, None) => None,
                });
                Ok::<_, Infallible>(Response::new(StreamBody::new(answer.boxed())))
            }
        });
        Client::new(service, "default")
    }

    fn pods(selector: &str) -> Interest {
        Interest::Pods(Key::new("customer", selector))
    }

    #[tokio::test]
    async fn a_selector_is_watched_once_and_only_while_somebody_wants_it() {
        let (told, mut hear) = unbounded_channel();
        let interests = Arc::new(Interests::default());
        let metrics = Metrics::register(&Exposition::default());
        let (selections, mut trigger) = Selections::new(&client(told), &metrics, &interests);
        let key = |name: &str| Key::new("customer", name);
        let (shop, blog) = (key("shop"), key("blog"));
        selections.set(&shop, vec![Interest::Class("gold".to_owned())]).await;
        assert!(hear.try_recv().is_err(), "who selects no pods pays nothing");

        let Interest::Pods(key) = pods("app=web") else { unreachable!() };
        assert_eq!(selections.pods(&key), None, "not known");
        selections.set(&shop, vec![pods("app=web")]).await;
        assert_eq!(selections.pods(&key).map(|pods| pods.len()), Some(1), "the first list was waited for");
        assert_eq!(trigger.keys.next().await, Some(shop.clone()));
        assert_eq!(hear.recv().await.as_deref(), Some("list /api/v1/namespaces/customer/pods app%3Dweb"));
        assert_eq!(hear.recv().await.as_deref(), Some("watch /api/v1/namespaces/customer/pods app%3Dweb"));

        selections.set(&blog, vec![pods("app=web")]).await;
        selections.forget(&shop);
        assert!(hear.try_recv().is_err(), "the watch that is there goes on");
        selections.set(&blog, vec![]).await;
        assert_eq!(hear.recv().await.as_deref(), Some("ended"));
        assert_eq!(selections.pods(&key), None);
    }
}
