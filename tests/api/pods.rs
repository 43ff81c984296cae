//! Members from the labels of pods. There are no kubelets: the tests say what pods are like.

use fairway::api::LoadBalancer;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    operator::{Operator, condition, configuration, create, eventually},
    server::namespace,
};

/// The pods of a namespace.
pub(crate) struct Pods(Api<Pod>);

impl Pods {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self(Api::namespaced(client.clone(), namespace))
    }

    /// A pod on a node, as a kubelet tells of one that is ready.
    pub(crate) async fn start(&self, name: &str, labels: Value, address: &str, ports: &[(&str, u16)]) {
        let ports: Vec<_> = ports.iter().map(|(name, port)| json!({ "name": name, "containerPort": port })).collect();
        let pod = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "web", "image": "web", "ports": ports }] },
        });
        self.0.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        self.tell(name, json!({ "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }] })).await;
        self.ready(name, true).await;
    }

    /// One that `app=web` selects, with a port `http`.
    async fn start_web(&self, name: &str, address: &str, port: u16) {
        self.start(name, json!({ "app": "web" }), address, &[("http", port)]).await;
    }

    async fn ready(&self, name: &str, ready: bool) {
        let status = if ready { "True" } else { "False" };
        self.tell(name, json!({ "conditions": [{ "type": "Ready", "status": status }] })).await;
    }

    async fn tell(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.0.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Asks a pod to end; it goes on until it is gone.
    async fn end(&self, name: &str) {
        self.0.delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn gone(&self, name: &str) {
        self.0.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }
}

fn spec(pods: &Value) -> Value {
    json!({
        "listeners": [{ "name": "web", "protocol": "HTTP", "port": 80, "pool": "app" }],
        "pools": [{ "name": "app", "pods": [pods] }],
    })
}

/// The names and weights of the servers in the configuration.
async fn servers(client: &Client, namespace: &str) -> Option<Vec<String>> {
    let text = configuration(client, namespace, "shop").await?.files.remove("haproxy.cfg")?;
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("server "));
    Some(lines.filter_map(|line| Some(format!("{} {}", line.split(' ').next()?, line.rsplit(' ').next()?))).collect())
}

async fn become_members(client: &Client, namespace: &str, expected: &[&str]) {
    eventually(&format!("the members {expected:?}"), async || {
        (servers(client, namespace).await? == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pods_that_a_selector_matches_are_followed() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    let selector = json!({ "name": "web", "selector": { "matchLabels": { "app": "web" } }, "port": "http" });
    create(&client, &namespace, serde_json::from_value(spec(&selector)).unwrap()).await;
    let message = condition(&client, &namespace, "ResolvedRefs", "False/NoPods").await;
    assert!(message.contains("no pod in this namespace has app=web"), "{message}");
    become_members(&client, &namespace, &[]).await;

    let pods = Pods::new(&client, &namespace);
    pods.start_web("web-a", "10.0.0.1", 8080).await;
    condition(&client, &namespace, "ResolvedRefs", "True/ResolvedRefs").await;
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8080 100"]).await;
    // Another version of the application has another number for the name.
    pods.start_web("web-b", "10.0.0.2", 9090).await;
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8080 100", "pods.web:10.0.0.2:9090 100"]).await;
    pods.end("web-a").await;
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8080 0", "pods.web:10.0.0.2:9090 100"]).await;
    pods.ready("web-b", false).await;
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8080 100"]).await;
    pods.ready("web-b", true).await;
    pods.gone("web-a").await;
    become_members(&client, &namespace, &["pods.web:10.0.0.2:9090 100"]).await;
    operator.stop().await;

    // A new operator knows nothing of the pods at first, and takes none away.
    let operator = Operator::start(&namespace).await;
    operator.take_three_turns(&client, &namespace).await;
    let (writes, _) = operator.counts();
    assert!(writes <= 1, "a new operator sent {writes} writes for what was there already");
    become_members(&client, &namespace, &["pods.web:10.0.0.2:9090 100"]).await;
    pods.tell("web-b", json!({ "phase": "Failed" })).await;
    become_members(&client, &namespace, &[]).await;
    condition(&client, &namespace, "ResolvedRefs", "False/NoPods").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_port_that_no_pod_has_is_told_and_the_members_stay() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    let pods = Pods::new(&client, &namespace);
    pods.start_web("web-a", "10.0.0.1", 8080).await;
    let selector = |port: Value| {
        let selector = json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["web", "api"] }] });
        spec(&json!({ "name": "web", "selector": selector, "port": port }))
    };
    create(&client, &namespace, serde_json::from_value(selector(json!("http"))).unwrap()).await;
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8080 100"]).await;

    let api: Api<LoadBalancer> = Api::namespaced(client.clone(), &namespace);
    let change = async |port: Value| {
        let patch = Patch::Merge(json!({ "spec": selector(port) }));
        api.patch("shop", &PatchParams::default(), &patch).await.unwrap();
    };
    change(json!("https")).await;
    let message = condition(&client, &namespace, "ResolvedRefs", "False/PodPortNotFound").await;
    assert!(message.contains("has a container with a TCP port named \"https\" (there are http)"), "{message}");
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8080 100"]).await;
    change(json!(8443)).await;
    become_members(&client, &namespace, &["pods.web:10.0.0.1:8443 100"]).await;
    condition(&client, &namespace, "ResolvedRefs", "True/ResolvedRefs").await;
    operator.stop().await;
}
