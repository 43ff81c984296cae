//! What the cluster needs without OLM: a Deployment of the operator's image that is ready, another image in its place,
//! and an application that answers. Touches the sandbox.

use std::net::SocketAddr;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use serde_json::{Value, json};

use crate::{
    cluster::root,
    sandbox::Sandbox,
    served::served,
    traffic::{Speech, Target},
};

/// The operator's images of this version and the next, by digest, as their bundles name them.
pub(crate) fn images() -> [String; 2] {
    ["target/bundle", "target/olm/next/bundle"].map(|folder| {
        let path = root().join(folder).join("manifests/fairway.clusterserviceversion.yaml");
        let version: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        version["metadata"]["annotations"]["containerImage"].as_str().unwrap().to_owned()
    })
}

/// Makes or changes a Deployment of this image and waits until it alone is ready. It may do nothing in the cluster, and is
/// ready as one that waits to lead.
pub(crate) async fn rolls_out(sandbox: &Sandbox, image: &str) {
    let labels = json!({ "app": "floor" });
    let variable = |name: &str| json!({ "name": name, "value": image });
    let container = json!({
        "name": "operator",
        "image": image,
        "args": ["operator", "--name=floor"],
        "env": [variable("RELATED_IMAGE_FAIRWAY"), variable("RELATED_IMAGE_HAPROXY")],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 8080 }, "periodSeconds": 2 },
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        },
    });
    let security = json!({ "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } });
    let deployment = json!({
        "metadata": { "name": "floor" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "securityContext": security, "containers": [container] },
            },
        },
    });
    sandbox.apply::<Deployment>(deployment).await;
    sandbox.kubectl(&["rollout", "status", "deployment/floor", "--timeout=90s"]).await.unwrap();
}

/// Takes the Deployment away.
pub(crate) async fn ends(sandbox: &Sandbox) {
    sandbox.delete::<Deployment>("floor").await;
}

/// Waits until a Service answers.
pub(crate) async fn answers(sandbox: &Sandbox, service: &str) {
    let found = sandbox.api::<Service>().get(service).await.unwrap();
    let address = found.spec.and_then(|spec| spec.cluster_ip).unwrap().parse().unwrap();
    served(&Target { address: SocketAddr::new(address, 80), speech: Speech::Http }).await;
}
