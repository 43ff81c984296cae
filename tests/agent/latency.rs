//! How long a push takes, from the operator's call to the proof.

use std::time::{Duration, Instant};

use crate::pod::Pod;

const PUSHES: u64 = 40;

#[tokio::test]
async fn a_push_takes_far_less_than_a_second() {
    let pod = Pod::running().await;
    let mut times: Vec<Duration> = Vec::new();
    for sequence in 2..2 + PUSHES {
        let configuration = pod.says(sequence, &format!("text{sequence}"));
        let start = Instant::now();
        pod.push(&configuration).await.expect("taken");
        times.push(start.elapsed());
    }
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(median < Duration::from_secs(1), "median {median:?}, worst {worst:?}");
}
