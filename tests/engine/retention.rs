//! What becomes of a registry's data when it is deleted: what `deletionPolicy` says at that moment, whoever has seen it.

use std::{sync::Arc, time::Duration};

use fairway::{api::Harbor, harbor::Harbors, reconcile::Family};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    api_server::{ApiServer, Fault, Request, What},
    harbor::{controllers, create, keep_credentials, long, of_operator, start},
    harness::{NAMESPACE, user},
};

const FINALIZER: &str = "fairway.dev/harbor";
const DATA: [&str; 4] = ["main-cache-data", "main-credentials", "main-database-data", "main-registry-data"];

fn harbors(client: &Client) -> Api<Harbor> {
    Api::namespaced(client.clone(), NAMESPACE)
}

async fn every<K>(client: &Client) -> Vec<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    Api::<K>::namespaced(client.clone(), NAMESPACE).list(&ListParams::default()).await.expect("a list").items
}

/// Claims and Secrets, each with whether somebody owns it.
async fn claims_and_secrets(client: &Client) -> Vec<(String, bool)> {
    fn told<K: Resource>(one: &K) -> (String, bool) {
        (one.name_any(), !one.owner_references().is_empty())
    }
    let claims = every::<PersistentVolumeClaim>(client).await;
    let secrets = every::<Secret>(client).await;
    let mut all: Vec<_> = claims.iter().map(told).chain(secrets.iter().map(told)).collect();
    all.sort();
    all
}

fn kept() -> Vec<(String, bool)> {
    DATA.map(|name| (name.to_owned(), false)).into()
}

/// A registry that runs.
struct Registry {
    server: ApiServer,
    client: Client,
    operator: JoinHandle<()>,
    cluster: JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.operator.abort();
        self.cluster.abort();
    }
}

impl Registry {
    async fn installed(policy: &str) -> Self {
        let server = ApiServer::new();
        let client = server.client();
        keep_credentials(&client).await;
        let cluster = tokio::spawn(controllers(client.clone()));
        create(&client, json!({ "externalURL": "http://registry.example.com", "deletionPolicy": policy })).await;
        let operator = start(&server);
        long().await;
        Self { server, client, operator, cluster }
    }

    async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        harbors(&self.client).patch("main", &user(), &patch).await.expect("a change");
    }

    async fn delete(&self) {
        harbors(&self.client).delete("main", &DeleteParams::default()).await.expect("deletion");
    }

    async fn away(&mut self) {
        self.operator.abort();
        let _ = (&mut self.operator).await;
    }

    /// It is gone, and this is left of claims and Secrets.
    async fn leaves(&self, expected: &[(String, bool)], after: &str) {
        let gone = async || harbors(&self.client).get_opt("main").await.expect("an answer").is_none();
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if gone().await && claims_and_secrets(&self.client).await == expected {
                break;
            }
        }
        assert!(gone().await, "{after}: it is still there");
        assert_eq!(claims_and_secrets(&self.client).await, expected, "{after}");
    }
}

/// What the garbage collector does at `--cascade=foreground`, before the owner goes.
async fn collect_what_is_owned(client: &Client) {
    for kind in Harbors::owns() {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
        for object in api.list(&ListParams::default()).await.expect("a list") {
            if !object.owner_references().is_empty() {
                api.delete(&object.name_any(), &DeleteParams::default()).await.expect("deletion");
            }
        }
    }
}

#[rstest]
#[case::delete("Delete", &[])]
#[case::retain("Retain", &kept())]
#[tokio::test(start_paused = true)]
async fn the_policy_says_what_is_left(#[case] policy: &str, #[case] expected: &[(String, bool)]) {
    let registry = Registry::installed(policy).await;
    let owned = claims_and_secrets(&registry.client).await;
    assert!(DATA.iter().all(|name| owned.contains(&((*name).to_owned(), false))), "nobody owns data: {owned:?}");
    let held =
        harbors(&registry.client).get("main").await.expect("a registry").finalizers().contains(&FINALIZER.to_owned());
    assert_eq!(held, policy == "Delete");
    registry.delete().await;
    registry.leaves(expected, policy).await;
}

#[rstest]
#[case::away(json!({ "deletionPolicy": "Retain" }))]
#[case::paused(json!({ "deletionPolicy": "Retain", "paused": true }))]
#[case::refused(json!({ "deletionPolicy": "Retain", "className": "gone" }))]
#[tokio::test(start_paused = true)]
async fn a_policy_that_nobody_has_seen_yet_holds(#[case] last: Value) {
    let mut registry = Registry::installed("Delete").await;
    registry.away().await;
    registry.change(last).await;
    registry.delete().await;
    collect_what_is_owned(&registry.client).await;
    assert_eq!(claims_and_secrets(&registry.client).await, kept());
    registry.operator = start(&registry.server);
    registry.leaves(&kept(), "deleted while the operator was away").await;
}

#[rstest]
#[case::paused(json!({ "paused": true }))]
#[case::refused(json!({ "version": "1.0.0" }))]
#[case::without_its_class(json!({ "className": "gone" }))]
#[tokio::test(start_paused = true)]
async fn what_is_to_go_goes_whatever_else_is_wrong(#[case] last: Value) {
    let registry = Registry::installed("Delete").await;
    registry.change(last).await;
    long().await;
    registry.delete().await;
    registry.leaves(&[], "deleted").await;
}

