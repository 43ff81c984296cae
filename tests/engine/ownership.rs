//! Whose an object is, and what happens to one that is in the way.

use kube::api::{DeleteParams, Patch, PropagationPolicy};
use serde_json::{Value, json};

use crate::harness::{Harness, NAMESPACE, one_config, settle, user};

async fn in_the_way(metadata: Value) -> Harness {
    let harness = Harness::new();
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "theirs"}});
    object["metadata"]["name"] = json!("a");
    harness.create_raw(NAMESPACE, "configmaps", object).await;
    harness
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_not_taken() {
    let harness = in_the_way(json!({})).await;
    harness.create("web", one_config()).await;
    let _running = harness.start();
    settle().await;
    assert_eq!(harness.configs().get("a").await.expect("theirs").data.expect("data")["x"], "theirs");
    let (status, reason, message) = harness.condition("web", "Reconciled").await.expect("a condition");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NameTaken"));
    assert_eq!(
        message,
        "ConfigMap a exists and is not managed by Fairway; delete or rename it, and the next try takes its place"
    );
    assert_eq!(harness.buoy("web").await.status.expect("a status").observed_generation, None);
    let events = harness.events().await;
    assert_eq!(events.len(), 1, "one for many turns: {events:?}");

    harness.configs().delete("a", &DeleteParams::default()).await.expect("deletion");
    for _ in 0..10 {
        settle().await;
    }
    assert_eq!(harness.reconciled("web").await.0, "True");
    assert_eq!(harness.configs().get("a").await.expect("ours").data.expect("data")["x"], "1");
}

#[tokio::test(start_paused = true)]
async fn who_is_in_the_way_is_told() {
    let harness = in_the_way(json!({})).await;
    let shop = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop"}});
    harness.create_raw(NAMESPACE, "secrets", shop).await;
    let uid = harness.secrets().get("shop").await.expect("the owner").metadata.uid;
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": uid, "controller": true}]);
    let edit = json!({"metadata": {"ownerReferences": owner}});
    harness.configs().patch("a", &user(), &Patch::Merge(&edit)).await.expect("a patch");
    harness.create("web", one_config()).await;
    let _running = harness.start();
    settle().await;
    let (_, _, message) = harness.condition("web", "Reconciled").await.expect("a condition");
    assert!(message.starts_with("ConfigMap a exists and is controlled by Deployment shop"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn two_resources_do_not_fight_over_a_name() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.create("rival", json!({"configs": {"a": {"x": "rival"}}})).await;
    settle().await;
    let (_, reason, message) = harness.condition("rival", "Reconciled").await.expect("a condition");
    assert_eq!(reason, "NameTaken");
    assert!(message.contains("is controlled by Buoy web"), "{message}");
    assert_eq!(harness.reconciled("web").await.0, "True");
    assert_eq!(harness.configs().get("a").await.expect("the config").data.expect("data")["x"], "1");
}

#[tokio::test(start_paused = true)]
async fn what_was_ours_and_is_nobodys_is_adopted() {
    let harness = Harness::new();
    let running = harness.installed().await;
    running.kill().await;
    let orphans = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    let release = json!({"metadata": {"ownerReferences": null}});
    let before = harness.configs().patch("a", &user(), &Patch::Merge(&release)).await.expect("an orphan");
    harness.buoys().delete("web", &orphans).await.expect("deletion");
    harness.create("web", one_config()).await;
    let _running = harness.start();
    settle().await;
    let after = harness.configs().get("a").await.expect("the config");
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(
        after.metadata.owner_references.expect("an owner")[0].uid,
        harness.buoy("web").await.metadata.uid.expect("a uid")
    );
    assert_eq!(harness.reconciled("web").await.0, "True");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_outlives_its_resource_and_serves_the_next() {
    let harness = Harness::new();
    harness.create("web", json!({"kept": ["s"], "configs": {"a": {}}})).await;
    let _running = harness.start();
    settle().await;
    let before = harness.secrets().get("s").await.expect("the secret");
    assert_eq!(before.metadata.owner_references, None);
    harness.delete("web").await;
    settle().await;
    assert_eq!(harness.config_names().await, [""; 0]);
    assert!(harness.secrets().get("s").await.is_ok());
    harness.create("web", json!({"kept": ["s"]})).await;
    settle().await;
    assert_eq!(harness.secrets().get("s").await.expect("the secret").metadata.uid, before.metadata.uid);
    assert_eq!(harness.reconciled("web").await.0, "True");

    let secret = json!({"kept": ["s"]});
    harness.create("rival", secret).await;
    settle().await;
    let (_, _, message) = harness.condition("rival", "Reconciled").await.expect("a condition");
    assert!(message.contains("belongs to the buoy web"), "{message}");
}
