//! The operator as OLM runs it: catalog, group and Subscription in a namespace of its own. Touches that namespace and
//! the cluster's OLM.

use std::{fs, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    cluster::{Cluster, OPERATOR_LABELS, cluster, root},
    sandbox::Sandbox,
    wait::{self, seen},
};

/// How long a catalog may take to serve, or OLM to install something.
pub(super) const OLM: Duration = Duration::from_mins(3);
/// The version of `tests/olm/next`.
pub(super) const NEXT: &str = "99.0.0";
/// This tree's.
pub(super) const FIRST: &str = env!("CARGO_PKG_VERSION");

/// What a catalog offers.
#[derive(Clone, Copy)]
pub(super) enum Catalog {
    /// This version.
    First,
    /// This version and the next.
    Both,
}

impl Catalog {
    fn image(self) -> String {
        let path = root().join(match self {
            Self::First => "target/catalog/image",
            Self::Both => "target/olm/next/catalog/image",
        });
        let read = fs::read_to_string(&path);
        let image = read.unwrap_or_else(|error| panic!("{}: {error}; make it: make test-catalogs", path.display()));
        image.trim().to_owned()
    }
}

/// An operator of OLM's.
pub(super) struct Operator<'a> {
    cluster: &'a Cluster,
    pub(super) namespace: String,
}

impl<'a> Operator<'a> {
    /// A namespace for the operator; the one that the other tests use is taken away.
    pub(super) async fn prepare(sandbox: &'a Sandbox) -> Self {
        let operator = Self { namespace: format!("{}-operator", sandbox.namespace), ..Self::within(sandbox).await };
        operator.make_namespace(&operator.namespace).await;
        operator
    }

    /// As [`Self::prepare`], with the operator in the sandbox itself.
    pub(super) async fn within(sandbox: &'a Sandbox) -> Self {
        cluster(&["olm", "up"]).await.unwrap();
        Cluster::disturb();
        script(&sandbox.cluster, "tests/support/remove").await;
        Self { cluster: &sandbox.cluster, namespace: sandbox.namespace.clone() }
    }

    /// One more namespace.
    pub(super) async fn make_namespace(&self, name: &str) {
        let labels = json!({ "fairway.dev/e2e": "true", "pod-security.kubernetes.io/enforce": "restricted" });
        let metadata = json!({ "name": name, "labels": labels });
        self.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })).await;
    }

    /// Offers a catalog, in place of the one before.
    pub(super) async fn offer(&self, catalog: Catalog) {
        let spec = json!({
            "sourceType": "grpc",
            "image": catalog.image(),
            "grpcPodConfig": { "securityContextConfig": "restricted" },
        });
        self.make("operators.coreos.com/v1alpha1", "CatalogSource", &spec).await;
        let state = "{.spec.image} {.status.connectionState.lastObservedState}";
        let expected = format!("{} READY", catalog.image());
        self.becomes("catalogsource", "fairway", state, &expected).await;
    }

    /// Which namespaces are looked after; none for all.
    pub(super) async fn watch(&self, namespaces: &[&str]) {
        let spec = if namespaces.is_empty() { json!({}) } else { json!({ "targetNamespaces": namespaces }) };
        self.make("operators.coreos.com/v1", "OperatorGroup", &spec).await;
    }

    /// Asks for what a channel offers.
    pub(super) async fn subscribe(&self, channel: &str, approval: &str) {
        let spec = json!({
            "name": "fairway",
            "source": "fairway",
            "sourceNamespace": self.namespace,
            "channel": channel,
            "installPlanApproval": approval,
        });
        self.make("operators.coreos.com/v1alpha1", "Subscription", &spec).await;
    }

    /// Waits until a version is installed, and until no other one is.
    pub(super) async fn installed(&self, version: &str) {
        let name = format!("fairway.v{version}");
        self.becomes("clusterserviceversion", &name, "{.status.phase}", "Succeeded").await;
        self.becomes(
            "subscription",
            "fairway",
            "{.status.installedCSV} {.status.state}",
            &format!("{name} AtLatestKnown"),
        )
        .await;
        let deployment = ["-n", &self.namespace, "rollout", "status", "deployment/fairway-operator", "--timeout=60s"];
        self.kubectl(&deployment).await.unwrap();
    }

    /// Waits until a plan waits for its approval; its name.
    pub(super) async fn asks(&self) -> String {
        wait::until("a plan that asks for its approval", OLM, async || {
            let path = "jsonpath={.items[?(@.status.phase==\"RequiresApproval\")].metadata.name}";
            let name =
                self.kubectl(&["-n", &self.namespace, "get", "installplans.operators.coreos.com", "-o", path]).await?;
            if name.trim().is_empty() { Err("none".to_owned()) } else { Ok(name.trim().to_owned()) }
        })
        .await
    }

    /// Approves a plan.
    pub(super) async fn approve(&self, plan: &str) {
        let plan = format!("installplans.operators.coreos.com/{plan}");
        let approved = ["-n", &self.namespace, "patch", &plan, "--type=merge", "-p", r#"{"spec":{"approved":true}}"#];
        self.kubectl(&approved).await.unwrap();
    }

    /// Takes Subscription and version away, as a user who uninstalls.
    pub(super) async fn uninstall(&self) {
        script(self.cluster, "tests/support/remove").await;
        let left = self.kubectl(&["-n", &self.namespace, "get", "pods", "-l", OPERATOR_LABELS, "-o", "name"]).await;
        assert_eq!(left.unwrap().trim(), "", "the operator is still there");
    }

    /// Uninstalls it, and has its namespaces deleted.
    pub(super) async fn remove(self, others: &[&str]) {
        self.uninstall().await;
        let namespaces = Api::<Namespace>::all(self.cluster.client.clone());
        for name in others.iter().copied().chain([self.namespace.as_str()]) {
            namespaces.delete(name, &DeleteParams::background()).await.unwrap();
        }
    }

    /// Whether the operator may list load balancers in a namespace.
    pub(super) async fn may_see(&self, namespace: &str) -> bool {
        let account = format!("--as=system:serviceaccount:{}:fairway-operator", self.namespace);
        let told =
            self.kubectl(&["auth", "can-i", "list", "loadbalancers.fairway.dev", "-n", namespace, &account]).await;
        // kubectl says no by failing.
        told.is_ok_and(|told| told.trim() == "yes")
    }

    /// One field of an object in the operator's namespace.
    pub(super) async fn read(&self, kind: &str, name: &str, path: &str) -> Result<String, String> {
        let (kind, path) = (format!("{kind}.operators.coreos.com"), format!("jsonpath={path}"));
        self.kubectl(&["-n", &self.namespace, "get", &kind, name, "-o", &path]).await
    }

    /// Waits until a field of an object in the operator's namespace has a value.
    pub(super) async fn becomes(&self, kind: &str, name: &str, path: &str, expected: &str) {
        wait::until(&format!("{kind} {name} to tell {path} = {expected}"), OLM, async || {
            let told = self.read(kind, name, path).await?;
            seen(told == expected, || told)
        })
        .await;
    }

    async fn make(&self, version: &str, kind: &str, spec: &Value) {
        let metadata = json!({ "name": "fairway", "namespace": self.namespace });
        self.apply(&json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec })).await;
    }

    async fn apply(&self, object: &Value) {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.cluster.kubectl(&arguments, &object.to_string()).await.unwrap();
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.cluster.kubectl(arguments, "").await
    }
}

/// Runs a script of this repository on the cluster.
async fn script(cluster: &Cluster, path: &str) {
    let mut command = Command::new(root().join(path));
    cluster.reach(&mut command);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
}
