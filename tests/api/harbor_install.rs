//! What the operator makes of a registry on a real API server, with no more rights than its role gives it. There are
//! no nodes: what the kubelet and the controllers would say is said by the test.

use std::time::{Duration, Instant};

use fairway::{
    api::{Harbor, LoadBalancer},
    harbor::{Harbors, world::Installation},
    reconcile::{Engine, Scope, Settings},
    telemetry::{Exposition, Metrics, Readiness},
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    operator::{eventually, get},
    server::{namespace, operator_client},
};

/// An operator of registries alone.
pub(crate) struct Operator {
    exposition: Exposition,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Operator {
    pub(crate) async fn start(namespace: &str) -> Self {
        let client = operator_client().await;
        let exposition = Exposition::default();
        let metrics = Metrics::register(&exposition);
        let scope = Scope::parse(namespace);
        let installation = Installation { namespace: "fairway-system".to_owned(), ..Installation::default() };
        let (family, triggers) = Harbors::new(client.clone(), &scope, installation, &metrics);
        let engine = Engine::new(family, client, Settings::new(scope, "test"), metrics, Readiness::default());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(engine.run(triggers, async {
            let _ = stopped.await;
        }));
        Self { exposition, stop: Some(stop), task }
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }

    /// How many requests were sent that write other than a status.
    fn writes(&self) -> u64 {
        let text = self.exposition.text().unwrap();
        let lines = text.lines().filter(|line| line.starts_with("fairway_api_writes_total{"));
        let lines = lines.filter(|line| !line.contains("patch_status"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

pub(crate) async fn create(client: &Client, namespace: &str, spec: serde_json::Value) {
    let api: Api<Harbor> = Api::namespaced(client.clone(), namespace);
    let harbor = Harbor::new("main", serde_json::from_value(spec).unwrap());
    api.create(&PostParams::default(), &harbor).await.unwrap();
}

pub(crate) fn smallest() -> serde_json::Value {
    json!({ "externalURL": "http://registry.example.com" })
}

pub(crate) async fn there<K>(client: &Client, namespace: &str, name: &str) -> K
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    eventually(&format!("{} {name}", K::kind(&())), async || get::<K>(client, namespace, name).await).await
}

/// Says of an object what a controller would.
async fn told<K>(client: &Client, namespace: &str, name: &str, status: serde_json::Value)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    // Not of one that belonged to another registry of the name, and is about to be collected.
    let harbor = there::<Harbor>(client, namespace, "main").await.metadata.uid;
    eventually(&format!("{} {name}", K::kind(&())), async || {
        let found = get::<K>(client, namespace, name).await?;
        found.owner_references().iter().any(|owner| Some(&owner.uid) == harbor.as_ref()).then_some(())
    })
    .await;
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await.unwrap();
}

fn running() -> serde_json::Value {
    json!({ "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 99 })
}

async fn migration(client: &Client, namespace: &str) -> String {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    eventually("a migration", async || {
        jobs.list(&ListParams::default()).await.unwrap().items.first().map(Job::name_any)
    })
    .await
}

/// Installs the registry `main`, as far as one comes without nodes.
pub(crate) async fn install(client: &Client, namespace: &str) {
    for name in ["main-database", "main-cache"] {
        told::<StatefulSet>(client, namespace, name, running()).await;
    }
    let job = migration(client, namespace).await;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now, "reason": "Test" });
    let done = json!({
        "startTime": now, "completionTime": now, "succeeded": 1,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    });
    told::<Job>(client, namespace, &job, done).await;
    told::<Deployment>(client, namespace, "main-core", running()).await;
    for name in ["main-registry", "main-jobservice", "main-portal"] {
        told::<Deployment>(client, namespace, name, running()).await;
    }
}

pub(crate) async fn condition(client: &Client, namespace: &str, kind: &str, verdict: &str) -> String {
    eventually(&format!("{kind} {verdict}"), async || {
        let status = get::<Harbor>(client, namespace, "main").await?.status?;
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind)?;
        (format!("{}/{}", found.status, found.reason) == verdict).then_some(found.message)
    })
    .await
}

#[tokio::test]
async fn an_install_goes_stage_by_stage_and_then_rests() {
    let (client, namespace) = namespace().await;
    create(&client, &namespace, smallest()).await;
    let operator = Operator::start(&namespace).await;

    let secret: Secret = there(&client, &namespace, "main-credentials").await;
    assert_eq!(secret.data.unwrap()["secretKey"].0.len(), 16);
    assert_eq!(secret.metadata.owner_references, None, "it outlives the registry");
    condition(&client, &namespace, "DatabaseReady", "False/Starting").await;
    assert_eq!(get::<Deployment>(&client, &namespace, "main-core").await, None);

    install(&client, &namespace).await;
    let front: LoadBalancer = there(&client, &namespace, "main-front").await;
    assert_eq!(front.spec.listeners[0].rules.len(), 6);
    assert_eq!(front.metadata.owner_references.as_ref().map(Vec::len), Some(1));
    there::<ConfigMap>(&client, &namespace, "main-registry").await;
    there::<PersistentVolumeClaim>(&client, &namespace, "main-registry-data").await;
    // Its end is written down, so it goes.
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    eventually("no more migration", async || {
        let left = jobs.list(&ListParams::default()).await.unwrap().items;
        left.iter().all(|job| job.metadata.deletion_timestamp.is_some()).then_some(())
    })
    .await;
    condition(&client, &namespace, "Migrated", "True/Migrated").await;
    condition(&client, &namespace, "Reconciled", "True/Reconciled").await;
    let told = eventually("Harbor was asked", async || {
        let status = get::<Harbor>(&client, &namespace, "main").await?.status?;
        let found = status.conditions.into_iter().find(|condition| condition.type_ == "Healthy")?;
        (found.reason != "NotAsked").then_some(found)
    })
    .await;
    // Whatever is at that address, or nothing, it is no Harbor.
    assert!(told.status == "False" && told.reason.starts_with("Harbor"), "{}: {}", told.reason, told.message);

    // Turns go on, since Harbor is not well, and write nothing.
    let writes = operator.writes();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(operator.writes(), writes, "at rest nothing is written");

    // What somebody takes away comes back, and what somebody changes is put right.
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    services.delete("main-core", &DeleteParams::default()).await.unwrap();
    there::<Service>(&client, &namespace, "main-core").await;
    operator.stop().await;
}

async fn put_secret(client: &Client, namespace: &str, name: &str, password: &str) {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "password": password },
    });
    api.patch(name, &PatchParams::apply("test"), &Patch::Apply(&secret)).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_named_is_taken_up_as_soon_as_it_changes() {
    let (client, namespace) = namespace().await;
    let mut spec = smallest();
    spec["administrator"] = json!({ "passwordSecretName": "admin" });
    spec["cache"] = json!({
        "type": "External", "external": { "host": "redis", "passwordSecretName": "redis" },
    });
    create(&client, &namespace, spec).await;
    let operator = Operator::start(&namespace).await;
    let message = condition(&client, &namespace, "ResolvedRefs", "False/SecretNotFound").await;
    assert!(message.contains("Secret \"redis\""), "{message}");

    // It would be looked at again by itself, but only after 15 s.
    let begun = Instant::now();
    put_secret(&client, &namespace, "redis", "p@ss").await;
    condition(&client, &namespace, "ResolvedRefs", "True/ResolvedRefs").await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());

    let message = condition(&client, &namespace, "AdministratorReady", "False/SecretNotFound").await;
    assert!(message.contains("Secret \"admin\" does not exist; create it"), "{message}");
    put_secret(&client, &namespace, "admin", "password").await;
    let message = condition(&client, &namespace, "AdministratorReady", "False/WeakPassword").await;
    assert!(message.contains("it lacks a capital and a digit"), "{message}");
    put_secret(&client, &namespace, "admin", "Password1").await;
    condition(&client, &namespace, "AdministratorReady", "False/NotAsked").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_registry_that_is_made_again_takes_up_what_was_kept() {
    let (client, namespace) = namespace().await;
    create(&client, &namespace, smallest()).await;
    let operator = Operator::start(&namespace).await;
    install(&client, &namespace).await;
    there::<LoadBalancer>(&client, &namespace, "main-front").await;
    let before: Secret = there(&client, &namespace, "main-credentials").await;
    let volume: PersistentVolumeClaim = there(&client, &namespace, "main-registry-data").await;
    condition(&client, &namespace, "Migrated", "True/Migrated").await;

    let harbors: Api<Harbor> = Api::namespaced(client.clone(), &namespace);
    let gone = harbors.get("main").await.unwrap().metadata.uid.unwrap();
    harbors.delete("main", &DeleteParams::default()).await.unwrap();
    eventually("it is gone", async || get::<Harbor>(&client, &namespace, "main").await.is_none().then_some(())).await;
    // A turn that was under way may make something yet, for nobody: the garbage collector goes on looking.
    let collecting = tokio::spawn({
        let (client, namespace) = (client.clone(), namespace.clone());
        async move {
            loop {
                collect_garbage(&client, &namespace, &gone).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    });
    assert!(get::<Secret>(&client, &namespace, "main-credentials").await.is_some());

    create(&client, &namespace, smallest()).await;
    install(&client, &namespace).await;
    condition(&client, &namespace, "Migrated", "True/Migrated").await;
    let after: Secret = there(&client, &namespace, "main-credentials").await;
    assert_eq!((after.data, after.metadata.uid), (before.data, before.metadata.uid), "one set of secrets");
    let kept: PersistentVolumeClaim = there(&client, &namespace, "main-registry-data").await;
    assert_eq!(kept.metadata.uid, volume.metadata.uid);
    collecting.abort();
    operator.stop().await;
}

/// What the garbage collector would do with what belonged to one that is gone.
async fn collect_garbage(client: &Client, namespace: &str, gone: &str) {
    async fn all<K>(client: &Client, namespace: &str, gone: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        for object in api.list(&ListParams::default()).await.unwrap() {
            if object.owner_references().iter().any(|owner| owner.uid == gone) {
                let _ = api.delete(&object.name_any(), &DeleteParams::background()).await;
            }
        }
    }
    use k8s_openapi::api::{networking::v1::NetworkPolicy, policy::v1::PodDisruptionBudget};
    all::<Secret>(client, namespace, gone).await;
    all::<ConfigMap>(client, namespace, gone).await;
    all::<NetworkPolicy>(client, namespace, gone).await;
    all::<PodDisruptionBudget>(client, namespace, gone).await;
    all::<Service>(client, namespace, gone).await;
    all::<StatefulSet>(client, namespace, gone).await;
    all::<Job>(client, namespace, gone).await;
    all::<Deployment>(client, namespace, gone).await;
    all::<LoadBalancer>(client, namespace, gone).await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let (client, namespace) = namespace().await;
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "main-credentials" },
        "stringData": { "secretKey": "somebody else's" },
    });
    api.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    create(&client, &namespace, smallest()).await;
    let operator = Operator::start(&namespace).await;
    let message = condition(&client, &namespace, "Reconciled", "False/NameTaken").await;
    assert!(message.contains("Secret main-credentials is not of this registry"), "{message}");
    let left: Secret = there(&client, &namespace, "main-credentials").await;
    assert_eq!(left.data.unwrap().len(), 1);
    operator.stop().await;
}
