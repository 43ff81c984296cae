//! Pods without a Service, as members by their labels: followed as they come and go, without a failed request.
//! Touches a sandbox.

use serde_json::{Value, json};

use crate::{
    application::{Application, PORT},
    balancer::{Balancer, listener, pods_pool, small},
    sandbox,
    traffic::{Connections, Speech, Traffic, sample},
    wait::{LIVE, POD},
};

fn spec(port: &Value) -> Value {
    let pool = pods_pool("app", &json!({ "matchLabels": { "app": "app" } }), port);
    json!({ "resources": small(), "listeners": [listener("web", "HTTP", 80, "app")], "pools": [pool] })
}

#[test]
fn selected_pods_that_are_scaled_and_replaced_are_followed_without_a_failed_request() {
    sandbox::restricted("selected", async |sandbox| {
        let app = Application::named(sandbox, "app");
        app.scale(2).await;
        app.serves(2).await;
        let balancer = Balancer::start(sandbox, "web", &spec(&json!(PORT))).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let before = balancer.identities().await;
        let ways = [Connections::Closed, Connections::Kept, Connections::Idle];
        let targets = balancer.targets(80, &Speech::Http).await;
        let clients = targets.iter().flat_map(|target| ways.map(|way| ("HTTP", target.clone(), way)));
        let traffic = Traffic::start(clients).await;
        for replicas in [4, 1, 3] {
            app.scale(replicas).await;
            app.serves(replicas).await;
            let count = i32::try_from(replicas).unwrap();
            balancer.pool("app", count, count, LIVE).await;
            for target in &targets {
                let tally = sample(target, 100).await;
                assert!(tally.failures.is_empty() && tally.members.len() == replicas, "{replicas} members: {tally}");
            }
        }
        app.replace().await;
        balancer.pool("app", 3, 3, LIVE).await;
        // The container's name for its port means the same.
        balancer.change("the port by its name", &spec(&json!("http"))).await;
        traffic.stop_unharmed("selected pods scaled from 2 to 4, 1 and 3, and replaced").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");

        app.scale(0).await;
        balancer.pool_is_empty("app", POD).await;
        let message = balancer.tells("ResolvedRefs", "False", "NoPods").await;
        assert!(message.contains("no pod in this namespace has app=app"), "{message}");
    });
}
