//! The operator as OLM runs it: catalog, group and Subscription in a namespace of its own. Touches that namespace and
//! the cluster's OLM.

use std::{fs, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use tokio::{process::Command, sync::OnceCell};

use crate::{
    cluster::{Cluster, OPERATOR_LABELS, cluster, root},
    sandbox::Sandbox,
    wait::{self, seen},
};

/// How long a catalog may take to serve, or OLM to install something.
pub(super) const OLM: Duration = Duration::from_mins(3);
/// The next version, of `tests/olm/catalogs`.
pub(super) const NEXT: &str = "99.0.0";
/// The version there that can't start.
pub(super) const BROKEN: &str = "98.0.0";
/// This tree's.
pub(super) const FIRST: &str = env!("CARGO_PKG_VERSION");

/// OLM is brought up once a run.
static UP: OnceCell<()> = OnceCell::const_new();

/// What a catalog offers.
#[derive(Clone, Copy)]
pub(super) enum Catalog {
    /// This version.
    First,
    /// This version and the next; this one and the channel fast-v1 are deprecated.
    Both,
    /// This version and one that can't start.
    Broken,
}

impl Catalog {
    fn image(self) -> String {
        let path = root().join(match self {
            Self::First => "target/olm/first/catalog/image",
            Self::Both => "target/olm/next/catalog/image",
            Self::Broken => "target/olm/broken/catalog/image",
        });
        let read = fs::read_to_string(&path);
        let image = read.unwrap_or_else(|error| panic!("{}: {error}; make it: make test-catalogs", path.display()));
        image.trim().to_owned()
    }
}

/// An operator of OLM's.
pub(super) struct Operator<'a> {
    pub(super) cluster: &'a Cluster,
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
        UP.get_or_init(async || drop(cluster(&["olm", "up"]).await.unwrap())).await;
        sandbox.cluster.has_no_operator().await;
        script(&sandbox.cluster, "tests/support/remove").await;
        Self { cluster: &sandbox.cluster, namespace: sandbox.namespace.clone() }
    }

    /// An operator in a namespace of its own beside this one.
    pub(super) async fn another(&self, name: &str) -> Self {
        let another = Self { cluster: self.cluster, namespace: format!("{}-{name}", self.namespace) };
        another.make_namespace(&another.namespace).await;
        another
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
        // Until OLM has connected to the new pod, it goes by what the one before told.
        let connection = "{.status.connectionState.lastObservedState} {.status.connectionState.lastConnect}";
        let pods = "jsonpath={range .items[*]}{.spec.containers[0].image} \
            {.status.conditions[?(@.type==\"Ready\")].lastTransitionTime} \
            {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        let pods = ["-n", &self.namespace, "get", "pods", "-l", "olm.catalogSource=fairway", "-o", pods];
        wait::until("the catalog to serve", OLM, async || {
            let told = self.read("catalogsource", "fairway", connection).await?;
            let found = self.kubectl(&pods).await?;
            let ready = found.trim().strip_prefix(&catalog.image()).and_then(|rest| rest.strip_suffix(" True"));
            let connected = told.strip_prefix("READY ");
            let after = ready.zip(connected).is_some_and(|(ready, connected)| connected >= ready.trim());
            seen(after, || format!("{told}, pods: {found}"))
        })
        .await;
    }

    /// Offers the catalog that another operator's namespace serves.
    pub(super) async fn offer_that_of(&self, other: &Self) {
        let spec = json!({ "sourceType": "grpc", "address": format!("fairway.{}.svc:50051", other.namespace) });
        self.make("operators.coreos.com/v1alpha1", "CatalogSource", &spec).await;
        self.becomes("catalogsource", "fairway", "{.status.connectionState.lastObservedState}", "READY").await;
    }

    /// Which namespaces are looked after; none for all.
    pub(super) async fn watch(&self, namespaces: &[&str]) {
        let spec = if namespaces.is_empty() { json!({}) } else { json!({ "targetNamespaces": namespaces }) };
        self.group(&spec).await;
    }

    /// An `OperatorGroup` as it is said here.
    pub(super) async fn group(&self, spec: &Value) {
        self.make("operators.coreos.com/v1", "OperatorGroup", spec).await;
    }

    /// Asks for what a channel offers.
    pub(super) async fn subscribe(&self, channel: &str, approval: &str) {
        self.subscribe_with(channel, approval, &json!({})).await;
    }

    /// As [`Self::subscribe`], with more in the spec.
    pub(super) async fn subscribe_with(&self, channel: &str, approval: &str, more: &Value) {
        let mut spec = json!({
            "name": "fairway",
            "source": "fairway",
            "sourceNamespace": self.namespace,
            "channel": channel,
            "installPlanApproval": approval,
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        self.make("operators.coreos.com/v1alpha1", "Subscription", &spec).await;
    }

    /// Waits until a version is installed.
    pub(super) async fn succeeded(&self, version: &str) {
        let name = format!("fairway.v{version}");
        self.becomes("clusterserviceversion", &name, "{.status.phase}", "Succeeded").await;
    }

    /// Waits until a version is installed, and until no other one is.
    pub(super) async fn installed(&self, version: &str) {
        let name = format!("fairway.v{version}");
        self.succeeded(version).await;
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

    /// Waits until a plan for a version waits for its approval; its name.
    pub(super) async fn asks(&self, version: &str) -> String {
        wait::until(&format!("a plan for {version} that asks for its approval"), OLM, async || {
            let plan = self.read("subscription", "fairway", "{.status.installPlanRef.name}").await?;
            let told = self.read("installplan", &plan, "{.status.phase} {.spec.clusterServiceVersionNames[0]}").await?;
            seen(told == format!("RequiresApproval fairway.v{version}"), || told)?;
            Ok::<_, String>(plan)
        })
        .await
    }

    /// Waits until there is a plan; its name.
    pub(super) async fn plan(&self) -> String {
        wait::until("a plan", OLM, async || {
            let plan = self.read("subscription", "fairway", "{.status.installPlanRef.name}").await?;
            if plan.is_empty() { Err("none".to_owned()) } else { Ok(plan) }
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

    /// Deletes an object of OLM's in the operator's namespace, and waits until it is gone.
    pub(super) async fn delete(&self, kind: &str, name: &str) {
        let kind = format!("{kind}.operators.coreos.com");
        self.kubectl(&["-n", &self.namespace, "delete", &kind, name]).await.unwrap();
    }

    /// One field of an object in the operator's namespace.
    pub(super) async fn read(&self, kind: &str, name: &str, path: &str) -> Result<String, String> {
        let (kind, path) = (format!("{kind}.operators.coreos.com"), format!("jsonpath={path}"));
        self.kubectl(&["-n", &self.namespace, "get", &kind, name, "-o", &path]).await
    }

    /// Waits until a field of an object in the operator's namespace tells something; all that it tells.
    pub(super) async fn tells(&self, kind: &str, name: &str, path: &str, expected: &str) -> String {
        wait::until(&format!("{kind} {name} to tell {expected:?}"), OLM, async || {
            let told = self.read(kind, name, path).await?;
            seen(told.contains(expected), || told.clone())?;
            Ok::<_, String>(told)
        })
        .await
    }

    /// Kills the operator's pods, and those of OLM itself unless the cluster is somebody's own.
    pub(super) async fn kill_with_olm(&self) {
        let mut killed = vec![("-n", self.namespace.as_str(), OPERATOR_LABELS)];
        if !Cluster::existing() {
            killed.push(("-n", "olm", "app in (olm-operator, catalog-operator)"));
        }
        for (flag, namespace, labels) in killed {
            let at_once = ["delete", "pods", flag, namespace, "-l", labels, "--force", "--grace-period=0"];
            self.kubectl(&at_once).await.unwrap();
        }
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

    /// Makes an object as it is said here.
    pub(super) async fn apply(&self, object: &Value) {
        self.try_apply(object).await.unwrap();
    }

    /// As [`Self::apply`], where it may be refused.
    pub(super) async fn try_apply(&self, object: &Value) -> Result<(), String> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.cluster.kubectl(&arguments, &object.to_string()).await.map(drop)
    }

    pub(super) async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
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
