//! Which load balancers a change elsewhere is for, so that it costs the same in a fleet of ten thousand
//! as in a fleet of one. Nothing here does I/O.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
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
pub(super) type Interests = crate::reconcile::Interests<Interest>;

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
