//! A registry on the test cluster: how long it takes from the resource to Ready and what is waited for meanwhile, next to
//! what the same cluster needs in the same run for the same pods made all at once; and pushing and pulling an image of
//! 100 MB through the front door by token, next to the same image by the same client to and from the same program alone.
//! Images are on the nodes.
//!
//! Core, jobservice and registryctl are the stand-ins of tests/harbor; PostgreSQL, Redis, HAProxy, the registry and
//! skopeo are real.
//!
//! `ROUNDS` (3), each with a registry made anew, and `COPIES` (5) of the last one.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code, unreachable_pub)]

#[path = "../../tests/e2e/cluster.rs"]
mod cluster;
mod copies;
mod floor;
mod ready;
#[path = "../../tests/e2e/sandbox.rs"]
mod sandbox;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../tests/e2e/wait.rs"]
mod wait;

use fairway::api::Harbor;

use self::{
    copies::Copies,
    ready::{NAME, Stages},
    sandbox::Sandbox,
    support::{LEGEND, Times, fleet::number, head, ratio, row},
};

fn main() {
    sandbox::restricted("bench", async |sandbox| measure(sandbox, number("ROUNDS", 3), number("COPIES", 5)).await);
}

async fn measure(sandbox: &Sandbox, rounds: usize, copies: usize) {
    let (mut stages, mut floor) = (Stages::default(), Times::default());
    for round in 1..=rounds {
        stages.add(ready::measured(sandbox).await);
        floor.add(floor::measured(sandbox).await);
        if round < rounds {
            sandbox.delete::<Harbor>(NAME).await;
            ready::gone(sandbox).await;
        }
    }
    println!("From the resource to Ready. {LEGEND} {rounds} rounds.\n");
    stages.tell();
    println!();
    head(&["the same pods at once", "Ready / the same pods at once"]);
    row(&[floor.cell(), ratio(stages.ready(), &floor)]);

    let Copies { ours, bare } = copies::measured(sandbox, copies).await;
    println!("\n{} MB in {} layers, {copies} times each. {LEGEND}\n", copies::MEGABYTES, copies::LAYERS);
    head(&["", "through the front door", "the registry alone", "front door / alone"]);
    for (what, ours, bare) in [("push", &ours.push, &bare.push), ("pull", &ours.pull, &bare.pull)] {
        row(&[what.to_owned(), ours.cell(), bare.cell(), ratio(ours, bare)]);
    }
    println!("\nload {}", support::fleet::load());
}
