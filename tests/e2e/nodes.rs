//! A node is lost: the replica on the other one serves on, status tells of it, and the spread comes back with
//! the node. Touches a sandbox and the last node of the test cluster, which is started again in any case.

mod registry;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    application::{Application, address},
    balancer::{Balancer, listener, service_pool, small},
    cluster::{Cluster, OPERATOR_LABELS, SYSTEM, cluster, tell},
    sandbox,
    traffic::{Connections, Speech, Target, Traffic, reachable},
    wait::{self, LIVE, POD, seen},
};

/// A node counts as lost after 12 s, its pods are replaced 30 s later and then have to start.
const REPLACED: Duration = Duration::from_mins(2);
/// How long clients may be harmed: until checks have found the lost members, and the node counts as lost.
const HARM: Duration = Duration::from_secs(20);

fn node(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

fn spec(ports: &[u16]) -> Value {
    let mut pool = service_pool("app", "app");
    pool["timeouts"] = json!({ "connectSeconds": 1 });
    let listeners: Vec<Value> =
        ports.iter().map(|port| listener(&format!("web-{port}"), "HTTP", *port, "app")).collect();
    json!({ "resources": small(), "listeners": listeners, "pools": [pool] })
}

#[test]
fn a_lost_node_heals() {
    sandbox::destructive("node-lost", async |sandbox| {
        let nodes = sandbox.cluster.nodes().await;
        assert!(nodes.len() > 1, "losing a node needs two: tests/cluster/cluster up --nodes 2");
        // The machine's way to Services leads through the first.
        let lost = nodes.iter().map(ResourceExt::name_any).max().unwrap();
        Application::start(sandbox, "app", 4).await;
        let balancer = Balancer::start(sandbox, "web", &spec(&[80])).await;
        balancer.pool("app", 4, 4, LIVE).await;
        let pods = balancer.pods().await;
        let survivor = pods.iter().find(|pod| node(pod) != lost).expect("a replica on another node");
        let target = Target { address: (address(survivor).unwrap(), 80).into(), speech: Speech::Http };
        let service = balancer.service(80, Speech::Http).await;

        let operators = Api::<Pod>::namespaced(sandbox.cluster.client.clone(), SYSTEM);
        let operators = operators.list(&ListParams::default().labels(OPERATOR_LABELS)).await.unwrap();
        let operator_nodes: Vec<String> = operators.iter().map(node).collect();

        Cluster::disturb();
        let direct = Traffic::start([
            ("the surviving replica", target.clone(), Connections::Closed),
            ("the surviving replica", target, Connections::Kept),
        ])
        .await;
        let through = Traffic::start([("the Service", service.clone(), Connections::Closed)]).await;
        let begun = Instant::now();
        cluster(&["node", "stop", &lost]).await.unwrap();
        if !operator_nodes.contains(&lost) {
            // The first has to be told to the replica that is lost as well, and must not hold up the second.
            for ports in [vec![80, 81], vec![80, 81, 82]] {
                balancer.write(&spec(&ports)).await;
                let port = *ports.last().unwrap();
                reachable(&Target { address: (address(survivor).unwrap(), port).into(), speech: Speech::Http }).await;
            }
            tell(&format!("the other replica took two changes {:.1} s after the loss", begun.elapsed().as_secs_f64()));
        }
        sandbox.cluster.node_becomes(&lost, false, Duration::from_mins(1)).await;
        tell(&format!("{lost} counts as lost after {:.0} s", begun.elapsed().as_secs_f64()));
        // The operator may have been on that node: another one has to lead first.
        balancer
            .becomes("status to tell that the lost replica does not serve", REPLACED, |load_balancer| {
                let status = load_balancer.status.clone().unwrap_or_default();
                let serves = status.replica_statuses.iter().any(|replica| replica.ready && replica.node == lost);
                seen(!serves && status.proven_replicas > 0, || format!("{:?}", status.replica_statuses))
            })
            .await;
        tell(&format!("status tells of it after {:.0} s", begun.elapsed().as_secs_f64()));
        wait::until("a replica in place of the lost one", REPLACED, async || {
            let pods = balancer.pods().await;
            let here: BTreeSet<_> = pods.iter().map(node).collect();
            seen(pods.len() == 2 && !here.contains(&lost), || format!("{} serving on {here:?}", pods.len()))
        })
        .await;
        tell(&format!("two replicas serve without {lost} after {:.0} s", begun.elapsed().as_secs_f64()));
        for (who, traffic) in [("the surviving replica", direct), ("the Service", through)] {
            let tally = traffic.stop().await;
            tell(&format!("{lost} lost, {who}: {tally}"));
            assert!(tally.since(begun + HARM).is_empty(), "{who} was harmed for too long: {tally}");
            let answered = tally.requests - u64::try_from(tally.failures.len()).unwrap();
            assert!(answered > 100, "{who} answered hardly anything: {tally}");
        }

        let after = Traffic::start([("the Service", service, Connections::Closed)]).await;
        cluster(&["node", "start", &lost]).await.unwrap();
        balancer.programmed(POD).await;
        balancer
            .becomes("the lost pod to be gone from status", POD, |load_balancer| {
                let status = load_balancer.status.clone().unwrap_or_default();
                seen(status.replica_statuses.len() == 2, || format!("{:?}", status.replica_statuses))
            })
            .await;
        after.stop_unharmed("the node came back").await;
    });
}
