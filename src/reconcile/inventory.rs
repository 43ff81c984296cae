//! What is known of the objects that a family owns: the little that decides whether to apply or prune
//! them, and the family's fact. Nothing here does I/O; watches and the answers to writes fill it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::api::{ApiResource, DynamicObject};
use prometheus_client::metrics::gauge::Gauge;

use super::{
    family::{Family, Owned},
    fingerprint::Fingerprint,
    identity::{self, Controller, KEEP},
    watch::{Change, Key, version},
};
use crate::telemetry::{Metrics, metrics::OfKind};

/// What is remembered of one object.
#[derive(Clone, Debug)]
pub(crate) struct Entry<Fact> {
    pub(crate) uid: Box<str>,
    pub(crate) version: u64,
    /// Who controls it, if anybody; all that one controls share it.
    pub(crate) controller: Option<Arc<Controller>>,
    /// The resource it belongs to by its label; empty where a controller decides.
    pub(crate) instance: Box<str>,
    pub(crate) deleting: bool,
    /// Whether it is never pruned.
    pub(crate) keep: bool,
    live: Option<Fingerprint>,
    /// What was asked for and what the server made of it, where these differ.
    settled: Option<Box<(Fingerprint, Fingerprint)>>,
    fact: Arc<Fact>,
}

impl<Fact> Entry<Fact> {
    /// Whether the object is as `desired` already.
    pub(crate) fn is(&self, desired: Fingerprint) -> bool {
        let Some(live) = self.live else { return false };
        live == desired || self.settled.as_deref() == Some(&(desired, live))
    }

    /// The name of the resource that the object belongs to.
    fn owner(&self) -> &str {
        self.controller.as_ref().map_or(&self.instance, |controller| &controller.name)
    }
}

/// A kind's place in [`Family::owns`], and an object of it.
pub(crate) type Place = (usize, Key);

/// What is known of the objects that a family owns.
pub(crate) struct Inventory<F: Family> {
    pub(crate) kinds: Vec<ApiResource>,
    counts: Vec<Gauge>,
    known: RwLock<Known<F::Fact>>,
}

struct Known<Fact> {
    // Trees, since a table is up to twice as large as what is in it.
    entries: BTreeMap<Arc<Place>, Box<Entry<Fact>>>,
    /// Places by the resource that they belong to, as [`indexed`], in their order. They are few.
    owners: BTreeMap<Key, Box<[Arc<Place>]>>,
}

