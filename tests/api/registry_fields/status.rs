//! The fields of the status: every one is seen with something in it. Pure but for the schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::planned::{beginning, settled, unwell};
use crate::{
    fields::schema::{REGISTRIES, fields, values},
    server::client,
};

/// The engine's: `harbor_install` and `tests/engine` see it.
const OF_THE_ENGINE: &str = "status.observedGeneration";

#[tokio::test]
async fn every_field_of_the_status_tells_something() {
    let fields = fields(&client().await, &REGISTRIES).await;
    let fields = fields.into_iter().filter_map(|field| field.path.strip_prefix("Harbor.").map(str::to_owned));
    let mut missing: BTreeSet<String> = fields.filter(|path| path.starts_with("status.")).collect();
    assert!(missing.remove(OF_THE_ENGINE));
    let spec = json!({
        "externalURL": "http://registry.example.com",
        "components": { "trivy": {}, "exporter": {} },
        "cache": {
            "type": "External",
            "external": { "host": "redis.example.com", "passwordSecretName": "one", "firstDatabase": 8 },
        },
    });
    for seen in [beginning(&spec), settled(&spec, None), unwell(&spec)] {
        missing.retain(|path| !values(&seen.status, path).iter().any(tells));
    }
    assert!(missing.is_empty(), "nothing is ever told in {missing:#?}");
}

/// Whether there is something in it.
fn tells(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}
