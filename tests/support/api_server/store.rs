//! What is stored, its versions and its history, and how a change becomes one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Refusal, Request, refusal};

/// Where an object is stored: group, plural, namespace, name.
pub(super) type Id = (String, String, String, String);

/// One change.
#[derive(Clone)]
pub(super) struct Moved {
    pub(super) version: u64,
    pub(super) id: Id,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) version: u64,
    uids: u64,
    pub(super) objects: BTreeMap<Id, Value>,
    pub(super) history: Vec<Moved>,
    /// Watches from before this version are refused.
    pub(super) oldest: u64,
    /// Grows when all watches are to end.
    pub(super) cuts: u64,
    pub(super) held: bool,
    /// Namespaces that are being deleted: nothing can be made in them.
    pub(super) terminating: BTreeSet<String>,
    #[allow(clippy::type_complexity, reason = "it is used once")]
    pub(super) normalise: Option<Box<dyn Fn(&mut Value) + Send>>,
}

/// Where a request's object is stored.
pub(super) fn id(request: &Request) -> Id {
    (request.group.clone(), request.plural.clone(), request.namespace.clone(), request.name.clone())
}

impl Store {
    pub(super) fn forget_history(&mut self) {
        self.history.clear();
        // As the real one, it forgets at a version that nobody can have seen.
        self.version += 1;
        self.oldest = self.version;
    }

    /// Stores a new object.
    pub(super) fn insert(&mut self, id: Id, mut object: Value) -> Result<Value, Refusal> {
        if self.terminating.contains(&id.2) {
            return Err(Refusal::terminating(&id));
        }
        named(&id.3)?;
        self.uids += 1;
        object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        object["metadata"]["creationTimestamp"] = json!(Timestamp::now().to_string());
        object["metadata"]["generation"] = json!(1);
        self.settle(&mut object);
        valid(&object)?;
        let made = self.commit(id, None, object);
        if let Some(owner) = made["metadata"]["ownerReferences"][0]["uid"].as_str() {
            // Whose owners are all gone already is garbage from the start.
            self.collect(owner);
        }
        Ok(made)
    }

    /// What there was at a version; none if that is forgotten.
    pub(super) fn at(&self, version: u64) -> Option<BTreeMap<Id, Value>> {
        if version < self.oldest {
            return None;
        }
        let mut objects = self.objects.clone();
        for moved in self.history.iter().rev().take_while(|moved| moved.version > version) {
            match &moved.before {
                Some(before) => objects.insert(moved.id.clone(), before.clone()),
                None => objects.remove(&moved.id),
            };
        }
        Some(objects)
    }

