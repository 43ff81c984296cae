//! What users of OLM do wrong: it is told, in the words of docs/troubleshooting.md, and once it is mended the operator
//! comes. Touches OLM, sandboxes, and a role that is taken away again.

use fairway::api::{LoadBalancer, LoadBalancerClass};
use kube::CustomResourceExt;
use serde_json::json;

use super::{
    explained,
    operator::{Catalog, FIRST, OLM, Operator},
};
use crate::{
    cluster::{OPERATOR_LABELS, tell},
    sandbox::{self, Sandbox},
    wait::{self, seen},
};

async fn a_channel_that_is_not_there(operator: &Operator<'_>) {
    operator.subscribe("nightly", "Automatic").await;
    explained(operator, "subscription", "fairway", "no operators found in channel nightly of package fairway").await;
    operator.subscribe("stable-v1", "Automatic").await;
    operator.installed(FIRST).await;
}

/// The group names an account to install with, which may do nothing.
async fn an_account_without_rights(operator: &Operator<'_>) {
    let metadata = json!({ "name": "installer", "namespace": operator.namespace });
    operator.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata })).await;
    operator.group(&json!({ "serviceAccountName": "installer" })).await;
    operator.subscribe("stable-v1", "Automatic").await;
    let plan = operator.plan().await;
    explained(operator, "installplan", &plan, "cannot create resource \"clusterserviceversions\"").await;

    let account = json!({ "kind": "ServiceAccount", "name": "installer", "namespace": operator.namespace });
    operator
        .apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": operator.namespace, "labels": { "fairway.dev/e2e": "true" } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [account],
        }))
        .await;
    operator.installed(FIRST).await;
    operator.kubectl(&["delete", "clusterrolebinding", &operator.namespace]).await.unwrap();
    operator.uninstall().await;
    operator.watch(&[]).await;
}

/// The Subscription gives the operator a setting that it refuses: the version is not ready, and the pod says why.
async fn a_setting_that_is_refused(operator: &Operator<'_>) {
    let wrong = json!({ "config": { "env": [{ "name": "FAIRWAY_CONCURRENCY", "value": "0" }] } });
    operator.subscribe_with("stable-v1", "Automatic", &wrong).await;
    let version = format!("fairway.v{FIRST}");
    explained(operator, "clusterserviceversion", &version, "Deployment does not have minimum availability").await;
    let path = "jsonpath={.items[*].status.containerStatuses[*].lastState.terminated.message}";
    let told = wait::until("the pod to tell why it ended", OLM, async || {
        let told =
            operator.kubectl(&["-n", &operator.namespace, "get", "pods", "-l", OPERATOR_LABELS, "-o", path]).await?;
        seen(told.contains("invalid value '0' for '--concurrency <CONCURRENCY>'"), || told.clone())?;
        Ok::<_, String>(told)
    })
    .await;
    tell(told.trim());
    operator.uninstall().await;
    operator.subscribe("stable-v1", "Automatic").await;
    operator.installed(FIRST).await;
}

/// A second operator would look after the same load balancers.
async fn a_second_operator(sandbox: &Sandbox, operator: &Operator<'_>) {
    let second = operator.another("second").await;
    second.offer_that_of(operator).await;
    second.watch(&[&sandbox.namespace]).await;
    second.subscribe("stable-v1", "Automatic").await;
    let version = format!("fairway.v{FIRST}");
    explained(&second, "clusterserviceversion", &version, "intersecting operatorgroups provide the same apis").await;
    operator.delete("subscription", "fairway").await;
    operator.delete("clusterserviceversion", &version).await;
    second.installed(FIRST).await;
    second.remove(&[]).await;
}

/// The cluster's CRD allows what this version's does not, and there is an object that has it: as after a version to come.
async fn an_object_that_this_version_does_not_allow(sandbox: &Sandbox, operator: &Operator<'_>) {
    let mut later = json!(LoadBalancerClass::crd());
    let name = later["metadata"]["name"].as_str().unwrap().to_owned();
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    *later.pointer_mut(path).unwrap() = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    later["apiVersion"] = json!("apiextensions.k8s.io/v1");
    later["kind"] = json!("CustomResourceDefinition");
    operator.apply(&later).await;
    let class = json!({
        "apiVersion": LoadBalancer::api_resource().api_version,
        "kind": "LoadBalancerClass",
        "metadata": { "name": sandbox.namespace },
        "spec": { "replicas": "as many as it takes" },
    });
    wait::until("the CRD of a version to come to hold", OLM, async || operator.try_apply(&class).await).await;
    operator.subscribe("stable-v1", "Automatic").await;
    let plan = operator.plan().await;
    explained(
        operator,
        "installplan",
        &plan,
        "error validating existing CRs against new CRD's schema for \"loadbalancerclasses.fairway.dev\"",
    )
    .await;
    operator.kubectl(&["delete", &name, &sandbox.namespace]).await.unwrap();
    operator.installed(FIRST).await;
    // Where a second Subscription would find it.
    let looked_after = Operator { cluster: &sandbox.cluster, namespace: sandbox.namespace.clone() };
    let version = format!("fairway.v{FIRST}");
    explained(&looked_after, "clusterserviceversion", &version, "but is managing this namespace").await;
}

#[test]
fn what_stands_in_the_way_is_told_and_can_be_mended() {
    sandbox::without_operator("mistakes", async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[&sandbox.namespace]).await;
        a_channel_that_is_not_there(&operator).await;
        a_second_operator(sandbox, &operator).await;
        an_account_without_rights(&operator).await;
        a_setting_that_is_refused(&operator).await;
        operator.uninstall().await;
        an_object_that_this_version_does_not_allow(sandbox, &operator).await;
        operator.remove(&[]).await;
    });
}
