//! A registry that is installed while the operator is killed, or a request goes wrong: between any two writes, the end
//! is one instance with one set of secrets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fairway::{
    api::Harbor,
    harbor::{Harbors, world::Installation},
    reconcile::{Engine, Family, Scope, Settings},
    telemetry::{Exposition, Metrics, Readiness},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    api_server::{ApiServer, Fault, Request, Verb, What},
    harness::{NAMESPACE, user},
};

/// What stands in for the controllers of Kubernetes says so.
const CONTROLLER: &str = "kube-controller-manager";

pub(crate) fn start(server: &ApiServer) -> JoinHandle<()> {
    let metrics = Metrics::register(&Exposition::default());
    let installation = Installation { namespace: "fairway-system".to_owned(), ..Installation::default() };
    let client = server.client();
    let (family, triggers) = Harbors::new(client.clone(), &Scope::All, installation, &metrics);
    let engine = Engine::new(family, client, Settings::new(Scope::All, "test-0"), metrics, Readiness::default());
    tokio::spawn(engine.run(triggers, std::future::pending()))
}

fn all(client: &Client, kind: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), NAMESPACE, kind)
}

/// Makes pods ready and ends Jobs, as a cluster would.
pub(crate) async fn controllers(client: Client) {
    let kinds: Vec<ApiResource> = Harbors::owns()
        .into_iter()
        .filter(|kind| ["Deployment", "StatefulSet", "Job"].contains(&&*kind.kind))
        .collect();
    let parameters = PatchParams { field_manager: Some(CONTROLLER.to_owned()), ..PatchParams::default() };
    loop {
        for kind in &kinds {
            let api = all(&client, kind);
            for object in api.list(&ListParams::default()).await.into_iter().flatten() {
                let status = if kind.kind == "Job" {
                    json!({ "conditions": [{ "type": "Complete", "status": "True" }] })
                } else {
                    json!({ "readyReplicas": 1, "updatedReplicas": 1, "replicas": 1 })
                };
                if object.data["status"].is_null() {
                    let patch = Patch::Merge(json!({ "status": status }));
                    let _ = api
                        .patch_status(object.metadata.name.as_deref().unwrap_or_default(), &parameters, &patch)
                        .await;
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(crate) async fn create(client: &Client, spec: Value) {
    let api: Api<Harbor> = Api::namespaced(client.clone(), NAMESPACE);
    let harbor = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "Harbor", "metadata": { "name": "main" }, "spec": spec,
    });
    api.patch("main", &PatchParams { force: true, ..PatchParams::apply("kubectl") }, &Patch::Apply(&harbor))
        .await
        .expect("a registry");
}

fn smallest() -> Value {
    json!({ "externalURL": "http://registry.example.com" })
}

/// The Secret of a registry that was there before: making one up takes seconds.
pub(crate) async fn keep_credentials(client: &Client) {
    let lengths = [("secretKey", 16), ("csrfKey", 32), ("coreSecret", 16), ("jobserviceSecret", 16)];
    let longer = [("registrySecret", 16), ("registryPassword", 32), ("databasePassword", 32), ("cachePassword", 32)];
    let longer = longer.into_iter().chain([("databaseSuperuserPassword", 32)]);
    let texts = ["registryHtpasswd", "tokenKey", "adminPassword"].map(|key| (key, 20));
    let data: BTreeMap<&str, String> =
        lengths.into_iter().chain(longer).chain(texts).map(|(key, length)| (key, "x".repeat(length))).collect();
    let data: BTreeMap<&str, k8s_openapi::ByteString> =
        data.into_iter().map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes()))).collect();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "main-credentials", "namespace": NAMESPACE, "labels": {
            "app.kubernetes.io/managed-by": "fairway", "fairway.dev/family": "harbor",
            "app.kubernetes.io/instance": "main", "fairway.dev/component": "credentials", "fairway.dev/keep": "true",
        } },
        "type": "Opaque", "data": data,
    });
    let api: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let parameters = kube::api::PostParams { field_manager: Some("kubectl".to_owned()), ..Default::default() };
    api.create(&parameters, &serde_json::from_value(secret).expect("a secret")).await.expect("the secret");
}

/// What there is in the end.
async fn end_state(client: &Client) -> Value {
    let mut state = vec![];
    for kind in Harbors::owns() {
        for object in all(client, &kind).list(&ListParams::default()).await.expect("a list") {
            let owners = object.metadata.owner_references.unwrap_or_default().len();
            let (name, labels) = (object.metadata.name, object.metadata.labels);
            state.push(json!([kind.kind, name, labels, owners, object.data["spec"], object.data["data"]]));
        }
    }
    let api: Api<Harbor> = Api::namespaced(client.clone(), NAMESPACE);
    for harbor in api.list(&ListParams::default()).await.expect("a list") {
        let status = harbor.status.expect("a status");
        let told: Vec<_> =
            status.conditions.iter().map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone())).collect();
        state.push(json!([harbor.metadata.finalizers, status.version, status.connections, told]));
    }
    Value::Array(state)
}