#[rstest]
#[case::delete("Delete", &[], 5)]
#[case::retain("Retain", &kept(), 1)]
#[tokio::test(start_paused = true)]
async fn the_operator_may_be_killed_between_any_two_writes_of_an_end(
    #[case] last: &str,
    #[case] expected: &[(String, bool)],
    #[case] least: usize,
) {
    for nth in 0.. {
        let mut registry = Registry::installed("Delete").await;
        registry.away().await;
        registry.change(json!({ "deletionPolicy": last })).await;
        registry.delete().await;
        let crash = Arc::new(Notify::new());
        let on = |request: &Request| request.writes() && of_operator(request);
        registry.server.fault(Fault::new(What::Crash(Arc::clone(&crash))).on(on).nth(nth));
        registry.operator = start(&registry.server);
        let killed = tokio::select! {
            () = crash.notified() => true,
            () = long() => false,
        };
        registry.away().await;
        registry.operator = start(&registry.server);
        registry.leaves(expected, &format!("killed after write {nth}")).await;
        if !killed {
            assert!(nth >= least, "{nth} writes");
            break;
        }
    }
}

/// The policy may be changed as long as the registry is there at all.
#[tokio::test(start_paused = true)]
async fn an_end_is_called_off_for_what_was_handed_over_already() {
    let mut registry = Registry::installed("Delete").await;
    registry.away().await;
    let crash = Arc::new(Notify::new());
    let last = |request: &Request| request.plural == "secrets" && request.writes() && of_operator(request);
    registry.server.fault(Fault::new(What::Crash(Arc::clone(&crash))).on(last).nth(0));
    registry.delete().await;
    registry.operator = start(&registry.server);
    crash.notified().await;
    registry.away().await;
    let handed = claims_and_secrets(&registry.client).await;
    assert!(handed.contains(&("main-registry-data".to_owned(), true)), "{handed:?}");
    registry.change(json!({ "deletionPolicy": "Retain" })).await;
    registry.operator = start(&registry.server);
    registry.leaves(&kept(), "called off").await;
}

/// Claims were owned once: as soon as an operator looks at the registry they are not, be it paused or refused.
#[rstest]
#[case::at_once(json!({}))]
#[case::paused(json!({ "paused": true }))]
#[case::refused(json!({ "className": "gone" }))]
#[tokio::test(start_paused = true)]
async fn what_an_earlier_operator_has_made_is_freed(#[case] change: Value) {
    let mut registry = Registry::installed("Delete").await;
    registry.away().await;
    let owner = harbors(&registry.client).get("main").await.expect("a registry").controller_owner_ref(&());
    let kind = ApiResource::erase::<PersistentVolumeClaim>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(registry.client.clone(), NAMESPACE, &kind);
    for claim in api.list(&ListParams::default()).await.expect("a list") {
        let mut labels = claim.labels().clone();
        labels.remove("fairway.dev/keep");
        let before = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": claim.data["spec"],
            "metadata": { "name": claim.name_any(), "labels": labels, "ownerReferences": [owner] },
        });
        let parameters = PatchParams::apply("fairway").force();
        api.patch(&claim.name_any(), &parameters, &Patch::Apply(&before)).await.expect("as it was");
    }
    harbors(&registry.client)
        .patch("main", &user(), &Patch::Merge(json!({ "metadata": { "finalizers": null } })))
        .await
        .expect("as it was");
    registry.change(change).await;
    registry.operator = start(&registry.server);
    long().await;
    let claims = every::<PersistentVolumeClaim>(&registry.client).await;
    assert!(claims.len() == 3 && claims.iter().all(|claim| claim.owner_references().is_empty()), "{claims:?}");
    let held = harbors(&registry.client).get("main").await.expect("a registry").finalizers().to_vec();
    assert_eq!(held, [FINALIZER]);
}

/// What was deleted by hand is not made anew, empty; what the user puts there is taken.
#[tokio::test(start_paused = true)]
async fn a_claim_that_somebody_deleted_is_told_and_not_made_anew() {
    let mut registry = Registry::installed("Retain").await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(registry.client.clone(), NAMESPACE);
    let verdict = async |client: &Client| {
        let conditions = harbors(client).get("main").await.expect("a registry").status.expect("a status").conditions;
        conditions.into_iter().find(|one| one.type_ == "StorageReady").map(|one| one.reason).expect("a condition")
    };
    registry.away().await;
    registry.operator = start(&registry.server);
    long().await;
    assert_ne!(verdict(&registry.client).await, "VolumeLost", "an operator that has just begun knows what there is");

    let mut claim = claims.get("main-registry-data").await.expect("a claim");
    claims.delete("main-registry-data", &DeleteParams::default()).await.expect("deletion");
    for _ in 0..2 {
        long().await;
        assert_eq!(claims.get_opt("main-registry-data").await.expect("an answer"), None);
        assert_eq!(verdict(&registry.client).await, "VolumeLost");
        registry.away().await;
        registry.operator = start(&registry.server);
    }
    let labels = claim.metadata.labels.take();
    claim.metadata = kube::api::ObjectMeta { name: claim.metadata.name, labels, ..Default::default() };
    let parameters = PostParams { field_manager: Some("kubectl".to_owned()), ..PostParams::default() };
    let made = claims.create(&parameters, &claim).await.expect("a claim");
    long().await;
    assert_ne!(verdict(&registry.client).await, "VolumeLost");
    assert_eq!(claims.get("main-registry-data").await.expect("a claim").metadata.uid, made.metadata.uid);
}
