//! How objects are read whose type the compiler does not know. Pure.

use kube::{ResourceExt, api::DynamicObject};
use serde::de::DeserializeOwned;

/// The kind of an object, as in `kind:`; empty if it says none.
#[must_use]
pub fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// The kind and the name of an object.
#[must_use]
pub fn kind_and_name(object: &DynamicObject) -> (String, String) {
    (kind(object).to_owned(), object.name_any())
}

/// The object as its type has it; none if it is not one.
#[must_use]
pub fn typed<K: DeserializeOwned>(object: &DynamicObject) -> Option<K> {
    serde_json::from_value(serde_json::to_value(object).ok()?).ok()
}
