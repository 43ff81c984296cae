//! Subscription and version taken away: what serves goes on, and is looked after again by the operator that is
//! installed next. Touches OLM and a sandbox.

use serde_json::json;

use super::operator::{Catalog, FIRST, Operator};
use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    sandbox,
    traffic::{Connections, Speech, Traffic},
    wait::{LIVE, POD},
};

#[test]
fn load_balancers_serve_on_without_the_operator_and_are_adopted() {
    sandbox::restricted("uninstall", async |sandbox| {
        Application::start(sandbox, "app", 2).await;
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        let mut spec = json!({
            "resources": small(),
            "listeners": [listener("web", "HTTP", 80, "app")],
            "pools": [service_pool("app", "app")],
        });
        let balancer = Balancer::start(sandbox, "web", &spec).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let service = balancer.service(80, Speech::Http).await;
        let traffic =
            Traffic::start([("HTTP", service.clone(), Connections::Closed), ("HTTP", service, Connections::Kept)])
                .await;
        let before = balancer.identities().await;

        operator.uninstall().await;
        traffic.flows().await;
        assert_eq!(balancer.get().await.metadata.deletion_timestamp, None);
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        spec["listeners"] = json!([listener("web", "HTTP", 80, "app"), listener("more", "HTTP", 81, "app")]);
        balancer.write(&spec).await;
        balancer.programmed(POD).await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("uninstalled and installed again").await;
        operator.remove(&[]).await;
    });
}