    /// Stores what became of an object; `status` says that only its status may change.
    pub(super) fn change(&mut self, id: Id, before: Value, mut object: Value, status: bool) -> Result<Value, Refusal> {
        for name in
            ["uid", "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion", "namespace", "name"]
        {
            let kept = before["metadata"][name].clone();
            let given = &object["metadata"][name];
            if name == "uid" && !given.is_null() && *given != kept {
                let message = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {kept}");
                return refusal(409, "Conflict", message);
            }
            if name == "resourceVersion" && !given.is_null() && *given != kept {
                let message = "the object has been modified; please apply your changes to the latest version";
                return refusal(409, "Conflict", message);
            }
            set(&mut object["metadata"], name, kept);
        }
        self.settle(&mut object);
        let managed = object["metadata"]["managedFields"].clone();
        if status {
            let written = object["status"].clone();
            object = before.clone();
            set(&mut object, "status", written);
            set(&mut object["metadata"], "managedFields", managed);
        } else {
            set(&mut object, "status", before["status"].clone());
        }
        if spec_of(&object) != spec_of(&before) {
            object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        valid(&object)?;
        leaving(&before, &object)?;
        if object == before {
            return Ok(object);
        }
        let gone = object["metadata"]["deletionTimestamp"].is_string() && finalizers(&object).is_empty();
        if gone {
            return Ok(self.remove(&id));
        }
        Ok(self.commit(id, Some(before), object))
    }

    /// Takes an object away for good, and in the end what only it owned; what it was.
    pub(super) fn remove(&mut self, id: &Id) -> Value {
        let Some(mut before) = self.objects.remove(id) else { return Value::Null };
        self.version += 1;
        let seen = before.clone();
        before["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let moved = Moved { version: self.version, id: id.clone(), before: Some(seen), after: None };
        self.history.push(Moved { before: Some(before.clone()), ..moved });
        self.collect(before["metadata"]["uid"].as_str().unwrap_or_default());
        before
    }

    /// Marks an object as leaving, or takes it away if nothing holds it.
    pub(super) fn delete(&mut self, id: &Id) -> Result<Value, Refusal> {
        let Some(before) = self.objects.get(id).cloned() else { return absent(id) };
        if finalizers(&before).is_empty() {
            return Ok(self.remove(id));
        }
        if before["metadata"]["deletionTimestamp"].is_string() {
            return Ok(before);
        }
        let mut object = before.clone();
        object["metadata"]["deletionTimestamp"] = json!(Timestamp::now().to_string());
        object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        Ok(self.commit(id.clone(), Some(before), object))
    }

    /// The garbage collector: what has owners, the suspect among them, none of which is there, goes.
    fn collect(&mut self, suspect: &str) {
        let owners = |object: &Value| -> Vec<String> {
            let references = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
            references.iter().filter_map(|one| one["uid"].as_str().map(ToOwned::to_owned)).collect()
        };
        let alive: Vec<String> =
            self.objects.values().filter_map(|one| one["metadata"]["uid"].as_str().map(ToOwned::to_owned)).collect();
        let orphaned = |object: &Value| {
            let owners = owners(object);
            owners.iter().any(|uid| uid == suspect) && !owners.iter().any(|uid| alive.contains(uid))
        };
        let orphans: Vec<Id> =
            self.objects.iter().filter(|(_, object)| orphaned(object)).map(|(id, _)| id.clone()).collect();
        for orphan in orphans {
            let _ = self.delete(&orphan);
        }
    }

    fn commit(&mut self, id: Id, before: Option<Value>, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(id.clone(), object.clone());
        self.history.push(Moved { version: self.version, id, before, after: Some(object.clone()) });
        object
    }

    fn settle(&self, object: &mut Value) {
        prune_nulls(object);
        if let Some(normalise) = &self.normalise {
            normalise(object);
        }
    }
}

/// Sets a field, or takes it away if `value` is null.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if value.is_null() {
        if let Some(fields) = object.as_object_mut() {
            fields.remove(name);
        }
    } else {
        object[name] = value;
    }
}

fn prune_nulls(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, below| !below.is_null());
        fields.values_mut().for_each(prune_nulls);
    }
}

/// What counts for the generation.
fn spec_of(object: &Value) -> Value {
    let mut spec = object.clone();
    for name in ["metadata", "status"] {
        set(&mut spec, name, Value::Null);
    }
    spec
}

/// As of most kinds, a name is that of a DNS subdomain.
fn named(name: &str) -> Result<(), Refusal> {
    let fit = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(fit) {
        return Ok(());
    }
    refusal(422, "Invalid", format!("metadata.name: Invalid value: {name:?}: a lowercase RFC 1123 subdomain"))
}

fn finalizers(object: &Value) -> Vec<Value> {
    object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default()
}

fn valid(object: &Value) -> Result<(), Refusal> {
    let references = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    if references.iter().filter(|one| one["controller"] == true).count() > 1 {
        return refusal(422, "Invalid", "Only one reference can have Controller set to true");
    }
    for (name, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        if value.as_str().is_none_or(|value| value.len() > 63) {
            return refusal(422, "Invalid", format!("metadata.labels: {name}: must be no more than 63 bytes"));
        }
    }
    Ok(())
}

/// What is leaving takes no finalizers on.
fn leaving(before: &Value, object: &Value) -> Result<(), Refusal> {
    let known = finalizers(before);
    if before["metadata"]["deletionTimestamp"].is_string() && finalizers(object).iter().any(|one| !known.contains(one))
    {
        return refusal(422, "Invalid", "no new finalizers can be added if the object is being deleted");
    }
    Ok(())
}

pub(super) fn absent<T>((_, plural, _, name): &Id) -> Result<T, Refusal> {
    refusal(404, "NotFound", format!("{plural} {name:?} not found"))
}
