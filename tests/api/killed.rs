//! The operator killed at each of its writes, before it is done and after: the end is the same. There are no
//! nodes; with pods and traffic the same is done in tests/e2e/siege.rs.

use std::{collections::BTreeMap, path::PathBuf};

use fairway::api::LoadBalancer;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    operator::{eventually, spec},
    outside::{Moment, Outside},
    server::{namespace, operator_client},
};

const OPERATOR_NAMESPACE: &str = "fairway-system";

/// A load balancer of a round.
struct Round<'a> {
    client: &'a Client,
    namespace: &'a str,
    name: String,
}

impl Round<'_> {
    fn api<K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    async fn has<K>(&self, below: &str) -> bool
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        self.api::<K>().get_opt(&format!("{}-lb{below}", self.name)).await.unwrap().is_some()
    }

    async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<LoadBalancer>().patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until all is made, and the Service is as it shall be: its ports, or none.
    async fn becomes(&self, ports: Option<&[i32]>) {
        eventually(&format!("{} to be made with ports {ports:?}", self.name), async || {
            let resource = self.api::<LoadBalancer>().get(&self.name).await.unwrap();
            let status = resource.status.clone()?;
            let current = status.observed_generation == resource.metadata.generation;
            let good: BTreeMap<_, _> =
                status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect();
            let accepted = good.get("Accepted") == Some(&"True") && good.get("Reconciled") == Some(&"True");
            let service = self.api::<Service>().get_opt(&format!("{}-lb", self.name)).await.unwrap();
            let open = service.map(|service| {
                let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
                ports.iter().map(|port| port.port).collect::<Vec<_>>()
            });
            let secret = self.api::<Secret>().get_opt(&format!("{}-lb-configuration", self.name)).await.unwrap()?;
            let held = secret.annotations().get("fairway.dev/configuration-hash").cloned();
            let all = self.has::<Deployment>("").await
                && self.has::<ServiceAccount>("").await
                && self.has::<NetworkPolicy>("").await
                && self.has::<PodDisruptionBudget>("").await
                && self.has::<Secret>("-identity").await;
            let so = current && accepted && all && open.as_deref() == ports;
            (so && held == status.configuration.map(|wanted| wanted.hash)).then_some(())
        })
        .await;
    }

    /// It comes, is changed, is served on nodes and again by a Service, and goes.
    async fn live(&self) {
        let resource = LoadBalancer::new(&self.name, spec());
        self.api::<LoadBalancer>().create(&PostParams::default(), &resource).await.unwrap();
        self.becomes(Some(&[80])).await;
        let listener = |name: &str, port: u16| json!({ "name": name, "protocol": "HTTP", "port": port, "pool": "app" });
        self.change(json!({ "listeners": [listener("web", 80), listener("more", 81)] })).await;
        self.becomes(Some(&[80, 81])).await;
        self.change(json!({ "exposure": { "type": "HostNetwork" } })).await;
        self.becomes(None).await;
        self.change(json!({ "exposure": null, "listeners": [listener("more", 81)] })).await;
        self.becomes(Some(&[81])).await;
        self.api::<LoadBalancer>().delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_may_be_killed_at_each_of_its_writes() {
    let (client, namespace) = namespace().await;
    let environment = [
        ("POD_NAMESPACE", OPERATOR_NAMESPACE),
        ("WATCH_NAMESPACE", &namespace),
        ("RELATED_IMAGE_FAIRWAY", "quay.io/fairway/fairway:0.1.0"),
        ("RELATED_IMAGE_HAPROXY", "quay.io/fairway/haproxy:2.6.12"),
    ];
    let environment = environment.map(|(name, value)| (name, value.to_owned())).to_vec();
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_fairway"));
    let operator = Outside::start(operator_client().await, binary, environment).await;
    for moment in [Moment::Before, Moment::After] {
        let mut killed = 0;
        loop {
            operator.kill_at(killed + 1, moment);
            let name = format!("{moment:?}-{killed}").to_lowercase();
            Round { client: &client, namespace: &namespace, name }.live().await;
            if !operator.was_killed() {
                break;
            }
            killed += 1;
        }
        assert!(killed >= 20, "the operator wrote {killed} times only");
    }
    assert!(operator.starts() > 40, "started {} times only", operator.starts());
}