impl<F: Family> Inventory<F> {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let kinds = F::owns();
        let counts = kinds.iter().map(|kind| {
            let labels = OfKind { family: F::NAME.to_owned(), kind: kind.kind.clone() };
            metrics.inventory_objects.get_or_create_owned(&labels)
        });
        let known = Known { entries: BTreeMap::new(), owners: BTreeMap::new() };
        Self { counts: counts.collect(), known: RwLock::new(known), kinds }
    }

    /// The place of a kind among those that are owned.
    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        self.kinds.iter().position(|own| own.kind == kind && own.api_version == api_version)
    }

    pub(crate) fn get(&self, place: &Place) -> Option<Entry<F::Fact>> {
        self.read().entries.get(place).map(|entry| Entry::clone(entry))
    }

    /// All that belongs to a resource by controller or, where nobody controls it, by label.
    pub(crate) fn of(&self, owner: &Key, uid: &str) -> Vec<(Place, Entry<F::Fact>)> {
        let known = self.read();
        let places = known.owners.get(&indexed(owner)).into_iter().flatten();
        places
            .filter_map(|place| Some((Place::clone(place), Entry::clone(known.entries.get(place)?))))
            .filter(|(_, entry)| entry.controller.as_ref().is_none_or(|controller| controller.uid == uid))
            .collect()
    }

    /// As [`Self::of`], for the family.
    pub(crate) fn facts(&self, owner: &Key, uid: &str) -> Vec<Owned<F::Fact>> {
        let facts = self.of(owner, uid).into_iter().map(|((kind, key), entry)| Owned {
            kind: self.kinds[kind].kind.clone(),
            name: key.name().to_owned(),
            deleting: entry.deleting,
            controlled: entry.controller.is_some(),
            fact: entry.fact,
        });
        facts.collect()
    }

    /// Takes in what a watch of `kind` says; the resources that it concerns.
    pub(crate) fn take(&self, kind: usize, change: &Change<DynamicObject>) -> Vec<Key> {
        match change {
            Change::Applied(object) => self.put(kind, object, None),
            Change::Deleted(object) => {
                let place = (kind, Key::of(object));
                let mut known = self.write();
                let newer = known.entries.get(&place).is_some_and(|entry| entry.version > version(object));
                if newer { vec![] } else { self.drop_place(&mut known, &place).into_iter().collect() }
            }
            Change::Listed { within, keys, .. } => self.listed(kind, within.as_deref(), keys),
        }
    }

    /// Takes in the answer to an apply of what has the fingerprint `desired`.
    pub(crate) fn written(&self, kind: usize, object: &DynamicObject, desired: Fingerprint) {
        self.put(kind, object, Some(desired));
    }

    /// Notes that an object was asked to go.
    pub(crate) fn deleted(&self, place: &Place) {
        if let Some(entry) = self.write().entries.get_mut(place) {
            entry.deleting = true;
        }
    }

    /// Forgets an object that turned out not to be there.
    pub(crate) fn forget(&self, place: &Place) {
        self.drop_place(&mut self.write(), place);
    }

    fn put(&self, kind: usize, object: &DynamicObject, desired: Option<Fingerprint>) -> Vec<Key> {
        let place = (kind, Key::of(object));
        let mut known = self.write();
        let live = Fingerprint::live(object);
        let mut settled = desired.zip(live).map(Box::new);
        if let Some(before) = known.entries.get_mut(&place) {
            if before.version > version(object) || before.version == version(object) && desired.is_none() {
                before.settled = settled.or(before.settled.take());
                return vec![];
            }
            settled = settled.or(before.settled.take());
        }
        let controller = identity::controller(&object.metadata).map(|controller| known.shared(&place.1, controller));
        let entry = Entry {
            uid: object.metadata.uid.as_deref().unwrap_or_default().into(),
            version: version(object),
            instance: if controller.is_none() { identity::instance(&object.metadata).into() } else { Box::default() },
            controller,
            deleting: object.metadata.deletion_timestamp.is_some(),
            keep: identity::label(&object.metadata, KEEP) == "true",
            live,
            settled,
            fact: Arc::new(F::fact(object)),
        };
        let owner = Key::new(place.1.namespace(), entry.owner());
        let before = self.drop_place(&mut known, &place);
        let place = Arc::new(place);
        let places = known.owners.entry(indexed(&owner)).or_default();
        let mut more = std::mem::take(places).into_vec();
        if let Err(position) = more.binary_search(&place) {
            more.reserve_exact(1);
            more.insert(position, Arc::clone(&place));
        }
        *places = more.into();
        known.entries.insert(place, Box::new(entry));
        self.counts[kind].inc();
        let moved = before.filter(|before| *before != owner);
        std::iter::once(owner).chain(moved).collect()
    }

    fn listed(&self, kind: usize, within: Option<&str>, keys: &HashSet<Key>) -> Vec<Key> {
        let mut known = self.write();
        let dropped = |place: &&Place| place.0 == kind && Change::<DynamicObject>::drops(within, keys, &place.1);
        let dropped: Vec<Place> = known.entries.keys().map(|place| &**place).filter(dropped).cloned().collect();
        dropped.iter().filter_map(|place| self.drop_place(&mut known, place)).collect()
    }

    /// Forgets a place; the resource that it belonged to.
    fn drop_place(&self, known: &mut Known<F::Fact>, place: &Place) -> Option<Key> {
        let entry = known.entries.remove(place)?;
        self.counts[place.0].dec();
        let owner = Key::new(place.1.namespace(), entry.owner());
        let index = indexed(&owner);
        if let Some(places) = known.owners.get_mut(&index) {
            let mut fewer = std::mem::take(places).into_vec();
            fewer.retain(|one| **one != *place);
            if fewer.is_empty() {
                known.owners.remove(&index);
            } else {
                *places = fewer.into();
            }
        }
        Some(owner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known<F::Fact>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known<F::Fact>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Fact> Known<Fact> {
    /// `controller` as another object in the namespace of `near` already names it, so that it is kept once.
    fn shared(&self, near: &Key, controller: Controller) -> Arc<Controller> {
        let owner = Key::new(near.namespace(), &controller.name);
        let places = self.owners.get(&indexed(&owner)).into_iter().flatten();
        let known = places.filter_map(|place| self.entries.get(place)?.controller.as_ref());
        let same = known.into_iter().find(|known| ***known == controller).map(Arc::clone);
        same.unwrap_or_else(|| Arc::new(controller))
    }
}

/// A resource as the index knows it: by the label of its name, since that may be all that an object says.
fn indexed(owner: &Key) -> Key {
    Key::new(owner.namespace(), &identity::instance_label(owner.name()))
}
