//! One turn of one resource: observe, plan, execute, and say what came of it. It writes the resource's
//! status, finalizers and events, and through `objects` what it owns.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, stream};
use kube::{
    Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{Instrument, debug, info, info_span, warn};

use super::{
    MANAGER, PATIENCE,
    conditions::{self, ACCEPTED, RECONCILED, condition},
    context::{Context, identify},
    error::Error,
    family::{Effect, Event, Family, Finalizer, Plan, Status},
    guard::{Guard, Unreadable},
    identity, objects, status,
    watch::{named, version},
};
use crate::telemetry::metrics::{OfEffect, OfTurn};

/// How long a turn waits for the cache to show what was written last.
const STALE_WAIT: Duration = Duration::from_secs(2);
/// How many effects of one resource are performed at a time.
const EFFECTS_AT_A_TIME: usize = 8;
/// How often a turn observes what its effects have changed, before it leaves the rest to another turn.
const ROUNDS: usize = 3;

/// What a turn came to.
struct Outcome {
    /// For the metric.
    result: &'static str,
    again: Duration,
}

/// What a round came to: as much of the plan as its report needs, and the first error.
struct Round<S> {
    planned: Option<Planned<S>>,
    result: Result<(), Error>,
    /// Whether effects were performed, so that what was observed is no longer all there is to see.
    acted: bool,
}

/// What of a plan its report needs.
struct Planned<S> {
    status: S,
    events: Vec<Event>,
    finalizer: Finalizer,
    again: Duration,
}

/// Takes a turn, counts it and traces it; after how long the next is due if nothing changes.
pub(crate) async fn take<F: Family>(context: &Context<F>, guard: &Guard<F::Resource>) -> Duration {
    let family = Context::<F>::of_family();
    let in_flight = context.metrics.turns_in_flight.get_or_create_owned(&family);
    let span = info_span!("turn", family = F::NAME, resource = named(guard));
    let begun = Instant::now();
    in_flight.inc();
    let counted = scopeguard(move || {
        in_flight.dec();
    });
    let outcome = judge(context, guard).instrument(span).await;
    drop(counted);
    context.metrics.turn_duration.get_or_create(&family).observe(begun.elapsed().as_secs_f64());
    let labels = OfTurn { family: F::NAME.to_owned(), result: outcome.result.to_owned() };
    context.metrics.turns.get_or_create(&labels).inc();
    outcome.again
}

/// Runs `act` when it is dropped, which is also when a turn is cut off.
fn scopeguard(act: impl FnOnce()) -> impl Drop {
    struct Guarded<A: FnOnce()>(Option<A>);
    impl<A: FnOnce()> Drop for Guarded<A> {
        fn drop(&mut self) {
            if let Some(act) = self.0.take() {
                act();
            }
        }
    }
    Guarded(Some(act))
}

async fn judge<F: Family>(context: &Context<F>, guard: &Guard<F::Resource>) -> Outcome {
    let uid = guard.uid().unwrap_or_default();
    if context.memories.stale(&uid, version(guard)) {
        debug!("The cache has yet to show what was written last.");
        return Outcome { result: "Waited", again: STALE_WAIT };
    }
    let (label, again, result) = match &guard.0 {
        Ok(resource) => {
            let (again, result) = turn(context, guard, resource).await;
            (None, again, result)
        }
        Err(unreadable) => {
            let safety = context.settings.backoff.safety;
            (Some("Unparsable"), safety, refuse(context, guard, unreadable).await)
        }
    };
    match result {
        Ok(()) => {
            context.memories.succeeded(&uid);
            Outcome { result: label.unwrap_or("Succeeded"), again }
        }
        Err(error) if error.namespace_terminates() => {
            debug!(%error, "The namespace is being deleted: what is missing in it stays away.");
            Outcome { result: "Waited", again: context.settings.backoff.wait(error.retry(), 0) }
        }
        Err(error) => {
            let failures = context.memories.failed(&uid);
            let wait = context.settings.backoff.wait(error.retry(), failures);
            warn!(reason = error.reason(), %error, failures, ?wait, "A turn failed.");
            let note = conditions::bounded(&error.to_string(), conditions::MESSAGE_LIMIT);
            context.tell(guard, &Event { reason: error.reason(), warning: true, note }).await;
            Outcome { result: error.reason(), again: wait }
        }
    }
}

/// A turn of a resource that can be read: when to look again, and the first error. What effects have
/// changed is observed in the same turn, so that the status is written once, when it is known what came of
/// them.
async fn turn<F: Family>(
    context: &Context<F>,
    guard: &Guard<F::Resource>,
    resource: &F::Resource,
) -> (Duration, Result<(), Error>) {
    let mut performed = vec![];
    let mut round = caught_round(context, resource, &mut performed).await;
    for _ in 1..ROUNDS {
        if !round.acted || round.result.is_err() {
            break;
        }
        round = caught_round(context, resource, &mut performed).await;
    }
    let Round { planned, mut result, .. } = round;
    let (planned, events, finalizer, again) = match planned {
        Some(Planned { status, events, finalizer, again }) => (Some(status), events, finalizer, again),
        None => (None, vec![], Finalizer::Held, context.settings.backoff.safety),
    };
    for event in &events {
        context.tell(resource, event).await;
    }
    let known = F::status(resource);
    let status = status::compose(planned, known, result.as_ref().copied(), resource.meta().generation, context.now());
    let from = serde_json::to_value(known).unwrap_or_default();
    let to = serde_json::to_value(&status).unwrap_or_default();
    result = result.and(write_status(context, guard, &from, &to).await);
    if result.is_ok() && finalizer == Finalizer::Released {
        result = set_finalizer(context, resource, finalizer).await;
    }
    (again, result)
}

async fn caught_round<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    performed: &mut Vec<F::Effect>,
) -> Round<F::Status> {
    let caught = AssertUnwindSafe(round(context, resource, performed)).catch_unwind().await;
    caught.unwrap_or_else(|panic| Round { planned: None, result: Err(Error::Panicked(told(&*panic))), acted: false })
}

