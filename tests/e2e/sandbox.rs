//! A namespace for each test, and what is told when a test fails. Touches that namespace.

use std::{
    any::Any,
    fmt::{Debug, Write},
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{PoisonError, RwLock},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use futures::FutureExt;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, OPERATOR, SYSTEM, cluster, tell},
    wait::{self, seen},
};

/// Who applies.
const MANAGER: &str = "fairway-e2e";

/// A namespace of a test's own.
pub(crate) struct Sandbox {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
}

/// What a test needs of the cluster.
#[derive(Clone, Copy)]
struct Needs {
    /// The pods that its namespace takes.
    security: &'static str,
    /// The operator of this tree.
    operator: bool,
    /// That no other test runs beside it, since it takes the operator, nodes or their processes away.
    alone: bool,
}

const GENTLE: Needs = Needs { security: "restricted", operator: true, alone: false };

/// Runs a test in a namespace that takes only pods of the restricted kind. Others may run beside it.
pub(crate) fn restricted(name: &str, test: impl AsyncFnOnce(&Sandbox)) {
    run(name, GENTLE, test);
}

/// Runs a test in a namespace that takes any pod. Others may run beside it.
pub(crate) fn privileged(name: &str, test: impl AsyncFnOnce(&Sandbox)) {
    run(name, Needs { security: "privileged", ..GENTLE }, test);
}

/// As [`restricted`], for a test that takes the operator away or puts another in its place.
pub(crate) fn alone(name: &str, test: impl AsyncFnOnce(&Sandbox)) {
    run(name, Needs { alone: true, ..GENTLE }, test);
}

/// As [`alone`], for a test that brings its own operator.
pub(crate) fn without_operator(name: &str, test: impl AsyncFnOnce(&Sandbox)) {
    run(name, Needs { operator: false, alone: true, ..GENTLE }, test);
}

/// As [`alone`], for a test that kills processes or nodes: a cluster of the user's own is left in peace.
pub(crate) fn destructive(name: &str, test: impl AsyncFnOnce(&Sandbox)) {
    if Cluster::existing() {
        tell(&format!("LEFT OUT: {name}: it kills processes on nodes; unset CLUSTER to run it on the test cluster"));
        return;
    }
    run(name, Needs { alone: true, ..GENTLE }, test);
}

/// Those that may run beside others read, those that may not write.
static TURN: RwLock<()> = RwLock::new(());

fn run(name: &str, needs: Needs, test: impl AsyncFnOnce(&Sandbox)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let beside = (!needs.alone).then(|| TURN.read().unwrap_or_else(PoisonError::into_inner));
    let alone = needs.alone.then(|| TURN.write().unwrap_or_else(PoisonError::into_inner));
    let begun = Instant::now();
    runtime.block_on(async {
        let cluster = Cluster::find().await;
        if needs.operator {
            cluster.has_operator().await;
        }
        let sandbox = Sandbox::new(cluster, name, needs.security).await;
        let ended = AssertUnwindSafe(test(&sandbox)).catch_unwind().await;
        if ended.is_err() {
            tell(&sandbox.described().await);
        }
        sandbox.cluster.restore().await;
        match ended {
            Ok(()) => sandbox.remove().await,
            Err(panic) => resume(panic),
        }
    });
    drop((beside, alone));
    tell(&format!("{name}: {:.0} s", begun.elapsed().as_secs_f64()));
}

fn resume(panic: Box<dyn Any + Send>) -> ! {
    resume_unwind(panic)
}

