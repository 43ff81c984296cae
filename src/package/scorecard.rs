//! What scorecard is told: its config, with a stage of the tests that it brings along and one for each level that is
//! claimed; and the rights that those tests need. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::{File, GenerateError, bundle::read, rbac, yaml};
use crate::scorecard::{GIVEN, LEVELS, LONG, QUICK};

/// Where the config lies in a bundle.
pub(super) const FOLDER: &str = "tests/scorecard/";
/// The `ServiceAccount` of the tests, and the namespace that stands in its bindings.
const ACCOUNT: &str = "fairway-scorecard";
const BUILTIN: &str = include_str!("../../scorecard/builtin.yaml");

/// The config, for Fairway's image.
pub(super) fn config(image: &str) -> Result<File, GenerateError> {
    let mut stages = vec![read("scorecard/builtin.yaml", BUILTIN)?];
    for level in LEVELS {
        let stage = |limit: Duration| {
            let tests = level.tests.iter().filter(|test| test.limit == limit).map(|test| {
                json!({
                    "image": image,
                    "entrypoint": ["/fairway", "scorecard", format!("{}/{}", level.suite, test.name)],
                    "labels": { "suite": level.suite, "test": test.name },
                })
            });
            tests.collect::<Vec<Value>>()
        };
        // Each test makes what it needs under names of its own. Those that need much of the cluster run after the others.
        let stages_of_it = [QUICK, LONG].map(stage).into_iter().filter(|tests| !tests.is_empty());
        stages.extend(stages_of_it.map(|tests| json!({ "parallel": true, "tests": tests })));
    }
    let config = json!({
        "apiVersion": "scorecard.operatorframework.io/v1alpha3",
        "kind": "Configuration",
        "metadata": { "name": "config" },
        "stages": stages,
    });
    yaml(&format!("{FOLDER}config.yaml"), &[config])
}

/// The tests' `ServiceAccount` and its rights: in the one namespace, but for classes, which are in none.
pub(super) fn account() -> Vec<Value> {
    let made = ["create", "patch", "delete"];
    let all = ["get", "list", "create", "patch", "delete"];
    let rules = [
        json!({ "apiGroups": ["fairway.dev"], "resources": ["loadbalancers", "harbors"], "verbs": all }),
        // Members are behind Services, and the test's own pod is the member.
        json!({ "apiGroups": [""], "resources": ["services"], "verbs": made }),
        json!({ "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": made }),
        json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }),
        // What a registry leaves behind, its Secret among it, which is not read.
        json!({ "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list", "delete"] }),
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"] }),
    ];
    let classes = [
        json!({ "apiGroups": ["fairway.dev"], "resources": ["loadbalancerclasses", "harborclasses"], "verbs": made }),
        // One that says what registries have to have on this cluster.
        json!({
            "apiGroups": ["fairway.dev"], "resources": ["harborclasses"], "resourceNames": [GIVEN], "verbs": ["get"],
        }),
    ];
    let (metadata, own) = (json!({ "name": ACCOUNT }), json!({ "name": ACCOUNT, "namespace": ACCOUNT }));
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": own }),
        rbac::role("Role", &own, &rules),
        rbac::binding("Role", &own, &own),
        rbac::role("ClusterRole", &metadata, &classes),
        rbac::binding("ClusterRole", &metadata, &own),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::config;
    use crate::scorecard;

    #[test]
    fn every_test_is_listed_once_by_the_labels_that_it_has() {
        let file = config("registry.example/fairway@sha256:aa").expect("a config");
        let config: Value = serde_saphyr::from_str(&file.content).expect("YAML");
        let stages = config["stages"].as_array().expect("stages");
        let tests: Vec<&Value> = stages.iter().flat_map(|stage| stage["tests"].as_array().expect("tests")).collect();
        let own: Vec<&Value> = tests.iter().copied().filter(|test| test["entrypoint"][0] == "/fairway").collect();
        assert_eq!(tests.len() - own.len(), 6, "those that operator-sdk brings along");
        for test in &own {
            assert_eq!(test["image"], "registry.example/fairway@sha256:aa");
            let label = |name: &str| test["labels"][name].as_str().unwrap_or_default();
            assert_eq!(test["entrypoint"][2], format!("{}/{}", label("suite"), label("test")));
        }
        let listed: BTreeSet<&str> = own.iter().filter_map(|test| test["entrypoint"][2].as_str()).collect();
        let known: Vec<String> = scorecard::tests().map(|(name, _)| name).collect();
        assert_eq!((listed, own.len()), (known.iter().map(String::as_str).collect(), known.len()));
    }
}
