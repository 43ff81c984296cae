//! What agents say and what comes of it, on a real API server: how seldom something is written for a member change,
//! and that agents are found, lost and forgotten without being asked in every turn. The agents are simulated.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use fairway::{
    agent::protocol::agent_name,
    api::{LoadBalancer, LoadBalancerSpec},
    loadbalancer::plan::objects::read_configuration,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    events::v1::Event,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    agents::Agents,
    operator::{Operator, condition, create, eventually, get},
    server::namespace,
};

fn spec() -> LoadBalancerSpec {
    serde_json::from_value(json!({
        "listeners": [{ "name": "web", "protocol": "HTTP", "port": 80, "pool": "app" }],
        "pools": [{ "name": "app", "services": [{ "name": "app", "port": 80 }] }],
    }))
    .unwrap()
}

async fn make_service(client: &Client, namespace: &str, members: &[&str]) {
    let service: Service = serde_json::from_value(json!({
        "metadata": { "name": "app" }, "spec": { "ports": [{ "port": 80 }] },
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &service).await.unwrap();
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": { "name": "app", "labels": { "kubernetes.io/service-name": "app" } },
        "addressType": "IPv4", "ports": [{ "port": 8080 }], "endpoints": endpoints(members),
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &slice).await.unwrap();
}

fn endpoints(members: &[&str]) -> serde_json::Value {
    members.iter().map(|member| json!({ "addresses": [member] })).collect()
}

async fn change_members(client: &Client, namespace: &str, members: &[&str]) {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({ "endpoints": endpoints(members) }));
    api.patch("app", &PatchParams::default(), &patch).await.unwrap();
}

/// Has the agents of the load balancer `shop` listen, once it has what they need, with what is mounted.
async fn listen(client: &Client, namespace: &str, agents: &Arc<Agents>) {
    let data = async |name: &str| get::<Secret>(client, namespace, name).await?.data;
    let identity = eventually("the certificate", async || data("shop-lb-identity").await).await;
    let identity: HashMap<_, _> = identity.into_iter().map(|(name, content)| (name, content.0)).collect();
    let mounted = eventually("the configuration", async || data("shop-lb-configuration").await).await;
    agents.add(&agent_name(namespace, "shop"), &identity, &read_configuration(&mounted).unwrap());
}

