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
    sandbox::without_operator("modes", async |sandbox| {
        let operator = Operator::within(sandbox).await;
        operator.offer(Catalog::First).await;
        let beside = operator.another("beside").await;
        let beside = Sandbox { cluster: sandbox.cluster.clone(), namespace: beside.namespace };
        for place in [sandbox, &beside] {
            Application::start(place, "app", 1).await;
        }
        let (own, other) = (sandbox.namespace.as_str(), beside.namespace.as_str());
        let modes = [
            ("own", "candidate-v1", vec![own], sandbox),
            ("single", "fast-v1", vec![other], &beside),
            ("multi", "stable-v1", vec![own, other], &beside),
            ("all", "stable-v1", vec![], &beside),
        ];
        for (mode, channel, namespaces, place) in modes {
            operator.watch(&namespaces).await;
            operator.subscribe(channel, "Automatic").await;
            operator.installed(FIRST).await;
            serves(place, mode).await;
            assert_eq!(operator.may_see(other).await, mode != "own", "{mode}");
            assert_eq!(operator.may_see("default").await, mode == "all", "{mode}");
            operator.uninstall().await;
        }
        // What OLM shows of it is there for consoles: the package, found by its catalog.
        let told = sandbox.kubectl(&["get", "packagemanifest", "fairway", "-o", "jsonpath={.status.defaultChannel}"]);
        assert_eq!(told.await.unwrap(), "stable-v1");
        assert!(!sandbox.names::<Pod>("olm.catalogSource=fairway").await.is_empty(), "the catalog serves on");
        sandbox.cluster.kubectl(&["delete", "namespace", other, "--wait=false"], "").await.unwrap();
    });
}
