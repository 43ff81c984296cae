//! What a load balancer has become on the cluster, and ways to know an effect of a field by it.

use std::collections::BTreeMap;

use fairway::loadbalancer::plan::objects;
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

/// What was made of a load balancer: nothing in it may differ when a field is back at its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    /// The files of the configuration that pods boot from.
    pub(super) files: BTreeMap<String, String>,
    /// What was asked for of each object, by its kind; null where it is not there.
    pub(super) objects: BTreeMap<&'static str, Value>,
    /// The pools of the status, without what only agents know.
    pub(super) pools: Vec<Value>,
}

/// Whether an effect is there.
pub(super) type Effect = Box<dyn Fn(&Snapshot) -> bool + Send + Sync>;

/// A file holds this text.
pub(super) fn text(words: &'static str) -> Effect {
    Box::new(move |snapshot| snapshot.files.values().any(|file| file.contains(words)))
}

/// A file holds one of these texts: the same can be said to HAProxy in several ways.
pub(super) fn any_text(words: &'static [&'static str]) -> Effect {
    Box::new(move |snapshot| snapshot.files.values().any(|file| words.iter().any(|words| file.contains(words))))
}

/// There is a file of this name.
pub(super) fn file(name: &'static str) -> Effect {
    Box::new(move |snapshot| snapshot.files.contains_key(name))
}

/// An object has this value at a JSON pointer.
pub(super) fn object(kind: &'static str, at: &'static str, value: Value) -> Effect {
    Box::new(move |snapshot| snapshot.objects[kind].pointer(at) == Some(&value))
}

/// A pool has this many members.
pub(super) fn members(count: usize) -> Effect {
    Box::new(move |snapshot| snapshot.pools.iter().any(|pool| pool["members"] == json!(count)))
}

/// Both.
pub(super) fn both(one: Effect, other: Effect) -> Effect {
    Box::new(move |snapshot| one(snapshot) && other(snapshot))
}

/// It is not there.
pub(super) fn no(effect: Effect) -> Effect {
    Box::new(move |snapshot| !effect(snapshot))
}

impl Snapshot {
    /// What is there now of the load balancer `name`, whose status is given.
    pub(super) async fn take(client: &Client, namespace: &str, name: &str, status: &Value) -> Self {
        let child = format!("{name}-lb");
        let secret = object_of::<Secret>(client, namespace, &format!("{child}-configuration")).await;
        let data: BTreeMap<String, ByteString> = serde_json::from_value(secret["data"].clone()).unwrap_or_default();
        let mut service = object_of::<Service>(client, namespace, &child).await;
        chosen_by_the_cluster(&mut service);
        let objects = BTreeMap::from([
            ("Deployment", object_of::<Deployment>(client, namespace, &child).await),
            ("NetworkPolicy", object_of::<NetworkPolicy>(client, namespace, &child).await),
            ("PodDisruptionBudget", object_of::<PodDisruptionBudget>(client, namespace, &child).await),
            ("ServiceAccount", object_of::<ServiceAccount>(client, namespace, &child).await),
            ("Service", service),
        ]);
        let pools = status["pools"].as_array().into_iter().flatten();
        Self {
            files: objects::read_configuration(&data).map(|configuration| configuration.files).unwrap_or_default(),
            objects,
            pools: pools.map(|pool| json!({ "name": pool["name"], "members": pool["members"] })).collect(),
        }
    }

    /// Where two of them differ.
    pub(super) fn difference(&self, other: &Self) -> String {
        let mut found = vec![];
        let names = self.files.keys().chain(other.files.keys().filter(|name| !self.files.contains_key(*name)));
        for name in names {
            let lines = |files: &BTreeMap<String, String>| -> Vec<String> {
                files
                    .get(name)
                    .map_or(vec!["(no such file)".to_owned()], |file| file.lines().map(str::to_owned).collect())
            };
            let (one, two) = (lines(&self.files), lines(&other.files));
            found.extend(one.iter().filter(|line| !two.contains(line)).map(|line| format!("{name}: - {line}")));
            found.extend(two.iter().filter(|line| !one.contains(line)).map(|line| format!("{name}: + {line}")));
        }
        for (kind, object) in &self.objects {
            if other.objects.get(kind) != Some(object) {
                found
                    .push(format!("{kind}: - {object}\n{kind}: + {}", other.objects.get(kind).unwrap_or(&Value::Null)));
            }
        }
        if self.pools != other.pools {
            found.push(format!("pools: - {:?}\npools: + {:?}", self.pools, other.pools));
        }
        found.join("\n")
    }
}

/// An object without what is new each time that it is written; null if there is none.
async fn object_of<K: Resource<DynamicType = ()>>(client: &Client, namespace: &str, name: &str) -> Value {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let Some(found) = api.get_opt(name).await.unwrap() else { return Value::Null };
    let mut found = serde_json::to_value(found).unwrap();
    let metadata = json!({ "labels": found["metadata"]["labels"], "annotations": found["metadata"]["annotations"] });
    found["metadata"] = metadata;
    found.as_object_mut().unwrap().remove("status");
    found
}

/// Takes away the addresses and ports that a Service is given anew each time that it needs some.
fn chosen_by_the_cluster(service: &mut Value) {
    let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for key in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
        spec.remove(key);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        port.as_object_mut().unwrap().remove("nodePort");
    }
}