impl Sandbox {
    async fn new(cluster: Cluster, name: &str, security: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let namespace = format!("e2e-{name}-{:x}", now % 0x00ff_ffff);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {
                    "pod-security.kubernetes.io/enforce": security,
                    "fairway.dev/e2e": "true",
                },
            },
        });
        let namespaces = Api::<Namespace>::all(cluster.client.clone());
        namespaces.patch(&namespace, &PatchParams::apply(MANAGER), &Patch::Apply(&object)).await.unwrap();
        Self { cluster, namespace }
    }

    /// The objects of a kind in this namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Makes an object as it is said here; fields that were said before and are not said now go.
    pub(crate) async fn apply<K>(&self, mut object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let parameters = PatchParams::apply(MANAGER).force();
        self.api::<K>().patch(&name, &parameters, &Patch::Apply(&object)).await.unwrap()
    }

    /// Changes fields of an object as somebody might by hand.
    pub(crate) async fn edit<K>(&self, name: &str, change: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let parameters = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
        self.api::<K>().patch(name, &parameters, &Patch::Merge(change)).await.unwrap();
    }

    /// Deletes an object and waits until it is gone, or another one has its name.
    pub(crate) async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api = self.api::<K>();
        let uid = api.get(name).await.unwrap().uid();
        api.delete(name, &DeleteParams::background()).await.unwrap();
        wait::until(&format!("{} {name} to be gone", K::kind(&())), wait::POD, async || {
            let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
            seen(found.is_none_or(|found| found.uid() != uid), || "it is still there".to_owned())
        })
        .await;
    }

    /// The names of a kind's objects that have these labels.
    pub(crate) async fn names<K>(&self, labels: &str) -> Vec<String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let found = self.api::<K>().list_metadata(&ListParams::default().labels(labels)).await.unwrap();
        found.items.iter().map(ResourceExt::name_any).collect()
    }

    /// Runs kubectl in this namespace.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.cluster.kubectl(&[&["-n", &self.namespace], arguments].concat(), "").await
    }

    /// All that may tell why a test failed; no Secret is read.
    async fn described(&self) -> String {
        let own = ["-n", &self.namespace];
        let of_system = ["-n", SYSTEM];
        let operator = format!("deployment/{OPERATOR}");
        let told: [(&str, Vec<&str>); 9] = [
            ("nodes", vec!["get", "nodes", "-o", "wide"]),
            (
                "objects",
                [&own[..], &["get", "deployments,services,endpointslices,pods,secrets", "-o", "wide"]].concat(),
            ),
            ("load balancers", [&own[..], &["get", "loadbalancers", "-o", "yaml"]].concat()),
            ("events", [&own[..], &["get", "events", "--sort-by=.metadata.creationTimestamp"]].concat()),
            ("pods", [&own[..], &["describe", "pods", "-l", "fairway.dev/loadbalancer"]].concat()),
            (
                "logs of load balancers",
                [
                    &own[..],
                    &["logs", "-l", "fairway.dev/loadbalancer", "--all-containers", "--prefix", "--tail=60"],
                    &["--max-log-requests=20", "--ignore-errors"],
                ]
                .concat(),
            ),
            ("operator's pods", [&of_system[..], &["get", "pods", "-o", "wide"]].concat()),
            ("operator's log", [&of_system[..], &["logs", &operator, "--tail=150"]].concat()),
            ("operator's log before", [&of_system[..], &["logs", &operator, "--previous", "--tail=60"]].concat()),
        ];
        let mut text = format!("The test failed; namespace {} is kept. What it looks like:\n", self.namespace);
        for (title, arguments) in told {
            let found = self.cluster.kubectl(&arguments, "").await.unwrap_or_else(|error| error);
            let _ = write!(text, "\n--- {title}\n{found}\n");
        }
        if !Cluster::existing() {
            for node in self.cluster.nodes().await {
                let name = node.name_any();
                let rules = cluster(&["node", "exec", &name, "iptables-save", "--table", "nat"]).await;
                let rules = rules.unwrap_or_else(|error| error);
                let ours: Vec<&str> = rules.lines().filter(|line| line.contains(&self.namespace)).collect();
                let _ = write!(text, "\n--- what {name} knows of its Services\n{}\n", ours.join("\n"));
            }
        }
        text
    }

    /// Has the namespace deleted; nobody waits for it.
    async fn remove(self) {
        let namespaces = Api::<Namespace>::all(self.cluster.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::background()).await.unwrap();
    }
}
