//! How planned objects become real: those that differ are applied, in order, and those that are no longer
//! planned are pruned. It writes the kinds that the family owns, and nothing that belongs to others.

use std::collections::HashSet;

use kube::{
    Api, Resource,
    api::{DeleteParams, DynamicObject, ObjectMeta, PartialObjectMeta, Patch, PatchParams, Preconditions},
};
use tracing::info;

use super::{
    MANAGER,
    context::{Context, identify},
    error::Error,
    family::{Family, Owned, Retained},
    fingerprint::Fingerprint,
    identity::{self, Controller, Marks, Standing},
    inventory::{Entry, Place},
    watch::Key,
};

/// Makes the resource's objects what is planned. Where an object of a planned name is still on its way
/// out, the rest is applied and nothing is pruned; its end gives the resource another turn.
pub(crate) async fn execute<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    objects: Vec<DynamicObject>,
    seen: &[Owned<F::Fact>],
    retained: &Retained,
) -> Result<(), Error> {
    let mut planned = HashSet::new();
    let mut leaving = false;
    for mut object in objects {
        identity::stamp::<F>(resource, &mut object);
        let place = place(context, &object)?;
        leaving |= apply(context, resource, &place, &object).await? == Applied::Leaving;
        planned.insert(place);
    }
    if leaving || resource.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    prune(context, resource, &planned, seen, retained).await
}

/// What came of a planned object.
#[derive(PartialEq)]
enum Applied {
    /// It is as planned.
    Done,
    /// An object of its name is being deleted.
    Leaving,
}

fn place<F: Family>(context: &Context<F>, object: &DynamicObject) -> Result<Place, Error> {
    let types = object.types.clone().unwrap_or_default();
    let key = Key::of(object);
    match context.inventory.kind(&types.api_version, &types.kind) {
        Some(kind) if !key.name().is_empty() => Ok((kind, key)),
        _ => Err(Error::Unplannable(format!("{} {} {:?}", types.api_version, types.kind, key.name()))),
    }
}

async fn apply<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    place: &Place,
    object: &DynamicObject,
) -> Result<Applied, Error> {
    let (kind, key) = place;
    let (namespace, name) = (key.namespace(), key.name());
    let kind = &context.inventory.kinds[*kind];
    let desired = Fingerprint::desired(object);
    let (standing, deleting) = match context.inventory.get(place) {
        Some(entry) => {
            let standing = of_entry::<F>(resource, &entry);
            if standing == Standing::Ours && !entry.deleting && entry.is(desired) {
                return Ok(Applied::Done);
            }
            (standing, entry.deleting)
        }
        None => look(context, resource, place).await?,
    };
    if let Standing::Foreign(whose) = standing {
        return Err(Error::NameTaken { kind: kind.kind.clone(), name: name.to_owned(), whose });
    }
    if deleting {
        return Ok(Applied::Leaving);
    }
    let uid = resource.meta().uid.as_deref().unwrap_or_default();
    if let Some((times, wait)) = context.memories.contested(uid, place, desired) {
        return Err(Error::Contested { kind: kind.kind.clone(), name: name.to_owned(), times, wait });
    }
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, kind);
    let act = format!("apply {} {name}", kind.kind);
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(object);
    let request = api.patch(name, &parameters, &patch);
    let answer = context.write(&kind.kind, "apply", &act, request).await?;
    info!(kind = kind.kind, object = name, "Applied what differed.");
    context.memories.applied(uid, place, desired);
    context.inventory.written(place.0, &answer, desired);
    Ok(Applied::Done)
}

fn of_entry<F: Family>(resource: &F::Resource, entry: &Entry<F::Fact>) -> Standing {
    // The watch finds only what has our labels.
    let marks =
        Marks { controller: entry.controller.as_deref(), manager: MANAGER, family: F::NAME, instance: &entry.instance };
    identity::standing::<F>(resource, marks)
}

/// Asks the API about a name that the inventory does not know: there may be an object that is not ours,
/// or one of ours that a watch has yet to tell.
async fn look<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    place: &Place,
) -> Result<(Standing, bool), Error> {
    let (kind, key) = place;
    let (namespace, name) = (key.namespace(), key.name());
    let kind = &context.inventory.kinds[*kind];
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, kind);
    let act = format!("look for {} {name}", kind.kind);
    let found: Option<PartialObjectMeta<DynamicObject>> = context.read(&act, api.get_metadata_opt(name)).await?;
    let Some(PartialObjectMeta { metadata, .. }) = found else { return Ok((Standing::Ours, false)) };
    let controller = identity::controller(&metadata);
    let standing = identity::standing::<F>(resource, marks(&metadata, controller.as_ref()));
    Ok((standing, metadata.deletion_timestamp.is_some()))
}

fn marks<'a>(metadata: &'a ObjectMeta, controller: Option<&'a Controller>) -> Marks<'a> {
    Marks {
        controller,
        manager: identity::label(metadata, identity::MANAGED_BY),
        family: identity::label(metadata, identity::FAMILY),
        instance: identity::instance(metadata),
    }
}

/// Deletes what the resource controls and is not planned, unless it is to be kept. What the plan was made
/// without having seen it stays as well: it may be planned in the next turn.
async fn prune<F: Family>(
    context: &Context<F>,
    resource: &F::Resource,
    planned: &HashSet<Place>,
    seen: &[Owned<F::Fact>],
    retained: &Retained,
) -> Result<(), Error> {
    let (owner, uid) = identify(resource);
    for (place, entry) in context.inventory.of(&owner, &uid) {
        let controlled = entry.controller.is_some();
        let kind = &context.inventory.kinds[place.0].kind;
        let unseen = !seen.iter().any(|one| one.kind == *kind && one.name == place.1.name());
        let stays = unseen || planned.contains(&place) || entry.keep || retained.holds(kind, place.1.name());
        if controlled && !stays && !entry.deleting {
            delete(context, &place, &entry).await?;
        }
    }
    Ok(())
}

/// Deletes one object, unless it is no longer the one that was seen.
async fn delete<F: Family>(context: &Context<F>, place: &Place, entry: &Entry<F::Fact>) -> Result<(), Error> {
    let (kind, key) = place;
    let (namespace, name) = (key.namespace(), key.name());
    let kind = &context.inventory.kinds[*kind];
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, kind);
    let seen = Preconditions { uid: Some(entry.uid.to_string()), resource_version: Some(entry.version.to_string()) };
    let parameters = DeleteParams::background().preconditions(seen);
    let act = format!("delete {} {name}", kind.kind);
    match context.write(&kind.kind, "delete", &act, api.delete(name, &parameters)).await {
        Ok(_) => context.inventory.deleted(place),
        Err(Error::Api { source: kube::Error::Api(status), .. }) if status.is_not_found() => {
            context.inventory.forget(place);
        }
        Err(error) => return Err(error),
    }
    info!(kind = kind.kind, object = name, resource = owner_name(entry), "Deleted what is no longer planned.");
    Ok(())
}

fn owner_name<Fact>(entry: &Entry<Fact>) -> &str {
    entry.controller.as_ref().map_or("", |controller| &controller.name)
}
