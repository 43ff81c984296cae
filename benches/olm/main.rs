//! How long it takes to be installed and upgraded by the Operator Lifecycle Manager, on the test cluster with the real
//! one, and what the operator takes at rest; next to what the same cluster needs in the same run for the same images
//! without OLM. `make bench-olm` brings all of it up.
//!
//! `ROUNDS` (3): each installs, measures, upgrades and takes away again.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code, unreachable_pub)]

#[path = "../../tests/e2e/application.rs"]
mod application;
#[path = "../../tests/e2e/balancer.rs"]
mod balancer;
#[path = "../../tests/e2e/client.rs"]
mod client;
#[path = "../../tests/e2e/cluster.rs"]
mod cluster;
mod floor;
#[path = "../../tests/e2e/olm/operator.rs"]
mod operator;
#[path = "../../tests/e2e/processes.rs"]
mod processes;
mod rest;
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

use std::time::Instant;

use self::{
    application::Application,
    balancer::Balancer,
    operator::{Catalog, FIRST, NEXT, Operator},
    rest::Rest,
    sandbox::Sandbox,
    served::{balanced, served},
    support::{LEGEND, Times, fleet::number, head, ratio, row},
    traffic::Speech,
};

/// What was measured; each beside its floor.
#[derive(Default)]
struct Figures {
    installed: Times,
    rolled_out: Times,
    served: Times,
    answered: Times,
    upgraded: Times,
    rolled_over: Times,
    led: Times,
    at_rest: Vec<Rest>,
}

fn main() {
    let rounds = number("ROUNDS", 3);
    let mut figures = Figures::default();
    for _ in 0..rounds {
        sandbox::without_operator("bench", async |sandbox| round(sandbox, &mut figures).await);
    }
    tell(&figures, rounds);
}

async fn round(sandbox: &Sandbox, figures: &mut Figures) {
    let operator = Operator::prepare(sandbox).await;
    operator.offer(Catalog::First).await;
    operator.watch(&[]).await;
    let begun = Instant::now();
    Application::start(sandbox, "app", 2).await;
    floor::answers(sandbox, "app").await;
    figures.answered.add(begun.elapsed());
    let images = floor::images();
    figures.rolled_out.wait(floor::rolls_out(sandbox, &images[0])).await;
    figures.rolled_over.wait(floor::rolls_out(sandbox, &images[1])).await;
    floor::ends(sandbox).await;

    let begun = Instant::now();
    operator.subscribe("stable-v1", "Manual").await;
    operator.approve(&operator.asks(FIRST).await).await;
    let balancer = Balancer::named(sandbox, "web");
    balancer.write(&balanced()).await;
    let installed = async {
        operator.succeeded(FIRST).await;
        begun.elapsed()
    };
    let serves = async {
        served(&balancer.service(80, Speech::Http).await).await;
        begun.elapsed()
    };
    let (installed, serves) = tokio::join!(installed, serves);
    figures.installed.add(installed);
    figures.served.add(serves);
    operator.installed(FIRST).await;
    balancer.programmed(wait::POD).await;
    figures.led.add(rest::led(&operator).await);
    figures.at_rest.push(rest::at_rest(&operator, &images[0]).await);

    operator.offer(Catalog::Both).await;
    let plan = operator.asks(NEXT).await;
    let begun = Instant::now();
    operator.approve(&plan).await;
    operator.installed(NEXT).await;
    figures.upgraded.add(begun.elapsed());
    sandbox.delete::<fairway::api::LoadBalancer>("web").await;
    operator.remove(&[]).await;
}

fn tell(figures: &Figures, rounds: usize) {
    let Figures { installed, rolled_out, served, answered, upgraded, rolled_over, led, at_rest } = figures;
    println!("{rounds} rounds, images are on the nodes, the catalog serves. {LEGEND}\n");
    head(&["by OLM", "ms", "floor", "ms", "times the floor"]);
    let floors = [
        ("Subscription to CSV Succeeded", installed, "a Deployment of the same image", rolled_out),
        ("Subscription to the first request served", served, "an application of its own, and its Service", answered),
        (
            "upgrade: approved to the next alone installed",
            upgraded,
            "the same Deployment to the next image",
            rolled_over,
        ),
    ];
    for (what, times, floor, least) in floors {
        row(&[what.to_owned(), times.cell(), floor.to_owned(), least.cell(), ratio(times, least)]);
    }
    println!();
    head(&["the operator", ""]);
    row(&["waiting to lead to leading, ms".to_owned(), led.cell()]);
    let Some(last) = at_rest.last() else { return };
    row(&["image, as pulled, MB".to_owned(), format!("{:.1}", last.image / 1e6)]);
    row(&[
        "memory at rest with one load balancer, MB (of these, file pages)".to_owned(),
        format!("{:.1} ({:.1})", last.memory / 1e3, last.file / 1e3),
    ]);
}
