//! What is planned comes to be, once.

use fairway::reconcile::{FAMILY, INSTANCE, MANAGED_BY};
use serde_json::json;

use crate::harness::{Harness, one_config, settle};

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_made_and_says_whose_it_is() {
    let harness = Harness::new();
    harness.create("web", one_config()).await;
    let running = harness.start();
    settle().await;

    let config = harness.configs().get("a").await.expect("the config");
    assert_eq!(config.data.expect("data")["x"], "1");
    let labels = config.metadata.labels.expect("labels");
    assert_eq!(labels[MANAGED_BY], "fairway");
    assert_eq!(labels[FAMILY], "buoy");
    assert_eq!(labels[INSTANCE], "web");
    let owners = config.metadata.owner_references.expect("owners");
    let buoy = harness.buoy("web").await;
    assert_eq!(owners.len(), 1);
    assert_eq!(Some(&owners[0].uid), buoy.metadata.uid.as_ref());
    assert_eq!((owners[0].controller, owners[0].block_owner_deletion), (Some(true), Some(true)));
    assert_eq!(harness.reconciled("web").await, ("True".to_owned(), "Reconciled".to_owned()));
    assert_eq!(buoy.status.expect("a status").observed_generation, Some(1));
    assert!(running.readiness.waiting_for().is_empty());
}

#[tokio::test(start_paused = true)]
async fn objects_are_applied_in_the_order_of_the_plan_each_once() {
    let harness = Harness::new();
    harness.create("web", json!({"configs": {"a": {}, "b": {}, "c": {}}, "kept": ["s"]})).await;
    let _running = harness.start();
    settle().await;
    harness.server.heal();
    assert_eq!(
        harness.written()[1..],
        [
            "Apply configmaps/a",
            "Apply configmaps/b",
            "Apply configmaps/c",
            "Apply secrets/s",
            "MergePatch buoys/web/status"
        ],
        "the first is the user's own",
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_where_nothing_differs() {
    let harness = Harness::new();
    let running = harness.installed().await;
    harness.family.observations();
    for _ in 0..10 {
        settle().await;
    }
    assert!(harness.family.observations().len() >= 38, "a turn every 15 seconds");
    assert_eq!(harness.written(), [""; 0]);
    let reads: Vec<_> = harness.server.requests().iter().map(|request| request.verb).collect();
    assert!(reads.iter().all(|verb| *verb == crate::api_server::Verb::Watch), "watches alone: {reads:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_a_restart() {
    let harness = Harness::new();
    harness.installed().await.kill().await;
    harness.server.forget_requests();
    let _running = harness.start();
    settle().await;
    assert!(!harness.family.observations().is_empty());
    assert_eq!(harness.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_spec_is_one_apply_and_one_status() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.patch("web", json!({"configs": {"a": {"x": "9"}}})).await;
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.configs().get("a").await.expect("the config").data.expect("data")["x"], "9");
    assert_eq!(harness.written(), ["Apply configmaps/a", "MergePatch buoys/web/status"]);
    assert_eq!(harness.buoy("web").await.status.expect("a status").observed_generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_in_other_words_is_settled() {
    let harness = Harness::new();
    harness.server.normalise(|object| {
        if let Some(value) = object.pointer_mut("/data/x").filter(|value| **value == json!("1000m")) {
            *value = json!("1");
        }
    });
    harness.create("web", json!({"configs": {"a": {"x": "1000m"}}})).await;
    let _running = harness.start();
    settle().await;
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.written(), [""; 0]);
    // An edit is noticed all the same.
    let patch = kube::api::Patch::Merge(json!({"data": {"x": "5"}}));
    harness.configs().patch("a", &crate::harness::user(), &patch).await.expect("a patch");
    settle().await;
    assert_eq!(harness.configs().get("a").await.expect("the config").data.expect("data")["x"], "1");
}

#[tokio::test(start_paused = true)]
async fn effects_are_performed_and_told_once() {
    let harness = Harness::new();
    harness.create("web", json!({"effects": ["fog", "fail", "dusk"], "event": "ahoy"})).await;
    let _running = harness.start();
    settle().await;
    let performed = harness.family.performed.lock().expect("effects").clone();
    assert!(performed.contains(&"fog".to_owned()) && performed.contains(&"dusk".to_owned()), "{performed:?}");
    assert_eq!(harness.reconciled("web").await, ("False".to_owned(), "Rough".to_owned()));
    let pair = |reason: &str, note: &str| (reason.to_owned(), note.to_owned());
    assert_eq!(
        harness.events().await,
        [
            pair("Ring", "dusk"),
            pair("Ring", "fog"),
            pair("Rough", "Ring (fail): the sea is rough"),
            pair("Said", "ahoy")
        ],
    );
}
