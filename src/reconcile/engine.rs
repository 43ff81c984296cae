//! The engine itself: what gives a resource a turn, how many are taken at a time, and how it stops. It
//! watches the custom resource and the kinds that the family owns.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    channel::mpsc,
    stream::{self, FuturesUnordered, select_all},
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, ObjectMeta, TypeMeta},
    runtime::watcher,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info, warn};

use super::{
    cache::Trigger,
    context::{Context, Settings},
    family::Family,
    identity,
    inventory::Inventory,
    memory::Memories,
    queue::{Queue, at},
    store::Store,
    turn,
    watch::{Change, Key, bounded, changes, version},
};
use crate::telemetry::{Metrics, Readiness};

/// How soon to look again for a kind that the API does not know.
const ABSENT: Duration = Duration::from_secs(10);

/// Looks after the resources of one family.
pub struct Engine<F: Family> {
    context: Arc<Context<F>>,
    readiness: Readiness,
}

impl<F: Family> Engine<F> {
    /// An engine that does nothing yet, made within a tokio runtime. Its caches count for `readiness`
    /// once it runs.
    #[must_use]
    pub fn new(family: F, client: Client, settings: Settings, metrics: Metrics, readiness: Readiness) -> Self {
        let inventory = Inventory::new(&metrics);
        let memories = Memories::default();
        let client = bounded(client);
        let context = Context { family, client, settings, metrics, inventory, memories, store: Store::default() };
        Self { context: Arc::new(context), readiness }
    }

    /// Looks after the family's resources until `stop` resolves; then no turn is begun any more, and
    /// those that were are given [`Settings::drain`] to end. Dropping the future cuts off every turn at
    /// once. Besides the resources themselves and what they own, `triggers` give turns.
    pub async fn run(self, triggers: Vec<Trigger>, stop: impl Future<Output = ()> + Send + 'static) {
        let Self { context, readiness } = self;
        let gate = readiness.gate(format!("caches of {}", F::NAME));
        let mut sources = vec![resources(&context)];
        sources.extend((0..context.inventory.kinds.len()).map(|kind| owned(&context, kind)));
        sources.extend(triggers);

        let (requests, queue) = mpsc::unbounded();
        let synced: Vec<_> = sources.iter().map(|source| source.synced.clone()).collect();
        let watching = select_all(sources.into_iter().map(|source| source.keys)).for_each(move |key| {
            // Nobody listens only while the engine stops.
            let _ = requests.unbounded_send(key);
            std::future::ready(())
        });
        let stop = stop.shared();
        let turning = async {
            let filled = async {
                for mut one in synced {
                    let _ = one.wait_for(|synced| *synced).await;
                }
            };
            tokio::select! {
                () = stop.clone() => return,
                () = filled => {}
            }
            gate.open();
            info!(family = F::NAME, "The caches are filled; turns begin.");
            turns(&context, queue, stop).await;
        };
        tokio::select! {
            () = watching => warn!(family = F::NAME, "Every watch has ended."),
            () = turning => {}
        }
        info!(family = F::NAME, "The engine has stopped.");
    }
}

/// Takes turns until `stop` resolves and those that were begun have ended.
async fn turns<F: Family>(
    context: &Arc<Context<F>>,
    mut requests: mpsc::UnboundedReceiver<Key>,
    stop: impl Future<Output = ()> + Send,
) {
    let (mut queue, mut running) = (Queue::default(), FuturesUnordered::new());
    let most = usize::from(context.settings.concurrency.max(1));
    let mut stop = pin!(stop);
    loop {
        while running.len() < most
            && let Some(key) = queue.take(Instant::now())
        {
            running.push(begin(context, key));
        }
        let due = queue.next().filter(|_| running.len() < most);
        tokio::select! {
            () = &mut stop => break,
            Some(key) = requests.next() => queue.ask(&Arc::new(key), Instant::now()),
            Some((key, again)) = running.next() => queue.ended(&key, Instant::now(), again),
            () = at(due) => {}
        }
    }
    if timeout(context.settings.drain, running.for_each(|_| std::future::ready(()))).await.is_err() {
        warn!(family = F::NAME, "Turns that did not end in time are cut off.");
    }
}

/// Begins a turn, as a task of its own: they run side by side, and end with the engine. When the resource is due
/// again; none when it is gone.
fn begin<F: Family>(
    context: &Arc<Context<F>>,
    key: Arc<Key>,
) -> impl Future<Output = (Arc<Key>, Option<Duration>)> + use<F> {
    let (context, safety) = (Arc::clone(context), context.settings.backoff.safety);
    let of = Arc::clone(&key);
    let turn = async move {
        let resource = context.store.get(&of)?;
        Some(turn::take(&context, &resource).await)
    };
    let task = AbortOnDropHandle::new(tokio::spawn(turn.in_current_span()));
    task.map(move |ended| (key, ended.unwrap_or(Some(safety))))
}

