//! Exposure at the addresses of nodes: ports above and below 1024, and one that something else on the node
//! holds. Touches a sandbox, and the ports 81, 8081 and 10250 of nodes.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    sandbox,
    traffic::{Connections, Speech, Target, Traffic},
    wait::{LIVE, POD, seen},
};

/// The port of every node's kubelet.
const KUBELET: u16 = 10_250;

fn spec(more: Option<Value>) -> Value {
    let mut listeners = vec![listener("web", "HTTP", 8081, "app"), listener("low", "TCP", 81, "app")];
    listeners.extend(more);
    json!({
        "exposure": { "type": "HostNetwork" },
        "resources": small(),
        "listeners": listeners,
        "pools": [service_pool("app", "app")],
    })
}

#[test]
fn nodes_answer_at_their_own_addresses_and_a_port_that_is_taken_changes_nothing() {
    sandbox::privileged("host-network", async |sandbox| {
        Application::start(sandbox, "app", 2).await;
        let balancer = Balancer::start(sandbox, "edge", &spec(None)).await;
        balancer.pool("app", 2, 2, POD).await;
        let told = balancer
            .becomes("both nodes' addresses in status", LIVE, |load_balancer| {
                let addresses = load_balancer.status.clone().unwrap_or_default().addresses;
                seen(addresses.len() == 2, || format!("{addresses:?}"))
            })
            .await;
        let addresses: Vec<IpAddr> =
            told.status.unwrap().addresses.iter().map(|address| address.value.parse().unwrap()).collect();
        let mut ways = vec![];
        for address in addresses {
            let at = |port, speech| Target { address: SocketAddr::new(address, port), speech };
            ways.push(("HTTP", at(8081, Speech::Http), Connections::Kept));
            ways.push(("HTTP", at(8081, Speech::Http), Connections::Closed));
            ways.push(("TCP", at(81, Speech::Tcp), Connections::Closed));
        }
        let before = balancer.identities().await;
        let traffic = Traffic::start(ways).await;

        balancer.write(&spec(Some(listener("taken", "TCP", KUBELET, "app")))).await;
        let message = balancer.tells("Programmed", "False", "Refused").await;
        assert!(message.contains(&KUBELET.to_string()), "{message}");
        balancer.event("Refused").await;
        let status = balancer.status().await;
        assert!(status.replica_statuses.iter().all(|replica| replica.ready), "{:?}", status.replica_statuses);

        balancer.change("the taken port left alone", &spec(Some(listener("free", "TCP", 8082, "app")))).await;
        traffic.stop_unharmed("HTTP on 8081 and TCP on 81 of each node").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
    });
}
