//! What every step of a turn needs: the client with its time limits and counters, what is known, and the
//! settings.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Api, Client, Resource};
use tokio::time::timeout;

use super::{
    REQUEST_LIMIT,
    error::{Backoff, Error},
    events,
    family::{Event, Family},
    guard::Guard,
    inventory::Inventory,
    memory::Memories,
    scope::Scope,
    store::Store,
    watch::Key,
};
use crate::telemetry::{
    Metrics,
    metrics::{OfFamily, OfWrite},
};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How an engine works.
#[derive(Clone)]
pub struct Settings {
    /// Which resources it looks after.
    pub scope: Scope,
    /// How many turns it takes at a time, at least 1.
    pub concurrency: u16,
    /// Who reports events: the program, such as `fairway`.
    pub controller: String,
    /// Which of its processes: the pod's name.
    pub instance: String,
    /// How long failures wait.
    pub backoff: Backoff,
    /// How long turns that were begun may take to end once no more are begun.
    pub drain: Duration,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Settings {
    /// The usual, for a process that is called `instance`.
    #[must_use]
    pub fn new(scope: Scope, instance: impl Into<String>) -> Self {
        Self {
            scope,
            concurrency: 64,
            controller: super::MANAGER.to_owned(),
            instance: instance.into(),
            backoff: Backoff::default(),
            drain: Duration::from_secs(20),
            clock: Arc::new(Timestamp::now),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, concurrency, controller, instance, backoff, drain, clock: _ } = self;
        formatter
            .debug_struct("Settings")
            .field("scope", scope)
            .field("concurrency", concurrency)
            .field("controller", controller)
            .field("instance", instance)
            .field("backoff", backoff)
            .field("drain", drain)
            .finish_non_exhaustive()
    }
}

/// What every step of a turn needs.
pub(crate) struct Context<F: Family> {
    pub(crate) family: F,
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) inventory: Inventory<F>,
    pub(crate) memories: Memories,
    pub(crate) store: Store<F::Resource>,
}

impl<F: Family> Context<F> {
    pub(crate) fn now(&self) -> Timestamp {
        (self.settings.clock)()
    }

    pub(crate) fn of_family() -> OfFamily {
        OfFamily { family: F::NAME.to_owned() }
    }

    /// The API of the custom resource within one namespace.
    pub(crate) fn resources(&self, namespace: &str) -> Api<Guard<F::Resource>> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Sends a request that only reads. `act` is how an error tells what was being done.
    pub(crate) async fn read<T>(
        &self,
        act: &str,
        request: impl Future<Output = kube::Result<T>> + Send,
    ) -> Result<T, Error> {
        let limited = timeout(REQUEST_LIMIT, request).await;
        limited.unwrap_or_else(|late| Err(kube::Error::Service(late.into()))).map_err(|error| Error::api(act, error))
    }

    /// Sends a request that writes an object of `kind`.
    pub(crate) async fn write<T>(
        &self,
        kind: &str,
        verb: &str,
        act: &str,
        request: impl Future<Output = kube::Result<T>> + Send,
    ) -> Result<T, Error> {
        let labels = OfWrite { family: F::NAME.to_owned(), kind: kind.to_owned(), verb: verb.to_owned() };
        self.metrics.api_writes.get_or_create(&labels).inc();
        let answer = self.read(act, request).await;
        if answer.is_err() {
            self.metrics.api_write_failures.get_or_create(&labels).inc();
        }
        answer
    }

    /// Sends an event about a resource, once for as long as it is asked for.
    pub(crate) async fn tell(&self, resource: &impl Resource<DynamicType = ()>, event: &Event) {
        let uid = resource.meta().uid.as_deref().unwrap_or_default();
        if !self.memories.news(uid, event.reason, &event.note) {
            return;
        }
        let reporter = (self.settings.controller.as_str(), self.settings.instance.as_str());
        let regarding = resource.object_ref(&());
        if !events::send(&self.client, reporter, regarding, event, self.now()).await {
            self.metrics.events_dropped.get_or_create(&Self::of_family()).inc();
        }
    }
}

/// The key and uid of a resource.
pub(crate) fn identify(resource: &impl Resource) -> (Key, String) {
    (Key::of(resource), resource.meta().uid.clone().unwrap_or_default())
}
