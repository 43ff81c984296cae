//! The Secret that pods boot from: one key a file of the configuration, and its sequence. Pure.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::api::DynamicObject;
use serde_json::json;

use super::object;
use crate::{
    agent::protocol::Configuration,
    loadbalancer::{names, plan::configuration::Wanted},
};

/// The key that holds the sequence, in decimal.
const SEQUENCE: &str = "sequence";

/// The Secret that pods boot from.
#[must_use]
pub fn configuration_secret(load_balancer: &str, configuration: &Wanted) -> DynamicObject {
    let sequence = configuration.sequence.to_string();
    let mut data: BTreeMap<&str, String> =
        configuration.files.iter().map(|(name, content)| (name.as_str(), STANDARD.encode(content))).collect();
    data.insert(SEQUENCE, STANDARD.encode(&sequence));
    object(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names::configuration_secret(load_balancer),
            "annotations": {
                names::HASH_ANNOTATION: configuration.hash(),
                names::SEQUENCE_ANNOTATION: sequence,
            },
        },
        "type": "Opaque",
        "data": data,
    }))
}

/// What a configuration Secret holds; none when it is not whole.
#[must_use]
pub fn read(data: &BTreeMap<String, k8s_openapi::ByteString>) -> Option<Configuration> {
    let text = |bytes: &k8s_openapi::ByteString| String::from_utf8(bytes.0.clone()).ok();
    let sequence = text(data.get(SEQUENCE)?)?.trim().parse().ok()?;
    let files = data
        .iter()
        .filter(|(name, _)| name.as_str() != SEQUENCE)
        .map(|(name, content)| Some((name.clone(), text(content)?)))
        .collect::<Option<_>>()?;
    Some(Configuration { sequence, files })
}
