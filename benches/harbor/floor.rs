//! What the cluster needs for the same pods when they are made all at once, and each finds what it needs: the programs of
//! the registry that stands. Touches the sandbox.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{PersistentVolumeClaim, Pod},
    },
};
use kube::{Resource, ResourceExt, api::ListParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    sandbox::Sandbox,
    wait::{self, POD, seen},
};

/// Before the name of each copy.
const COPY: &str = "floor-";

/// Makes a copy of each volume, `StatefulSet` and Deployment at once, and waits until all pods are ready.
pub(crate) async fn measured(sandbox: &Sandbox) -> Duration {
    let claims = copies::<PersistentVolumeClaim>(sandbox, claim).await;
    let sets = copies::<StatefulSet>(sandbox, pods).await;
    let deployments = copies::<Deployment>(sandbox, pods).await;
    let begun = Instant::now();
    for object in &claims {
        sandbox.apply::<PersistentVolumeClaim>(object.clone()).await;
    }
    for object in &sets {
        sandbox.apply::<StatefulSet>(object.clone()).await;
    }
    for object in &deployments {
        sandbox.apply::<Deployment>(object.clone()).await;
    }
    let wanted: u64 =
        [&sets[..], &deployments].concat().iter().map(|object| object["spec"]["replicas"].as_u64().unwrap_or(1)).sum();
    wait::until("the copies to be ready", 2 * POD, async || {
        let found = sandbox.api::<Pod>().list(&ListParams::default().labels("floor")).await;
        let ready = found.map_err(|error| error.to_string())?.iter().filter(|pod| is_ready(pod)).count();
        seen(ready as u64 >= wanted, || format!("{ready} of {wanted}"))
    })
    .await;
    let took = begun.elapsed();
    for object in &sets {
        sandbox.delete::<StatefulSet>(name(object)).await;
    }
    for object in &deployments {
        sandbox.delete::<Deployment>(name(object)).await;
    }
    for object in &claims {
        sandbox.delete::<PersistentVolumeClaim>(name(object)).await;
    }
    took
}

/// Copies of all objects of a kind.
async fn copies<K>(sandbox: &Sandbox, spec: fn(&str, Value) -> Value) -> Vec<Value>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
{
    let found = sandbox.api::<K>().list(&ListParams::default()).await.unwrap();
    let copy = |object: &K| {
        let name = format!("{COPY}{}", object.name_any());
        let whole = serde_json::to_value(object).unwrap();
        json!({ "metadata": { "name": name }, "spec": spec(&name, whole["spec"].clone()) })
    };
    found.iter().map(copy).collect()
}

fn claim(_: &str, mut spec: Value) -> Value {
    spec.as_object_mut().unwrap().remove("volumeName");
    spec
}

/// With labels of their own, so that nobody takes the pods for those of the registry, and the copies of volumes.
fn pods(name: &str, mut spec: Value) -> Value {
    let labels = json!({ "floor": name });
    spec["selector"] = json!({ "matchLabels": labels });
    spec["template"]["metadata"]["labels"] = labels;
    for volume in spec["template"]["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            volume["persistentVolumeClaim"]["claimName"] = json!(format!("{COPY}{claim}"));
        }
    }
    spec
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.filter(|condition| condition.type_ == "Ready").any(|condition| condition.status == "True")
}
