//! The engine itself: what gives a resource a turn, how many are taken at a time, and how it stops. It
//! watches the custom resource and the kinds that the family owns.

use std::{convert::Infallible, future::Future, sync::Arc};

use futures::{
    FutureExt, StreamExt,
    channel::mpsc,
    stream::{self, BoxStream, select_all},
};
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, TypeMeta},
    runtime::{
        Config, applier,
        controller::Action,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info, warn};

use super::{
    cache::Trigger,
    context::{Context, Settings},
    family::Family,
    guard::Guard,
    identity,
    inventory::Inventory,
    memory::Memories,
    turn,
    watch::{Change, Key, bounded, changes, version},
};
use crate::telemetry::{Metrics, Readiness};

/// Looks after the resources of one family.
pub struct Engine<F: Family> {
    context: Arc<Context<F>>,
    readiness: Readiness,
}

type Reference<F> = ObjectRef<Guard<<F as Family>::Resource>>;

/// One of the streams that give turns, and whether what it fills has been filled once.
struct Source<F: Family> {
    references: BoxStream<'static, Reference<F>>,
    synced: watch::Receiver<bool>,
}

impl<F: Family> Engine<F> {
    /// An engine that does nothing yet, made within a tokio runtime. Its caches count for `readiness`
    /// once it runs.
    #[must_use]
    pub fn new(family: F, client: Client, settings: Settings, metrics: Metrics, readiness: Readiness) -> Self {
        let inventory = Inventory::new(&metrics);
        let memories = Memories::default();
        let client = bounded(client);
        let context = Context { family, client, settings, metrics, inventory, memories };
        Self { context: Arc::new(context), readiness }
    }

