//! Sets of fields, and the form in which `managedFields` tells them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::schema::{Shape, key, shape};

/// A field: elements such as `f:spec`, `k:{"name":"web"}`, `v:"a"`.
pub(super) type Path = Vec<String>;
/// Fields.
pub(super) type Set = BTreeSet<Path>;

/// What is never owned by anybody.
const NOT_OWNED: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
    "deletionGracePeriodSeconds",
];

/// The fields of an object that can be owned.
pub(super) fn of_object(object: &Value) -> Set {
    let mut owned = object.clone();
    strip(&mut owned);
    let mut set = Set::new();
    leaves(&mut vec![], &owned, &mut set);
    set.remove(&Path::new());
    set
}

fn strip(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("apiVersion");
    fields.remove("kind");
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.retain(|name, _| !NOT_OWNED.contains(&name.as_str()));
    if metadata.is_empty() {
        fields.remove("metadata");
    }
}

fn leaves(path: &mut Path, value: &Value, set: &mut Set) {
    match (shape(path, value), value) {
        (Shape::Granular, Value::Object(fields)) if !fields.is_empty() => {
            for (name, below) in fields.iter().filter(|(_, below)| !below.is_null()) {
                path.push(format!("f:{name}"));
                leaves(path, below, set);
                path.pop();
            }
        }
        (Shape::Keyed(keys) | Shape::KeyedAtomic(keys), Value::Array(items)) if !items.is_empty() => {
            let atomic = matches!(shape(path, value), Shape::KeyedAtomic(_));
            for item in items {
                path.push(key(keys, item));
                set.insert(path.clone());
                if !atomic {
                    leaves(path, item, set);
                }
                path.pop();
            }
        }
        (Shape::Set, Value::Array(items)) if !items.is_empty() => {
            for item in items {
                path.push(format!("v:{item}"));
                set.insert(path.clone());
                path.pop();
            }
        }
        _ => {
            set.insert(path.clone());
        }
    }
}

/// The value of a field, if it is there.
pub(super) fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, element| match element.split_once(':')? {
        ("f", name) => value.get(name),
        ("v", own) => value.as_array()?.iter().find(|item| shown(item) == own),
        _ => {
            let items = value.as_array()?;
            items.iter().find(|item| names(element, item))
        }
    })
}

/// A value as a `v:` element holds it.
fn shown(value: &Value) -> String {
    value.to_string()
}

/// Whether a `k:` element names an item.
pub(super) fn names(element: &str, item: &Value) -> bool {
    let Some(named) = element.strip_prefix("k:").and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok())
    else {
        return false;
    };
    let keys: Vec<&str> = named.keys().map(String::as_str).collect();
    key(&keys, item) == element
}

/// Takes a field away, and what held nothing else.
pub(super) fn remove(value: &mut Value, path: &[String]) {
    let Some((element, rest)) = path.split_first() else { return };
    match (value, element.split_once(':')) {
        (Value::Object(fields), Some(("f", name))) => {
            if rest.is_empty() {
                fields.remove(name);
            } else if let Some(below) = fields.get_mut(name) {
                remove(below, rest);
                let empty = below.as_object().is_some_and(Map::is_empty) || below.as_array().is_some_and(Vec::is_empty);
                if empty {
                    fields.remove(name);
                }
            }
        }
        (Value::Array(items), Some(("v", own))) => items.retain(|item| shown(item) != own),
        (Value::Array(items), _) if rest.is_empty() => items.retain(|item| !names(element, item)),
        (Value::Array(items), _) => {
            if let Some(below) = items.iter_mut().find(|item| names(element, item)) {
                remove(below, rest);
            }
        }
        _ => {}
    }
}

/// As `fieldsV1` tells them.
pub(super) fn told(set: &Set) -> Value {
    let mut told = Map::new();
    for path in set {
        let mut level = &mut told;
        for element in path {
            let below = level.entry(element.clone()).or_insert_with(|| Value::Object(Map::new()));
            level = below.as_object_mut().expect("a map");
        }
        if path.last().is_some_and(|element| element.starts_with("k:")) {
            level.insert(".".to_owned(), Value::Object(Map::new()));
        }
    }
    for path in set.iter().filter(|path| path.last().is_some_and(|element| element.starts_with("k:"))) {
        // An item that is owned as a whole is a leaf.
        let mut level = &mut told;
        for element in path {
            level = level.get_mut(element).and_then(Value::as_object_mut).expect("a map");
        }
        if level.len() == 1 {
            level.clear();
        }
    }
    Value::Object(told)
}

/// What `fieldsV1` tells.
pub(super) fn read(told: &Value) -> Set {
    let mut set = Set::new();
    read_below(&mut vec![], told, &mut set);
    set
}

fn read_below(path: &mut Path, told: &Value, set: &mut Set) {
    let Some(fields) = told.as_object() else { return };
    if fields.is_empty() || fields.contains_key(".") {
        set.insert(path.clone());
    }
    for (element, below) in fields.iter().filter(|(element, _)| *element != ".") {
        path.push(element.clone());
        read_below(path, below, set);
        path.pop();
    }
}
