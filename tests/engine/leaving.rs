//! What is gone is forgotten, and what goes with its namespace is left to go.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Harness, NAMESPACE, one_config, settle};

#[tokio::test(start_paused = true)]
async fn the_family_forgets_what_is_gone_and_nothing_else() {
    let harness = Harness::new();
    for name in ["web", "mail"] {
        harness.create(name, json!({})).await;
    }
    let running = harness.start();
    settle().await;
    harness.patch("web", json!({"word": "x"})).await;
    settle().await;
    assert_eq!(harness.family.forgotten(), Vec::<String>::new());
    harness.delete("web").await;
    settle().await;
    assert_eq!(harness.family.forgotten(), [format!("{NAMESPACE}/web")]);

    // What went while no watch told of it is missing in the next list.
    harness.server.hold_watches(true);
    harness.delete("mail").await;
    harness.server.forget_history();
    harness.server.hold_watches(false);
    settle().await;
    assert_eq!(harness.family.forgotten(), [format!("{NAMESPACE}/mail")]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_is_forgotten_only_when_it_is_gone() {
    let harness = Harness::new();
    harness.create("web", json!({"hold": true})).await;
    let _running = harness.start();
    settle().await;
    harness.delete("web").await;
    settle().await;
    assert_eq!(harness.family.forgotten(), Vec::<String>::new());
    harness.family.drained.store(true, std::sync::atomic::Ordering::SeqCst);
    settle().await;
    assert_eq!(harness.family.forgotten(), [format!("{NAMESPACE}/web")]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_being_deleted_is_waited_for_in_silence() {
    let harness = Harness::new();
    let running = harness.installed().await;
    harness.server.terminate(NAMESPACE);
    let gone = kube::api::DeleteParams::default();
    harness.configs().delete("a", &gone).await.expect("deletion");
    settle().await;
    let (status, reason, message) = harness.condition("web", "Reconciled").await.expect("a condition");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NamespaceTerminating"), "{message}");
    let count = || harness.written().iter().filter(|write| *write == "Apply configmaps/a").count();
    let before = count();
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(count(), before, "nothing is tried again until something changes");
    assert_eq!(harness.events().await, [], "nobody has to hear of it");
    let text = running.exposition.text().expect("metrics");
    assert!(text.contains("fairway_turns_total{family=\"buoy\",result=\"Waited\"}"), "{text}");
    assert!(!text.contains("result=\"Forbidden\""), "{text}");

    // Of what is refused for another reason everybody hears.
    let harness = Harness::new();
    harness.create("web", one_config()).await;
    let refused = crate::api_server::Fault::new(crate::api_server::What::Fail(403));
    harness.server.fault(refused.on(|request| request.plural == "configmaps" && request.writes()));
    let _running = harness.start();
    settle().await;
    assert_eq!(harness.reconciled("web").await.1, "Forbidden");
    assert_eq!(harness.events().await[0].0, "Forbidden");
}
