//! What projects and robots in a registry are planned to be, without a cluster and without a Harbor.

mod project;
mod robot;

use fairway::harbor::access::Registry;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A registry that is ready.
fn registry() -> Registry {
    Registry { waits: None, leaving: false, host: "registry.example.com".to_owned() }
}

/// `True/Reason` of a condition, and its message.
fn condition(conditions: &[Condition], kind: &str) -> (String, String) {
    let found = conditions.iter().find(|condition| condition.type_ == kind);
    let found = found.unwrap_or_else(|| panic!("no {kind} in {conditions:?}"));
    (format!("{}/{}", found.status, found.reason), found.message.clone())
}
