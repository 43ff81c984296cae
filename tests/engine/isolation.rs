//! One bad resource stops nothing else, and what is out of scope is not touched.

use std::time::Duration;

use fairway::reconcile::Scope;
use kube::{
    Api,
    api::{ListParams, Patch},
};
use serde_json::{Value, json};

use crate::{
    buoy::Buoy,
    harness::{Harness, NAMESPACE, one_config, settle, user},
};

/// What a buoy that cannot be read says of itself.
async fn conditions(harness: &Harness, name: &str) -> Vec<(String, String, String)> {
    let path = format!("/apis/test.fairway.dev/v1/namespaces/{NAMESPACE}/buoys/{name}");
    let request = http::Request::get(path).body(vec![]).expect("a request");
    let buoy: Value = harness.client.request(request).await.expect("a buoy");
    let conditions = buoy["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    conditions.iter().map(|one| (text(one, "type"), text(one, "status"), text(one, "reason"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_cannot_be_read_says_so_and_loses_nothing() {
    let harness = Harness::new();
    let _running = harness.installed().await;
    harness.create("good", json!({"configs": {"g": {}}})).await;
    let bad = json!({"spec": {"configs": "all of them"}});
    let raw = http::Request::patch(format!("/apis/test.fairway.dev/v1/namespaces/{NAMESPACE}/buoys/web"))
        .header("content-type", "application/merge-patch+json")
        .body(bad.to_string().into_bytes())
        .expect("a request");
    harness.client.request::<Value>(raw).await.expect("a patch");
    harness.server.forget_requests();
    settle().await;
    let (status, reason) = ("False".to_owned(), "Unparsable".to_owned());
    let told = conditions(&harness, "web").await;
    assert!(told.contains(&("Accepted".to_owned(), status.clone(), reason.clone())), "{told:?}");
    assert!(told.contains(&("Reconciled".to_owned(), status, reason)), "{told:?}");
    assert!(told.iter().any(|(name, ..)| name == "Afloat"), "the rest stays: {told:?}");
    assert_eq!(harness.config_names().await, ["a", "g"]);
    assert!(!harness.written().iter().any(|write| write.contains("configmaps/a")));

    harness.patch_raw("web", json!({"spec": {"configs": null}})).await;
    harness.patch_raw("web", json!({"spec": {"configs": {"a": {"x": "3"}}}})).await;
    settle().await;
    assert_eq!(harness.reconciled("web").await.0, "True");
    assert_eq!(harness.condition("web", "Accepted").await, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_could_be_read_stops_no_other() {
    let harness = Harness::new();
    let bad = json!({"apiVersion": "test.fairway.dev/v1", "kind": "Buoy", "metadata": {"name": "bad"}, "spec": {"hold": "x"}});
    harness.create_raw(NAMESPACE, "buoys", bad).await;
    harness.create("web", one_config()).await;
    let _running = harness.start();
    settle().await;
    assert_eq!(harness.server.requests().iter().filter(|request| request.name == "bad" && request.writes()).count(), 1);
    assert_eq!(conditions(&harness, "bad").await.len(), 2);
    assert_eq!(harness.config_names().await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_its_resource() {
    let harness = Harness::new();
    harness.create("bad", json!({"panic": true})).await;
    let _running = harness.installed().await;
    harness.patch("web", json!({"configs": {"b": {}}})).await;
    settle().await;
    let (status, reason, message) = harness.condition("bad", "Reconciled").await.expect("a condition");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Panicked"));
    assert!(message.contains("the buoy tipped over"), "{message}");
    assert_eq!(harness.config_names().await, ["a", "b"]);
    harness.patch("bad", json!({"panic": false})).await;
    settle().await;
    assert_eq!(harness.reconciled("bad").await.0, "True");
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_scope_is_not_touched() {
    let harness = Harness::new();
    for namespace in ["a", "b", "c"] {
        harness.create_in(namespace, "web", one_config()).await;
    }
    let mut settings = harness.settings();
    settings.scope = Scope::parse("a,c");
    let _running = harness.start_with(settings, vec![]);
    settle().await;
    let buoys: Api<Buoy> = Api::all(harness.client.clone());
    let done: Vec<_> =
        buoys.list(&ListParams::default()).await.expect("a list").into_iter().map(|one| one.status.is_some()).collect();
    assert_eq!(done, [true, false, true]);
    let all = |request: &crate::api_server::Request| {
        request.namespace.is_empty() && request.query.contains_key("allowWatchBookmarks")
    };
    assert!(!harness.server.requests().iter().any(all), "no watch over all namespaces");

    // A list of one namespace drops nothing of another.
    harness.server.forget_history();
    harness.server.forget_requests();
    settle().await;
    assert_eq!(harness.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_turns_end_and_begins_no_more() {
    let harness = Harness::new();
    harness.create("web", one_config()).await;
    let hold = std::sync::Arc::clone(&harness.family.gate).acquire_many_owned(1000).await.expect("all permits");
    let running = harness.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopping = tokio::spawn(running.stop());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!stopping.is_finished(), "a turn is being taken");
    harness.create("late", one_config()).await;
    drop(hold);
    stopping.await.expect("an end");
    assert_eq!(harness.reconciled("web").await.0, "True");
    assert!(harness.buoy("late").await.status.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let harness = Harness::new();
    harness.create("web", one_config()).await;
    let _hold = std::sync::Arc::clone(&harness.family.gate).acquire_many_owned(1000).await.expect("all permits");
    let running = harness.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = tokio::time::Instant::now();
    running.stop().await;
    assert!(begun.elapsed() <= Duration::from_secs(21), "{:?}", begun.elapsed());
    settle().await;
    assert!(harness.buoy("web").await.status.is_none());
}

impl Harness {
    /// Patches what may not be readable.
    async fn patch_raw(&self, name: &str, patch: Value) {
        let api: Api<kube::api::DynamicObject> =
            Api::namespaced_with(self.client.clone(), NAMESPACE, &kube::api::ApiResource::erase::<Buoy>(&()));
        api.patch(name, &user(), &Patch::Merge(patch)).await.expect("a patch");
    }
}
