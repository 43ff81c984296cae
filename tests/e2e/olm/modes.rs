//! Every install mode: the operator looks after the namespaces that its group names, and has no rights in another.
//! Touches OLM and sandboxes.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::operator::{Catalog, FIRST, Operator};
use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    sandbox::{self, Sandbox},
    traffic::{Speech, sample},
    wait::POD,
};

/// A load balancer is made, answers and goes.
async fn serves(sandbox: &Sandbox, name: &str) {
    let spec = json!({
        "replicas": 1,
        "resources": small(),
        "listeners": [listener("web", "HTTP", 80, "app")],
        "pools": [service_pool("app", "app")],
    });
    let balancer = Balancer::start(sandbox, name, &spec).await;
    balancer.pool("app", 1, 1, POD).await;
    let tally = sample(&balancer.service(80, Speech::Http).await, 20).await;
    assert!(tally.failures.is_empty(), "{name}: {tally}");
    sandbox.delete::<fairway::api::LoadBalancer>(name).await;
}

#[test]
fn every_install_mode_works() {
    sandbox::restricted("modes", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let own = Operator::prepare(sandbox).await;
        let (watched, second) = (sandbox.namespace.as_str(), format!("{}-second", own.namespace));
        own.make_namespace(&second).await;
        own.offer(Catalog::First).await;
        for (mode, namespaces) in [("single", vec![watched]), ("multi", vec![watched, &second]), ("all", vec![])] {
            own.watch(&namespaces).await;
            own.subscribe("stable-v1", "Automatic").await;
            own.installed(FIRST).await;
            serves(sandbox, mode).await;
            assert!(own.may_see(watched).await, "{mode}");
            assert_eq!(own.may_see(&second).await, mode != "single", "{mode}");
            assert_eq!(own.may_see("default").await, mode == "all", "{mode}");
            own.uninstall().await;
        }
        own.remove(&[&second]).await;
    });
}

#[test]
fn the_operators_own_namespace_is_looked_after() {
    sandbox::restricted("own", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let own = Operator::within(sandbox).await;
        own.offer(Catalog::First).await;
        own.watch(&[&sandbox.namespace]).await;
        own.subscribe("candidate-v1", "Automatic").await;
        own.installed(FIRST).await;
        serves(sandbox, "own").await;
        assert!(!own.may_see("default").await);
        // What OLM shows of it is there for consoles: the package, found by its catalog.
        let told = sandbox.kubectl(&["get", "packagemanifest", "fairway", "-o", "jsonpath={.status.defaultChannel}"]);
        assert_eq!(told.await.unwrap(), "stable-v1");
        own.uninstall().await;
        assert!(!sandbox.names::<Pod>("olm.catalogSource=fairway").await.is_empty(), "the catalog serves on");
    });
}