/// Time enough for an install, and for the backoff of a single failure.
pub(crate) async fn long() {
    tokio::time::sleep(Duration::from_secs(45)).await;
}

/// The end is what it would have been, within the time of a backoff, and stays so.
async fn ends_as(client: &Client, expected: &Value, after: &str) {
    for _ in 0..45 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if end_state(client).await == *expected {
            break;
        }
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(end_state(client).await, *expected, "{after}");
}

pub(crate) fn of_operator(request: &Request) -> bool {
    let manager = request.query.get("fieldManager").map(String::as_str);
    !matches!(manager, Some(CONTROLLER | "kubectl"))
        && (request.verb != Verb::List || request.query.contains_key("limit"))
}

async fn undisturbed() -> (Value, usize) {
    let server = ApiServer::new();
    let client = server.client();
    keep_credentials(&client).await;
    let cluster = tokio::spawn(controllers(client.clone()));
    create(&client, smallest()).await;
    let running = start(&server);
    long().await;
    let writes = server.writes().iter().filter(|request| of_operator(request)).count();
    let state = end_state(&client).await;
    running.abort();
    cluster.abort();
    (state, writes)
}

fn names(state: &Value, kind: &str) -> Vec<String> {
    let of_kind = state.as_array().expect("a list").iter().filter(|one| one[0] == kind);
    of_kind.filter_map(|one| Some(one[1].as_str()?.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_operator_may_be_killed_between_any_two_writes_of_an_install() {
    let (expected, writes) = undisturbed().await;
    let deployments = ["main-core", "main-jobservice", "main-portal", "main-registry"];
    assert_eq!(names(&expected, "Deployment"), deployments);
    assert_eq!(names(&expected, "Job"), [] as [&str; 0]);
    let mut killed = 0;
    for nth in 0..writes {
        let server = ApiServer::new();
        let client = server.client();
        keep_credentials(&client).await;
        let crash = Arc::new(Notify::new());
        let on = |request: &Request| request.writes() && of_operator(request);
        server.fault(Fault::new(What::Crash(Arc::clone(&crash))).on(on).nth(nth));
        let cluster = tokio::spawn(controllers(client.clone()));
        create(&client, smallest()).await;
        let running = start(&server);
        tokio::select! {
            () = crash.notified() => killed += 1,
            // A write of the status more or less: it depends on what was seen when.
            () = long() => {}
        }
        running.abort();
        let _ = running.await;
        let running = start(&server);
        ends_as(&client, &expected, &format!("killed after write {nth}")).await;
        running.abort();
        cluster.abort();
    }
    assert!(killed >= 40, "{killed} of {writes}");
}

#[rstest]
#[case::refused(What::Fail(500), 0)]
#[case::conflict(What::Fail(409), 1)]
#[case::reply_lost(What::DropReply, 2)]
#[tokio::test(start_paused = true)]
async fn any_write_of_an_install_may_go_wrong(#[case] what: What, #[case] first: usize) {
    let (expected, writes) = undisturbed().await;
    // Each write goes wrong in one of three ways: an install in a debug build takes its time.
    for nth in (first..writes).step_by(3) {
        let server = ApiServer::new();
        let client = server.client();
        keep_credentials(&client).await;
        let on = |request: &Request| request.writes() && of_operator(request);
        server.fault(Fault::new(what.clone()).on(on).nth(nth));
        let cluster = tokio::spawn(controllers(client.clone()));
        create(&client, smallest()).await;
        let running = start(&server);
        ends_as(&client, &expected, &format!("after {what:?} of write {nth}")).await;
        running.abort();
        cluster.abort();
    }
}

#[rstest]
#[case::killed_when_they_were_made(true)]
#[case::answer_lost(false)]
#[tokio::test(start_paused = true)]
async fn there_is_one_set_of_secrets(#[case] killed: bool) {
    let server = ApiServer::new();
    let client = server.client();
    let crash = Arc::new(Notify::new());
    let what = if killed { What::Crash(Arc::clone(&crash)) } else { What::DropReply };
    let on = |request: &Request| request.plural == "secrets" && request.verb == Verb::Create;
    server.fault(Fault::new(what).on(on).nth(0));
    create(&client, smallest()).await;
    let mut running = start(&server);
    if killed {
        crash.notified().await;
        running.abort();
        running = start(&server);
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let first = loop {
        if let Some(secret) = secrets.get_opt("main-credentials").await.expect("an answer") {
            break secret;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let data = first.data.expect("secrets");
    assert_eq!((data["secretKey"].0.len(), data["csrfKey"].0.len(), data.len()), (16, 32, 12));
    long().await;
    let last = secrets.get("main-credentials").await.expect("the secret");
    assert_eq!(last.data, Some(data), "they are never made up anew");
    running.abort();

    // Deleted and made again, the registry has them still.
    let api: Api<Harbor> = Api::namespaced(client.clone(), NAMESPACE);
    api.delete("main", &kube::api::DeleteParams::default()).await.expect("deletion");
    let patch = json!({ "metadata": { "labels": { "seen": "true" } } });
    secrets.patch("main-credentials", &user(), &Patch::Merge(&patch)).await.expect("it is there");
}
