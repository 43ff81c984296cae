//! Which load balancers a change elsewhere is for, so that it costs the same in a fleet of ten thousand
//! as in a fleet of one. Nothing here does I/O.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use crate::reconcile::Key;

/// Something in the cluster that a load balancer names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Interest {
    /// A class.
    Class(String),
    /// A Secret with a certificate.
    Secret(Key),
    /// A `ConfigMap` with certificates of authorities.
    ConfigMap(Key),
    /// A Service.
    Service(Key),
    /// The pods of a namespace that a selector matches; its text is the name.
    Pods(Key),
}

/// Who is interested in what.
#[derive(Debug, Default)]
pub(super) struct Interests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_resource: HashMap<Arc<Key>, Box<[Interest]>>,
    by_interest: HashMap<Interest, HashSet<Arc<Key>>>,
}

impl Interests {
    /// Notes all that a load balancer is interested in from now on; that in which nobody is any more.
    pub(super) fn set(&self, resource: &Key, interests: Vec<Interest>) -> Vec<Interest> {
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

    /// The load balancers that are interested.
    pub(super) fn of(&self, interest: &Interest) -> Vec<Key> {
        let known = self.lock();
        known.by_interest.get(interest).into_iter().flatten().map(|resource| Key::clone(resource)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Removes a load balancer; that in which nobody is interested any more.
    fn remove(&mut self, resource: &Key) -> Vec<Interest> {
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

/// The names of objects by what they belong to: pods by load balancer, endpoint slices by Service. Few belong to one.
#[derive(Debug, Default)]
pub(super) struct Groups(RwLock<BTreeMap<Key, Box<[Box<str>]>>>);

impl Groups {
    /// Moves an object from one group to another, where it is in one.
    pub(super) fn moved(&self, namespace: &str, name: &str, from: Option<&str>, to: Option<&str>) {
        if from == to {
            return;
        }
        let mut groups = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let key = |group: &str| Key::new(namespace, group);
        for (group, stays) in [(from, false), (to, true)] {
            let Some(group) = group.map(key) else { continue };
            let mut names = groups.remove(&group).unwrap_or_default().into_vec();
            names.retain(|one| **one != *name);
            if stays {
                names.push(name.into());
                names.sort_unstable();
            }
            if !names.is_empty() {
                groups.insert(group, names.into());
            }
        }
    }

    /// The names of a group's objects, in their order.
    pub(super) fn of(&self, namespace: &str, group: &str) -> Vec<String> {
        let key = Key::new(namespace, group);
        let groups = self.0.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(&key).into_iter().flatten().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("customer", name)
    }

    #[test]
    fn a_change_is_for_those_who_are_interested_now() {
        let interests = Interests::default();
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

    #[test]
    fn a_group_holds_what_is_in_it_now() {
        let groups = Groups::default();
        groups.moved("customer", "pod-a", None, Some("shop"));
        groups.moved("customer", "pod-b", None, Some("shop"));
        groups.moved("customer", "pod-a", Some("shop"), Some("blog"));
        assert_eq!(groups.of("customer", "shop"), ["pod-b"]);
        groups.moved("customer", "pod-b", Some("shop"), None);
        assert_eq!(groups.of("customer", "shop"), Vec::<String>::new());
        assert_eq!(groups.of("other", "blog"), Vec::<String>::new());
    }
}
