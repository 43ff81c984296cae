//! How long it takes from a new load balancer to the first request that it serves, on the test cluster; next to what
//! the same cluster needs in the same run for a bare pod and its Service. Every image is on the nodes.
//!
//! `ROUNDS` (10), after one that is not counted.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code, unreachable_pub)]

#[path = "../../tests/e2e/application.rs"]
mod application;
#[path = "../../tests/e2e/balancer.rs"]
mod balancer;
#[path = "../../tests/e2e/client.rs"]
mod client;
#[path = "../../tests/e2e/cluster.rs"]
mod cluster;
#[path = "../../tests/e2e/sandbox.rs"]
mod sandbox;
#[path = "../support/served.rs"]
mod served;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../tests/e2e/traffic.rs"]
mod traffic;
#[path = "../../tests/e2e/wait.rs"]
mod wait;

use std::net::{IpAddr, SocketAddr};

use fairway::api::LoadBalancer;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::json;

use self::{
    application::{Application, PORT, pod},
    balancer::Balancer,
    sandbox::Sandbox,
    served::{balanced, served},
    support::{LEGEND, Times, fleet::number, head, ratio, row},
    traffic::{Speech, Target},
};

fn main() {
    sandbox::restricted("bench", async |sandbox| measure(sandbox, number("ROUNDS", 10)).await);
}

async fn measure(sandbox: &Sandbox, rounds: usize) {
    Application::start(sandbox, "app", 2).await;
    let [mut bare, mut ours] = [(); 2].map(|()| Times::default());
    for round in 0..=rounds {
        let [mut floor, mut above] = [(); 2].map(|()| Times::default());
        floor.wait(bare_pod(sandbox)).await;
        sandbox.delete::<Pod>("bare").await;
        sandbox.delete::<Service>("bare").await;
        above.wait(load_balancer(sandbox)).await;
        sandbox.delete::<LoadBalancer>("web").await;
        if round > 0 {
            bare.extend(floor);
            ours.extend(above);
        }
    }
    println!("To the first request served. {LEGEND} {rounds} rounds.\n");
    head(&["a bare pod and its Service", "a load balancer of two pods", "load balancer / bare pod"]);
    row(&[bare.cell(), ours.cell(), ratio(&ours, &bare)]);
    println!();
}

async fn bare_pod(sandbox: &Sandbox) {
    let labels = json!({ "bare": "yes" });
    let metadata = json!({ "name": "bare", "labels": labels });
    sandbox.apply::<Pod>(json!({ "metadata": metadata, "spec": pod(&labels) })).await;
    let ports = json!([{ "port": 80, "targetPort": PORT }]);
    let spec = json!({ "selector": labels, "ports": ports });
    let service: Service = sandbox.apply(json!({ "metadata": { "name": "bare" }, "spec": spec })).await;
    answers(service.spec.and_then(|spec| spec.cluster_ip).unwrap().parse().unwrap()).await;
}

async fn load_balancer(sandbox: &Sandbox) {
    let balancer = Balancer::named(sandbox, "web");
    balancer.write(&balanced()).await;
    // It is told long before a pod has started.
    answers(balancer.address().await).await;
}

/// Waits until port 80 serves a request.
async fn answers(address: IpAddr) {
    served(&Target { address: SocketAddr::new(address, 80), speech: Speech::Http }).await;
}
