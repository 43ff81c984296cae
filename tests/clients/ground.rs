//! What projects and robots are tried on: a real API server, the stand-in's core with its PostgreSQL and Redis, and the
//! operator with no more rights than its role gives it. That a registry is there and ready is said by the test.

use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use fairway::{
    api::{Harbor, HarborProject, HarborRobot},
    harbor::{access::Locate, project::HarborProjects, robot::HarborRobots},
    reconcile::{Engine, Scope, Settings},
    telemetry::{Exposition, Metrics, Readiness},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::{Secret, Service},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Resource,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle, time};

use crate::{
    harbor_core::{Core, PASSWORD},
    server::{namespace, operator_client},
};

/// A namespace with a registry that is ready, and the core that plays it.
pub(crate) struct Ground {
    pub(crate) core: Core,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// How many days the operator's clock is ahead.
    pub(crate) days: Arc<AtomicI64>,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let (core, (client, namespace)) = tokio::join!(Box::pin(Core::start()), Box::pin(namespace()));
        let ground = Self { core, client, namespace, days: Arc::default() };
        let harbor = json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": "Harbor", "metadata": { "name": "main" },
            "spec": { "externalURL": "http://registry.example.com:8080" },
        });
        ground.create::<Harbor>(harbor).await;
        ground
            .create::<Service>(json!({
                "metadata": { "name": "main-core" }, "spec": { "ports": [{ "name": "http", "port": 80 }] },
            }))
            .await;
        ground
            .create::<Secret>(json!({
                "metadata": { "name": "main-credentials" }, "stringData": { "adminPassword": PASSWORD },
            }))
            .await;
        ground.ready("True").await;
        ground
    }

    pub(crate) fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn create<K>(&self, object: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Says whether the registry is ready, as its own family would.
    pub(crate) async fn ready(&self, verdict: &str) {
        let now = Timestamp::now().to_string();
        let condition = json!({
            "type": "Ready", "status": verdict, "reason": "Test", "message": "says the test", "lastTransitionTime": now,
        });
        let patch = Patch::Merge(json!({ "status": { "conditions": [condition] } }));
        self.api::<Harbor>().patch_status("main", &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn project(&self, spec: Value) {
        let spec = with(json!({ "harborName": "main" }), &spec);
        self.create::<HarborProject>(json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": "HarborProject", "metadata": { "name": "team" }, "spec": spec,
        }))
        .await;
    }

    pub(crate) async fn robot(&self, spec: Value) {
        let usual = json!({ "harborName": "main", "permissions": [may(&["pull"])] });
        self.create::<HarborRobot>(json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": "HarborRobot", "metadata": { "name": "ci" },
            "spec": with(usual, &spec),
        }))
        .await;
    }

    pub(crate) async fn change<K>(&self, name: &str, spec: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits for a verdict of the resource as it is now; its message.
    pub(crate) async fn says<K: Told>(&self, name: &str, kind: &str, verdict: &str) -> String {
        eventually(&format!("{name}: {kind} {verdict}"), async || {
            let resource = self.api::<K>().get_opt(name).await.unwrap()?;
            let (generation, conditions) = (resource.meta().generation, resource.told());
            let found = conditions.iter().find(|condition| condition.type_ == kind);
            let same = found.is_some_and(|found| {
                format!("{}/{}", found.status, found.reason) == verdict && found.observed_generation == generation
            });
            same.then(|| found.unwrap().message.clone())
        })
        .await
    }

    pub(crate) async fn gone<K: Told>(&self, name: &str) {
        eventually(&format!("{name} to go"), async || {
            self.api::<K>().get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    /// The notes of all events of a reason.
    pub(crate) async fn told(&self, reason: &str) -> String {
        eventually(&format!("the event {reason}"), async || {
            let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
            let events = events.items.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
            let notes: Vec<String> = events.filter_map(|event| event.note).collect();
            (!notes.is_empty()).then(|| notes.join("\n"))
        })
        .await
    }

    /// What pods log in with, when the Secret is whole and holds another password than `before`.
    pub(crate) async fn credentials(&self, before: &str) -> (String, String) {
        eventually("the Secret of the robot", async || {
            let secret = self.api::<Secret>().get_opt("ci-pull").await.unwrap()?;
            let data = secret.data?;
            let text = |key: &str| Some(String::from_utf8(data.get(key)?.0.clone()).unwrap());
            let docker: Value = serde_json::from_str(&text(".dockerconfigjson")?).unwrap();
            let auth = &docker["auths"]["registry.example.com:8080"];
            let (user, password) = (auth["username"].as_str()?.to_owned(), auth["password"].as_str()?.to_owned());
            assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/dockerconfigjson"));
            let whole = text("username")? == user && text("password")? == password && !data.contains_key("next");
            (whole && password != before).then_some((user, password))
        })
        .await
    }

    /// What a token lets somebody do in the project; nothing for one who is nobody.
    pub(crate) async fn granted(&self, login: &(String, String)) -> Vec<String> {
        self.core.granted(&login.0, &login.1, "repository:team/app:pull,push").await
    }
}

/// What has conditions.
pub(crate) trait Told:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
    fn told(&self) -> Vec<Condition>;
}

impl Told for HarborProject {
    fn told(&self) -> Vec<Condition> {
        self.status.clone().unwrap_or_default().conditions
    }
}

impl Told for HarborRobot {
    fn told(&self) -> Vec<Condition> {
        self.status.clone().unwrap_or_default().conditions
    }
}

fn with(mut spec: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

pub(crate) fn may(actions: &[&str]) -> Value {
    json!({ "project": "team", "access": [{ "resource": "repository", "actions": actions }] })
}

/// Asks again and again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(Duration::from_mins(1), asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// An operator of projects and robots alone. One that is started anew asks Harbor at once.
pub(crate) struct Operator {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Operator {
    pub(crate) async fn start(ground: &Ground) -> Self {
        let (stop, stopped) = oneshot::channel();
        let running = run(ground, operator_client().await, ground.core.url.clone(), async {
            let _ = stopped.await;
        });
        Self { stop, task: tokio::spawn(running) }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }
}

/// Both families, until they are asked to stop.
pub(crate) fn run<S: Future<Output = ()> + Send + 'static>(
    ground: &Ground,
    client: Client,
    core: String,
    stop: S,
) -> impl Future<Output = ()> + Send + use<S> {
    use futures::FutureExt;
    let metrics = Metrics::register(&Exposition::default());
    let scope = Scope::parse(&ground.namespace);
    let locate: Locate = Arc::new(move |_, _| Some(core.clone()));
    let days = Arc::clone(&ground.days);
    let clock = move || Timestamp::now() + SignedDuration::from_hours(24 * days.load(Ordering::Relaxed));
    let settings = Settings { clock: Arc::new(clock), ..Settings::new(scope.clone(), "test") };
    let (projects, of_projects) = HarborProjects::new(&client, &scope, Arc::clone(&locate), &metrics);
    let (robots, of_robots) = HarborRobots::new(client.clone(), &scope, locate, &metrics);
    let ready = Readiness::default();
    let projects = Engine::new(projects, client.clone(), settings.clone(), metrics.clone(), ready.clone());
    let robots = Engine::new(robots, client, settings, metrics, ready);
    let stop = stop.shared();
    async move {
        tokio::join!(projects.run(of_projects, stop.clone()), robots.run(of_robots, stop));
    }
}
