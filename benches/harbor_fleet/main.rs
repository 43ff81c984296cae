//! What an idle registry costs: the operator's memory, what it asks of the API server, of Harbor, PostgreSQL and Redis,
//! and of a processor; what it takes until a new one is ready, and what a change of the class costs that all name.
//!
//! A real API server, Deployment and Job controllers and scheduler, and the operator as a process of its own with its own
//! rights. Pods are kwok's: they say that they run, and nothing does. For all registries one PostgreSQL and one Redis
//! answer, which are real, and one stand-in (`standin.rs`) for core and the registry's program, which says that all is
//! well: every cluster IP is an address of this process, in a network namespace of its own. Registries have an Ingress in
//! front, since what a `LoadBalancer` costs is in the bench `class`, and images in a bucket that nobody asks for.
//!
//! `FLEET` registries (1,000), of which the first fifth is measured by itself: what is held for each is the slope between
//! the two. `AT_ONCE` (32) are under way at a time while they are made: a machine that has no time left for the operator
//! takes its lease from it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    dead_code
)]

#[path = "../../tests/clients/certificates.rs"]
mod certificates;
mod counts;
mod fleet;
mod machine;
#[path = "../../tests/clients/postgresql_server.rs"]
mod postgresql_server;
#[path = "../../tests/clients/redis_server.rs"]
mod redis_server;
#[path = "../../tests/api/server.rs"]
mod server;
#[path = "../../tests/clients/server_process.rs"]
mod server_process;
mod standin;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use self::{
    counts::{Counted, Counts},
    fleet::Fleet,
    support::{
        fleet::{Operator, load, make_namespace, number, until, until_ended},
        head, mark, row,
    },
};

/// What the operator counts of its requests that write.
const WRITES: &str = "fairway_api_writes_total";
/// How long nothing may be written before a fleet counts as idle.
const IDLE: Duration = Duration::from_secs(8);
/// How long a fleet at rest is watched: each registry has two turns.
const REST: Duration = Duration::from_mins(2);

fn main() {
    machine::alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(until_ended(Box::pin(measure())));
}

async fn measure() {
    let all = number("FLEET", 1_000);
    let client = server::client().await;
    let kubeconfig = server::kubeconfig().await;
    machine::simulate(kubeconfig.parent().unwrap()).await;
    make_namespace(&client).await;
    let counts = Counts::start(client.clone()).await;
    let fleet = Fleet::start(client.clone(), counts.postgresql(), counts.redis()).await;
    let kubeconfig = machine::as_operator(kubeconfig);
    let mut operator = Operator::start(&kubeconfig);

    println!("Registries from the resource to Ready, on simulated nodes.\n");
    head(&[
        "registries",
        "all Ready after, s",
        "requests of the operator for each",
        "of these writes",
        "of these of status",
        "objects that each owns",
    ]);
    first(&fleet, &counts, &operator).await;
    let mut held = vec![];
    for count in [all / 5, all] {
        grow(&fleet, &counts, &operator, count).await;
        let (rest, most) = operator.memory();
        drop(operator);
        operator = Operator::start(&kubeconfig);
        let patience = Duration::from_mins(3);
        until("the operator to have looked at all", patience, async || operator.turns().await >= count as u64).await;
        idle(&operator).await;
        held.push((count, rest, operator.memory().0, most));
    }
    memory(&held);
    at_rest(&counts, &operator, all).await;
    change(&fleet, &counts, &operator, all).await;
    println!("\nload {}", load());
}

/// One alone, which also makes up its credentials; all others take up copies, since the key of each takes a second of a
/// processor.
async fn first(fleet: &Fleet, counts: &Counts, operator: &Operator) {
    let start = Instant::now();
    fleet.ready(1).await;
    let took = start.elapsed();
    idle(operator).await;
    let (before, now) = (Counted::default(), counts.now().await);
    tell("1, with credentials made up", took, &now, &before, [Written::default(), Written::of(operator).await], 1);
}

async fn grow(fleet: &Fleet, counts: &Counts, operator: &Operator, count: usize) {
    let (before, written, made) = (counts.now().await, Written::of(operator).await, fleet.made());
    let start = Instant::now();
    let growing = async {
        fleet.grow(count).await;
        fleet.ready(count).await;
    };
    tokio::select! {
        () = growing => {}
        () = operator.ended() => {}
    }
    let took = start.elapsed();
    idle(operator).await;
    let written = [written, Written::of(operator).await];
    let new = count - made;
    tell(&format!("{count}, {new} of them new"), took, &counts.now().await, &before, written, new);
}

/// What the operator says that it has written, and what it knows.
#[derive(Default)]
struct Written {
    all: u64,
    status: u64,
    objects: u64,
}

