//! What a family remembers of the objects of others.

use std::time::Duration;

use fairway::{
    reconcile::{Cache, Key, Scope, Trigger, cache},
    telemetry::{Exposition, Metrics},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PartialObjectMeta, Patch},
    core::ObjectMeta,
    runtime::watcher,
};
use serde_json::json;

use crate::harness::{Harness, NAMESPACE, settle, user};

/// Secrets with the label `for`, which names a buoy.
fn watched(harness: &Harness) -> (Cache<Option<String>>, Trigger) {
    let metrics = Metrics::register(&Exposition::default());
    let keep = |secret: PartialObjectMeta<Secret>| {
        let ObjectMeta { labels, .. } = secret.metadata;
        labels.and_then(|labels| labels.get("for").cloned())
    };
    let config = watcher::Config::default().labels("for");
    let (cache, feed) = cache::namespaced(&harness.client, &Scope::All, &config, &metrics, keep);
    let trigger = feed.triggers(|changed| {
        let values = [changed.before, changed.now].into_iter().flatten();
        let names: Vec<_> = values.filter_map(|value| value.as_ref().clone()).collect();
        names.into_iter().map(move |name| Key::new(changed.key.namespace(), &name))
    });
    (cache, trigger)
}

async fn secret(harness: &Harness, name: &str, buoy: &str) {
    let metadata = json!({"name": name, "labels": {"for": buoy}});
    harness.create_raw(NAMESPACE, "secrets", json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_changes_and_goes_gives_turns() {
    let harness = Harness::new();
    harness.create("web", json!({})).await;
    secret(&harness, "s", "web").await;
    secret(&harness, "t", "other").await;
    let (cache, trigger) = watched(&harness);
    let _running = harness.start_with(harness.settings(), vec![trigger]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cache.within(NAMESPACE).len(), 2);
    assert_eq!(cache.get(NAMESPACE, "s").as_deref(), Some(&Some("web".to_owned())));
    let api: Api<Secret> = harness.secrets();
    let turns = async || {
        harness.family.observations();
        tokio::time::sleep(Duration::from_millis(10)).await;
        harness.family.observations().len()
    };
    assert_eq!(turns().await, 0);

    let edit = json!({"metadata": {"annotations": {"a": "b"}}});
    api.patch("s", &user(), &Patch::Merge(&edit)).await.expect("a patch");
    assert_eq!(turns().await, 0, "nothing that is remembered changed");
    api.delete("s", &DeleteParams::default()).await.expect("deletion");
    assert_eq!(turns().await, 1);
    assert!(cache.get(NAMESPACE, "s").is_none());

    // It comes and goes while nobody looks.
    secret(&harness, "s", "web").await;
    assert_eq!(turns().await, 1);
    harness.server.hold_watches(true);
    api.delete("s", &DeleteParams::default()).await.expect("deletion");
    harness.server.forget_history();
    harness.server.hold_watches(false);
    harness.family.observations();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!harness.family.observations().is_empty(), "what a list no longer names is gone");
    assert!(cache.get(NAMESPACE, "s").is_none());
    assert_eq!(cache.all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_turn_is_taken_before_every_cache_is_filled() {
    let harness = Harness::new();
    harness.create("web", json!({})).await;
    let refuse = crate::api_server::Fault::new(crate::api_server::What::Fail(500))
        .on(|request| request.query.get("labelSelector").is_some_and(|selector| selector == "for"));
    harness.server.fault(refuse);
    let (_cache, trigger) = watched(&harness);
    let running = harness.start_with(harness.settings(), vec![trigger]);
    settle().await;
    assert!(harness.family.observations().is_empty());
    assert_eq!(running.readiness.waiting_for(), ["caches of buoy"]);
    harness.server.heal();
    settle().await;
    assert!(!harness.family.observations().is_empty());
    assert!(running.readiness.waiting_for().is_empty());
}
