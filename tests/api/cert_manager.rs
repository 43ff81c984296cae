//! A certificate from cert-manager: told while it is not there, asked for as soon as it is, and let go of. What stands in
//! for cert-manager knows its kind of certificate and issues none: the test says what it would.

use std::time::Duration;

use fairway::api::{Harbor, LoadBalancer};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    harbor_install::{Operator, condition, create, install, smallest, there},
    operator::eventually,
    server::namespace,
};

fn certificates(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "certificates"))
}

async fn change(client: &Client, namespace: &str, spec: serde_json::Value) {
    let harbors: Api<Harbor> = Api::namespaced(client.clone(), namespace);
    harbors.patch("main", &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
}

#[tokio::test]
async fn it_is_asked_for_as_soon_as_cert_manager_is_there() {
    let (client, namespace) = namespace().await;
    // The operator is there first, and does not wait for it.
    let operator = Operator::start(&namespace).await;
    let issuer = json!({ "issuerName": "letsencrypt", "issuerKind": "ClusterIssuer" });
    let mut spec = smallest();
    spec["externalURL"] = json!("https://registry.example.com");
    spec["exposure"] = json!({ "tls": { "certManager": issuer } });
    create(&client, &namespace, spec).await;
    let message = condition(&client, &namespace, "ResolvedRefs", "False/CertManagerNotInstalled").await;
    assert!(message.contains("install it, or give exposure.tls.secretName"), "{message}");
    // Nothing else waits for it.
    install(&client, &namespace).await;
    let front: LoadBalancer = there(&client, &namespace, "main-front").await;
    assert_eq!(front.spec.listeners[1].certificates[0].secret_name, "main-front-tls");
    condition(&client, &namespace, "Reconciled", "True/Reconciled").await;

    let definition: CustomResourceDefinition =
        serde_saphyr::from_str(include_str!("../support/cert-manager-stand-in.yaml")).unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let established = await_condition(definitions, "certificates.cert-manager.io", conditions::is_crd_established());
    timeout(Duration::from_secs(20), established).await.expect("the CRD is established").unwrap();
    let api = certificates(&client, &namespace);
    let asked = eventually("a certificate", async || api.get_opt("main-front").await.unwrap()).await;
    assert_eq!(
        asked.data["spec"],
        json!({
            "secretName": "main-front-tls",
            "dnsNames": ["registry.example.com"],
            "issuerRef": { "group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt" },
        })
    );
    assert_eq!(asked.metadata.owner_references.as_ref().map(Vec::len), Some(1), "it goes with the registry");
    condition(&client, &namespace, "ResolvedRefs", "False/CertificateNotReady").await;

    let told = |status: &str, message: &str| {
        let condition = json!({ "type": "Ready", "status": status, "reason": "Test", "message": message });
        Patch::Merge(json!({ "status": { "conditions": [condition] } }))
    };
    let parameters = PatchParams::default();
    api.patch_status("main-front", &parameters, &told("False", "no such ClusterIssuer")).await.unwrap();
    eventually("cert-manager's words", async || {
        let message = condition(&client, &namespace, "ResolvedRefs", "False/CertificateNotReady").await;
        message.contains("Certificate main-front, of \"letsencrypt\": no such ClusterIssuer").then_some(())
    })
    .await;
    api.patch_status("main-front", &parameters, &told("True", "up to date")).await.unwrap();
    condition(&client, &namespace, "ResolvedRefs", "True/ResolvedRefs").await;

    // Changed by hand it is put right, and without it nothing is left.
    api.patch("main-front", &parameters, &Patch::Merge(json!({ "spec": { "dnsNames": ["other"] } }))).await.unwrap();
    eventually("it is put right", async || {
        let names = api.get("main-front").await.unwrap().data["spec"]["dnsNames"].clone();
        (names == json!(["registry.example.com"])).then_some(())
    })
    .await;
    change(&client, &namespace, json!({ "externalURL": "http://registry.example.com", "exposure": null })).await;
    eventually("it is gone", async || api.get_opt("main-front").await.unwrap().is_none().then_some(())).await;
    operator.stop().await;

    // One that is started anew, with cert-manager there, knows what it made.
    let operator = Operator::start(&namespace).await;
    let again =
        json!({ "externalURL": "https://registry.example.com", "exposure": { "tls": { "certManager": issuer } } });
    change(&client, &namespace, again).await;
    eventually("a certificate", async || api.get_opt("main-front").await.unwrap()).await;
    operator.stop().await;
}