impl Written {
    async fn of(operator: &Operator) -> Self {
        Self {
            all: operator.total(WRITES, "").await,
            status: operator.total(WRITES, "patch_status").await,
            objects: operator.total("fairway_inventory_objects", "family=\"harbor\"").await,
        }
    }
}

fn tell(what: &str, took: Duration, now: &Counted, before: &Counted, [first, last]: [Written; 2], of: usize) {
    let each = |count: u64| format!("{:.1}", count as f64 / of as f64);
    row(&[
        what.to_owned(),
        format!("{:.1}", took.as_secs_f64()),
        each(now.operator - before.operator),
        each(last.all - first.all),
        each(last.status - first.status),
        each(last.objects - first.objects),
    ]);
}

fn memory(held: &[(usize, f64, f64, f64)]) {
    println!();
    head(&["registries", "memory, MB: at most", "at rest", "by an operator started anew"]);
    for (count, rest, anew, most) in held {
        let megabytes = [most, rest, anew].map(|memory| format!("{:.1}", memory / 1000.0));
        row(&[&[count.to_string()], &megabytes[..]].concat());
    }
    let more = (held[1].0 - held[0].0) as f64;
    println!("\nHeld for each idle registry (slope), KiB:");
    for (by, slope) in
        [("that has made them all", (held[1].1 - held[0].1) / more), ("started anew", (held[1].2 - held[0].2) / more)]
    {
        mark(&format!("- by the operator {by}: {slope:.1}"), "below 40", slope < 40.0);
    }
    println!();
}

/// What goes on while nothing does.
async fn at_rest(counts: &Counts, operator: &Operator, all: usize) {
    let (before, writes, start, processor) =
        (counts.now().await, operator.total(WRITES, "").await, Instant::now(), operator.processor());
    sleep(REST).await;
    let (now, took) = (counts.now().await, start.elapsed());
    let processor = operator.processor().saturating_sub(processor).as_secs_f64() * 100.0 / took.as_secs_f64();
    let writes = operator.total(WRITES, "").await - writes;
    let minutes = took.as_secs_f64() / 60.0;
    let each = |count: u64| format!("{:.2}", count as f64 / minutes / all as f64);
    println!("{all} registries at rest for {:.0} s; for each and minute:\n", took.as_secs_f64());
    head(&[
        "to the API server",
        "of these writes",
        "to Harbor",
        "to PostgreSQL",
        "to Redis",
        "processor, of one core in all",
    ]);
    row(&[
        each(now.operator - before.operator),
        each(writes),
        each(now.harbor - before.harbor),
        each(now.postgresql - before.postgresql),
        each(now.redis - before.redis),
        format!("{processor:.1} %"),
    ]);
    println!("\nHarbor was asked for: {}", counts::difference(&before.paths, &now.paths));
    println!("The API server was read for: {}", counts::reads(&before, &now));
    let calls = (now.harbor - before.harbor) as f64 / minutes / all as f64;
    mark(&format!("Calls to Harbor for each and minute: {calls:.2}"), "at most 2", calls <= 2.0);
    mark(&format!("Writes at rest: {writes}"), "none", writes == 0);
}

/// Resources of core, so that every registry has pods to replace.
async fn change(fleet: &Fleet, counts: &Counts, operator: &Operator, all: usize) {
    println!();
    head(&[
        "class change",
        "requests for each",
        "of these writes",
        "time to the last, s",
        "processor, ms for each",
        "memory, MB: at most",
    ]);
    for (what, note) in [("none of its settings", true), ("core's resources", false)] {
        let (before, writes, processor) = (counts.now().await, operator.total(WRITES, "").await, operator.processor());
        operator.forget_peak();
        let start = Instant::now();
        fleet.change(note).await;
        let end = idle(operator).await;
        let (now, written) = (counts.now().await, operator.total(WRITES, "").await - writes);
        let processor = operator.processor().saturating_sub(processor);
        row(&[
            what.to_owned(),
            format!("{:.2}", (now.operator - before.operator) as f64 / all as f64),
            format!("{:.2}", written as f64 / all as f64),
            format!("{:.1}", end.map_or(0.0, |end| end.duration_since(start).as_secs_f64())),
            format!("{:.1}", processor.as_secs_f64() * 1000.0 / all as f64),
            format!("{:.1}", operator.memory().1 / 1000.0),
        ]);
    }
}

/// Waits until the operator has written nothing for a while; when the last write was seen, if there was any.
async fn idle(operator: &Operator) -> Option<Instant> {
    let (mut last, mut since, mut seen) = (operator.total(WRITES, "").await, Instant::now(), None);
    while since.elapsed() < IDLE {
        sleep(Duration::from_millis(250)).await;
        let now = operator.total(WRITES, "").await;
        if now != last {
            (last, since) = (now, Instant::now());
            seen = Some(since);
        }
    }
    seen
}