async fn make_pod(client: &Client, namespace: &str, name: &str, address: IpAddr) {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = json!({
        "metadata": { "name": name, "labels": { "fairway.dev/loadbalancer": "shop" } },
        "spec": { "nodeName": "none", "containers": [{ "name": "haproxy", "image": "haproxy" }] },
    });
    api.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let status = json!({ "status": {
        "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    }});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

async fn proven(client: &Client, namespace: &str, replicas: i32) {
    eventually("the replicas to have proven", async || {
        let status = get::<LoadBalancer>(client, namespace, "shop").await?.status?;
        ((status.replicas, status.proven_replicas) == (replicas, replicas)).then_some(())
    })
    .await;
}

async fn events(client: &Client, namespace: &str) -> usize {
    Api::<Event>::namespaced(client.clone(), namespace).list(&ListParams::default()).await.unwrap().items.len()
}

/// What is in the Secret that pods boot from.
async fn kept(client: &Client, namespace: &str) -> String {
    let data = get::<Secret>(client, namespace, "shop-lb-configuration").await.unwrap().data.unwrap();
    read_configuration(&data).unwrap().files["haproxy.cfg"].clone()
}

#[tokio::test]
async fn a_member_change_is_pushed_once_and_written_twice() {
    let (client, namespace) = namespace().await;
    make_service(&client, &namespace, &["192.0.2.1", "192.0.2.2"]).await;
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    let agents = Arc::new(Agents::new());
    listen(&client, &namespace, &agents).await;
    for (name, address) in [("shop-lb-a", agents.addresses[0]), ("shop-lb-b", agents.addresses[1])] {
        make_pod(&client, &namespace, name, address).await;
    }
    proven(&client, &namespace, 2).await;
    quiet(&operator).await;

    let (before, pushed, told) = (operator.counts().0, agents.pushed(), events(&client, &namespace).await);
    for (round, member) in ["192.0.2.3", "192.0.2.4", "192.0.2.5"].into_iter().enumerate() {
        change_members(&client, &namespace, &["192.0.2.1", member]).await;
        eventually("the Secret to follow", async || kept(&client, &namespace).await.contains(member).then_some(()))
            .await;
        proven(&client, &namespace, 2).await;
        quiet(&operator).await;
        let changes = round as u64 + 1;
        assert_eq!(agents.pushed() - pushed, 2 * changes, "each agent is given a configuration once");
        let writes = operator.counts().0 - before;
        assert!(writes <= 2 * changes, "{writes} writes for {changes} changes: the Secret and the status are two");
    }
    assert_eq!(events(&client, &namespace).await, told, "a member that comes or goes is nothing to tell of");
    let status = get::<LoadBalancer>(&client, &namespace, "shop").await.unwrap().status.unwrap();
    assert_eq!((status.pools[0].members, status.pools[0].up), (2, 2));
    operator.stop().await;
}

/// Waits until no turn was taken for a while.
async fn quiet(operator: &Operator) {
    let mut last = operator.counts();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = operator.counts();
        if now == last {
            return;
        }
        last = now;
    }
}

#[tokio::test]
async fn an_agent_that_does_not_answer_is_told_found_and_forgotten() {
    let (client, namespace) = namespace().await;
    make_service(&client, &namespace, &["192.0.2.1"]).await;
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    let agents = Arc::new(Agents::new());
    for (name, address) in [("shop-lb-a", agents.addresses[0]), ("shop-lb-b", agents.addresses[1])] {
        make_pod(&client, &namespace, name, address).await;
    }
    let message = condition(&client, &namespace, "Programmed", "False/AgentUnreachable").await;
    assert!(message.contains("shop-lb-"), "{message}");

    // They answer later, and nothing but their answer tells.
    listen(&client, &namespace, &agents).await;
    proven(&client, &namespace, 2).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    pods.delete("shop-lb-b", &DeleteParams::default().grace_period(0)).await.unwrap();
    proven(&client, &namespace, 1).await;

    // What is at rest is not asked again and again.
    quiet(&operator).await;
    let asked = agents.asked();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(agents.asked() <= asked + 1, "asked {} times in three seconds of rest", agents.asked() - asked);
    operator.stop().await;
}

#[tokio::test]
async fn an_haproxy_that_is_too_old_is_told_and_left_alone() {
    let (client, namespace) = namespace().await;
    make_service(&client, &namespace, &["192.0.2.1"]).await;
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    let mut agents = Agents::new();
    agents.haproxy_version = "2.4.22";
    let agents = Arc::new(agents);
    listen(&client, &namespace, &agents).await;
    for (name, address) in [("shop-lb-a", agents.addresses[0]), ("shop-lb-b", agents.addresses[1])] {
        make_pod(&client, &namespace, name, address).await;
    }
    let message = condition(&client, &namespace, "VersionSupported", "False/TooOld").await;
    assert!(message.contains("HAProxy 2.4.22") && message.contains("spec.image"), "{message}");
    proven(&client, &namespace, 2).await;
    let reasons = async || {
        let events = Api::<Event>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await.unwrap();
        events.into_iter().filter_map(|event| event.reason).collect::<Vec<_>>()
    };
    eventually("an event", async || reasons().await.contains(&"TooOld".to_owned()).then_some(())).await;
    // It is managed as any other, and its pods stay as they are.
    condition(&client, &namespace, "Ready", "True/Serving").await;
    let deployment = get::<Deployment>(&client, &namespace, "shop-lb").await.unwrap();
    assert_eq!(deployment.metadata.generation, Some(1));
    operator.stop().await;
}
