//! How long a change takes from the operator's call over mutual TLS to the proof: of a member while HAProxy runs,
//! and by a reload, in turn and in one run, next to the floor of a mere report over the same connection and of
//! one command on HAProxy's socket.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, dead_code)]

#[path = "../tests/agent/pod.rs"]
mod pod;

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use fairway::{agent::protocol::Configuration, clients::haproxy::Socket};

use pod::Pod;

const ROUNDS: u64 = 40;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("Median / 99th percentile in ms, of {ROUNDS} rounds.\n");
    println!("| pools × members | report | socket command | member change | reload | reload / change | reloads |");
    println!("|---|---|---|---|---|---|---|");
    for (pools, members) in [(1, 4), (10, 64), (100, 10)] {
        row(pools, members).await;
    }
}

/// The first pool has one member more in every other configuration; `timeout` needs a reload.
fn configuration(pod: &Pod, sequence: u64, (pools, members): (u8, u8), timeout: u64) -> Configuration {
    let mut rest = format!("    timeout client {timeout}s\n    default_backend pool0\n");
    for pool in 0..pools {
        let more = u8::from(pool == 0 && sequence % 2 == 1);
        writeln!(rest, "\nbackend pool{pool}").unwrap();
        for member in 0..members + more {
            // Nobody is there: what is measured is not their answer.
            let address = format!("127.9.{pool}.{member}:9");
            writeln!(rest, "    server {address} {address} weight 100").unwrap();
        }
    }
    pod.configuration(sequence, &rest)
}

async fn row(pools: u8, members: u8) {
    let pod = Pod::running().await;
    let shape = (pools, members);
    pod.push(&configuration(&pod, 2, shape, 30)).await.unwrap();
    let worker = Socket::new(&pod.path("run/worker.sock"), Duration::from_secs(5));
    let (mut report, mut command, mut change, mut reload) = (vec![], vec![], vec![], vec![]);
    let before = pod.report().await.reloads;
    for round in 0..ROUNDS {
        let start = Instant::now();
        pod.report().await;
        report.push(start.elapsed());
        let start = Instant::now();
        worker.ask("set server pool0/127.9.0.0:9 weight 100").await.unwrap();
        command.push(start.elapsed());
        // A member more at run time; by the reload it is gone again, and the slots are as they were.
        let wanted = configuration(&pod, 3 + 2 * round, shape, 30 + round);
        let start = Instant::now();
        pod.push(&wanted).await.unwrap();
        change.push(start.elapsed());
        let wanted = configuration(&pod, 4 + 2 * round, shape, 31 + round);
        let start = Instant::now();
        pod.push(&wanted).await.unwrap();
        reload.push(start.elapsed());
    }
    let reloads = pod.report().await.reloads - before;
    assert_eq!(reloads, ROUNDS, "each second change alone is a reload");
    let ratio = at(&mut reload, 50).as_secs_f64() / at(&mut change, 50).as_secs_f64();
    let [report, command, change, reload] = [report, command, change, reload].map(spread);
    println!("| {pools} × {members} | {report} | {command} | {change} | {reload} | {ratio:.1} | {reloads} |");
}

fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn spread(mut times: Vec<Duration>) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    format!("{:.2} / {:.2}", milliseconds(at(&mut times, 50)), milliseconds(at(&mut times, 99)))
}
