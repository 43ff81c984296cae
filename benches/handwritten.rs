//! The configuration that Fairway renders, run by the agent, next to one that an experienced administrator would
//! write for the same: how many requests a second, and how long they take, in turn, so that the ratios hold on a
//! noisy machine.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code)]

#[path = "../tests/agent/pod.rs"]
mod pod;
mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use fairway::{agent::protocol::Configuration, api::LoadBalancer};
use serde_json::json;
use tokio::task::JoinSet;

use pod::{Pod, eventually};
use support::{
    Times,
    client::Client,
    haproxy::{Haproxy, free_addresses},
    head, mark, rendered, row,
};

const ROUNDS: usize = 40;
const ROUND: Duration = Duration::from_millis(250);
const CLIENTS: usize = 16;
/// How much worse it may be.
const MARK: f64 = 0.05;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "Rendered by Fairway / written by hand: median (10th–90th percentile) of the ratios of {ROUNDS} rounds.\n"
    );
    head(&[
        "traffic",
        "requests a second",
        "written by hand",
        "throughput ratio",
        "median latency ratio",
        "p99 latency ratio",
    ]);
    let mut all = vec![];
    for (name, protocol, keeps) in
        [("HTTP, kept connections", "HTTP", true), ("HTTP, closed connections", "HTTP", false), ("TCP", "TCP", true)]
    {
        all.push((name, compare(name, protocol, keeps).await));
    }
    println!();
    for (name, [throughput, median, late]) in all {
        let met = throughput >= 1.0 - MARK && median <= 1.0 + MARK && late <= 1.0 + MARK;
        let figures = format!("{name}: throughput {throughput:.3}, latency {median:.3}, 99th percentile {late:.3}");
        mark(&figures, "within 5 %", met);
    }
    println!();
}

/// The medians of the ratios.
async fn compare(name: &str, protocol: &str, keeps: bool) -> [f64; 3] {
    let addresses = free_addresses(5);
    let (members, by_hand) = addresses.split_at(4);
    let _members = Haproxy::members(members);
    let _by_hand = Haproxy::start(&hand_written(protocol, by_hand[0], members), by_hand[0]);
    let pod = Pod::new();
    let rendered = load_balancer(protocol, pod.web_port, members);
    pod.mount_configuration(&rendered);
    let mut pod = pod;
    pod.look = "2";
    pod.start_haproxy();
    pod.start_agent();
    let web = SocketAddr::from(([127, 0, 0, 1], pod.web_port));
    eventually("the rendered one answers", async || Client::new(web, false).ask().await.ok()).await;
    let mut ratios: [Vec<f64>; 3] = Default::default();
    let mut rates: [Vec<f64>; 2] = Default::default();
    for round in 0..ROUNDS {
        // Each goes first as often as the other.
        let order = if round % 2 == 0 { [web, by_hand[0]] } else { [by_hand[0], web] };
        let mut sides = vec![traffic(order[0], keeps).await, traffic(order[1], keeps).await];
        if round % 2 == 1 {
            sides.reverse();
        }
        let ratio = |measure: fn(&(f64, Times)) -> f64| measure(&sides[0]) / measure(&sides[1]);
        ratios[0].push(ratio(|side| side.0));
        ratios[1].push(ratio(|side| side.1.median().as_secs_f64()));
        ratios[2].push(ratio(|side| side.1.at(99).as_secs_f64()));
        rates.iter_mut().zip(&sides).for_each(|(rates, side)| rates.push(side.0));
    }
    let cell = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        [values.len() / 2, values.len() / 10, values.len() * 9 / 10].map(|index| values[index])
    };
    let [rendered, by_hand] = rates.each_mut().map(|rates| format!("{:.0}", cell(rates)[0]));
    let ratios = ratios.each_mut().map(cell);
    let cells = ratios.map(|[median, low, high]| format!("{median:.3} ({low:.3}–{high:.3})"));
    row(&[&[name.to_owned(), rendered, by_hand], &cells[..]].concat());
    ratios.map(|[median, ..]| median)
}

/// Requests a second, and how long they took.
async fn traffic(address: SocketAddr, keeps: bool) -> (f64, Times) {
    let (start, mut clients) = (Instant::now(), JoinSet::new());
    for _ in 0..CLIENTS {
        let mut client = Client::new(address, keeps);
        clients.spawn(async move {
            let mut times = Times::default();
            while start.elapsed() < ROUND {
                times.wait(client.ask()).await.unwrap();
            }
            times
        });
    }
    let mut all = Times::default();
    while let Some(times) = clients.join_next().await {
        all.extend(times.unwrap());
    }
    (f64::from(u32::try_from(all.len()).unwrap()) / start.elapsed().as_secs_f64(), all)
}

fn load_balancer(protocol: &str, port: u16, members: &[SocketAddr]) -> Configuration {
    let members: Vec<_> =
        members.iter().map(|member| json!({ "address": member.ip().to_string(), "port": member.port() })).collect();
    let spec = json!({
        "listeners": [{ "name": "web", "protocol": protocol, "port": port, "pool": "app" }],
        "pools": [{ "name": "app", "monitor": { "type": "TCP" }, "members": members }],
    });
    rendered(&LoadBalancer::new("bench", serde_json::from_value(spec).unwrap()))
}

/// As many threads as the agent's has.
fn hand_written(protocol: &str, address: SocketAddr, members: &[SocketAddr]) -> String {
    let server = |(number, member): (usize, &SocketAddr)| format!("    server s{number} {member} check\n");
    let servers = (1..).zip(members).map(server).collect::<Vec<_>>().concat();
    let (mode, headers) = match protocol {
        "HTTP" => (
            "http",
            "    option forwardfor\n    http-request set-header X-Forwarded-Proto http\n    \
             http-request set-header X-Forwarded-Port 80\n",
        ),
        _ => ("tcp", ""),
    };
    format!(
        "global\n    nbthread 2\n    maxconn 4000\n\ndefaults\n    mode {mode}\n    timeout connect 5s\n    \
         timeout client 50s\n    timeout server 50s\n    timeout http-request 10s\n    timeout http-keep-alive 10s\n\n\
         frontend web\n    bind {address}\n{headers}    default_backend app\n\n\
         backend app\n    balance roundrobin\n{servers}"
    )
}
