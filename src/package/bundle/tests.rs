//! What the package promises, read off its files as OLM reads them.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::DeploymentSpec;
use serde_json::{Value, json};

use super::{Images, files};
use crate::{
    harbor::images,
    package::{Releases, definitions},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const RELEASES: &str = include_str!("../../../catalog/releases.yaml");

fn text(images: &Images, path: &str) -> String {
    let releases = Releases::parse(RELEASES).expect("releases");
    let files = files(VERSION, &releases, images, &definitions()).expect("a bundle");
    files.into_iter().find(|file| file.path == path).expect("the file").content
}

fn csv(images: &Images) -> Value {
    let text = text(images, "manifests/fairway.clusterserviceversion.yaml");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn pinned() -> Images {
    let image = |name: &str, digit: &str| format!("registry.example/{name}@sha256:{}", digit.repeat(64));
    let related = images::all().map(|known| (known.clone(), image(&images::entry(&known), "c"))).collect();
    Images { fairway: image("fairway", "a"), haproxy: image("haproxy", "b"), related }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

fn paths(descriptors: &Value) -> BTreeSet<&str> {
    let all = descriptors.as_array().into_iter().flatten();
    all.filter_map(|one| one["description"].as_str().and(one["path"].as_str())).collect()
}

#[test]
fn every_top_level_key_has_a_descriptor_and_every_kind_an_example() {
    let csv = csv(&Images::tagged(VERSION));
    let examples = csv["metadata"]["annotations"]["alm-examples"].as_str().expect("examples");
    let examples: Vec<Value> = serde_json::from_str(examples).expect("JSON");
    for definition in definitions() {
        let owned = csv["spec"]["customresourcedefinitions"]["owned"].as_array().expect("owned");
        let kind = &definition.spec.names.kind;
        let one = owned.iter().find(|one| one["kind"] == *kind).expect("it is owned");
        let value = json!(definition);
        let schema = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        assert_eq!(paths(&one["specDescriptors"]), keys(&schema["spec"]["properties"]), "{kind}: spec");
        assert_eq!(paths(&one["statusDescriptors"]), keys(&schema["status"]["properties"]), "{kind}: status");
        assert!(one["resources"].as_array().is_some_and(|resources| !resources.is_empty()), "{kind}: resources");
        let example = examples.iter().find(|example| example["kind"] == *kind).expect("an example");
        assert_eq!(example["status"].is_object(), schema["status"].is_object(), "{kind}: the example's status");
    }
}

#[test]
fn every_image_is_the_one_that_was_asked_for() {
    let images = pinned();
    let csv = csv(&images);
    let related = &csv["spec"]["relatedImages"];
    assert_eq!(related[0], json!({ "name": "fairway", "image": images.fairway }));
    assert_eq!(related[1], json!({ "name": "haproxy", "image": images.haproxy }));
    let text = text(&images, "manifests/fairway.clusterserviceversion.yaml");
    for public in ["quay.io", "docker.io/goharbor/", "docker.io/library/"] {
        assert!(!text.contains(public), "an image of {public} is named otherwise: {text}");
    }
    let related: BTreeSet<&str> =
        related.as_array().expect("a list").iter().filter_map(|one| one["image"].as_str()).collect();
    assert_eq!(related.len(), 2 + images::all().count());
    let mut told = BTreeSet::new();
    let container = &csv["spec"]["install"]["spec"]["deployments"][0]["spec"]["template"]["spec"]["containers"][0];
    for variable in container["env"].as_array().expect("env") {
        let name = variable["name"].as_str().unwrap_or_default();
        if name.starts_with("RELATED_IMAGE_") {
            told.insert(variable["value"].as_str().expect("an image"));
        }
        match name {
            "RELATED_IMAGE_FAIRWAY" => assert_eq!(variable["value"], images.fairway),
            "RELATED_IMAGE_HAPROXY" => assert_eq!(variable["value"], images.haproxy),
            "GLIBC_TUNABLES" => assert_eq!(variable["value"], "glibc.malloc.arena_max=1"),
            _ => assert!(name.starts_with("RELATED_IMAGE_") || variable["valueFrom"].is_object(), "{variable}"),
        }
    }
    assert_eq!(told, related, "the operator is told of all, and of no other");
    // Which is what it makes of them.
    let variable = |name: &str| {
        let all = container["env"].as_array().into_iter().flatten();
        all.filter(|one| one["name"] == name).find_map(|one| Some(one["value"].as_str()?.to_owned()))
    };
    let read = images::Images::read(variable);
    for (image, other) in &images.related {
        assert_eq!(read.get(image), *other);
    }
}

#[test]
fn without_olm_the_same_images_are_installed() {
    let deployment = include_str!("../../../config/manager/deployment.yaml");
    let Images { fairway, haproxy, .. } = Images::tagged(VERSION);
    assert_eq!(deployment.matches(&fairway).count(), 2, "{fairway}");
    assert_eq!(deployment.matches(&haproxy).count(), 1, "{haproxy}");
}

#[test]
fn the_operator_is_restricted_and_has_requests_and_limits() {
    let csv = csv(&pinned());
    let spec = csv["spec"]["install"]["spec"]["deployments"][0]["spec"].clone();
    let spec: DeploymentSpec = serde_json::from_value(spec).expect("a Deployment");
    let pod = spec.template.spec.expect("a pod");
    let security = pod.security_context.expect("a security context");
    assert_eq!(security.run_as_non_root, Some(true));
    assert_eq!(security.seccomp_profile.map(|profile| profile.type_).as_deref(), Some("RuntimeDefault"));
    for container in pod.containers {
        let resources = container.resources.expect("resources");
        for amounts in [resources.requests, resources.limits] {
            let amounts = amounts.expect("requests and limits");
            assert!(amounts.contains_key("cpu") && amounts.contains_key("memory"), "{amounts:?}");
        }
        let security = container.security_context.expect("a security context");
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.capabilities.and_then(|capabilities| capabilities.drop), Some(vec!["ALL".to_owned()]));
    }
}

#[test]
fn rights_outside_the_namespaces_are_for_what_is_in_none() {
    let csv = csv(&pinned());
    let install = &csv["spec"]["install"]["spec"];
    let rules = install["clusterPermissions"][0]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), 1, "{rules:?}");
    assert_eq!(rules[0]["resources"], json!(["harborclasses", "loadbalancerclasses"]));
    assert_eq!(rules[0]["verbs"], json!(["get", "list", "watch"]));
    let rules = install["permissions"][0]["rules"].as_array().expect("rules");
    for rule in rules {
        assert!(!rule.to_string().contains('*'), "{rule}");
        assert!(!rule["resources"].to_string().contains("loadbalancerclasses"), "{rule}");
    }
}

