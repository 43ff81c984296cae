//! Whether a live object still is what was applied, without keeping either: hashes over the same fields
//! on both sides. Nothing here does I/O.
//!
//! The API server notes in `managedFields` which fields an applier owns. The live fingerprint is over
//! the values of those that [`MANAGER`] owns by server-side apply; the desired one over all that is
//! planned. Somebody who changes a field of ours takes over its ownership or changes its value, either
//! of which changes the live fingerprint. Where the server stores a value in other words than it was
//! given (`1000m` for `1`), the two never agree; the inventory remembers that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The field manager of all that the operator applies.
pub const MANAGER: &str = "fairway";

/// A hash over some fields of an object and their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Of all that `object` says, but for its identity.
    pub(crate) fn desired(object: &DynamicObject) -> Self {
        Self::of(&content(object))
    }

    /// Of the fields of `object` that [`MANAGER`] owns by apply; none if that cannot be told, as when
    /// they are owned in several API versions at once.
    pub(crate) fn live(object: &DynamicObject) -> Option<Self> {
        let entries = object.metadata.managed_fields.as_deref().unwrap_or_default();
        let mut ours = entries.iter().filter(|entry| applied_by_us(entry));
        let (Some(entry), None) = (ours.next(), ours.next()) else { return None };
        let fields = entry.fields_v1.as_ref()?.0.as_object()?;
        let content = restrict(&content(object), fields);
        Some(Self::of(&content))
    }

    fn of(value: &Value) -> Self {
        let mut hasher = Sha256::new();
        feed(&mut hasher, value);
        let mut short = [0; 16];
        short.copy_from_slice(&hasher.finalize()[..16]);
        Self(short)
    }
}

fn applied_by_us(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// The object without what names it and what the server notes about it.
fn content(object: &DynamicObject) -> Value {
    let mut content = object.data.as_object().cloned().unwrap_or_default();
    let meta = &object.metadata;
    let mut metadata = Map::new();
    let parts = [
        ("labels", serde_json::to_value(&meta.labels)),
        ("annotations", serde_json::to_value(&meta.annotations)),
        ("ownerReferences", serde_json::to_value(&meta.owner_references)),
        ("finalizers", serde_json::to_value(&meta.finalizers)),
    ];
    for (name, part) in parts {
        if let Ok(part) = part
            && !part.is_null()
        {
            metadata.insert(name.to_owned(), part);
        }
    }
    content.insert("metadata".to_owned(), Value::Object(metadata));
    Value::Object(content)
}

/// The part of `value` that a `fieldsV1` set names.
fn restrict(value: &Value, fields: &Map<String, Value>) -> Value {
    if !fields.keys().any(|field| field != ".") {
        // A leaf is owned with all that it holds; a lone `.` says that only its existence is.
        return match (fields.is_empty(), value) {
            (false, Value::Object(_)) => Value::Object(Map::new()),
            (false, Value::Array(_)) => Value::Array(vec![]),
            _ => value.clone(),
        };
    }
    match value {
        Value::Object(object) => Value::Object(
            object
                .iter()
                .filter_map(|(name, value)| {
                    let below = fields.get(&format!("f:{name}"))?.as_object()?;
                    Some((name.clone(), restrict(value, below)))
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| Some(restrict(item, item_fields(fields, index, item)?)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The fields of a list's item that `fields` names: by its key, its value or its index.
fn item_fields<'a>(fields: &'a Map<String, Value>, index: usize, item: &Value) -> Option<&'a Map<String, Value>> {
    let (_, below) = fields.iter().find(|(field, _)| match field.split_once(':') {
        Some(("k", key)) => serde_json::from_str::<Map<String, Value>>(key)
            .is_ok_and(|key| key.iter().all(|(name, value)| item.get(name) == Some(value))),
        Some(("v", own)) => serde_json::from_str::<Value>(own).is_ok_and(|own| own == *item),
        Some(("i", own)) => own.parse() == Ok(index),
        _ => false,
    })?;
    below.as_object()
}

/// Feeds a value in a form in which only equal values are equal. A field that is null counts as absent,
/// as it does in an apply.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(flag) => hasher.update(if *flag { b"t" } else { b"f" }),
        Value::Number(number) => feed_text(hasher, b'#', &number.to_string()),
        Value::String(text) => feed_text(hasher, b'"', text),
        Value::Array(items) => {
            feed_text(hasher, b'[', &items.len().to_string());
            for item in items {
                feed(hasher, item);
            }
        }
        Value::Object(object) => {
            let mut fields: Vec<_> = object.iter().filter(|(_, value)| !value.is_null()).collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            feed_text(hasher, b'{', &fields.len().to_string());
            for (name, value) in fields {
                feed_text(hasher, b'.', name);
                feed(hasher, value);
            }
        }
    }
}

fn feed_text(hasher: &mut Sha256, mark: u8, text: &str) {
    hasher.update([mark]);
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::Fingerprint;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    fn desired() -> DynamicObject {
        object(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "b", "labels": {"x": "1"}},
            "spec": {
                "nothing": null,
                "containers": [{"name": "one", "args": ["a", "b"], "ports": [{"containerPort": 80}]}, {"name": "two"}],
                "volumes": [{"name": "v", "emptyDir": {}}]
            }
        }))
    }

    /// As the server answers: with defaults, with the fields of others, and with an injected container.
    fn live() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7",
                "labels": {"x": "1", "other": "2"},
                "managedFields": [
                    {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
                    {"manager": "fairway", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:x": {}}},
                        "f:spec": {
                            "f:containers": {
                                "k:{\"name\":\"one\"}": {".": {}, "f:name": {}, "f:args": {}, "f:ports": {
                                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}
                                }},
                                "k:{\"name\":\"two\"}": {".": {}, "f:name": {}}
                            },
                            "f:volumes": {"k:{\"name\":\"v\"}": {".": {}, "f:name": {}, "f:emptyDir": {}}}
                        }
                    }}
                ]
            },
            "spec": {
                "containers": [
                    {"name": "injected"},
                    {"name": "one", "args": ["a", "b"], "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                    {"name": "two"}
                ],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "restartPolicy": "Always"
            },
            "status": {"phase": "Running"}
        })
    }

    #[test]
    fn what_others_own_and_what_is_defaulted_does_not_count() {
        assert_eq!(Fingerprint::live(&object(live())), Some(Fingerprint::desired(&desired())));
    }

    #[rstest]
    #[case::a_value("/spec/containers/1/args/0", json!("c"))]
    #[case::an_order("/spec/containers/1/args", json!(["b", "a"]))]
    #[case::a_label("/metadata/labels/x", json!("2"))]
    #[case::a_volume("/spec/volumes", json!([]))]
    #[case::an_owner("/metadata/managedFields/1/fieldsV1/f:spec/f:volumes", json!({"k:{\"name\":\"other\"}": {}}))]
    #[case::no_manager("/metadata/managedFields/1/manager", json!("kubectl"))]
    fn what_is_ours_and_differs_counts(#[case] pointer: &str, #[case] value: Value) {
        let mut other = live();
        *other.pointer_mut(pointer).expect("a field") = value;
        assert_ne!(Fingerprint::live(&object(other)), Some(Fingerprint::desired(&desired())));
    }
}
