//! What a change of a class costs that ten thousand load balancers name: writes for each, time, and the operator's
//! memory; and what an idle load balancer costs in memory. A real API server and the operator as a process of its
//! own; the pods' nodes and agents are simulated (`fleet.rs`, `tests/support/agents.rs`), so nothing but the operator's side is
//! measured.
//!
//! `FLEET` load balancers (10,000), of which the first fifth is measured by itself: what is held for each is the
//! slope between the two.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    dead_code
)]

#[path = "../../tests/support/agents.rs"]
mod agents;
mod fleet;
#[path = "../../tests/api/server.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fairway::api::{LoadBalancerClass, LoadBalancerClassSpec};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::sleep;

use self::{
    agents::Agents,
    fleet::Fleet,
    support::{
        fleet::{OURS, Operator, load, make_namespace, number, until, until_ended, writes},
        head, mark, row,
    },
};

/// How long nothing may happen before a fleet counts as idle.
const IDLE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    until_ended(Box::pin(measure())).await;
}

async fn measure() {
    let all = number("FLEET", 10_000);
    let client = server::client().await;
    make_namespace(&client).await;
    let class = LoadBalancerClass::new("gold", LoadBalancerClassSpec::default());
    let classes: Api<LoadBalancerClass> = Api::all(client.clone());
    classes.create(&PostParams::default(), &class).await.unwrap();
    let agents = Arc::new(Agents::new());
    let fleet = Fleet::start(client.clone(), Arc::clone(&agents));
    let kubeconfig = server::kubeconfig().await;
    let mut operator = Operator::start(kubeconfig);

    head(&[
        "load balancers",
        "programmed after, s",
        "writes for each",
        "memory, MB: at most",
        "and at rest",
        "by one started anew",
        "processor at rest",
    ]);
    let mut held = vec![];
    for count in [all / 5, all] {
        let (start, before) = (Instant::now(), (writes(&client, &OURS).await, fleet.made()));
        fleet.grow(count).await;
        fleet.programmed(count).await;
        let took = start.elapsed();
        idle(&client).await;
        let each = (writes(&client, &OURS).await - before.0) as f64 / (count - before.1) as f64 - 1.0;
        let (rest, most) = operator.memory();
        drop(operator);
        operator = Operator::start(kubeconfig);
        let processor = resting(&client, &operator, count).await;
        let anew = operator.memory().0;
        held.push((count, rest, anew));
        let memory = [most, rest, anew].map(|memory| format!("{:.0}", memory / 1000.0));
        let [count, took] = [count.to_string(), format!("{:.0}", took.as_secs_f64())];
        row(&[&[count, took, format!("{each:.1}")], &memory[..], &[format!("{processor:.1} %")]].concat());
    }
    let slope = |of: fn(&(usize, f64, f64)) -> f64| (of(&held[1]) - of(&held[0])) / (held[1].0 - held[0].0) as f64;
    println!("\nHeld for each idle load balancer (slope), KiB:");
    for (by, held) in [("that has made them all", slope(|held| held.1)), ("started anew", slope(|held| held.2))] {
        mark(&format!("- by the operator {by}: {held:.1}"), "below 10", held < 10.0);
    }
    println!();

    head(&["class change", "writes for each", "time, s", "processor, ms for each", "memory, MB: at most", "and after"]);
    let annotated = json!({ "metadata": { "annotations": { "example.com/note": "nothing" } } });
    let resources = json!({ "spec": { "resources": { "limits": { "cpu": "2", "memory": "512Mi" } } } });
    let mut writes_of_each = vec![];
    for (what, change) in [("none of its settings", annotated), ("resources", resources)] {
        let before = writes(&client, &OURS).await;
        operator.forget_peak();
        let (start, processor) = (Instant::now(), operator.processor());
        classes.patch("gold", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
        let took = idle(&client).await;
        let written = writes(&client, &OURS).await - before;
        let processor = operator.processor().saturating_sub(processor);
        let (after, most) = operator.memory();
        let each = written as f64 / all as f64;
        row(&[
            what.to_owned(),
            format!("{each:.3}"),
            format!("{:.1}", took.map_or(0.0, |end| end.duration_since(start).as_secs_f64())),
            format!("{:.2}", processor.as_secs_f64() * 1000.0 / all as f64),
            format!("{:.0}", most / 1000.0),
            format!("{:.0}", after / 1000.0),
        ]);
        writes_of_each.push(each);
    }
    let most = writes_of_each.into_iter().fold(0.0, f64::max);
    println!();
    mark(&format!("Writes for each: {most:.3}"), "at most 1", most <= 1.0);
    println!(
        "\nload {}; the agents were asked {} times and pushed to {} times in all.",
        load(),
        agents.asked(),
        agents.pushed()
    );
}

/// Waits until nothing is written for a while; when the last write was seen, if there was any.
async fn idle(client: &Client) -> Option<Instant> {
    let (mut last, mut since, mut seen) = (writes(client, &OURS).await, Instant::now(), None);
    while since.elapsed() < IDLE {
        sleep(Duration::from_millis(250)).await;
        let now = writes(client, &OURS).await;
        if now != last {
            (last, since) = (now, Instant::now());
            seen = Some(since);
        }
    }
    seen
}

/// Waits until an operator that was just started has looked at all, and for how much of a core it uses at rest.
async fn resting(client: &Client, operator: &Operator, count: usize) -> f64 {
    let patience = Duration::from_mins(3);
    until("the operator to have looked at all", patience, async || operator.turns().await >= count as u64).await;
    idle(client).await;
    let (start, processor) = (Instant::now(), operator.processor());
    sleep(IDLE).await;
    operator.processor().saturating_sub(processor).as_secs_f64() * 100.0 / start.elapsed().as_secs_f64()
}
