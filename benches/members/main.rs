//! How long a member change takes in a fleet that changes all the time: from the PATCH of an `EndpointSlice` to
//! the running worker, through a real API server, the operator as a process of its own, the agents' real code and
//! real HAProxy processes; next to what the same machine needs in the same run for the PATCH itself, and for the
//! least that anybody could do: a raw watch and one command on HAProxy's socket.
//!
//! `FLEET` load balancers (500), `RATE` changes a second (20), for `TIME` seconds (60).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    dead_code
)]

mod floor;
mod pod;
#[path = "../../tests/api/server.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fairway::api::LoadBalancer;
use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::api::{
    core::v1::{Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use self::{
    floor::Floor,
    pod::Pod,
    support::{
        LEGEND, Times,
        fleet::{FLEET, OURS, Operator, load, make_namespace, number, until, until_ended, writes},
        head, mark, row, times,
    },
};

/// Each Service has that many endpoints.
const MEMBERS: usize = 4;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    until_ended(Box::pin(measure())).await;
}

/// What all changes cost.
struct Cost {
    reloads: u64,
    writes: u64,
    turns: u64,
    processor: Duration,
    took: Duration,
}

/// What a change took.
struct Change {
    patch: Duration,
    live: Duration,
}

async fn measure() {
    let (fleet, rate, time) = (number("FLEET", 500), number("RATE", 20), number("TIME", 60));
    let client = server::client().await;
    make_namespace(&client).await;
    let operator = Operator::start(server::kubeconfig().await);
    let pods: Arc<Vec<Pod>> = Arc::new(begin(&client, fleet).await);
    let floor = Floor::start(&client).await;
    // The first changes of a process are none of a fleet that changes all the time.
    let first = rate.min(fleet);
    run(&client, &pods, &floor, (0, first, rate)).await;

    let writes_before = writes(&client, &OURS).await;
    let (processor, reloads) = (operator.processor(), reloads(&pods).await);
    let turns = operator.turns().await;
    let begun = Instant::now();
    let (changes, floor) = run(&client, &pods, &floor, (first, rate * time, rate)).await;
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cost = Cost {
        reloads: self::reloads(&pods).await - reloads,
        writes: writes(&client, &OURS).await - writes_before,
        turns: operator.turns().await - turns,
        processor: operator.processor().saturating_sub(processor),
        took,
    };
    println!("{} changes, {rate} a second, {fleet} load balancers; load {}. {LEGEND}\n", changes.len(), load());
    tell(&changes, &floor, &cost, operator.memory().0);
    assert_eq!(cost.reloads, 0, "a member change reloads nothing");
}

fn tell(changes: &[Change], floor: &Times, cost: &Cost, memory: f64) {
    let [mut patch, mut live] = [(); 2].map(|()| Times::default());
    for change in changes {
        patch.add(change.patch);
        live.add(change.live);
    }
    head(&["", "ms"]);
    row(&["PATCH of the EndpointSlice".to_owned(), patch.cell()]);
    row(&["to the command's answer: a raw watch, one socket command".to_owned(), floor.cell()]);
    row(&["to the running worker: Fairway".to_owned(), live.cell()]);
    println!();
    let Cost { reloads, writes, turns, processor, took } = cost;
    let (count, processor) = (changes.len() as f64, processor.as_secs_f64());
    head(&[
        "reloads",
        "writes a change",
        "turns a change",
        "operator: ms of processor a change",
        "of a core",
        "memory",
    ]);
    row(&[
        reloads.to_string(),
        format!("{:.2}", *writes as f64 / count),
        format!("{:.2}", *turns as f64 / count),
        format!("{:.2}", processor * 1000.0 / count),
        format!("{:.1} %", processor * 100.0 / took.as_secs_f64()),
        format!("{:.0} MB", memory / 1000.0),
    ]);
    println!();
    let (ratio, of_floor, late) = (times(&live, &patch), times(floor, &patch), live.at(99));
    mark(&format!("Live / PATCH: {ratio:.2}; the floor's: {of_floor:.2}"), "at most 2", ratio <= 2.0);
    mark(&format!("99th percentile: {late:.0?}"), "below 100 ms", late < Duration::from_millis(100));
    mark(&format!("Reloads: {reloads}"), "none", *reloads == 0);
    println!();
}

/// All load balancers, programmed, with their pods.
async fn begin(client: &Client, fleet: usize) -> Vec<Pod> {
    let making = (0..fleet).map(|number| make(client.clone(), number));
    stream::iter(making).buffer_unordered(16).collect::<Vec<()>>().await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), FLEET);
    until("every Secret", Duration::from_mins(3), async || {
        secrets.list_metadata(&ListParams::default()).await.unwrap().items.len() >= 2 * fleet
    })
    .await;
    let starting = (0..fleet).map(|number| Pod::start(client.clone(), number));
    let pods = stream::iter(starting).buffer_unordered(8).collect::<Vec<_>>().await;
    let resources: Api<LoadBalancer> = Api::namespaced(client.clone(), FLEET);
    until("every load balancer to be programmed", Duration::from_mins(3), async || {
        let proven = |resource: &&LoadBalancer| resource.status.as_ref().is_some_and(|it| it.proven_replicas == 1);
        resources.list(&ListParams::default()).await.unwrap().iter().filter(proven).count() == fleet
    })
    .await;
    let mut pods = pods;
    pods.sort_by_key(|pod| pod.number);
    pods
}

