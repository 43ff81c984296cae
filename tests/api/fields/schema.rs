//! The fields that the API server knows, from the definitions that it holds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use serde_json::Value;

/// A field of a resource.
pub(crate) struct Field {
    /// Such as `LoadBalancer.spec.pools[].members[].weight`.
    pub(crate) path: String,
    /// Whether it holds fields itself, or is a list of what does.
    pub(crate) holds_fields: bool,
}

/// Load balancers and their classes.
pub(crate) const BALANCERS: [&str; 2] = ["loadbalancers", "loadbalancerclasses"];
/// Registries and their classes.
pub(crate) const REGISTRIES: [&str; 2] = ["harbors", "harborclasses"];

/// All fields of spec and status of these resources.
pub(crate) async fn fields(client: &Client, resources: &[&str]) -> Vec<Field> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut fields = vec![];
    for name in resources {
        let definition = definitions.get(&format!("{name}.fairway.dev")).await.unwrap();
        let kind = &definition.spec.names.kind;
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let schema = &schema["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            walk(&format!("{kind}.{part}"), &schema[part], &mut fields);
        }
    }
    assert!(fields.len() > 100, "the walk finds fields");
    fields
}

fn walk(path: &str, schema: &Value, fields: &mut Vec<Field>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let items = &property["items"];
        let holds_fields = property["properties"].is_object() || items["properties"].is_object();
        fields.push(Field { path: path.clone(), holds_fields });
        walk(&path, property, fields);
        walk(&format!("{path}[]"), items, fields);
    }
}

/// What stands at a path below the resource's kind, such as `spec.pools[].members[].weight`: one value for
/// each place where it is.
pub(crate) fn values(object: &Value, path: &str) -> Vec<Value> {
    let mut found = vec![object.clone()];
    for step in path.split('.') {
        let (name, lists) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let below = found.iter().filter_map(|value| value.get(name)).cloned();
        found = if lists {
            below.flat_map(|list| list.as_array().cloned().unwrap_or_default()).collect()
        } else {
            below.collect()
        };
    }
    found
}
