//! How long planning and rendering take, next to what HAProxy takes to check the same file: in turn and in one
//! run, so that the ratio holds on a noisy machine. All of it is done by one thread.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, dead_code)]

mod support;

use std::{fs, path::Path, process::Command};

use fairway::{
    agent::{
        change::{Change, Situation, Version, plan_change, touched},
        layout::with_spares,
        protocol::{Configuration, MAIN_FILE, Proven, Report},
    },
    api::{ConfigurationStatus, LoadBalancer},
    clients::haproxy::{Slot, Slots},
    loadbalancer::{
        config::{Backend, BackendSettings, Balance, HaproxyConfig, Mode, Server, render},
        plan,
        world::{Replica, World},
    },
};
use jiff::Timestamp;
use serde_json::json;

use support::{LEGEND, Times, head, ratio, rendered, row, world};

const ROUNDS: usize = 21;
const BACKENDS: usize = 10_000;
/// Of each of them.
const SERVERS: u16 = 4;

fn main() {
    println!("Planning. {LEGEND} {ROUNDS} rounds.\n");
    head(&["load balancer", "configuration", "from nothing", "one member changes", "`haproxy -c`", "change / check"]);
    for pools in [1, 10, 100] {
        load_balancers(pools);
    }
    println!("\nRendering, and the agent's plan of one member's change.\n");
    head(&["backends × servers", "configuration", "render", "one member changes", "`haproxy -c`", "render / check"]);
    backends();
    println!();
}

/// A load balancer of this many pools of 64 members, each behind a listener of its own.
fn load_balancers(pools: usize) {
    let mut resource = load_balancer(pools);
    let mut settled = world();
    let configuration = rendered(&resource);
    settle(&mut resource, &mut settled, &configuration);
    let mut changed = resource.clone();
    changed.spec.pools[0].members[0].weight = 7;

    let folder = tempfile::tempdir().unwrap();
    for (name, content) in &configuration.files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let [mut whole, mut change, mut check] = [(); 3].map(|()| Times::default());
    let fresh = world();
    for _ in 0..ROUNDS {
        whole.time(|| plan::plan(&resource, &fresh, Timestamp::UNIX_EPOCH));
        change.time(|| plan::plan(&changed, &settled, Timestamp::UNIX_EPOCH));
        check.time(|| checked(folder.path()));
    }
    let ratio = ratio(&change, &check);
    let [whole, change, check] = [whole, change, check].map(|times| times.cell());
    let size = configuration.files[MAIN_FILE].len();
    row(&[format!("{pools} × 64 members"), kilobytes(size), whole, change, check, ratio]);
}

fn kilobytes(size: usize) -> String {
    format!("{} kB", size / 1000)
}

/// More than one load balancer may have: what the parts of the way cost, far beyond its bounds.
fn backends() {
    let mut config = HaproxyConfig { frontends: vec![], backends: (0..BACKENDS).map(backend).collect() };
    let running = render(&config);
    let folder = tempfile::tempdir().unwrap();
    // HAProxy refuses to run without anything to listen on.
    let listens = "frontend web\n    bind 127.0.0.1:1\n    default_backend pool0.http\n";
    fs::write(folder.path().join(MAIN_FILE), format!("{}\n{listens}", running[MAIN_FILE])).unwrap();
    config.backends[0].servers[0].weight = 7;
    let wanted = render(&config);
    let read = |files| Version::read(files).unwrap();
    let spared = with_spares(&running[MAIN_FILE], usize::MAX);
    let loaded = read([(MAIN_FILE.to_owned(), spared)].into());
    let (running, size) = (read(running), wanted[MAIN_FILE].len());
    let slots = slots(&loaded, "pool0.http");
    let [mut rendering, mut change, mut check] = [(); 3].map(|()| Times::default());
    for _ in 0..ROUNDS {
        rendering.time(|| render(&config));
        change.time(|| {
            let wanted = read(wanted.clone());
            assert_eq!(touched(&loaded, &running, &wanted).unwrap().len(), 1);
            let change =
                plan_change(Situation { loaded: &loaded, running: &running, slots: &slots, adds: false }, &wanted);
            assert!(matches!(change, Change::Commands(commands) if commands.len() == 1));
        });
        check.time(|| checked(folder.path()));
    }
    let ratio = ratio(&rendering, &check);
    let [rendering, change, check] = [rendering, change, check].map(|times| times.cell());
    row(&[format!("{BACKENDS} × {SERVERS}"), kilobytes(size), rendering, change, check, ratio]);
}

fn backend(number: usize) -> Backend {
    let [.., high, low] = number.to_be_bytes();
    let server = |member: u16| Server::new(None, [10, 0, high, low].into(), 8000 + member, 100);
    let settings = BackendSettings {
        balance: Balance::RoundRobin,
        check: None,
        persistence: None,
        tls: None,
        send_proxy: None,
        slow_start: None,
        connect_timeout: 5,
        server_timeout: 50,
    };
    Backend {
        name: format!("pool{number}.http"),
        mode: Mode::Http,
        settings,
        servers: (0..SERVERS).map(server).collect(),
    }
}

/// As the worker tells them once it has loaded its configuration.
fn slots(loaded: &Version, backend: &str) -> Slots {
    let servers = loaded.backend(backend).unwrap().servers.iter().map(|server| Slot {
        name: server.name.clone(),
        address: Some(server.address),
        check: server.check,
        maintenance: !server.enabled,
        drained: false,
        weight: server.weight,
        busy: false,
    });
    [(backend.to_owned(), servers.collect())].into()
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
