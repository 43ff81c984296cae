//! A custom resource that may be one that cannot be read: a single bad one must not stop the list that
//! it is in. Nothing here does I/O.

use std::borrow::Cow;

use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A custom resource, or what is known of one that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Guard<R>(pub(crate) Result<R, Unreadable>);

/// What is known of a resource that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) metadata: ObjectMeta,
    /// As it stands; null if there is none.
    pub(crate) status: Value,
    /// What is wrong with it.
    pub(crate) error: String,
}

impl<R: DeserializeOwned> Guard<R> {
    /// Of a resource's JSON.
    pub(crate) fn read(text: &[u8]) -> serde_json::Result<Self> {
        // Said again as a value where it is bad, since the text's lines and columns tell a user nothing.
        serde_json::from_slice(text).map_or_else(|_| serde_json::from_slice(text), |resource| Ok(Self(Ok(resource))))
    }
}

impl<'de, R: DeserializeOwned> Deserialize<'de> for Guard<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let error = match R::deserialize(&value) {
            Ok(resource) => return Ok(Self(Ok(resource))),
            Err(error) => error.to_string(),
        };
        let part = |name| value.get(name).cloned().unwrap_or_default();
        let metadata = serde_json::from_value(part("metadata")).map_err(serde::de::Error::custom)?;
        Ok(Self(Err(Unreadable { metadata, status: part("status"), error })))
    }
}

impl<R: Resource> Resource for Guard<R> {
    type DynamicType = R::DynamicType;
    type Scope = R::Scope;

    fn kind(dynamic: &R::DynamicType) -> Cow<'_, str> {
        R::kind(dynamic)
    }

    fn group(dynamic: &R::DynamicType) -> Cow<'_, str> {
        R::group(dynamic)
    }

    fn version(dynamic: &R::DynamicType) -> Cow<'_, str> {
        R::version(dynamic)
    }

    fn plural(dynamic: &R::DynamicType) -> Cow<'_, str> {
        R::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, R::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, R::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Resource;
    use serde_json::json;

    use super::Guard;

    #[test]
    fn what_cannot_be_read_keeps_its_name_and_status() {
        let bad = json!({"metadata": {"name": "a"}, "data": 7, "status": {"x": 1}});
        let guard: Guard<ConfigMap> = serde_json::from_value(bad).expect("a guard");
        assert_eq!(guard.meta().name.as_deref(), Some("a"));
        let unreadable = guard.0.expect_err("unreadable");
        assert_eq!(unreadable.status, json!({"x": 1}));
        assert!(unreadable.error.contains("invalid type"), "{}", unreadable.error);
    }
}
