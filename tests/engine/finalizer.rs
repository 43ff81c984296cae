//! Deletion waits for the family where the plan says so.

use std::sync::atomic::Ordering;

use kube::api::Patch;
use serde_json::json;

use crate::{
    api_server::{Fault, Verb, What},
    harness::{Harness, one_config, settle, user},
};

const OURS: &str = "fairway.dev/buoy";

#[tokio::test(start_paused = true)]
async fn deletion_waits_until_the_plan_lets_go() {
    let harness = Harness::new();
    harness.create("web", json!({"hold": true, "configs": {"a": {}}})).await;
    let _running = harness.start();
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers.expect("finalizers"), [OURS]);
    let writes = harness.written();
    let position = |what: &str| writes.iter().position(|one| one == what).expect(what);
    assert!(position("JsonPatch buoys/web") < position("Apply configmaps/a"), "first of all: {writes:?}");

    harness.delete("web").await;
    settle().await;
    assert!(harness.buoy("web").await.metadata.deletion_timestamp.is_some());
    assert_eq!(harness.config_names().await, ["a"], "nothing is pruned meanwhile");

    harness.family.drained.store(true, Ordering::SeqCst);
    settle().await;
    assert!(harness.buoys().get_opt("web").await.expect("an answer").is_none());
    assert_eq!(harness.config_names().await, [""; 0], "the garbage collector sees to the rest");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_no_longer_needed_is_taken_away() {
    let harness = Harness::new();
    harness.create("web", json!({"hold": true})).await;
    let _running = harness.start();
    settle().await;
    harness.patch("web", json!({"hold": false})).await;
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers, None);
}

#[tokio::test(start_paused = true)]
async fn those_of_others_are_never_lost() {
    let harness = Harness::new();
    harness.create("web", json!({"hold": true})).await;
    let theirs = json!({"metadata": {"finalizers": ["example.com/a"]}});
    harness.buoys().patch("web", &user(), &Patch::Merge(&theirs)).await.expect("a patch");
    let _running = harness.start();
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers.expect("finalizers"), ["example.com/a", OURS]);

    // The engine looks at an old state while somebody adds another.
    harness.server.hold_watches(true);
    let more = json!({"metadata": {"finalizers": ["example.com/a", OURS, "example.com/b"]}, "spec": {"hold": false}});
    harness.buoys().patch("web", &user(), &Patch::Merge(&more)).await.expect("a patch");
    harness.server.hold_watches(false);
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers.expect("finalizers"), ["example.com/a", "example.com/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_patch_on_an_old_state_is_refused() {
    let harness = Harness::new();
    harness.create("web", json!({"hold": true})).await;
    // The patch that adds the finalizer is late, and somebody else is faster.
    let late = Fault::new(What::Delay(std::time::Duration::from_secs(5)))
        .on(|request| request.verb == Verb::JsonPatch)
        .times(1);
    harness.server.fault(late);
    let _running = harness.start();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let theirs = json!({"metadata": {"finalizers": ["example.com/a"]}});
    harness.buoys().patch("web", &user(), &Patch::Merge(&theirs)).await.expect("a patch");
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers.expect("finalizers"), ["example.com/a", OURS]);
}

#[tokio::test(start_paused = true)]
async fn none_is_added_to_what_is_leaving() {
    let harness = Harness::new();
    harness.create("web", json!({"hold": true})).await;
    let theirs = json!({"metadata": {"finalizers": ["example.com/a"]}});
    harness.buoys().patch("web", &user(), &Patch::Merge(&theirs)).await.expect("a patch");
    harness.delete("web").await;
    let _running = harness.start();
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers.expect("finalizers"), ["example.com/a"]);
    assert_eq!(harness.reconciled("web").await.0, "True");
}

#[tokio::test(start_paused = true)]
async fn deletion_waits_for_effects_that_fail() {
    let harness = Harness::new();
    let mut spec = one_config();
    spec["hold"] = json!(true);
    harness.create("web", spec).await;
    let _running = harness.start();
    settle().await;
    harness.patch("web", json!({"effects": ["fail"]})).await;
    harness.family.drained.store(true, Ordering::SeqCst);
    harness.delete("web").await;
    settle().await;
    assert_eq!(harness.buoy("web").await.metadata.finalizers.expect("finalizers"), [OURS]);
    harness.patch("web", json!({"effects": []})).await;
    settle().await;
    assert!(harness.buoys().get_opt("web").await.expect("an answer").is_none());
}
