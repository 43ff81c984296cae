//! `kill -9` of the operator between the steps of an install: one registry with one set of secrets comes of it. Then the
//! loss of a node: what can move moves, and what is bound to a volume there is told. Touches a sandbox, the operator and
//! a node of the test cluster.

use std::time::{Duration, Instant};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Secret},
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{REPLACED, node};
use crate::{
    application::is_ready,
    cluster::{Cluster, OPERATOR_LABELS, SYSTEM, cluster, tell},
    harbor::{READY, Registry, small},
    processes,
    sandbox::{self, Sandbox},
    wait::{self, POD, seen},
};

async fn exists<K>(sandbox: &Sandbox, prefix: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    wait::until(&format!("{} {prefix}", K::kind(&())), READY, async || {
        let names = sandbox.names::<K>("").await;
        seen(names.iter().any(|name| name.starts_with(prefix)), || format!("{names:?}"))
    })
    .await;
}

/// Kills the operator where it stands. Its pod is replaced, since one that has failed a few times is made to wait.
async fn kill_operator(sandbox: &Sandbox, when: &str) {
    let system: Api<Pod> = Api::namespaced(sandbox.cluster.client.clone(), SYSTEM);
    let operators = system.list(&ListParams::default().labels(OPERATOR_LABELS)).await.unwrap().items;
    for operator in operators.iter().filter(|pod| is_ready(pod)) {
        processes::end(&processes::of(operator, "operator")[0]);
        system.delete(&operator.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
    }
    tell(&format!("the operator was killed when {when}"));
    sandbox.cluster.operator_runs().await;
}

/// A volume for images that is a folder of this node.
async fn volume_on(sandbox: &Sandbox, node: &str) -> Api<PersistentVolume> {
    let folder = format!("/var/lib/local-path/{}", sandbox.namespace);
    cluster(&["node", "exec", node, "mkdir", "-p", &folder]).await.unwrap();
    let on_node = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    let object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": sandbox.namespace },
        "spec": {
            "capacity": { "storage": "1Gi" },
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": sandbox.namespace,
            "local": { "path": folder },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [on_node] }] } },
        },
    });
    let volumes: Api<PersistentVolume> = Api::all(sandbox.cluster.client.clone());
    let parameters = PatchParams::apply("fairway-e2e");
    volumes.patch(&sandbox.namespace, &parameters, &Patch::Apply(&object)).await.unwrap();
    volumes
}

async fn core(sandbox: &Sandbox) -> Vec<Pod> {
    let labels = ListParams::default().labels("fairway.dev/harbor=registry,fairway.dev/component=core");
    let pods = sandbox.api::<Pod>().list(&labels).await.unwrap().items;
    pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
}

#[test]
fn an_operator_that_is_killed_and_a_node_that_is_lost_leave_one_registry() {
    sandbox::destructive("harbor-killed", async |sandbox| {
        let nodes: Vec<String> = sandbox.cluster.nodes().await.iter().map(ResourceExt::name_any).collect();
        assert!(nodes.len() == 2, "this test needs two nodes: tests/cluster/cluster up --nodes 2");
        let (stays, lost) = (nodes.iter().min().unwrap().as_str(), nodes.iter().max().unwrap().as_str());
        Cluster::disturb();
        let volumes = volume_on(sandbox, lost).await;
        // The operator, database and cache on the node that stays; images on the one that is lost.
        sandbox.cluster.kubectl(&["cordon", lost], "").await.unwrap();
        kill_operator(sandbox, "there was nothing to do").await;
        let registry = Registry::named(sandbox, "registry");
        let mut spec = small();
        spec["storage"] = json!({ "filesystem": { "volume": { "size": "1Gi", "className": sandbox.namespace } } });
        registry.write(&spec).await;
        exists::<Secret>(sandbox, "registry-credentials").await;
        let secret = sandbox.api::<Secret>().get("registry-credentials").await.unwrap();
        kill_operator(sandbox, "credentials were made up").await;
        exists::<StatefulSet>(sandbox, "registry-database").await;
        kill_operator(sandbox, "the database was begun").await;
        exists::<Job>(sandbox, "registry-migrate-").await;
        kill_operator(sandbox, "the migration was begun").await;
        exists::<Deployment>(sandbox, "registry-registry").await;
        kill_operator(sandbox, "the last stage was begun").await;
        // Only now: an operator on the node that is lost could tell of it no sooner than another one runs.
        sandbox.cluster.kubectl(&["uncordon", lost], "").await.unwrap();
        registry.ready().await;
        one_registry(sandbox, &secret).await;
        let (pushed, said) = registry.push("1").await;
        assert!(pushed, "{said}");

        lose(&registry, stays, lost).await;
        registry.pull("pull", "1").await;
        one_registry(sandbox, &secret).await;
        registry.delete().await;
        volumes.delete(&sandbox.namespace, &DeleteParams::background()).await.unwrap();
    });
}

