//! The end of a registry, and of a volume, on a real API server: data goes, or stays, as the resource said last. There
//! is no garbage collector: what it would take is told by owners.

use fairway::api::Harbor;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    harbor_install::{Operator, condition, create, install, there},
    operator::{eventually, get},
    server::namespace,
};

async fn owners<K>(client: &Client, namespace: &str, name: &str) -> Vec<String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let found = there::<K>(client, namespace, name).await;
    found.owner_references().iter().map(|owner| owner.uid.clone()).collect()
}

/// Who owns each of what holds data.
async fn all(client: &Client, namespace: &str) -> Vec<Vec<String>> {
    let mut all = vec![owners::<Secret>(client, namespace, "main-credentials").await];
    for name in ["main-database-data", "main-cache-data", "main-registry-data"] {
        all.push(owners::<PersistentVolumeClaim>(client, namespace, name).await);
    }
    all
}

async fn gone(client: &Client, namespace: &str) {
    eventually("its end", async || get::<Harbor>(client, namespace, "main").await.is_none().then_some(())).await;
}

fn spec() -> Value {
    json!({ "externalURL": "http://registry.example.com", "deletionPolicy": "Delete" })
}

#[tokio::test]
async fn data_goes_or_stays_as_the_resource_said_last() {
    let (client, namespace) = namespace().await;
    let harbors: Api<Harbor> = Api::namespaced(client.clone(), &namespace);
    create(&client, &namespace, spec()).await;
    let operator = Operator::start(&namespace).await;
    install(&client, &namespace).await;
    condition(&client, &namespace, "Migrated", "True/Migrated").await;
    assert_eq!(all(&client, &namespace).await, vec![Vec::<String>::new(); 4], "nobody owns data");
    assert_eq!(harbors.get("main").await.unwrap().finalizers(), ["fairway.dev/harbor"]);
    operator.stop().await;

    // Nobody has seen the change by then, be it that dependents go first.
    let retain = Patch::Merge(json!({ "spec": { "deletionPolicy": "Retain" } }));
    harbors.patch("main", &PatchParams::default(), &retain).await.unwrap();
    harbors.delete("main", &DeleteParams::foreground()).await.unwrap();
    let operator = Operator::start(&namespace).await;
    eventually("only the garbage collector is waited for", async || {
        (harbors.get("main").await.unwrap().finalizers() == ["foregroundDeletion"]).then_some(())
    })
    .await;
    assert_eq!(all(&client, &namespace).await, vec![Vec::<String>::new(); 4]);
    let done = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    harbors.patch("main", &PatchParams::default(), &done).await.unwrap();
    gone(&client, &namespace).await;

    // Taken up again, it is handed over at its end.
    create(&client, &namespace, spec()).await;
    let uid = there::<Harbor>(&client, &namespace, "main").await.metadata.uid.unwrap();
    eventually("it is looked at", async || {
        let harbor = harbors.get("main").await.unwrap();
        harbor.finalizers().contains(&"fairway.dev/harbor".to_owned()).then_some(())
    })
    .await;
    let before: PersistentVolumeClaim = there(&client, &namespace, "main-registry-data").await;
    harbors.delete("main", &DeleteParams::default()).await.unwrap();
    gone(&client, &namespace).await;
    assert_eq!(all(&client, &namespace).await, vec![vec![uid.clone()]; 4]);
    let after: PersistentVolumeClaim = there(&client, &namespace, "main-registry-data").await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    operator.stop().await;
}

#[tokio::test]
async fn a_claim_that_is_made_by_hand_is_taken_for_one_that_was_lost() {
    let (client, namespace) = namespace().await;
    create(&client, &namespace, json!({ "externalURL": "http://registry.example.com" })).await;
    let operator = Operator::start(&namespace).await;
    install(&client, &namespace).await;
    let name = "main-registry-data";
    there::<PersistentVolumeClaim>(&client, &namespace, name).await;
    eventually("it is told", async || {
        let storage = there::<Harbor>(&client, &namespace, "main").await.status?.storage?;
        storage.volumes.iter().any(|volume| volume.name == name).then_some(())
    })
    .await;

    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    claims.delete(name, &DeleteParams::default()).await.unwrap();
    // As its last pod ends.
    let unused = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    let _ = claims.patch(name, &PatchParams::default(), &unused).await;
    condition(&client, &namespace, "StorageReady", "False/VolumeLost").await;
    condition(&client, &namespace, "Ready", "False/VolumeLost").await;
    assert_eq!(get::<PersistentVolumeClaim>(&client, &namespace, name).await, None);

    let labels = json!({
        "app.kubernetes.io/managed-by": "fairway", "fairway.dev/family": "harbor",
        "app.kubernetes.io/instance": "main",
    });
    let claim = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "volumeName": "kept",
            "resources": { "requests": { "storage": "12Gi" } },
        },
    });
    let made = claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    eventually("it is taken", async || {
        let claim = get::<PersistentVolumeClaim>(&client, &namespace, name).await?;
        assert_eq!(claim.metadata.uid, made.metadata.uid);
        claim.labels().contains_key("fairway.dev/keep").then_some(())
    })
    .await;
    condition(&client, &namespace, "Reconciled", "True/Reconciled").await;
    condition(&client, &namespace, "RolledOut", "True/RolledOut").await;
    operator.stop().await;
}