    /// Looks after the family's resources until `stop` resolves; then no turn is begun any more, and
    /// those that were are given [`Settings::drain`] to end. Dropping the future cuts off every turn at
    /// once. Besides the resources themselves and what they own, `triggers` give turns.
    pub async fn run(self, triggers: Vec<Trigger<F::Resource>>, stop: impl Future<Output = ()> + Send + 'static) {
        let Self { context, readiness } = self;
        let gate = readiness.gate(format!("caches of {}", F::NAME));
        let (resources, store) = resources(&context);
        let mut sources = vec![resources];
        sources.extend((0..context.inventory.kinds.len()).map(|kind| owned(&context, kind)));
        sources.extend(triggers.into_iter().map(guarded));

        let (requests, queue) = mpsc::unbounded();
        let synced: Vec<_> = sources.iter().map(|source| source.synced.clone()).collect();
        let watching = select_all(sources.into_iter().map(|source| source.references)).for_each(move |reference| {
            // Nobody listens only while the engine stops.
            let _ = requests.unbounded_send(reference);
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
            turns(&context, store, queue, stop).await;
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
    store: Store<Guard<F::Resource>>,
    queue: mpsc::UnboundedReceiver<Reference<F>>,
    stop: impl Future<Output = ()> + Clone + Send + 'static,
) {
    let queue = queue.map(Ok::<_, Infallible>).take_until(stop.clone());
    let config = Config::default().concurrency(context.settings.concurrency.max(1));
    let again = context.settings.backoff.safety;
    let begin = |guard, context: Arc<Context<F>>| {
        // A task of its own for each turn: they run side by side, and end with the engine.
        let task = tokio::spawn(turn::take(context, guard).in_current_span());
        let task = AbortOnDropHandle::new(task);
        task.map(move |ended| Ok::<_, Infallible>(ended.unwrap_or_else(|_| Action::requeue(again))))
    };
    let failed = move |_, error: &Infallible, _| match *error {};
    let turning =
        applier(begin, failed, Arc::clone(context), store, queue, config).for_each(|_| std::future::ready(()));
    let deadline = async {
        stop.await;
        let _ = timeout(context.settings.drain, std::future::pending::<()>()).await;
    };
    tokio::select! {
        () = turning => {}
        () = deadline => warn!(family = F::NAME, "Turns that did not end in time are cut off."),
    }
}

/// The custom resources: each gets a turn when it changes, unless the change is the engine's own.
fn resources<F: Family>(context: &Arc<Context<F>>) -> (Source<F>, Store<Guard<F::Resource>>) {
    let mut writer = Writer::new(());
    let store = writer.as_reader();
    // The order of things is kept by `run`; the store itself is always ready.
    writer.apply_watcher_event(&watcher::Event::Init);
    writer.apply_watcher_event(&watcher::Event::InitDone);
    let (ready, synced) = watch::channel(false);
    let apis = context.settings.scope.parts().into_iter().map(|part| {
        let client = context.client.clone();
        let api =
            part.as_deref().map_or_else(|| Api::all(client.clone()), |name| Api::namespaced(client.clone(), name));
        (part, api)
    });
    let name = format!("{}/{}", F::NAME, F::Resource::kind(&()));
    let changes = changes::<Guard<F::Resource>>(apis.collect(), &watcher::Config::default(), &name, &context.metrics);
    let (context, reader) = (Arc::clone(context), store.clone());
    let count = context.metrics.resources.get_or_create_owned(&Context::<F>::of_family());
    let references = changes.flat_map(move |change| {
        let references = match change {
            Change::Applied(resource) => seen(&context, &reader, &mut writer, resource),
            Change::Deleted(resource) => gone(&context, &mut writer, resource),
            Change::Listed { within, keys, complete } => {
                let dropped = |one: &Guard<F::Resource>| Change::<()>::drops(within.as_deref(), &keys, &Key::of(one));
                for one in reader.state_filter(dropped) {
                    gone(&context, &mut writer, Guard::clone(&one));
                }
                if complete {
                    ready.send_replace(true);
                }
                None
            }
        };
        count.set(i64::try_from(reader.len()).unwrap_or(i64::MAX));
        stream::iter(references)
    });
    (Source { references: references.boxed(), synced }, store)
}

/// Remembers a resource; its reference, if it is to have a turn.
fn seen<F: Family>(
    context: &Context<F>,
    reader: &Store<Guard<F::Resource>>,
    writer: &mut Writer<Guard<F::Resource>>,
    mut resource: Guard<F::Resource>,
) -> Option<Reference<F>> {
    resource.meta_mut().managed_fields = None;
    let reference = ObjectRef::from_obj(&resource);
    let before = reader.get(&reference);
    let uid = resource.meta().uid.clone().unwrap_or_default();
    if let Some(before) = &before
        && before.meta().uid.as_ref() != Some(&uid)
    {
        context.memories.forget(before.meta().uid.as_deref().unwrap_or_default());
    }
    let same = before.is_some_and(|before| same_but_for_status(&*before, &resource));
    let echo = same && context.memories.echo(&uid, version(&resource));
    writer.apply_watcher_event(&watcher::Event::Apply(resource));
    (!echo).then_some(reference)
}

/// Whether two states of a resource differ in no more than their status.
fn same_but_for_status(one: &impl Resource, other: &impl Resource) -> bool {
    let (one, other) = (one.meta(), other.meta());
    one.uid == other.uid
        && one.generation == other.generation
        && one.deletion_timestamp == other.deletion_timestamp
        && one.finalizers == other.finalizers
        && one.labels == other.labels
        && one.annotations == other.annotations
}

fn gone<F: Family>(
    context: &Context<F>,
    writer: &mut Writer<Guard<F::Resource>>,
    resource: Guard<F::Resource>,
) -> Option<Reference<F>> {
    context.memories.forget(resource.meta().uid.as_deref().unwrap_or_default());
    let Key { namespace, name } = Key::of(&resource);
    context.family.forget(&ObjectRef::new(&name).within(&namespace));
    writer.apply_watcher_event(&watcher::Event::Delete(resource));
    None
}

/// The objects of one kind that the family owns: the resource gets a turn when one of its own changes.
fn owned<F: Family>(context: &Arc<Context<F>>, kind: usize) -> Source<F> {
    let (ready, synced) = watch::channel(false);
    let resource = context.inventory.kinds[kind].clone();
    let apis = context.settings.scope.parts().into_iter().map(|part| {
        let client = context.client.clone();
        let api: Api<DynamicObject> = match part.as_deref() {
            None => Api::all_with(client, &resource),
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        };
        (part, api)
    });
    let config = watcher::Config::default().labels(&identity::selector(F::NAME));
    let name = format!("{}/{}", F::NAME, resource.kind);
    let changes = changes(apis.collect(), &config, &name, &context.metrics);
    let context = Arc::clone(context);
    let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
    let references = changes.flat_map(move |mut change| {
        if let Change::Applied(object) = &mut change {
            // The items of a list don't say what they are.
            object.types.get_or_insert_with(|| types.clone());
        }
        let owners = context.inventory.take(kind, &change);
        if let Change::Listed { complete: true, .. } = change {
            ready.send_replace(true);
        }
        stream::iter(owners.into_iter().map(|owner| ObjectRef::new(&owner.name).within(&owner.namespace)))
    });
    Source { references: references.boxed(), synced }
}

fn guarded<F: Family>(trigger: Trigger<F::Resource>) -> Source<F>
where
    F::Resource: Resource<DynamicType = ()>,
{
    let Trigger { references, synced } = trigger;
    let references = references.map(|reference| {
        let guarded = ObjectRef::new(&reference.name);
        match reference.namespace {
            Some(namespace) => guarded.within(&namespace),
            None => guarded,
        }
    });
    Source { references: references.boxed(), synced }
}
