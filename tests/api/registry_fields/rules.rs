//! Every rule of the definitions that is written in CEL is tried: a test of this folder, or of `harbor_input`, has a value
//! that it refuses, told by its words, beside one that it takes. Pure.

use std::collections::BTreeSet;

use fairway::api::{Harbor, HarborClass};
use kube::CustomResourceExt;
use serde_json::{Value, json};

const TESTS: [&str; 6] = [
    include_str!("../harbor_input.rs"),
    include_str!("components.rs"),
    include_str!("front.rs"),
    include_str!("rest.rs"),
    include_str!("servers.rs"),
    include_str!("storage.rs"),
];

/// The words with which rules refuse.
fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let rules = fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
            found.extend(rules.map(|rule| rule["message"].as_str().unwrap_or_default().to_owned()));
            fields.values().for_each(|field| messages(field, found));
        }
        Value::Array(list) => list.iter().for_each(|one| messages(one, found)),
        _ => {}
    }
}

#[test]
fn every_rule_is_tried() {
    let mut rules = BTreeSet::new();
    for definition in [Harbor::crd(), HarborClass::crd()] {
        messages(&json!(definition.spec.versions[0].schema), &mut rules);
    }
    assert!(rules.len() > 20, "{rules:?}");
    // Words are some of a rule's when there are three at least.
    let words: Vec<&str> =
        TESTS.iter().flat_map(|test| test.split('"')).filter(|text| text.matches(' ').count() >= 2).collect();
    let untried: Vec<&String> = rules.iter().filter(|rule| !words.iter().any(|words| rule.contains(words))).collect();
    assert!(untried.is_empty(), "no test has a value that is refused with {untried:#?}");
}
