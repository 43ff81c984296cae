//! Which load balancers' pods are being replaced: meanwhile the operator should not be upgraded. Nothing here does I/O.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use tokio::sync::watch;

use crate::reconcile::{Busy, Key};

/// How many are named.
const NAMED: usize = 3;

/// The load balancers whose pods are being replaced now.
#[derive(Debug)]
pub(super) struct Rollouts {
    under_way: std::sync::Mutex<BTreeSet<Key>>,
    busy: watch::Sender<Option<Busy>>,
}

impl Default for Rollouts {
    fn default() -> Self {
        Self { under_way: std::sync::Mutex::default(), busy: watch::channel(None).0 }
    }
}

impl Rollouts {
    /// Notes whether a load balancer's pods are being replaced.
    pub(super) fn set(&self, key: Key, rolling: bool) {
        let mut under_way = self.under_way.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = if rolling { under_way.insert(key) } else { under_way.remove(&key) };
        if changed {
            self.busy.send_replace(busy(&under_way));
        }
    }

    /// Whether something must not be interrupted, now and later.
    pub(super) fn busy(&self) -> watch::Receiver<Option<Busy>> {
        self.busy.subscribe()
    }
}

/// Whether the pods of a Deployment are being replaced, and get on with it: one that is stuck waits for a person, and
/// may well wait for the upgrade.
pub(super) fn rolling(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return true };
    if status.observed_generation < deployment.metadata.generation {
        return true;
    }
    let progressing = status.conditions.iter().flatten().find(|condition| condition.type_ == "Progressing");
    progressing.is_some_and(|condition| {
        condition.status == "True" && condition.reason.as_deref() != Some("NewReplicaSetAvailable")
    })
}

fn busy(under_way: &BTreeSet<Key>) -> Option<Busy> {
    if under_way.is_empty() {
        return None;
    }
    let names: Vec<_> = under_way.iter().take(NAMED).map(|key| format!("{}/{}", key.namespace(), key.name())).collect();
    let more = match under_way.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!("pods are being replaced of {}{more}", names.join(", "));
    Some(Busy { reason: "PodsBeingReplaced", message })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use rstest::rstest;
    use serde_json::json;

    use super::{Rollouts, rolling};
    use crate::reconcile::Key;

    #[rstest]
    #[case::not_seen_yet(1, "True", "NewReplicaSetAvailable", true)]
    #[case::under_way(2, "True", "ReplicaSetUpdated", true)]
    #[case::done(2, "True", "NewReplicaSetAvailable", false)]
    #[case::stuck(2, "False", "ProgressDeadlineExceeded", false)]
    fn pods_are_being_replaced_while_their_deployment_gets_on(
        #[case] observed: i64,
        #[case] status: &str,
        #[case] reason: &str,
        #[case] expected: bool,
    ) {
        let condition = json!({ "type": "Progressing", "status": status, "reason": reason });
        let status = json!({ "observedGeneration": observed, "conditions": [condition] });
        let deployment: Deployment =
            serde_json::from_value(json!({ "metadata": { "generation": 2 }, "status": status })).expect("a Deployment");
        assert_eq!(rolling(&deployment), expected);
    }

    #[test]
    fn the_first_are_named_and_the_last_ends_it() {
        let key = |name: &str| Key::new("customer", name);
        let rollouts = Rollouts::default();
        let busy = rollouts.busy();
        for name in ["a", "b", "c", "d"] {
            rollouts.set(key(name), true);
        }
        let message = busy.borrow().clone().expect("busy").message;
        assert_eq!(message, "pods are being replaced of customer/a, customer/b, customer/c and 1 more");
        for name in ["a", "b", "c", "d"] {
            rollouts.set(key(name), false);
        }
        assert_eq!(*busy.borrow(), None);
    }
}
