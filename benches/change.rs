//! How long a change takes from the operator's call over mutual TLS to the proof: of a member while HAProxy runs,
//! and by a reload, next to the floor of a mere report over the same connection and of one command on HAProxy's
//! socket. And what the agent costs while nothing changes.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code)]

#[path = "../tests/agent/pod.rs"]
mod pod;
mod support;

use std::{fmt::Write, fs, time::Duration};

use fairway::{agent::protocol::Configuration, clients::haproxy::Socket};

use pod::Pod;
use support::{LEGEND, Times, head, ratio, row};

/// Changes of a member, and reloads.
const CHANGES: u64 = 200;
const RELOADS: u64 = 20;
/// How long the agent is watched while nothing changes.
const REST: Duration = Duration::from_secs(10);
/// Of the kernel's counts of CPU time (`USER_HZ`), in milliseconds.
const TICK: u64 = 10;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("Changes. {LEGEND} {CHANGES} changes of a member and {RELOADS} reloads, each in turn with the floors.\n");
    head(&["pools × members", "report", "socket command", "member change", "reload", "reload / change", "reloads"]);
    let mut rest = vec![];
    for shape in [(1, 4), (10, 64), (100, 10)] {
        let pod = changes(shape).await;
        rest.push(at_rest(shape, pod).await);
    }
    println!("\nThe agent at rest, over {REST:?}; it looks every two seconds.\n");
    head(&["pools × members", "memory now", "memory at most", "CPU of one core"]);
    for cells in rest {
        row(&cells);
    }
    println!();
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

async fn changes(shape: (u8, u8)) -> Pod {
    let mut pod = Pod::new();
    pod.look = "2";
    let pod = pod.run().await;
    pod.push(&configuration(&pod, 2, shape, 30)).await.unwrap();
    let worker = Socket::new(&pod.path("run/worker.sock"), Duration::from_secs(5));
    let [mut report, mut command, mut change, mut reload] = [(); 4].map(|()| Times::default());
    let before = pod.report().await.reloads;
    for sequence in 3..3 + CHANGES {
        report.wait(pod.report()).await;
        command.wait(worker.ask("set server pool0/127.9.0.0:9 weight 100")).await.unwrap();
        let wanted = configuration(&pod, sequence, shape, 30);
        change.wait(pod.push(&wanted)).await.unwrap();
    }
    assert_eq!(pod.report().await.reloads, before, "no change of a member is a reload");
    for round in 1..=RELOADS {
        let wanted = configuration(&pod, 2 + CHANGES + round, shape, 30 + round);
        reload.wait(pod.push(&wanted)).await.unwrap();
    }
    let reloads = pod.report().await.reloads - before;
    assert_eq!(reloads, RELOADS);
    let ratio = ratio(&reload, &change);
    let [report, command, change, reload] = [report, command, change, reload].map(|times| times.cell());
    row(&[name(shape), report, command, change, reload, ratio, reloads.to_string()]);
    pod
}

fn name((pools, members): (u8, u8)) -> String {
    format!("{pools} × {members}")
}

async fn at_rest(shape: (u8, u8), pod: Pod) -> [String; 4] {
    let process = format!("/proc/{}", pod.agent.process());
    let used = || -> u64 {
        let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
        // After the program's name: the state is the third field, the times are the 14th and 15th.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    let before = used();
    tokio::time::sleep(REST).await;
    let used = Duration::from_millis((used() - before) * TICK);
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let memory = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        format!("{:.1} MiB", kilobytes / 1024.0)
    };
    let percent = 100.0 * used.as_secs_f64() / REST.as_secs_f64();
    [name(shape), memory("VmRSS:"), memory("VmHWM:"), format!("{percent:.1} %")]
}
