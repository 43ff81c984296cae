//! Merge patches (RFC 7386) and the part of JSON patches (RFC 6902) that Kubernetes clients use.

use serde_json::{Map, Value};

use super::{Refusal, refusal};

pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().expect("a map").remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

pub(super) fn json(target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    for operation in patch.as_array().into_iter().flatten() {
        let text = |field: &str| operation[field].as_str().unwrap_or_default();
        let (verb, place) = (text("op"), text("path"));
        let done = match verb {
            "test" => target.pointer(place).unwrap_or(&Value::Null) == &operation["value"],
            "add" | "replace" => put(target, place, operation["value"].clone(), verb == "replace"),
            "remove" => take(target, place),
            _ => false,
        };
        if !done {
            return refusal(422, "Invalid", format!("the operation cannot be performed: {operation}"));
        }
    }
    Ok(())
}

fn put(target: &mut Value, path: &str, value: Value, replace: bool) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    match target.pointer_mut(parent) {
        Some(Value::Object(fields)) if !replace || fields.contains_key(&name) => {
            fields.insert(name, value);
            true
        }
        Some(Value::Array(items)) if name == "-" => {
            items.push(value);
            true
        }
        Some(Value::Array(items)) => match name.parse::<usize>() {
            Ok(index) if replace && index < items.len() => {
                items[index] = value;
                true
            }
            Ok(index) if !replace && index <= items.len() => {
                items.insert(index, value);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

fn take(target: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    match target.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&name).is_some(),
        Some(Value::Array(items)) => match name.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}