/// The custom resources: each gets a turn when it changes, unless the change is the engine's own.
fn resources<F: Family>(context: &Arc<Context<F>>) -> Trigger {
    let (ready, synced) = watch::channel(false);
    let resource = ApiResource::erase::<F::Resource>(&());
    let apis = context.settings.scope.dynamic(&context.client, &resource);
    let name = format!("{}/{}", F::NAME, resource.kind);
    let changes = changes::<DynamicObject>(apis, &watcher::Config::default(), &name, &context.metrics);
    let context = Arc::clone(context);
    let count = context.metrics.resources.get_or_create_owned(&Context::<F>::of_family());
    let keys = changes.flat_map(move |change| {
        let key = match change {
            Change::Applied(resource) => seen(&context, resource),
            Change::Deleted(resource) => {
                gone(&context, &Key::of(&resource));
                None
            }
            Change::Listed { within, keys, complete } => {
                for key in context.store.dropped(within.as_deref(), &keys) {
                    gone(&context, &key);
                }
                if complete {
                    ready.send_replace(true);
                }
                None
            }
        };
        count.set(i64::try_from(context.store.len()).unwrap_or(i64::MAX));
        stream::iter(key)
    });
    Trigger { keys: keys.boxed(), synced }
}

/// Remembers a resource; its key, if it is to have a turn.
fn seen<F: Family>(context: &Context<F>, mut resource: DynamicObject) -> Option<Key> {
    resource.metadata.managed_fields = None;
    let key = Key::of(&resource);
    let before = context.store.put(key.clone(), &resource);
    let (uid, version) = (resource.metadata.uid.as_deref().unwrap_or_default(), version(&resource));
    if let Some(before) = before.as_ref().and_then(|before| before.uid.as_deref())
        && before != uid
    {
        context.memories.forget(before);
    }
    let same = before.is_some_and(|before| same_but_for_status(&before, &resource.metadata));
    let echo = same && context.memories.echo(uid, version);
    (!echo).then_some(key)
}

/// Whether two states of a resource differ in no more than their status.
fn same_but_for_status(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.uid == other.uid
        && one.generation == other.generation
        && one.deletion_timestamp == other.deletion_timestamp
        && one.finalizers == other.finalizers
        && one.labels == other.labels
        && one.annotations == other.annotations
}

fn gone<F: Family>(context: &Context<F>, key: &Key) {
    if let Some(before) = context.store.remove(key) {
        context.memories.forget(before.uid.as_deref().unwrap_or_default());
    }
    context.family.forget(key);
}

/// Waits until the API knows a kind that it may not know, and lets it be listed: roles of an older version don't.
/// `ready` is told at once that nobody need wait for it. Whatever else goes wrong is for the watch to tell.
async fn known(api: Option<Api<DynamicObject>>, ready: watch::Sender<bool>) {
    let Some(api) = api else { return };
    while let Err(kube::Error::Api(status)) = api.list_metadata(&ListParams::default().limit(1)).await
        && (status.code == 404 || status.code == 403)
    {
        ready.send_replace(true);
        sleep(ABSENT).await;
    }
}

/// The objects of one kind that the family owns: the resource gets a turn when one of its own changes.
fn owned<F: Family>(context: &Arc<Context<F>>, kind: usize) -> Trigger {
    let (ready, synced) = watch::channel(false);
    let resource = context.inventory.kinds[kind].clone();
    let apis = context.settings.scope.dynamic(&context.client, &resource);
    let config = watcher::Config::default().labels(&identity::selector(F::NAME));
    let name = format!("{}/{}", F::NAME, resource.kind);
    let first = apis.first().filter(|_| F::may_be_absent(&resource)).map(|(_, api)| api.clone());
    let changes = changes(apis, &config, &name, &context.metrics);
    let changes = known(first, ready.clone()).map(|()| changes).flatten_stream();
    let context = Arc::clone(context);
    let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
    let keys = changes.flat_map(move |mut change| {
        if let Change::Applied(object) = &mut change {
            // The items of a list don't say what they are.
            object.types.get_or_insert_with(|| types.clone());
        }
        let owners = context.inventory.take(kind, &change);
        if let Change::Listed { complete: true, .. } = change {
            ready.send_replace(true);
        }
        stream::iter(owners)
    });
    Trigger { keys: keys.boxed(), synced }
}
