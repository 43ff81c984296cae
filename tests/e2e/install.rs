//! A fresh load balancer: it answers by HTTP, HTTPS and TCP through two replicas on two nodes, and tells of
//! itself. Touches a sandbox.

use std::{collections::BTreeSet, time::Duration};

use fairway::api::LoadBalancer;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    certificates::{self, Authority},
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Target, Traffic, reachable, sample},
    wait::{self, POD, seen},
};

/// Where a pod's token would be.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Both replicas have a node of their own where there are two.
async fn assert_spread(sandbox: &Sandbox, pods: &[Pod]) {
    let nodes: BTreeSet<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_ref()).collect();
    let there = sandbox.cluster.nodes().await.len();
    assert_eq!(nodes.len(), pods.len().min(there), "the replicas are on {nodes:?}");
}

/// No token, not root, nothing writable: what the namespace enforces, and a little more.
fn assert_restricted(pod: &Pod) {
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        let mounts = container.volume_mounts.iter().flatten();
        assert!(mounts.into_iter().all(|mount| mount.mount_path != TOKEN), "{} has a token", container.name);
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true), "{} can write", container.name);
        assert!(container.resources.as_ref().is_some_and(|resources| resources.limits.is_some()));
    }
}

/// Every replica has proven what status tells.
fn assert_proven(load_balancer: &LoadBalancer) {
    let status = load_balancer.status.as_ref().unwrap();
    let hash = &status.configuration.as_ref().unwrap().hash;
    assert_eq!(hash.len(), 64, "{hash} is no SHA-256");
    for replica in &status.replica_statuses {
        assert!(replica.ready && replica.proven_hash == *hash, "{replica:?} and not {hash}");
        assert!(!replica.haproxy_version.is_empty() && !replica.node.is_empty(), "{replica:?}");
    }
}

#[test]
fn the_samples_serve() {
    sandbox::restricted("samples", async |sandbox| {
        for sample in ["application.yaml", "loadbalancer.yaml"] {
            sandbox.kubectl(&["apply", "--server-side", "-f", &format!("config/samples/{sample}")]).await.unwrap();
        }
        let balancer = Balancer::named(sandbox, "hello");
        let programmed = balancer.programmed(POD).await;
        assert_proven(&programmed);
        balancer.pool("hello", 3, 3, POD).await;

        let pods = balancer.pods().await;
        assert_spread(sandbox, &pods).await;
        pods.iter().for_each(assert_restricted);
        let listed = sandbox.kubectl(&["get", "loadbalancer", "hello"]).await.unwrap();
        let address = balancer.address().await.to_string();
        for text in ["READY", "ADDRESS", "REPLICAS", "PROVEN", "True", &address, "Serving"] {
            assert!(listed.contains(text), "{text} is not in what kubectl lists:\n{listed}");
        }
        for target in balancer.targets(80, &Speech::Http).await {
            reachable(&target).await;
            let tally = sample(&target, 30).await;
            assert!(tally.failures.is_empty(), "{tally}");
            assert_eq!(tally.members.len(), 3, "the members that answered: {:?}", tally.members);
        }
        balancer.event("Serving").await;
    });
}

#[test]
fn every_protocol_is_answered_by_the_service_and_by_each_replica() {
    sandbox::restricted("protocols", async |sandbox| {
        let authority = Authority::new();
        let issued = ["one.example.com", "two.example.com"].map(|name| (name, authority.issue(name)));
        for (secret, (_, certificate)) in ["one", "two"].iter().zip(&issued) {
            certificates::keep(sandbox, secret, &certificate.pem, &certificate.key).await;
        }
        Application::start(sandbox, "app", 2).await;
        let mut tls = listener("tls", "HTTPS", 443, "app");
        tls["certificates"] = json!([{ "secretName": "one" }, { "secretName": "two" }]);
        let spec = json!({
            "resources": small(),
            "listeners": [listener("web", "HTTP", 80, "app"), tls, listener("raw", "TCP", 7000, "app")],
            "pools": [service_pool("app", "app")],
        });
        let balancer = Balancer::start(sandbox, "web", &spec).await;
        balancer.pool("app", 2, 2, POD).await;

        let [one, two] = issued.each_ref().map(|(name, _)| Speech::Https((*name).to_owned(), authority.trusted()));
        let mut targets: Vec<(&str, Target, Connections)> = vec![];
        for (who, port, speech) in
            [("HTTP", 80, Speech::Http), ("HTTPS one", 443, one), ("HTTPS two", 443, two), ("TCP", 7000, Speech::Tcp)]
        {
            let found = balancer.targets(port, &speech).await;
            assert_eq!(found.len(), 3, "the Service and two replicas");
            // A Service's address leads to any of them: the names of the pods themselves prove both.
            for target in found {
                targets.push((who, target, Connections::Closed));
            }
        }
        targets.push(("HTTP", balancer.service(80, Speech::Http).await, Connections::Kept));
        let traffic = Traffic::start(targets).await;
        wait::until("2000 requests", Duration::from_mins(1), async || {
            let requests = traffic.so_far().requests;
            seen(requests >= 2000, || format!("{requests} requests"))
        })
        .await;
        let tally = traffic.stop_unharmed("HTTP, HTTPS with two names, TCP").await;
        for (name, certificate) in &issued {
            assert!(tally.certificates.contains_key(&certificate.fingerprint), "nobody saw the one of {name}");
        }
    });
}
