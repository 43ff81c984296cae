//! What others change, remove or add, and what the plan no longer names.

use fairway::reconcile::KEEP;
use kube::api::{DeleteParams, Patch};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Harness, one_config, settle, user};

#[rstest]
#[case::a_value(json!({"data": {"x": "7"}}))]
#[case::a_field_removed(json!({"data": {"x": null}}))]
#[case::all_data_removed(json!({"data": null}))]
#[case::a_label(json!({"metadata": {"labels": {"fairway.dev/family": "other"}}}))]
#[case::all_labels_removed(json!({"metadata": {"labels": null}}))]
#[tokio::test(start_paused = true)]
async fn an_edit_of_ours_is_mended(#[case] edit: Value) {
    let harness = Harness::new();
    let _running = harness.installed().await;
    let before = harness.configs().get("a").await.expect("the config");
    harness.configs().patch("a", &user(), &Patch::Merge(&edit)).await.expect("an edit");
    settle().await;
    let after = harness.configs().get("a").await.expect("the config");
    assert_eq!((after.data, after.metadata.labels), (before.data, before.metadata.labels));
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.written(), [""; 0], "it is settled");
}

#[tokio::test(start_paused = true)]
async fn what_others_add_is_left_to_them() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    let edit = json!({"data": {"z": "theirs"}, "metadata": {"annotations": {"note": "theirs"}}});
    harness.configs().patch("a", &user(), &Patch::Merge(&edit)).await.expect("an edit");
    harness.server.forget_requests();
    settle().await;
    let after = harness.configs().get("a").await.expect("the config");
    assert_eq!(after.data.expect("data")["z"], "theirs");
    assert_eq!(harness.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_made_again() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.configs().delete("a", &DeleteParams::default()).await.expect("deletion");
    settle().await;
    assert_eq!(harness.config_names().await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_lingers_is_made_again_once_it_is_gone() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    harness.configs().patch("a", &user(), &Patch::Merge(&hold)).await.expect("an edit");
    let old = harness.configs().get("a").await.expect("the config").metadata.uid;
    harness.configs().delete("a", &DeleteParams::default()).await.expect("deletion");
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.written(), [""; 0], "nothing is applied to what is going");
    let release = json!({"metadata": {"finalizers": null}});
    harness.configs().patch("a", &user(), &Patch::Merge(&release)).await.expect("an edit");
    settle().await;
    assert_ne!(harness.configs().get("a").await.expect("the config").metadata.uid, old);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_leaves_the_plan_leaves_the_object() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.patch("web", json!({"configs": {"a": {"y": null}}})).await;
    settle().await;
    let data = harness.configs().get("a").await.expect("the config").data.expect("data");
    assert_eq!(data.keys().collect::<Vec<_>>(), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_leaves_the_plan_goes_unless_it_is_kept() {
    let harness = Harness::new();
    let spec = json!({"configs": {"a": {}, "b": {}, "c": {}}, "kept": ["s"]});
    harness.create("web", spec).await;
    let _running = harness.start();
    settle().await;
    let keep = json!({"metadata": {"labels": {KEEP: "true"}}});
    harness.configs().patch("b", &user(), &Patch::Merge(&keep)).await.expect("a label");
    harness.patch("web", json!({"configs": {"b": null, "c": null}, "kept": []})).await;
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.config_names().await, ["a", "b"]);
    assert!(harness.secrets().get("s").await.is_ok(), "a kept secret stays");
    assert_eq!(harness.written(), ["Delete configmaps/c", "MergePatch buoys/web/status"]);
    let delete = harness.server.writes().into_iter().find(|request| request.name == "c").expect("a deletion");
    assert!(delete.body["preconditions"]["uid"].is_string());
    assert_eq!(delete.body["propagationPolicy"], "Background");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pruned_before_all_is_applied() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    let refuse = crate::api_server::Fault::new(crate::api_server::What::Fail(422)).on(|request| request.name == "b");
    harness.server.fault(refuse);
    harness.patch("web", json!({"configs": {"a": null, "b": {}}})).await;
    settle().await;
    assert_eq!(harness.config_names().await, ["a"]);
    harness.server.heal();
    for _ in 0..6 {
        settle().await;
    }
    assert_eq!(harness.config_names().await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_nobody_watches_is_seen_when_it_is_listed_again() {
    let harness = Harness::new();
    harness.create("other", json!({"configs": {"o": {}}})).await;
    let _running = harness.installed().await;
    harness.server.hold_watches(true);
    harness.configs().delete("a", &DeleteParams::default()).await.expect("deletion");
    harness.delete("other").await;
    harness.create("new", json!({"configs": {"n": {}}})).await;
    harness.server.forget_history();
    harness.server.hold_watches(false);
    settle().await;
    assert_eq!(harness.config_names().await, ["a", "n"]);
    assert_eq!(one_config()["configs"]["a"]["x"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_quarrel_over_a_field_is_told_and_slows_down() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    // Another controller that never gives in, for ten minutes.
    for _ in 0..6000 {
        let edit = json!({"data": {"x": "theirs"}});
        harness.configs().patch("a", &user(), &Patch::Merge(&edit)).await.expect("an edit");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let applies = harness.written().iter().filter(|write| *write == "Apply configmaps/a").count();
    assert!((5..30).contains(&applies), "{applies}");
    assert_eq!(harness.reconciled("web").await, ("False".to_owned(), "Contested".to_owned()));
    for _ in 0..3 {
        settle().await;
    }
    assert_eq!(harness.configs().get("a").await.expect("the config").data.expect("data")["x"], "1");
    assert_eq!(harness.reconciled("web").await.0, "True");
}

#[rstest]
#[case::these(&["b"], &["a", "b"])]
#[case::all(&["*"], &["a", "b", "c"])]
#[case::none(&[], &["a"])]
#[tokio::test(start_paused = true)]
async fn what_the_plan_retains_stays_as_it_is(#[case] retained: &[&str], #[case] left: &[&str]) {
    let harness = Harness::new();
    harness.create("web", json!({"configs": {"a": {}, "b": {}, "c": {}}})).await;
    let _running = harness.start();
    settle().await;
    harness.patch("web", json!({"configs": {"b": null, "c": null}, "retained": retained})).await;
    settle().await;
    assert_eq!(harness.config_names().await, left);
}
