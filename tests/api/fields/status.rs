//! The fields of the status: every one is seen with something in it, on a load balancer with two pods, of
//! which one has an agent that answers.

use std::{collections::BTreeSet, time::Duration};

use fairway::api::LoadBalancer;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    case::{listening, with},
    schema::{BALANCERS, fields, values},
    surroundings::Surroundings,
};
use crate::{
    operator::{Operator, eventually, get},
    pods::Pods,
    server::namespace,
    simulated_agent::{SimulatedAgent, loopback},
};

#[tokio::test]
async fn every_field_of_the_status_tells_something() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    let members = json!([{ "address": "192.0.2.10", "port": 8080 }, { "address": "192.0.2.11", "port": 8080 }]);
    let spec = with(listening("HTTP"), "/pools/0/members", members);
    // One that serves with a certificate, and one that has none and says why it is closed.
    let secure = json!({
        "name": "secure", "protocol": "HTTPS", "port": 443, "pool": "app", "certificates": [{ "secretName": "shop" }],
    });
    let closed = json!({
        "name": "closed", "protocol": "HTTPS", "port": 444, "pool": "app", "certificates": [{ "secretName": "missing" }],
    });
    let spec = with(with(spec, "/listeners/1", secure), "/listeners/2", closed);
    Surroundings::make(client.clone(), namespace.clone()).await;
    let api: Api<LoadBalancer> = Api::namespaced(client.clone(), &namespace);
    let load_balancer = LoadBalancer::new("shop", serde_json::from_value(spec).unwrap());
    api.create(&PostParams::default(), &load_balancer).await.unwrap();

    let identity = eventually("the agents' certificate", async || {
        get::<Secret>(&client, &namespace, "shop-lb-identity").await?.data
    })
    .await;
    let identity = identity.into_iter().map(|(name, content)| (name, content.0)).collect();
    let agent = SimulatedAgent::start(&identity, "192.0.2.11:8080").await;
    let pods = Pods::new(&client, &namespace);
    let labels = json!({ "fairway.dev/loadbalancer": "shop" });
    pods.start("shop-lb-a", labels.clone(), &agent.address.to_string(), &[]).await;
    pods.start("shop-lb-b", labels, &loopback().to_string(), &[]).await;

    let mut missing: BTreeSet<String> = fields(&client, &BALANCERS)
        .await
        .into_iter()
        .filter_map(|field| field.path.strip_prefix("LoadBalancer.").map(str::to_owned))
        .filter(|path| path.starts_with("status."))
        .collect();
    let limit = Instant::now() + Duration::from_secs(30);
    while !missing.is_empty() && Instant::now() < limit {
        let seen = serde_json::to_value(api.get("shop").await.unwrap()).unwrap();
        missing.retain(|path| !values(&seen, path).iter().any(tells));
        sleep(Duration::from_millis(50)).await;
    }
    assert!(missing.is_empty(), "nothing is ever told in {missing:#?}");
    operator.stop().await;
}

/// Whether there is something in it.
fn tells(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}
