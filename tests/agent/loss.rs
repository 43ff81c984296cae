//! No request is lost over many reloads, by clients that close and by clients that keep their connection.

use std::time::Duration;

use crate::{
    pod::{Pod, eventually},
    traffic::Traffic,
    web::{get, server},
};

const RELOADS: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_over_thirty_reloads() {
    let pod = Pod::running().await;
    let backend = server("ok", Duration::ZERO).await;
    let rest = |sequence: u64| {
        format!(
            "    http-response set-header x-sequence {sequence}\n    default_backend pool\n\
             backend pool\n    server m1 {backend}\n"
        )
    };
    pod.push(&pod.configuration(2, &rest(2))).await.expect("taken");
    let traffic = Traffic::start(&pod);
    for sequence in 3..3 + RELOADS {
        let report = pod.push(&pod.configuration(sequence, &rest(sequence))).await.expect("taken");
        assert_eq!(report.reloads, sequence - 1);
    }
    let answers = traffic.end_without_loss().await;
    assert!(answers > 100 * RELOADS / 10, "{answers} answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_request_outlives_a_burst_of_reloads() {
    let pod = Pod::running().await;
    let backend = server("slow", Duration::from_secs(4)).await;
    let rest = |sequence: u64| {
        format!("    default_backend pool{sequence}\nbackend pool{sequence}\n    server m1 {backend}\n")
    };
    pod.push(&pod.configuration(2, &rest(2))).await.expect("taken");
    let web = pod.web();
    let slow = tokio::spawn(async move { get(web, "/slow").await });
    // It has reached its worker once the worker counts it.
    let worker = pod.worker();
    let counted = async || {
        let counts = worker.ask("show servers conn pool2").await.ok()?;
        let line = counts.lines().find(|line| line.starts_with("pool2/m1 "))?;
        (line.split_ascii_whitespace().nth(6)? == "1").then_some(())
    };
    eventually("the slow request is under way", counted).await;
    for sequence in 3..11 {
        pod.push(&pod.configuration(sequence, &rest(sequence))).await.expect("taken");
    }
    assert_eq!(slow.await.expect("ended").expect("an answer"), "slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_needs_no_reload_does_not_wait_for_old_workers() {
    let pod = Pod::running().await;
    let [slow, other] = [server("slow", Duration::from_secs(8)).await, server("other", Duration::ZERO).await];
    let wanted = |sequence: u64, timeout: u64, more: &str| {
        let rest = format!(
            "    timeout client {timeout}s\n    default_backend pool\nbackend pool\n    server m1 {slow} weight 1\n{more}"
        );
        pod.configuration(sequence, &rest)
    };
    pod.push(&wanted(2, 20, "")).await.expect("taken");
    let web = pod.web();
    let slow = tokio::spawn(async move { get(web, "/slow").await });
    let worker = pod.worker();
    let busy = async || worker.slots_and_use(Some("pool")).await.ok()?["pool"][0].busy.then_some(());
    eventually("the slow request is under way", busy).await;
    // As many as an old worker may outlive: another one would have to wait for it.
    for sequence in 3..6 {
        pod.push(&wanted(sequence, 20 + sequence, "")).await.expect("taken");
    }
    let report = pod.push(&wanted(6, 25, &format!("    server m2 {other} weight 1\n"))).await.expect("taken");
    assert!(!slow.is_finished(), "the change waited");
    assert_eq!((report.reloads, report.pools["pool"].len()), (4, 2));
    assert_eq!(slow.await.expect("ended").expect("an answer"), "slow");
}