/// Observes, plans and executes. What was `performed` in this turn already is not performed again.
async fn round<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    performed: &mut Vec<F::Effect>,
) -> Round<F::Status> {
    let (key, uid) = identify(resource);
    let owned = context.inventory.facts(&key, &uid);
    let reading = within("observe", context.family.observe(resource, &owned)).instrument(info_span!("observe"));
    let failed = |error| Round { planned: None, result: Err(error), acted: false };
    let world = match reading.await {
        Ok(Ok(world)) => world,
        Ok(Err(error)) => return failed(Error::Observe(Box::new(error))),
        Err(late) => return failed(late),
    };
    let plan = info_span!("plan").in_scope(|| F::plan(resource, &world, context.now()));
    let Plan { finalizer, objects, retained, mut effects, events, status, again } = plan;
    effects.retain(|effect| !performed.contains(effect));
    let executing = async {
        // In a later round of the turn it is held already.
        let first = performed.is_empty();
        if first && finalizer == Finalizer::Held && resource.meta().deletion_timestamp.is_none() {
            set_finalizer(context, resource, finalizer).await?;
        }
        objects::execute(context, resource, objects, &owned, &retained).await?;
        perform(context, resource, &effects).await
    };
    let result = executing.instrument(info_span!("execute")).await;
    let acted = !effects.is_empty();
    performed.append(&mut effects);
    Round { planned: Some(Planned { status, events, finalizer, again }), result, acted }
}

/// Performs effects, some at a time; that one fails keeps none of the others from being performed.
async fn perform<F: Family>(context: &Context<F>, resource: &F::Resource, effects: &[F::Effect]) -> Result<(), Error> {
    let mut acts = Vec::with_capacity(effects.len());
    for effect in effects {
        acts.push(perform_one(context, resource, effect));
    }
    let results: Vec<_> = stream::iter(acts).buffered(EFFECTS_AT_A_TIME).collect().await;
    results.into_iter().collect()
}

