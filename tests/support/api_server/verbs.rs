//! What each verb does to the store.

use serde_json::{Value, json};

use super::{
    Refusal, Request, Verb, apply, patch, refusal, selector,
    store::{Id, Store, absent, id, set},
};

type Answer = Result<(u16, Value), Refusal>;

impl Store {
    pub(super) fn perform(&mut self, request: &Request) -> Answer {
        match request.verb {
            Verb::Get => self.get(request),
            Verb::List => self.list(request),
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

    /// A page, of what there was when the first one was asked for.
    fn list(&self, request: &Request) -> Answer {
        let asked = |name: &str| request.query.get(name).filter(|value| !value.is_empty());
        let (version, after) = match asked("continue") {
            None => (self.version, None),
            Some(_) if asked("resourceVersion").is_some() => {
                return refusal(400, "BadRequest", "specifying resource version is not allowed when using continue");
            }
            Some(token) => {
                let (version, after): (u64, Id) =
                    serde_json::from_str(token).or_else(|_| refusal(400, "BadRequest", "continue key is not valid"))?;
                (version, Some(after))
            }
        };
        let Some(objects) = self.at(version) else {
            return refusal(410, "Expired", "The provided continue parameter is too old");
        };
        let found: Vec<_> = objects
            .iter()
            .filter(|(id, _)| after.as_ref().is_none_or(|after| *id > after))
            .filter(|((group, plural, namespace, _), _)| within(request, group, plural, namespace))
            .filter(|(_, object)| selected(request, object))
            .collect();
        let limit = asked("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
        let page = &found[..limit.unwrap_or(found.len()).min(found.len())];
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let Some((last, _)) = page.last().filter(|_| page.len() < found.len()) {
            metadata["continue"] = json!(json!([version, last]).to_string());
            metadata["remainingItemCount"] = json!(found.len() - page.len());
        }
        let items: Vec<Value> = page.iter().map(|(_, object)| item(object, request)).collect();
        let kind = if request.metadata_only { "PartialObjectMetadataList" } else { "List" };
        Ok((200, json!({"apiVersion": request.api_version(), "kind": kind, "metadata": metadata, "items": items})))
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
        let custom = request.group.contains('.') && !request.group.ends_with(".k8s.io");
        if (custom || request.plural == "leases") && !request.body["metadata"]["resourceVersion"].is_string() {
            return refusal(422, "Invalid", "metadata.resourceVersion: Invalid value: must be specified for an update");
        }
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
        if request.body["apiVersion"] != request.api_version() || !request.body["kind"].is_string() {
            return refusal(
                400,
                "BadRequest",
                "the object's apiVersion must be that of the path, and its kind be told",
            );
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

/// An object in a list. Of Kubernetes' own kinds it does not say what it is; custom resources do.
fn item(object: &Value, request: &Request) -> Value {
    let mut item = shown(object, request);
    let own = !request.group.contains('.') || request.group.ends_with(".k8s.io");
    if own && !request.metadata_only {
        set(&mut item, "kind", Value::Null);
        set(&mut item, "apiVersion", Value::Null);
    }
    item
}

/// The object, or its metadata if no more is asked for.
pub(super) fn shown(object: &Value, request: &Request) -> Value {
    if request.metadata_only {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
    } else {
        object.clone()
    }
}