/// One of each, and the secrets that were made up first.
async fn one_registry(sandbox: &Sandbox, first: &Secret) {
    let credentials = sandbox.api::<Secret>().get("registry-credentials").await.unwrap();
    assert_eq!((&credentials.data, credentials.uid()), (&first.data, first.uid()), "one set of secrets");
    let sets = sandbox.names::<StatefulSet>("").await;
    assert_eq!(sets, ["registry-cache", "registry-database"]);
    let deployments = sandbox.names::<Deployment>("").await;
    let expected = ["core", "front-lb", "jobservice", "portal", "registry"].map(|name| format!("registry-{name}"));
    assert_eq!(deployments, expected);
    assert_eq!(sandbox.names::<PersistentVolumeClaim>("").await.len(), 3);
    wait::until("the migration to be cleared away", POD, async || {
        let jobs = sandbox.names::<Job>("").await;
        seen(jobs.is_empty(), || format!("{jobs:?}"))
    })
    .await;
}

/// Takes the node away that core and the images are on, and brings it back.
async fn lose(registry: &Registry<'_>, stays: &str, lost: &str) {
    let sandbox = registry.sandbox;
    sandbox.cluster.kubectl(&["cordon", stays], "").await.unwrap();
    let before = core(sandbox).await.remove(0);
    if node(&before) != lost {
        sandbox.delete::<Pod>(&before.name_any()).await;
    }
    let on = async |node_name: &str, limit: Duration| {
        wait::until(&format!("core to be ready on {node_name}"), limit, async || {
            let pods = core(sandbox).await;
            let there = pods.iter().any(|pod| is_ready(pod) && node(pod) == node_name);
            seen(there, || format!("{:?}", pods.iter().map(|pod| (pod.name_any(), node(pod))).collect::<Vec<_>>()))
        })
        .await;
    };
    on(lost, POD).await;
    sandbox.cluster.kubectl(&["uncordon", stays], "").await.unwrap();
    registry.ready().await;

    let begun = Instant::now();
    cluster(&["node", "stop", lost]).await.unwrap();
    registry.says("Ready", "False/Starting", &[&format!("is on node {lost}, which is not heard of")]).await;
    tell(&format!("status tells of {lost} after {:.0} s", begun.elapsed().as_secs_f64()));
    on(stays, REPLACED).await;
    tell(&format!("core is back on {stays} after {:.0} s", begun.elapsed().as_secs_f64()));
    // Its images are on the node that is lost, and nowhere else.
    registry.says("Ready", "False/Starting", &["registry has no ready pod yet", "finds no node"]).await;
    registry.says("DatabaseReady", "True/DatabaseReady", &[]).await;
    let row = registry.status().await.components.into_iter().find(|row| row.name == "core").unwrap();
    assert_eq!((row.replicas, row.ready_replicas), (1, 1));

    cluster(&["node", "start", lost]).await.unwrap();
    registry.ready().await;
    tell(&format!("ready again {:.0} s after the loss", begun.elapsed().as_secs_f64()));
}
