//! The Secret that pods boot from. Pure.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::api::DynamicObject;
use serde_json::json;

use super::object;
use crate::{
    agent::{
        kept::{self, Data},
        protocol::Configuration,
    },
    loadbalancer::{names, plan::configuration::Wanted},
};

/// The Secret that pods boot from; `data` is [`kept::write`] of the configuration.
#[must_use]
pub fn configuration_secret(load_balancer: &str, configuration: &Wanted, data: &Data<'_>) -> DynamicObject {
    let data: BTreeMap<&str, String> = data.iter().map(|(name, content)| (*name, STANDARD.encode(content))).collect();
    object(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names::configuration_secret(load_balancer),
            "annotations": {
                names::HASH_ANNOTATION: configuration.hash(),
                names::SEQUENCE_ANNOTATION: configuration.sequence.to_string(),
            },
        },
        "type": "Opaque",
        "data": data,
    }))
}

/// What a configuration Secret holds; none when it is not whole.
#[must_use]
pub fn read(data: &BTreeMap<String, k8s_openapi::ByteString>) -> Option<Configuration> {
    kept::read(data.iter().map(|(name, content)| (name.clone(), content.0.clone())).collect()).ok()?
}
