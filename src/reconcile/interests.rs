//! Which resources a change elsewhere is for, so that it costs the same in a fleet of ten thousand as in a fleet of one.
//! `I` is what a family's resources name. Nothing here does I/O.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::watch::Key;

/// Who is interested in what.
#[derive(Debug)]
pub struct Interests<I>(Mutex<Known<I>>);

#[derive(Debug)]
struct Known<I> {
    by_resource: HashMap<Arc<Key>, Box<[I]>>,
    by_interest: HashMap<I, HashSet<Arc<Key>>>,
}

impl<I> Default for Interests<I> {
    fn default() -> Self {
        Self(Mutex::new(Known { by_resource: HashMap::new(), by_interest: HashMap::new() }))
    }
}

impl<I: Clone + Eq + Hash + Send + 'static> Interests<I> {
    /// Notes all that a resource is interested in from now on; that in which nobody is any more.
    pub fn set(&self, resource: &Key, interests: Vec<I>) -> Vec<I> {
        let mut known = self.lock();
        if known.by_resource.get(resource).is_some_and(|before| **before == *interests) {
            return vec![];
        }
        let mut unwanted = known.remove(resource);
        let resource = Arc::new(resource.clone());
        for interest in &interests {
            known.by_interest.entry(interest.clone()).or_default().insert(Arc::clone(&resource));
        }
        unwanted.retain(|interest| !known.by_interest.contains_key(interest));
        if !interests.is_empty() {
            known.by_resource.insert(resource, interests.into());
        }
        unwanted
    }

    /// The resources that are interested.
    #[must_use]
    pub fn of(&self, interest: &I) -> Vec<Key> {
        let known = self.lock();
        known.by_interest.get(interest).into_iter().flatten().map(|resource| Key::clone(resource)).collect()
    }

    /// Those that are interested in an object, by its key, for as long as somebody asks.
    pub fn affected(self: &Arc<Self>, interest: fn(Key) -> I) -> impl Fn(&Key) -> Vec<Key> + Send + use<I> {
        let interests = Arc::clone(self);
        move |key| interests.of(&interest(key.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Known<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Clone + Eq + Hash> Known<I> {
    /// Removes a resource; that in which nobody is interested any more.
    fn remove(&mut self, resource: &Key) -> Vec<I> {
        let mut unwanted = self.by_resource.remove(resource).unwrap_or_default().into_vec();
        unwanted.retain(|interest| {
            let Some(interested) = self.by_interest.get_mut(interest) else { return false };
            interested.remove(resource);
            let nobody = interested.is_empty();
            if nobody {
                self.by_interest.remove(interest);
            }
            nobody
        });
        unwanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    enum Interest {
        Class(String),
        Secret(Key),
        Service(Key),
    }

    fn key(name: &str) -> Key {
        Key::new("customer", name)
    }

    #[test]
    fn a_change_is_for_those_who_are_interested_now() {
        let interests = Interests::<Interest>::default();
        let (shop, blog) = (key("shop"), key("blog"));
        let secret = Interest::Secret(key("tls"));
        interests.set(&shop, vec![secret.clone(), Interest::Class("gold".to_owned())]);
        interests.set(&blog, vec![secret.clone()]);
        assert_eq!(interests.of(&secret).len(), 2);
        assert_eq!(interests.of(&Interest::Service(key("tls"))), []);
        assert_eq!(interests.set(&shop, vec![]), [Interest::Class("gold".to_owned())]);
        assert_eq!(interests.of(&secret), std::slice::from_ref(&blog));
        assert_eq!(interests.set(&blog, vec![secret.clone(), secret.clone()]), [], "it is wanted as before");
        assert_eq!(interests.set(&blog, vec![]), std::slice::from_ref(&secret));
        assert_eq!(interests.of(&secret), []);
    }
}
