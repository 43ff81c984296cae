//! Definitions are not deleted by mistake where `config/guard` is installed.

use std::time::Duration;

use fairway::api::{Harbor, HarborClass, LoadBalancer, LoadBalancerClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, CustomResourceExt, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::server;

/// How long the API server may take to go by what was changed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the API server says to a deletion that is not meant.
async fn deletion(definitions: &Api<CustomResourceDefinition>, name: &str) -> Result<(), String> {
    let unmeant = DeleteParams { dry_run: true, ..DeleteParams::default() };
    definitions.delete(name, &unmeant).await.map(drop).map_err(|error| error.to_string())
}

/// Waits until deletions are answered in a way.
async fn until(definitions: &Api<CustomResourceDefinition>, name: &str, fits: impl Fn(&Result<(), String>) -> bool) {
    let begun = Instant::now();
    loop {
        let told = deletion(definitions, name).await;
        if fits(&told) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{name}: {told:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_definition_is_deleted_only_when_it_is_said_twice() {
    let client = server::client().await;
    server::install(&client, &[include_str!("../../config/guard/guard.yaml")]).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let allow = async |name: &str, value: Value| {
        let annotations = json!({ "metadata": { "annotations": { "fairway.dev/allow-deletion": value } } });
        definitions.patch(name, &PatchParams::default(), &Patch::Merge(&annotations)).await.unwrap();
    };
    for definition in [LoadBalancer::crd(), LoadBalancerClass::crd(), Harbor::crd(), HarborClass::crd()] {
        let kind = definition.spec.names.kind.clone();
        let name = definition.name_any();
        let refuses = |told: &Result<(), String>| {
            told.as_ref().is_err_and(|message| {
                message.contains(&format!("every {kind} of every namespace would be deleted"))
                    && message.contains(&format!("kubectl annotate crd {name} fairway.dev/allow-deletion=true"))
            })
        };
        until(&definitions, &name, refuses).await;
        allow(&name, json!("no")).await;
        until(&definitions, &name, refuses).await;
        allow(&name, json!("true")).await;
        until(&definitions, &name, Result::is_ok).await;
        allow(&name, Value::Null).await;
        until(&definitions, &name, refuses).await;
    }

    // Others' are nothing to it.
    let mut other = json!(LoadBalancerClass::crd());
    other["metadata"]["name"] = json!("loadbalancerclasses.example.dev");
    other["spec"]["group"] = json!("example.dev");
    let other: CustomResourceDefinition = serde_json::from_value(other).unwrap();
    definitions.create(&kube::api::PostParams::default(), &other).await.unwrap();
    deletion(&definitions, "loadbalancerclasses.example.dev").await.unwrap();
}
