//! Server-side apply, and who owns which field after any kind of write.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Refusal, Request,
    fields::{self, Path, Set},
    refusal,
    schema::{Shape, key, shape},
    store::set,
};

/// Who owns which fields.
struct Owner {
    entry: Value,
    fields: Set,
}

fn owners(object: &Value) -> Vec<Owner> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|entry| Owner { fields: fields::read(&entry["fieldsV1"]), entry }).collect()
}

fn is(entry: &Value, request: &Request, operation: &str) -> bool {
    entry["manager"] == request.manager()
        && entry["operation"] == operation
        && entry["subresource"].as_str().unwrap_or_default() == request.subresource
}

/// Writes the owners back; those of the request at `operation` own `own` now.
fn write_owners(object: &mut Value, mut owners: Vec<Owner>, request: &Request, operation: &str, own: Set) {
    if let Some(owner) = owners.iter_mut().find(|owner| is(&owner.entry, request, operation)) {
        owner.fields = own;
    } else {
        let mut entry = json!({
            "manager": request.manager(), "operation": operation, "apiVersion": request.api_version(),
            "fieldsType": "FieldsV1", "time": Timestamp::now().to_string(),
        });
        if !request.subresource.is_empty() {
            entry["subresource"] = json!(request.subresource);
        }
        owners.push(Owner { entry, fields: own });
    }
    let told: Vec<Value> = owners
        .into_iter()
        .filter(|owner| !owner.fields.is_empty())
        .map(|Owner { mut entry, fields }| {
            entry["fieldsV1"] = fields::told(&fields);
            entry
        })
        .collect();
    object["metadata"]["managedFields"] = Value::Array(told);
}

/// Notes who owns what after a write that is no apply: what it changed is the writer's now.
pub(super) fn note_update(before: &Value, object: &mut Value, request: &Request) {
    let mut owners = owners(object);
    let status = request.subresource == "status";
    let half = |path: &Path| (path.first().is_some_and(|first| first == "f:status")) == status;
    let (was, is_now) = (fields::of_object(before), fields::of_object(object));
    let differs = |path: &Path| fields::at(before, path) != fields::at(object, path) || !was.contains(path);
    let changed: Set = is_now.iter().filter(|path| half(path) && differs(path)).cloned().collect();
    for owner in &mut owners {
        owner.fields.retain(|path| is_now.contains(path) && !changed.contains(path));
    }
    let own = owners.iter().find(|owner| is(&owner.entry, request, "Update")).map(|owner| owner.fields.clone());
    let own = own.unwrap_or_default().union(&changed).cloned().collect();
    write_owners(object, owners, request, "Update", own);
}

/// What becomes of `before` (null for nothing) when the request's body is applied.
pub(super) fn apply(before: &Value, request: &Request) -> Result<Value, Refusal> {
    let mut applied = request.body.clone();
    for name in ["uid", "resourceVersion"] {
        set(&mut applied["metadata"], name, Value::Null);
    }
    let own = fields::of_object(&applied);
    let mut owners = owners(before);
    let last = owners.iter().find(|owner| is(&owner.entry, request, "Apply"));
    let last = last.map(|owner| owner.fields.clone()).unwrap_or_default();
    let force = request.query.get("force").is_some_and(|force| force == "true");
    for owner in owners.iter_mut().filter(|owner| !is(&owner.entry, request, "Apply")) {
        let container = |path: &Path| own.iter().any(|other| other.len() > path.len() && other.starts_with(path));
        let against = |path: &&Path| {
            own.contains(*path) && !container(path) && fields::at(before, path) != fields::at(&applied, path)
        };
        let conflicts: Vec<Path> = owner.fields.iter().filter(against).cloned().collect();
        if let (Some(path), false) = (conflicts.first(), force) {
            let message = format!("Apply failed with 1 conflict: conflict with {}: {path:?}", owner.entry["manager"]);
            return refusal(409, "Conflict", message);
        }
        owner.fields.retain(|path| !conflicts.contains(path));
    }
    let mut object = if before.is_null() { json!({"metadata": {}}) } else { before.clone() };
    merge(&mut vec![], &mut object, &applied);
    for path in last.difference(&own) {
        let held = |owner: &Owner| {
            !is(&owner.entry, request, "Apply") && owner.fields.iter().any(|other| other.starts_with(path))
        };
        if !owners.iter().any(held) && !own.iter().any(|other| other.starts_with(path)) {
            fields::remove(&mut object, path);
        }
    }
    write_owners(&mut object, owners, request, "Apply", own);
    Ok(object)
}

fn merge(path: &mut Path, target: &mut Value, applied: &Value) {
    match (shape(path, applied), applied) {
        (Shape::Granular, Value::Object(fields)) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                path.push(format!("f:{name}"));
                merge(path, &mut target[name.as_str()], value);
                path.pop();
            }
        }
        (Shape::Keyed(keys) | Shape::KeyedAtomic(keys), Value::Array(items)) => {
            let known = target.as_array().cloned().unwrap_or_default();
            let atomic = matches!(shape(path, applied), Shape::KeyedAtomic(_));
            let elements: Vec<String> = items.iter().map(|item| key(keys, item)).collect();
            let mut merged: Vec<Value> = vec![];
            for (element, item) in elements.iter().zip(items) {
                let mut slot = known.iter().find(|one| fields::names(element, one)).cloned().unwrap_or_default();
                path.push(element.clone());
                if atomic {
                    slot = item.clone();
                } else {
                    merge(path, &mut slot, item);
                }
                path.pop();
                merged.push(slot);
            }
            let others = known.into_iter().filter(|one| !elements.iter().any(|element| fields::names(element, one)));
            merged.extend(others);
            *target = Value::Array(merged);
        }
        (Shape::Set, Value::Array(items)) => {
            let mut known = target.as_array().cloned().unwrap_or_default();
            known.extend(
                items.iter().filter(|item| !target.as_array().is_some_and(|known| known.contains(item))).cloned(),
            );
            *target = Value::Array(known);
        }
        _ => *target = applied.clone(),
    }
}
