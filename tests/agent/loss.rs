//! No request is lost over many reloads, by clients that close and by clients that keep their connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fairway::clients::haproxy::Socket;
use tokio::task::JoinSet;

use crate::{
    pod::{Pod, eventually},
    web::{KeepAlive, get, server},
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
    let (ended, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = JoinSet::new();
    for (close, pause) in [(true, 1), (true, 2), (false, 0), (false, 1), (false, 20), (false, 50)] {
        let (ended, answers, mut client) = (ended.clone(), answers.clone(), KeepAlive::new(pod.web(), close));
        clients.spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                if let Err(error) = client.get("/").await {
                    return Err(format!("close {close}, pause {pause}: {error}"));
                }
                answers.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Ok(())
        });
    }
    for sequence in 3..3 + RELOADS {
        let report = pod.push(&pod.configuration(sequence, &rest(sequence))).await.expect("taken");
        assert_eq!(report.reloads, sequence - 1);
    }
    ended.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        assert_eq!(client.expect("ended"), Ok(()), "after {} answers", answers.load(Ordering::Relaxed));
    }
    assert!(answers.load(Ordering::Relaxed) > 100 * RELOADS / 10, "{answers:?} answers");
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
    let worker = Socket::new(&pod.path("run/worker.sock"), Duration::from_secs(5));
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
