//! An engine that runs against a server of its own, and what a user would do and see with `kubectl`.

use std::{sync::Arc, time::Duration};

use fairway::{
    reconcile::{Engine, Scope, Settings, Trigger},
    telemetry::{Exposition, Metrics, Readiness},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use crate::{
    api_server::ApiServer,
    buoy::{Buoy, Buoys},
};

pub(crate) const NAMESPACE: &str = "harbour";

/// A server and a family.
pub(crate) struct Harness {
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
    pub(crate) family: Buoys,
    begun: Instant,
}

/// An engine that runs; dropped, it is killed.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    pub(crate) exposition: Exposition,
    pub(crate) readiness: Readiness,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let server = ApiServer::new();
        Self { client: server.client(), server, family: Buoys::default(), begun: Instant::now() }
    }

    /// Settings whose clock goes with the test's.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(Scope::All, "test-0");
        let begun = self.begun;
        settings.clock = Arc::new(move || {
            let passed = SignedDuration::try_from(begun.elapsed()).expect("a duration");
            Timestamp::from_second(1_800_000_000).expect("a time") + passed
        });
        settings
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(self.settings(), vec![])
    }

    pub(crate) fn start_with(&self, settings: Settings, triggers: Vec<Trigger>) -> Running {
        let (exposition, readiness) = (Exposition::default(), Readiness::default());
        let metrics = Metrics::register(&exposition);
        let engine = Engine::new(self.family.clone(), self.server.client(), settings, metrics, readiness.clone());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(engine.run(triggers, async {
            let _ = stopped.await;
        }));
        Running { stop: Some(stop), task, exposition, readiness }
    }

    pub(crate) fn buoys(&self) -> Api<Buoy> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) fn configs(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// `kubectl create` of a buoy.
    pub(crate) async fn create(&self, name: &str, spec: Value) {
        self.create_in(NAMESPACE, name, spec).await;
    }

    pub(crate) async fn create_in(&self, namespace: &str, name: &str, spec: Value) {
        let buoy =
            json!({"apiVersion": "test.fairway.dev/v1", "kind": "Buoy", "metadata": {"name": name}, "spec": spec});
        self.create_raw(namespace, "buoys", buoy).await;
    }

    /// Creates what may be no good.
    pub(crate) async fn create_raw(&self, namespace: &str, plural: &str, object: Value) {
        let path = match object["apiVersion"].as_str() {
            Some("v1") => format!("/api/v1/namespaces/{namespace}/{plural}"),
            version => format!("/apis/{}/namespaces/{namespace}/{plural}", version.unwrap_or_default()),
        };
        let request = http::Request::post(path).body(object.to_string().into_bytes()).expect("a request");
        self.client.request::<Value>(request).await.expect("creation");
    }

    /// `kubectl patch` of a buoy's spec.
    pub(crate) async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.buoys().patch(name, &user(), &patch).await.expect("a patch");
    }

    /// `kubectl delete` of a buoy.
    pub(crate) async fn delete(&self, name: &str) {
        self.buoys().delete(name, &DeleteParams::default()).await.expect("deletion");
    }

    pub(crate) async fn buoy(&self, name: &str) -> Buoy {
        self.buoys().get(name).await.expect("a buoy")
    }

    /// Status, reason and message of a condition.
    pub(crate) async fn condition(&self, name: &str, type_: &str) -> Option<(String, String, String)> {
        let status = self.buoy(name).await.status?;
        let condition = status.conditions.into_iter().find(|condition| condition.type_ == type_)?;
        Some((condition.status, condition.reason, condition.message))
    }

    /// Status and reason of `Reconciled`.
    pub(crate) async fn reconciled(&self, name: &str) -> (String, String) {
        let (status, reason, _) = self.condition(name, "Reconciled").await.expect("a condition");
        (status, reason)
    }

    /// Names of the config maps there are.
    pub(crate) async fn config_names(&self) -> Vec<String> {
        let list = self.configs().list(&kube::api::ListParams::default()).await.expect("a list");
        list.items.into_iter().filter_map(|object| object.metadata.name).collect()
    }

    /// Reasons and notes of the events there are, sorted.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::events::v1::Event> = Api::all(self.client.clone());
        let list = api.list(&kube::api::ListParams::default()).await.expect("a list");
        let mut events: Vec<_> = list
            .items
            .into_iter()
            .map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
            .collect();
        events.sort();
        events
    }

    /// What the engine wrote since the requests were last forgotten, such as `Apply configmaps/a`.
    pub(crate) fn written(&self) -> Vec<String> {
        let by_engine = |request: &&crate::api_server::Request| {
            request.query.get("fieldManager").is_none_or(|name| name == "fairway")
        };
        self.server.writes().iter().filter(by_engine).map(crate::api_server::Request::brief).collect()
    }

    /// Creates a buoy with one config map, and waits until nothing more happens.
    pub(crate) async fn installed(&self) -> Running {
        self.create("web", one_config()).await;
        let running = self.start();
        settle().await;
        assert_eq!(self.reconciled("web").await.0, "True");
        self.server.forget_requests();
        running
    }
}

impl Running {
    /// Stops as on SIGTERM.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.expect("an end");
    }

    /// Kills the engine where it stands.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A spec with one config map, `a`.
pub(crate) fn one_config() -> Value {
    json!({"configs": {"a": {"x": "1", "y": "2"}}})
}

/// Lets a minute pass on the test's clock, which is no time at all.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_mins(1)).await;
}

/// Writes as a user.
pub(crate) fn user() -> PatchParams {
    PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() }
}
