//! Without the operator nothing stops: pods boot from the Secret that they mount, and when it comes back it
//! changes none of them. Touches a sandbox and the operator.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    cluster::{Cluster, OPERATOR, OPERATOR_LABELS, SYSTEM},
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Traffic, sample},
    wait::{self, LIVE, POD, seen},
};

/// Has so many operators run, or none.
pub(crate) async fn scale_operator(sandbox: &Sandbox, replicas: u32) {
    let client = &sandbox.cluster.client;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    let change = json!({ "spec": { "replicas": replicas } });
    deployments.patch(OPERATOR, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    if replicas > 0 {
        return sandbox.cluster.operator_runs().await;
    }
    wait::until("the operator to be gone", POD, async || {
        let left = pods.list(&ListParams::default().labels(OPERATOR_LABELS)).await.unwrap().items.len();
        seen(left == 0, || format!("{left} pods"))
    })
    .await;
}

#[test]
fn a_pod_boots_without_the_operator() {
    sandbox::alone("no-operator", async |sandbox| {
        Application::start(sandbox, "app", 2).await;
        let spec = json!({
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

        Cluster::disturb();
        scale_operator(sandbox, 0).await;
        let removed = balancer.pods().await.remove(0);
        sandbox.delete::<Pod>(&removed.name_any()).await;
        wait::until("another pod to serve", POD, async || {
            let pods = balancer.pods().await;
            seen(pods.len() == 2, || format!("{} serving", pods.len()))
        })
        .await;
        // Status is what the operator saw last; the pods themselves tell that they serve.
        for target in balancer.targets(80, &Speech::Http).await {
            let tally = sample(&target, 20).await;
            assert!(tally.failures.is_empty() && tally.members.len() == 2, "{}: {tally}", target.address);
        }
        let before = balancer.identities().await;
        scale_operator(sandbox, 1).await;
        balancer.programmed(POD).await;
        let names = balancer.pods().await.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
        balancer
            .becomes("status to tell of the new pod", LIVE, |load_balancer| {
                let told = load_balancer.status.clone().unwrap_or_default().replica_statuses;
                seen(told.iter().all(|replica| names.contains(&replica.pod)), || format!("{told:?} and not {names:?}"))
            })
            .await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("a pod deleted while no operator ran").await;
    });
}
