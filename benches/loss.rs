//! A hundred reloads under a million requests of clients that keep their connections and clients that close them:
//! how many requests are lost. Ends with an error when any is.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code)]

#[path = "../tests/agent/pod.rs"]
mod pod;
mod support;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use pod::Pod;
use support::{
    LEGEND, Times,
    client::Client,
    haproxy::{Haproxy, free_addresses},
    head, mark, row,
};

const RELOADS: u64 = 100;
const REQUESTS: u64 = 1_000_000;
/// On a machine that has not the time for all requests, fewer are made.
const LONGEST: Duration = Duration::from_secs(150);
/// Clients that keep their connections and those that don't; some of the first are idle most of the time.
const KEEPING: usize = 24;
const CLOSING: usize = 8;
const IDLE: usize = 16;

#[derive(Default)]
struct Counts {
    ended: AtomicBool,
    keeping: AtomicU64,
    closing: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    fn requests(&self) -> u64 {
        self.keeping.load(Ordering::Relaxed) + self.closing.load(Ordering::Relaxed)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let [member] = free_addresses(1)[..] else { unreachable!() };
    let _members = Haproxy::members(&[member]);
    let mut pod = Pod::new();
    pod.look = "2";
    let pod = pod.run().await;
    let wanted = |sequence: u64| {
        let timeout = 1_000 + sequence;
        let rest = format!(
            "    timeout client {timeout}s\n    default_backend pool\nbackend pool\n    server m1 {member} check\n"
        );
        pod.configuration(sequence, &rest)
    };
    pod.push(&wanted(2)).await.unwrap();
    let before = pod.report().await.reloads;
    let counts = Arc::new(Counts::default());
    let mut clients = start(&pod, &counts);
    let (start, mut reload) = (Instant::now(), Times::default());
    for number in 1..=RELOADS {
        let configuration = wanted(2 + number);
        reload.wait(pod.push(&configuration)).await.unwrap();
        let due = number * REQUESTS / RELOADS;
        let latest = LONGEST * u32::try_from(number).unwrap() / u32::try_from(RELOADS).unwrap();
        while counts.requests() < due && start.elapsed() < latest {
            sleep(Duration::from_millis(5)).await;
        }
    }
    counts.ended.store(true, Ordering::Relaxed);
    let took = start.elapsed();
    while clients.join_next().await.is_some() {}
    let reloads = pod.report().await.reloads - before;
    println!("Reloads under traffic. {LEGEND}\n");
    head(&["reloads", "keep-alive requests", "closing requests", "lost", "requests a second", "reload"]);
    let [keeping, closing, lost] =
        [&counts.keeping, &counts.closing, &counts.lost].map(|count| count.load(Ordering::Relaxed));
    let rate = u128::from(counts.requests()) * 1_000 / took.as_millis();
    let numbers = [reloads, keeping, closing, lost].map(|number| number.to_string());
    row(&[&numbers[..], &[rate.to_string(), reload.cell()]].concat());
    println!();
    mark(&format!("Lost: {lost}"), "none", lost == 0);
    println!();
    if lost == 0 && reloads == RELOADS { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(pod: &Pod, counts: &Arc<Counts>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..KEEPING + IDLE + CLOSING {
        let (counts, keeps) = (counts.clone(), number < KEEPING + IDLE);
        let pause =
            Duration::from_millis(if (KEEPING..KEEPING + IDLE).contains(&number) { 3 * number as u64 } else { 0 });
        let mut client = Client::new(pod.web(), keeps);
        clients.spawn(async move {
            while !counts.ended.load(Ordering::Relaxed) {
                if let Err(error) = client.ask().await {
                    eprintln!("lost: {error}");
                    counts.lost.fetch_add(1, Ordering::Relaxed);
                }
                let count = if keeps { &counts.keeping } else { &counts.closing };
                count.fetch_add(1, Ordering::Relaxed);
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
        });
    }
    clients
}
