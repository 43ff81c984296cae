//! The examples of the bundle that scorecard mounts, fit to be made beside others of the same names. Reads the bundle.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::result::Trouble;

/// What belongs to a registry and is nothing without it: known, and not tried alone.
const OF_A_REGISTRY: [&str; 2] = ["HarborProject", "HarborRobot"];

/// The custom resources of the bundle's alm-examples.
#[derive(Clone, Debug)]
pub(super) struct Examples {
    /// The load balancers, without status.
    pub(super) load_balancers: Vec<Value>,
    /// Their classes.
    pub(super) classes: Vec<Value>,
    /// The registries, without status.
    pub(super) registries: Vec<Value>,
    /// Their classes.
    pub(super) registry_classes: Vec<Value>,
}

impl Examples {
    /// Reads them from the one `ClusterServiceVersion` of the bundle in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, Trouble> {
        let none = |why: String| Trouble::NoBundle(folder.to_owned(), why);
        let manifests = folder.join("manifests");
        let files = fs::read_dir(&manifests).map_err(|error| none(format!("{}: {error}", manifests.display())))?;
        for file in files.flatten() {
            let text = fs::read_to_string(file.path()).map_err(|error| none(error.to_string()))?;
            if !text.contains("kind: ClusterServiceVersion") {
                continue;
            }
            let csv: Value = serde_saphyr::from_str(&text)
                .map_err(|error| none(format!("{} can't be read: {error}", file.path().display())))?;
            return Self::parse(csv["metadata"]["annotations"]["alm-examples"].as_str().unwrap_or_default());
        }
        Err(none("no ClusterServiceVersion is among its manifests".to_owned()))
    }

    fn parse(text: &str) -> Result<Self, Trouble> {
        let all: Vec<Value> = serde_json::from_str(text).map_err(|error| Trouble::Examples(error.to_string()))?;
        let mut examples =
            Self { load_balancers: vec![], classes: vec![], registries: vec![], registry_classes: vec![] };
        for mut example in all {
            if let Some(example) = example.as_object_mut() {
                example.remove("status");
            }
            match example["kind"].as_str().unwrap_or_default() {
                "LoadBalancer" => examples.load_balancers.push(example),
                "LoadBalancerClass" => examples.classes.push(example),
                "Harbor" => examples.registries.push(example),
                "HarborClass" => examples.registry_classes.push(example),
                kind if OF_A_REGISTRY.contains(&kind) => {}
                kind => return Err(Trouble::Examples(format!("no test knows kind {kind:?}"))),
            }
        }
        let Self { load_balancers, classes, registries, registry_classes } = &examples;
        if [load_balancers, classes, registries, registry_classes].iter().any(|found| found.is_empty()) {
            let message = "there must be a LoadBalancer, a LoadBalancerClass, a Harbor and a HarborClass";
            return Err(Trouble::Examples(message.to_owned()));
        }
        Ok(examples)
    }

    /// The same with names that nobody else has: `suffix` is added to those of the examples, of the Services that they
    /// name, and of their class.
    pub(super) fn renamed(mut self, suffix: &str) -> Self {
        let Self { load_balancers, classes, registries, registry_classes } = &mut self;
        for example in [&mut *load_balancers, classes, &mut *registries, registry_classes].into_iter().flatten() {
            rename(&mut example["metadata"]["name"], suffix);
        }
        for example in load_balancers.iter_mut().chain(registries) {
            if let Some(class) = example["spec"].get_mut("className") {
                rename(class, suffix);
            }
        }
        for example in load_balancers {
            for pool in example["spec"]["pools"].as_array_mut().into_iter().flatten() {
                for service in pool["services"].as_array_mut().into_iter().flatten() {
                    rename(&mut service["name"], suffix);
                }
            }
        }
        self
    }

    /// The Services that a load balancer's pools name, each with the port that is asked for.
    pub(super) fn services(spec: &Value) -> Vec<(String, Value)> {
        let pools = spec["pools"].as_array().into_iter().flatten();
        let services = pools.flat_map(|pool| pool["services"].as_array().into_iter().flatten());
        let port = |service: &Value| match &service["port"] {
            Value::String(name) => json!({ "name": name, "port": 80 }),
            Value::Number(number) => json!({ "port": number }),
            _ => json!({ "port": 80 }),
        };
        services.map(|service| (service["name"].as_str().unwrap_or_default().to_owned(), port(service))).collect()
    }
}

fn rename(name: &mut Value, suffix: &str) {
    *name = json!(format!("{}-{suffix}", name.as_str().unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::Examples;

    #[test]
    fn the_bundles_own_examples_are_read_and_renamed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundle");
        let examples = Examples::read(&folder).expect("examples").renamed("x");
        let example = &examples.load_balancers[0];
        assert_eq!(example["metadata"]["name"], "hello-x");
        assert_eq!(example["status"], json!(null), "the API server writes it");
        assert_eq!(examples.classes[0]["metadata"]["name"], "small-x");
        let registry = &examples.registries[0];
        assert_eq!(registry["metadata"]["name"], "registry-x");
        assert!(registry["spec"]["externalURL"].as_str().is_some_and(|url| url.starts_with("http://")), "{registry}");
        assert_eq!(examples.registry_classes[0]["metadata"]["name"], "small-x");
        assert_eq!(Examples::services(&example["spec"]), [("hello-x".to_owned(), json!({ "port": 80 }))]);
    }

    #[test]
    fn an_example_that_no_test_knows_is_told() {
        let error = Examples::parse(r#"[{ "kind": "Ship" }]"#).expect_err("an error");
        assert!(error.to_string().contains("no test knows kind \"Ship\""), "{error}");
        let error = Examples::parse(r#"[{ "kind": "HarborProject" }]"#).expect_err("an error");
        assert!(error.to_string().contains("there must be"), "one of a registry is none: {error}");
    }
}
