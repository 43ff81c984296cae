//! How long planning and rendering take, next to what HAProxy takes to check the same file: side by side in
//! one run, so that the ratio holds on a noisy machine.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use fairway::{
    agent::protocol::{Configuration, MAIN_FILE, Proven, Report},
    api::{ConfigurationStatus, LoadBalancer},
    loadbalancer::{
        plan::{self, objects::read_configuration},
        world::{Identity, Replica, World},
    },
};
use jiff::Timestamp;
use serde_json::json;

const ROUNDS: usize = 21;

fn main() {
    println!("Median (least to most) of {ROUNDS} rounds, each measured in turn with the others.\n");
    println!(
        "| load balancer | configuration | plan from nothing | plan one member change | `haproxy -c` | change / check |"
    );
    println!("|---|---|---|---|---|---|");
    for pools in [1, 10, 100] {
        row(pools);
    }
}

/// A load balancer of this many pools of 64 members, each behind a listener of its own.
fn row(pools: usize) {
    let mut resource = load_balancer(pools);
    let mut world = World { identity: Some(Identity { renew: None }), ..World::default() };
    let configuration = configuration(&resource, &world);
    settle(&mut resource, &mut world, &configuration);
    let mut changed = resource.clone();
    changed.spec.pools[0].members[0].weight = 7;

    let folder = tempfile::tempdir().unwrap();
    for (name, content) in &configuration.files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let (mut whole, mut change, mut check) = (vec![], vec![], vec![]);
    let fresh = World { identity: Some(Identity { renew: None }), ..World::default() };
    for _ in 0..ROUNDS {
        whole.push(timed(|| plan::plan(&resource, &fresh, Timestamp::UNIX_EPOCH)));
        change.push(timed(|| plan::plan(&changed, &world, Timestamp::UNIX_EPOCH)));
        check.push(timed(|| checked(folder.path())));
    }
    let ratio = median(&mut change).as_secs_f64() / median(&mut check).as_secs_f64();
    println!(
        "| {pools} × 64 members | {} kB | {} | {} | {} | {ratio:.3} |",
        configuration.files[MAIN_FILE].len() / 1000,
        spread(&mut whole),
        spread(&mut change),
        spread(&mut check),
    );
}

fn load_balancer(pools: usize) -> LoadBalancer {
    let members = |pool: usize| -> Vec<_> {
        (0..64).map(|member| json!({ "address": format!("10.1.{pool}.{member}"), "port": 8080 })).collect()
    };
    let spec = json!({
        "listeners": (0..pools).map(|pool| json!({
            "name": format!("l{pool}"), "protocol": "HTTP", "port": 10_000 + pool, "pool": format!("p{pool}"),
        })).collect::<Vec<_>>(),
        "pools": (0..pools).map(|pool| json!({
            "name": format!("p{pool}"), "monitor": { "type": "TCP" }, "members": members(pool),
        })).collect::<Vec<_>>(),
    });
    LoadBalancer::new("bench", serde_json::from_value(spec).unwrap())
}

fn configuration(resource: &LoadBalancer, world: &World) -> Configuration {
    let plan = plan::plan(resource, world, Timestamp::UNIX_EPOCH);
    let secret = plan.objects.iter().find(|object| object.types.as_ref().unwrap().kind == "Secret").unwrap();
    read_configuration(&serde_json::from_value(secret.data["data"].clone()).unwrap()).unwrap()
}

/// Two replicas that have proven the configuration.
fn settle(resource: &mut LoadBalancer, world: &mut World, configuration: &Configuration) {
    let proven = Proven { hash: configuration.hash(), sequence: configuration.sequence };
    let replica = |pod: &str| Replica {
        pod: pod.to_owned(),
        address: Some([10, 0, 0, 1].into()),
        ready: true,
        report: Some(Ok(Report { proven: Some(proven.clone()), ..Report::default() })),
        ..Replica::default()
    };
    world.replicas = vec![replica("a"), replica("b")];
    world.configuration = Some(ConfigurationStatus { hash: proven.hash.clone(), sequence: proven.sequence });
    resource.status = Some(plan::plan(resource, world, Timestamp::UNIX_EPOCH).status);
}

fn checked(folder: &Path) {
    let output = Command::new("haproxy").args(["-c", "-f", MAIN_FILE]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn timed<T>(act: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(act());
    start.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn spread(times: &mut [Duration]) -> String {
    let median = median(times);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    format!(
        "{:.2} ms ({:.2}–{:.2})",
        milliseconds(median),
        milliseconds(times[0]),
        milliseconds(times[times.len() - 1])
    )
}
