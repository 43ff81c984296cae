//! Whether a definition of today may take the place of a released one: what OLM v1 demands of an upgrade, and what keeps
//! stored objects valid. Rules in CEL are left to the objects of `released`. Pure.

use std::{collections::BTreeSet, fmt::Display};

use fairway::api::{Harbor, HarborClass, LoadBalancer, LoadBalancerClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use rstest::rstest;
use serde_json::{Value, json};

use crate::released::versions;

/// What is wrong with an upgrade of a definition.
fn breaks(old: &CustomResourceDefinition, new: &CustomResourceDefinition) -> Vec<String> {
    let mut wrong = vec![];
    if (&old.spec.scope, &old.spec.names) != (&new.spec.scope, &new.spec.names) {
        wrong.push("scope or names are others".to_owned());
    }
    for version in &old.spec.versions {
        match new.spec.versions.iter().find(|found| found.name == version.name) {
            Some(found) if found.served || !version.served => {
                compare(
                    &version.name,
                    &json!(version.schema)["openAPIV3Schema"],
                    &json!(found.schema)["openAPIV3Schema"],
                    &mut wrong,
                );
            }
            _ => wrong.push(format!("version {} is gone", version.name)),
        }
    }
    wrong
}

fn compare(path: &str, old: &Value, new: &Value, wrong: &mut Vec<String>) {
    let mut tell = |what: &dyn Display| wrong.push(format!("{path}: {what}"));
    for key in [
        "type",
        "format",
        "default",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    ] {
        if old[key] != new[key] {
            tell(&format!("{key} was {} and is {}", old[key], new[key]));
        }
    }
    if !new["pattern"].is_null() && new["pattern"] != old["pattern"] {
        tell(&format!("pattern {}", new["pattern"]));
    }
    for (key, larger) in [
        ("minimum", 1.0),
        ("minLength", 1.0),
        ("minItems", 1.0),
        ("maximum", -1.0),
        ("maxLength", -1.0),
        ("maxItems", -1.0),
    ] {
        let narrower = match (old[key].as_f64(), new[key].as_f64()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(old), Some(new)) => new * larger > old * larger,
        };
        if narrower {
            tell(&format!("{key} was {} and is {}", old[key], new[key]));
        }
    }
    let (now, before) = (members(&new["required"]), members(&old["required"]));
    for name in now.difference(&before) {
        tell(&format!("{name} is required now"));
    }
    let (before, now) = (members(&old["enum"]), members(&new["enum"]));
    if !now.is_empty() && (before.is_empty() || !before.is_subset(&now)) {
        tell(&format!("enum was {} and is {}", old["enum"], new["enum"]));
    }
    for (name, property) in old["properties"].as_object().into_iter().flatten() {
        match new["properties"].get(name) {
            Some(found) => compare(&format!("{path}.{name}"), property, found, wrong),
            None => wrong.push(format!("{path}.{name} is gone")),
        }
    }
    for key in ["items", "additionalProperties"] {
        if old[key].is_object() {
            compare(&format!("{path}[]"), &old[key], &new[key], wrong);
        }
    }
}

fn members(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn definitions_of_every_release_may_be_upgraded_to_those_of_today() {
    let versions = versions();
    assert!(!versions.is_empty(), "there are releases");
    for folder in versions {
        for today in [LoadBalancer::crd(), LoadBalancerClass::crd(), Harbor::crd(), HarborClass::crd()] {
            let path = folder.join(format!("fairway.dev_{}.yaml", today.spec.names.plural));
            if !path.exists() {
                // Only what came with a later release is not there.
                assert!(folder.ends_with("0.1.0") && today.spec.names.kind.starts_with("Harbor"), "{}", path.display());
                continue;
            }
            let old: CustomResourceDefinition =
                serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(breaks(&old, &today), [""; 0], "{}", path.display());
        }
    }
}

#[rstest]
#[case::kind("/names/kind", json!("Balancer"), "scope or names are others")]
#[case::scope("/scope", json!("Cluster"), "scope or names are others")]
#[case::version("/versions/0/name", json!("v1"), "version v1alpha1 is gone")]
#[case::not_served("/versions/0/served", json!(false), "version v1alpha1 is gone")]
#[case::field(
    "/versions/0/schema/openAPIV3Schema/properties/spec/properties/pools",
    Value::Null,
    "v1alpha1.spec.pools is gone"
)]
#[case::kind_of_value("/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/type", json!("string"), "type was \"integer\"")]
#[case::default("/versions/0/schema/openAPIV3Schema/properties/spec/properties/enabled/default", json!(false), "default was true")]
#[case::required("/versions/0/schema/openAPIV3Schema/properties/spec/required", json!(["listeners", "pools", "image"]), "image is required now")]
#[case::maximum("/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/maximum", json!(99), "maximum was 100.0 and is 99")]
#[case::minimum("/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/minimum", json!(1), "minimum was 0.0 and is 1")]
#[case::length("/versions/0/schema/openAPIV3Schema/properties/spec/properties/listeners/items/properties/name/maxLength", json!(39), "maxLength was 40")]
#[case::pattern("/versions/0/schema/openAPIV3Schema/properties/spec/properties/image/pattern", json!("^x$"), "pattern \"^x$\"")]
#[case::choice("/versions/0/schema/openAPIV3Schema/properties/spec/properties/exposure/properties/type/enum", json!(["Service"]), "enum was")]
fn what_would_break_stored_objects_is_found(#[case] at: &str, #[case] value: Value, #[case] expected: &str) {
    let old = LoadBalancer::crd();
    let mut changed = json!(old);
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = changed["spec"].pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(name).unwrap();
    } else {
        parent.insert(name.to_owned(), value).unwrap();
    }
    let found = breaks(&old, &serde_json::from_value(changed).unwrap()).join("; ");
    assert!(found.contains(expected), "{found:?}");
}
