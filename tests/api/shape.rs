//! What users read of the resources themselves: a sentence on every field, and columns.

use fairway::api::{Harbor, HarborClass, HarborProject, HarborRobot, LoadBalancer, LoadBalancerClass};
use kube::CustomResourceExt;
use serde_json::Value;

/// Each property of a schema, by its path.
fn properties<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value, bool)>) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.push((path.clone(), property, required.contains(&Value::from(name.as_str()))));
        properties(&path, property, found);
    }
    if schema["items"].is_object() {
        properties(&format!("{path}[]"), &schema["items"], found);
    }
}

#[test]
fn every_field_has_its_sentence_and_its_default() {
    for definition in [
        LoadBalancer::crd(),
        LoadBalancerClass::crd(),
        Harbor::crd(),
        HarborClass::crd(),
        HarborProject::crd(),
        HarborRobot::crd(),
    ] {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let schema = &schema["openAPIV3Schema"]["properties"];
        let mut found = vec![];
        properties("spec", &schema["spec"], &mut found);
        let in_spec = found.len();
        properties("status", &schema["status"], &mut found);
        assert!(in_spec > 4, "the walk finds fields");
        for (number, (path, property, required)) in found.iter().enumerate() {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.len() > 8, "{path} has no sentence");
            let optional = number < in_spec && !required;
            assert!(!optional || text.contains("Default"), "{path} does not tell its default: {text}");
        }
    }
}
