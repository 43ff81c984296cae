//! `kill -9` of `HAProxy`, of the agent and of the operator: each heals by itself, and meanwhile the other
//! replica serves. Touches a sandbox, and processes of its pods and of the operator.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    application::{Application, address},
    balancer::{Balancer, listener, service_pool, small},
    cluster::{Cluster, OPERATOR_LABELS, SYSTEM, tell},
    processes::{self, Process},
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Target, Traffic},
    wait::{self, LIVE, POD, seen},
};

/// How long clients of the Service may be harmed by a replica that was killed: its connections are gone, and
/// every node has to learn that nothing answers there.
const HARM: Duration = Duration::from_secs(6);

fn spec() -> Value {
    json!({
        "resources": small(),
        "listeners": [listener("web", "HTTP", 80, "app"), listener("raw", "TCP", 7000, "app")],
        "pools": [service_pool("app", "app")],
    })
}

async fn start(sandbox: &Sandbox) -> Balancer<'_> {
    Application::start(sandbox, "app", 2).await;
    let balancer = Balancer::start(sandbox, "web", &spec()).await;
    balancer.pool("app", 2, 2, LIVE).await;
    balancer
}

fn at(pod: &Pod, port: u16, speech: Speech) -> Target {
    Target { address: (address(pod).unwrap(), port).into(), speech }
}

/// How often a container of a pod was started again.
async fn restarts(sandbox: &Sandbox, pod: &Pod, container: &str) -> i32 {
    let pod = sandbox.api::<Pod>().get(&pod.name_any()).await.unwrap();
    let statuses = pod.status.iter().flat_map(|status| &status.container_statuses).flatten();
    statuses.into_iter().find(|status| status.name == container).map_or(0, |status| status.restart_count)
}

/// Kills, and waits until the container was started again and everything is proven anew.
async fn heals(sandbox: &Sandbox, balancer: &Balancer<'_>, pod: &Pod, container: &str, victim: &Process) {
    let before = restarts(sandbox, pod, container).await;
    let begun = Instant::now();
    processes::end(victim);
    wait::until(&format!("{container} to be started again"), POD, async || {
        let now = restarts(sandbox, pod, container).await;
        seen(now > before, || format!("{now} restarts"))
    })
    .await;
    balancer.programmed(POD).await;
    tell(&format!(
        "kill -9 of {} in container {container}: healed after {:.1} s",
        victim.command.split(' ').next().unwrap_or_default(),
        begun.elapsed().as_secs_f64()
    ));
}

#[test]
fn haproxy_killed_heals_and_the_other_replica_serves() {
    sandbox::destructive("haproxy-killed", async |sandbox| {
        let balancer = start(sandbox).await;
        let pods = balancer.pods().await;
        let other = Traffic::start([
            ("the other replica", at(&pods[1], 80, Speech::Http), Connections::Closed),
            ("the other replica", at(&pods[1], 80, Speech::Http), Connections::Kept),
            ("the other replica", at(&pods[1], 7000, Speech::Tcp), Connections::Kept),
        ])
        .await;
        for who in ["worker", "master"] {
            let pod = sandbox.api::<Pod>().get(&pods[0].name_any()).await.unwrap();
            let found = processes::of(&pod, "haproxy");
            // The container's first process is the master; workers are its children.
            let master = &found[0];
            let worker = found.iter().find(|process| process.parent == master.id);
            let victim = if who == "worker" { worker.unwrap() } else { master };
            let service = balancer.service(80, Speech::Http).await;
            let traffic = Traffic::start([("the Service", service, Connections::Closed)]).await;
            let killed = Instant::now();
            heals(sandbox, &balancer, &pods[0], "haproxy", victim).await;
            let tally = traffic.stop().await;
            tell(&format!("HAProxy's {who} killed: {tally}"));
            let late = tally.since(killed + HARM);
            assert!(late.is_empty(), "clients of the Service were harmed for too long: {tally}");
        }
        other.stop_unharmed("the other replica meanwhile").await;
    });
}

#[test]
fn the_agent_killed_heals_and_nobody_notices() {
    sandbox::destructive("agent-killed", async |sandbox| {
        let balancer = start(sandbox).await;
        let pods = balancer.pods().await;
        let mut ways = vec![];
        for target in balancer.targets(80, &Speech::Http).await {
            ways.extend([Connections::Closed, Connections::Kept].map(|way| ("HTTP", target.clone(), way)));
        }
        ways.extend(pods.iter().map(|pod| ("TCP", at(pod, 7000, Speech::Tcp), Connections::Kept)));
        let traffic = Traffic::start(ways).await;
        for pod in &pods {
            let agent = processes::of(pod, "agent").remove(0);
            heals(sandbox, &balancer, pod, "agent", &agent).await;
        }
        // The agents that were started again take what comes.
        let mut changed = spec();
        changed["pools"][0]["algorithm"] = json!("LeastConnections");
        balancer.change("a change after both agents were killed", &changed).await;
        traffic.stop_unharmed("both agents killed").await;
    });
}

#[test]
fn the_operator_killed_heals_and_nobody_notices() {
    sandbox::destructive("operator-killed", async |sandbox| {
        let balancer = start(sandbox).await;
        let before = balancer.identities().await;
        let targets = balancer.targets(80, &Speech::Http).await;
        let traffic = Traffic::start(targets.into_iter().map(|target| ("HTTP", target, Connections::Closed))).await;
        Cluster::disturb();
        let system: Api<Pod> = Api::namespaced(sandbox.cluster.client.clone(), SYSTEM);
        let operators = system.list(&ListParams::default().labels(OPERATOR_LABELS)).await.unwrap().items;
        let begun = Instant::now();
        for operator in operators.iter().filter(|pod| crate::application::is_ready(pod)) {
            processes::end(&processes::of(operator, "operator")[0]);
        }
        // What is asked for while no operator runs is done when one does.
        let mut changed = spec();
        changed["pools"][0]["algorithm"] = json!("LeastConnections");
        balancer.write(&changed).await;
        balancer.programmed(POD).await;
        tell(&format!("kill -9 of the operator: a change was proven {:.1} s later", begun.elapsed().as_secs_f64()));
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("the operator killed").await;
    });
}
