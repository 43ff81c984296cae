//! What each verb does to the store.

use serde_json::{Value, json};

use super::{
    Refusal, Request, Verb, apply, patch, refusal, selector,
    store::{Store, absent, id, set},
};

type Answer = Result<(u16, Value), Refusal>;

impl Store {
    pub(super) fn perform(&mut self, request: &Request) -> Answer {
        match request.verb {
            Verb::Get => self.get(request),
            Verb::List => Ok((200, self.list(request))),
            Verb::Create => self.create(request),
            Verb::Update => self.update(request),
            Verb::Apply => self.apply(request),
            Verb::MergePatch | Verb::JsonPatch => self.patch(request),
            Verb::Delete => self.delete_object(request),
            Verb::Watch => refusal(500, "InternalError", "a watch is answered elsewhere"),
        }
    }

    fn get(&self, request: &Request) -> Answer {
        let id = id(request);
        match self.objects.get(&id) {
            Some(object) => Ok((200, shown(object, request))),
            None => absent(&id),
        }
    }

    fn list(&self, request: &Request) -> Value {
        let items: Vec<Value> = self
            .objects
            .iter()
            .filter(|((group, plural, namespace, _), _)| within(request, group, plural, namespace))
            .filter(|(_, object)| selected(request, object))
            .map(|(_, object)| shown(object, request))
            .collect();
        let kind = if request.metadata_only { "PartialObjectMetadataList" } else { "List" };
        let metadata = json!({"resourceVersion": self.version.to_string()});
        json!({"apiVersion": request.api_version(), "kind": kind, "metadata": metadata, "items": items})
    }

    fn create(&mut self, request: &Request) -> Answer {
        let mut object = request.body.clone();
        let Some(name) = object["metadata"]["name"].as_str().map(ToOwned::to_owned) else {
            return refusal(422, "Invalid", "name or generateName is required");
        };
        let (group, plural, namespace, _) = id(request);
        let id = (group, plural, namespace, name);
        if self.objects.contains_key(&id) {
            return refusal(409, "AlreadyExists", format!("{} {:?} already exists", id.1, id.3));
        }
        if object["metadata"]["resourceVersion"].is_string() {
            return refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created");
        }
        set(&mut object["metadata"], "namespace", if id.2.is_empty() { Value::Null } else { json!(id.2) });
        set(&mut object, "status", Value::Null);
        apply::note_update(&Value::Null, &mut object, request);
        Ok((201, self.insert(id, object)?))
    }

    fn update(&mut self, request: &Request) -> Answer {
        let id = id(request);
        let Some(before) = self.objects.get(&id).cloned() else { return absent(&id) };
        self.store_update(request, before, request.body.clone())
    }

    fn patch(&mut self, request: &Request) -> Answer {
        let id = id(request);
        let Some(before) = self.objects.get(&id).cloned() else { return absent(&id) };
        let mut object = before.clone();
        if request.verb == Verb::MergePatch {
            patch::merge(&mut object, &request.body);
        } else {
            patch::json(&mut object, &request.body)?;
        }
        self.store_update(request, before, object)
    }

    fn store_update(&mut self, request: &Request, before: Value, mut object: Value) -> Answer {
        let status = request.subresource == "status";
        // The half that this endpoint does not write is as it was.
        let kept = before["status"].clone();
        if !status {
            set(&mut object, "status", kept);
        }
        set(&mut object["metadata"], "managedFields", before["metadata"]["managedFields"].clone());
        apply::note_update(&before, &mut object, request);
        Ok((200, self.change(id(request), before, object, status)?))
    }

    fn apply(&mut self, request: &Request) -> Answer {
        if !request.query.contains_key("fieldManager") {
            return refusal(422, "Invalid", "fieldManager is required for apply patch");
        }
        let id = id(request);
        let name = request.body["metadata"]["name"].as_str().unwrap_or(&request.name);
        if name != request.name || request.body["metadata"]["managedFields"].is_array() {
            return refusal(400, "BadRequest", "the object's name must be that of the path, without managedFields");
        }
        if let Some(before) = self.objects.get(&id).cloned() {
            let object = apply::apply(&before, request)?;
            return Ok((200, self.change(id, before, object, request.subresource == "status")?));
        }
        if request.body["metadata"]["uid"].is_string() {
            return refusal(409, "Conflict", "uid mismatch: there is no such object");
        }
        let mut object = apply::apply(&Value::Null, request)?;
        object["metadata"]["name"] = json!(id.3);
        set(&mut object["metadata"], "namespace", if id.2.is_empty() { Value::Null } else { json!(id.2) });
        set(&mut object, "status", Value::Null);
        Ok((201, self.insert(id, object)?))
    }

    fn delete_object(&mut self, request: &Request) -> Answer {
        let id = id(request);
        let Some(before) = self.objects.get(&id) else { return absent(&id) };
        let wanted = &request.body["preconditions"];
        for name in ["uid", "resourceVersion"] {
            if wanted[name].is_string() && wanted[name] != before["metadata"][name] {
                return refusal(409, "Conflict", format!("Precondition failed: {name}"));
            }
        }
        Ok((200, self.delete(&id)?))
    }
}

/// Whether an object of this place is asked for.
pub(super) fn within(request: &Request, group: &str, plural: &str, namespace: &str) -> bool {
    group == request.group
        && plural == request.plural
        && (request.namespace.is_empty() || namespace == request.namespace)
}

/// Whether the request's selectors select an object.
pub(super) fn selected(request: &Request, object: &Value) -> bool {
    let selector = |name: &str| request.query.get(name).map(String::as_str).unwrap_or_default();
    selector::selects(selector("labelSelector"), selector("fieldSelector"), object)
}

/// The object, or its metadata if no more is asked for.
pub(super) fn shown(object: &Value, request: &Request) -> Value {
    if request.metadata_only {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
    } else {
        object.clone()
    }
}
