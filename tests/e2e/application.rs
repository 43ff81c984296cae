//! What stands behind load balancers: a program that answers with the name of its pod and echoes, and that
//! ends gracefully. Touches the sandbox.

use std::net::IpAddr;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    sandbox::Sandbox,
    wait::{self, POD, seen},
};

/// Says what it is asked for; the one that config/samples uses.
const IMAGE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.59";
/// Where it listens.
pub(crate) const PORT: u16 = 8080;

/// A Deployment and a Service of the same name.
pub(crate) struct Application<'a> {
    sandbox: &'a Sandbox,
    pub(crate) name: String,
}

impl<'a> Application<'a> {
    /// One that is there or will be.
    pub(crate) fn named(sandbox: &'a Sandbox, name: &str) -> Self {
        Self { sandbox, name: name.to_owned() }
    }

    /// Makes it and waits until it serves.
    pub(crate) async fn start(sandbox: &'a Sandbox, name: &str, replicas: usize) -> Self {
        let application = Self::named(sandbox, name);
        application.scale(replicas).await;
        application.offer().await;
        application.serves(replicas).await;
        application
    }

    /// Makes the Service.
    pub(crate) async fn offer(&self) {
        let service = json!({
            "metadata": { "name": self.name },
            "spec": { "selector": { "app": self.name }, "ports": [{ "port": 80, "targetPort": PORT }] },
        });
        self.sandbox.apply::<Service>(service).await;
    }

    /// Changes how many pods there are; does not wait.
    pub(crate) async fn scale(&self, replicas: usize) {
        let labels = json!({ "app": self.name });
        let deployment = json!({
            "metadata": { "name": self.name },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod(&labels) },
            },
        });
        self.sandbox.apply::<Deployment>(deployment).await;
    }

    /// Has every pod replaced, as for a new version, and waits until the old ones are gone.
    pub(crate) async fn replace(&self) {
        let before = self.pods().await;
        let deployment = format!("deployment/{}", self.name);
        self.sandbox.kubectl(&["rollout", "restart", &deployment]).await.unwrap();
        self.sandbox.kubectl(&["rollout", "status", &deployment, "--timeout=90s"]).await.unwrap();
        let pods = self.serves(before.len()).await;
        assert!(pods.iter().all(|pod| before.iter().all(|old| old.uid() != pod.uid())), "a pod was not replaced");
    }

    /// Waits until as many pods serve and no other is left; the pods.
    pub(crate) async fn serves(&self, replicas: usize) -> Vec<Pod> {
        wait::until(&format!("{replicas} pods of application {}", self.name), POD, async || {
            let pods = self.pods().await;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            seen(ready == replicas && pods.len() == replicas, || format!("{ready} of {} ready", pods.len()))?;
            Ok::<_, String>(pods)
        })
        .await
    }

    /// Its pods.
    pub(crate) async fn pods(&self) -> Vec<Pod> {
        let labels = ListParams::default().labels(&format!("app={}", self.name));
        self.sandbox.api::<Pod>().list(&labels).await.unwrap().items
    }

    /// Its pods as members by address.
    pub(crate) async fn members(&self) -> Vec<Value> {
        self.pods().await.iter().map(member).collect()
    }
}

/// A pod as a member by address.
pub(crate) fn member(pod: &Pod) -> Value {
    json!({ "address": address(pod).unwrap(), "port": PORT })
}

/// A pod's address, when it has one.
pub(crate) fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// Whether a pod is ready and to stay.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions).flatten();
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// A lost node is left soon.
fn toleration(condition: &str) -> Value {
    json!({
        "key": format!("node.kubernetes.io/{condition}"),
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 10,
    })
}

/// It serves on for some seconds after it was asked to end, as long as its endpoint may still be used.
pub(crate) fn pod(labels: &Value) -> Value {
    json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 15,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": labels },
        }],
        "tolerations": [toleration("not-ready"), toleration("unreachable")],
        "containers": [{
            "name": "application",
            "image": IMAGE,
            "ports": [{ "name": "http", "containerPort": PORT }],
            "args": ["netexec", format!("--http-port={PORT}"), "--delay-shutdown=5"],
            "readinessProbe": { "httpGet": { "path": "/healthz", "port": PORT }, "periodSeconds": 1 },
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    })
}
