//! What users read, and how seldom it is written.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::harness::{Harness, settle, user};

#[tokio::test(start_paused = true)]
async fn times_stay_while_nothing_changes() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    let before = harness.buoy("web").await.status.expect("a status");
    harness.patch("web", json!({"word": "hello"})).await;
    settle().await;
    let after = harness.buoy("web").await.status.expect("a status");
    assert_eq!(after.word.as_deref(), Some("hello"));
    assert_eq!(after.observed_generation, Some(2));
    for (before, after) in before.conditions.iter().zip(&after.conditions) {
        assert_eq!(before.last_transition_time, after.last_transition_time);
        assert_eq!(after.observed_generation, Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_vanishes_is_taken_away_and_nothing_else_is_sent() {
    let harness = Harness::new();
    harness.create("web", json!({"word": "hello"})).await;
    let _running = harness.start();
    settle().await;
    harness.patch("web", json!({"word": null})).await;
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.buoy("web").await.status.expect("a status").word, None);
    let writes = harness.server.writes();
    assert_eq!(writes.len(), 1);
    let sent = writes[0].body["status"].as_object().expect("a status");
    assert!(sent["word"].is_null() && sent.contains_key("word"));
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["conditions", "observedGeneration", "word"]);
}

#[tokio::test(start_paused = true)]
async fn failure_is_told_and_the_observed_generation_stays() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.family.failures.store(1000, std::sync::atomic::Ordering::SeqCst);
    harness.patch("web", json!({"word": "hello"})).await;
    settle().await;
    let (status, reason, message) = harness.condition("web", "Reconciled").await.expect("a condition");
    assert_eq!((status.as_str(), reason.as_str(), message.as_str()), ("False", "Rough", "the sea is rough"));
    let failed = harness.buoy("web").await.status.expect("a status");
    assert_eq!(failed.observed_generation, Some(1));
    assert!(failed.conditions.iter().any(|one| one.type_ == "Afloat" && one.status == "True"), "the rest stays");
    assert_eq!(harness.events().await, [("Rough".to_owned(), "the sea is rough".to_owned())]);

    harness.family.failures.store(0, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..6 {
        settle().await;
    }
    let mended = harness.buoy("web").await.status.expect("a status");
    assert_eq!(mended.observed_generation, Some(2));
    let time = |status: &crate::buoy::BuoyStatus| {
        status
            .conditions
            .iter()
            .find(|one| one.type_ == "Reconciled")
            .expect("a condition")
            .last_transition_time
            .clone()
    };
    assert!(time(&mended).0 > time(&failed).0);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_others_write_is_set_right() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    let theirs = json!({"status": {"word": "lies"}});
    harness.buoys().patch_status("web", &user(), &Patch::Merge(&theirs)).await.expect("a patch");
    settle().await;
    assert_eq!(harness.buoy("web").await.status.expect("a status").word, None);
}

#[tokio::test(start_paused = true)]
async fn a_turn_waits_for_a_cache_that_is_behind() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.patch("web", json!({"word": "one"})).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    // From now on the cache shows neither the status that was written nor the next change.
    harness.server.hold_watches(true);
    harness.family.failures.store(1, std::sync::atomic::Ordering::SeqCst);
    harness.server.forget_requests();
    settle().await;
    let writes = harness.written();
    assert_eq!(writes, ["MergePatch buoys/web/status"], "the failure alone; then turns wait: {writes:?}");
    harness.server.hold_watches(false);
    settle().await;
    assert_eq!(harness.reconciled("web").await.0, "True");
}

#[tokio::test(start_paused = true)]
async fn what_effects_change_is_observed_before_the_status_is_written() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.family.observations();
    harness.patch("web", json!({"effects": ["fog"], "word": "hello"})).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(harness.family.observations().len(), 2, "before the effect, and after it");
    assert_eq!(*harness.family.performed.lock().expect("effects"), ["fog"], "once in a turn");
    let writes = harness.written();
    assert_eq!(
        writes.iter().filter(|write| write.contains("buoys")).collect::<Vec<_>>(),
        ["MergePatch buoys/web/status"]
    );
}

#[tokio::test(start_paused = true)]
async fn labels_of_a_resource_give_it_a_turn() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.family.observations();
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    harness.buoys().patch("web", &PatchParams::default(), &Patch::Merge(&label)).await.expect("a patch");
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    assert_eq!(harness.family.observations().len(), 1);
}
