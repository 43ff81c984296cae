//! The custom resources as they were seen last. They are packed, and read when their turn comes, since most have
//! none for a long time. Nothing here does I/O; a watch fills it.

use std::{
    collections::{BTreeMap, HashSet},
    marker::PhantomData,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::api::{DynamicObject, ObjectMeta};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    guard::Guard,
    packed::Packed,
    watch::{Change, Key},
};

/// The resources of a family.
#[derive(Debug)]
pub(crate) struct Store<R> {
    known: RwLock<BTreeMap<Key, Packed>>,
    resource: PhantomData<fn() -> R>,
}

/// The part of a resource that every resource has.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<R> Default for Store<R> {
    fn default() -> Self {
        Self { known: RwLock::default(), resource: PhantomData }
    }
}

impl<R: DeserializeOwned> Store<R> {
    /// Takes in how a resource is now; the metadata it had before.
    pub(crate) fn put(&self, key: Key, resource: &DynamicObject) -> Option<ObjectMeta> {
        // Packed outside of the lock.
        let packed = Packed::new(resource);
        let before = self.write().insert(key, packed);
        before.map(|packed| described(&packed))
    }

    /// Forgets a resource; the metadata it had.
    pub(crate) fn remove(&self, key: &Key) -> Option<ObjectMeta> {
        let before = self.write().remove(key);
        before.map(|packed| described(&packed))
    }

    /// A resource as it was seen last.
    pub(crate) fn get(&self, key: &Key) -> Option<Guard<R>> {
        // Read outside of the lock, since a large one takes milliseconds.
        let packed = self.read().get(key).cloned()?;
        Guard::read(&packed.text()).ok()
    }

    /// Those that a listing of `within` did not name.
    pub(crate) fn dropped(&self, within: Option<&str>, keys: &HashSet<Key>) -> Vec<Key> {
        self.read().keys().filter(|key| Change::<()>::drops(within, keys, key)).cloned().collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Packed>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Packed>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn described(packed: &Packed) -> ObjectMeta {
    packed.read().map_or_else(|_| ObjectMeta::default(), |described: Described| described.metadata)
}