#[test]
fn olm_v1_takes_it_as_well() {
    let csv = csv(&pinned());
    let modes = csv["spec"]["installModes"].as_array().expect("install modes");
    assert!(modes.contains(&json!({ "type": "AllNamespaces", "supported": true })));
    // No webhook and no API server of its own: nothing has to be converted or checked outside of the API server, and no
    // certificate is rotated.
    for unsupported in ["webhookdefinitions", "apiservicedefinitions", "nativeAPIs"] {
        assert!(csv["spec"][unsupported].is_null(), "{unsupported}");
    }
    assert!(csv["spec"]["customresourcedefinitions"]["required"].is_null());
    assert!(definitions().iter().all(|definition| definition.spec.conversion.is_none()));
    // metadata/dependencies.yaml and properties.yaml are where a bundle depends on another.
    let releases = Releases::parse(RELEASES).expect("releases");
    let files = files(VERSION, &releases, &pinned(), &definitions()).expect("a bundle");
    let metadata = files.iter().filter(|file| file.path.starts_with("metadata/"));
    assert_eq!(metadata.map(|file| file.path.as_str()).collect::<Vec<_>>(), ["metadata/annotations.yaml"]);
    assert!(
        !files
            .iter()
            .any(|file| file.content.contains("olm.package.required") || file.content.contains("olm.gvk.required"))
    );
}