async fn perform_one<F: Family>(context: &Context<F>, resource: &F::Resource, effect: &F::Effect) -> Result<(), Error> {
    let (name, why) = (effect.name(), effect.why());
    let span = info_span!("effect", name, why);
    let result = match within(name, context.family.perform(resource, effect)).instrument(span).await {
        Ok(done) => done.map_err(|error| Error::Effect { name, why: why.clone(), cause: Box::new(error) }),
        Err(late) => Err(late),
    };
    let word = result.as_ref().map_or_else(Error::reason, |()| "Succeeded");
    let labels = OfEffect { family: F::NAME.to_owned(), name: name.to_owned(), result: word.to_owned() };
    context.metrics.effects.get_or_create(&labels).inc();
    if result.is_ok() {
        info!(effect = name, why, "Performed an effect.");
        if !effect.routine() {
            context.tell(resource, &Event { reason: name, warning: false, note: why }).await;
        }
    }
    result
}

/// Bounds what a family does.
async fn within<T>(what: &'static str, act: impl Future<Output = T>) -> Result<T, Error> {
    timeout(PATIENCE, act).await.map_err(|_| Error::Late(what))
}

/// A resource that cannot be read says so itself; nothing else of it is touched.
async fn refuse<F: Family>(
    context: &Context<F>,
    guard: &Guard<F::Resource>,
    unreadable: &Unreadable,
) -> Result<(), Error> {
    let known: Option<F::Status> = serde_json::from_value(unreadable.status.clone()).ok();
    let mut status = known.unwrap_or_default();
    let message = format!("The resource cannot be read: {}", unreadable.error);
    for type_ in [ACCEPTED, RECONCILED] {
        let generation = unreadable.metadata.generation;
        let unparsable = condition(type_, false, "Unparsable", &message, generation, context.now());
        conditions::set(status.conditions(), unparsable);
    }
    let to = serde_json::to_value(&status).unwrap_or_default();
    context.tell(guard, &Event { reason: "Unparsable", warning: true, note: message }).await;
    write_status(context, guard, &unreadable.status, &to).await
}

/// Writes what differs of the status. A resource that is gone needs none.
async fn write_status<F: Family>(
    context: &Context<F>,
    guard: &Guard<F::Resource>,
    from: &Value,
    to: &Value,
) -> Result<(), Error> {
    let Some(difference) = status::difference(from, to) else { return Ok(()) };
    let (key, uid) = identify(guard);
    let api = context.resources(key.namespace());
    let patch = Patch::Merge(json!({ "metadata": { "uid": uid }, "status": difference }));
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let request = api.patch_status(key.name(), &parameters, &patch);
    let answer = context.write(&F::Resource::kind(&()), "patch_status", "write the status", request).await;
    note_write(context, &uid, answer)
}

/// Adds or takes away the family's finalizer, if that is not done yet. The patch is refused if anybody
/// has changed the finalizers meanwhile, so that those of others are never lost.
async fn set_finalizer<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    wanted: Finalizer,
) -> Result<(), Error> {
    let ours = identity::finalizer(F::NAME);
    let known = resource.finalizers();
    let held = known.contains(&ours);
    let (finalizers, act): (Vec<&String>, _) = match wanted {
        Finalizer::Held if !held => (known.iter().chain([&ours]).collect(), "add the finalizer"),
        Finalizer::Released if held => (known.iter().filter(|one| **one != ours).collect(), "take away the finalizer"),
        Finalizer::Held | Finalizer::Released => return Ok(()),
    };
    let (key, uid) = identify(resource);
    let place = "/metadata/finalizers";
    let seen = if known.is_empty() { Value::Null } else { json!(known) };
    let change = if finalizers.is_empty() {
        json!({"op": "remove", "path": place})
    } else {
        json!({"op": "add", "path": place, "value": finalizers})
    };
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": place, "value": seen},
        change,
    ]);
    let operations = serde_json::from_value(operations).map_err(|error| Error::Unplannable(error.to_string()))?;
    let change: Patch<()> = Patch::Json(operations);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let api = context.resources(key.namespace());
    let request = api.patch(key.name(), &parameters, &change);
    let answer = context.write(&F::Resource::kind(&()), "patch_finalizers", act, request).await;
    note_write(context, &uid, answer)
}

fn note_write<F: Family>(
    context: &Context<F>,
    uid: &str,
    answer: Result<Guard<F::Resource>, Error>,
) -> Result<(), Error> {
    match answer {
        Ok(written) => {
            context.memories.wrote(uid, version(&written));
            Ok(())
        }
        Err(Error::Api { source: kube::Error::Api(status), .. }) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a panic said.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