async fn make(client: Client, number: usize) {
    let name = format!("app-{number}");
    let service = json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] } });
    let service: Service = serde_json::from_value(service).unwrap();
    Api::namespaced(client.clone(), FLEET).create(&PostParams::default(), &service).await.unwrap();
    let slice: EndpointSlice = serde_json::from_value(slice(&name, &addresses(number, 0))).unwrap();
    Api::namespaced(client.clone(), FLEET).create(&PostParams::default(), &slice).await.unwrap();
    let spec = json!({
        "replicas": 1,
        "listeners": [{ "name": "web", "protocol": "HTTP", "port": pod::web_port(number), "pool": "app" }],
        "pools": [{ "name": "app", "services": [{ "name": name, "port": 80 }] }],
    });
    let resource = LoadBalancer::new(&format!("web-{number}"), serde_json::from_value(spec).unwrap());
    Api::namespaced(client, FLEET).create(&PostParams::default(), &resource).await.unwrap();
}

/// The members of one Service after so many changes: each puts another in the place of one.
fn addresses(number: usize, changes: usize) -> Vec<String> {
    let address = |place: usize| {
        // The one whose turn it is was changed last.
        let age = (changes + MEMBERS - 1 - place) / MEMBERS;
        format!("10.{}.{}.{}", number / 250, number % 250, 1 + place + MEMBERS * (age % 50))
    };
    (0..MEMBERS).map(address).collect()
}

pub(crate) fn slice(service: &str, addresses: &[String]) -> serde_json::Value {
    let endpoints: Vec<_> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
    json!({
        "metadata": { "name": service, "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "ports": [{ "port": 8080 }],
        "endpoints": endpoints,
    })
}

/// So many changes, one after the other at a rate, to one load balancer after the other; and what the floor took,
/// for every fourth.
async fn run(
    client: &Client,
    pods: &Arc<Vec<Pod>>,
    floor: &Floor,
    (first, count, rate): (usize, usize, usize),
) -> (Vec<Change>, Times) {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate as u32);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut changes, mut floors) = (vec![], vec![]);
    for number in first..first + count {
        pace.tick().await;
        let (client, pods) = (client.clone(), Arc::clone(pods));
        changes.push(tokio::spawn(async move {
            let times = 1 + number / pods.len();
            change(&client, &pods[number % pods.len()], times).await
        }));
        if number % 4 == 0 {
            floors.push(floor.once(number));
        }
    }
    let changes = join_all(changes).await.into_iter().map(Result::unwrap).collect();
    let mut least = Times::default();
    join_all(floors).await.into_iter().for_each(|time| least.add(time.unwrap()));
    (changes, least)
}

async fn change(client: &Client, pod: &Pod, times: usize) -> Change {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), FLEET);
    let (before, now) = (addresses(pod.number, times - 1), addresses(pod.number, times));
    let new = now.iter().find(|address| !before.contains(address)).unwrap();
    let name = format!("app-{}", pod.number);
    let patch = Patch::Merge(json!({ "endpoints": slice(&name, &now)["endpoints"] }));
    let start = Instant::now();
    let patching = async {
        slices.patch(&name, &PatchParams::default(), &patch).await.unwrap();
        start.elapsed()
    };
    let living = async {
        pod.serves(new).await;
        start.elapsed()
    };
    let (patch, live) = tokio::join!(patching, living);
    Change { patch, live }
}

async fn reloads(pods: &[Pod]) -> u64 {
    join_all(pods.iter().map(Pod::reloads)).await.into_iter().sum()
}
