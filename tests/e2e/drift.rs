//! What others change or delete by hand comes back; what is deleted with a load balancer goes with it, and
//! nothing else. Touches a sandbox.

use std::{collections::BTreeSet, time::Duration};

use fairway::api::LoadBalancer;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Traffic},
    wait::{self, LIVE, POD, seen},
};

/// How long pods without connections take to end: they wait until nobody can have their addresses any more.
const ENDED: Duration = Duration::from_secs(30);

fn spec() -> Value {
    json!({
        "resources": small(),
        "listeners": [listener("web", "HTTP", 80, "app")],
        "pools": [service_pool("app", "app")],
    })
}

/// Waits until there is an object with this name and another identity than before.
async fn comes_back<K>(sandbox: &Sandbox, name: &str)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api = sandbox.api::<K>();
    let before = api.get(name).await.unwrap().uid();
    sandbox.delete::<K>(name).await;
    wait::until(&format!("{} {name} to come back", K::kind(&())), LIVE, async || {
        let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
        seen(found.is_some_and(|found| found.uid() != before), || "it is not there".to_owned())
    })
    .await;
}

#[test]
fn what_is_edited_or_deleted_by_hand_comes_back() {
    sandbox::restricted("drift", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let balancer = Balancer::start(sandbox, "web", &spec()).await;
        balancer.pool("app", 1, 1, LIVE).await;
        let before = balancer.identities().await;
        let pods = balancer.targets(80, &Speech::Http).await.split_off(1);
        let traffic =
            Traffic::start(pods.into_iter().map(|target| ("each replica", target, Connections::Closed))).await;

        sandbox
            .edit::<Service>("web-lb", json!({ "spec": { "selector": { "fairway.dev/loadbalancer": "other" } } }))
            .await;
        let services = sandbox.api::<Service>();
        wait::until("the Service's selector to be put right", LIVE, async || {
            let selector = services.get("web-lb").await.map_err(|error| error.to_string())?.spec.unwrap().selector;
            let value = selector.unwrap_or_default().remove("fairway.dev/loadbalancer");
            seen(value.as_deref() == Some("web"), || format!("{value:?}"))
        })
        .await;
        comes_back::<Service>(sandbox, "web-lb").await;
        comes_back::<Secret>(sandbox, "web-lb-configuration").await;
        comes_back::<NetworkPolicy>(sandbox, "web-lb").await;
        comes_back::<PodDisruptionBudget>(sandbox, "web-lb").await;
        comes_back::<ServiceAccount>(sandbox, "web-lb").await;
        balancer.programmed(LIVE).await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("objects deleted by hand").await;

        sandbox.edit::<Deployment>("web-lb", json!({ "spec": { "replicas": 0 } })).await;
        wait::until("the scaled Deployment to be put right", LIVE, async || {
            let deployment = sandbox.api::<Deployment>().get("web-lb").await.map_err(|error| error.to_string())?;
            let replicas = deployment.spec.unwrap().replicas;
            seen(replicas == Some(2), || format!("{replicas:?}"))
        })
        .await;
        balancer.programmed(POD).await;
    });
}

/// Names of all that could be a load balancer's, by kind.
async fn everything(sandbox: &Sandbox) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let kinds = "deployments,replicasets,pods,services,endpointslices,secrets,serviceaccounts,configmaps,\
                 networkpolicies,poddisruptionbudgets,loadbalancers";
    let listed = sandbox.kubectl(&["get", kinds, "-o", "name"]).await.unwrap();
    found.extend(listed.lines().map(str::to_owned));
    found
}

#[test]
fn deleting_a_load_balancer_removes_what_was_made_for_it_and_nothing_else() {
    sandbox::restricted("deleted", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let other = Balancer::start(sandbox, "other", &spec()).await;
        other.pool("app", 1, 1, LIVE).await;
        let untouched = other.identities().await;
        let before = everything(sandbox).await;
        let balancer = Balancer::start(sandbox, "web", &spec()).await;
        let made = everything(sandbox).await;
        assert!(made.len() >= before.len() + 10, "{made:?}");
        let service = other.service(80, Speech::Http).await;
        let traffic = Traffic::start([("the other load balancer", service, Connections::Closed)]).await;
        sandbox.delete::<LoadBalancer>(&balancer.name).await;
        wait::until("all that was made for it to be gone", ENDED, async || {
            let now = everything(sandbox).await;
            let left: Vec<_> = now.difference(&before).collect();
            seen(left.is_empty(), || format!("{left:?}"))
        })
        .await;
        assert_eq!(everything(sandbox).await, before, "something else is gone as well");
        assert_eq!(other.identities().await, untouched);
        assert!(sandbox.names::<Pod>("fairway.dev/loadbalancer=web").await.is_empty());
        traffic.stop_unharmed("its neighbour deleted").await;
    });
}
