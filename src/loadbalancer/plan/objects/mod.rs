//! The Kubernetes objects of a load balancer. Pure.

mod deployment;
mod network;
mod secret;

use kube::api::DynamicObject;
use serde_json::Value;

pub use deployment::deployment;
pub use network::{disruption_budget, network_policy, service, service_account};
pub use secret::{configuration_secret, read as read_configuration};

/// An object from its JSON. What is built here always has the shape of an object; the tests build each.
fn object(value: Value) -> DynamicObject {
    #[allow(clippy::expect_used, reason = "a literal of this module that a test builds")]
    serde_json::from_value(value).expect("an object")
}
