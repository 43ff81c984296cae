//! How lists and maps merge, which the real server reads from `OpenAPI` schemas.

use serde_json::{Map, Value};

/// How a value merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Field by field.
    Granular,
    /// Item by item, told apart by these fields.
    Keyed(&'static [&'static str]),
    /// Keyed, and each item as a whole.
    KeyedAtomic(&'static [&'static str]),
    /// As a set of values.
    Set,
    /// As a whole.
    Atomic,
}

/// Fields that have a default and are part of a key.
const DEFAULTS: [(&str, &str); 1] = [("protocol", "TCP")];

/// The shape of the value at `path`, whose elements are as in `fieldsV1`.
pub(super) fn shape(path: &[String], value: &Value) -> Shape {
    let field = path.last().and_then(|element| element.strip_prefix("f:")).unwrap_or_default();
    let within = |name: &str| path.iter().any(|element| element.strip_prefix("f:") == Some(name));
    match value {
        Value::Object(_) => match field {
            "selector" | "labelSelector" | "namespaceSelector" | "podSelector" | "nodeSelector" | "matchLabels" => {
                Shape::Atomic
            }
            _ => Shape::Granular,
        },
        Value::Array(_) => match field {
            "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "imagePullSecrets" => {
                Shape::Keyed(&["name"])
            }
            "volumeMounts" => Shape::Keyed(&["mountPath"]),
            "ports" if within("containers") || within("initContainers") => Shape::Keyed(&["containerPort", "protocol"]),
            "ports" => Shape::Keyed(&["port", "protocol"]),
            "conditions" => Shape::Keyed(&["type"]),
            "topologySpreadConstraints" => Shape::Keyed(&["topologyKey", "whenUnsatisfiable"]),
            "ownerReferences" => Shape::KeyedAtomic(&["uid"]),
            "finalizers" => Shape::Set,
            _ => Shape::Atomic,
        },
        _ => Shape::Atomic,
    }
}

/// The element of a path that names `item` within a keyed list.
pub(super) fn key(keys: &[&str], item: &Value) -> String {
    let mut named = Map::new();
    for name in keys {
        let default = DEFAULTS.iter().find(|(field, _)| field == name).map(|(_, value)| Value::from(*value));
        if let Some(value) = item.get(name).cloned().or(default) {
            named.insert((*name).to_owned(), value);
        }
    }
    format!("k:{}", Value::Object(named))
}
