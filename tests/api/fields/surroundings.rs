//! What the load balancers of the cases name: certificates, authorities, Services, pods and a class.

use fairway::api::LoadBalancerClass;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde_json::{Value, json};

use crate::pods::Pods;

/// The class that is there.
pub(super) const CLASS: &str = "fields";

/// The namespace of the cases.
pub(super) struct Surroundings {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Surroundings {
    pub(super) async fn make(client: Client, namespace: String) -> Self {
        let surroundings = Self { client, namespace };
        let made = |name: &str| rcgen::generate_simple_self_signed(vec![format!("{name}.example")]).unwrap();
        for name in ["shop", "blog"] {
            let pair = made(name);
            let data = json!({ "tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem() });
            surroundings.apply::<Secret>(name, json!({ "type": "kubernetes.io/tls", "stringData": data })).await;
        }
        for name in ["partners", "others"] {
            surroundings.apply::<ConfigMap>(name, json!({ "data": { "ca.crt": made(name).cert.pem() } })).await;
        }
        surroundings.service("app", "10.0.0.1").await;
        surroundings.service("api", "10.0.0.2").await;
        let pods = Pods::new(&surroundings.client, &surroundings.namespace);
        pods.start("web-a", json!({ "app": "web", "tier": "front" }), "10.0.1.1", &[("http", 8080), ("admin", 9090)])
            .await;
        pods.start("web-b", json!({ "app": "web", "tier": "back" }), "10.0.1.2", &[("http", 8080)]).await;
        surroundings.class().await;
        surroundings
    }

    /// A Service with two ports, `http` and `admin`, and one endpoint.
    async fn service(&self, name: &str, address: &str) {
        let ports = json!([{ "name": "http", "port": 80 }, { "name": "admin", "port": 81 }]);
        self.apply::<Service>(name, json!({ "spec": { "ports": ports } })).await;
        let slice = json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }, { "name": "admin", "port": 9090 }],
            "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        });
        self.apply::<EndpointSlice>(name, slice).await;
    }

    async fn class(&self) {
        let class = json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": "LoadBalancerClass", "metadata": { "name": CLASS },
            "spec": { "replicas": 5 },
        });
        let api: Api<LoadBalancerClass> = Api::all(self.client.clone());
        api.patch(CLASS, &PatchParams::apply("test"), &Patch::Apply(class)).await.unwrap();
    }

    async fn apply<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
        &self,
        name: &str,
        mut object: Value,
    ) {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        object["metadata"]["name"] = json!(name);
        let kind = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        api.patch(name, &PatchParams::apply("test"), &Patch::Apply(&object)).await.unwrap();
    }
}
