//! How many turns at a time, and how soon again.

use std::{sync::atomic::Ordering, time::Duration};

use fairway::reconcile::Settings;
use serde_json::json;

use crate::harness::{Harness, settle};

#[tokio::test(start_paused = true)]
async fn turns_are_taken_some_at_a_time() {
    let harness = Harness::new();
    for number in 0..50 {
        harness.create(&format!("web-{number}"), json!({})).await;
    }
    let hold = std::sync::Arc::clone(&harness.family.gate).acquire_many_owned(1000).await.expect("all permits");
    let running = harness.start_with(Settings { concurrency: 16, ..harness.settings() }, vec![]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(harness.family.inside.load(Ordering::SeqCst), 16);
    let text = running.exposition.text().expect("metrics");
    assert!(text.contains("fairway_turns_in_flight{family=\"buoy\"} 16"), "{text}");
    drop(hold);
    settle().await;
    for number in 0..50 {
        assert_eq!(harness.reconciled(&format!("web-{number}")).await.0, "True");
    }
    let text = running.exposition.text().expect("metrics");
    assert!(text.contains("fairway_turns_in_flight{family=\"buoy\"} 0"), "{text}");
    assert!(text.contains("fairway_resources{family=\"buoy\"} 50"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_and_longer_and_success_starts_over() {
    let harness = Harness::new();
    harness.create("web", json!({})).await;
    harness.family.failures.store(30, Ordering::SeqCst);
    let _running = harness.start();
    tokio::time::sleep(Duration::from_hours(3)).await;
    let seen = harness.family.observations();
    let waits: Vec<Duration> = seen.windows(2).map(|pair| pair[1] - pair[0]).take(30).collect();
    for (wait, failures) in waits.iter().zip(1_u32..) {
        let bound =
            Duration::from_millis(500).saturating_mul(2_u32.saturating_pow(failures)).min(Duration::from_mins(5));
        assert!(*wait <= bound + Duration::from_millis(10), "wait {failures} is {wait:?}, over {bound:?}");
    }
    let (early, late): (Duration, Duration) = (waits[..5].iter().sum(), waits[20..25].iter().sum());
    assert!(late > early * 4, "{early:?} {late:?}");
    assert_eq!(harness.reconciled("web").await.0, "True");

    harness.family.failures.store(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(harness.reconciled("web").await.0, "True", "the first wait again is a short one");
}
