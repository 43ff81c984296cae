//! The crash test: whatever happens to any single request of an install, a change and a deletion, and
//! wherever the operator is killed, the end is the same.

use std::{sync::Arc, time::Duration};

use kube::api::ListParams;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    api_server::{Fault, What},
    harness::{Harness, Running, settle},
};

/// What there is in the end, without what may differ from run to run.
async fn end_state(harness: &Harness) -> Value {
    let mut state = vec![];
    for config in harness.configs().list(&ListParams::default()).await.expect("a list") {
        let owned = config.metadata.owner_references.is_some_and(|owners| owners.len() == 1);
        state.push(json!([config.metadata.name, config.data, config.metadata.labels, owned]));
    }
    for secret in harness.secrets().list(&ListParams::default()).await.expect("a list") {
        state.push(json!([secret.metadata.name, secret.metadata.owner_references]));
    }
    for buoy in harness.buoys().list(&ListParams::default()).await.expect("a list") {
        let status = buoy.status.expect("a status");
        let conditions: Vec<_> =
            status.conditions.iter().map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone())).collect();
        state.push(json!([buoy.metadata.name, buoy.metadata.finalizers, status.observed_generation, conditions]));
    }
    Value::Array(state)
}

fn first() -> Value {
    json!({"hold": true, "configs": {"a": {"x": "1", "y": "2"}, "b": {}}, "kept": ["s"], "effects": ["fog"]})
}

fn second() -> Value {
    json!({"configs": {"a": {"y": null}, "b": null, "c": {"z": "3"}}})
}

/// Lives a whole life of two buoys, and tells the state after each part of it.
async fn live(harness: &Harness, mut check: impl AsyncFnMut()) -> Vec<Value> {
    harness.create("web", first()).await;
    check().await;
    let mut states = vec![end_state(harness).await];
    harness.patch("web", second()).await;
    check().await;
    states.push(end_state(harness).await);
    harness.family.drained.store(true, std::sync::atomic::Ordering::SeqCst);
    harness.delete("web").await;
    check().await;
    states.push(end_state(harness).await);
    states
}

/// Time enough for any backoff.
async fn long() {
    tokio::time::sleep(Duration::from_mins(20)).await;
}

async fn undisturbed() -> (Vec<Value>, usize, usize) {
    let harness = Harness::new();
    let _running = harness.start();
    settle().await;
    harness.server.forget_requests();
    let states = live(&harness, async || settle().await).await;
    let by_engine = |request: &&crate::api_server::Request| !by_test(request);
    let requests = harness.server.requests().iter().filter(by_engine).count();
    (states, requests, harness.server.writes().iter().filter(by_engine).count())
}

fn by_test(request: &crate::api_server::Request) -> bool {
    request.query.get("fieldManager").is_some_and(|name| name == "kubectl")
        || request.verb == crate::api_server::Verb::List && !request.query.contains_key("limit")
        || request.plural == "buoys"
            && (request.verb == crate::api_server::Verb::Create || request.verb == crate::api_server::Verb::Delete)
}

#[rstest]
#[case::refused(What::Fail(500))]
#[case::conflict(What::Fail(409))]
#[case::throttled(What::Fail(429))]
#[case::forbidden(What::Fail(403))]
#[case::not_found(What::Fail(404))]
#[case::request_lost(What::DropRequest)]
#[case::reply_lost(What::DropReply)]
#[case::no_answer(What::Hang)]
#[case::late(What::Delay(Duration::from_secs(45)))]
#[tokio::test(start_paused = true)]
async fn any_request_may_go_wrong(#[case] what: What) {
    let (expected, requests, _) = undisturbed().await;
    assert_eq!(expected[2].as_array().expect("a state").len(), 1, "the kept secret is left");
    assert!(requests >= 15, "{requests}");
    for nth in 0..requests + 3 {
        let harness = Harness::new();
        harness.server.fault(Fault::new(what.clone()).on(|request| !by_test(request)).nth(nth));
        let _running = harness.start();
        let states = live(&harness, async || long().await).await;
        assert_eq!(states, expected, "after {what:?} of request {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_operator_may_be_killed_after_any_write() {
    let (expected, _, writes) = undisturbed().await;
    assert!(writes >= 10, "{writes}");
    for nth in 0..writes {
        let harness = Harness::new();
        let crash = Arc::new(Notify::new());
        let on = |request: &crate::api_server::Request| request.writes() && !by_test(request);
        harness.server.fault(Fault::new(What::Crash(Arc::clone(&crash))).on(on).nth(nth));
        let mut running: Option<Running> = Some(harness.start());
        let states = live(&harness, async || {
            tokio::select! {
                () = crash.notified() => {
                    running.take().expect("an engine").kill().await;
                    running = Some(harness.start());
                    long().await;
                }
                () = long() => {}
            }
        })
        .await;
        assert_eq!(states, expected, "killed after write {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_may_go_wrong_for_a_while() {
    let (expected, ..) = undisturbed().await;
    for seed in 0..20_usize {
        let harness = Harness::new();
        let counter = std::sync::atomic::AtomicUsize::new(seed);
        // About a quarter of all requests, spread by a multiplicative hash.
        let unlucky = move |request: &crate::api_server::Request| {
            let count = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            !by_test(request) && (count.wrapping_mul(0x9E37_79B9).wrapping_add(seed * 7) >> 7).is_multiple_of(4)
        };
        let what = if seed % 2 == 0 { What::DropReply } else { What::Fail(503) };
        harness.server.fault(Fault::new(what).on(unlucky).times(200));
        let _running = harness.start();
        let states = live(&harness, async || {
            for _ in 0..6 {
                long().await;
            }
        })
        .await;
        assert_eq!(states[2], expected[2], "seed {seed}");
    }
}
